"""Locks of Poetry, Pipenv and PDM, as those tools export them: requirements, pinned and hashed.

None of them is a dependency of ours. Each runs in a private copy of the two or three files that it reads:
some write virtual environments, caches or even locks beside them. The copy lies below a private folder at the
path that the original has from the root of the disk, so that what the tool says of `../lib` leads back.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from lambda_bundle.entries import Packaging
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.exports import quiet
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Selection
from lambda_bundle.process import Completed
from lambda_bundle.projects import PROJECT, REFRESH, Law, Place, check_names, declared, load, table
from lambda_bundle.targets import Target

_EXPORT = "requirements.export.txt"
_NOT_SHOWN_ON_WINDOWS = frozenset[Packaging]({"poetry", "pipenv", "pdm"})
"""The exports that no test has run on Windows."""
_FILES: Mapping[str, tuple[str, ...]] = {
    "poetry": (PROJECT, "poetry.lock", "poetry.toml"),
    "pipenv": ("Pipfile", "Pipfile.lock"),
    "pdm": (PROJECT, "pdm.lock", "pdm.toml"),
}
_INSTALL: Mapping[str, str] = {
    "poetry": "install it, with its export plugin: uv tool install poetry --with poetry-plugin-export",
    "pipenv": "install it: uv tool install pipenv",
    "pdm": "install it: uv tool install pdm",
}
_ENVIRONMENT = {
    "POETRY_NO_INTERACTION": "1",
    "POETRY_VIRTUALENVS_CREATE": "false",
    "NO_COLOR": "1",
    "PIPENV_IGNORE_VIRTUALENVS": "1",
    "PIPENV_VERBOSITY": "-1",
    "PIPENV_NOSPIN": "1",
    "PDM_CHECK_UPDATE": "0",
    "PDM_USE_VENV": "0",
    "PDM_IGNORE_SAVED_PYTHON": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a tool says of its lock."""

    file: Path
    """In the format of requirements.txt."""
    hashes: Mapping[tuple[str, str], tuple[str, ...]]
    """Those of name and version, where the file itself has none."""
    roots: tuple[str, ...]
    """What the project itself asks for."""
    files: tuple[Path, ...]
    """Everything that decided."""
    certain: tuple[str, ...]
    """What the project asks for by a version alone, whatever the target: each must be in the list."""
    spans: tuple[Span, ...] = ()
    """What the lock is for; empty where the markers in the list tell."""

    @property
    def names(self) -> frozenset[str]:
        """Every name in the list, whether or not its marker holds."""
        found = map(_LISTED.match, self.file.read_text(encoding="utf-8").splitlines())
        return frozenset(canonicalize_name(match[0]) for match in found if match)


_LISTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Span:
    """The versions of Python and the platform that a lock was made for."""

    requires_python: str
    """As PEP 440 writes it; empty for all."""
    platform: str
    """In PDM's words, such as manylinux_2_17_x86_64; empty for all."""

    def holds(self, target: Target) -> bool:
        """Whether a target is among them."""
        if not target.admitted(self.requires_python):
            return False
        family, machine = re.split(r"[_\d]", self.platform, maxsplit=1)[0], target.machine
        return not self.platform or (family in _LINUX and self.platform.endswith(("linux", machine)))

    def __str__(self) -> str:
        python = f"Python {self.requires_python}" if self.requires_python else "every Python"
        return f"{python} on {self.platform}" if self.platform else python


_LINUX = frozenset({"linux", "manylinux", "musllinux"})


def refuse_on(system: str, kind: Packaging) -> None:
    """Raise `BundleError` for an export that was not shown to work on this system (`sys.platform`)."""
    if system == "win32" and kind in _NOT_SHOWN_ON_WINDOWS:
        raise BundleError(
            Problem(
                code=Code.WINDOWS_EXPORT_UNSUPPORTED,
                message=f"what {kind} exports from its lock was not shown to work on Windows",
                hint="export it elsewhere to requirements.txt or pylock.toml, or lock with uv",
            )
        )


