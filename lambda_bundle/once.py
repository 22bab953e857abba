"""Each thing once in a run, however many ask for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Once:
    """Makes things in a pool of threads and keeps what came of it, failures too."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, str], Future[Any]] = {}

    def begin(self, kind: str, key: str, make: Callable[[], _T]) -> Future[_T]:
        """What `make` will have returned; begun now unless somebody was first.

        `make` must not wait for another thing that is made in the same pool.
        """
        with self._lock:
            if (kind, key) not in self._futures:
                self._futures[kind, key] = self._pool.submit(make)
            return self._futures[kind, key]

    def get(self, kind: str, key: str, make: Callable[[], _T]) -> _T:
        """What `make` returns, and raises."""
        return self.begin(kind, key, make).result()
