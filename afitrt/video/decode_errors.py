"""Signs of damage in what ffmpeg says while it decodes: error flags of pictures, and return codes of decoders."""

from __future__ import annotations

import re

LEVEL = ("-v", "repeat+level+warning")
"""Options of the run whose lines are heard."""

# What ffmpeg itself says of a picture whose error flags are set, whatever the codec: 5.1 in one form, later in another.
FLAGGED = "corrupt decoded frame"
# A packet that the decoder refused: told by ffmpeg's part that calls it; 5.1 has no name for that part.
_REFUSED = re.compile(r"\[dec:[^\]]*\]|^Error while decoding stream", re.IGNORECASE)
# Of what readers of containers call errors, those that mean lost pictures.
_LOST = re.compile(r"invalid data|prematurely|partial file", re.IGNORECASE)
# Decoders that set the flags and complain of much that is harmless, such as references missing where a stream begins.
FLAGGING = frozenset({"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpegvideo", "mpeg4", "vc1", "wmv3", "wmv2"})
# Complaints of the others that concern no picture: what mjpeg makes of EXIF that it does not know.
_HARMLESS = re.compile(r"unable to decode APP fields")
_LINE = re.compile(r"^(.*?)\[(warning|error|fatal|panic)\] (.*)$")
_SPEAKER = re.compile(r"^\[(\w+)\] $")


class Signs:
    """Hears the lines of an ffmpeg child that decodes at LEVEL. decoders: names of those at work.

    flagged: pictures so far that came out with error flags. damaged: any sign at all.
    """

    def __init__(self, *decoders: str) -> None:
        self._silent = frozenset(decoders) - FLAGGING
        self.flagged = 0
        self.damaged = False

    def __call__(self, line: str) -> str:
        """The line as it is to be shown, "" for one that is none of the user's business."""
        found = _LINE.match(line)
        if found is None:
            return line
        context, level, text = found.groups()
        if FLAGGED in text:
            self.flagged += 1
            self.damaged = True
            return ""
        if level == "warning":
            return ""
        speaker = _SPEAKER.match(context)
        concealed = bool(speaker and speaker[1] in self._silent)
        if _HARMLESS.search(text):
            return ""
        if concealed or _REFUSED.search(context or text) or _LOST.search(text):
            self.damaged = True
        return f"{context}{text}"

    @property
    def summary(self) -> tuple[str, ...]:
        """A line about the pictures that came out with error flags, or none."""
        return (f"{self.flagged} decoded with errors",) if self.flagged else ()
