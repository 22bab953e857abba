"""`pylock.NAME.toml` as `invoke lock` writes it: what requirements stand for on exact targets.

The form is that of PEP 751 (https://packaging.python.org/en/latest/specifications/pylock-toml/), so that
other tools can install from it. What only this one knows stands in `[tool.lambda-bundle]`: the targets, and
a digest of what was asked for. The text depends on nothing else: no time, no absolute path and no credential
is in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import tomli_w
from packaging.utils import canonicalize_name
from packaging.version import Version

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.lock import Origin, Source, Wheel, best, wheel_file
from lambda_bundle.process import mask
from lambda_bundle.projects import CREATOR, TOOL, Place, refreshing, table
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options, Requirement, Requirements, file_path

FORMAT = 1
"""Of `[tool.lambda-bundle]`. A lock with another one is written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What requirements stand for on one target."""

    target: Target
    digest: str
    """That of `asked`."""
    wheels: tuple[Wheel, ...]
    origins: Mapping[str, Origin]
    """The local code that some of the wheels were built of, by their names."""
    sdists: Mapping[str, Source] = field(default_factory=dict)
    """The source distributions that some were built of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What a lock is written on: the folder that it is in, and what must not stand in it."""

    name: str
    """Of the entry."""
    folder: Path
    original: Callable[[Path], Path] = lambda path: path
    """The path beside the sources for one in a staged copy."""
    secrets: Collection[str] = ()

    def path(self, path: Path, what: str) -> str:
        """A path relative to the lock. Raises `BundleError` where none leads there."""
        try:
            return Path(os.path.relpath(self.original(path), self.folder)).as_posix()
        except ValueError:  # on Windows: another drive
            message = f"{what} is on another drive than the lock, and no relative path leads there"
            raise unlockable(message, "move it below the folder of bundles.toml") from None

    def url(self, url: str, what: str) -> str:
        """A URL without credentials. Raises `BundleError` where they cannot be told from the rest."""
        parts = urlsplit(url)
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        if parts.query or mask(bare, self.secrets) != bare:
            shown = mask(url, self.secrets)
            message = f"the address of {what} has something in it that may be a credential: {shown}"
            hint = "a lock is for everyone to read: let the index ask for a user and a password instead"
            raise unlockable(message, hint)
        return bare


def unlockable(message: str, hint: str) -> BundleError:
    """The error for what a lock cannot hold."""
    return BundleError(Problem(code=Code.UNLOCKABLE, message=message, hint=hint))


# --- what was asked for


def asked(wanted: Requirements, place: Place) -> str:
    """A digest of what requirements ask for, the same in every checkout and with every password."""
    told = _Told(wanted, place)
    text = json.dumps(
        {
            "requirements": sorted(map(told.requirement, wanted.requirements)),
            "constraints": sorted(map(told.requirement, wanted.constraints)),
            "sources": sorted(
                json.dumps(
                    [
                        one.name,
                        told.path(one.folder) if one.folder else told.url(one.url or ""),
                        [one.subdirectory, *one.extras],
                        sorted(one.hashes),
                    ]
                )
                for one in wanted.sources
            ),
            "options": told.options(wanted.options),
            "skip": sorted(wanted.skip),
        }
    )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class _Told:
    """Values of requirements in words that are the same everywhere."""

    wanted: Requirements
    place: Place

    def path(self, path: Path) -> str:
        original = Path(os.path.normpath(self.place.original(path)))
        if not original.is_relative_to(os.path.normpath(self.place.root)):
            return original.name  # where it lies from here differs from checkout to checkout
        return Path(os.path.relpath(original, self.place.entry)).as_posix()

    def url(self, url: str) -> str:
        if not url.startswith("file:"):
            return mask(url, self.wanted.secrets)
        path = Path(file_path(url.partition("#")[0]))
        held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        return f"{self.path(path)} {held}"

    def requirement(self, one: Requirement) -> str:
        line = f"{one.name}[{','.join(one.extras)}]{one.specifier}"
        return json.dumps([line, self.url(one.url) if one.url else "", *sorted(one.hashes)])

    def options(self, options: Options) -> list[Any]:
        links = (self.path(Path(one)) if Path(one).is_absolute() else one for one in options.find_links)
        urls = [options.index_url or "", *options.extra_index_urls, "", *links]
        return [list(map(self.url, urls)), options.no_index, options.pre, options.require_hashes]


# --- what is written


def render(resolved: Sequence[Resolved], paper: Paper) -> str:
    """The text of a lock that holds for each of some targets of one architecture.

    Raises `BundleError` for what no lock can hold.
    """
    versions = [".".join(map(str, one.target.version)) for one in resolved]
    oldest = min(one.target.version for one in resolved)
    document = {
        "lock-version": "1.0",
        "environments": [_environment(one.target) for one in resolved],
        "requires-python": f"=={versions[0]}.*" if len(resolved) == 1 else f">={oldest[0]}.{oldest[1]}",
        "created-by": CREATOR,
        "packages": list(_packages(resolved, paper)),
        "tool": {TOOL: {"format": FORMAT, "targets": list(map(_target, resolved))}},
    }
    head = f"# Written by `invoke lock --only {paper.name}`. Do not edit it; keep it with the sources.\n"
    return head + tomli_w.dumps(document)


def _environment(target: Target) -> str:
    """The environments of a target as a marker; which patch release it has, AWS does not say."""
    names = ("implementation_name", "platform_machine", "python_version", "sys_platform")
    return " and ".join(f"{name} == '{target.markers[name]}'" for name in names)


def _target(one: Resolved) -> dict[str, Any]:
    target = one.target
    return {"runtime": target.runtime, "arch": target.arch, "tags": _tags(target), "input": one.digest}


def _tags(target: Target) -> list[str]:
    """The platform tags that all others follow from."""
    return [next(tag.expand()) for tag in target.given]


def _packages(resolved: Sequence[Resolved], paper: Paper) -> Iterator[dict[str, Any]]:
    found: dict[str, tuple[tuple[str, Version, str], dict[str, Any], list[Target]]] = {}

    def put(wheel: Wheel, entry: dict[str, Any], target: Target) -> None:
        order = (wheel.name, Version(wheel.version if "version" in entry else "0"), wheel.filename)
        found.setdefault(json.dumps(entry), (order, entry, []))[2].append(target)

    for wheels in _groups(resolved):
        for one, wheel in wheels:
            origin, sdist = one.origins.get(wheel.name), one.sdists.get(wheel.name)
            if origin is not None:
                entry = {"name": wheel.name, **_origin(origin, wheel.name, paper)}
            elif sdist is not None:
                entry = {"name": wheel.name, "version": wheel.version, "sdist": _sdist(sdist, paper)}
            else:
                files = {other.filename: _wheel(other, paper) for _, other in wheels}
                listed = [files[name] for name in sorted(files)]
                entry = {"name": wheel.name, "version": wheel.version, "wheels": listed}
            put(wheel, entry, one.target)
    for _, entry, targets in sorted(found.values(), key=lambda item: item[0]):
        if len(targets) == len(resolved):
            yield entry
        else:
            versions = (".".join(map(str, target.version)) for target in targets)
            marker = " or ".join(f"python_version == '{version}'" for version in versions)
            rest = {key: value for key, value in entry.items() if key not in {"name", "version"}}
            yield {
                **{key: entry[key] for key in ("name", "version") if key in entry},
                "marker": marker,
                **rest,
            }


def _groups(resolved: Sequence[Resolved]) -> Iterator[list[tuple[Resolved, Wheel]]]:
    """The wheels of one version for all targets: together, where each target would choose its own again."""
    together: dict[tuple[str, str], list[tuple[Resolved, Wheel]]] = {}
    for one in resolved:
        for wheel in one.wheels:
            together.setdefault(wheel.release, []).append((one, wheel))
    for group in together.values():
        files = {(wheel.filename, wheel.sha256): wheel for _, wheel in group}
        names = {wheel.filename for wheel in files.values()}
        clear = len(names) == len(files)
        if clear and all(best(files.values(), one.target) == wheel for one, wheel in group):
            yield group
        else:
            yield from ([pair] for pair in group)


def _wheel(wheel: Wheel, paper: Paper) -> dict[str, Any]:
    return _file(wheel.filename, wheel.url, _known(wheel), paper)


def _known(wheel: Wheel) -> tuple[str, ...]:
    """What is known of a wheel's content."""
    return (f"sha256:{wheel.sha256}",) if wheel.sha256 else wheel.hashes


