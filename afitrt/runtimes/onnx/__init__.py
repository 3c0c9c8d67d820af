"""ONNX Runtime: on the CPU, and on a GPU through its CUDA provider."""

from afitrt.runtimes.onnx.bound import BoundRuntime
from afitrt.runtimes.onnx.cpu import OnnxRuntime
from afitrt.runtimes.onnx.places import Place, cuda
from afitrt.runtimes.onnx.sessions import prepare

__all__ = ["BoundRuntime", "OnnxRuntime", "Place", "cuda", "prepare"]
