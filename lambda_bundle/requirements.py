"""What the law of an entry says for its target, whatever kind of file that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Declared
from packaging.utils import NormalizedName, canonicalize_name

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Selection
from lambda_bundle.local import links
from lambda_bundle.lock import Candidates, Source
from lambda_bundle.needs import skip_unused
from lambda_bundle.projects import (
    LOCKS,
    PROJECT,
    REFRESH,
    Law,
    Place,
    check_names,
    grouped,
    load,
    members,
    refreshing,
    table,
)
from lambda_bundle.reqfile import read
from lambda_bundle.targets import Target
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirement, Requirements, file_path

if TYPE_CHECKING:
    from lambda_bundle.foreign import Export
    from lambda_bundle.pylock import Locked


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
    found = (_read_own if law.own else _READERS[law.kind])(question)
    skip = tuple(sorted(map(canonicalize_name, selection.skip)))
    settled = law.own or law.kind == "uv"
    warnings = (*found.warnings, *_rivals(question))
    return replace(found, skip=() if settled else skip, warnings=warnings)


def source_of(law: Law, place: Place) -> Law:
    """What is to be locked, or was. Raises `BundleError` for a lock that is left over."""
    source = law.source if law.own else law
    if source is not None and not (law.own and source.is_lock):
        return source
    shown = place.shown(law.path)
    if source is None:
        message = f"{shown} was made of requirements that are not there any more"
        hint = "remove it, or write the requirements again"
    else:
        message = f"{shown} was made of requirements, and {place.shown(source.path)} is a lock by itself"
        hint = f'remove one of them, or name the other with `packaging` (such as "{source.kind}")'
    problem = Problem(code=Code.LOCK_STALE, message=message, where=Where(file=shown), hint=hint)
    raise BundleError(problem)


def _read_own(question: Question) -> Requirements:
    """A lock that `invoke lock` wrote. Raises `BundleError` unless it is of what is asked for now."""
    from lambda_bundle import lockfile, pylock  # noqa: PLC0415 - only for what is locked so

    law, place = question.law, question.place
    source = source_of(law, place)
    wanted = gather(source, place, question.selection, question.target, question.work)
    data, digest = load(law.path, place), lockfile.asked(wanted, place)
    where, hint = question.where, refreshing(law.path.name)
    lockfile.check(data, question.target, digest, where=where, source=place.shown(source.path))
    folder = place.original(law.path.parent)
    locked = pylock.choose(data, question.target, folder=folder, where=where, hint=hint)
    return replace(
        wanted,
        requirements=(),
        constraints=(),
        candidates=tuple(_restage(one, place) for one in locked.candidates),
        sources=tuple(
            replace(one, folder=one.folder and _restaged(one.folder, place)) for one in locked.sources
        ),
        exact=True,
        options=replace(wanted.options, pre=False, require_hashes=False),
        files=tuple(dict.fromkeys((law.path, *wanted.files, *wanted.wheels))),
        warnings=tuple(one for one in wanted.warnings if one.code is Code.SELECTION_UNUSED),
    )


def _restage(package: Candidates, place: Place) -> Candidates:
    """A package whose wheels are in the copy, where hooks have put them there."""
    wheels = (
        replace(wheel, url=_restaged(Path(file_path(wheel.url)), place).as_uri())
        if wheel.url.startswith("file:")
        else wheel
        for wheel in package.wheels
    )
    return replace(package, wheels=tuple(wheels))


def _restaged(path: Path, place: Place) -> Path:
    """The path in the copy for one that the copy has, and the same for others."""
    if not path.is_relative_to(place.entry):
        return path
    return place.locate(path.relative_to(place.entry).as_posix())


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
    from lambda_bundle import pylock  # noqa: PLC0415 - see above

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
    warnings = (*locked.warnings, *_unused(question, "package"))
    return replace(_locked(locked), files=(law.path,), warnings=warnings)


def _read_uv(question: Question) -> Requirements:
    from lambda_bundle import exports, pylock  # noqa: PLC0415 - see above

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


def _read_export(question: Question) -> Requirements:
    from lambda_bundle import foreign  # noqa: PLC0415 - see above

    law, place = question.law, question.place
    found = foreign.export(law, place, question.selection, question.work)
    folder = place.original(law.path.parent)
    read = _read_lines(question, found.file, resolve=lambda _, relative: folder / relative, mixed=True)
    hashed = tuple(_with_hashes(one, found.hashes) for one in read.requirements)
    names = {*(one.name for one in hashed), *(one.name for one in read.sources if one.name)}
    _check_export(question, found, names)
    unused = ("package", *(("extras",) if law.kind == "pipenv" else ()))
    return replace(
        read,
        requirements=hashed,
        exact=True,
        roots=found.roots,
        files=found.files,
        warnings=(*_left_open(question, hashed), *_unused(question, *unused)),
    )


def _check_export(question: Question, found: Export, names: Collection[str]) -> None:
    """Raise `BundleError` where a lock is for other targets; `names` are what it has for this one."""
    law, target, where = question.law, question.target, question.where
    if found.spans and not any(span.holds(target) for span in found.spans):
        told = " or ".join(map(str, found.spans))
        message = f"{where.file} is for {told}, and {target} is not that"
        hint = f"widen what it is locked for, and {REFRESH[law.kind]}; or choose a runtime that it is for"
        raise BundleError(Problem(code=Code.LOCK_UNSUITABLE, message=message, where=where, hint=hint))
    skip = set(map(canonicalize_name, question.selection.skip))
    lost = [name for name in found.certain if name not in names and name not in skip]
    if not lost:
        return
    if absent := [name for name in lost if name not in found.names]:
        message = f"{where.file} does not have {', '.join(absent)}, and the project asks for that"
        raise BundleError(Problem(code=Code.LOCK_STALE, message=message, where=where, hint=REFRESH[law.kind]))
    message = (
        f"{where.file} has {', '.join(lost)} for other targets than {target}: its markers leave that out"
    )
    hint = (
        f"lock for this Python too: widen the versions that the project admits, and {REFRESH[law.kind]}; "
        "or choose a runtime that it is for"
    )
    raise BundleError(Problem(code=Code.LOCK_UNSUITABLE, message=message, where=where, hint=hint))


def _left_open(question: Question, requirements: Iterable[Requirement]) -> Iterator[Problem]:
    """A warning about what a lock does not pin; Pipenv does that to what its markers leave out."""
    names = [one.name for one in requirements if not one.is_pinned]
    if names:
        yield Problem(
            code=Code.UNPINNED,
            message=f"the lock does not pin {', '.join(names)}: another day may bring another version",
            where=question.where,
            hint="pipenv pins nothing whose marker does not hold where it locks: lock where it does",
            severity="warning",
        )


def _with_hashes(requirement: Requirement, hashes: Mapping[tuple[str, str], tuple[str, ...]]) -> Requirement:
    version = requirement.specifier.removeprefix("==")
    return replace(requirement, hashes=requirement.hashes or hashes.get((requirement.name, version), ()))


def _read_project(question: Question) -> Requirements:
    """A pyproject.toml without a lock: what it asks for, to be resolved."""
    law, place = question.law, question.place
    data = load(law.path, place)
    elsewhere = links(law.path.parent, place, question.target.markers)
    lines, sources = _elsewhere(_declared(question, data), elsewhere.sources, question.target)
    file = question.work.folder / "requirements.project.txt"
    question.work.write(file.name, lines)
    folder = law.path.parent
    found = _read_lines(question, file, resolve=lambda _, relative: place.resolve(folder, relative))
    warning = Problem(
        code=Code.UNPINNED,
        message="nothing pins what it asks for: another day may bring other versions",
        where=question.where,
        hint="lock it, with `invoke lock` or `uv lock` for example, and keep the lock with the sources",
        severity="warning",
    )
    pinning = (warning,) if found.requirements or sources else ()
    return replace(
        found,
        sources=(*found.sources, *sources),
        files=(law.path, *elsewhere.files),
        warnings=(*pinning, *_unused(question, "package")),
    )


def _declared(question: Question, data: Mapping[str, Any]) -> list[str]:
    """The requirements of a pyproject.toml, with those of the extras and groups that were selected."""
    selection, project = question.selection, table(data, "project")
    if "dependencies" in project.get("dynamic", ()):
        message = "its dependencies are dynamic: only a build could tell them"
        raise _wrong(question, Code.INVALID_REQUIREMENT, message, "lock the project, or write them down")
    requires = str(project.get("requires-python", ""))
    if not question.target.admitted(requires):
        message = f"it requires Python {requires}, and {question.target} is not that"
        hint = "choose a runtime that it admits, or widen `requires-python`"
        raise _wrong(question, Code.PYTHON_UNSUPPORTED, message, hint)
    lines = [str(one) for one in project.get("dependencies", ())]
    optional = {canonicalize_name(name): one for name, one in table(project, "optional-dependencies").items()}
    check_names(question.where, "extra", selection.extras, optional)
    for name in selection.extras:
        lines += map(str, optional[canonicalize_name(name)])
    check_names(question.where, "dependency group", selection.groups, table(data, "dependency-groups"))
    for name in selection.groups:
        members = grouped(data, name)
        if members is None:
            message = f"the dependency group {name} is not what PEP 735 allows"
            raise _wrong(question, Code.INVALID_REQUIREMENT, message, "correct it, and what it includes")
        lines += members
    return list(_unfolded(question, lines, str(project.get("name", "")), optional))


def _unfolded(
    question: Question, lines: Iterable[str], name: str, optional: Mapping[NormalizedName, Iterable[Any]]
) -> Iterator[str]:
    """The requirements with what extras of the project itself stand for, as in `all = ["project[a]"]`."""
    waiting = list(lines)
    seen = set(map(canonicalize_name, question.selection.extras))
    for line in waiting:
        parsed = _parsed(line)
        if parsed is None or parsed.url or canonicalize_name(parsed.name) != canonicalize_name(name):
            yield line
        elif parsed.marker is None or parsed.marker.evaluate(question.target.markers):
            check_names(question.where, "extra", sorted(parsed.extras), optional)
            fresh = sorted({canonicalize_name(one) for one in parsed.extras} - seen)
            seen.update(fresh)
            waiting += [str(one) for extra in fresh for one in optional[extra]]


def _elsewhere(
    lines: list[str], sources: Mapping[str, Source], target: Target
) -> tuple[list[str], list[Source]]:
    """The requirements without those that the project says where to find, and these."""
    left: list[str] = []
    found: list[Source] = []
    for line in lines:
        parsed = _parsed(line)
        source = sources.get(canonicalize_name(parsed.name)) if parsed else None
        if parsed is None or source is None:
            left.append(line)  # if it is wrong, whoever reads it tells
        elif parsed.marker is None or parsed.marker.evaluate(target.markers):
            found.append(replace(source, extras=tuple(sorted(map(canonicalize_name, parsed.extras)))))
    return left, found


def _parsed(line: str) -> Declared | None:
    try:
        return Declared(line)
    except InvalidRequirement:
        return None


def _wrong(question: Question, code: Code, message: str, hint: str) -> BundleError:
    message = f"{question.where.file}: {message}"
    return BundleError(Problem(code=code, message=message, where=question.where, hint=hint))


def _read_lines(
    question: Question, file: Path, *, resolve: Callable[[Path, str], Path], mixed: bool = False
) -> Requirements:
    """Requirements in a file of ours; the places of problems are in the law."""
    try:
        found = read(
            file,
            markers=question.target.markers,
            environ={},
            shown=lambda path: question.place.shown(question.law.path if path == file else path),
            resolve=resolve,
            mixed=mixed,
        )
    except BundleError as error:
        problems = (replace(one, where=question.where) for one in error.problems)
        raise BundleError(*dict.fromkeys(problems)) from None
    where = question.where
    return replace(
        found,
        requirements=tuple(replace(one, where=where) for one in found.requirements),
        sources=tuple(replace(one, where=where) for one in found.sources),
    )


_READERS: dict[str, Callable[[Question], Requirements]] = {
    "uv": _read_uv,
    "pylock": _read_pylock,
    "requirements": _read_requirements,
    "project": _read_project,
    "poetry": _read_export,
    "pipenv": _read_export,
    "pdm": _read_export,
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


def unused(selection: Selection, entry: str) -> tuple[Problem, ...]:
    """A note for each key that selects among dependencies, for an entry that has none.

    It may be a default, which others need; and what is missing, imports tell.
    """
    return tuple(
        Problem(
            code=Code.SELECTION_UNUSED,
            message=f"`{key}` is set, and {entry} has no file that says what to install",
            where=Where(key=key),
            hint=f"leave out `{key}`, or name the file with `requirements`",
            severity="note",
        )
        for key in ("groups", "extras", "package", "skip", "sdists")
        if getattr(selection, key)
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
