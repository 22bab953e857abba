"""The lock of one job: what its requirements stand for, resolved as a bundle would resolve them.

Nothing is built but local code. The wheels are fetched and installed into the cache on the way: what they
require of Python, only they tell, and the bundle that follows finds them there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from lambda_bundle import access, lockfile
from lambda_bundle.assembly import Assembly
from lambda_bundle.entries import lock_name
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installers import allowed_hashes
from lambda_bundle.jobs import Job
from lambda_bundle.lock import pick, promised
from lambda_bundle.lockfile import Paper, Resolved, is_current
from lambda_bundle.projects import Law, Place, find, load
from lambda_bundle.pylock import choose
from lambda_bundle.requirements import gather, source_of
from lambda_bundle.result import Change, Locked
from lambda_bundle.shared import Run
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirement, Requirements, file_path

_UNFIT = frozenset(
    {
        *(Code.CONFLICT, Code.PACKAGE_NOT_FOUND, Code.NO_WHEEL, Code.PYTHON_UNSUPPORTED, Code.SOURCE_ONLY),
        *(Code.HASH_MISMATCH, Code.OFFLINE),
    }
)
"""What can go wrong because a lock holds on to versions that do not fit any more."""
_OF_REQUIREMENTS = frozenset({Code.SKIP_UNUSED, Code.EXTRA_UNKNOWN, Code.YANKED})
"""The warnings of a dependency set that are about what was asked for, and not about files."""


def lock_one(run: Run, job: Job, stack: ExitStack, *, upgrade: bool) -> Locked:
    """Write the lock of a job, unless it is current or there is nothing to lock. Raises `BundleError`."""
    with Assembly(run, job, stack).requirements() as (place, environ):
        law = find(place, job.selection, job.name)
        if law is None:
            return Locked(job=job, status="skipped", note="it has no dependencies")
        source = source_of(law, place)
        if source.is_lock:
            return Locked(job=job, status="skipped", note=f"{place.shown(source.path)} is a lock")
        work = run.work(job, environ)
        wanted = {target: gather(source, place, job.selection, target, work) for target in job.targets}
        if not law.own and not any(one.requirements or one.sources for one in wanted.values()):
            return Locked(job=job, status="skipped", note="it has no dependencies")
        before = _before(law, place)
        warnings = [
            one for asked in wanted.values() for one in asked.warnings if one.code is not Code.UNPINNED
        ]
        path = job.sources / lock_name(job.name)
        digests = {target: lockfile.asked(one, place) for target, one in wanted.items()}
        kept = Locked(job=job, status="kept", path=path, packages=len(before.get("packages", ())))
        current = is_current(before, digests) and all(_serves(before, one, place) for one in job.targets)
        if current and not upgrade and not lockfile.has_sources(before):
            return replace(kept, problems=tuple(dict.fromkeys(warnings)))
        locker = _Locker(run=run, job=job, place=place, environ=environ)
        resolved, told = locker.resolve(wanted, digests, {} if upgrade else lockfile.versions(before))
        paper = Paper(
            name=job.name,
            folder=Path(os.path.normpath(job.sources)),
            original=place.original,
            secrets={*access.secrets(environ), *(one for asked in wanted.values() for one in asked.secrets)},
        )
        text = lockfile.render(resolved, paper)
        changed = _write(path, text, place)
        told = [*told, *_outside(resolved, place, place.shown(path))]
        names = {(wheel.name, wheel.version) for one in resolved for wheel in one.wheels}
        return replace(
            kept,
            status="locked" if changed else "kept",
            packages=len(names),
            changes=_changes(before, load(path, place)) if changed and before else (),
            problems=tuple(dict.fromkeys((*warnings, *told))),
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """What a lock has that its predecessor had otherwise."""
    earlier, now = lockfile.versions(before), lockfile.versions(after)
    names = sorted(earlier.keys() | now.keys())
    return tuple(
        (name, earlier.get(name), now.get(name)) for name in names if earlier.get(name) != now.get(name)
    )


def _outside(resolved: Iterable[Resolved], place: Place, shown: str) -> Iterator[Problem]:
    """The warning for a lock that leads out of the repository: to files of this machine."""
    files = (
        wheel.url
        for one in resolved
        for wheel in one.wheels
        if wheel.url.startswith("file:") and wheel.name not in {**one.origins, **one.sdists}  # built here
    )
    paths = (Path(file_path(url.partition("#")[0])) for url in files)
    root = os.path.normpath(place.root)
    found = sorted({path.name for path in paths if not place.original(path).is_relative_to(root)})
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield Problem(
            code=Code.UNLOCKABLE,
            message=f"{shown} leads to files of this machine, outside of the repository: {found[0]}{more}",
            where=Where(file=shown),
            hint="put them into the repository, or lock where an index has them: see PIP_FIND_LINKS, "
            "UV_FIND_LINKS and their configuration files",
            severity="warning",
        )


def _before(law: Law, place: Place) -> Mapping[str, Any]:
    """The lock that is there; nothing, where it is damaged: it is about to be written anew."""
    if law.own:
        with suppress(BundleError):
            return load(law.path, place)
    return {}


def _serves(data: Mapping[str, Any], target: Target, place: Place) -> bool:
    """Whether a lock can be read for a target, and has a wheel for each package."""
    try:
        locked = choose(data, target, folder=place.entry, where=Where(), hint="")
    except BundleError:
        return False
    built = {one.name for one in locked.candidates if one.sdist is not None}
    return built.issuperset(one.name for one in pick(locked.candidates, target, {})[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locker:
    """One job on its way to a lock."""

    run: Run
    job: Job
    place: Place
    environ: Mapping[str, str]

    def resolve(
        self, wanted: Mapping[Target, Requirements], digests: Mapping[Target, str], before: Mapping[str, str]
    ) -> tuple[list[Resolved], list[Problem]]:
        """What the requirements stand for on each target, and what is to say of that.

        `before` has the versions that the lock has had: they stay where they can.
        """
        if before:
            try:
                held = {target: _holding(one, before) for target, one in wanted.items()}
                return self._all(held, digests)
            except BundleError as error:
                if not all(problem.code in _UNFIT for problem in error.problems):
                    raise
        resolved, warnings = self._all(wanted, digests)
        if before:
            warnings.append(_anew(self.place.shown(self.job.sources / lock_name(self.job.name))))
        return resolved, warnings

    def _all(
        self, wanted: Mapping[Target, Requirements], digests: Mapping[Target, str]
    ) -> tuple[list[Resolved], list[Problem]]:
        resolved: list[Resolved] = []
        warnings: list[Problem] = []
        for target, one in wanted.items():
            found, told = self._one(target, one, digests[target])
            resolved.append(found)
            warnings += told
        return resolved, warnings

    def _one(self, target: Target, wanted: Requirements, digest: str) -> tuple[Resolved, Iterable[Problem]]:
        job = self.job
        wanted = access.add(wanted, job, target, self.environ, self.run.configurations)
        order = self.run.order(
            job, target, wanted, environ=self.environ, without=frozenset(), place=self.place
        )
        found = self.run.store.dependencies(order)
        allowed = allowed_hashes(wanted)
        wheels = tuple(replace(wheel, hashes=promised(wheel, allowed)) for wheel in found.wheels)
        told = (one for one in found.warnings if one.code in _OF_REQUIREMENTS)
        origins = found.local.origins
        built = {wheel.name: self.run.store.sdist_of(wheel) for wheel in wheels if wheel.name not in origins}
        sdists = {name: source for name, source in built.items() if source is not None}
        return Resolved(target=target, digest=digest, wheels=wheels, origins=origins, sdists=sdists), told


def _holding(wanted: Requirements, versions: Mapping[str, str]) -> Requirements:
    """The requirements with versions to hold on to, where they do not exclude these themselves."""
    if wanted.options.require_hashes:  # they are pinned
        return wanted
    limits: dict[str, list[Requirement]] = {}
    for one in (*wanted.requirements, *wanted.constraints):
        limits.setdefault(one.name, []).append(one)
    held = [
        Requirement(name=name, specifier=f"=={version}", extras=(), url=None, hashes=(), where=Where())
        for name, version in sorted(versions.items())
        if all(
            one.url is None and SpecifierSet(one.specifier).contains(version, prereleases=True)
            for one in limits.get(name, ())
        )
    ]
    return replace(wanted, constraints=(*wanted.constraints, *held))


def _anew(shown: str) -> Problem:
    return Problem(
        code=Code.LOCK_ANEW,
        message=f"the versions in {shown} do not fit what is asked for now: all were chosen anew",
        where=Where(file=shown),
        hint="see what has changed before you commit it",
        severity="warning",
    )


def _write(path: Path, text: str, place: Place) -> bool:
    """Write a lock in one step; whether it has changed. Raises `BundleError`."""
    content = text.encode()
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        shown = place.shown(path)
        message = f"{shown} cannot be written: {error.strerror}"
        hint = "see that its folder can be written to and that the disk has room"
        problem = Problem(code=Code.OUTPUT_UNWRITABLE, message=message, where=Where(file=shown), hint=hint)
        raise BundleError(problem) from None
    return True
