"""Packs in the making: files are compressed by all CPUs, and what several packs have in common once.

A wheel for every platform is part of many dependency sets; to compress it anew for each would take longer
than all the rest.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from io import FileIO
from pathlib import Path

from lambda_bundle.deflation import Content, deflate, deflate_all
from lambda_bundle.members import CONTENT, Item, Pack, Writer, close_pack, fitting, member_of
from lambda_bundle.processes import Processes

_TASK = 1 << 18
"""Bytes of files that make one piece of work for a thread: small ones are taken together."""
_AHEAD = 1 << 25
"""Bytes of files that are compressed ahead of the one that is written: work for all, and little memory."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the compressed content of a file is: in a pack of this run."""

    files: tuple[str, str]
    """That of the pack while it is written, and when it is in its place."""
    begin: int
    packed: int
    check: int
    """The CRC-32 of what is written there."""
    method: int
    crc: int
    size: int


@dataclass(slots=True)
class _Task:
    """Files that a thread compresses one after the other."""

    files: list[tuple[Item, _Place | None]] = field(default_factory=list)
    """Each with where it was written before."""
    size: int = 0
    done: Future[list[Content]] = field(default_factory=Future)

    def add(self, one: Item, place: _Place | None) -> _Slot:
        self.files.append((one, place))
        self.size += one.size
        return self.done, len(self.files) - 1

    def run(self, deflate_all: Callable[[list[str]], list[Content]]) -> None:
        try:
            new = [fitting(one).source for one, place in self.files if place is None]
            made = iter(deflate_all(new) if new else ())
            with _Opened() as opened:
                self.done.set_result(
                    [next(made) if place is None else opened.read(one, place) for one, place in self.files]
                )
        except BaseException as error:  # noqa: BLE001 - whoever waits for it must hear of it
            self.done.set_exception(error)


_Slot = tuple[Future[list[Content]], int]
"""Where the compressed content of a file will be: the number of it in what a task makes."""


class Packer:
    """Writes the packs of one run."""

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes
        self._lock = threading.Lock()
        self._known: dict[str, _Slot | _Place] = {}
        """By the SHA-256 of the file: who is compressing it, or where that is written."""

    def write(self, wanted: Iterable[Item], folder: Path, place: Path, *, check: Callable[[], None]) -> Pack:
        """Write a pack into an empty folder, which the caller moves to its place.

        The members are in the order of the files. `check` is called before each; what it raises ends it.
        """
        with (folder / CONTENT).open("wb", buffering=0) as file:
            out = Writer(file)
            files = str(folder / CONTENT), str(place / CONTENT)
            added: list[tuple[Item, Content, int]] = []
            for one, content in self._compressed(wanted):
                check()
                out.add(member_of(one, content), content.data)
                added.append((one, content, out.size - len(content.data)))
                if out.is_written:
                    self._settle(added, files)
                    added.clear()
            out.flush()
            self._settle(added, files)
        directory = close_pack(out, folder)
        return Pack(
            folder=place,
            sha256=out.sha256,
            directory=directory,
            size=out.size,
            count=out.count,
            unzipped=out.unzipped,
        )

    def _compressed(self, wanted: Iterable[Item]) -> Iterator[tuple[Item, Content]]:
        """Each file with its compressed content, in their order; the work is begun ahead."""
        waiting: deque[tuple[Item, _Slot]] = deque()
        task, ahead = _Task(), 0
        try:
            for one in wanted:
                waiting.append((one, self._slot(one, task)))
                ahead += one.size
                if task.size >= _TASK or ahead > _AHEAD:  # nobody waits with work that is not begun
                    task = self._begin(task)
                while ahead > _AHEAD:
                    ahead -= waiting[0][0].size
                    yield self._next(waiting)
            task = self._begin(task)
            while waiting:
                yield self._next(waiting)
        finally:
            task.done.cancel()  # others may wait for what is not to be done any more

    def _slot(self, one: Item, task: _Task) -> _Slot:
        """Who compresses a file: another task, or this one."""
        if one.sha256 is None:
            return task.add(one, None)
        with self._lock:
            known = self._known.get(one.sha256)
            if isinstance(known, tuple) and not known[0].cancelled():
                return known
            if isinstance(known, _Place):
                return task.add(one, known)
            slot = self._known[one.sha256] = task.add(one, None)
            return slot

    def _begin(self, task: _Task) -> _Task:
        """Begin the work; an empty task for what comes next."""
        if self._processes is None:
            task.run(deflate_all)
        else:
            self._processes.threads.submit(task.run, partial(self._processes.call, deflate_all))
        return _Task()

    def _next(self, waiting: deque[tuple[Item, _Slot]]) -> tuple[Item, Content]:
        one, (done, number) = waiting.popleft()
        try:
            return one, done.result()[number]
        except CancelledError:  # by another pack, whose work has ended
            return one, deflate(fitting(one).source)

    def _settle(self, written: Iterable[tuple[Item, Content, int]], files: tuple[str, str]) -> None:
        """Let go of what is written: from now on it is read where it begins."""
        for one, content, begin in written:
            if one.sha256 is None:
                continue
            check = zlib.crc32(content.data)
            place = _Place(files, begin, len(content.data), check, content.method, content.crc, content.size)
            with self._lock:
                if not isinstance(self._known.get(one.sha256), _Place):
                    self._known[one.sha256] = place


class _Opened(ExitStack):
    """The packs that are open to be read."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, FileIO | None] = {}

    def read(self, one: Item, place: _Place) -> Content:
        """What was compressed before; compressed again where it is not to be found any more."""
        for path in place.files:
            file = self._open(path)
            if file is not None:
                file.seek(place.begin)
                data = file.read(place.packed)
                if len(data) == place.packed and zlib.crc32(data) == place.check:
                    return Content(place.method, place.crc, place.size, data)
        return deflate(one.source)

    def _open(self, path: str) -> FileIO | None:
        if path not in self._files:
            try:
                file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - it is closed with the others
            except OSError:
                self._files[path] = None
            else:
                self._files[path] = self.enter_context(file)
        return self._files[path]
