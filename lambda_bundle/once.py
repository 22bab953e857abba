"""Each thing once in a run, however many ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

_T = TypeVar("_T")
Waiting = Callable[[], AbstractContextManager[None]]
"""What somebody gives up while others work for them, and wants back afterwards.

Who makes a thing may do so only where all who wait for that thing do it, too: else these hold what the maker
wants back. Nobody is to enter two of them.
"""


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
            fill(future, make)
        return future

    def get(self, kind: str, key: Hashable, make: Callable[[], _T], *, waiting: Waiting = nullcontext) -> _T:
        """What `make` returns, and raises; `waiting` is for those who wait until others have made it."""
        future = self.begin(kind, key, make)
        if future.done():
            return future.result()
        with waiting():
            return future.result()


def fill(future: Future[_T], make: Callable[[], _T]) -> None:
    """Give a future what `make` returns or raises, and raise that here too."""
    try:
        future.set_result(make())
    except BaseException as error:  # whoever waits must hear of it
        future.set_exception(error)
        raise
