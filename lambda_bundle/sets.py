"""What is known of installed dependency sets: their files, who brought them, and what the binaries need.

The facts are read once, when a set is installed, and kept; where its files are is for the store to say.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lambda_bundle.binaries import inspect, is_of_interest
from lambda_bundle.copies import File, Run, lambda_mode
from lambda_bundle.elf import Binary
from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.installed import (
    Distribution,
    contested,
    expected,
    order_of,
    sha256_of,
    write_record,
)
from lambda_bundle.lock import Wheel
from lambda_bundle.spool import Look, Spool
from lambda_bundle.stage import file_mode, folders_of
from lambda_bundle.wanted import NOTHING_LOCAL, Local


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySet:
    """Installed wheels, tidy, with the files that they brought."""

    key: str = ""
    wheels: tuple[Wheel, ...] = ()
    left_out: tuple[Wheel, ...] = ()
    """What the requirements resolve to as well, and the order wanted left out."""
    files: Mapping[str, File]
    size: int = 0
    """Bytes of all files."""
    hashes: Mapping[str, str]
    """The SHA-256 of each file."""
    folders: Mapping[str, str]
    """Each folder, with a file that lies in it."""
    distributions: tuple[Distribution, ...] = ()
    """Without their files: `owners` has these."""
    owners: Mapping[str, int] = field(default_factory=dict)
    """The number of the distribution that brought each file."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    """What is known of the binaries among the files."""
    warnings: tuple[Problem, ...] = ()
    resolution: str = ""
    """What the requirements that it is of are called in the cache."""
    local: Local = NOTHING_LOCAL
    """What of this machine took part, as this caller knows it."""

    def distribution(self, path: str) -> Distribution | None:
        """The distribution that brought a file."""
        number = self.owners.get(path)
        return None if number is None else self.distributions[number]

    def owner(self, path: str) -> str:
        """The same, for messages."""
        found = self.distribution(path)
        return "a dependency" if found is None else f"{found.name} {found.version}"

    @property
    def infos(self) -> tuple[str, ...]:
        """The .dist-info folders in it."""
        return tuple(sorted({path.partition("/")[0] for path in self.files if ".dist-info/" in path}))


NOTHING = DependencySet(files={}, hashes={}, folders={})
"""What a function without requirements gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one distribution brought into a folder of installed wheels."""

    folder: Path
    distribution: Distribution | None
    """With its files. None: no distribution says that these are its own."""
    files: Mapping[str, File]
    binaries: Mapping[str, Mapping[str, Any]]
    """What is known of the binaries among them, as JSON can hold it."""
    odd: tuple[str, ...] = ()
    """What is not there, or not as the wheel's RECORD says."""


def survey(
    folder: Path,
    paths: Iterable[str],
    found: Sequence[Distribution],
    *,
    spool: Spool,
    packed: bool = True,
    run: Run = map,
) -> tuple[Piece, ...]:
    """Read every file of installed wheels, and write their RECORDs; `paths` are all files.

    If they are to be `packed`, they are compressed on the way.
    """
    records = [f"{one.info}/RECORD" for one in found]
    claims = {path: sha256_of(entry) for one in found for path, entry in one.files.items()}

    def look_at(paths: Sequence[str], run: Run) -> dict[str, Look]:
        wanted = {f"{folder}/{path}": claims.get(path) for path in paths}
        return dict(zip(paths, spool.take_in(wanted, run, packed=packed), strict=True))

    looks = look_at(sorted({*paths}.difference(records)), run)
    files = {path: look.file for path, look in looks.items()}
    worth = {path: folder / path for path, look in looks.items() if is_of_interest(path, look.start)}
    plain = {path: (file.size, file.sha256) for path, file in files.items()}
    for one in found:
        write_record(folder, one, plain)
    files |= {path: look.file for path, look in look_at(records, map).items()}
    binaries = {path: asdict(binary) for path, binary in inspect(worth).items()}
    theirs = [(one, {*one.files, record}) for one, record in zip(found, records, strict=True)]
    loose = files.keys() - {path for _, claimed in theirs for path in claimed}
    return tuple(
        Piece(
            folder=folder,
            distribution=one,
            files={path: files[path] for path in claimed if path in files},
            binaries={path: binaries[path] for path in claimed if path in binaries},
            odd=() if one is None else tuple(_odd(one, files, claims)),
        )
        for one, claimed in [*theirs, *([(None, loose)] if loose else [])]
    )


