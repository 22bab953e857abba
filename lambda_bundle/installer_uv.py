"""The uv backend.

`uv pip compile` knows markers and versions, but its list of platforms is short (there is no glibc 2.26) and
holds one family at a time. It is therefore asked for a little too much, and the wheels are chosen here, by
the target's own ordered tags; a version without a fitting wheel is excluded and the question asked again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomli
from packaging.pylock import Package, PackageArchive, PackageWheel, Pylock

from lambda_bundle.errors import BundleError
from lambda_bundle.installers import (
    ONLY_BINARY,
    Work,
    allowed_hashes,
    check_complete,
    conflict,
    exclusions,
    index_lines,
    mismatch,
    no_fit,
    not_found,
    source_only,
    unauthorized,
    unreachable,
)
from lambda_bundle.lock import Candidates, Unfit, Wheel, pick
from lambda_bundle.process import Completed
from lambda_bundle.reqfile import Options, Requirements
from lambda_bundle.targets import RUNTIMES, Target

_GLIBCS = (17, 28, *range(31, 41))
"""The glibc 2.N for which uv has a platform; it expands each downward."""
_MUSL = 2
"""uv's only musl platform stands for musllinux_1_2."""
_PERMISSIVE = {
    "manylinux": "{machine}-manylinux_2_40",
    "musllinux": "{machine}-unknown-linux-musl",
    "linux": "{machine}-manylinux_2_40",
}
"""Platforms for installing wheels that are chosen already."""


