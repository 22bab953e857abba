"""What the record of a build holds of it: what went in, what came of it, and where that stands."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from lambda_bundle.entries import artifact_name
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel
from lambda_bundle.result import Archived, Artifact
from lambda_bundle.stamps import Seen, Stamp, stamp, stamp_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of an entry."""

    sources: tuple[str, ...]
    """Paths in the entry."""
    folders: Mapping[str, Stamp]
    """Every folder that was looked through; absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What went into an artifact, besides the settings of its job."""

    sources: Mapping[str, Seen] = field(default_factory=dict)
    """By path in the entry."""
    folders: Mapping[str, Stamp] = field(default_factory=dict)
    """Every folder of the entry that was looked through; absolute."""
    others: Mapping[str, Seen] = field(default_factory=dict)
    """What else was read; absolute."""
    found: Mapping[str, Seen] = field(default_factory=dict)
    """The wheels in folders of this machine that were installed; absolute. The cache has what is gone."""
    configurations: Mapping[str, tuple[Stamp, str]] = field(default_factory=dict)
    """Files that could hold configuration of uv, with a digest of what they hold of it; absolute."""
    projects: Mapping[str, str] = field(default_factory=dict)
    """The digest of each local project that was built, by its folder; absolute."""
    absent: tuple[str, ...] = ()
    """What was looked for in vain; absolute. It would change what is built."""
    layers: Mapping[str, Sequence[Wheel]] = field(default_factory=dict)
    """What the layers of a function carry, by their names."""
    beside: Mapping[str, Listing] = field(default_factory=dict)
    """What the entries of these layers held; the files are among the others."""
    pinned: bool = False
    """Whether locks say all that is installed, in its layers too."""
    packs: tuple[str, ...] | None = None
    """The packs in the cache that make the zip, with the sources; None where it is made of something else."""
    kept: tuple[str, ...] = ()
    """The entries of the cache that a build would use again, as "kind/name"."""
    stands: list[int] | str | None = None
    """How the artifact stood when it was published, as `standing` says."""


def place_of(job: Job) -> str:
    """The path of the artifact."""
    return f"{job.output}/{artifact_name(job.name, job.format)}"


def standing(artifact: str) -> list[int] | str | None:
    """What tells of an artifact whether somebody has changed it: a stamp of a file, a digest of a folder's.

    None where there is none.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        mode = os.lstat(artifact).st_mode
        if stat.S_ISLNK(mode):
            return "a link"  # what we publish is none
        return stamp_all(artifact) if stat.S_ISDIR(mode) else list(stamp(artifact))
    return None


def by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    """The names of what is in each folder."""
    found: dict[str, list[str]] = {}
    for folder, name in map(os.path.split, paths):
        found.setdefault(folder, []).append(name)
    return found


def files_of(wheels: Sequence[Wheel]) -> list[list[str | None]]:
    """The file names and hashes of wheels."""
    return [[wheel.filename, wheel.sha256] for wheel in wheels]


def document(artifact: Artifact) -> dict[str, Any]:
    """An artifact as a record holds it; a URL may hold a credential, and is left out."""
    return {
        "archived": asdict(artifact.archived),
        "wheels": list(map(_told, artifact.wheels)),
        "digest": artifact.digest,
        "runtimes": dict(artifact.runtimes),
        "left_out": list(map(_told, artifact.left_out)),
    }


def artifact_of(told: dict[str, Any]) -> Artifact:
    """The artifact that `document` has told of. Raises `TypeError` and `KeyError` for anything else."""
    wheels, left_out = (tuple(_wheel(*one) for one in told[key]) for key in ("wheels", "left_out"))
    archived = Archived(**told["archived"])
    return Artifact(**{**told, "archived": archived, "wheels": wheels, "left_out": left_out})


def _told(wheel: Wheel) -> list[str | None]:
    return [wheel.name, wheel.version, wheel.filename, wheel.sha256, *wheel.hashes]


@lru_cache(4096)
def _wheel(name: str, version: str, filename: str, sha256: str | None, *hashes: str) -> Wheel:
    """Many functions have the same wheels: each is made once."""
    return Wheel(name=name, version=version, filename=filename, url="", sha256=sha256, hashes=hashes)
