"""Which artifacts are up to date: what went into each, and what has changed since.

A record of every build is kept in the cache, for one checkout and output folder. A file whose stamp is as it
was is not read again, unless the stamp is so recent that a later change might bear the same one, as in git
(https://git-scm.com/docs/racy-git).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from deflate import __version__ as deflate_version

from lambda_bundle import __version__
from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.indexes import Address
from lambda_bundle.jobs import Job, Selection
from lambda_bundle.lock import Wheel
from lambda_bundle.manifest import row
from lambda_bundle.process import mask
from lambda_bundle.resolutions import choosing, wheel_of
from lambda_bundle.result import Archived, Artifact, Result
from lambda_bundle.stamps import Seen, Stamp, is_settled, look, stamp

KIND = "builds"
_UNKNOWN = "nothing is known of its last build"
_APART = frozenset({"name", "root", "ignore", "output", "warnings", "target", "timeout"})
"""What a job holds that does not change its artifact, or is told in another way."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether an artifact is what a build would make now."""

    reasons: tuple[str, ...] = ()
    """Why it is not; none: it is."""
    artifact: Artifact | None = None
    """The one that is up to date."""
    warnings: tuple[Problem, ...] = ()
    """What its build had to say."""
    pinned: bool = False
    """Whether locks said all that was installed."""


class Freshness:
    """The records of the builds before this run; what it looks at twice, it remembers."""

    def __init__(self, cache: Cache, environ: Mapping[str, str]) -> None:
        self._cache = cache
        self._environment = {name: _digest(mask(environ[name])) for name in choosing(environ)}
        self._began = time.time_ns()
        self._lacking: dict[str, bool] = {}

    def verdict(self, job: Job, rows: Mapping[str, Any]) -> Verdict:
        """Whether a job's artifact is up to date; `rows` are those of the manifest."""
        try:
            record = json.loads(self._path(job).read_text(encoding="utf-8"))
            artifact = _artifact(record["artifact"])
            judge = _Judge(job, record, artifact, self._began)
            reasons = list(_differences(record["settings"], self._settings(job)))
            if not reasons:
                reasons += [*judge.sources(), *judge.others(self._is_there), *judge.layers(rows)]
                reasons += judge.projects()
                reasons += judge.artifact(rows.get(job.name))
            if reasons:
                return Verdict(reasons=tuple(reasons))
            warnings = tuple(map(Problem.of, record["warnings"]))
            pinned = bool(record["pinned"])
        except FileNotFoundError:
            return Verdict(reasons=("it was not built before",))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Verdict(reasons=(_UNKNOWN,))
        if judge.moved:
            self._write(job, record)
        return Verdict(artifact=artifact, warnings=warnings, pinned=pinned)

    def record(self, result: Result, artifact: Artifact, inputs: Inputs) -> None:
        """Remember what was built, and from what."""
        job = result.job
        wheels, left_out = (
            tuple(replace(wheel, url="") for wheel in some)  # it may hold a credential
            for some in (artifact.wheels, artifact.left_out)
        )
        own = [problem for problem in result.problems if problem not in job.warnings]
        record = {
            "settings": self._settings(job),
            "sources": {path: self._seen(seen) for path, seen in inputs.sources.items()},
            "folders": {path: self._settled(one) for path, one in inputs.folders.items()},
            "others": {path: self._seen(seen) for path, seen in inputs.others.items()},
            "projects": dict(inputs.projects),
            "absent": list(inputs.absent),
            "layers": {name: _files_of(wheels) for name, wheels in inputs.layers.items()},
            "pinned": inputs.pinned,
            "files": {path: list(one) for path, one in _files(job.artifact)},
            "artifact": asdict(replace(artifact, wheels=wheels, left_out=left_out)),
            "warnings": [asdict(problem) for problem in own],
        }
        self._write(job, record)

    def forget(self, job: Job) -> None:
        """There is no artifact any more."""
        with suppress(OSError):
            self._path(job).unlink()

    def _settings(self, job: Job) -> dict[str, Any]:
        compression = {"lambda-bundle": __version__, "libdeflate": deflate_version}
        return {**compression, **settings(job), "environment": self._environment}

    def _is_there(self, path: str) -> bool:
        if path not in self._lacking:
            self._lacking[path] = os.path.lexists(path)
        return self._lacking[path]

    def _settled(self, one: Stamp) -> list[int] | None:
        return list(one) if is_settled(one, self._began) else None

    def _seen(self, seen: Seen) -> list[Any]:
        return [self._settled(seen.stamp), seen.mode, seen.sha256]

    def _path(self, job: Job) -> Path:
        place = _digest(json.dumps([str(job.root), str(job.output)]))
        return self._cache.path(KIND, place[:32]) / f"{job.name}.json"

    def _write(self, job: Job, record: Mapping[str, Any]) -> None:
        """Write a record; one that cannot be written is missed by the next run, which builds."""
        with suppress(OSError):
            self._cache.write(self._path(job), record)