def export(law: Law, place: Place, selection: Selection, work: Work) -> Export:
    """What the lock says, for every target. Raises `BundleError`."""
    refuse_on(sys.platform, law.kind)
    kind, shown = law.kind, place.shown(law.path)
    work = quiet(work)
    if shutil.which(kind, path=work.environ.get("PATH")) is None:
        raise BundleError(
            Problem(
                code=Code.COMMAND_FAILED,
                message=f"{kind} is not installed, and {shown} is its lock",
                where=Where(file=shown),
                hint=_INSTALL[kind],
            )
        )
    private = work.folder.resolve()
    original = place.original(law.path.parent)
    folder = private.joinpath(*(part.rstrip(":\\/") for part in original.parts if part.strip("/\\")))
    folder.mkdir(parents=True, exist_ok=True)
    copied = [law.path.with_name(name) for name in _FILES[kind] if law.path.with_name(name).is_file()]
    for path in copied:
        shutil.copyfile(path, folder / path.name)
    tool = _Tool(law=law, place=place, selection=selection, folder=folder, work=work)
    said = _TOOLS[kind](tool)
    exported = folder / _EXPORT
    text = exported.read_text(encoding="utf-8")
    exported.write_text(_led_back(text, private), encoding="utf-8")
    return Export(
        file=exported,
        hashes=said.hashes,
        roots=said.roots,
        files=tuple(copied),
        certain=said.certain,
        spans=said.spans,
    )


def _led_back(text: str, private: Path) -> str:
    """The text with the paths of the originals in place of those of the copy."""
    for prefix in (private.as_uri(), private.as_posix()):
        text = text.replace(prefix, "file://" if prefix.startswith("file:") else "")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """One call of a tool."""

    law: Law
    place: Place
    selection: Selection
    folder: Path
    """The private copy."""
    work: Work

    def run(self, *arguments: str, stdout: Path | None = None) -> Completed:
        return self.work.children.run(
            [self.law.kind, *arguments],
            cwd=self.folder,
            environ={**self.work.environ, **_ENVIRONMENT},
            timeout=self.work.timeout,
            secrets=self.work.secrets,
            stdout=stdout,
        )

    @property
    def shown(self) -> str:
        return self.place.shown(self.law.path)

    @property
    def where(self) -> Where:
        return Where(file=self.shown)

    def problem(
        self, code: Code, why: str, *, hint: str | None = None, completed: Completed | None = None
    ) -> BundleError:
        """The error about the lock; by default it is to be made anew."""
        folder = self.place.shown(self.law.path.parent)
        return BundleError(
            Problem(
                code=code,
                message=f"{self.shown} {why}",
                where=self.where,
                hint=hint or f"{REFRESH[self.law.kind]} in {folder}",
                detail=completed.output.strip() if completed else None,
            )
        )

    def stale(self, completed: Completed | None = None) -> BundleError:
        return self.problem(Code.LOCK_STALE, "is older than what it locks", completed=completed)

    def failure(self, completed: Completed) -> BundleError:
        return completed.failure(f"{self.law.kind}, asked for {self.shown},", hint="run the command by hand")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a tool's own files say; see `Export`."""

    roots: tuple[str, ...]
    certain: tuple[str, ...]
    hashes: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


def _certain(tables: Iterable[Mapping[str, Any]], keys: frozenset[str]) -> set[NormalizedName]:
    """What tables of dependencies ask for by a version alone: with these keys and no others."""
    return {
        canonicalize_name(name)
        for one in tables
        for name, asked in one.items()
        if isinstance(asked, str) or (isinstance(asked, dict) and asked.keys() <= keys)
    }


# --- Poetry 1 and 2

_POETRY_STALE = re.compile(r"changed significantly|not (?:consistent|up to date) with pyproject\.toml")
_POETRY_NO_EXPORT = re.compile(r'command "?export"? (?:does not exist|is not defined)')
_POETRY_BROKEN = re.compile(
    r"TOMLError|[Uu]nable to read the lock file|[Ii]nvalid lock|Expected '|lock file is not compatible"
    r"|could not be parsed|in a key/value pair|does not have a metadata entry|Unexpected (?:end|character)"
)
_POETRY_OTHER = re.compile(r"requires Poetry \S.* but you are using")
_POETRY_UNKNOWN = re.compile(r"Extra(?:s)? \[|Group\(s\) not found")


