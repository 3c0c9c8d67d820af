"""The queue between threads: bounded in bytes, in order, carrying failures both ways."""

from __future__ import annotations

import threading
import time

import pytest

from afitrt.channel import Channel, ChannelClosed


def test_items_arrive_in_order_and_end() -> None:
    channel: Channel[int] = Channel(10)
    producer = threading.Thread(target=lambda: ([channel.put(k, 3) for k in range(50)], channel.finish()))
    producer.start()
    assert list(channel) == list(range(50))
    producer.join()


def test_never_holds_more_bytes_than_its_limit() -> None:
    channel: Channel[int] = Channel(10)
    put: list[int] = []

    def produce() -> None:
        for k in range(5):
            channel.put(k, 4)
            put.append(k)
        channel.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(0.1)
    assert put == [0, 1]
    assert list(channel) == [0, 1, 2, 3, 4]
    producer.join()


def test_an_item_larger_than_the_limit_passes_alone() -> None:
    channel: Channel[str] = Channel(10)
    channel.put("large", 1000)
    channel.finish()
    assert list(channel) == ["large"]


def test_the_producers_failure_is_raised_after_the_last_item() -> None:
    channel: Channel[int] = Channel(10)
    channel.put(1, 1)
    channel.finish(RuntimeError("reader"))
    items = iter(channel)
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="reader"):
        next(items)


def test_a_consumer_that_leaves_frees_a_waiting_producer() -> None:
    channel: Channel[int] = Channel(1)
    ended = threading.Event()

    def produce() -> None:
        try:
            for k in range(10):
                channel.put(k, 1)
        except ChannelClosed:
            ended.set()

    producer = threading.Thread(target=produce)
    producer.start()
    channel.close()
    producer.join(timeout=5)
    assert ended.is_set()
