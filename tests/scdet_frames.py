"""Drawn frame sequences for the scene detector's golden table, tests/golden/scdet.json.

Only integer arithmetic and numpy's PCG64 draw them, so the bytes are the same everywhere; the table holds a
SHA-1 of every sequence. Pictures are uint8 [64, 96, 3] unless said otherwise, channels B, G, R, because the
table was made with a detector that reads BGR.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Sequence = list[Picture]

HEIGHT, WIDTH = 64, 96
CEL = (40, 200, 230)


def tiles(seed: int, height: int = HEIGHT, width: int = WIDTH, side: int = 8, top: int = 256) -> Picture:
    """Squares of `side` pixels in random colours below `top`."""
    grid = np.random.default_rng(seed).integers(0, top, size=(-(-height // side), -(-width // side), 3), dtype=np.int64)
    return grid.repeat(side, axis=0).repeat(side, axis=1)[:height, :width].astype(np.uint8)


def plain(*colour: int) -> Picture:
    return np.broadcast_to(np.array(colour, np.uint8), (HEIGHT, WIDTH, 3)).copy()


def painted(picture: Picture, x: int, y: int, size: tuple[int, int], colour: tuple[int, ...]) -> Picture:
    """A copy with a filled rectangle of size (width, height) at x, y."""
    result = picture.copy()
    width, height = size
    result[y : y + height, x : x + width] = colour
    return result


def dimmed(picture: Picture, part: int, whole: int) -> Picture:
    return (picture.astype(np.int64) * part // whole).astype(np.uint8)


def mixed(left: Picture, right: Picture, part: int, whole: int) -> Picture:
    """part/whole of the right picture, the rest of the left one, rounded down."""
    total = left.astype(np.int64) * (whole - part) + right.astype(np.int64) * part
    return (total // whole).astype(np.uint8)


def shot(seed: int, count: int, speed: int = 2) -> Sequence:
    """A cel that moves `speed` pixels right and one down each frame over a still background."""
    background = tiles(seed)
    return [painted(background, 4 + speed * i, 10 + i, (20, 16), CEL) for i in range(count)]


def pan(seed: int, count: int, speed: int) -> Sequence:
    """A window that moves over a wide background."""
    wide = tiles(seed, HEIGHT, WIDTH + speed * (count - 1))
    return [wide[:, speed * i : speed * i + WIDTH].copy() for i in range(count)]


def held(frames: Sequence, times: int) -> Sequence:
    return [frame for frame in frames for _ in range(times)]


def joined(parts: Iterator[Sequence]) -> Sequence:
    return [frame for part in parts for frame in part]


BLACK, WHITE = plain(0, 0, 0), plain(255, 255, 255)


def hard_cuts() -> dict[str, Sequence]:
    still, other = tiles(60), tiles(61)
    moved, other_moved = (painted(each, 10, 10, (20, 16), (0, 0, 255)) for each in (still, other))
    return {
        "hardcut": shot(1, 10) + shot(2, 10),
        "cut_after_3_frames": shot(3, 3) + shot(4, 12),
        "cuts_every_6": joined(shot(20 + i, 6) for i in range(5)),
        "on_twos": held(shot(30, 8), 2) + held(shot(31, 8), 2),
        "on_threes": held(shot(32, 7), 3) + held(shot(33, 7), 3),
        "still_then_cut": [tiles(34)] * 10 + [tiles(35)] * 6 + [tiles(36)] * 6,
        "stills_many": joined([tiles(40 + i)] * 3 for i in range(9)),
        "equal_diffs_then_cut": [still, moved] * 6 + [other, other_moved] * 4,
    }


def fades_and_flashes() -> dict[str, Sequence]:
    first, second = shot(11, 24), shot(12, 24)
    fading_out = [dimmed(first[7], 16 - k, 16) for k in range(1, 17)]
    fading_in = [dimmed(second[0], k, 16) for k in range(1, 17)]
    return {
        "fade_out_in": first[:8] + fading_out + fading_in + second[:8],
        "fade_in_from_black_dups": [BLACK] * 4 + [dimmed(second[k], k, 12) for k in range(1, 13)] + second[13:20],
        "crossfade_2": [*first[:8], mixed(first[8], second[0], 1, 2), *second[1:9]],
        "flash_white": [*first[:9], WHITE, *first[10:20]],
        "flash_bright": [*first[:9], mixed(first[9], WHITE, 3, 4), *first[10:20]],
        "flash_two": first[:9] + [WHITE] * 2 + first[11:20],
    }


def flat_openings() -> dict[str, Sequence]:
    constant_blue = tiles(17)
    constant_blue[:, :, 0] = 128

    def split(level: int) -> Picture:
        """Left half grey of a level, right half grey 10: variance (level - 10)² / 4."""
        return painted(plain(10, 10, 10), 0, 0, (48, 64), (level,) * 3)

    def with_spot(picture: Picture) -> Sequence:
        return [painted(picture, 8 + 4 * i, 12, (12, 12), (90, 120, 60 + i)) for i in range(8)]

    return {
        "black_start_5": [BLACK] * 5 + shot(13, 9),
        "white_start_3": [WHITE] * 3 + shot(13, 9),
        "black_middle_1": [*shot(14, 9), BLACK, *shot(15, 9)],
        "logo_on_black": [BLACK] * 3
        + [painted(BLACK, 40, 28, (2, 2), (9, 9, 9))] * 2
        + [painted(BLACK, 40, 28, (8, 8), (90, 90, 90))] * 2
        + shot(16, 6),
        "flat_blue_only": [constant_blue] * 3
        + [painted(constant_blue, 4 + 2 * i, 10, (20, 16), (128, 10, 10)) for i in range(8)],
        "near_flat_var_9": [split(16)] * 3 + with_spot(split(16)),
        "near_flat_var_16": [split(18)] * 3 + with_spot(split(18)),
    }


def pans() -> dict[str, Sequence]:
    fast = pan(56, 10, 24)
    return {
        "pan_fast": pan(51, 16, 12),
        "pan_then_cut": pan(52, 12, 4) + pan(53, 12, 4),
        "pan_fast_then_calm": fast + [painted(fast[9], 6 * i, 8, (20, 40), (240, 20, 30)) for i in range(8)],
    }


def red_hue_wrap() -> Sequence:
    """Two reds on either side of hue 0: alike to the eye, far apart in a hue that is not circular."""
    levels = np.random.default_rng(62).integers(0, 3, size=(8, 12), dtype=np.int64) * 8
    little = levels.repeat(8, axis=0).repeat(8, axis=1)
    none, much = np.zeros_like(little), np.full_like(little, 220)
    scenes = [np.stack(planes, axis=2).astype(np.uint8) for planes in ((little, none, much), (none, little, much))]
    return [painted(scenes[i // 8], 4 + 3 * i, 20, (10 + i, 10), (30, 30, 90)) for i in range(16)]


def odd_size() -> Sequence:
    """uint8 [61, 97, 3]."""
    counted = [(65, i) for i in range(9)] + [(66, i) for i in range(7)]
    return [painted(tiles(seed, 61, 97, 7), 3 + 3 * i, 5 + i, (21, 17), CEL) for seed, i in counted]


def mixture() -> Sequence:
    """Twelve scenes of random kind: a pan, a shot on twos, a dim shot or a plain one."""
    numbers = iter(np.random.default_rng(70).integers(0, 1000, size=64, dtype=np.int64).tolist())
    makers: list[Callable[[int, int, int], Sequence]] = [
        lambda seed, count, speed: pan(seed, count, 2 * speed),
        lambda seed, count, speed: held(shot(seed, count, speed)[: (count + 1) // 2], 2)[:count],
        lambda seed, count, speed: [dimmed(frame, 2, 3) for frame in shot(seed, count, speed)],
        shot,
    ]
    frames: Sequence = []
    for seed in range(100, 112):
        count, speed, kind = 4 + next(numbers) % 13, 1 + next(numbers) % 5, next(numbers) % 4
        frames += makers[kind](seed, count, speed)
    return frames


def sequences() -> dict[str, Sequence]:
    """All sequences of the golden table, by name."""
    return {
        **hard_cuts(),
        **fades_and_flashes(),
        **flat_openings(),
        **pans(),
        "red_hue_wrap": red_hue_wrap(),
        "odd_size_97x61": odd_size(),
        "mixture": mixture(),
    }


def sha1(frames: Sequence) -> str:
    """SHA-1 over the raw bytes of all frames in order."""
    return hashlib.sha1(b"".join(frame.tobytes() for frame in frames)).hexdigest()
