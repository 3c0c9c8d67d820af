"""Frozen option values as plain JSON and back: fractions as text, paths as text, unknown fields refused."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from afitrt.errors import InputError

Value = TypeVar("Value")


def to_json(value: Any) -> Any:
    """Dataclasses become objects, tuples lists, fractions "60000/1001"; all else stays."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Fraction | Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    return value


def from_json(kind: type[Value], facts: Any, where: str) -> Value:
    """The dataclass that `to_json` made this of. where: what the user calls it.

    Raises InputError naming a field that is unknown, missing or of another type, and what the dataclass raises.
    """
    if not isinstance(facts, dict):
        raise _wrong(where, facts, "an object")
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in facts:
        if name not in names:
            raise InputError(
                f"{where} has a field {name!r:.40}", f"fields this afitrt knows: {', '.join(names)}", AGAIN
            )
    for name in names:
        if name not in facts:
            raise InputError(f"{where} has no field {name}", f"all of {', '.join(names)}", AGAIN)
    return kind(**{name: _value(hints[name], facts[name], f"{where}.{name}") for name in names})


AGAIN = "afitrt plan IN -o JOB.json, with the afitrt that is to render it"


def _value(kind: Any, given: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if given is None and type(None) in arguments:
            return None
        kind = next(each for each in arguments if each is not type(None))
        return _value(kind, given, where)
    if origin is tuple:
        return _items(arguments, given, where)
    if origin is dict:
        if not isinstance(given, dict):
            raise _wrong(where, given, "an object")
        return {str(key): _value(arguments[1], each, f"{where}.{key}") for key, each in given.items()}
    if is_dataclass(kind) and isinstance(kind, type):
        return from_json(kind, given, where)
    return given if kind is Any else _plain(kind, given, where)


def _items(arguments: tuple[Any, ...], given: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(given, list):
        raise _wrong(where, given, "a list")
    if arguments[1:] == (...,):
        return tuple(_value(arguments[0], each, f"{where}[{place}]") for place, each in enumerate(given))
    if len(given) != len(arguments):
        raise _wrong(where, given, f"a list of {len(arguments)}")
    pairs = enumerate(zip(arguments, given, strict=True))
    return tuple(_value(kind, each, f"{where}[{place}]") for place, (kind, each) in pairs)


def _plain(kind: Any, given: Any, where: str) -> Any:
    if kind is Fraction or kind is Path:
        try:
            if isinstance(given, str):
                return kind(given)
        except (ValueError, ZeroDivisionError):
            pass
        raise _wrong(where, given, "a rate such as 24000/1001" if kind is Fraction else "a path")
    if kind is float and type(given) is int:
        return float(given)
    if type(given) is not kind:
        raise _wrong(where, given, {int: "a whole number", str: "a text", bool: "true or false"}.get(kind, "a number"))
    return given


def _wrong(where: str, given: Any, expected: str) -> InputError:
    return InputError(f"{where} is {given!r:.60}", expected, AGAIN)
