"""Which file is the law for the dependencies of an entry.

A lock comes before what is not locked, and what is nearer before what is further away. Which files belong to
which tool stands in `LOCKS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli
from packaging.dependency_groups import DependencyGroupResolver
from packaging.errors import ExceptionGroup
from packaging.utils import NormalizedName, canonicalize_name

from lambda_bundle.entries import Packaging, lock_name
from lambda_bundle.errors import BundleError, Code, Problem, Where, nearest_or_all
from lambda_bundle.jobs import Selection

REQUIREMENTS, PROJECT = "requirements.txt", "pyproject.toml"
LOCKS: Mapping[Packaging, str] = {
    "uv": "uv.lock",
    "poetry": "poetry.lock",
    "pdm": "pdm.lock",
    "pipenv": "Pipfile.lock",
    "pylock": "pylock.toml",
}
REFRESH: Mapping[Packaging, str] = {
    "uv": "run `uv lock`",
    "poetry": "run `poetry lock`",
    "pdm": "run `pdm lock`",
    "pipenv": "run `pipenv lock`",
    "pylock": "write it anew with the tool that made it, such as `uv export --format pylock.toml`",
}
"""How each lock is brought up to date, for hints."""
_OF_PROJECTS: tuple[Packaging, ...] = ("uv", "poetry", "pdm", "pylock")
"""Those that lock what a pyproject.toml declares."""
_UNLOCKED: tuple[tuple[str, Packaging], ...] = (("Pipfile", "pipenv"), (PROJECT, "poetry"))
"""What declares dependencies that only its tool can lock."""
_NAMED_LOCK = re.compile(r"pylock\.([^.]+)\.toml")  # PEP 751
TOOL = CREATOR = "lambda-bundle"
"""How our own locks say that they are ours: `[tool.lambda-bundle]`, `created-by`."""
_OURS = re.compile(rf'^(\[+tool\.{TOOL}\b|created-by = "{CREATOR}")', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An entry's source folder and, where hooks have worked, the staged copy that stands for it."""

    root: Path
    """The folder of `bundles.toml`."""
    entry: Path
    """The entry's own folder, absolute."""
    staged: Path | None = None
    brought: frozenset[str] = frozenset()
    """What came into the copy before any hook ran, relative to it with `/`."""

    def resolve(self, folder: Path, relative: str) -> Path:
        """An absolute path for one that a file in `folder` names.

        What a staged file names is looked for in the copy, and beside the original where the copy has none:
        `-r ../common.txt` leads out of the copy.
        """
        path = Path(os.path.normpath(folder / relative))
        inside = self._inside(folder)
        if self.staged is None or inside is None:
            return path
        if self._inside(path) is not None and path.exists():
            return path
        return Path(os.path.normpath(self.entry / inside / relative))

    def locate(self, relative: str) -> Path:
        """Where a file of the entry is: in the copy, or beside the sources if it was left out of the copy.

        What an exclude keeps out of the bundle counts all the same; what a hook has removed is gone.
        """
        if self.staged is None:
            return self.entry / relative
        path = self.staged / relative
        left_out = not os.path.lexists(path) and Path(relative).as_posix() not in self.brought
        return self.entry / relative if left_out else path

    def original(self, path: Path) -> Path:
        """The path beside the sources for one in the copy."""
        inside = self._inside(path)
        return path if inside is None else self.entry / inside

    def shown(self, path: Path) -> str:
        """A path as the user knows it: not in the copy, and relative to `bundles.toml` if below it."""
        path, root = (Path(os.path.normpath(one)) for one in (self.original(path), self.root))
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def _inside(self, path: Path) -> Path | None:
        if self.staged is None or not path.is_relative_to(self.staged):
            return None
        return path.relative_to(self.staged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The file that says what to install."""

    kind: Packaging
    path: Path
    """The lock, requirements file or pyproject.toml itself."""
    project: Path
    """The folder of the project that it is asked for: the entry's own, or in a workspace the member's."""
    others: tuple[Path, ...] = ()
    """What else could have been meant."""
    own: bool = False
    """Whether `invoke lock` wrote it."""
    source: Law | None = None
    """What would be the law without such a lock, and what it was made of; None: nothing is."""

    @property
    def is_lock(self) -> bool:
        """Whether it pins what is installed."""
        return self.kind in LOCKS


def refreshing(file: str) -> str:
    """How a lock that `invoke lock` wrote is brought up to date."""
    match = _NAMED_LOCK.fullmatch(file.rpartition("/")[2])
    return f"run `invoke lock --only {match[1] if match else 'NAME'}`"


def find(place: Place, selection: Selection, name: str) -> Law | None:
    """The file that the dependencies of the entry called `name` are written in; None: it has none.

    Raises `BundleError` where `bundles.toml` asks for a file that is not there, and where a tool declares
    dependencies and has not locked them.

    A lock that `invoke lock` wrote comes before all others, also where `bundles.toml` names what it was made
    of; not where that names the lock of another tool.
    """
    own = place.locate(lock_name(name))
    if not _is_ours(own):
        return _find(place, selection, name)
    if selection.requirements is not None:
        source: Law | None = _pointed(place, selection.requirements, selection)
        if source is not None and source.path == own:
            source = _find(place, replace(selection, requirements=None, packaging=None), name, without=own)
        elif source is not None and source.is_lock:
            return source
    elif selection.packaging in LOCKS and selection.packaging != "pylock":
        return _find(place, selection, name)
    else:
        unpinned = None if selection.packaging == "pylock" else selection.packaging
        source = _find(place, replace(selection, packaging=unpinned), name, without=own)
    others = source.others if source is not None else ()
    return Law(kind="pylock", path=own, project=own.parent, others=others, own=True, source=source)


def _is_ours(path: Path) -> bool:
    """Whether a file is a lock that `invoke lock` wrote, whatever has become of it since."""
    try:
        return _OURS.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def _find(place: Place, selection: Selection, name: str, *, without: Path | None = None) -> Law | None:
    if selection.requirements is not None:
        return _pointed(place, selection.requirements, selection)
    found = [
        one
        for one in _beside(place, selection, name)
        if selection.packaging in {None, one.kind} and one.path != without
    ]
    if found:
        others = () if selection.packaging else tuple(one.path for one in found[1:] if _rivals(found[0], one))
        return replace(found[0], others=others)
    if selection.packaging is not None:
        raise _absent(place, selection.packaging)
    for file, kind in _UNLOCKED:
        path = place.locate(file)
        if path.is_file() and (file != PROJECT or _is_poetry(path, place)):
            raise _unlocked(path, kind, place)
    return None


def places(place: Place, name: str, selection: Selection) -> Iterator[Path]:
    """Every place where a file would be a law for the entry called `name`."""
    if selection.requirements is not None:
        for folder in (place.root, place.entry):
            yield Path(os.path.normpath(folder / selection.requirements.replace("\\", "/")))
    for file in (lock_name(name), *LOCKS.values(), PROJECT, REQUIREMENTS):
        yield place.entry / file
    for folder in Path(os.path.normpath(place.entry)).parents:
        yield folder / LOCKS["uv"]


def load(path: Path, place: Place) -> dict[str, Any]:
    """A TOML file as plain data. Raises `BundleError` when it cannot be read."""
    line = None
    try:
        return tomli.loads(path.read_text(encoding="utf-8-sig"))
    except tomli.TOMLDecodeError as error:
        why, line = "is not valid TOML", error.lineno
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except RecursionError:
        why = "is nested too deeply"
    shown = place.shown(path)
    refresh = next((REFRESH[kind] for kind, name in LOCKS.items() if name == path.name), None)
    if refresh is None and _NAMED_LOCK.fullmatch(path.name):
        refresh = refreshing(path.name) if _is_ours(path) else REFRESH["pylock"]
    where = Where(file=shown, line=line)
    code = Code.LOCK_INVALID if refresh else Code.INVALID_REQUIREMENT
    raise BundleError(Problem(code=code, message=f"{shown} {why}", where=where, hint=refresh))


def table(data: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The table at a path; an empty one where there is none."""
    value: Any = data
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _beside(place: Place, selection: Selection, name: str) -> Iterator[Law]:
    """Every file that could be meant, the most specific first."""
    named = place.locate(lock_name(name))
    if name and os.path.lexists(named):
        yield Law(kind="pylock", path=named, project=named.parent)
    for kind, lock in LOCKS.items():
        path = place.locate(lock)
        if os.path.lexists(path):
            yield Law(kind=kind, path=path, project=path.parent)
    own = place.locate(PROJECT)
    workspace = _enclosing(place, own, selection)
    if workspace is not None:
        yield Law(kind="uv", path=workspace, project=place.entry if own.is_file() else workspace.parent)
    path = place.locate(REQUIREMENTS)
    if os.path.lexists(path):  # what is no file is an error of whoever reads it
        yield Law(kind="requirements", path=path, project=path.parent)
    if own.is_file() and "project" in (data := load(own, place)):
        bare = "dependencies" not in data["project"] and not selection.groups and not selection.extras
        if not (bare and _is_poetry(own, place)):
            yield Law(kind="project", path=own, project=own.parent)


def _rivals(law: Law, other: Law) -> bool:
    """Whether a file is another answer to the same question: a lock is no rival of its own pyproject.toml."""
    return other.kind != "project" and other.path != law.path


def _enclosing(place: Place, own: Path, selection: Selection) -> Path | None:
    """The uv.lock of the workspace that the entry is a member of, or that has the package asked for."""
    for folder in Path(os.path.normpath(place.entry)).parents:
        lock = folder / LOCKS["uv"]
        if not os.path.lexists(lock):
            continue
        if selection.package is not None or (own.is_file() and _is_member(place, folder)):
            return lock
    return None


def _is_member(place: Place, root: Path) -> bool:
    """Whether uv counts the entry into the workspace: by its patterns, or by what is locked already."""
    entry = Path(os.path.normpath(place.entry))
    if not entry.is_relative_to(root):
        return False
    relative = entry.relative_to(root).as_posix()
    project = root / PROJECT
    workspace = table(load(project, place), "tool", "uv", "workspace") if project.is_file() else {}
    if any(_matches(relative, str(one)) for one in workspace.get("exclude", ())):
        return False
    if any(_matches(relative, str(one)) for one in workspace.get("members", ())):
        return True
    return relative in members(load(root / LOCKS["uv"], place)).values()


def members(lock: Mapping[str, Any]) -> dict[str, str]:
    """The local projects that a uv.lock holds, by name, with their folders relative to it."""
    found = {}
    for package in lock.get("package", ()):
        source = table(package, "source")
        place = source.get("editable") or source.get("virtual") or source.get("directory")
        if place is not None:
            found[str(package["name"])] = str(place)
    return found


def _matches(path: str, pattern: str) -> bool:
    """Whether a path matches a pattern of `members`, where `*` stays within a folder and `**` does not."""

    def match(parts: list[str], wanted: list[str]) -> bool:
        if not wanted:
            return not parts
        if wanted[0] == "**":
            return any(match(parts[skipped:], wanted[1:]) for skipped in range(len(parts) + 1))
        return bool(parts) and fnmatchcase(parts[0], wanted[0]) and match(parts[1:], wanted[1:])

    wanted = [part for part in pattern.split("/") if part not in {"", "."}]
    return match(path.split("/"), wanted)


def _pointed(place: Place, written: str, selection: Selection) -> Law:
    """The file that the key `requirements` names."""
    relative = written.replace("\\", "/")
    inside = Path(os.path.normpath(place.root / relative))
    if inside.is_relative_to(os.path.normpath(place.entry)):
        inside = place.locate(inside.relative_to(os.path.normpath(place.entry)).as_posix())
    paths = (inside, place.locate(os.path.normpath(relative)))
    path = next((Path(os.path.normpath(one)) for one in paths if os.path.lexists(one)), None)
    if path is None:
        message = f'there is no file "{written}", beside bundles.toml or in the entry'
        hint = "`requirements` names a file relative to bundles.toml, or else to the entry"
        where = Where(file=place.shown(inside))
        raise BundleError(Problem(code=Code.REQUIREMENTS_MISSING, message=message, where=where, hint=hint))
    kind = _kind(path.name)
    locker = _locker(path, selection, place)
    if locker is not None:
        kind = locker
        path = path.with_name(LOCKS[kind])
        if not os.path.lexists(path):
            raise _unlocked(path.with_name(Path(relative).name), kind, place)
    if selection.packaging not in {None, kind}:
        message = f'{place.shown(path)} is no file of packaging = "{selection.packaging}"'
        where = Where(file=place.shown(path))
        hint = f'leave out `packaging`, or write packaging = "{kind}"'
        raise BundleError(Problem(code=Code.INVALID_OPTION, message=message, where=where, hint=hint))
    member = kind == "uv" and place.locate(PROJECT).is_file() and _is_member(place, path.parent)
    return Law(kind=kind, path=path, project=place.entry if member else path.parent)


def _locker(path: Path, selection: Selection, place: Place) -> Packaging | None:
    """Whose lock, beside it, stands for a file that declares dependencies; None where it is no such file.

    What is locked comes before what is not, here as elsewhere.
    """
    if path.name == "Pipfile":
        return selection.packaging or "pipenv"
    if path.name != PROJECT or (selection.packaging is not None and selection.packaging not in LOCKS):
        return None
    beside = (kind for kind in _OF_PROJECTS if os.path.lexists(path.with_name(LOCKS[kind])))
    bare = "dependencies" not in table(load(path, place), "project")
    return selection.packaging or next(beside, "poetry" if bare and _is_poetry(path, place) else None)


def _kind(name: str) -> Packaging:
    """What a file of this name is."""
    if _NAMED_LOCK.fullmatch(name):
        return "pylock"
    if name == PROJECT:
        return "project"
    return next((kind for kind, lock in LOCKS.items() if lock == name), "requirements")


def declared(data: Mapping[str, Any], selection: Selection, *, certain: bool = False) -> list[NormalizedName]:
    """The names of the packages that a pyproject.toml asks for itself (PEP 621 and 735).

    `certain`: only what it asks for by a version alone, whatever the target.
    """
    project = table(data, "project")
    extras = {canonicalize_name(name) for name in selection.extras}
    optional = table(project, "optional-dependencies")
    texts = [str(one) for one in project.get("dependencies", ())]
    texts += [str(one) for name in optional if canonicalize_name(name) in extras for one in optional[name]]
    for group in selection.groups:
        texts += grouped(data, group) or ()
    texts = [text for text in texts if not (certain and re.search("[;@]", text))]
    names = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text) for text in texts)
    return sorted({canonicalize_name(match[1]) for match in names if match})


