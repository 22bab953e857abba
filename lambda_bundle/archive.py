"""Reproducible archives: the same files give the same bytes, on any machine and at any time.

What the dependencies bring comes first in a zip, then everything else, each in the order of the names: so the
compressed form of a dependency set is the beginning of every archive that contains it unchanged.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lambda_bundle.copies import Run
from lambda_bundle.deflation import MAX_BYTES
from lambda_bundle.members import Item, Pack, Writer, compress, items, too_large, weight
from lambda_bundle.result import Archived
from lambda_bundle.stage import Tree, copy_out

_MAX_ENTRIES = 0xFFFF  # what a zip without the 64-bit extension can hold
_END = struct.Struct("<4s4H2LH")


def _nothing() -> None:
    pass


def write_zip(
    own: Tree,
    path: Path,
    *,
    packs: Sequence[Pack] = (),
    without: frozenset[str] = frozenset(),
    check: Callable[[], None] = _nothing,
) -> Archived:
    """Write a zip of the members of packs, except those in `without`, and of files of its own.

    No name is in two of them. Raises `BundleError` when the files are too many or too large for one zip.
    `check` is called before each file that is compressed; what it raises ends the work.
    """
    wanted = items(own)
    _check_fits(wanted, packs, without)
    with path.open("wb", buffering=0) as file:
        out = Writer(file)
        for pack in packs:
            if without and any(member.name in without for member, _ in pack.members()):
                _add_some(out, pack, without)
            else:
                out.append(pack)
        for member, data in compress(wanted, check=check):
            out.add(member, data)
        start, unzipped = out.size, out.unzipped
        directory = b"".join(out.directory)
        if start + len(directory) > MAX_BYTES:
            raise too_large("the files are more than the 4 GiB that a zip can hold")
        out.write(directory)
        out.write(_END.pack(b"PK\5\6", 0, 0, out.count, out.count, len(directory), start, 0))
        out.flush()
    return Archived(size=out.size, unzipped=unzipped, sha256=out.sha256.hexdigest())


def _check_fits(own: Sequence[Item], packs: Sequence[Pack], without: frozenset[str]) -> None:
    entries, size = len(own) - len(without), weight(own)
    for pack in packs:
        entries += pack.count
        size += pack.unzipped
        size -= sum(member.size for member, _ in pack.members() if member.name in without) if without else 0
    if entries > _MAX_ENTRIES:
        raise too_large(f"{entries:,} files are more than the {_MAX_ENTRIES:,} that a zip can hold")
    if size > MAX_BYTES:  # deflated they might fit, but not into Lambda
        raise too_large(f"{size:,} bytes are more than the 4 GiB that a zip can hold")


def _add_some(out: Writer, pack: Pack, without: frozenset[str]) -> None:
    with pack.content.open("rb") as packed:
        for member, begin in pack.members():
            if member.name not in without:
                packed.seek(begin)
                out.add(member, packed.read(member.packed))


def write_folder(tree: Tree, path: Path, *, hashes: Mapping[str, str], run: Run = map) -> Archived:
    """Write a folder of the files, as `copy_out` does."""
    digest = hashlib.sha256()
    total = 0
    for name, file in copy_out(tree, path, hashes=hashes, run=run):
        total += file.size
        digest.update(f"{name}\0{file.mode:o}\0{file.sha256}\n".encode())
    return Archived(size=total, unzipped=total, sha256=digest.hexdigest())


def publish(temporary: Path, destination: Path, *, stale: Iterable[Path]) -> None:
    """Move what was written to its place; what stood there, and the artifacts in `stale`, are gone then.

    A file is replaced in one step. A folder cannot be (POSIX has no such call that Python knows): the old one
    is moved away first, so that there is a moment with none, and never one with half of it.
    """
    old = temporary.with_name(f".{temporary.name}.old")
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
