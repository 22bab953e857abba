"""What artifacts consist of: the bytes of each distribution in them, and of all else.

Only names, sizes and RECORDs are read; nothing is unpacked.
"""

from __future__ import annotations

import os
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.installed import listed
from lambda_bundle.jobs import Job
from lambda_bundle.unpacked import missing, reading

_RECORD = ".dist-info/RECORD"
REST = "sources"
"""What no distribution has brought."""


@dataclass(frozen=True, slots=True)
class Part:
    """What comes together."""

    name: str
    """A distribution with its version, or `REST`."""
    files: int
    unzipped: int
    """Bytes."""
    zipped: int
    """Bytes of it in the zip; 0 in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One artifact."""

    name: str
    path: Path
    parts: tuple[Part, ...]
    """The largest first."""
    files: tuple[tuple[str, int], ...]
    """Its files with their bytes, the largest first."""
    beside: int = 0
    """Bytes of its layers, unzipped: they count for Lambda's limit."""

    @property
    def unzipped(self) -> int:
        """Bytes of all files."""
        return sum(part.unzipped for part in self.parts)

    @property
    def zipped(self) -> int:
        """Bytes of their contents in the zip; 0 for a folder."""
        return sum(part.zipped for part in self.parts)


def of_jobs(jobs: Iterable[Job]) -> tuple[list[Weighed], list[Problem]]:
    """The artifacts of jobs, and what is wrong with those that cannot be read."""
    found: list[Weighed] = []
    problems: list[Problem] = []
    layers: dict[Path, int] = {}
    for job in jobs:
        try:
            beside = 0
            for layer in job.layers:
                if layer.artifact not in layers:
                    layers[layer.artifact] = weigh(layer.name, layer.artifact).unzipped
                beside += layers[layer.artifact]
            found.append(weigh(job.name, job.artifact, beside=beside))
        except BundleError as error:  # noqa: PERF203 - each artifact has its own
            named = (replace(problem.where, name=job.name) for problem in error.problems)
            problems += (replace(one, where=where) for one, where in zip(error.problems, named, strict=True))
    return found, problems


def weigh(name: str, path: Path, *, beside: int = 0) -> Weighed:
    """What a zip or a folder consists of. Raises `BundleError` where it cannot be read."""
    if not path.exists():
        raise missing(path)
    with reading(path):
        if path.is_dir():
            return _weighed(name, path, *_of_folder(path), beside)
        with zipfile.ZipFile(path) as archive:
            members = {one.filename: one for one in archive.infolist() if not one.is_dir()}
            sizes = {member: (one.file_size, one.compress_size) for member, one in members.items()}
            return _weighed(name, path, sizes, lambda member: archive.read(members[member]), beside)


_Sizes = Mapping[str, tuple[int, int]]
"""The bytes of each file, and those in the zip."""


def _of_folder(path: Path) -> tuple[_Sizes, Callable[[str], bytes]]:
    files = {
        Path(root, name).relative_to(path).as_posix(): Path(root, name)
        for root, _, names in os.walk(path, followlinks=True)
        for name in names
    }
    sizes = {name: (file.stat().st_size, 0) for name, file in files.items()}
    return sizes, lambda name: files[name].read_bytes()


def _weighed(name: str, path: Path, sizes: _Sizes, read: Callable[[str], bytes], beside: int) -> Weighed:
    owners: dict[str, str] = {}
    for record in sizes:
        if record.endswith(_RECORD):
            info = posixpath.dirname(record)
            owner = posixpath.basename(info).removesuffix(".dist-info").replace("-", " ", 1)
            root = posixpath.dirname(info)
            site = f" in {root}" if root.count("/") > 1 else ""  # one of several runtimes of a layer
            for file, _ in listed(read(record).decode(errors="replace").splitlines()):
                owners[posixpath.join(root, file)] = f"{owner}{site}"
    parts: dict[str, list[int]] = {}
    for file, (unzipped, zipped) in sizes.items():
        part = parts.setdefault(owners.get(file, REST), [0, 0, 0])
        for number, count in enumerate((1, unzipped, zipped)):
            part[number] += count
    return Weighed(
        name=name,
        path=path,
        parts=tuple(
            sorted(
                (Part(one, *counts) for one, counts in parts.items()),
                key=lambda one: (-one.unzipped, one.name),
            )
        ),
        files=tuple(
            sorted(((file, size) for file, (size, _) in sizes.items()), key=lambda one: (-one[1], one[0]))
        ),
        beside=beside,
    )
