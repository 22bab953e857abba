"""Which artifacts are up to date: what went into each, and what has changed since.

A record of every build is kept in the cache, for one checkout and output folder. A file whose stamp is as it
was is not read again, unless the stamp is so recent that a later change might bear the same one, as in git
(https://git-scm.com/docs/racy-git).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from deflate import __version__ as deflate_version

from lambda_bundle import __version__
from lambda_bundle.cache import Cache
from lambda_bundle.entries import artifact_name
from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.indexes import Address
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel
from lambda_bundle.manifest import row
from lambda_bundle.result import Archived, Artifact, Result
from lambda_bundle.stamps import Seen, Stamp, is_settled, look, stamp, stamp_all
from lambda_bundle.variables import choosing, rooted

KIND = "builds"
_UNKNOWN = "nothing is known of its last build"
_APART = frozenset({"name", "root", "ignore", "output", "warnings", "target", "timeout"})
"""What a job holds that does not change its artifact, or is told in another way."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_SETTINGS = tuple(one.name for one in fields(Job) if one.name not in _APART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What went into an artifact, besides the settings of its job."""

    sources: Mapping[str, Seen] = field(default_factory=dict)
    """By path in the entry."""
    folders: Mapping[str, Stamp] = field(default_factory=dict)
    """Every folder of the entry that was looked through; absolute."""
    others: Mapping[str, Seen] = field(default_factory=dict)
    """What else was read; absolute."""
    projects: Mapping[str, str] = field(default_factory=dict)
    """The digest of each local project that was built, by its folder; absolute."""
    absent: tuple[str, ...] = ()
    """What was looked for in vain; absolute. It would change what is built."""
    layers: Mapping[str, Sequence[Wheel]] = field(default_factory=dict)
    """What the layers of a function carry, by their names."""
    pinned: bool = False
    """Whether locks say all that is installed, in its layers too."""
    packs: tuple[str, ...] | None = None
    """The packs in the cache that make the zip, with the sources; None where it is made of something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An entry in which nothing has changed since a build: it need be neither searched nor read again."""

    sources: Mapping[str, Seen]
    """Its files, in order."""
    folders: Mapping[str, Stamp]
    """Every folder of it that was looked through; absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a zip is made of, where all that its build looked at is as it was."""

    packs: tuple[str, ...]
    """Entries of the cache, in order."""
    sources: tuple[str, ...]
    """Paths in the entry."""
    artifact: Artifact
    """What comes of it."""
    record: Mapping[str, Any]
    """Of the build, for whoever writes it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether an artifact is what a build would make now."""

    reasons: tuple[str, ...] = ()
    """Why it is not; none: it is."""
    artifact: Artifact | None = None
    """What a build would make; None where that is not known."""
    warnings: tuple[Problem, ...] = ()
    """What the build of that artifact had to say."""
    pinned: bool = False
    """Whether locks said all that was installed."""
    known: Known | None = None
    """What a build need not look at again."""
    recipe: Recipe | None = None
    """How the artifact is made without a build, if it is not there."""


