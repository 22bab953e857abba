"""Files that a run takes in: each is read once, for what is known of it and for its compressed content.

What is compressed lies in a spool until the packs that hold it are written; the spool goes when the run ends.
Other processes do the work, so little is imported here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from lambda_bundle.copies import File, Run, lambda_mode
from lambda_bundle.deflation import MAX_BYTES, compress

_BLOCK = 1 << 20
_BUFFER = 1 << 18
_BATCH = 64
"""How many files are read in one go."""
_MAGIC = 4


class Place(NamedTuple):
    """Where the compressed content of a file lies, and how it stands in a zip."""

    path: str
    begin: int
    packed: int
    """Bytes of it as it is stored."""
    method: int
    crc: int
    size: int
    """Bytes of the file."""


class Look(NamedTuple):
    """What is known of a file that was read."""

    file: File
    start: bytes
    """Its first bytes, which say what kind of file it is."""
    place: Place | None
    """None: it was not compressed."""


def take_in(wanted: Sequence[tuple[str, bool]], spool: str | None) -> list[Look]:
    """Read files, in their order; those that are to be compressed are appended to a file in a folder.

    `spool` is the folder; without it nothing is compressed, nor is what no zip can hold. Raises `OSError`.
    """
    if spool is None:
        return [_look(path) for path, _ in wanted]
    # Nobody else appends to it: other processes, and other threads of this one, have theirs.
    name = f"{spool}/{os.getpid()}-{threading.get_ident()}"
    with open(name, "ab", _BUFFER) as out:  # noqa: PTH123 - other processes do without pathlib
        return [_compressed(path, name, out) if new else _look(path) for path, new in wanted]


def _compressed(path: str, name: str, out: IO[bytes]) -> Look:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each of many files is slow
        status = os.fstat(file.fileno())
        if status.st_size > MAX_BYTES:
            return _look(path)
        content = file.read()
    known = File(len(content), lambda_mode(status.st_mode), hashlib.sha256(content).hexdigest())
    found = compress(content)
    place = Place(name, out.tell(), len(found.data), found.method, found.crc, found.size)
    out.write(found.data)
    return Look(known, content[:_MAGIC], place)


def _look(path: str) -> Look:
    digest, size, start = hashlib.sha256(), 0, b""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        mode = lambda_mode(os.fstat(file.fileno()).st_mode)
        while block := file.read(_BLOCK):
            start = start or block[:_MAGIC]
            digest.update(block)
            size += len(block)
    return Look(File(size, mode, digest.hexdigest()), start, None)


class Spool:
    """The compressed content of a run, by the SHA-256 of the files."""

    def __init__(self, parent: Callable[[], Path]) -> None:
        """`parent` gives the folder that it is to lie in, as soon as there is anything to compress."""
        self._parent = parent
        self._lock = threading.Lock()
        self._folder: str | None = None
        self._places: dict[str, Future[Mapping[str, Place]]] = {}
        """Of what somebody compresses, or has compressed: where all that it is taken in with lies."""

    def take_in(self, wanted: Mapping[str, str | None], run: Run, *, packed: bool = True) -> list[Look]:
        """Read files, each by its path; if they are `packed`, compress what nobody compresses yet.

        With each path goes the SHA-256 that the file should have, if anybody says so. `run` calls a function
        for each of some arguments, as `map` does.
        """
        if not packed:
            return _take_in([(path, False) for path in wanted], None, run)
        coming: Future[Mapping[str, Place]] = Future()
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(dir=self._parent(), prefix=".")
            mine = {one for one in wanted.values() if one and not self._is_known(one)}
            self._places |= dict.fromkeys(mine, coming)
        files = []
        for path, sha256 in wanted.items():
            files.append((path, sha256 is None or sha256 in mine))
            mine.discard(sha256 or "")
        places: dict[str, Place] = {}
        try:
            found = _take_in(files, self._folder, run)
            places |= {look.file.sha256: look.place for look in found if look.place is not None}
        finally:  # whoever waits for what is not to be found compresses it
            coming.set_result(places)
            with self._lock:
                self._places |= dict.fromkeys(places, coming)
        return found

    def find(self, sha256: str | None) -> Place | None:
        """Where the content of a file lies; waits for whoever compresses it. None where nobody does."""
        if sha256 is None or sha256 not in self._places:
            return None
        return self._places[sha256].result().get(sha256)

    def _is_known(self, sha256: str) -> bool:
        coming = self._places.get(sha256)
        return coming is not None and not (coming.done() and sha256 not in coming.result())

    @property
    def folders(self) -> tuple[str, ...]:
        """Where it lies, as soon as it does; whoever has done with it removes this."""
        return () if self._folder is None else (self._folder,)


def _take_in(files: Sequence[tuple[str, bool]], folder: str | None, run: Run) -> list[Look]:
    """The same as `take_in`, several at once."""
    batches = [files[begin : begin + _BATCH] for begin in range(0, len(files), _BATCH)]
    return [look for batch in run(partial(take_in, spool=folder), batches) for look in batch]


class Reader(ExitStack):
    """Reads what lies in a spool; most of it in the order in which it was written."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, IO[bytes]] = {}

    def read(self, place: Place) -> bytes:
        """The compressed content of a file. Raises `OSError` where it is not all there."""
        file = self._files.get(place.path)
        if file is None:
            opened = open(place.path, "rb", _BUFFER)  # noqa: PTH123, SIM115 - it is closed with the others
            file = self._files[place.path] = self.enter_context(opened)
        file.seek(place.begin)
        data = file.read(place.packed)
        if len(data) != place.packed:
            raise OSError(errno.EIO, os.strerror(errno.EIO), place.path)
        return data