class _Judge:
    """One record, held against what is there now."""

    def __init__(self, job: Job, record: dict[str, Any], artifact: Artifact, began: int) -> None:
        self._job, self._record, self._artifact, self._began = job, record, artifact, began
        self.moved = False
        """Whether stamps have changed, and nothing else: the record holds the new ones then."""

    def artifact(self, listed: Mapping[str, Any] | None) -> Iterator[str]:
        """What became of the artifact."""
        job = self._job
        shown = f"{job.output.name}/{job.artifact.name}"
        found = {path: list(one) for path, one in _files(job.artifact)}
        if not found:
            yield f"{shown} is missing"
        elif found != self._record["files"] and not self._is_restored(found):
            yield f"{shown} is not what was built"
        elif listed != row(self._job, self._artifact):
            yield "the manifest does not list it as it was built"

    def _is_restored(self, found: dict[str, list[int]]) -> bool:
        """Whether a zip was put back as it was, as CI systems do."""
        if self._job.format == "dir" or look(self._job.artifact).sha256 != self._artifact.archived.sha256:
            return False
        self._record["files"], self.moved = found, True
        return True

    def sources(self) -> Iterator[str]:
        """What became of the files of the entry."""
        recorded: dict[str, list[Any]] = self._record["sources"]
        current = self._listing(recorded)
        if current is None:
            yield "the sources are not what they were"
            return
        yield from (f"{path} added" for path in sorted(current - recorded.keys()))
        yield from (f"{path} removed" for path in sorted(recorded.keys() - current))
        folder = str(self._job.sources)
        yield from (
            f"{path} changed"
            for path in recorded
            if path in current and not self._is_same(f"{folder}/{path}", recorded, path)
        )

    def others(self, is_there: Callable[[str], bool]) -> Iterator[str]:
        """What became of everything else that was read, and whether there is something new to read."""
        recorded: dict[str, list[Any]] = self._record["others"]
        for path in recorded:
            if not self._is_same(path, recorded, path):
                yield f"{self._shown(path)} {'changed' if os.path.lexists(path) else 'removed'}"
        yield from (f"{self._shown(path)} added" for path in self._record["absent"] if is_there(path))

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

    def _listing(self, recorded: Mapping[str, Any]) -> set[str] | None:
        """The paths of the sources; None where they cannot be told."""
        folders: dict[str, list[int] | None] = self._record["folders"]
        if all(_same_folder(path, one) for path, one in folders.items()):
            return set(recorded)
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
    told: dict[str, Any] = {"runtime": target.runtime, "arch": target.arch, "tags": target.tags}
    for one in fields(job):
        if one.name not in _APART:
            value = getattr(job, one.name)
            told |= asdict(value) if isinstance(value, Selection) else {one.name: value}
    told["ignore"] = [str(entry) for entry in job.ignore]
    told["env"] = {name: _digest(value) for name, value in job.env}
    plain: dict[str, Any] = json.loads(json.dumps(told, default=_plain))  # tuples are lists in a record
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return value.text  # on which line it stands is no matter
    if isinstance(value, Job):
        return settings(value)
    return {one.name: getattr(value, one.name) for one in fields(value)}


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


def _same_folder(path: str, before: list[int] | None) -> bool:
    try:
        return before is not None and list(stamp(path)) == before
    except OSError:
        return False


def _files(artifact: Path) -> Iterator[tuple[str, Stamp]]:
    """The stamp of every file of an artifact; none when it is not there."""
    if artifact.is_file():
        yield "", stamp(artifact)
        return
    for folder, _, names in os.walk(artifact):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - a Path for each of thousands of files is slow
            yield path[len(str(artifact)) + 1 :], stamp(path)


def _files_of(wheels: Sequence[Wheel]) -> list[list[str | None]]:
    return [[wheel.filename, wheel.sha256] for wheel in wheels]


def _artifact(told: dict[str, Any]) -> Artifact:
    wheels, left_out = (tuple(map(wheel_of, told[key])) for key in ("wheels", "left_out"))
    archived = Archived(**told["archived"])
    return Artifact(**{**told, "archived": archived, "wheels": wheels, "left_out": left_out})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
