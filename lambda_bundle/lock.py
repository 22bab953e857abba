"""The wheels that a function gets: what every resolve ends in and every install starts from.

In the terms of PEP 751 this is a lock for one target, with exactly one wheel for each package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lambda_bundle.errors import Where
from lambda_bundle.targets import Target

# packaging is imported where it is used: a run in which everything is up to date judges no wheel.

Release = tuple[str, str]
"""The name and the version of a distribution, both normalized (PEP 503, PEP 440)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel file of one package."""

    name: str
    """Normalized (PEP 503)."""
    version: str
    filename: str
    url: str
    """Where to fetch it from: https or file."""
    sha256: str | None
    """None where the index gives no such hash."""
    hashes: tuple[str, ...] = ()
    """What a lock promises besides, as "sha512:…": each of them must be true."""
    yanked: str | None = None
    """Why the index has withdrawn it (PEP 592); empty where it gives no reason, None where it has not."""

    @property
    def platforms(self) -> frozenset[str]:
        """The platform tags in its file name."""
        from packaging.utils import parse_wheel_filename  # noqa: PLC0415

        return frozenset(tag.platform for tag in parse_wheel_filename(self.filename)[3])

    @property
    def release(self) -> Release:
        """What it is of, whichever of the files."""
        from packaging.utils import canonicalize_version  # noqa: PLC0415

        return self.name, canonicalize_version(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Code that has to be built to a wheel first: exactly one of `folder` and `url` is set."""

    name: str | None
    """Normalized; None where only a build can tell."""
    where: Where
    folder: Path | None = None
    """A project on this machine, absolute."""
    url: str | None = None
    """Of a source archive (https or file), or of a git repository as PEP 440 writes it: git+URL@COMMIT."""
    subdirectory: str | None = None
    """Of the archive or the repository, where the project is not at its root."""
    extras: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    """Which the archive may have, as "sha256:…"."""
    requires: tuple[str, ...] | None = None
    """What it required when it was locked, sorted; None where that is not written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a wheel was built of."""

    source: Source
    """A git repository is named with its commit and without credentials, and an archive has its hash."""
    requires: tuple[str, ...]
    """The dependencies of the wheel, sorted, without the URLs of sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """A package at the version that a resolver chose, with every wheel that may serve."""

    name: str
    version: str
    wheels: tuple[Wheel, ...]
    where: Where = field(default_factory=Where)
    """The lock that says so."""
    sdist: Source | None = None
    """What it can be built from, where the lock knows of a source archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A version that exists and cannot be used on the target, and why."""

    name: str
    version: str
    direct: bool = False
    """Asked for by URL: no other version can take its place."""
    wheels: tuple[str, ...] = ()
    """The file names of the wheels that it has, where their tags are the reason."""
    requires_python: str | None = None
    """Its `Requires-Python`, where that is the reason."""
    hashes: tuple[str, ...] = ()
    """The hashes that were allowed, where no wheel has one of them."""


def wheel_file(url: str) -> str:
    """The name of the file at a URL."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def fits(filename: str, target: Target) -> bool:
    """Whether a wheel of this name may be installed on the target."""
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415

    return not parse_wheel_filename(filename)[3].isdisjoint(target.wheel_tags)


def promised(wheel: Wheel, allowed: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The hashes of which the file must have one, as "sha256:…"; none where nobody has said any.

    `allowed` maps the names of packages to the only hashes that their files may have.
    """
    known = f"sha256:{wheel.sha256}"
    listed = tuple(allowed.get(wheel.name, ()))
    if wheel.sha256 and (not listed or known in listed):
        return (known,)
    return listed or wheel.hashes


def best(wheels: Iterable[Wheel], target: Target) -> Wheel | None:
    """The wheel with the best tag for the target; the highest build number among equals (PEP 427)."""
    from packaging.tags import create_compatible_tags_selector  # noqa: PLC0415
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415

    parsed = {wheel: parse_wheel_filename(wheel.filename) for wheel in wheels}
    newest_first = sorted(parsed.items(), key=lambda item: item[1][2], reverse=True)
    ranked = create_compatible_tags_selector(target.wheel_tags)(
        (wheel, name[3]) for wheel, name in newest_first
    )
    return next(ranked, None)


def pick(
    candidates: Iterable[Candidates], target: Target, allowed: Mapping[str, Collection[str]]
) -> tuple[tuple[Wheel, ...], tuple[Unfit, ...]]:
    """One wheel for each package, and the packages that have none for the target.

    `allowed` is that of `promised`.
    """
    chosen: list[Wheel] = []
    unfit: list[Unfit] = []
    for package in sorted(candidates, key=lambda candidate: candidate.name):
        hashes = tuple(allowed.get(package.name, ()))
        trusted = [wheel for wheel in package.wheels if _may_have(wheel, hashes)]
        wheel = best(trusted, target)
        if wheel is not None:
            chosen.append(wheel)
        else:
            fits_but_untrusted = best(package.wheels, target) is not None
            unfit.append(
                Unfit(
                    name=package.name,
                    version=package.version,
                    wheels=tuple(sorted(wheel.filename for wheel in package.wheels)),
                    hashes=hashes if fits_but_untrusted else (),
                )
            )
    return tuple(chosen), tuple(unfit)


def _may_have(wheel: Wheel, hashes: Collection[str]) -> bool:
    """Whether the wheel may have one of the hashes, as far as one can tell before it is fetched."""
    comparable = wheel.sha256 is not None and any(value.startswith("sha256:") for value in hashes)
    return not comparable or f"sha256:{wheel.sha256}" in hashes


def newest(versions: Iterable[str]) -> str:
    """The highest of some versions (PEP 440)."""
    from packaging.version import Version  # noqa: PLC0415

    return str(max(Version(version) for version in versions))
