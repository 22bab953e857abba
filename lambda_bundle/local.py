"""Local Python projects: which of their files count, and which others they say their dependencies are.

Tools let a project say where to find a dependency that is not on any index: uv in `[tool.uv.sources]`
(https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources), Poetry in
`[tool.poetry.dependencies]` (https://python-poetry.org/docs/dependency-specification/).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli
from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import Source
from lambda_bundle.projects import Place
from lambda_bundle.stage import DEFAULT_EXCLUDES, Tree, file_mode, scan

_FILE = "pyproject.toml"
_EXCLUDES = (
    # A build backend may choose files by these two.
    *(one for one in DEFAULT_EXCLUDES if one not in {".gitignore", ".gitattributes", "*.py[cod]"}),
    "*.py[co]",
    # What builds leave behind; setuptools would put a stale build/lib into the next wheel.
    *("/build/lib/", "/build/lib.*/", "/build/bdist.*/", "/build/temp.*/"),
    *("/dist/*.whl", "/dist/*.tar.gz", "/dist/.gitignore"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The files of a local project, and a digest of their names, permissions and contents."""

    folder: Path
    files: Tree
    digest: str


def look(folder: Path, *, skip: Path | None = None) -> Project:
    """The project in a folder; `skip` is one that is left out (the output).

    Raises `BundleError` where there is none, and for what cannot be read.
    """
    files = scan(folder, exclude=_EXCLUDES, environments=False, skip=skip)
    if not {_FILE, "setup.py"} & files.keys():
        message = "it is no Python project, for it has neither pyproject.toml nor setup.py"
        hint = "name the folder that has one of them; `build-system` in it says how the project is built"
        raise BundleError(Problem(code=Code.SOURCE_REQUIREMENT, message=message, hint=hint))
    parts = [
        [path, f"{file_mode(source):o}", hashlib.sha256(source.read_bytes()).hexdigest()]
        for path, source in files.items()
    ]
    return Project(folder=folder, files=files, digest=hashlib.sha256(json.dumps(parts).encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the dependencies of a project are that it does not want from an index, by name."""

    sources: Mapping[str, Source]
    files: tuple[Path, ...]
    """What outside the project says so: the pyproject.toml of its workspace, and of the members."""


def links(folder: Path, place: Place, markers: Mapping[str, str]) -> Links:
    """What a project, and the uv workspace that it is a member of, say of their dependencies."""
    document = _load(folder / _FILE)
    workspace = _workspace(place.original(folder))
    found: dict[str, Source] = {}
    if workspace is not None:
        found |= _of_uv(workspace.document, workspace.root, workspace, place, markers)
    found |= _of_uv(document, folder, workspace, place, markers)
    found |= _of_poetry(document, folder, place, markers)
    return Links(sources=found, files=() if workspace is None else workspace.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workspace:
    """A uv workspace (https://docs.astral.sh/uv/concepts/projects/workspaces/)."""

    root: Path
    document: Mapping[str, Any]
    members: Mapping[str, Path]
    """Folders by the name of the project."""
    files: tuple[Path, ...]


def _workspace(folder: Path) -> _Workspace | None:
    for root in (folder, *folder.parents):
        document = _load(root / _FILE)
        table = _table(document, "tool", "uv", "workspace")
        if not table:
            continue
        folders = {root, *_globbed(root, table.get("members"))} - _globbed(root, table.get("exclude"))
        if folder not in folders:
            continue
        files = sorted(one / _FILE for one in folders if (one / _FILE).is_file())
        names = {file.parent: _table(_load(file), "project").get("name") for file in files}
        members: dict[str, Path] = {
            canonicalize_name(name): one for one, name in names.items() if isinstance(name, str)
        }
        return _Workspace(root=root, document=document, members=members, files=tuple(files))
    return None


def _globbed(root: Path, patterns: object) -> set[Path]:
    found: set[Path] = set()
    for pattern in patterns if isinstance(patterns, list) else ():
        normal = os.path.normpath(str(pattern))
        if ".." in normal or Path(normal).is_absolute():
            found.add(Path(os.path.normpath(root / normal)))
        elif normal != ".":
            found.update(path for path in root.glob(normal) if path.is_dir())
    return found


def _of_uv(
    document: Mapping[str, Any],
    folder: Path,
    workspace: _Workspace | None,
    place: Place,
    markers: Mapping[str, str],
) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for name, value in _table(document, "tool", "uv", "sources").items():
        key = canonicalize_name(name)
        source = _source(value, key, folder, place, markers)
        member = workspace.members.get(key) if workspace is not None else None
        if source is None and member is not None and _is_of_workspace(value, markers):
            source = Source(name=key, where=_where(folder, place), folder=_staged(member, place))
        if source is not None:
            found[key] = source
    return found


def _staged(folder: Path, place: Place) -> Path:
    """A folder in the copy in which hooks have worked, if it is in there."""
    if place.staged is None or not folder.is_relative_to(place.entry):
        return folder
    return place.resolve(place.staged, str(folder.relative_to(place.entry)))


def _is_of_workspace(value: object, markers: Mapping[str, str]) -> bool:
    return any(one.get("workspace") is True for one in _alternatives(value, markers))


def _of_poetry(
    document: Mapping[str, Any], folder: Path, place: Place, markers: Mapping[str, str]
) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for name, value in _table(document, "tool", "poetry", "dependencies").items():
        key = canonicalize_name(name)
        source = _source(value, key, folder, place, markers)
        if source is not None:
            found[key] = source
    return found


def _source(
    value: object, name: str, folder: Path, place: Place, markers: Mapping[str, str]
) -> Source | None:
    """What one entry of either table stands for; None: nothing that is built here."""
    for one in _alternatives(value, markers):
        source = Source(name=name, where=_where(folder, place), subdirectory=one.get("subdirectory"))
        if isinstance(one.get("git"), str):
            reference = one.get("rev") or one.get("tag") or one.get("branch")
            return replace(source, url=f"git+{one['git']}" + (f"@{reference}" if reference else ""))
        if isinstance(one.get("url"), str):
            return replace(source, url=one["url"])
        if isinstance(one.get("path"), str):
            return placed(source, place.resolve(folder, one["path"]))
    return None


def placed(source: Source, path: Path) -> Source:
    """The source at a path: a folder, or an archive."""
    if path.is_file():
        return replace(source, url=path.as_uri())
    return replace(source, folder=path / source.subdirectory if source.subdirectory else path)


def _alternatives(value: object, markers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """The tables that hold on the target, of one or of several with markers."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            try:
                holds = "marker" not in one or Marker(one["marker"]).evaluate(markers)
            except InvalidMarker:
                holds = False
            if holds:
                yield one


def _where(folder: Path, place: Place) -> Where:
    return Where(file=place.shown(folder / _FILE))


def _load(file: Path) -> Mapping[str, Any]:
    """A pyproject.toml; empty where there is none that can be read: the build says what is wrong with it."""
    try:
        return tomli.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        below = document.get(key)
        document = below if isinstance(below, dict) else {}
    return document