def grouped(data: Mapping[str, Any], group: str) -> list[str] | None:
    """The requirements of a dependency group, with those that it includes; None where it is not well made."""
    try:
        resolver = DependencyGroupResolver(table(data, "dependency-groups"))
        return [str(one) for one in resolver.resolve(group)]
    except (ValueError, LookupError, TypeError, ExceptionGroup):
        return None


def _is_poetry(path: Path, place: Place) -> bool:
    """Whether a pyproject.toml declares dependencies that only Poetry understands."""
    declared = table(load(path, place), "tool", "poetry", "dependencies")
    return bool(declared.keys() - {"python"})


def _absent(place: Place, kind: Packaging) -> BundleError:
    names = {"requirements": REQUIREMENTS, "project": f"{PROJECT} with [project]", **LOCKS}
    entry = place.shown(place.entry)
    above = ", nor in a workspace around it" if kind == "uv" else ""
    return BundleError(
        Problem(
            code=Code.LOCK_MISSING,
            message=f'packaging = "{kind}", and there is no {names[kind]} in {entry}{above}',
            where=Where(file=entry),
            hint=REFRESH.get(kind, "write one, or name it with `requirements`"),
        )
    )


def _unlocked(path: Path, kind: Packaging, place: Place) -> BundleError:
    shown = place.shown(path)
    return BundleError(
        Problem(
            code=Code.LOCK_MISSING,
            message=f"{shown} declares dependencies, and there is no {LOCKS[kind]} beside it",
            where=Where(file=shown),
            hint=f"{REFRESH[kind]}, and keep the lock with the sources",
        )
    )


def check_names(where: Where, what: str, wanted: Iterable[str], known: Collection[str]) -> None:
    """Raise `BundleError` for an extra, a group or a package that a file does not have; `where` names it.

    Names that mean the same are the same (PEP 685, PEP 735).
    """
    there = {canonicalize_name(one) for one in known}
    for name in wanted:
        if canonicalize_name(name) not in there:
            raise BundleError(
                Problem(
                    code=Code.UNKNOWN_SELECTION,
                    message=f"{where.file} has no {what} called {name}",
                    where=where,
                    hint=nearest_or_all(name, known),
                )
            )
