"""What showinfo says is heard also where other threads of ffmpeg write into its lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from afitrt.frames import Facts
from afitrt.video.showinfo import Listener

PICTURE = (
    "[Parsed_showinfo_0] [info] n:   0 pts:      0 pts_time:0 fmt:yuv420p cl:left sar:1/1 s:64x48 i:P iskey:1 type:I"
)
COLOURS = "[Parsed_showinfo_0] [info] color_range:tv color_space:bt709 color_primaries:bt709 color_trc:bt709"
BAD = "[h264] [error] error while decoding MB 1 2"


def heard(lines: Sequence[str]) -> list[Facts]:
    """Facts of all pictures of a log that has ended."""
    listener = Listener(str)
    for line in lines:
        listener(line)
    listener.close()
    return [told[0] for told in iter(listener.next, None)]


@pytest.mark.parametrize(
    "between",
    [
        [COLOURS],
        [f"{COLOURS}EOF"],
        [f"{COLOURS}{BAD}"],
        [COLOURS.rpartition(" ")[0]],
        [BAD, COLOURS],
        [COLOURS, BAD],
        [],
        ["[Parsed_showinfo_0] [info] color_range:tv [h264] [error] lost", "[Parsed_showinfo_0] [info] color_trc:bt709"],
    ],
)
def test_every_picture_is_told_once_and_as_it_is(between: list[str]) -> None:
    whole = [PICTURE, COLOURS]
    (expected,) = heard(whole)
    assert heard([*whole, PICTURE, *between, *whole]) == [expected] * 3
    assert heard([*whole, PICTURE, *between]) == [expected] * 2
    assert expected.colour.transfer == "bt709" and (expected.width, expected.height) == (64, 48)


def test_a_first_line_that_was_written_into_tells_what_it_can() -> None:
    assert heard([PICTURE, f"{COLOURS}EOF"]) == heard([PICTURE, COLOURS])


def test_a_picture_of_other_colours_is_told() -> None:
    first, other = heard([PICTURE, COLOURS, PICTURE, COLOURS.replace("bt709", "smpte170m")])
    assert first != other and other.colour.matrix == "smpte170m"
