"""Work in other processes of this Python: threads of one interpreter take turns at it, and these do not.

`multiprocessing` would run the program around us once more in each of them, whatever that is: Invoke with the
user's tasks, or a script. These import what they are asked for, and nothing else.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from lambda_bundle.once import fill
from lambda_bundle.process import Children, Talk

_T = TypeVar("_T")
_A = TypeVar("_A")
_MOST = 8
"""Each takes some 25 MB, besides the file that it has in hand."""
_BEGIN = (
    "import sys; sys.path += sys.argv[1:]; answers, sys.stdout = sys.stdout.buffer, sys.stderr; "
    "from lambda_bundle.worker import main; main(sys.stdin.buffer, answers)"
)


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """Threads, each with a process of its own as soon as there is much to do."""

    def __init__(
        self,
        children: Children,
        environ: Mapping[str, str],
        folder: Path,
        most: int,
        *,
        worth: float = 0.1,
    ) -> None:
        """At most `most` of them, or as many as memory is for, which run in a folder.

        `worth` are the seconds of work that are done here, in the threads: whoever has no more than that to
        do need not wait for a process to start.
        """
        self._children, self._environ, self._folder = children, environ, folder
        self._worth = worth
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._own = threading.local()
        self._spent = 0.0
        self._waiting: list[tuple[int, int]] = []
        self._tasks: dict[int, Callable[[], None]] = {}
        self._numbers = count()
        self.threads: Executor = self._stack.enter_context(ThreadPoolExecutor(min(most, _MOST)))
        """For work that gives the interpreter away itself; none of it may wait for other work in here."""

    def close(self) -> None:
        """End them."""
        self._stack.close()

    def map(self, function: Callable[[_A], _T], arguments: Iterable[_A]) -> list[_T]:
        """What the function, one of a module, returns for each argument; what it raises.

        Of those who wait, whoever has given the fewest arguments comes first: so most are served soonest, and
        a function of ten files does not wait for a dependency set of thousands.
        """
        given = list(arguments)
        futures: list[Future[_T]] = [Future() for _ in given]
        for future, one in zip(futures, given, strict=True):
            with self._lock:
                number = next(self._numbers)
                self._tasks[number] = partial(fill, future, partial(self.call, function, one))
                heappush(self._waiting, (len(given), number))
            self.threads.submit(self._next)  # once for each, but not for this one
        wait(futures)  # whoever hears of an error may clean up: nothing works on then
        return [future.result() for future in futures]

    def _next(self) -> None:
        with self._lock:
            _, number = heappop(self._waiting)
            task = self._tasks.pop(number)
        task()

    def call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """What the function, one of a module, returns and raises; to be called in one of the threads.

        Raises `BundleError` where the process ends meanwhile, and `Stopped` where the run does.
        """
        self._children.check()
        talk: Talk | None = getattr(self._own, "talk", None)
        if talk is None and (self._spent < self._worth or not sys.executable):
            began = time.thread_time()
            try:
                return function(*arguments)
            finally:
                self._spent += time.thread_time() - began
        if talk is None:
            talk = self._own.talk = self._start()
        try:
            pickle.dump((function, arguments), talk.asking, pickle.HIGHEST_PROTOCOL)
            talk.asking.flush()
            fine, answer = pickle.load(talk.answers)  # noqa: S301 - from a process that we have started
        except (OSError, EOFError, pickle.UnpicklingError):
            self._children.check()
            self._own.talk = None  # whoever comes next gets another
            raise talk.failure(
                "a process that compresses and reads files", hint="fewer at a time take less memory: --jobs 1"
            ) from None
        if not fine:
            raise answer
        return answer  # type: ignore[no-any-return]

    def _start(self) -> Talk:
        # Everything is found where it is found here, except that nothing hides the standard library: Invoke
        # puts the user's folder before it, when we have it already.
        paths = [os.path.abspath(path) for path in sys.path]  # noqa: PTH100 - as it is, links too
        utf8 = f"utf8={int(sys.getfilesystemencoding() == 'utf-8')}"  # names of files are those that we know
        command = [sys.executable, "-I", "-S", "-X", utf8, "-c", _BEGIN, *paths]
        with self._lock:
            talking = self._children.talking(
                command, shown="python -m lambda_bundle.worker", cwd=self._folder, environ=self._environ
            )
            return self._stack.enter_context(talking)
