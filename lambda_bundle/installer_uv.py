"""The uv backend.

`uv pip compile` knows markers and versions, but its list of platforms is short (there is no glibc 2.26) and
holds one family at a time. It is therefore asked for a little too much, and the wheels are chosen here, by
the target's own ordered tags; a version without a fitting wheel is excluded and the question asked again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli
from packaging.pylock import Package, PackageArchive, PackageWheel, Pylock
from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name
from packaging.version import Version

from lambda_bundle.errors import BundleError, Where
from lambda_bundle.installers import (
    BUILD_ENVIRONMENT,
    ONLY_BINARY,
    Asked,
    Work,
    allowed_hashes,
    archive_line,
    conflict,
    exclusions,
    hash_missing,
    hash_unclear,
    index_lines,
    location,
    mismatch,
    no_fit,
    not_found,
    offline,
    refuse_misfits,
    source_only,
    unauthorized,
    unnamed,
    unreachable,
    unusable,
)
from lambda_bundle.lock import Candidates, Source, Unfit, Wheel, pick, promised, wheel_file
from lambda_bundle.process import Completed
from lambda_bundle.reqfile import NO_REQUIREMENTS, Options, Requirements
from lambda_bundle.targets import Target

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

_BUILD = {**BUILD_ENVIRONMENT, "UV_NO_BINARY": "0", "UV_NO_BINARY_PACKAGE": ""}


class Uv:
    """Resolve and install with the uv that is our own dependency."""

    name = "uv"

    def __init__(self, command: str) -> None:
        self._command = command

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """See `Installer.resolve`."""
        refuse_misfits(wanted, target)
        allowed = allowed_hashes(wanted)
        wheels = self._at_hand(wanted, target, work, unfit, allowed)
        if wheels is None:
            wheels = self._chosen(wanted, target, work, unfit, allowed)
        _check_hashes(wheels, wanted, allowed)
        return wheels

    def _at_hand(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
        allowed: Mapping[str, tuple[str, ...]],
    ) -> tuple[Wheel, ...] | None:
        """What uv's cache alone resolves to, where every package is pinned: no index could say otherwise."""
        pinned = {one.name for one in wanted.requirements if _PIN.fullmatch(one.specifier)}
        if not all(one.name in pinned and one.url is None for one in wanted.requirements):
            return None
        _, found = self._compile(wanted, target, work, unfit, UV_OFFLINE="1")
        if found is None or not all(one.name in pinned for one in found):
            return None
        wheels, misfits = pick(found, target, allowed)
        return None if misfits else wheels

    def _chosen(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
        allowed: Mapping[str, tuple[str, ...]],
    ) -> tuple[Wheel, ...]:
        """What uv resolves to, asked again until all that it chooses fits."""
        while True:
            completed, found = self._compile(wanted, target, work, unfit)
            if found is None:
                raise self._diagnose(completed, wanted, target, work, unfit)
            wheels, misfits = pick(found, target, allowed)
            if not misfits:
                return wheels
            unfit = (*unfit, *misfits)
            if any(one.hashes for one in misfits):
                raise no_fit(misfits, wanted, target)

    def install(
        self,
        wheels: tuple[Wheel, ...],
        wanted: Requirements,
        target: Target,
        into: Path,
        work: Work,
        *,
        linked: bool = False,
        at_hand: Collection[str] = (),
    ) -> None:
        """See `Installer.install`; one command for each family of platforms.

        Whatever an index says of how long its files are good, a wheel whose hash is known is not fetched
        again when uv has it.
        """
        reach = _reach(wanted.options, work)  # where a wheel is, is known, but not with which credentials
        allowed = allowed_hashes(wanted)

        def attempt(family: str, some: Sequence[Wheel], **environ: str) -> Completed:
            place = _PERMISSIVE[family].format(machine=target.machine)
            name = work.write(f"pylock.{family}.toml", _lock(some, allowed))
            arguments = install_arguments(target, place, into, name, options=wanted.options, linked=linked)
            return self._run(arguments, wanted, work, **reach, **environ)

        for family, members in _families(wheels).items():
            certain = all(promised(wheel, allowed) for wheel in members)
            if certain and attempt(family, members, UV_OFFLINE="1").code == 0:
                continue
            there = [wheel for wheel in members if certain and wheel.url in at_hand]
            rest = [wheel for wheel in members if wheel not in there]
            if not there or not rest or attempt(family, there, UV_OFFLINE="1").code:
                rest = members
            completed = attempt(family, rest)
            if completed.code:
                raise _failure(completed, wanted)

    def sdist(
        self, name: str, asked: Asked, wanted: Requirements, target: Target, work: Work
    ) -> Source | None:
        """See `Installer.sdist`; uv chooses it with everything else that is required in view."""
        completed, found = self._compile(wanted, target, work, (), sources=asked)
        if found is None:
            if "No solution found" in completed.output and not _REFUSED.search(completed.output):
                return None
            raise _failure(completed, wanted)
        sources = {one.name: one.sdist for one in found}
        source = sources.get(name)
        return source and replace(source, hashes=allowed_hashes(wanted).get(name, source.hashes))

    def fetch(self, source: Source, into: Path, wanted: Requirements, target: Target, work: Work) -> Path:
        """See `Installer.fetch`; it is built on the way, and what is installed is a wheel unpacked."""
        if source.name is None:
            raise unnamed(source)
        reach = _reach(wanted.options, work)
        work.write("sdist.txt", [archive_line(source)])
        arguments = fetch_arguments(source.name, into / "tree", options=wanted.options)
        # For `Requires-Python` alone: the Python that builds is this one, and a wheel may be for it alone.
        told = ["--python-version", target.full_version]
        completed = self._run([*arguments, *told], wanted, work, **reach, **_BUILD)
        if _FOR_THE_HOST.search(completed.output):  # what is wrong with it is told with more of it in view
            completed = self._run(arguments, wanted, work, **reach, **_BUILD)
        if completed.code:
            raise _failure(completed, NO_REQUIREMENTS)
        return into / "tree"

    def build(self, project: Path, into: Path, wanted: Requirements, work: Work) -> None:
        """See `Installer.build`."""
        reach = _reach(wanted.options, work)
        arguments = build_arguments(project, into, options=wanted.options)
        completed = self._run(arguments, wanted, work, **reach, **_BUILD)
        if completed.code:
            raise _failure(completed, NO_REQUIREMENTS)

    def _run(self, arguments: list[str], wanted: Requirements, work: Work, **environ: str) -> Completed:
        # As in pip, the --index-url of a requirements file outdoes the environment; it may hold a password.
        if wanted.options.index_url:
            environ["UV_DEFAULT_INDEX"] = wanted.options.index_url
        if any(one.url and "?" in one.url for one in wanted.requirements):
            # A query most often is a secret, and uv notes it in its cache, readable for everyone.
            environ["UV_CACHE_DIR"] = str(work.folder / "uv-cache")
        # One after the other: where two wheels bring the same path, uv's threads race for it.
        return work.run([self._command, *arguments], **environ, UV_CONCURRENT_INSTALLS="1")

    def _compile(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: Iterable[Unfit],
        *,
        sources: Iterable[str] = (),
        **environ: str,
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        lines = [one.line for one in wanted.requirements]
        constraints = [*(one.line for one in wanted.constraints), *exclusions(unfit)]
        return self._ask(
            lines,
            wanted,
            work,
            constraints=constraints,
            arguments=[
                *compile_arguments(target, wanted.options),
                *(["--no-deps"] if wanted.exact else []),
                *from_sources(sources),
            ],
            environments=[environment(target)],
            markers=target.markers,
            **environ,
        )

    def _list(
        self, asked: str, wanted: Requirements, work: Work
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        """One package with all its wheels, whatever they are for."""
        tried, python = "", "2.7"
        while True:
            arguments = listing_arguments(wanted.options, python)
            completed, found = self._ask([asked], wanted, work, arguments=arguments)
            # Every Python from this one on must do for the package: else begin with the oldest that does.
            oldest = re.search(r"depends on Python>=(\d+\.[\d.]+)", completed.output)
            if found is not None or oldest is None or oldest[1] in {tried, python}:
                return completed, found
            tried, python = python, oldest[1]

    def _ask(
        self,
        lines: Iterable[str],
        wanted: Requirements,
        work: Work,
        *,
        arguments: list[str],
        markers: Mapping[str, str] | None = None,
        constraints: Iterable[str] = (),
        environments: Iterable[str] = (),
        **environ: str,
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        lines = tuple(lines)
        work.write("requirements.in", [*index_lines(wanted.options), *lines])
        work.write("constraints.txt", constraints)
        # A project of its own: nothing leaks in from the [tool.uv] of the folder that we are called from, and
        # `environments` makes a universal resolution one for exactly this target.
        settings = ["[tool.uv]", f"environments = {json.dumps(list(environments))}", *wanted.options.uv]
        work.write("pyproject.toml", [*settings, *_pinned(lines, wanted.options)])
        (work.folder / "pylock.toml").unlink(missing_ok=True)
        completed = self._run(arguments, wanted, work, **environ)
        if completed.code:
            return completed, None
        return completed, tuple(_candidates(work.folder / "pylock.toml", markers))

    def _diagnose(
        self,
        completed: Completed,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
    ) -> BundleError:
        """The error that a failed resolution means."""
        told = " ".join(completed.output.split())
        if "No solution found" not in told or _REFUSED.search(told) or _OFFLINE.search(told):
            return _failure(completed, wanted)
        if unfit:
            return no_fit(unfit, wanted, target)
        if blamed := _blamed(_UNFIT, told):
            return self._wheelless(blamed, wanted, target, work)
        if blamed := _blamed(_UNKNOWN, told):
            return not_found(blamed["name"] or blamed["same"], wanted)
        if blamed := _blamed(_NO_SUCH_VERSION, told):
            name = blamed["name"]
            offered = self._offered(name, wanted, work)
            return not_found(name, wanted, asked=f"{name}{blamed['asked']}".rstrip(".,"), offered=offered)
        return conflict(completed.output.strip())

    def _wheelless(
        self, blamed: re.Match[str], wanted: Requirements, target: Target, work: Work
    ) -> BundleError:
        """Tell a package that has only sources from one whose wheels are for other targets."""
        name, version = blamed["name"], blamed["version"]
        completed, listed = self._list(f"{name}{blamed['range'] or ''}", wanted, work)
        if "no usable wheels" in " ".join(completed.output.split()):
            return source_only(name, version or self._offered(name, wanted, work), wanted, target)
        packages = listed or ()  # nothing, where all are for Python 2
        version = max((one.version for one in packages), key=Version, default=version)
        files = [wheel.filename for one in packages if one.version == version for wheel in one.wheels]
        python = blamed["python"] and blamed["python"].rstrip(",")
        unfit = unusable(name, version or "", files, python=python, target=target)
        return no_fit([unfit], wanted, target)

    def _offered(self, name: str, wanted: Requirements, work: Work) -> str | None:
        """The newest version that an index has, wheel or not: asking for a newer one makes uv tell."""
        completed, _ = self._list(f"{name}>=999999", wanted, work)
        text = " ".join(completed.output.split())
        match = re.search(rf"only {re.escape(name)}(?:<=|==)(?P<version>\S+?),? (?:is|are) available", text)
        return match["version"] if match else None


_PIN = re.compile(r"===?[^,*]+")
_OFFLINE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*) (?:was|were) not found in the cache"
    r"|Network connectivity is disabled(?:.*? found in the cache(?: for)?: `?(?P<url>[^`\s]+))?"
    r"|because the network was disabled"
)
_FOR_THE_HOST = re.compile(r"The built wheel `[^`]+` is not compatible with the target")
_REFUSED = re.compile(r"401 Unauthorized|403 Forbidden|valid authentication credentials")
_PACKAGE = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?"
_PACKAGE_TOO = _PACKAGE.replace("<name>", "<same>")
_UNFIT = re.compile(
    _PACKAGE
    + r"(?P<range>==(?P<version>[^\s,]+)|[<>=!~][^\s]*)? "
    + r"(?:(?:has|have) no (?:usable wheels|wheels with|`[^`]*`-compatible)"
    + r"|(?:depends? on|requires?) Python ?(?P<python>[<>=!~]\S+))"
)
_UNKNOWN = re.compile(rf"{_PACKAGE} (?:was|were) not found in|there are no versions of {_PACKAGE_TOO} and")
_NO_SUCH_VERSION = re.compile(
    r"(?:there (?:is|are) no versions? of"
    r"|only (?:the following versions of )?(?P<have>[\w.-]+?)(?:[<>=!~]\S*)? (?:is|are) available"
    r"(?:: (?:(?P=have)[<>=!~]\S* )+)? ?and (?:you require|(?:all versions of )?\S+ depends? on)) "
    + _PACKAGE
    + r"(?P<asked>[<>=!~]\S+)"
)


def _blamed(pattern: re.Pattern[str], told: str) -> re.Match[str] | None:
    """What uv blames first; where it names versions of that package one by one, the newest of them."""
    found = list(pattern.finditer(told))
    exact = [
        match
        for match in found
        if match["name"] == found[0]["name"] and match.groupdict().get("version") is not None
    ]
    if exact:
        return max(exact, key=lambda match: Version(match["version"]))
    return found[0] if found else None


def _failure(completed: Completed, wanted: Requirements) -> BundleError:
    """The error for what can go wrong in a resolution and in an installation alike."""
    output = completed.output.strip()
    if match := _OFFLINE.search(" ".join(output.split())):
        file = match["url"] and wheel_file(match["url"])
        return offline(match["name"] or file or None, wanted)
    if _REFUSED.search(output):
        return unauthorized(output)
    if match := re.search(r"Hash mismatch for `(?P<name>[\w.-]+)", output):
        return mismatch(match["name"], wanted, output)
    if re.search(r"Failed to fetch|error sending request|dns error|HTTP status", output):
        return unreachable(output)
    return completed.failure("uv")


def _check_hashes(
    wheels: Iterable[Wheel], wanted: Requirements, allowed: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse what is not listed where all must be, and alternatives that uv cannot tell apart.

    A lock has room for one hash of a kind, and with a URL uv wants all that stand behind it to be true.
    """
    missing = [one for one in wheels if one.name not in allowed] if wanted.options.require_hashes else []
    if missing:
        raise hash_missing(f"{one.name}=={one.version}" for one in missing)
    unclear = [one for one in wheels if len(promised(one, allowed)) > 1]
    if unclear:
        raise hash_unclear(unclear, wanted)


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


def _lock(wheels: Iterable[Wheel], allowed: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A lock of exactly these wheels; by a URL alone, uv would fetch each twice, for its metadata too."""
    lines = ['lock-version = "1.0"', 'created-by = "lambda-bundle"']
    for wheel in wheels:
        hashes = (one.partition(":") for one in promised(wheel, allowed))
        proof = ", ".join(f"{kind} = {json.dumps(value)}" for kind, _, value in hashes)
        file = f"{{ url = {json.dumps(wheel.url)}, hashes = {{ {proof} }} }}"
        lines += ["[[packages]]", f"name = {json.dumps(wheel.name)}"]
        lines += [f"version = {json.dumps(wheel.version)}", f"wheels = [{file}]"]
    return lines


def _reach(options: Options, work: Work) -> dict[str, str]:
    """The variables that name the indexes of the requirements; those of the project are written down."""
    work.write("pyproject.toml", ["[tool.uv]", *options.uv])
    indexes = [*options.extra_index_urls, work.environ.get("UV_INDEX", "")]
    links = [*map(location, options.find_links), work.environ.get("UV_FIND_LINKS", "")]
    reach = {"UV_INDEX": " ".join(filter(None, indexes)), "UV_FIND_LINKS": ",".join(filter(None, links))}
    return {name: value for name, value in reach.items() if value}


def _pinned(lines: Iterable[str], options: Options) -> list[str]:
    """A project that depends on what must come from one index: only there does uv know such a thing."""
    pins = dict(options.pins)
    names = {line: canonicalize_name(Declared(line).name) for line in lines} if pins else {}
    dependencies = [line for line, name in names.items() if name in pins and " @ " not in line]
    if not dependencies:
        return []
    return [
        *("[project]", 'name = "lambda-bundle"', 'version = "0"'),
        f"dependencies = {json.dumps(dependencies)}",
        "[tool.uv.sources]",
        *(f"{name} = {{ index = {json.dumps(index)} }}" for name, index in pins.items()),
    ]


def _common() -> list[str]:
    # uv needs some interpreter, any will do, and would download one of the target's version otherwise.
    return [
        *("--python", sys.executable, "--no-python-downloads"),
        *(*ONLY_BINARY, "--no-progress", "--color", "never", "--quiet"),
    ]


def compile_arguments(target: Target, options: Options) -> list[str]:
    """`uv pip compile` of requirements.in and constraints.txt to pylock.toml, in the current folder."""
    place = platform(target)
    return [
        *_compile(options),
        *("--python-version", target.full_version),
        *(["--python-platform", place] if place else ["--universal"]),
    ]


def listing_arguments(options: Options, python: str) -> list[str]:
    """The same for what a package has at all: for any platform, and this Python or a newer one."""
    return [*_compile(options), "--python-version", python, "--universal", "--no-deps"]


def _compile(options: Options) -> list[str]:
    return [
        *("pip", "compile", "requirements.in", *(["pyproject.toml"] if options.pins else [])),
        *("--constraints", "constraints.txt"),
        *("--format", "pylock.toml", "--output-file", "pylock.toml", "--no-header", "--no-annotate"),
        *_common(),
        *(["--prerelease", "allow"] if options.pre else []),
        *_insecure(options),
    ]


def install_arguments(
    target: Target, place: str, into: Path, file: str, *, options: Options, linked: bool
) -> list[str]:
    """`uv pip install` of the wheels that a file lists into a folder."""
    return [
        *("pip", "install", "--requirement", file, "--target", str(into), "--no-deps"),
        *_common(),
        *("--python-version", target.full_version, "--python-platform", place, "--no-installer-metadata"),
        # What is kept must not change with uv's own cache, nor that with what is kept: no hard links there.
        *("--link-mode", "hardlink" if linked else "copy"),
        *_insecure(options),
    ]


def build_arguments(project: Path, into: Path, *, options: Options) -> list[str]:
    """`uv build` of the project in a folder; what the build needs is not built in turn."""
    return [
        *("build", str(project), "--wheel", "--out-dir", str(into), "--no-create-gitignore"),
        *("--python", sys.executable, "--no-python-downloads", "--no-build", "--no-sources"),
        *("--no-progress", "--color", "never"),
        *_insecure(options),
    ]


def from_sources(names: Iterable[str]) -> list[str]:
    """The exception from `ONLY_BINARY` for packages that may be built: of these, no wheel is looked at."""
    return [part for name in sorted(names) for part in ("--no-binary", name)]


def fetch_arguments(name: str, into: Path, *, options: Options) -> list[str]:
    """`uv pip install` of the source archive that sdist.txt names, which builds it for this host."""
    return [
        *("pip", "install", "--requirement", "sdist.txt", "--target", str(into), "--no-deps"),
        *_common(),
        *from_sources([name]),
        *("--no-installer-metadata", "--link-mode", "copy"),
        *_insecure(options),
    ]


def _insecure(options: Options) -> list[str]:
    return [part for host in options.trusted_hosts for part in ("--allow-insecure-host", host)]


def _candidates(path: Path, markers: Mapping[str, str] | None) -> Iterator[Candidates]:
    """The packages of a lock, where markers are given those for which they hold."""
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