def poetry_arguments(selection: Selection) -> list[str]:
    """`poetry export` to a file in the current folder; without --with, only the main dependencies.

    The file has the credentials that Poetry knows for its sources: uv and pip would not know them.
    """
    return [
        *("export", "--no-interaction", "--no-ansi", "--format", "requirements.txt", "--output", _EXPORT),
        "--with-credentials",
        *(part for extra in selection.extras for part in ("--extras", extra)),
        *(part for group in selection.groups for part in ("--with", group)),
    ]


def _poetry(tool: _Tool) -> _Said:
    load(tool.law.path, tool.place)
    completed = tool.run(*poetry_arguments(tool.selection))
    output = completed.output
    if _POETRY_STALE.search(output):
        raise tool.stale(completed)
    if completed.code or not (tool.folder / _EXPORT).is_file():
        if _POETRY_NO_EXPORT.search(output):
            hint = "install its plugin: poetry self add poetry-plugin-export"
            raise completed.failure("poetry, which lacks its export plugin,", hint=hint)
        if _POETRY_UNKNOWN.search(output):
            _check_poetry_names(tool)
            hint = "correct `groups` or `extras`: they name what the pyproject.toml declares"
            why = "is for a project without what was selected"
            raise tool.problem(Code.UNKNOWN_SELECTION, why, hint=hint, completed=completed)
        if _POETRY_BROKEN.search(output):
            raise tool.problem(Code.LOCK_INVALID, "cannot be read", completed=completed)
        if _POETRY_OTHER.search(output):
            hint = "let the one that `requires-poetry` admits come first on PATH"
            raise completed.failure("poetry, which the project does not admit,", hint=hint)
        raise tool.failure(completed)
    data = load(tool.law.path.with_name(PROJECT), tool.place)
    groups = table(data, "tool", "poetry", "group")
    tables = [
        table(data, "tool", "poetry", "dependencies"),
        *(table(groups, group, "dependencies") for group in tool.selection.groups),
    ]
    roots = {canonicalize_name(name) for one in tables for name in one}
    # In a table of Poetry's there may be more about what [project] lists.
    plain = _certain(tables, frozenset({"version", "extras", "source", "allow-prereleases"}))
    certain = (plain | set(declared(data, tool.selection, certain=True))) - (roots - plain) - {"python"}
    every = (roots | set(declared(data, tool.selection))) - {"python"}
    return _Said(roots=tuple(sorted(every)), certain=tuple(sorted(certain)))


def _check_poetry_names(tool: _Tool) -> None:
    """Raise `BundleError` for extras and groups that are in neither form of a project."""
    data = load(tool.law.path.with_name(PROJECT), tool.place)
    extras = [*table(data, "tool", "poetry", "extras"), *table(data, "project", "optional-dependencies")]
    check_names(tool.where, "extra", tool.selection.extras, extras)
    groups = [*table(data, "tool", "poetry", "group"), *table(data, "dependency-groups")]
    check_names(tool.where, "dependency group", tool.selection.groups, groups)


# --- Pipenv


def pipenv_arguments(selection: Selection, *, index: bool) -> list[str]:
    """`pipenv requirements` to stdout; `index`: with the indexes of the Pipfile."""
    categories = ["packages", *("dev-packages" if one == "dev" else one for one in selection.groups)]
    return [
        *("requirements", "--hash", *(() if index else ("--exclude-index",))),
        *(("--categories", " ".join(categories)) if selection.groups else ()),
    ]


def _pipenv(tool: _Tool) -> _Said:
    try:
        lock: dict[str, Any] = json.loads(tool.law.path.read_text(encoding="utf-8"))
        sources = [str(one.get("url")) for one in table(lock, "_meta").get("sources", ())]
    except (OSError, ValueError, AttributeError):
        raise tool.problem(Code.LOCK_INVALID, "cannot be read") from None
    known = ["dev", *(name for name in lock if name not in {"_meta", "default", "develop"})]
    check_names(tool.where, "category", tool.selection.groups, known)
    if (tool.folder / "Pipfile").is_file():
        verified = tool.run("verify")
        if verified.code:
            stale = "out-of-date" in verified.output or "out of date" in verified.output
            raise tool.stale(verified) if stale else tool.failure(verified)
    # The one source that every new Pipfile has is the default index: whoever configured another, means that.
    default = len(sources) == 1 and _DEFAULT_INDEX.fullmatch(sources[0]) is not None
    arguments = pipenv_arguments(tool.selection, index=not default)
    completed = tool.run(*arguments, stdout=tool.folder / _EXPORT)
    if completed.code:
        raise tool.failure(completed)
    pipfile = tool.law.path.with_name("Pipfile")
    data = load(pipfile, tool.place) if pipfile.is_file() else {}
    sections = ["packages", *("dev-packages" if one == "dev" else one for one in tool.selection.groups)]
    tables = [table(data, section) for section in sections]
    names = {canonicalize_name(name) for one in tables for name in one}
    certain = _certain(tables, frozenset({"version", "extras", "index"}))
    return _Said(roots=tuple(sorted(names)), certain=tuple(sorted(certain)))