class Uv:
    """Resolve and install with the uv that is our own dependency."""

    name = "uv"

    def __init__(self, command: str) -> None:
        self._command = command

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """See `Installer.resolve`."""
        allowed = allowed_hashes(wanted)
        while True:
            completed, found = self._compile(wanted, target, work, unfit)
            if found is None:
                if unfit:
                    raise no_fit(unfit, wanted, target)
                raise self._diagnose(completed, wanted, target, work)
            wheels, misfits = pick(found, target, allowed)
            if not misfits:
                check_complete(wheels, wanted)
                return wheels
            unfit = (*unfit, *misfits)
            if any(one.direct or one.hashes for one in misfits):
                raise no_fit(misfits, wanted, target)

    def install(
        self, wheels: tuple[Wheel, ...], wanted: Requirements, target: Target, into: Path, work: Work
    ) -> None:
        """See `Installer.install`; one command for each family of platforms."""
        for family, members in _families(wheels).items():
            name = work.write(
                f"{family}.txt", [*index_lines(wanted.options), *(wheel.line for wheel in members)]
            )
            platform = _PERMISSIVE[family].format(machine=target.machine)
            hashed = all(wheel.sha256 for wheel in members)
            arguments = install_arguments(target, platform, into, name, options=wanted.options, hashed=hashed)
            # One after the other: where two wheels bring the same path, uv's threads race for it.
            completed = work.run([self._command, *arguments], UV_CONCURRENT_INSTALLS="1")
            if completed.code:
                raise _failure(completed)

    def _compile(
        self, wanted: Requirements, target: Target, work: Work, unfit: Iterable[Unfit]
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        work.write(
            "requirements.in", [*index_lines(wanted.options), *(one.line for one in wanted.requirements)]
        )
        constraints = [*(one.line for one in wanted.constraints), *exclusions(unfit)]
        work.write("constraints.txt", constraints)
        return self._run_compile(compile_arguments(target, wanted.options), target, work)

    def _run_compile(
        self, arguments: list[str], target: Target, work: Work
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        # A project of its own: nothing leaks in from the [tool.uv] of the folder that we are called from, and
        # `environments` makes a universal resolution one for exactly this target.
        work.write("pyproject.toml", ["[tool.uv]", f'environments = ["{environment(target)}"]'])
        (work.folder / "pylock.toml").unlink(missing_ok=True)
        completed = work.run([self._command, *arguments])
        if completed.code:
            return completed, None
        return completed, tuple(_candidates(work.folder / "pylock.toml", target))

    def _diagnose(
        self, completed: Completed, wanted: Requirements, target: Target, work: Work
    ) -> BundleError:
        """The error that a failed resolution means."""
        output = completed.output
        if "No solution found" not in output:
            return _failure(completed)
        if _REFUSED.search(output):
            return unauthorized(output.strip())
        text = " ".join(output.split())
        if match := _NO_WHEELS.search(text):
            return self._wheelless(match["name"], match["version"], wanted, target, work)
        if match := _PYTHON.search(text):
            python = match["python"].rstrip(",")
            return self._wheelless(match["name"], match["version"], wanted, target, work, python=python)
        if match := _UNKNOWN.search(text):
            return not_found(match["name"], match["name"], wanted)
        if match := _NO_SUCH_VERSION.search(text):
            asked = (match["asked"] or match["asked_of"]).rstrip(".,")
            name = re.split(r"[<>=!~\[]", asked)[0]
            return not_found(name, asked, wanted, offered=self._offered(name, wanted, target, work))
        return conflict(output.strip())

    def _wheelless(
        self,
        name: str,
        version: str | None,
        wanted: Requirements,
        target: Target,
        work: Work,
        *,
        python: str | None = None,
    ) -> BundleError:
        """Tell a package that has only sources from one whose wheels are for other targets."""
        asked = f"{name}=={version}" if version else name
        for runtime in dict.fromkeys((target.runtime, *RUNTIMES)):
            listed = self._list(asked, wanted, Target(runtime, target.arch), work)
            if listed:
                break
        else:
            shown = version or self._offered(name, wanted, target, work)
            return source_only(name, shown, wanted, target)
        pure = all(wheel.platforms == {"any"} for wheel in listed[0].wheels)
        wheels = () if pure and python else tuple(sorted(wheel.filename for wheel in listed[0].wheels))
        unfit = Unfit(name=name, version=listed[0].version, wheels=wheels, requires_python=python)
        return no_fit((unfit,), wanted, target)

    def _list(
        self, asked: str, wanted: Requirements, target: Target, work: Work
    ) -> tuple[Candidates, ...] | None:
        """One package with its wheels for every Linux platform of the architecture."""
        work.write("requirements.in", [*index_lines(wanted.options), asked])
        work.write("constraints.txt", ())
        arguments = [*compile_arguments(target, wanted.options, universal=True), "--no-deps"]
        return self._run_compile(arguments, target, work)[1]

    def _offered(self, name: str, wanted: Requirements, target: Target, work: Work) -> str | None:
        """The newest version that an index has, wheel or not: asking for a newer one makes uv tell."""
        work.write("requirements.in", [*index_lines(wanted.options), f"{name}>=999999"])
        work.write("constraints.txt", ())
        completed, _ = self._run_compile(compile_arguments(target, wanted.options), target, work)
        text = " ".join(completed.output.split())
        match = re.search(rf"only {re.escape(name)}(?:<=|==)(?P<version>\S+?),? (?:is|are) available", text)
        return match["version"] if match else None


_REFUSED = re.compile(r"401 Unauthorized|403 Forbidden|valid authentication credentials")
_PACKAGE = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?"
_NO_WHEELS = re.compile(
    _PACKAGE
    + r"(?:==(?P<version>[^\s,]+)|[<>=!~][^\s]*)? (?:has|have) no (?:usable wheels|wheels with|`[^`]*`-compatible)"
)
_PYTHON = re.compile(
    _PACKAGE
    + r"(?:==(?P<version>[^\s,]+)|[<>=!~][^\s]*)? (?:depends on|requires) Python ?(?P<python>[<>=!~]\S+)"
)
_UNKNOWN = re.compile(_PACKAGE + r" (?:was|were) not found in")
_NO_SUCH_VERSION = re.compile(
    r"there (?:is|are) no versions? of (?P<asked>[^\s,]+)"
    r"|only (?P<name>[\w.-]+?)(?:[<>=!~]\S*)? (?:is|are) available and (?:you require|\S+ depends on) (?P<asked_of>(?P=name)[^\s,]+)"
)


def _failure(completed: Completed) -> BundleError:
    """The error for what can go wrong in a resolution and in an installation alike."""
    output = completed.output.strip()
    if _REFUSED.search(output):
        return unauthorized(output)
    if re.search(r"Hash mismatch", output):
        return mismatch(output)
    if re.search(r"Failed to fetch|error sending request|Failed to download|dns error|HTTP status", output):
        return unreachable(output)
    return completed.failure("uv")


def _families(wheels: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    """The wheels by the family of their platform tags; the pure ones go with any."""
    families: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        family = next(
            (name for name in _PERMISSIVE if all(tag.startswith(name) for tag in wheel.platforms)), None
        )
        families.setdefault(family or "manylinux", []).append(wheel)
    return families


def platform(target: Target) -> str | None:
    """uv's platform that admits all of the target's tags and few others; None where it has none."""
    families = {tag.family for tag in target.given}
    newest = max((tag.major, tag.minor) for tag in target.given)
    if families == {"manylinux"}:
        ceiling = next((minor for minor in _GLIBCS if (2, minor) >= newest), None)
        return f"{target.machine}-manylinux_2_{ceiling}" if ceiling else None
    if families == {"musllinux"} and newest <= (1, _MUSL):
        return f"{target.machine}-unknown-linux-musl"
    return None


def environment(target: Target) -> str:
    """The target's marker environment as one marker (PEP 508), without what only a running system knows."""
    known = {key: value for key, value in target.markers.items() if value and key != "implementation_version"}
    return " and ".join(f"{key} == '{value}'" for key, value in known.items())


def _common(target: Target) -> list[str]:
    # uv needs some interpreter, any will do, and would download one of the target's version otherwise.
    host = ["--python", sys.executable, "--no-python-downloads"]
    return [*host, "--python-version", target.full_version, *ONLY_BINARY, "--no-progress", "--color", "never"]


def compile_arguments(target: Target, options: Options, *, universal: bool = False) -> list[str]:
    """`uv pip compile` of requirements.in and constraints.txt to pylock.toml, in the current folder."""
    place = None if universal else platform(target)
    return [
        *("pip", "compile", "requirements.in", "--constraints", "constraints.txt"),
        *(
            "--format",
            "pylock.toml",
            "--output-file",
            "pylock.toml",
            "--no-header",
            "--no-annotate",
            "--quiet",
        ),
        *_common(target),
        *(["--python-platform", place] if place else ["--universal"]),
        *(["--prerelease", "allow"] if options.pre else []),
        *_insecure(options),
    ]


def install_arguments(
    target: Target, place: str, into: Path, file: str, *, options: Options, hashed: bool
) -> list[str]:
    """`uv pip install` of the wheels that a file lists into a folder."""
    return [
        *("pip", "install", "--requirement", file, "--target", str(into), "--no-deps", "--quiet"),
        *_common(target),
        *("--python-platform", place, "--no-installer-metadata"),
        *(["--require-hashes"] if hashed else []),
        *_insecure(options),
    ]


def _insecure(options: Options) -> list[str]:
    return [part for host in options.trusted_hosts for part in ("--allow-insecure-host", host)]


def _candidates(path: Path, target: Target) -> Iterator[Candidates]:
    document: Mapping[str, Any] = tomli.loads(path.read_text(encoding="utf-8"))
    for package in Pylock.from_dict(document).packages:
        if package.marker is None or package.marker.evaluate(target.markers, context="lock_file"):
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
        direct=package.archive is not None,
    )


def _wheel(name: str, version: str, file: PackageWheel | PackageArchive, folder: Path) -> Wheel:
    url = file.url or (folder / (file.path or "")).resolve().as_uri()
    return Wheel(
        name=name,
        version=version,
        filename=unquote(urlsplit(url).path.rpartition("/")[2]),
        url=url,
        sha256=file.hashes.get("sha256"),
    )
