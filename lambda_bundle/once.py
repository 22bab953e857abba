"""Each thing once in a run, however many ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Once:
    """Makes things in a pool of threads and keeps what came of it, failures too.

    Without a pool, each is made in the thread of whoever asks for it first.
    """

    def __init__(self, pool: Executor | None = None) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, Hashable], Future[Any]] = {}

    def begin(self, kind: str, key: Hashable, make: Callable[[], _T]) -> Future[_T]:
        """What `make` will have returned; begun now unless somebody was first.

        `make` must not wait for another thing that is made in the same pool.
        """
        with self._lock:
            future = self._futures.get((kind, key))
            if future is not None:
                return future
            future = Future() if self._pool is None else self._pool.submit(make)
            self._futures[kind, key] = future
        if self._pool is None:
            _fill(future, make)
        return future

    def get(self, kind: str, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` returns, and raises."""
        return self.begin(kind, key, make).result()


def _fill(future: Future[_T], make: Callable[[], _T]) -> None:
    try:
        future.set_result(make())
    except BaseException as error:  # whoever waits must hear of it
        future.set_exception(error)
        raise
