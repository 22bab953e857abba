"""Real copies of files: what happens to one never reaches the other.

The kernel copies where it can; on file systems that share blocks until one side writes to them (btrfs, XFS),
it copies nothing but the reference to them (copy_file_range(2)).
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

_BLOCK = 1 << 20
_BINARY = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _BINARY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY


_INT = struct.Struct("i")
_GET_FLAGS, _SET_FLAGS = (
    way << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | number for way, number in ((2, 1), (1, 2))
)
_TOP = 0x20000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h: declared with a long, they take an int."""


class File(NamedTuple):
    """A file, as it is on Lambda."""

    size: int
    mode: int
    """Its permissions there."""
    sha256: str


Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""What calls a function for each of some arguments, as `map` does."""
Place = str | os.PathLike[str]


def lambda_mode(mode: int) -> int:
    """The permissions on Lambda of a file that has these here: 755 if its owner may execute it, else 644."""
    return 0o755 if mode & stat.S_IXUSR else 0o644


def copy_file(source: Place, destination: Place) -> tuple[int, int]:
    """Copy a file to where none is, with the permissions that Lambda needs; bytes and permissions.

    Raises `FileExistsError` where something is (two names can be one file on some systems).
    """
    reading = os.open(source, _READ)
    try:
        found = os.fstat(reading)
        mode = lambda_mode(found.st_mode)
        writing = os.open(destination, _NEW, mode)
        try:
            size = copy_content(reading, writing, found.st_size)
            _permit(writing, destination, mode)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return size, mode


def copy_hashed(source: Place, destination: Place) -> tuple[int, int, str]:
    """The same, with the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    size = 0
    reading = os.open(source, _READ)
    try:
        found = os.fstat(reading)
        mode = lambda_mode(found.st_mode)
        writing = os.open(destination, _NEW, mode)
        try:
            while block := os.read(reading, min(found.st_size + 1, _BLOCK)):
                digest.update(block)
                _write(writing, block)
                size += len(block)
            _permit(writing, destination, mode)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return size, mode, digest.hexdigest()


def copy_all(wanted: Iterable[tuple[str, str, str | None]]) -> list[File]:
    """Copy files, each from a path to another.

    The third is the SHA-256 where it is known. Raises as `copy_file` does.
    """
    return [
        File(*copy_hashed(source, destination))
        if known is None
        else File(*copy_file(source, destination), known)
        for source, destination, known in wanted
    ]


def make_folder(path: str) -> None:
    """Make a folder that Lambda can read, whatever the umask. Raises `FileExistsError` where one is."""
    os.mkdir(path, 0o755)  # noqa: PTH102 - a Path for each of many folders is slow
    if stat.S_IMODE(os.stat(path).st_mode) != 0o755:  # noqa: PTH116 - the same
        os.chmod(path, 0o755)  # noqa: PTH101, S103 - the same


def spread(folder: Place) -> None:
    """Tell the file system that the folders in a folder have nothing to do with one another.

    ext4 puts what is new near its folder, and there looks at every file that was removed in the last minutes
    before it finds room for one: where thousands were, that takes ten times as long as the copying. With this
    hint (`chattr +T`; chattr(1), ioctl_iflags(2)) each of the folders begins where there is much room.
    Elsewhere, and where somebody else owns the folder, nothing happens.
    """
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - Windows has none

        with suppress(OSError):
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                (flags,) = _INT.unpack(fcntl.ioctl(opened, _GET_FLAGS, bytes(_INT.size)))
                fcntl.ioctl(opened, _SET_FLAGS, _INT.pack(flags | _TOP))
            finally:
                os.close(opened)


def copy_content(reading: int, writing: int, expected: int) -> int:
    """Copy so many bytes between two files that are open, from where they stand; how many there were."""
    size = 0
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):  # some file systems cannot; what is left is read and written below
            while size < expected and (copied := os.copy_file_range(reading, writing, expected - size)):
                size += copied
    while size < expected and (block := os.read(reading, min(expected - size, _BLOCK))):
        _write(writing, block)
        size += len(block)
    return size


def _write(descriptor: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _permit(descriptor: int, path: Place, mode: int) -> None:
    """Give a new file its permissions, where the umask has left it others.

    To look is cheap; to set them writes to the disk's journal, for each of many files.
    """
    if os.name == "posix" and stat.S_IMODE(os.fstat(descriptor).st_mode) == mode:
        return
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)
    else:  # Windows, before Python 3.13
        os.chmod(path, mode)  # noqa: PTH101 - a Path for each of many files is slow
