"""Members of zip files: deflated once, and copied as they are into every archive that contains them.

The format is that of PKWARE's APPNOTE 6.3. Members are dated 1980-01-01 and carry the two permissions that
Lambda needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lambda_bundle.copies import copy_content, lambda_mode
from lambda_bundle.deflation import MAX_BYTES, STORED, Data, deflate
from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.stage import Tree
from lambda_bundle.targets import UNZIPPED_LIMIT

_UTF8 = 0x800
_DOS_DATE = 33  # 1980-01-01; the time is 0
_UNIX = 3 << 8 | 20  # made by: Unix, so that the permissions count; version 2.0
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_OFFSET = struct.Struct("<L")  # the last field of a record
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One file as it stands in a zip."""

    name: str
    mode: int
    method: int
    crc: int
    packed: int
    """Bytes of its content as it is stored."""
    size: int
    """Bytes of the file."""

    @property
    def header(self) -> bytes:
        """What stands before its content; the same in every archive."""
        return _LOCAL.pack(b"PK\3\4", 20, *self._common()) + self.name.encode()

    def record(self, offset: int) -> bytes:
        """Its record in the central directory of an archive that has it at an offset."""
        attributes = (stat.S_IFREG | self.mode) << 16
        fields = (_UNIX, 20, *self._common(), 0, 0, 0, attributes, offset)
        return _CENTRAL.pack(b"PK\1\2", *fields) + self.name.encode()

    def _common(self) -> tuple[int, ...]:
        flags = 0 if self.name.isascii() else _UTF8
        length = len(self.name.encode())
        return (flags, self.method, 0, _DOS_DATE, self.crc, self.packed, self.size, length, 0)


class Writer:
    """A zip in the making: hashed as it is written, with a central directory that grows beside it.

    Files are many and small: what is added is written when there is enough of it, and at `flush`.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._held: list[Data] = []
        self._written = 0
        self.sha256 = hashlib.sha256()
        """Of what is written."""
        self.size = 0
        """Bytes added."""
        self.directory: list[bytes] = []
        self.count = 0
        self.unzipped = 0

    def add(self, member: Member, data: Data) -> None:
        """Append a member with its content as it is stored. Raises `BundleError` where no zip can hold it."""
        header = member.header
        self._check_room(len(header) + len(data))
        self.directory.append(member.record(self.size))
        self.write(header)
        self.write(data)
        self.count += 1
        self.unzipped += member.size

    def append(self, pack: Pack) -> None:
        """Append every member of a pack. Of the first one in an archive, even the hash is known already."""
        self._check_room(pack.size)
        self.directory.append(pack.directory_at(self.size))
        self.count += pack.count
        self.unzipped += pack.unzipped
        with pack.content.open("rb", buffering=0) as content:
            if self.size:
                while block := content.read(_BLOCK):
                    self.write(block)
            else:
                copy_content(content.fileno(), self._file.fileno(), pack.size)
                self._file.seek(0, os.SEEK_END)
                self.sha256, self.size = pack.sha256.copy(), pack.size
                self._written = self.size

    def _check_room(self, size: int) -> None:
        if self.size + size > MAX_BYTES:
            raise too_large("the files are more than the 4 GiB that a zip can hold")

    def write(self, data: Data) -> None:
        """Append bytes."""
        self._held.append(data)
        self.size += len(data)
        if self.size - self._written >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        data = b"".join(self._held)
        self.sha256.update(data)
        rest = memoryview(data)
        while rest:  # without a buffer, the system may take a part
            rest = rest[self._file.write(rest) :]
        self._held.clear()
        self._written = self.size


@dataclass(frozen=True, slots=True)
class Item:
    """A file that is to become a member."""

    name: str
    source: str
    mode: int
    """On Lambda."""
    size: int
    sha256: str | None = None
    """None where nobody knows it."""


def items(tree: Tree) -> list[Item]:
    """The files of a tree, in the order of the names."""
    found = []
    for name, source in sorted(tree.items()):
        status = source.stat()
        found.append(Item(name, str(source), lambda_mode(status.st_mode), status.st_size))
    return found


def compress(wanted: Iterable[Item], *, check: Callable[[], None]) -> Iterator[tuple[Member, Data]]:
    """Every file as a member with its content, in their order.

    `check` is called before each file; what it raises ends the work.
    """
    for one in wanted:
        check()
        method, crc, size, data = deflate(fitting(one).source)
        yield Member(one.name, one.mode, method, crc, len(data), size), data


def fitting(one: Item) -> Item:
    """A file that is to become a member. Raises `BundleError` for one that no zip can hold."""
    if one.size > MAX_BYTES:
        raise too_large("a file is more than the 4 GiB that a zip can hold")
    return one


def weight(wanted: Iterable[Item]) -> int:
    """Bytes that files take in a zip when nothing is compressed."""
    return sum(one.size + len(one.name.encode()) + _LOCAL.size for one in wanted)


def too_large(message: str) -> BundleError:
    """The error for what does not fit into a zip."""
    hint = f'Lambda unpacks at most {UNZIPPED_LIMIT:,} bytes: leave files out, or use format = "dir"'
    return BundleError(Problem(code=Code.ARTIFACT_TOO_LARGE, message=message, hint=hint))


CONTENT, _DIRECTORY, _INDEX = "members", "directory", "index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Members in a file of their own, one after the other, as every archive has them that has them all."""

    folder: Path
    sha256: Any
    """The running hash (of `hashlib`) over the members."""
    directory: bytes
    """Their records in the central directory of an archive that begins with them."""
    size: int
    count: int
    unzipped: int

    @property
    def content(self) -> Path:
        """The file with the members."""
        return self.folder / CONTENT

    def members(self) -> Iterator[tuple[Member, int]]:
        """Each member, with where its content begins in the file."""
        return _parse(self.directory)

    def read(self, name: str) -> bytes | None:
        """What one of the files is; None when there is none of this name."""
        for member, begin in self.members():
            if member.name == name:
                with self.content.open("rb") as content:
                    content.seek(begin)
                    data = content.read(member.packed)
                return data if member.method == STORED else zlib.decompress(data, -zlib.MAX_WBITS)
        return None

    def directory_at(self, begin: int) -> bytes:
        """Their records in the central directory of an archive that has them from an offset on."""
        if not begin:
            return self.directory
        patched = bytearray(self.directory)
        for at, fields in _records(self.directory):
            _OFFSET.pack_into(patched, at + _CENTRAL.size - _OFFSET.size, begin + fields[-1])
        return bytes(patched)


