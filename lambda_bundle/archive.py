"""Reproducible archives: the same files give the same bytes, on any machine and at any time.

The zip format is that of PKWARE's APPNOTE 6.3; entries are sorted, dated 1980-01-01, and carry the two
permissions that Lambda needs. Deflate is libdeflate's, whose output depends on neither the CPU nor the
host's zlib.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deflate import deflate_compress

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.stage import Tree, file_mode

LEVEL = 6
UNZIPPED_LIMIT = 262_144_000
"""Bytes that Lambda accepts unzipped, layers included
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
_MAX_ENTRIES, _MAX_BYTES = 0xFFFF, 0xFFFF_FFFF  # what a zip without the 64-bit extension can hold
_STORED, _DEFLATED = 0, 8
_UTF8 = 0x800
_DOS_DATE = 33  # 1980-01-01; the time is 0
_UNIX = 3 << 8 | 20  # made by: Unix, so that the permissions count; version 2.0
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was written."""

    size: int
    """Bytes of the zip file; of the files together for a folder."""
    unzipped: int
    """Bytes of the files together."""
    sha256: str
    """Of the zip file; for a folder, of the names, permissions and hashes of its files."""

    @property
    def code_sha256(self) -> str:
        """The hash as Lambda's API gives it (`CodeSha256`)."""
        return b64encode(bytes.fromhex(self.sha256)).decode()


def _nothing() -> None:
    pass


def write_zip(tree: Tree, path: Path, *, check: Callable[[], None] = _nothing) -> Archived:
    """Write a zip of the files; raises `BundleError` when they are too many or too large for one.

    `check` is called before each file; what it raises ends the work.
    """
    _check_fits(tree)
    central: list[bytes] = []
    unzipped = 0
    with path.open("wb") as file:
        out = _Hashing(file)
        for name, source in sorted(tree.items()):
            check()
            content = source.read_bytes()
            unzipped += len(content)
            central.append(_write_member(out, name, content, file_mode(source)))
        start = out.position
        directory = b"".join(central)
        end = _END.pack(b"PK\5\6", 0, 0, len(central), len(central), len(directory), start, 0)
        out.write(directory + end)
    return Archived(size=out.position, unzipped=unzipped, sha256=out.sha256.hexdigest())


def _check_fits(tree: Tree) -> None:
    if len(tree) > _MAX_ENTRIES:
        raise _too_large(f"{len(tree):,} files are more than the {_MAX_ENTRIES:,} that a zip can hold")
    size = sum(source.stat().st_size + len(name.encode()) + _LOCAL.size for name, source in tree.items())
    if size > _MAX_BYTES:  # deflated they might fit, but not into Lambda
        raise _too_large(f"{size:,} bytes are more than the 4 GiB that a zip can hold")


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.position = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.sha256.update(data)
        self.position += len(data)


def _write_member(out: _Hashing, name: str, content: bytes, mode: int) -> bytes:
    """Write a file's header and content; its record for the central directory."""
    method, data = _compress(content)
    encoded = name.encode()
    flags = 0 if name.isascii() else _UTF8
    common = (flags, method, 0, _DOS_DATE, zlib.crc32(content), len(data), len(content), len(encoded), 0)
    offset = out.position
    out.write(_LOCAL.pack(b"PK\3\4", 20, *common) + encoded)
    out.write(data)
    attributes = (stat.S_IFREG | mode) << 16
    return _CENTRAL.pack(b"PK\1\2", _UNIX, 20, *common, 0, 0, 0, attributes, offset) + encoded


def _compress(content: bytes) -> tuple[int, bytes]:
    data = bytes(deflate_compress(content, LEVEL)) if content else b""
    return (_DEFLATED, data) if len(data) < len(content) else (_STORED, content)


def _too_large(message: str) -> BundleError:
    hint = f'Lambda unpacks at most {UNZIPPED_LIMIT:,} bytes: leave files out, or use format = "dir"'
    return BundleError(Problem(code=Code.ARTIFACT_TOO_LARGE, message=message, hint=hint))


def write_folder(tree: Tree, path: Path, *, check: Callable[[], None] = _nothing) -> Archived:
    """Write a folder of the files, real copies with the permissions that Lambda needs.

    `check` is called before each file; what it raises ends the work.
    """
    digest = hashlib.sha256()
    size = 0
    path.mkdir(parents=True)
    for name, source in sorted(tree.items()):
        check()
        content, mode = source.read_bytes(), file_mode(source)
        destination = path / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        with destination.open("xb") as file:  # two names can be one file where upper and lower case are one
            file.write(content)
        destination.chmod(mode)
        size += len(content)
        digest.update(f"{name}\0{mode:o}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    for folder in (path, *_folders(path)):
        folder.chmod(0o755)
    return Archived(size=size, unzipped=size, sha256=digest.hexdigest())


def _folders(path: Path) -> Iterator[Path]:
    return (Path(root, name) for root, names, _ in os.walk(path) for name in names)


def publish(temporary: Path, destination: Path, *, stale: Iterable[Path]) -> None:
    """Move what was written to its place; what stood there, and the artifacts in `stale`, are gone then.

    A file is replaced in one step. A folder cannot be (POSIX has no such call that Python knows): the old one
    is moved away first, so that there is a moment with none, and never one with half of it.
    """
    old = temporary.with_name(f"{temporary.name}.old")
    if destination.is_dir() and not destination.is_symlink():
        destination.replace(old)
    elif temporary.is_dir():
        destination.unlink(missing_ok=True)
    temporary.replace(destination)
    shutil.rmtree(old, ignore_errors=True)  # what stays of it goes with the folder that it is in
    for path in stale:
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
