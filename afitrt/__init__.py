"""afitrt: smooth anime video by forward de-duplication on the GMFSS network.

    import afitrt

    afitrt.interpolate("in.mkv", afitrt.Options(schedule=afitrt.ScheduleOptions(n_forward=3)))

The names below are public; whatever else a room holds may change. They load on first use, so that importing afitrt
costs nothing. For networks of your own see `afitrt.models` and `afitrt.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from afitrt.api import interpolate
    from afitrt.errors import AfitrtError
    from afitrt.events import Done, Event
    from afitrt.options import EncodeOptions, ModelOptions, Options, SceneOptions, ScheduleOptions
    from afitrt.schedule import End, Frame, Mix, Output, Source, Step, plan

_ROOMS = {
    "api": ("interpolate",),
    "errors": ("AfitrtError",),
    "events": ("Done", "Event"),
    "options": ("EncodeOptions", "ModelOptions", "Options", "SceneOptions", "ScheduleOptions"),
    "schedule": ("End", "Frame", "Mix", "Output", "Source", "Step", "plan"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AfitrtError",
    "Done",
    "EncodeOptions",
    "End",
    "Event",
    "Frame",
    "Mix",
    "ModelOptions",
    "Options",
    "Output",
    "SceneOptions",
    "ScheduleOptions",
    "Source",
    "Step",
    "__version__",
    "interpolate",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
