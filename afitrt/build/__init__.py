"""Graph + weights + geometry -> fixed ONNX: joins the committed pieces into the stages of a model, without torch."""

from afitrt.build.binding import Weights, bind
from afitrt.build.chunking import chunked
from afitrt.build.making import Target, ensure_stage, stage_graph, stage_identity, stage_model
from afitrt.build.pieces import EXPORT_VERSION, Library, Piece, committed, read_library
from afitrt.build.precision import half_share, is_half
from afitrt.build.stages import PICTURE_STAGE, STAGES, GraphStage, Stage, TensorSpec

__all__ = [
    "EXPORT_VERSION",
    "PICTURE_STAGE",
    "STAGES",
    "GraphStage",
    "Library",
    "Piece",
    "Stage",
    "Target",
    "TensorSpec",
    "Weights",
    "bind",
    "chunked",
    "committed",
    "ensure_stage",
    "half_share",
    "is_half",
    "read_library",
    "stage_graph",
    "stage_identity",
    "stage_model",
]
