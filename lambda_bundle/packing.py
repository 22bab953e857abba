"""Packs in the making: files are compressed by all CPUs, and what several packs have in common once.

A wheel for every platform is part of many dependency sets; to compress it anew for each would take longer
than all the rest.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle.members import CONTENT, Content, Item, Pack, Writer, close_pack, deflate

_TASK = 1 << 18
"""Bytes of files that make one piece of work for a thread: small ones are taken together."""
_AHEAD = 1 << 25
"""Bytes of files that are compressed ahead of the one that is written: work for all, and little memory."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the compressed content of a file is: in a pack of this run."""

    folders: tuple[Path, Path]
    """That of the pack while it is written, and when it is in its place."""
    begin: int
    packed: int
    check: int
    """The CRC-32 of what is written there."""
    method: int
    crc: int
    size: int


_Slot = Future[Content]


class Packer:
    """Writes the packs of one run."""

    def __init__(self, pool: Executor | None = None) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._known: dict[str, _Slot | _Place] = {}
        """By the SHA-256 of the file: who is compressing it, or where that is written."""

    def write(self, wanted: Iterable[Item], folder: Path, place: Path, *, check: Callable[[], None]) -> Pack:
        """Write a pack into an empty folder, which the caller moves to its place.

        The members are in the order of the files. `check` is called before each; what it raises ends it.
        """
        with (folder / CONTENT).open("wb") as file:
            out = Writer(file)
            for one, content in self._compressed(wanted):
                check()
                out.add(content.member(one), content.data)
                file.flush()  # from now on, others may read it there
                begin = out.size - len(content.data)
                self._settle(one, content, begin, (folder, place))
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
        task: list[tuple[Item, _Slot, _Place | None]] = []
        ahead = size = 0
        try:
            for one in wanted:
                slot, place, mine = self._slot(one)
                waiting.append((one, slot))
                ahead += one.size
                if mine:
                    task.append((one, slot, place))
                    size += one.size
                if size >= _TASK or ahead > _AHEAD:  # nobody waits with work that is not begun
                    task, size = self._begin(task), 0
                while ahead > _AHEAD:
                    ahead -= waiting[0][0].size
                    yield self._next(waiting)
            task = self._begin(task)
            while waiting:
                yield self._next(waiting)
        finally:
            for _, slot, _ in task:  # others may wait for what is not to be done any more
                slot.cancel()

    def _slot(self, one: Item) -> tuple[_Slot, _Place | None, bool]:
        """Who compresses a file, or where that was written; and whether it is for us to begin."""
        slot: _Slot = Future()
        if one.sha256 is None:
            return slot, None, True
        with self._lock:
            known = self._known.get(one.sha256)
            if isinstance(known, Future) and not known.cancelled():
                return known, None, False
            if isinstance(known, _Place):
                return slot, known, True
            self._known[one.sha256] = slot
            return slot, None, True

    def _begin(
        self, task: list[tuple[Item, _Slot, _Place | None]]
    ) -> list[tuple[Item, _Slot, _Place | None]]:
        """Begin the work; an empty list for what comes next."""
        if self._pool is None:
            _work(task)
        else:
            self._pool.submit(_work, task)
        return []

    def _next(self, waiting: deque[tuple[Item, _Slot]]) -> tuple[Item, Content]:
        one, slot = waiting.popleft()
        try:
            return one, slot.result()
        except CancelledError:  # by another pack, whose work has ended
            return one, deflate(one)

    def _settle(self, one: Item, content: Content, begin: int, folders: tuple[Path, Path]) -> None:
        """Let go of what is written: from now on it is read where it is."""
        if one.sha256 is None:
            return
        check = zlib.crc32(content.data)
        place = _Place(folders, begin, len(content.data), check, content.method, content.crc, content.size)
        with self._lock:
            if not isinstance(self._known.get(one.sha256), _Place):
                self._known[one.sha256] = place


def _work(task: list[tuple[Item, _Slot, _Place | None]]) -> None:
    for one, slot, place in task:
        try:
            slot.set_result(deflate(one) if place is None else _read(one, place))
        except BaseException as error:  # noqa: BLE001, PERF203 - whoever waits for it must hear of it
            slot.set_exception(error)


def _read(one: Item, place: _Place) -> Content:
    """What was compressed before; compressed again where it is not to be found any more."""
    for folder in place.folders:
        try:
            with (folder / CONTENT).open("rb") as packed:
                packed.seek(place.begin)
                data = packed.read(place.packed)
        except OSError:
            continue
        if len(data) == place.packed and zlib.crc32(data) == place.check:
            return Content(place.method, place.crc, place.size, data)
    return deflate(one)
