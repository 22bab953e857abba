"""What uv is told: argument lists, variables, and lines of the files that it reads.

Nothing is run or written here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name

from lambda_bundle.installers import BUILD_ENVIRONMENT, ONLY_BINARY, location
from lambda_bundle.lock import Wheel, promised
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options

_GLIBCS = (17, 28, *range(31, 41))
"""The glibc 2.N for which uv has a platform; it expands each downward."""
_MUSL = 2
"""uv's only musl platform stands for musllinux_1_2."""
PERMISSIVE = {
    "manylinux": "{machine}-manylinux_2_40",
    "musllinux": "{machine}-unknown-linux-musl",
    "linux": "{machine}-manylinux_2_40",
}
"""Platforms for installing wheels that are chosen already, by the family of their tags."""
BUILD = {**BUILD_ENVIRONMENT, "UV_NO_BINARY": "0", "UV_NO_BINARY_PACKAGE": ""}
"""Variables for commands that may build."""


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
        *_plain(),  # its warnings say what was yanked
        *(["--prerelease", "allow"] if options.pre else []),
        *_insecure(options),
    ]


def install_arguments(target: Target, place: str, into: Path, file: str, *, options: Options) -> list[str]:
    """`uv pip install` of the wheels that a file lists into a folder; the files are links into uv's cache."""
    return [
        *("pip", "install", "--requirement", file, "--target", str(into), "--no-deps"),
        *_common(),
        *("--python-version", target.full_version, "--python-platform", place, "--no-installer-metadata"),
        *("--link-mode", "hardlink"),
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


def _common() -> list[str]:
    return [*_plain(), "--quiet"]


def _plain() -> list[str]:
    # uv needs some interpreter, any will do, and would download one of the target's version otherwise.
    return [
        *("--python", sys.executable, "--no-python-downloads"),
        *(*ONLY_BINARY, "--no-progress", "--color", "never"),
    ]


def _insecure(options: Options) -> list[str]:
    return [part for host in options.trusted_hosts for part in ("--allow-insecure-host", host)]


def reach(options: Options, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that name the indexes of the requirements, and those that `environ` names besides."""
    indexes = [*options.extra_index_urls, environ.get("UV_INDEX", "")]
    links = [*map(location, options.find_links), environ.get("UV_FIND_LINKS", "")]
    found = {"UV_INDEX": " ".join(filter(None, indexes)), "UV_FIND_LINKS": ",".join(filter(None, links))}
    return {name: value for name, value in found.items() if value}


def pinned_lines(lines: Iterable[str], options: Options) -> list[str]:
    """A project that depends on what must come from one index: only there does uv know such a thing.

    `lines` are requirements; what comes back is for a pyproject.toml, and nothing where nothing is pinned.
    """
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


def by_family(wheels: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    """The wheels by the family of their platform tags, a key of `PERMISSIVE`; the pure ones go with any."""
    families: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        family = next(
            (name for name in PERMISSIVE if all(tag.startswith(name) for tag in wheel.platforms)), None
        )
        families.setdefault(family or "manylinux", []).append(wheel)
    return families


def lock_lines(wheels: Iterable[Wheel], allowed: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A lock of exactly these wheels (PEP 751), with the hashes that `allowed` has for each name.

    By a URL alone, uv would fetch each twice, for its metadata too.
    """
    lines = ['lock-version = "1.0"', 'created-by = "lambda-bundle"']
    for wheel in wheels:
        hashes = (one.partition(":") for one in promised(wheel, allowed))
        proof = ", ".join(f"{kind} = {json.dumps(value)}" for kind, _, value in hashes)
        file = f"{{ url = {json.dumps(wheel.url)}, hashes = {{ {proof} }} }}"
        lines += ["[[packages]]", f"name = {json.dumps(wheel.name)}"]
        lines += [f"version = {json.dumps(wheel.version)}", f"wheels = [{file}]"]
    return lines
