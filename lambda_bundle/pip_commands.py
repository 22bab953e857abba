"""What pip is told: argument lists, variables, and lines of the files that it reads.

Nothing is run or written here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lambda_bundle.installers import ONLY_BINARY, index_lines
from lambda_bundle.lock import Wheel
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options, Requirement

ENVIRONMENT = {
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_COLOR": "1",
    "PIP_QUIET": "0",
    "PIP_NO_DEPS": "0",
}
"""Variables for every command: what it says is read here, and what it is to follow is said here."""
_PLAIN = (*ONLY_BINARY, "--no-input", "--progress-bar", "off")


def report_arguments(target: Target, *, alone: bool) -> list[str]:
    """`pip install --dry-run` of requirements.in with constraints.txt to report.json, all in one folder."""
    # Nothing is ever put into the folder, but without one, older pips refuse to think of another platform.
    return [
        *("install", "--dry-run", "--ignore-installed", "--no-user", "--report", "report.json"),
        *("--target", "unused"),
        *("--requirement", "requirements.in", "--constraint", "constraints.txt"),
        *(["--no-deps"] if alone else []),
        *_common(target),
    ]


def download_arguments(target: Target, file: str, folder: str) -> list[str]:
    """`pip download` of the wheels that a file lists into a folder; whether they are fit is settled."""
    return [
        *("download", "--requirement", file, "--dest", folder, "--no-deps", "--ignore-requires-python"),
        *_common(target),
    ]


def sdist_arguments(target: Target, name: str, folder: Path) -> list[str]:
    """`pip download` of the source distribution of a package, and of no wheel, that fits the target."""
    return [
        *("download", "--requirement", "sdist.in", "--constraint", "constraints.txt"),
        *("--dest", str(folder), "--no-deps"),
        *_common(target),
        *("--no-binary", name),
    ]


def fetch_arguments(folder: Path) -> list[str]:
    """`pip download` of the source archive that sdist.txt names."""
    return [
        *("download", "--requirement", "sdist.txt", "--dest", str(folder), "--no-deps"),
        *("--ignore-requires-python", *_PLAIN),
    ]


def build_arguments(file: str, into: Path) -> list[str]:
    """`pip wheel` of the project that a file names; what the build needs is not built in turn."""
    return [
        *("wheel", "--requirement", file, "--wheel-dir", str(into), "--no-deps", "--ignore-requires-python"),
        *_PLAIN,
    ]


def _common(target: Target) -> list[str]:
    return [
        *("--python-version", target.full_version, "--implementation", "cp", "--abi", target.abi),
        *(part for platform in target.platforms for part in ("--platform", platform)),
        *_PLAIN,
    ]


def option_lines(options: Options) -> list[str]:
    """The options of the requirements as lines of a file: pip knows them all there."""
    return [
        *index_lines(options),
        *(["--pre"] if options.pre else []),
        *(f"--trusted-host {host}" for host in options.trusted_hosts),
    ]


def line(requirement: Requirement, hashes: Iterable[str]) -> str:
    """The line of a requirement, with these hashes."""
    return requirement.line + "".join(f" --hash={value}" for value in hashes)


def exact_line(wheel: Wheel, hashes: tuple[str, ...], *, hashed: bool) -> str:
    """The line for exactly this wheel. One --hash makes pip ask for some in every line, a URL's does not."""
    if hashed:
        return f"{wheel.name} @ {wheel.url}" + "".join(f" --hash={value}" for value in hashes)
    fragment = "" if "#" in wheel.url else "".join(f"#{value.replace(':', '=')}" for value in hashes[:1])
    return f"{wheel.name} @ {wheel.url}{fragment}"
