"""One wheel of local code: how a project comes into a folder, is built there, and is described beside it.

It must be pure: what is compiled on this host would not load on the target.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lambda_bundle.cache import Cache, sealed
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.git import Repository
from lambda_bundle.installers import Installer, Work
from lambda_bundle.local import Project
from lambda_bundle.lock import Source, Wheel
from lambda_bundle.process import mask
from lambda_bundle.projects import Place
from lambda_bundle.purewheel import normalize
from lambda_bundle.sdist import checked, project_in, unpack
from lambda_bundle.stage import copy
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements, file_path

_DOCUMENT = "wheel.json"
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What there is around a build."""

    installer: Installer
    work: Work
    wanted: Requirements
    """For their options: they say which indexes there are."""
    target: Target
    place: Place
    skip: Path | None
    """A folder that is no part of any project: the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A wheel in the cache, and what it asks for."""

    wheel: Wheel
    requires: tuple[str, ...]
    """Its dependencies as PEP 508 writes them, without the URLs of sources."""
    links: Mapping[str, str]
    """Those URLs by the name of the dependency; a local one is a path, relative to the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A project that can be built; or, if `installed`, what came of it."""

    folder: Path
    installed: bool = False


Prepare = Callable[[Path, Work], Prepared]
"""Puts a project into an empty folder."""


def build(setting: Setting, prepare: Prepare, made: Path, sdist: Source | None) -> None:
    """Build a project to a wheel, with its description beside it."""
    with tempfile.TemporaryDirectory(dir=setting.work.folder, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("project", "built", "tree", "work"):
            (folder / part).mkdir()
        work = replace(setting.work, place=folder / "work")
        prepared = prepare(folder / "project", work)
        project = tree = prepared.folder
        found = [tree]
        if not prepared.installed:
            tree = folder / "tree"
            setting.installer.build(project, folder / "built", setting.wanted, work)
            found = sorted((folder / "built").glob("*.whl"))
        if len(found) != 1:
            message = f"the build gave {len(found)} wheels instead of one"
            raise BundleError(Problem(code=Code.COMMAND_FAILED, message=message))
        wheel = normalize(found[0], tree, made, lambda url: _link(url, project))
    document = {
        "name": wheel.name,
        "version": wheel.version,
        "file": wheel.path.name,
        "sha256": _sha256(wheel.path),
        "requires": wheel.requires,
        "links": wheel.links,
    }
    if sdist is not None:
        url = mask(sdist.url or "", setting.work.secrets)
        fetched = url.startswith(setting.work.folder.as_uri())  # for now: where from, pip does not say
        document["sdist"] = {"url": None if fetched else url, "hashes": sdist.hashes}
    (made / _DOCUMENT).write_text(sealed(_DOCUMENT, json.dumps(document)), encoding="utf-8")


def read(path: Path) -> Built | None:
    """A wheel in the cache, if it is what was written."""
    try:
        document = Cache.read(path / _DOCUMENT)
        wheel = Wheel(
            name=document["name"],
            version=document["version"],
            filename=document["file"],
            url=(path / document["file"]).as_uri(),
            sha256=document["sha256"],
        )
        if _sha256(path / wheel.filename) != wheel.sha256:
            return None
        return Built(wheel=wheel, requires=tuple(document["requires"]), links=dict(document["links"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sdist_of(path: Path, name: str) -> Source:
    """The source distribution that a wheel in the cache was built of, as far as that is known."""
    try:
        told = Cache.read(path / _DOCUMENT)["sdist"]
        return Source(name=name, where=Where(), url=told["url"], hashes=tuple(told["hashes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Source(name=name, where=Where())


def copied(project: Project, beside: Mapping[str, Project], folder: Path) -> Prepared:
    """A private copy of a project, with those that it names at the same places relative to it."""
    depth = max([path.split("/").count("..") for path in beside], default=0)
    own = Path(folder, *("_" for _ in range(depth)), project.folder.name or "project")
    for path, other in beside.items():
        copy(other.files, Path(os.path.normpath(own / path)))
    copy(project.files, own)
    return Prepared(folder=own)


def checked_out(repository: Repository, commit: str, source: Source, folder: Path, work: Work) -> Prepared:
    """The project in a commit of a git repository."""
    repository.check_out(commit, folder / "repository", work)
    return Prepared(folder=project_in(folder / "repository", source.subdirectory))


def unpacked(archive: Path, source: Source, folder: Path) -> Prepared:
    """The project in a source archive."""
    return Prepared(folder=unpack(archive, source.subdirectory, folder))


def fetched(source: Source, setting: Setting, folder: Path, work: Work) -> Prepared:
    """A source archive that is not on this machine."""
    for part in ("archive", "unpacked"):
        (folder / part).mkdir()
    found = setting.installer.fetch(source, folder / "archive", setting.wanted, setting.target, work)
    if found.is_dir():
        return Prepared(folder=found, installed=True)
    checked(found, source.hashes)
    return unpacked(found, source, folder / "unpacked")


def relative(path: Path, start: Path) -> str | None:
    """A path as seen from another; None where no way leads there (another drive)."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return None


def _link(url: str, project: Path) -> str | None:
    """What a dependency of a project leads to, where it is sources: a relative path, or a URL."""
    if url.startswith("git+"):
        return url
    bare = url.partition("#")[0]
    if "://" in bare and not bare.startswith("file:"):
        return url if bare.lower().endswith(_ARCHIVES) else None
    path = file_path(bare) if bare.startswith("file:") else bare
    path = path.replace("${PROJECT_ROOT}", str(project))
    return relative(Path(os.path.normpath(project / path)), project)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