_DEFAULT_INDEX = re.compile(r"https?://(?:www\.)?pypi\.(?:python\.)?org/simple/?")


# --- PDM


def pdm_arguments(selection: Selection, developing: tuple[str, ...]) -> list[str]:
    """`pdm export` to a file in the current folder; `developing` are the groups that are for development.

    Hashes come from the lock itself: PDM refuses to write any where something local is among the packages.
    """
    asked = [*selection.extras, *selection.groups]
    others = [one for one in developing if one not in asked]
    # --prod is not allowed with a group for development, and without it all of them come.
    without = [part for one in others for part in ("--without", one)]
    return [
        *("export", "--format", "requirements", "--no-hashes", "--output", _EXPORT),
        *(["--prod"] if len(others) == len(developing) else without),
        *(part for one in asked for part in ("--group", one)),
    ]


_PDM_BARE = "inherit_metadata"
_PDM_STALE = re.compile(r"satisfy|not compatible|hash doesn't match")


def _pdm(tool: _Tool) -> _Said:
    lock = load(tool.law.path, tool.place)
    data = load(tool.law.path.with_name(PROJECT), tool.place)
    known = [str(one) for one in table(lock, "metadata").get("groups", ()) if one != "default"]
    check_names(tool.where, "group or extra", (*tool.selection.extras, *tool.selection.groups), known)
    checked = tool.run("lock", "--check")
    if checked.code:
        raise tool.stale(checked) if _PDM_STALE.search(checked.output) else tool.failure(checked)
    _admit_every_python(tool.folder / PROJECT)
    groups = {*table(data, "dependency-groups"), *table(data, "tool", "pdm", "dev-dependencies")}
    developing = tuple(one for one in known if one in groups)
    completed = tool.run(*pdm_arguments(tool.selection, developing))
    if completed.code:
        if _PDM_BARE in completed.output:
            why, hint = "does not say on what its packages depend", f"run `pdm lock --strategy {_PDM_BARE}`"
            raise tool.problem(Code.LOCK_UNSUITABLE, why, hint=hint, completed=completed)
        raise tool.failure(completed)
    hashes: dict[tuple[str, str], tuple[str, ...]] = {
        (canonicalize_name(str(one.get("name"))), str(one.get("version"))): tuple(_file_hashes(one))
        for one in lock.get("package", ())
    }
    return _Said(
        roots=tuple(declared(data, tool.selection)),
        certain=tuple(declared(data, tool.selection, certain=True)),
        hashes=hashes,
        spans=tuple(_pdm_spans(lock, data)),
    )


def _pdm_spans(lock: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Span]:
    """What is exported has no markers for it: each target of the lock, or what the project admits."""
    python = str(table(data, "project").get("requires-python", ""))
    for one in table(lock, "metadata").get("targets") or [{}]:
        yield Span(str(one.get("requires_python", python)), str(one.get("platform", "")))


def _file_hashes(package: Mapping[str, Any]) -> Iterator[str]:
    for file in package.get("files", ()):
        if "hash" in file:
            yield str(file["hash"])


def _admit_every_python(project: Path) -> None:
    """Without a Python that the project admits, PDM would download one, and only to copy a list."""
    text = project.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^requires-python\s*=.*$", 'requires-python = ">=3.7"', text)
    project.write_text(text, encoding="utf-8")


_TOOLS: Mapping[str, Callable[[_Tool], _Said]] = {"poetry": _poetry, "pipenv": _pipenv, "pdm": _pdm}