class Freshness:
    """The records of the builds before this run; what it looks at twice, it remembers."""

    def __init__(self, cache: Cache, environ: Mapping[str, str]) -> None:
        self._cache = cache
        self._environment = dict(_masked(environ))
        self._began = time.time_ns()
        self._lacking: dict[tuple[str, str], bool] = {}
        self._layers: dict[str, list[list[str | None]] | None] = {}
        self._folders: dict[tuple[str, str], str] = {}

    def verdict(self, job: Job, rows: Mapping[str, Any]) -> Verdict:
        """Whether a job's artifact is up to date; `rows` are those of the manifest."""
        try:
            record = self._cache.read(self._path(job))
            artifact = _artifact(record["artifact"])
            judge = _Judge(job, record, artifact, self._began)
            settings = self._settings(job)
            if record["settings"] != settings and (told := [*_differences(record["settings"], settings)]):
                return Verdict(reasons=tuple(told))
            changed = [*judge.sources(), *judge.others(self._is_there), *judge.layers(rows)]
            changed += judge.projects()
            missing = tuple(judge.artifact(rows.get(job.name)))
            if changed:
                return Verdict(reasons=(*changed, *missing), known=judge.known())
            found = Verdict(
                reasons=missing,
                artifact=artifact,
                warnings=tuple(map(Problem.of, record["warnings"])),
                pinned=bool(record["pinned"]),
            )
            if missing:
                recipe = judge.recipe({layer.name: self._carried(layer) for layer in job.layers})
                return replace(found, recipe=recipe, known=None if recipe else judge.known())
        except FileNotFoundError:
            return Verdict(reasons=("it was not built before",))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Verdict(reasons=(_UNKNOWN,))
        if judge.moved:
            self._write(job, record)
        return found

    def restored(self, job: Job, recipe: Recipe) -> None:
        """Remember that an artifact is there again, as it was built."""
        self._write(job, {**recipe.record, "stands": _standing(_place(job))})

    def record(self, result: Result, artifact: Artifact, inputs: Inputs) -> None:
        """Remember what was built, and from what."""
        job = result.job
        own = [problem for problem in result.problems if problem not in job.warnings]
        record = {
            "settings": self._settings(job),
            "sources": {path: self._seen(seen) for path, seen in inputs.sources.items()},
            "folders": {path: self._settled(one) for path, one in inputs.folders.items()},
            "others": {path: self._seen(seen) for path, seen in inputs.others.items()},
            "projects": dict(inputs.projects),
            "absent": _by_folder(inputs.absent),
            "layers": {name: _files_of(wheels) for name, wheels in inputs.layers.items()},
            "pinned": inputs.pinned,
            "packs": inputs.packs,
            "stands": _standing(_place(job)),
            "artifact": _document(artifact),
            "warnings": [asdict(problem) for problem in own],
        }
        self._write(job, record)

    def forget(self, job: Job) -> None:
        """There is no artifact any more."""
        with suppress(OSError):
            Path(self._path(job)).unlink()

    def _settings(self, job: Job) -> dict[str, Any]:
        compression = {"lambda-bundle": __version__, "libdeflate": deflate_version}
        return {**compression, **settings(job), "environment": self._environment}

    def _is_there(self, folder: str, name: str) -> bool:
        place = folder, name
        if place not in self._lacking:
            self._lacking[place] = os.path.lexists(os.path.join(folder, name))  # noqa: PTH118 - as above
        return self._lacking[place]

    def _carried(self, layer: Job) -> list[list[str | None]] | None:
        """What a layer carried when it was built last; None where nobody knows."""
        if layer.name not in self._layers:
            self._layers[layer.name] = None
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                told = _artifact(self._cache.read(self._path(layer))["artifact"])
                self._layers[layer.name] = _files_of(told.wheels)
        return self._layers[layer.name]

    def _settled(self, one: Stamp) -> list[int] | None:
        return list(one) if is_settled(one, self._began) else None

    def _seen(self, seen: Seen) -> list[Any]:
        return [self._settled(seen.stamp), seen.mode, seen.sha256]

    def _path(self, job: Job) -> str:
        place = str(job.root), str(job.output)
        if place not in self._folders:
            self._folders[place] = str(self._cache.path(KIND, _digest(json.dumps(place))[:32]))
        return f"{self._folders[place]}/{job.name}.json"

    def _write(self, job: Job, record: Mapping[str, Any]) -> None:
        """Write a record; one that cannot be written is missed by the next run, which builds."""
        with suppress(OSError):
            self._cache.write(Path(self._path(job)), record)


