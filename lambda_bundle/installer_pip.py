"""The pip backend, for hosts where only pip's configuration reaches the index. It needs nothing of uv.

pip evaluates markers for the host, whatever its options say of the target (pip issue 11664). So the
requirements that each distribution declares are read again with the target's markers: what is missing is
asked for by name, what does not apply is dropped, until nothing changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement as Declared
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from lambda_bundle.errors import BundleError, Code, Problem
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
from lambda_bundle.lock import Unfit, Wheel, best, newest
from lambda_bundle.process import Completed
from lambda_bundle.reqfile import Requirements
from lambda_bundle.targets import Target

OLDEST = (23, 0)
"""The first pip whose installation report is stable (PEP 440 release numbers)."""
Report = Mapping[str, Mapping[str, Any]]
"""What pip would install, by normalized name."""


class Pip:
    """Resolve and install with the pip of some Python on the host."""

    name = "pip"

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """See `Installer.resolve`."""
        added: dict[str, None] = {}
        while True:
            report = self._report(wanted, target, work, added=added, unfit=unfit)
            needed, missing = closure(wanted, report, target)
            missing = [line for line in missing if line not in added]
            if not missing:
                break
            added.update(dict.fromkeys(missing))
        wheels = tuple(_wheel(name, report[name], work) for name in sorted(needed))
        check_complete(wheels, wanted)
        self._refuse_untagged(wheels, wanted, target)
        return wheels

    def install(
        self, wheels: tuple[Wheel, ...], wanted: Requirements, target: Target, into: Path, work: Work
    ) -> None:
        """See `Installer.install`."""
        name = work.write("install.txt", [*option_lines(wanted), *(wheel.line for wheel in wheels)])
        completed = work.run([*self._command, *install_arguments(target, into, name)], **_ENVIRONMENT)
        if completed.code:
            raise _failure(completed)

    def _report(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        *,
        added: Iterable[str],
        unfit: tuple[Unfit, ...],
    ) -> Report:
        allowed = allowed_hashes(wanted)
        lines = [
            one.line + "".join(f" --hash={value}" for value in one.hashes) for one in wanted.requirements
        ]
        work.write("requirements.in", [*option_lines(wanted), *lines, *added])
        work.write("constraints.txt", [*(one.line for one in wanted.constraints), *exclusions(unfit)])
        # With hashes the list is complete by pip's own rule; without its dependencies, host markers play no part.
        arguments = report_arguments(target, alone=bool(allowed))
        completed = work.run([*self._command, *arguments], **_ENVIRONMENT)
        if completed.code:
            raise no_fit(unfit, wanted, target) if unfit else self._diagnose(completed, wanted, target, work)
        document = json.loads((work.folder / "report.json").read_text(encoding="utf-8"))
        return {canonicalize_name(item["metadata"]["name"]): item for item in document["install"]}

    def _diagnose(
        self, completed: Completed, wanted: Requirements, target: Target, work: Work
    ) -> BundleError:
        """The error that a failed resolution means; pip says the same of a typo, a 401 and a missing wheel."""
        output = completed.output.strip()
        match = _NO_MATCH.search(output)
        if match is None and (refusal := _REQUIRES.search(output)):
            name = canonicalize_name(refusal["name"])
            versions = re.search(
                rf"{re.escape(name.replace('-', '_'))}-(?P<version>[^-\s]+)-\S*\.whl", output
            )
            version = versions["version"] if versions else ""
            return no_fit(
                (Unfit(name=name, version=version, requires_python=refusal["python"]),), wanted, target
            )
        if match is None:
            return conflict(output) if "ResolutionImpossible" in output else _failure(completed)
        requirement = Declared(match["asked"])
        name = canonicalize_name(requirement.name)
        work.write("requirements.in", [*option_lines(wanted), str(requirement)])
        work.write("constraints.txt", [one.line for one in wanted.constraints])
        told = work.run([*self._command, *report_arguments(target, alone=True), "-vv"], **_ENVIRONMENT).output
        links = _Links(told, name)
        if not links.files:
            return _fetch_failure(told) or not_found(name, str(requirement), wanted)
        version = links.choose(requirement.specifier)
        if version is None:
            return not_found(name, str(requirement), wanted, offered=newest(links.files))
        wheels = tuple(sorted(file for file in links.files[version] if file.endswith(".whl")))
        if not wheels:
            return source_only(name, version, wanted, target)
        python = links.requires_python(version, target)
        tagged = python is None or any(_platforms(wheel) != {"any"} for wheel in wheels)
        shown = wheels if tagged else ()
        return no_fit(
            (Unfit(name=name, version=version, wheels=shown, requires_python=python),), wanted, target
        )

    @staticmethod
    def _refuse_untagged(wheels: Iterable[Wheel], wanted: Requirements, target: Target) -> None:
        """pip takes a wheel that a requirement names by URL; it must fit the target like any other."""
        unfit = tuple(
            Unfit(name=wheel.name, version=wheel.version, wheels=(wheel.filename,), direct=True)
            for wheel in wheels
            if best([wheel], target) is None
        )
        if unfit:
            raise no_fit(unfit, wanted, target)


_NO_MATCH = re.compile(
    r"No matching distribution found for (?P<asked>[^\n(]+?)\s*(?:\(from |$)", re.MULTILINE
)
_REQUIRES = re.compile(
    r"Package '(?P<name>[^']+)' requires a different Python: \S+ not in '(?P<python>[^']+)'"
)
_ENVIRONMENT = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COLOR": "1"}


class _Links:
    """The files of one package that pip saw on its way to "no matching distribution"."""

    _FILE = re.compile(r"/(?P<file>[^/\s#?]+\.(?:whl|tar\.gz|zip))(?:[#?]\S*)?(?P<rest>[^\n]*)")
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
        if python is None or SpecifierSet(python).contains(target.full_version):
            return None
        return python


def _version(file: str, name: str) -> str | None:
    """The version of a file if it belongs to the package."""
    try:
        found, version, *_ = (
            parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
        )
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return str(version) if found == name else None


def _platforms(file: str) -> set[str]:
    return {tag.platform for tag in parse_wheel_filename(file)[3]}


def _failure(completed: Completed) -> BundleError:
    output = completed.output.strip()
    if "DO NOT MATCH THE HASHES" in output or "HashMismatch" in output:
        return mismatch(output)
    return _fetch_failure(output) or completed.failure("pip")


def _fetch_failure(output: str) -> BundleError | None:
    if re.search(r"\b40[13]\b.*(?:Error|Client Error|Forbidden|Unauthorized)", output):
        return unauthorized(_telling(output))
    if re.search(
        r"Could not fetch URL|NewConnectionError|ConnectTimeout|ReadTimeout|HTTP error|HTTPError", output
    ):
        return unreachable(_telling(output))
    return None


def _telling(output: str) -> str:
    """The lines of a verbose output that say what went wrong with the network."""
    lines = [line.strip() for line in output.splitlines()]
    said = [line for line in lines if re.search(r"\b40[13]\b|Could not fetch|Error|WARNING", line)]
    return "\n".join(dict.fromkeys(said))


def closure(wanted: Requirements, report: Report, target: Target) -> tuple[set[str], list[str]]:
    """The packages of a report that the target needs, and the requirements that the report does not satisfy."""
    needed: dict[str, set[str]] = {}
    missing: dict[str, None] = {}
    queue = [(one.name, set(one.extras), Declared(one.line)) for one in wanted.requirements]
    while queue:
        name, extras, requirement = queue.pop()
        found = report.get(name)
        if found is None or not _satisfies(found, requirement):
            missing[_unmarked(requirement)] = None
            continue
        if name in needed and extras <= needed[name]:
            continue
        needed[name] = needed.get(name, set()) | extras
        queue += [
            (canonicalize_name(child.name), set(child.extras), child)
            for child in _declared(found, needed[name], target)
        ]
    return set(needed), list(missing)


def _satisfies(found: Mapping[str, Any], requirement: Declared) -> bool:
    return requirement.url is not None or requirement.specifier.contains(
        found["metadata"]["version"], prereleases=True
    )


def _unmarked(requirement: Declared) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    place = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
    return f"{canonicalize_name(requirement.name)}{extras}{place}"


def _declared(found: Mapping[str, Any], extras: set[str], target: Target) -> Iterator[Declared]:
    """The requirements of a distribution that hold on the target, with these of its extras."""
    for text in found["metadata"].get("requires_dist", ()):
        declared = Declared(text)
        if declared.marker is None or any(
            declared.marker.evaluate({**target.markers, "extra": extra}) for extra in ("", *extras)
        ):
            yield declared


def _wheel(name: str, item: Mapping[str, Any], work: Work) -> Wheel:
    download = item["download_info"]
    url = download["url"]
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    if not filename.endswith(".whl"):
        raise BundleError(
            Problem(
                code=Code.SOURCE_REQUIREMENT,
                message=f"{name} is asked for as a source archive ({filename}), and only wheels are installed",
                hint="build a wheel of it and name its path, or publish one",
            )
        )
    hashes = download.get("archive_info", {}).get("hashes", {})
    return Wheel(
        name=name,
        version=item["metadata"]["version"],
        filename=filename,
        url=url,
        sha256=hashes.get("sha256") or _local_hash(url),
    )


def _local_hash(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    return hashlib.sha256(Path(url2pathname(parts.path)).read_bytes()).hexdigest()


def _common(target: Target) -> list[str]:
    return [
        *("--python-version", target.full_version, "--implementation", "cp", "--abi", target.abi),
        *(part for platform in target.platforms for part in ("--platform", platform)),
        *ONLY_BINARY,
        *("--no-input", "--no-user", "--progress-bar", "off"),
    ]


def report_arguments(target: Target, *, alone: bool) -> list[str]:
    """`pip install --dry-run` of requirements.in and constraints.txt to report.json, in the current folder."""
    return [
        *("install", "--dry-run", "--ignore-installed", "--report", "report.json"),
        *("--requirement", "requirements.in", "--constraint", "constraints.txt"),
        *(["--no-deps"] if alone else []),
        *_common(target),
    ]


def install_arguments(target: Target, into: Path, file: str) -> list[str]:
    """`pip install` of the wheels that a file lists into a folder."""
    return [
        *("install", "--requirement", file, "--target", str(into), "--no-deps", "--no-compile"),
        *("--no-warn-script-location", "--root-user-action", "ignore"),
        *_common(target),
    ]


def option_lines(wanted: Requirements) -> list[str]:
    """The options of the requirements as lines of a file: pip knows them all there."""
    return [
        *index_lines(wanted.options),
        *(["--pre"] if wanted.options.pre else []),
        *(f"--trusted-host {host}" for host in wanted.options.trusted_hosts),
    ]
