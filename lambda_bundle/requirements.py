"""What the law of an entry says for its target, whatever kind of file that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from lambda_bundle import exports, pylock
from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Selection
from lambda_bundle.needs import skip_unused
from lambda_bundle.projects import LOCKS, PROJECT, REFRESH, Law, Place, load, members
from lambda_bundle.pylock import Locked
from lambda_bundle.reqfile import NO_REQUIREMENTS, Requirements, read
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything that the answer depends on."""

    law: Law
    place: Place
    selection: Selection
    target: Target
    work: Work

    @property
    def where(self) -> Where:
        """The place of the law, for problems."""
        return Where(file=self.place.shown(self.law.path))


def gather(law: Law, place: Place, selection: Selection, target: Target, work: Work) -> Requirements:
    """What the law says for the target. Raises `BundleError` with every problem in it."""
    question = Question(law=law, place=place, selection=selection, target=target, work=work)
    found = _READERS[law.kind](question)
    skip = tuple(sorted(map(canonicalize_name, selection.skip)))
    warnings = (*found.warnings, *_rivals(question))
    return replace(found, skip=() if law.kind == "uv" else skip, warnings=warnings)


def _read_requirements(question: Question) -> Requirements:
    place = question.place
    found = read(
        question.law.path,
        markers=question.target.markers,
        environ=question.work.environ,
        shown=place.shown,
        resolve=place.resolve,
    )
    return replace(found, warnings=_unused(question, "groups", "extras", "package"))


def _read_pylock(question: Question) -> Requirements:
    law, place, selection = question.law, question.place, question.selection
    locked = pylock.choose(
        load(law.path, place),
        question.target,
        folder=place.original(law.path.parent),
        where=question.where,
        hint=REFRESH["pylock"],
        extras=selection.extras,
        groups=selection.groups,
    )
    return replace(_locked(locked), files=(law.path,), warnings=_unused(question, "package"))


def _read_uv(question: Question) -> Requirements:
    law, place, selection = question.law, question.place, question.selection
    lock = load(law.path, place)
    names = members(lock)
    law = replace(law, project=_project(question))
    theirs = names.get(canonicalize_name(selection.package)) if selection.package else None
    package = law.project if theirs is None else (law.path.parent / theirs)
    # The entry's own code is in the bundle already; another package that was asked for is not.
    emit = not place.entry.resolve().is_relative_to(place.original(package).resolve())

    def export(*, prune: bool) -> Locked:
        return pylock.choose(
            exports.export_uv(law, place, selection, question.target, question.work, emit=emit, prune=prune),
            question.target,
            folder=question.work.folder,
            where=question.where,
            hint=REFRESH["uv"],
        )

    locked, warnings = export(prune=False), tuple[Problem, ...]()
    if selection.skip:
        warnings = tuple(
            skip_unused(name, question.where)
            for name in sorted(map(canonicalize_name, selection.skip))
            if name not in locked.names
        )
        locked = export(prune=True)
    folders = [law.path.parent, law.project, *(one.folder for one in locked.sources if one.folder)]
    files = dict.fromkeys((law.path, *(folder / PROJECT for folder in folders)))
    present = tuple(path for path in files if path.is_file())
    return replace(_locked(locked), files=present, warnings=warnings)


def _project(question: Question) -> Path:
    """The folder that uv is to look at: the original, unless hooks have made or changed the project."""
    law, place = question.law, question.place
    original = place.original(law.project)
    for name in (PROJECT, LOCKS["uv"]):
        staged, before = law.project / name, original / name
        if staged.is_file() and (not before.is_file() or staged.read_bytes() != before.read_bytes()):
            return law.project
    return original


def _locked(locked: Locked) -> Requirements:
    return replace(NO_REQUIREMENTS, candidates=locked.candidates, sources=locked.sources, exact=True)


_READERS: dict[str, Callable[[Question], Requirements]] = {
    "uv": _read_uv,
    "pylock": _read_pylock,
    "requirements": _read_requirements,
}


def _rivals(question: Question) -> tuple[Problem, ...]:
    law, place = question.law, question.place
    if not law.others:
        return ()
    others = ", ".join(place.shown(path) for path in law.others)
    return (
        Problem(
            code=Code.SEVERAL_LOCKS,
            message=f"{place.shown(law.path)} says what is installed, and {others} is there too",
            where=question.where,
            hint=f'set packaging = "{law.kind}" to settle it, or remove the others',
            severity="warning",
        ),
    )


def _unused(question: Question, *keys: str) -> tuple[Problem, ...]:
    """A warning for each key that means nothing for this kind of file."""
    return tuple(
        Problem(
            code=Code.SELECTION_UNUSED,
            message=f"`{key}` is set, and {question.where.file} knows nothing of the kind",
            where=question.where,
            hint=f"leave out `{key}`, or name another file with `requirements` or `packaging`",
            severity="warning",
        )
        for key in keys
        if getattr(question.selection, key)
    )