class _Judge:
    """One record, held against what is there now."""

    def __init__(self, job: Job, record: dict[str, Any], artifact: Artifact, began: int) -> None:
        self._job, self._record, self._artifact, self._began = job, record, artifact, began
        self._steady = False
        """Whether all folders of the entry are as they were."""
        self._same = False
        """Whether its files are, too."""
        self.moved = False
        """Whether stamps have changed, and nothing else: the record holds the new ones then."""

    def artifact(self, listed: Mapping[str, Any] | None) -> Iterator[str]:
        """What became of the artifact."""
        job = self._job
        found = _standing(_place(job))
        if found is None:
            yield f"{job.output.name}/{job.artifact.name} is missing"
        elif found != self._record["stands"] and not self._is_restored(found):
            yield f"{job.output.name}/{job.artifact.name} is not what was built"
        elif listed != row(job, self._artifact):
            yield "the manifest does not list it as it was built"

    def _is_restored(self, found: list[int] | str) -> bool:
        """Whether a zip was put back as it was, as CI systems do."""
        if isinstance(found, str) or look(self._job.artifact).sha256 != self._artifact.archived.sha256:
            return False
        self._record["stands"], self.moved = found, True
        return True

    def sources(self) -> Iterator[str]:
        """What became of the files of the entry."""
        recorded: dict[str, list[Any]] = self._record["sources"]
        folders: dict[str, list[int] | None] = self._record["folders"]
        self._steady = all(_same_folder(path, one) for path, one in folders.items())
        current = recorded.keys() if self._steady else self._listing()
        if current is None:
            yield "the sources are not what they were"
            return
        if current != recorded.keys():
            yield from (f"{path} added" for path in sorted(current - recorded.keys()))
            yield from (f"{path} removed" for path in sorted(recorded.keys() - current))
        folder = f"{self._job.root}/{self._job.entry}"
        changed = [
            path
            for path in recorded
            if path in current and not self._is_same(f"{folder}/{path}", recorded, path)
        ]
        self._same = self._steady and not changed
        yield from (f"{path} changed" for path in changed)

    def known(self) -> Known | None:
        """What a build need not look at again; None where that is not certain, or `sources` was not asked."""
        recorded: dict[str, list[Any]] = self._record["sources"]
        folders: dict[str, list[int] | None] = self._record["folders"]
        if not self._same or any(row[0] is None for row in recorded.values()):
            return None  # without a stamp, nothing shows a change
        found = {path: _seen(*row) for path, row in recorded.items()}
        known = {path: _stamp(*one) for path, one in folders.items() if one is not None}
        return Known(sources=found, folders=known)

    def recipe(self, carried: Mapping[str, Any]) -> Recipe | None:
        """How the artifact is made without a build; None where it must be built.

        `carried` holds the wheels of each layer now.
        """
        packs = self._record["packs"]
        if packs is None or carried != self._record["layers"]:
            return None
        sources = tuple(self._record["sources"])
        return Recipe(packs=tuple(packs), sources=sources, artifact=self._artifact, record=self._record)

    def others(self, is_there: Callable[[str, str], bool]) -> Iterator[str]:
        """What became of everything else that was read, and whether there is something new to read."""
        recorded: dict[str, list[Any]] = self._record["others"]
        for path in recorded:
            if not self._is_same(path, recorded, path):
                yield f"{self._shown(path)} {'changed' if os.path.lexists(path) else 'removed'}"
        absent: dict[str, list[str]] = self._record["absent"]
        for folder, names in absent.items():
            if self._steady and folder in self._record["folders"]:
                continue  # what appears in a folder changes its stamp, which was taken before the look
            appeared = (name for name in names if is_there(folder, name))
            yield from (f"{self._shown(os.path.join(folder, name))} added" for name in appeared)  # noqa: PTH118

    def projects(self) -> Iterator[str]:
        """Which of the local projects that were built have changed."""
        recorded: dict[str, str] = self._record["projects"]
        if not recorded:
            return
        from lambda_bundle import local  # noqa: PLC0415 - few have any

        for path, digest in recorded.items():
            try:
                current = local.look(Path(path), skip=self._job.output).digest
            except BundleError:
                current = None
            if current != digest:
                yield f"{self._shown(path)} changed"

    def layers(self, rows: Mapping[str, Any]) -> Iterator[str]:
        """Which layers carry something else now; those that were not built say nothing."""
        for name, carried in self._record["layers"].items():
            listed = rows[name]["wheels"] if name in rows else None
            if listed is not None and [[one["file"], one["sha256"]] for one in listed] != carried:
                yield f"layer {name} changed"

    def _listing(self) -> AbstractSet[str] | None:
        """The paths of the sources as they are now; None where they cannot be told."""
        from lambda_bundle.stage import sources_of  # noqa: PLC0415 - only where a folder has changed

        visited: dict[str, Stamp] = {}
        try:
            found = set(sources_of(self._job, visited))
        except BundleError:
            return None
        self._record["folders"] = {path: self._settled(one) for path, one in visited.items()}
        self.moved = True
        return found

    def _is_same(self, path: str, recorded: dict[str, list[Any]], key: str) -> bool:
        before, mode, digest = recorded[key]
        try:
            if before is not None and list(stamp(path)) == before:
                return True
            seen = look(path)
        except OSError:
            return False
        if (seen.mode, seen.sha256) != (mode, digest):
            return False
        recorded[key] = [self._settled(seen.stamp), mode, digest]
        self.moved = True
        return True

    def _settled(self, one: Stamp) -> list[int] | None:
        return list(one) if is_settled(one, self._began) else None

    def _shown(self, path: str) -> str:
        root = self._job.root
        return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else path


