"""Runtimes: one room a library, behind one protocol."""