def _odd(one: Distribution, files: Mapping[str, File], claims: Mapping[str, str | None]) -> Iterator[str]:
    """The files of a distribution that are not what it promises; what several bring is the last one's."""
    for path, sha256 in expected(one):
        if claims[path] == sha256 and (path not in files or files[path].sha256 != sha256):
            yield path


def is_clear(pieces: Sequence[Piece]) -> bool:
    """Whether every file is of one distribution, and of no other."""
    claimed = sum(len(piece.files) for piece in pieces)
    said = {path for piece in pieces for path in piece.files}
    return claimed == len(said) and all(piece.distribution for piece in pieces)


def located(pieces: Iterable[Piece]) -> dict[str, str]:
    """Where each file of a set is."""
    return {path: f"{piece.folder}/{path}" for piece in pieces for path in piece.files}


def facts(pieces: Sequence[Piece]) -> dict[str, Any]:
    """What is known of the set that they are together, as JSON can hold it."""
    theirs = [(piece.distribution, piece) for piece in pieces if piece.distribution is not None]
    theirs.sort(key=lambda one: order_of(one[0]))
    found = tuple(one for one, _ in theirs)
    files = {path: file for piece in pieces for path, file in piece.files.items()}
    owners = {path: number for number, (_, piece) in enumerate(theirs) for path in piece.files}
    binaries = {path: binary for piece in pieces for path, binary in piece.binaries.items()}
    names = sorted(files)
    sizes, modes, hashes = zip(*(files[name] for name in names), strict=True) if names else ((), (), ())
    return {
        # Columns: to take them in again is the first thing that many runs do.
        "files": [names, sizes, modes, hashes, [owners.get(name) for name in names]],
        "size": sum(sizes),
        "folders": folders_of(names),
        "distributions": [asdict(replace(one, files={})) for one in found],
        "binaries": dict(sorted(binaries.items())),
        "shared": {
            path: [f"{one.name} {one.version}" for one in claims]
            for path, claims in contested(found).items()
            if path in files
        },
    }


def of(facts: Mapping[str, Any], key: str, wheels: tuple[Wheel, ...]) -> DependencySet:
    """The set with these facts."""
    names, sizes, modes, hashes, owners = facts["files"]
    return DependencySet(
        key=key,
        wheels=wheels,
        files=dict(zip(names, map(File, sizes, modes, hashes), strict=True)),
        size=facts["size"],
        hashes=dict(zip(names, hashes, strict=True)),
        folders=facts["folders"],
        distributions=tuple(
            Distribution(**{**row, "requires": tuple(row["requires"]), "extras": tuple(row["extras"])})
            for row in facts["distributions"]
        ),
        owners={name: owner for name, owner in zip(names, owners, strict=True) if owner is not None},
        binaries={name: Binary.of(row) for name, row in facts["binaries"].items()},
        warnings=tuple(_shared(name, claims) for name, claims in facts["shared"].items()),
    )


def _shared(path: str, claims: Sequence[str]) -> Problem:
    names, winner = ", ".join(claims), claims[-1].rpartition(" ")[0]
    return Problem(
        code=Code.SHARED_PATH,
        message=f"{names} bring this file with different content; the one of {winner} is used",
        where=Where(file=path),
        hint="leave one of them out if they are not meant to live together",
        severity="warning",
    )


def is_same(path: Path, file: File) -> bool:
    """Whether a file has the content and the permissions of one in a set."""
    if path.stat().st_size != file.size or file_mode(path) != file.mode:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


# --- where a set is unpacked, to be used again

Stamps = dict[str, tuple[int, int, int]]
"""Bytes, time in nanoseconds and permissions on Lambda of each file."""


def stamps(folder: Path, files: Iterable[str]) -> Stamps:
    """How the files are now. Raises `OSError` where one is not there."""
    return {path: _stamp(os.stat(f"{folder}/{path}")) for path in files}  # noqa: PTH116 - a Path for each of 3,000 files is slow


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, lambda_mode(status.st_mode)