def settings(job: Job) -> dict[str, Any]:
    """What a job says of its artifact, by the words of bundles.toml; no absolute path is in it."""
    target = job.target
    told: dict[str, Any] = {"runtime": target.runtime, "arch": target.arch, "tags": list(target.tags)}
    for name in _SETTINGS:
        told[name] = _plain(getattr(job, name))
    told |= told.pop("selection")
    told["ignore"] = [str(entry) for entry in job.ignore]
    told["env"] = {name: _digest(value) for name, value in job.env}
    return told


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if value.__class__ in _SCALARS:
        return value
    if isinstance(value, tuple):
        return [_plain(one) for one in value] if value else []
    if isinstance(value, Address):
        return value.text  # on which line it stands is no matter
    if isinstance(value, Job):
        return settings(value)
    return {name: _plain(getattr(value, name)) for name in _names(value.__class__)}


@lru_cache
def _names(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass; `fields` is slow for each of 1,000 jobs."""
    return tuple(one.name for one in fields(kind))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in dict.fromkeys((*now, *before)):
        old, new = before.get(key), now.get(key)
        name = key if above in {"", "environment"} else f"{above}.{key}"
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, name)
        elif above or isinstance(old, list | dict) or isinstance(new, list | dict):
            yield f"{name} changed"
        else:
            yield f"{name} {old or 'none'} → {new or 'none'}"


def _seen(one: Sequence[int], mode: int, sha256: str) -> Seen:
    """A file as a record has it."""
    return Seen(_stamp(*one), mode, sha256)


def _stamp(size: int, changed: int, touched: int, number: int) -> Stamp:
    return size, changed, touched, number


def _same_folder(path: str, before: list[int] | None) -> bool:
    try:
        return before is not None and list(stamp(path)) == before
    except OSError:
        return False


def _place(job: Job) -> str:
    """The path of the artifact."""
    return f"{job.output}/{artifact_name(job.name, job.format)}"


def _standing(artifact: str) -> list[int] | str | None:
    """What tells of an artifact whether somebody has changed it: a stamp of a file, a digest of a folder's.

    None where there is none.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISDIR(os.stat(artifact).st_mode):  # noqa: PTH116 - as above
            return stamp_all(artifact)
        return list(stamp(artifact))
    return None


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    """The names of what is in each folder."""
    found: dict[str, list[str]] = {}
    for folder, name in map(os.path.split, paths):
        found.setdefault(folder, []).append(name)
    return found


def _files_of(wheels: Sequence[Wheel]) -> list[list[str | None]]:
    return [[wheel.filename, wheel.sha256] for wheel in wheels]


def _document(artifact: Artifact) -> dict[str, Any]:
    """An artifact as a record holds it; a URL may hold a credential, and is left out."""
    return {
        "archived": asdict(artifact.archived),
        "wheels": list(map(_told, artifact.wheels)),
        "digest": artifact.digest,
        "runtimes": dict(artifact.runtimes),
        "left_out": list(map(_told, artifact.left_out)),
    }


def _told(wheel: Wheel) -> list[str | None]:
    return [wheel.name, wheel.version, wheel.filename, wheel.sha256, *wheel.hashes]


def _artifact(told: dict[str, Any]) -> Artifact:
    wheels, left_out = (tuple(_wheel(*one) for one in told[key]) for key in ("wheels", "left_out"))
    archived = Archived(**told["archived"])
    return Artifact(**{**told, "archived": archived, "wheels": wheels, "left_out": left_out})


@lru_cache(4096)
def _wheel(name: str, version: str, filename: str, sha256: str | None, *hashes: str) -> Wheel:
    """Many functions have the same wheels: each is made once."""
    return Wheel(name=name, version=version, filename=filename, url="", sha256=sha256, hashes=hashes)


def _masked(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The digests of the variables that tell the installers what to choose, without their credentials."""
    names = choosing(environ)
    if names:
        from lambda_bundle.process import mask  # noqa: PLC0415 - most environments have none of them

        meant = rooted(environ)
        yield from ((name, _digest(mask(meant[name]))) for name in names)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