def _parse(directory: bytes) -> Iterator[tuple[Member, int]]:
    """The members that records of a central directory tell of, with where the content of each begins."""
    for at, fields in _records(directory):
        method, (crc, packed, size, length), (attributes, offset) = fields[4], fields[7:11], fields[15:]
        begin = at + _CENTRAL.size
        name = directory[begin : begin + length].decode()
        member = Member(name, attributes >> 16 & 0o777, method, crc, packed, size)
        yield member, offset + _LOCAL.size + length


def _records(directory: bytes) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The records of a central directory: where each is, and its fields."""
    at = 0
    while at < len(directory):
        fields = _CENTRAL.unpack_from(directory, at)
        yield at, fields
        at += _CENTRAL.size + fields[10]


def close_pack(out: Writer, folder: Path) -> bytes:
    """Write what belongs beside the members of a pack; their records in the central directory."""
    directory = b"".join(out.directory)
    (folder / _DIRECTORY).write_bytes(directory)
    whole = [out.sha256.hexdigest(), _seal(directory, out.count, out.unzipped), out.count, out.unzipped]
    (folder / _INDEX).write_text(json.dumps(whole), encoding="utf-8")
    return directory


def open_pack(folder: Path) -> Pack | None:
    """A pack that was written before; None when it is not there, or is not what was written."""
    try:
        whole = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        *_, count, unzipped = whole
        directory = (folder / _DIRECTORY).read_bytes()
        sha256, size = _hash(folder / CONTENT)
    except (OSError, ValueError, TypeError):
        return None
    if [sha256.hexdigest(), _seal(directory, count, unzipped), count, unzipped] != whole:
        return None
    return Pack(folder=folder, sha256=sha256, directory=directory, size=size, count=count, unzipped=unzipped)


def _seal(directory: bytes, count: object, unzipped: object) -> str:
    """What tells that nothing beside the members was changed."""
    return hashlib.sha256(f"{count} {unzipped}\n".encode() + directory).hexdigest()


def _hash(path: Path) -> tuple[Any, int]:
    sha256, size = hashlib.sha256(), 0
    block = memoryview(bytearray(_BLOCK))  # one for all: to get memory takes as long as to read
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            sha256.update(block[:count])
            size += count
        return sha256, size
