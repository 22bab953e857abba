"""What uv writes: the locks that `uv pip compile` makes, and what its messages mean.

Its messages are recognised by patterns; one that no pattern knows is told whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli
from packaging.utils import canonicalize_name
from packaging.version import Version

from lambda_bundle.errors import BundleError, Where
from lambda_bundle.installers import (
    ODD_ANSWER,
    ODD_FILE,
    mismatch,
    no_links,
    offline,
    unauthorized,
    unreachable,
)
from lambda_bundle.lock import Candidates, Source, Wheel, wheel_file
from lambda_bundle.process import Completed
from lambda_bundle.wanted import Requirements

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageWheel

_OFFLINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*) (?:was|were) not found in the cache"
    r"|Network connectivity is disabled(?:.*? found in the cache(?: for)?: `?(?P<url>[^`\s]+))?"
    r"|(?P<needed>[A-Za-z0-9][A-Za-z0-9._-]*)(?:[<>=!~]\S*)? needs to be downloaded from a registry"
    r"|because the network was disabled"
)
_FOR_THE_HOST = re.compile(r"The built wheel `[^`]+` is not compatible with the target")
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|dns error|HTTP status")
_REFUSED = re.compile(r"401 Unauthorized|403 Forbidden|valid authentication credentials")
_PACKAGE = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?"
_PACKAGE_TOO = _PACKAGE.replace("<name>", "<same>")
NO_WHEEL = re.compile(
    _PACKAGE
    + r"(?P<range>==(?P<version>[^\s,]+)|[<>=!~][^\s]*)? "
    + r"(?:(?:has|have) no (?:usable wheels|wheels with|`[^`]*`-compatible)"
    + r"|(?:depends? on|requires?) Python ?(?P<python>[<>=!~]\S+))"
)
"""A package without a wheel that will do; groups `name`, `range`, `version` and `python`."""
UNKNOWN = re.compile(rf"{_PACKAGE} (?:was|were) not found in|there are no versions of {_PACKAGE_TOO} and")
"""A package that no index has; its name is in `name` or in `same`."""
NO_SUCH_VERSION = re.compile(
    r"(?:there (?:is|are) no versions? of"
    r"|only (?:the following versions of )?(?P<have>[\w.-]+?)(?:[<>=!~]\S*)? (?:is|are) available"
    r"(?:: (?:(?P=have)[<>=!~]\S* )+)? ?and (?:you require|(?:all versions of )?\S+ depends? on)) "
    + _PACKAGE
    + r"(?P<asked>[<>=!~]\S+)"
)
"""A package of which only other versions are there; groups `name` and `asked`."""
_YANKED = re.compile(rf'`{_PACKAGE}==[^`]+` is yanked(?: \(reason: "(?P<reason>.*)"\))?')


def one_line(output: str) -> str:
    """The output without the line breaks that uv puts into its messages."""
    return " ".join(output.split())


def is_unsolvable(output: str) -> bool:
    """Whether uv says that there is no solution, and not for want of credentials."""
    return "No solution found" in output and not _REFUSED.search(output)


def is_offline(told: str) -> bool:
    """Whether something was not fetched because nothing may be; `told` is in one line."""
    return _OFFLINE.search(told) is not None


def is_for_the_host(output: str) -> bool:
    """Whether what was built is a wheel for this machine alone."""
    return _FOR_THE_HOST.search(output) is not None


def has_no_wheels(output: str) -> bool:
    """Whether a package has sources alone."""
    return "no usable wheels" in one_line(output)


def oldest_python(output: str) -> str | None:
    """The version of Python, such as 3.8, that a package needs at least; None where that is not said."""
    match = re.search(r"depends on Python>=(\d+\.[\d.]+)", output)
    return match[1] if match else None


def newest_version(name: str, output: str) -> str | None:
    """The newest version of a package that there is, where a newer one was asked for."""
    pattern = rf"only {re.escape(name)}(?:<=|==)(?P<version>\S+?),? (?:is|are) available"
    match = re.search(pattern, one_line(output))
    return match["version"] if match else None


def blame(pattern: re.Pattern[str], told: str) -> re.Match[str] | None:
    """What uv blames first; where it names versions of that package one by one, the newest of them.

    `told` is its output in one line, and `pattern` one of those above.
    """
    found = list(pattern.finditer(told))
    exact = [
        match
        for match in found
        if match["name"] == found[0]["name"] and match.groupdict().get("version") is not None
    ]
    if exact:
        return max(exact, key=lambda match: Version(match["version"]))
    return found[0] if found else None


def failure(completed: Completed, wanted: Requirements) -> BundleError:
    """The error for what can go wrong in a resolution and in an installation alike."""
    output = completed.output.strip()
    if match := _OFFLINE.search(one_line(output)):
        file = match["url"] and wheel_file(match["url"])
        return offline(match["name"] or match["needed"] or file or None, wanted)
    if _REFUSED.search(output):
        return unauthorized(output)
    if match := re.search(r"Hash mismatch for `(?P<name>[\w.-]+)", output):
        return mismatch(match["name"], wanted, output)
    if "Failed to read `--find-links` directory" in output:
        return no_links(output)
    if any(one.search(one_line(output)) for one in (_UNREACHABLE, ODD_ANSWER, ODD_FILE)):
        return unreachable(output)
    return completed.failure("uv")


def without_warnings(output: str) -> str:
    """What uv says of a failure, and nothing else."""
    return "".join(one for one in output.splitlines(keepends=True) if not one.startswith("warning: "))


def yanked(output: str) -> dict[str, str]:
    """What was chosen although its index has withdrawn it: the reason, or nothing, by normalized name."""
    return {canonicalize_name(one["name"]): one["reason"] or "" for one in _YANKED.finditer(output)}


def candidates(path: Path, markers: Mapping[str, str] | None) -> Iterator[Candidates]:
    """The packages of a lock (PEP 751) that uv has written, where markers are given those that they admit.

    Paths in it are relative to its folder; in the candidates all are URLs.
    """
    from packaging.pylock import Pylock  # noqa: PLC0415 - where all is resolved, nobody reads a lock

    document: Mapping[str, Any] = tomli.loads(path.read_text(encoding="utf-8"))
    for package in Pylock.from_dict(document).packages:
        marker = package.marker if markers is not None else None
        if marker is None or marker.evaluate(markers, context="lock_file"):
            yield _candidate(package, path.parent)


def _candidate(package: Package, folder: Path) -> Candidates:
    version = str(package.version)
    files: tuple[PackageWheel | PackageArchive, ...] = tuple(package.wheels or ())
    if package.archive is not None:
        files = (package.archive,)
    return Candidates(
        name=package.name,
        version=version,
        wheels=tuple(_wheel(package.name, version, file, folder) for file in files),
        sdist=_sdist(package, folder),
    )


def _sdist(package: Package, folder: Path) -> Source | None:
    file = package.sdist
    if file is None:
        return None
    url = file.url or (folder / (file.path or "")).resolve().as_uri()
    kinds = (kind for kind in ("sha256", "sha384", "sha512") if kind in file.hashes)
    hashes = tuple(f"{kind}:{file.hashes[kind]}" for kind in kinds)
    return Source(name=package.name, where=Where(), url=url, hashes=hashes)


def _wheel(name: str, version: str, file: PackageWheel | PackageArchive, folder: Path) -> Wheel:
    url = file.url or (folder / (file.path or "")).resolve().as_uri()
    return Wheel(
        name=name,
        version=version,
        filename=wheel_file(url),
        url=url,
        sha256=file.hashes.get("sha256"),
    )
