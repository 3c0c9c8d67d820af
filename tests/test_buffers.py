"""The pool of picture memory: used again when its array is gone, never while anything looks at it, bounded."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afitrt.buffers import SIZES, Pool

SHAPE = (4, 6, 3)


def address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_memory_serves_again_once_its_array_is_gone() -> None:
    pool = Pool()
    first = pool.empty(SHAPE, np.uint16)
    assert first.shape == SHAPE and first.dtype == np.uint16
    assert first.flags.c_contiguous and first.flags.writeable
    where = address(first)
    assert pool.spare == 0
    del first
    assert pool.spare == 4 * 6 * 3 * 2
    assert address(pool.empty((6, 4, 3), np.uint16)) == where


@pytest.mark.parametrize("look", [lambda a: a[1:], lambda a: a.T[::2], lambda a: a.data, lambda a: a.view(np.int8)])
def test_memory_is_kept_while_a_view_of_it_lives(look: object) -> None:
    pool = Pool()
    array = pool.empty(SHAPE, np.uint8)
    view = look(array)  # type: ignore[operator]
    del array
    assert pool.spare == 0
    del view
    assert pool.spare == 72


def test_what_is_reserved_is_what_is_handed_out() -> None:
    pool = Pool()
    pool.reserve(3, SHAPE, np.uint8)
    assert pool.spare == 3 * 72
    held = [pool.empty(SHAPE, np.uint8) for _ in range(3)]
    assert pool.spare == 0 and len({address(array) for array in held}) == 3


def test_memory_of_other_sizes_is_let_go() -> None:
    pool = Pool()
    for width in range(1, 20):
        del_me = pool.empty((1, width, 3), np.uint8)
        del del_me
    assert pool.spare == 3 * sum(range(20 - SIZES, 20))
    late = pool.empty((1, 40, 3), np.uint8)
    for width in range(50, 50 + SIZES):
        pool.empty((1, width, 3), np.uint8)
    before = pool.spare
    del late
    assert pool.spare == before


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([8, 12, 40])), max_size=60))
def test_two_living_arrays_never_share_memory(steps: list[tuple[int, int]]) -> None:
    pool = Pool()
    living: dict[int, tuple[np.ndarray, int]] = {}
    for number, (place, width) in enumerate(steps):
        living.pop(place, None)
        living[place] = pool.empty((2, width, 3), np.uint16), number
        living[place][0][...] = number
        for array, value in living.values():
            assert (array == value).all()


def test_threads_may_take_and_drop_at_once() -> None:
    pool, failures = Pool(), []

    def work(value: int) -> None:
        for _ in range(500):
            arrays = [pool.empty(SHAPE, np.uint8) for _ in range(3)]
            for array in arrays:
                array[...] = value
            if not all((array == value).all() for array in arrays):
                failures.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert pool.spare <= 4 * 7 * 72  # Each thread holds three while it takes three, and one more by its loop.