def _sdist(source: Source, paper: Paper) -> dict[str, Any]:
    if source.url is None:
        message = f"{source.name} is built of a source distribution, and pip does not say where that is"
        raise unlockable(message, 'lock with backend = "uv"; either backend can bundle from the lock')
    return _file(wheel_file(source.url), source.url, source.hashes, paper)


def _file(name: str, url: str, hashes: tuple[str, ...], paper: Paper) -> dict[str, Any]:
    return {"name": name, **_place(url, name, paper), "hashes": _certain(name, url, hashes)}


def _place(url: str, name: str, paper: Paper) -> dict[str, str]:
    if url.startswith("file:"):
        return {"path": paper.path(_local(url), name)}
    return {"url": paper.url(url, name)}


def _local(url: str) -> Path:
    return Path(file_path(url.partition("#")[0]))


def _certain(name: str, url: str, hashes: tuple[str, ...]) -> dict[str, str]:
    """The hashes of a file by their kinds. Raises `BundleError` where nobody knows one that is certain."""
    kinds = dict(one.partition(":")[::2] for one in hashes)
    if kinds and len(kinds) == len(hashes):
        return dict(sorted(kinds.items()))
    if url.startswith("file:"):
        return {"sha256": hashlib.sha256(_local(url).read_bytes()).hexdigest()}
    message = f"nobody says which hash {name} has, and a lock without it would prove nothing"
    hint = 'lock with backend = "uv", which fetches a wheel to know its hash, or list it with --hash'
    raise unlockable(message, hint)


