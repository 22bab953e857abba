"""What pip writes: the files that it has seen, and its messages → errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Declared
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from lambda_bundle.errors import BundleError
from lambda_bundle.installers import (
    ODD_ANSWER,
    ODD_FILE,
    Work,
    mismatch,
    offline,
    source_requirement,
    unauthorized,
    unreachable,
)
from lambda_bundle.lock import newest, wheel_file
from lambda_bundle.process import Completed
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

_BUILDING = re.compile(
    r"Failed to build|subprocess-exited-with-error|metadata-generation-failed|backend-unavailable"
)
_LOOKED_AT = re.compile(
    r"^ *(?:Collecting|Processing) (?:(?P<name>[\w.-]+) ?@ )?(?P<place>\S.*?)"
    r" \(from (?P<parent>[\w.]+(?:-[\w.]+)*)",
    re.MULTILINE,
)
UNSOLVED = re.compile(
    r"No matching distribution found|ResolutionImpossible|requires? a different Python"
    rf"|is not a supported wheel|{_BUILDING.pattern}"
)
"""What it says of requirements that it cannot meet; all else has other causes."""
UNSUPPORTED = re.compile(r"(?P<file>[^\s/]+\.whl) is not a supported wheel")
_WITHOUT_MATCH = re.compile(
    r"no matching distributions available for your environment:\n(?P<names>(?: +\S+\n)+)"
)
_DEPENDS = re.compile(r"^ +\S+ \S+ depends on (\S[^\n]*)$", re.MULTILINE)
NO_MATCH = re.compile(r"No matching distribution found for (?P<asked>[^\n(]+?)\s*(?:\(from |$)", re.MULTILINE)
PYTHON = re.compile(r"Package '(?P<name>[^']+)' requires a different Python: \S+ not in '(?P<python>[^']+)'")
PYTHONS = re.compile(
    r"Packages require a different Python.*\n"
    r"'(?P<python>[^']+)' \(required by (?P<name>\S+) (?P<version>\S+) "
)
_YANKED = re.compile(
    r"yanked version: '(?P<name>[^']+)' candidate [^\n]*\nReason for being yanked: (?P<reason>[^\n]*)"
)
_NO_REASON = "<none given>"
_WHEEL = re.compile(r"[^\s/\"']+\.whl\b")
_TRACEBACK = re.compile(
    r"^(?:ERROR: Exception:\n)?Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*", re.MULTILINE
)
"""All but the last line of what Python prints where pip itself fails."""
_UNREACHABLE = re.compile(
    r"is not a trusted or secure host|Could not fetch URL (?!\S+ 404)|Exceeded \d+ redirects|HTTP error"
    r"|Max retries exceeded|incomplete-download|connection-failed|connection-timeout|ssl-missing"
    r"|ssl-verification-failed|NewConnectionError|ReadTimeout"
)


def built(output: str) -> BundleError | None:
    """The error for what pip tried to build, which a distribution requires by URL; None without such."""
    looked_at = [*_LOOKED_AT.finditer(output)]
    if not _BUILDING.search(output) or not looked_at:
        return None
    last = looked_at[-1]
    name = last["name"] or re.split(r"[/\\]", last["place"])[-1].partition("-")[0]
    return source_requirement(canonicalize_name(name), last["place"], last["parent"])


def blamed(output: str, wanted: Requirements) -> Iterator[Declared]:
    """The packages in a conflict that pip found nothing for, as constraints or distributions want them."""
    match = _WITHOUT_MATCH.search(output)
    for name in match["names"].split() if match else ():
        limits = (one.specifier for one in wanted.constraints if one.name == canonicalize_name(name))
        yield Declared(name + ",".join(limits))
        for asked in dict.fromkeys(_DEPENDS.findall(output)):
            with suppress(InvalidRequirement):
                declared = Declared(asked)
                if canonicalize_name(declared.name) == canonicalize_name(name):
                    yield declared


def yanked(output: str) -> dict[str, str]:
    """Why an index has withdrawn what was chosen, or nothing, by normalized name."""
    found = {canonicalize_name(one["name"]): one["reason"].strip() for one in _YANKED.finditer(output)}
    return {name: "" if reason == _NO_REASON else reason for name, reason in found.items()}


class Links:
    """The files of one package that pip saw on its way to "no matching distribution"."""

    _FILE = re.compile(r"[/\s](?P<file>[^/\s#?]+\.(?:whl|tar\.gz|zip))(?:[#?]\S*)?(?P<rest>[^\n]*)")
    _PYTHON = re.compile(r"requires-python:\s*(?P<python>[^)]+)\)")

    def __init__(self, output: str, name: str) -> None:
        self.files: dict[str, set[str]] = {}
        self._pythons: dict[str, str] = {}
        for match in self._FILE.finditer(output):
            file = unquote(match["file"])
            version = _version(file, name)
            if version is not None:
                self.files.setdefault(version, set()).add(file)
                if python := self._PYTHON.search(match["rest"]):
                    self._pythons[version] = python["python"]

    def choose(self, specifier: SpecifierSet) -> str | None:
        """The newest version that was asked for, whatever its files."""
        versions = list(specifier.filter(self.files)) or list(specifier.filter(self.files, prereleases=True))
        return newest(versions) if versions else None

    def requires_python(self, version: str, target: Target) -> str | None:
        """The version's `Requires-Python` where it does not admit the target."""
        python = self._pythons.get(version)
        return None if target.admitted(python) else python


def _version(file: str, name: str) -> str | None:
    """The version of a file if it belongs to the package."""
    try:
        found, version, *_ = (
            parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
        )
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return str(version) if found == name else None


def failure(completed: Completed, wanted: Requirements, work: Work) -> BundleError:
    """The error for a command that failed, where it is no matter of what fits."""
    output = _TRACEBACK.sub("", completed.output.strip())
    if work.offline and _UNREACHABLE.search(output):
        file = _WHEEL.search(output)
        return offline(file and wheel_file(file[0]), wanted)
    if "DO NOT MATCH THE HASHES" in output:
        match = re.search(r"^ +(?P<name>[\w.-]+)(?:==\S+| ?@ \S+)? from ", output, re.MULTILINE)
        return mismatch(canonicalize_name(match["name"]) if match else None, wanted, output)
    return fetch_failure(output, output) or replace(completed, output=output).failure("pip")


def fetch_failure(output: str, detail: str) -> BundleError | None:
    """The error for what pip could not fetch, with details; None where that is not what it says."""
    if re.search(r"\b40[13] (?:Client )?Error|HTTP error 40[13]", output):
        return unauthorized(detail)
    # A 404 of an index is its way to say that it has no such package.
    if any(one.search(output) for one in (_UNREACHABLE, ODD_ANSWER, ODD_FILE)):
        return unreachable(detail)
    return None


def telling(output: str) -> str:
    """The lines of a verbose output that say what went wrong with the network."""
    lines = [line.strip() for line in output.splitlines()]
    said = [line for line in lines if re.search(r"\b40[13]\b|Could not fetch|Error|WARNING", line)]
    return "\n".join(dict.fromkeys(said))
