"""How files were when they were looked at, so that what has not changed since need not be read again."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Size in bytes, time of the content and of the permissions in nanoseconds, number in the file system."""
_TICK = 2_000_000_000
"""Nanoseconds in which some file system may give two changes the same time (FAT counts in two seconds)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file, as it was."""

    stamp: Stamp
    mode: int
    """Its permissions on Lambda."""
    sha256: str

    @property
    def unknown(self) -> Seen:
        """The same file, of which nobody knows what it held."""
        return Seen(NEVER.stamp, self.mode, NEVER.sha256)


NEVER = Seen((-1, -1, -1, -1), 0, "")
"""What no file is."""


def stamp(path: str | Path) -> Stamp:
    """What tells of a file or folder whether it has changed, without reading it."""
    return _stamp(os.stat(path))  # noqa: PTH116 - a Path for each of thousands of files is slow


def look(path: str | Path) -> Seen:
    """Read a file. What changes while it is read has another stamp afterwards."""
    status = os.stat(path)  # noqa: PTH116 - see above
    with open(path, "rb") as file:  # noqa: PTH123 - see above
        digest = hashlib.sha256(file.read()).hexdigest()
    return Seen(_stamp(status), 0o755 if status.st_mode & stat.S_IXUSR else 0o644, digest)


def stamp_all(folder: str) -> str:
    """What tells of the files in a folder whether one has changed, is new or is gone, without reading them.

    It is a digest of the names and stamps: the stamps of thousands of files take long to write down and to
    read again, and nobody asks which of them differs. Links are not followed; of folders, the permissions
    count.
    """
    told = hashlib.sha256()
    folders = [(folder, os.lstat(folder).st_mode)]
    for path, mode in folders:  # grows meanwhile
        files: list[tuple[str, Stamp]] = []
        below: list[tuple[str, int]] = []
        with os.scandir(path) as found:
            for one in found:
                status = one.stat(follow_symlinks=False)
                if one.is_dir(follow_symlinks=False):
                    below.append((one.path, status.st_mode))
                else:
                    files.append((one.name, _stamp(status)))
        folders += sorted(below)
        told.update(repr((path[len(folder) :], mode, sorted(files))).encode())
    return told.hexdigest()


def changed_since(one: Stamp, then: int) -> bool:
    """Whether a file or folder has changed since a time in nanoseconds."""
    return max(one[1], one[2]) >= then


def is_settled(seen: Stamp, now: int) -> bool:
    """Whether any later change shows in the stamp; `now` is a time before it was taken, in nanoseconds."""
    return max(seen[1], seen[2]) < now - _TICK


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
