"""Each thing is made once, with a pool and without."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lambda_bundle.once import Once


@pytest.fixture(params=["pool", "no pool"])
def pool(request: pytest.FixtureRequest) -> Executor | None:
    return ThreadPoolExecutor(2) if request.param == "pool" else None


def test_whoever_asks_gets_the_same(pool: Executor | None) -> None:
    once, made = Once(pool), []

    def make() -> list[int]:
        time.sleep(0.02)
        made.append(threading.get_ident())
        return [len(made)]

    with ThreadPoolExecutor(8) as asking:
        found = list(asking.map(lambda _: once.get("list", "a", make), range(8)))
    assert all(one is found[0] for one in found)
    assert len(made) == 1
    assert once.get("list", ("a", 1), make) == [2], "another key"
    assert once.get("other", "a", make) == [3], "another kind"


def test_failures_are_everybodys(pool: Executor | None) -> None:
    once, tries = Once(pool), []

    def fail() -> None:
        tries.append(1)
        raise LookupError("no")

    for _ in range(2):
        with pytest.raises(LookupError):
            once.get("thing", "a", fail)
    assert len(tries) == 1


def test_only_who_waits_gives_something_up() -> None:
    once, entered = Once(), []
    making, gate = threading.Event(), threading.Event()

    @contextmanager
    def waiting() -> Iterator[None]:
        entered.append(threading.get_ident())
        gate.set()
        yield

    def make() -> int:
        making.set()
        assert gate.wait(60)
        return threading.get_ident()

    with ThreadPoolExecutor(1) as other:
        maker = other.submit(once.get, "thing", "a", make, waiting=waiting)
        assert making.wait(60)
        found = once.get("thing", "a", make, waiting=waiting)
        assert found == maker.result(60) != threading.get_ident()
    assert entered == [threading.get_ident()]
    assert once.get("thing", "a", make, waiting=waiting) == found
    assert entered == [threading.get_ident()], "it is there"


def test_without_a_pool_it_is_made_where_it_is_asked_for() -> None:
    once = Once()
    assert once.get("thread", "a", threading.get_ident) == threading.get_ident()
    assert once.get("outer", "a", lambda: once.get("inner", "a", lambda: 1) + 1) == 2, (
        "it may wait for others"
    )