def _origin(origin: Origin, name: str, paper: Paper) -> dict[str, Any]:
    """What a wheel is built of, and what it required when it was locked."""
    source = origin.source
    below = {"subdirectory": source.subdirectory} if source.subdirectory else {}
    url = source.url or ""
    if source.folder is not None:
        entry: dict[str, Any] = {"directory": {"path": paper.path(source.folder, name)}}
    elif url.startswith("git+"):
        bare, _, commit = url.removeprefix("git+").rpartition("@")
        entry = {"vcs": {"type": "git", **_repository(bare, name, paper), "commit-id": commit, **below}}
    else:
        entry = {
            "archive": {**_place(url, name, paper), **below, "hashes": _certain(name, url, source.hashes)}
        }
    return {**entry, "tool": {TOOL: {"requires": sorted(origin.requires)}}}


def _repository(url: str, name: str, paper: Paper) -> dict[str, str]:
    if url.startswith("file:"):
        return {"path": paper.path(Path(file_path(url)), name)}
    parts = urlsplit(url)
    if parts.scheme == "ssh":  # a user's name is no secret there, and part of the address
        return {"url": url}
    return {"url": paper.url(url, name)}


# --- what is read


def check(data: Mapping[str, Any], target: Target, digest: str, *, where: Where, source: str) -> None:
    """Raise `BundleError` unless a lock was made for a target, and of what is asked for now.

    `source` is the file that asks for it, as the user knows it.
    """
    found = _mine(data, target)
    shown, hint = where.file, refreshing(where.file or "")
    if found is None:
        written = " and ".join(_shown(one) for one in _targets(data)) or "another version of this tool"
        message = f"{shown} was written for {written}, and not for {_shown(_told(target))}"
        raise BundleError(Problem(code=Code.LOCK_UNSUITABLE, message=message, where=where, hint=hint))
    if found.get("input") != digest:
        message = f"{shown} is older than {source}, which asks for something else now"
        raise BundleError(Problem(code=Code.LOCK_STALE, message=message, where=where, hint=hint))


def is_current(data: Mapping[str, Any], digests: Mapping[Target, str]) -> bool:
    """Whether a lock was made for exactly these targets, of what is asked for now."""
    found = {target: _mine(data, target) for target in digests}
    inputs = {target: one.get("input") for target, one in found.items() if one is not None}
    return inputs == dict(digests) and len(_targets(data)) == len(digests)


def has_sources(data: Mapping[str, Any]) -> bool:
    """Whether a lock holds anything that has to be built: what that requires, only a build can tell."""
    return any(
        "wheels" not in one and "sdist" not in one
        for one in data.get("packages", ())
        if isinstance(one, dict)
    )


def versions(data: Mapping[str, Any]) -> dict[str, str]:
    """The versions in a lock, by package; without those of which there is more than one."""
    found: dict[str, set[str]] = {}
    for one in data.get("packages", ()):
        if isinstance(one, dict) and "version" in one:
            found.setdefault(canonicalize_name(str(one.get("name"))), set()).add(str(one.get("version")))
    return {name: next(iter(some)) for name, some in found.items() if len(some) == 1}


def _mine(data: Mapping[str, Any], target: Target) -> Mapping[str, Any] | None:
    wanted = _told(target)
    for one in _targets(data):
        if {key: one.get(key) for key in wanted} == wanted:
            return one
    return None


def _told(target: Target) -> dict[str, Any]:
    return {"runtime": target.runtime, "arch": target.arch, "tags": _tags(target)}


def _targets(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = table(data, "tool", TOOL)
    listed = told.get("targets")
    if told.get("format") != FORMAT or not isinstance(listed, list):
        return []
    return [one for one in listed if isinstance(one, dict)]


def _shown(told: Mapping[str, Any]) -> str:
    tags = told.get("tags")
    listed = ", ".join(map(str, tags)) if isinstance(tags, list) else ""
    return f"{told.get('runtime')} on {told.get('arch')} ({listed})"
