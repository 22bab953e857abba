"""PEP 751 (`pylock.toml`) → what a target gets of it: candidates to choose wheels from, and local sources.

The rules are those of https://packaging.python.org/en/latest/specifications/pylock-toml/#installation.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import Candidates, Source, Wheel, wheel_file
from lambda_bundle.projects import TOOL, check_names, table
from lambda_bundle.targets import Target

# It logs that a lock is of a newer version, and Python prints what nobody listens to; `_newer` says it.
logging.getLogger("packaging.pylock").addHandler(logging.NullHandler())

_KNOWN = Version("1.0")
"""The version of the format that is read here."""
_SECURE = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What a lock holds for one target."""

    candidates: tuple[Candidates, ...]
    sources: tuple[Source, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The packages in it."""
        candidates, sources = (one.name for one in self.candidates), (one.name for one in self.sources)
        return frozenset(filter(None, (*candidates, *sources)))


def choose(
    data: Mapping[str, Any],
    target: Target,
    *,
    folder: Path,
    where: Where,
    hint: str,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
) -> Locked:
    """What the target gets of a lock.

    `folder` is what paths in it are relative to; `hint` tells how the lock is made anew. Raises `BundleError`
    for a lock that is not valid, is not meant for the target, or does not know an extra or a group.
    """
    lock = _parse(data, where, hint)
    _check_target(lock, target, where, hint)
    check_names(where, "extra", extras, lock.extras or ())
    check_names(where, "dependency group", groups, lock.dependency_groups or ())
    environment: dict[str, Any] = {
        **target.markers,
        "extras": frozenset(canonicalize_name(one) for one in extras),
        "dependency_groups": frozenset((*(lock.default_groups or ()), *groups)),
    }
    packages: dict[str, Package] = {}
    for package in lock.packages:
        if package.marker is not None and not package.marker.evaluate(environment, context="lock_file"):
            continue
        if package.name in packages:
            message = f"{package.name} is in it more than once for {target}, in different versions or places"
            raise _error(Code.LOCK_INVALID, message, where, hint)
        if package.requires_python is not None and not target.admitted(str(package.requires_python)):
            message = f"{package.name} {package.version} requires Python {package.requires_python}, and "
            raise _error(Code.PYTHON_UNSUPPORTED, f"{message}{target} is not that", where, hint)
        packages[package.name] = package
    reader = _Reader(folder, where, hint)
    sources = tuple(filter(None, map(reader.source, packages.values())))
    names = {one.name for one in sources}
    candidates = (reader.candidates(one) for name, one in packages.items() if name not in names)
    return Locked(candidates=tuple(candidates), sources=sources, warnings=tuple(_newer(lock, where)))


def _parse(data: Mapping[str, Any], where: Where, hint: str) -> Pylock:
    try:
        return Pylock.from_dict(data)
    except PylockUnsupportedVersionError:
        message = f"is of version {data['lock-version']} of its format, and 1.x is known here"
        raise _error(Code.LOCK_INVALID, message, where, hint) from None
    except PylockValidationError as error:
        place = f" ({error.context})" if error.context else ""
        raise _error(
            Code.LOCK_INVALID, f"is not a lock as PEP 751 describes it{place}", where, hint
        ) from None


def _newer(lock: Pylock, where: Where) -> Iterator[Problem]:
    """The warning for a lock whose format may say more than is read of it."""
    if lock.lock_version > _KNOWN:
        yield Problem(
            code=Code.LOCK_UNSUITABLE,
            message=f"{where.file} is of version {lock.lock_version} of its format: what is newer in it than "
            f"{_KNOWN} is passed over",
            where=where,
            hint="update lambda-bundle, or have the lock written in the older version",
            severity="warning",
        )


def _check_target(lock: Pylock, target: Target, where: Where, hint: str) -> None:
    if lock.requires_python is not None and not target.admitted(str(lock.requires_python)):
        message = f"is for Python {lock.requires_python}, and {target} is not that"
        wide = f"widen `requires-python` of what is locked, or choose a runtime that it names; then {hint}"
        raise _error(Code.LOCK_UNSUITABLE, message, where, wide)
    if lock.environments and not any(one.evaluate(target.markers) for one in lock.environments):
        told = " or ".join(str(one) for one in lock.environments)
        message = f"is for other environments than {target}: {told}"
        raise _error(Code.LOCK_UNSUITABLE, message, where, f"lock for this target too: {hint}")


def _error(code: Code, message: str, where: Where, hint: str | None) -> BundleError:
    return BundleError(Problem(code=code, message=f"{where.file} {message}", where=where, hint=hint))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns packages of a lock into our values."""

    folder: Path
    where: Where
    hint: str

    def source(self, package: Package) -> Source | None:
        """What has to be built of a package; None where it has wheels, or only an sdist."""
        found = self._built(package)
        noted = table(package.tool or {}, TOOL).get("requires")
        if found is None or not isinstance(noted, list):
            return found
        return replace(found, requires=tuple(sorted(map(str, noted))))

    def _built(self, package: Package) -> Source | None:
        if package.vcs is not None:
            return self._commit(package.name, package.vcs)
        if package.directory is not None:
            return self._directory(package.name, package.directory)
        if package.archive is not None and not self._file(package.archive).lower().endswith(".whl"):
            return Source(
                name=package.name,
                where=self.where,
                url=self._url(package.archive.url, package.archive.path),
                subdirectory=package.archive.subdirectory,
                hashes=_hashes(package.archive.hashes),
            )
        return None

    def candidates(self, package: Package) -> Candidates:
        """A package with its wheels."""
        version = str(package.version or "")
        wheels = [self._wheel(package.name, version, one) for one in package.wheels or ()]
        if package.archive is not None:
            wheels.append(self._wheel(package.name, version, package.archive))
            version = wheels[0].version
        return Candidates(
            name=package.name,
            version=version,
            wheels=tuple(wheels),
            where=self.where,
            sdist=self._sdist(package),
        )

    def _wheel(self, name: str, version: str, file: PackageWheel | PackageArchive) -> Wheel:
        filename = self._file(file)
        if not version:
            version = str(parse_wheel_filename(filename)[1])
        kinds = (f"{kind}:{file.hashes[kind]}" for kind in _SECURE[1:] if kind in file.hashes)
        return Wheel(
            name=name,
            version=version,
            filename=filename,
            url=self._url(file.url, file.path),
            sha256=file.hashes.get("sha256"),
            hashes=tuple(kinds),
        )

    def _sdist(self, package: Package) -> Source | None:
        if package.sdist is None:
            return None
        url = self._url(package.sdist.url, package.sdist.path)
        return Source(name=package.name, where=self.where, url=url, hashes=_hashes(package.sdist.hashes))

    def _directory(self, name: str, directory: PackageDirectory) -> Source:
        folder = self._path(directory.path)
        if directory.subdirectory:
            folder = Path(os.path.normpath(folder / directory.subdirectory))
        return Source(name=name, where=self.where, folder=folder)

    def _commit(self, name: str, vcs: PackageVcs) -> Source:
        if vcs.type != "git":
            message = f"{name} comes from {vcs.type}, and of version control only git is known here"
            hint = "publish it as a wheel, or keep it in git"
            raise _error(Code.SOURCE_REQUIREMENT, message, self.where, hint)
        url = self._url(vcs.url, vcs.path)
        return Source(
            name=name, where=self.where, url=f"git+{url}@{vcs.commit_id}", subdirectory=vcs.subdirectory
        )

    def _file(self, file: PackageWheel | PackageArchive) -> str:
        if isinstance(file, PackageWheel):
            return file.filename
        return wheel_file(file.url) if file.url else Path(file.path or "").name

    def _url(self, url: str | None, path: str | None) -> str:
        return url or self._path(path or "").as_uri()

    def _path(self, path: str) -> Path:
        return Path(os.path.normpath(self.folder / path.replace("\\", "/")))


def _hashes(found: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{kind}:{found[kind]}" for kind in _SECURE if kind in found)
