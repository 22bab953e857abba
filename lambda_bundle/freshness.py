"""Which artifacts are up to date: what went into each, and what has changed since.

A record of every build is kept in the cache, for one checkout and output folder. A file whose stamp is as it
was is not read again, unless the stamp is so recent that a later change might bear the same one, as in git
(https://git-scm.com/docs/racy-git).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from deflate import __version__ as deflate_version

from lambda_bundle import __version__
from lambda_bundle.cache import Cache
from lambda_bundle.entries import artifact_name
from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.jobs import Job
from lambda_bundle.manifest import row
from lambda_bundle.records import (
    Inputs,
    Listing,
    artifact_of,
    by_folder,
    document,
    files_of,
    place_of,
    standing,
)
from lambda_bundle.result import Artifact, Result
from lambda_bundle.settings import differences, digest_of, environment_of, settings_of
from lambda_bundle.stamps import NEVER, Seen, Stamp, is_settled, look, stamp

KIND = "builds"
_STALE = 600.0
"""Seconds after which an entry that is used again has to be marked: the cache forgets after an hour."""
_UNKNOWN = "nothing is known of its last build"


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
        self._environments = {pip: environment_of(environ, pip=pip) for pip in (False, True)}
        """What is told by variables: where pip has no part in it, and where it has."""
        self.began = time.time_ns()
        """When this run began, in nanoseconds since the epoch."""
        self._stamp = lru_cache(maxsize=None)(stamp)  # many functions have the same layers, and files above
        self._used: set[str] = set()
        self._lacking: dict[tuple[str, str], bool] = {}
        self._layers: dict[str, list[list[str | None]] | None] = {}
        self._folders: dict[tuple[str, str], str] = {}

    def verdict(self, job: Job, rows: Mapping[str, Any]) -> Verdict:
        """Whether a job's artifact is up to date; `rows` are those of the manifest."""
        try:
            record = self._cache.read(self._path(job))
            artifact = artifact_of(record["artifact"])
            judge = _Judge(job, record, artifact, self.began, self._stamp)
            settings = self._settings(job)
            if record["settings"] != settings and (told := [*differences(record["settings"], settings)]):
                return Verdict(reasons=tuple(told))
            changed = [*judge.sources(), *judge.others(self._is_there), *judge.layers(rows)]
            changed = [*dict.fromkeys((*changed, *judge.projects()))]
            missing = tuple(judge.artifact(rows.get(job.name)))
            kept = [f"{self._cache.folder}/{name}" for name in record["kept"]]
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
        if not found.reasons:
            records = self._path(job).rpartition("/")[0]
            self._use(records, *kept)
        return found

    def _use(self, *paths: str) -> None:
        """What an artifact that is up to date was made of counts as used: it stays as long as others do."""
        for path in paths:
            if path not in self._used:
                self._used.add(path)
                with suppress(OSError):
                    if time.time() - os.stat(path).st_mtime > _STALE:  # noqa: PTH116 - a Path for each is slow
                        os.utime(path)

    def restored(self, job: Job, recipe: Recipe) -> None:
        """Remember that an artifact is there again, as it was built."""
        self._write(job, {**recipe.record, "stands": standing(place_of(job))})

    def record(self, result: Result, artifact: Artifact, inputs: Inputs) -> None:
        """Remember what was built, and from what."""
        job = result.job
        own = [problem for problem in result.problems if problem not in job.warnings]
        record = {
            "settings": self._settings(job),
            "sources": {path: self._seen(seen) for path, seen in inputs.sources.items()},
            "folders": {path: self._settled(one) for path, one in inputs.folders.items()},
            "others": {path: self._seen(seen) for path, seen in inputs.others.items()},
            "found": {path: self._seen(seen) for path, seen in inputs.found.items()},
            "configurations": {
                path: [self._settled(one), digest] for path, (one, digest) in inputs.configurations.items()
            },
            "projects": dict(inputs.projects),
            "absent": by_folder(inputs.absent),
            "layers": {name: files_of(wheels) for name, wheels in inputs.layers.items()},
            "beside": {name: self._listed(one) for name, one in inputs.beside.items()},
            "pinned": inputs.pinned,
            "packs": inputs.packs,
            "kept": inputs.kept,
            "stands": inputs.stands,
            "artifact": document(artifact),
            "warnings": [asdict(problem) for problem in own],
        }
        self._write(job, record)

    def stands(self, job: Job) -> bool:
        """Whether an artifact is there as it was published; a run that was killed has no manifest of it."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = standing(place_of(job))
            return found is not None and self._cache.read(self._path(job))["stands"] == found
        return False

    def left(self, root: Path, output: Path) -> Iterator[Path]:
        """The artifacts that stand in an output folder as this checkout left them, declared now or not."""
        place = str(root), str(output)
        for path in sorted(self._cache.path(KIND, _folder_name(place)).glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                record = self._cache.read(str(path))
                artifact = output / artifact_name(path.stem, record["settings"]["format"])
                if record["stands"] is not None and record["stands"] == standing(str(artifact)):
                    yield artifact

    def forget(self, job: Job) -> None:
        """There is no artifact any more."""
        with suppress(OSError):
            Path(self._path(job)).unlink()

    def _settings(self, job: Job) -> dict[str, Any]:
        compression = {"lambda-bundle": __version__, "libdeflate": deflate_version}
        pip = any(one.backend == "pip" for one in (job, *job.layers))
        return {**compression, **settings_of(job), "environment": self._environments[pip]}

    def _is_there(self, folder: str, name: str) -> bool:
        place = folder, name
        if place not in self._lacking:
            self._lacking[place] = os.path.lexists(os.path.join(folder, name))  # noqa: PTH118 - a Path for each of thousands is slow
        return self._lacking[place]

    def _carried(self, layer: Job) -> list[list[str | None]] | None:
        """What a layer carried when it was built last; None where nobody knows."""
        path = self._path(layer)
        if path not in self._layers:
            self._layers[path] = None
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                told = artifact_of(self._cache.read(path)["artifact"])
                self._layers[path] = files_of(told.wheels)
        return self._layers[path]

    def _settled(self, one: Stamp) -> list[int] | None:
        return list(one) if is_settled(one, self.began) else None

    def _listed(self, one: Listing) -> list[Any]:
        return [list(one.sources), {path: self._settled(seen) for path, seen in one.folders.items()}]

    def _seen(self, seen: Seen) -> list[Any]:
        return [self._settled(seen.stamp), seen.mode, seen.sha256]

    def _path(self, job: Job) -> str:
        place = str(job.root), str(job.output)
        if place not in self._folders:
            self._folders[place] = str(self._cache.path(KIND, _folder_name(place)))
        return f"{self._folders[place]}/{job.name}.json"

    def _write(self, job: Job, record: Mapping[str, Any]) -> None:
        """Write a record; one that cannot be written is missed by the next run, which builds."""
        with suppress(OSError):
            self._cache.write(Path(self._path(job)), record)


def _folder_name(place: tuple[str, str]) -> str:
    """What the folder with the records of one checkout and output folder is called."""
    return digest_of(json.dumps(place))[:32]


class _Judge:
    """One record, held against what is there now."""

    def __init__(
        self,
        job: Job,
        record: dict[str, Any],
        artifact: Artifact,
        began: int,
        stamp: Callable[[str], Stamp],
    ) -> None:
        """`stamp` is that of `stamps`, or one that looks at each file once."""
        self._job, self._record, self._artifact, self._began = job, record, artifact, began
        self._stamp = stamp
        self._steady = False
        """Whether all folders of the entry are as they were."""
        self._same = False
        """Whether its files are, too."""
        self.moved = False
        """Whether stamps have changed, and nothing else: the record holds the new ones then."""

    def artifact(self, listed: Mapping[str, Any] | None) -> Iterator[str]:
        """What became of the artifact."""
        job = self._job
        found = standing(place_of(job))
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
        self._steady = all(self._is_steady(path, one) for path, one in folders.items())
        current: AbstractSet[str] = recorded.keys()
        if not self._steady:
            listing = self._listing(self._job)
            if listing is None:
                yield "the sources are not what they were"
                return
            current, self._record["folders"] = listing
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
        found: dict[str, list[Any]] = self._record["found"]
        for path in found:
            if not self._is_same(path, found, path) and os.path.lexists(path):
                yield f"{self._shown(path)} changed"
        yield from self._configurations()
        absent: dict[str, list[str]] = self._record["absent"]
        for folder, names in absent.items():
            if self._steady and folder in self._record["folders"]:
                continue  # what appears in a folder changes its stamp, which was taken before the look
            appeared = (name for name in names if is_there(folder, name))
            yield from (f"{self._shown(os.path.join(folder, name))} added" for name in appeared)  # noqa: PTH118

    def _configurations(self) -> Iterator[str]:
        """What became of files that may configure uv: of a pyproject.toml, most is no concern of ours."""
        recorded: dict[str, list[Any]] = self._record["configurations"]
        for path, (before, digest) in recorded.items():
            try:
                now = self._stamp(path)
            except OSError:
                now = NEVER.stamp
            if before == list(now):
                continue
            from lambda_bundle.registries import said  # noqa: PLC0415 - only where one has changed

            if said(Path(path)) != digest:
                yield f"{self._shown(path)} changed"
            else:
                recorded[path][0] = self._settled(now)
                self.moved = True

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
        """Which layers carry something else now, and what is new in them, or gone."""
        for name, carried in self._record["layers"].items():
            listed = rows[name]["wheels"] if name in rows else None  # those that were not built say nothing
            if listed is not None and [[one["file"], one["sha256"]] for one in listed] != carried:
                yield f"layer {name} changed"
        for layer in self._job.layers:
            recorded, folders = self._record["beside"][layer.name]
            if all(self._is_steady(path, one) for path, one in folders.items()):
                continue
            listing = self._listing(layer)
            if listing is None:
                yield f"the sources of layer {layer.name} are not what they were"
                continue
            current, self._record["beside"][layer.name][1] = listing
            where = layer.entry
            yield from (f"{where}/{path} added" for path in sorted(current - set(recorded)))

    def _listing(self, job: Job) -> tuple[set[str], dict[str, list[int] | None]] | None:
        """The paths of an entry's sources as they are now, and its folders; None where nobody can tell."""
        from lambda_bundle.stage import sources_of  # noqa: PLC0415 - only where a folder has changed

        visited: dict[str, Stamp] = {}
        try:
            found = set(sources_of(job, visited))
        except BundleError:
            return None
        self.moved = True
        return found, {path: self._settled(one) for path, one in visited.items()}

    def _is_steady(self, folder: str, before: list[int] | None) -> bool:
        """Whether a folder has the names that it had."""
        try:
            return before is not None and list(self._stamp(folder)) == before
        except OSError:
            return False

    def _is_same(self, path: str, recorded: dict[str, list[Any]], key: str) -> bool:
        before, mode, digest = recorded[key]
        try:
            if before is not None and list(self._stamp(path)) == before:
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


def _seen(one: Sequence[int], mode: int, sha256: str) -> Seen:
    """A file as a record has it."""
    return Seen(_stamp(*one), mode, sha256)


def _stamp(size: int, changed: int, touched: int, number: int) -> Stamp:
    return size, changed, touched, number
