"""The thread that reads ahead: order, errors at their place, a bounded queue, and an end in every case."""

import threading
import time

import pytest

from varbump.data.sources.ahead import Ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "varbump-reader"]


def test_items_arrive_in_order_and_the_thread_ends():
    with Ahead(iter(range(100))) as ahead:
        assert list(ahead) == list(range(100))
        assert list(ahead) == []
    assert not threads()


def test_an_error_is_raised_at_its_place():
    def items():
        yield 1
        raise ValueError("row 7")

    with Ahead(items()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="row 7"):
            next(ahead)
    assert not threads()


def test_it_reads_no_further_than_the_queue_is_deep_and_ends_when_its_user_leaves():
    seen, closed = [], []

    def items():
        try:
            for item in range(1_000):
                seen.append(item)
                yield item
        finally:
            closed.append(True)

    with Ahead(items(), depth=2) as ahead:
        assert next(ahead) == 0
        time.sleep(0.3)
        assert len(seen) <= 4
    assert not threads()
    assert closed == [True]
