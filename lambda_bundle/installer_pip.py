"""The pip backend, for hosts where only pip's configuration reaches the index. It needs nothing of uv.

pip evaluates markers for the host, whatever its options say of the target (pip issue 11664). So the
requirements that each distribution declares are read again with the target's markers: what is missing is
asked for by name, what does not apply is dropped, until nothing changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement as Declared
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

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
    index_lines,
    mismatch,
    no_fit,
    not_found,
    offline,
    refuse_misfits,
    source_only,
    source_requirement,
    unauthorized,
    unreachable,
    unusable,
)
from lambda_bundle.lock import Source, Unfit, Wheel, fits, newest, promised, wheel_file
from lambda_bundle.process import Completed
from lambda_bundle.targets import Target
from lambda_bundle.unpack import unpack
from lambda_bundle.wanted import NO_REQUIREMENTS, Options, Requirement, Requirements

OLDEST = (23, 1)
"""The first pip whose installation report names hashes by their kind."""
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
        refuse_misfits(wanted, target)
        failures: list[Completed] = []
        # Its dependencies by the host's markers may be what pip fails on: then each requirement by itself.
        # With hashes the list is complete by pip's own rule, and nothing else is looked at.
        for alone in (True,) if wanted.options.require_hashes or wanted.exact else (False, True):
            solved = self._solve(wanted, target, work, unfit, alone=alone)
            if not isinstance(solved, Completed):
                return _chosen(solved, wanted)
            failures.append(solved)
            if not _UNSOLVED.search(solved.output):
                raise _failure(solved, wanted, work)
            if _asked_for(solved.output, wanted):
                break  # the host's markers have no part in that
        if unfit:
            raise no_fit(unfit, wanted, target)
        # The first names both sides of a conflict, the last only what the target needs.
        conflicting = all(_CONFLICT in failure.output for failure in failures)
        raise self._diagnose(failures[0 if conflicting else -1].output.strip(), wanted, target, work)

    def install(
        self,
        wheels: tuple[Wheel, ...],
        wanted: Requirements,
        target: Target,
        into: Path,
        work: Work,
        *,
        at_hand: Collection[str] = (),  # noqa: ARG002 - pip's cache does as its index says
    ) -> None:
        """See `Installer.install`; pip fetches and checks the wheels, and they are unpacked here."""
        allowed = allowed_hashes(wanted)
        hashed = wanted.options.require_hashes
        lines = [_exact(wheel, promised(wheel, allowed), hashed=hashed) for wheel in wheels]
        name = work.write("install.txt", [*option_lines(wanted.options), *lines])
        with TemporaryDirectory(dir=work.folder) as folder:
            completed = self._run(download_arguments(target, name, folder), target, work)
            if completed.code:
                raise _failure(completed, wanted, work)
            for wheel in sorted(wheels, key=lambda one: one.name):
                unpack(Path(folder, wheel.filename), into)

    def sdist(
        self, name: str, asked: Asked, wanted: Requirements, target: Target, work: Work
    ) -> Source | None:
        """See `Installer.sdist`; pip looks at the metadata of what it fetches, and may build for that."""
        listed = [one for one in wanted.requirements if one.name == name and not one.url]
        hashed = wanted.options.require_hashes
        lines = [_line(one, one.hashes if hashed else ()) for one in listed]
        lines += [] if hashed and listed else [f"{name}{asked[name]}"]
        work.write("sdist.in", [*option_lines(wanted.options), *dict.fromkeys(lines)])
        work.write("constraints.txt", [one.line for one in wanted.constraints])
        folder = Path(mkdtemp(dir=work.folder))
        completed = self._build(sdist_arguments(target, name, folder), work)
        if completed.code:
            if "No matching distribution found" in completed.output:
                return None
            raise _failure(completed, wanted, work)
        file = next(folder.iterdir())
        return Source(
            name=name, where=Where(), url=file.as_uri(), hashes=allowed_hashes(wanted).get(name, ())
        )

    def fetch(
        self,
        source: Source,
        into: Path,
        wanted: Requirements,
        target: Target,  # noqa: ARG002 - pip need not know
        work: Work,
    ) -> Path:
        """See `Installer.fetch`."""
        work.write("sdist.txt", [*option_lines(wanted.options), archive_line(source)])
        completed = self._build(fetch_arguments(into), work)
        if completed.code:
            raise _failure(completed, NO_REQUIREMENTS, work)
        return next(into.iterdir())

    def build(self, project: Path, into: Path, wanted: Requirements, work: Work) -> None:
        """See `Installer.build`."""
        name = work.write("build.txt", [*option_lines(wanted.options), project.as_uri()])
        completed = self._build(build_arguments(name, into), work)
        if completed.code:
            raise _failure(completed, NO_REQUIREMENTS, work)

    def _build(self, arguments: list[str], work: Work) -> Completed:
        """Run what may build, on and for this host."""
        environ = {**_ENVIRONMENT, **BUILD_ENVIRONMENT}
        return work.run([*self._command, *arguments], **environ)

    def _run(self, arguments: list[str], target: Target, work: Work) -> Completed:
        # --only-binary does not keep pip from building what a distribution requires by URL. A build has pip
        # run once more, for its tools, and that one ends when the environment asks for some Python version.
        return work.run([*self._command, *arguments], **_ENVIRONMENT, PIP_PYTHON_VERSION=target.full_version)

    def _solve(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
        *,
        alone: bool,
    ) -> Report | Completed:
        """What pip would install and the target needs; or the command, if it failed."""
        added: dict[str, None] = {}
        while True:
            report = self._report(wanted, target, work, added=added, unfit=unfit, alone=alone)
            if isinstance(report, Completed):
                return report
            if wanted.exact:
                return report
            needed, missing = closure(wanted, report, target)
            if missing and wanted.options.require_hashes:
                raise _unlisted(missing, report)
            if added.keys() >= missing.keys():
                return {name: report[name] for name in needed}
            added.update(dict.fromkeys(missing))

    def _report(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        *,
        added: Iterable[str],
        unfit: tuple[Unfit, ...],
        alone: bool,
    ) -> Report | Completed:
        hashed = wanted.options.require_hashes
        lines = [_line(one, one.hashes if hashed else ()) for one in wanted.requirements]
        work.write("requirements.in", [*option_lines(wanted.options), *lines, *added])
        work.write("constraints.txt", [*(one.line for one in wanted.constraints), *exclusions(unfit)])
        completed = self._run(report_arguments(target, alone=alone), target, work)
        if completed.code:
            return completed
        document = json.loads((work.folder / "report.json").read_text(encoding="utf-8"))
        return {canonicalize_name(item["metadata"]["name"]): item for item in document["install"]}

    def _diagnose(self, output: str, wanted: Requirements, target: Target, work: Work) -> BundleError:
        """The error that a failed resolution means."""
        if match := _NO_MATCH.search(output):
            return self._unmatched(Declared(match["asked"]), wanted, target, work) or conflict(output)
        if match := _PYTHONS.search(output):
            name = canonicalize_name(match["name"])
            unfit = Unfit(name=name, version=match["version"], requires_python=match["python"])
            return no_fit([unfit], wanted, target)
        if match := _PYTHON.search(output):
            name = canonicalize_name(match["name"])
            version = newest(_Links(output, name).files)
            unfit = Unfit(name=name, version=version, requires_python=match["python"])
            return no_fit([unfit], wanted, target)
        if match := _UNSUPPORTED.search(output):
            name, parsed, *_ = parse_wheel_filename(match["file"])
            return no_fit([Unfit(name=name, version=str(parsed), wheels=(match["file"],))], wanted, target)
        for requirement in _blamed(output, wanted):
            if told := self._unmatched(requirement, wanted, target, work):
                return told
        return conflict(output)

    def _unmatched(
        self, requirement: Declared, wanted: Requirements, target: Target, work: Work
    ) -> BundleError | None:
        """The error for a requirement that nothing matches; None where a wheel would fit all the same.

        pip says the same of a typo, a 401 and a missing wheel: what it has seen on its way tells them apart.
        """
        name = canonicalize_name(requirement.name)
        work.write("requirements.in", [*option_lines(wanted.options), str(requirement)])
        work.write("constraints.txt", [one.line for one in wanted.constraints])
        told = self._run([*report_arguments(target, alone=True), "-vv"], target, work).output
        links = _Links(told, name)
        version = links.choose(requirement.specifier)
        if version is None:
            if work.offline:
                return offline(name, wanted)
            asked, offered = (str(requirement), newest(links.files)) if links.files else (None, None)
            failure = _fetch_failure(told, _telling(told))
            return failure or not_found(name, wanted, asked=asked, offered=offered)
        wheels = [file for file in links.files[version] if file.endswith(".whl")]
        if not wheels:
            return source_only(name, version, wanted, target, asked=str(requirement.specifier))
        python = links.requires_python(version, target)
        if python is None and any(fits(wheel, target) for wheel in wheels):
            return None
        return no_fit([unusable(name, version, wheels, python=python, target=target)], wanted, target)


_CONFLICT = "ResolutionImpossible"
_UNSOLVED = re.compile(
    rf"No matching distribution found|{_CONFLICT}|requires? a different Python|is not a supported wheel"
    r"|Failed to build|subprocess-exited-with-error|metadata-generation-failed|backend-unavailable"
)
_UNSUPPORTED = re.compile(r"(?P<file>[^\s/]+\.whl) is not a supported wheel")
_WITHOUT_MATCH = re.compile(
    r"no matching distributions available for your environment:\n(?P<names>(?: +\S+\n)+)"
)
_NO_MATCH = re.compile(
    r"No matching distribution found for (?P<asked>[^\n(]+?)\s*(?:\(from |$)", re.MULTILINE
)
_PYTHON = re.compile(r"Package '(?P<name>[^']+)' requires a different Python: \S+ not in '(?P<python>[^']+)'")
_PYTHONS = re.compile(
    r"Packages require a different Python.*\n"
    r"'(?P<python>[^']+)' \(required by (?P<name>\S+) (?P<version>\S+) "
)
_ENVIRONMENT = {
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_COLOR": "1",
    "PIP_QUIET": "0",
}


def _asked_for(output: str, wanted: Requirements) -> bool:
    """Whether nothing matches what the requirements themselves ask for."""
    match = _NO_MATCH.search(output)
    found = Declared(match["asked"]) if match else None
    return found is not None and any(
        (one.name, one.specifier) == (canonicalize_name(found.name), str(found.specifier))
        for one in wanted.requirements
    )


def _blamed(output: str, wanted: Requirements) -> Iterator[Declared]:
    """The packages in a conflict that pip found nothing for, as the constraints want them."""
    match = _WITHOUT_MATCH.search(output)
    for name in match["names"].split() if match else ():
        limits = (one.specifier for one in wanted.constraints if one.name == canonicalize_name(name))
        yield Declared(name + ",".join(limits))


class _Links:
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


def _failure(completed: Completed, wanted: Requirements, work: Work) -> BundleError:
    output = completed.output.strip()
    if work.offline and _UNREACHABLE.search(output):
        file = _WHEEL.search(output)
        return offline(file and wheel_file(file[0]), wanted)
    if "DO NOT MATCH THE HASHES" in output:
        match = re.search(r"^ +(?P<name>[\w.-]+)(?:==\S+| ?@ \S+)? from ", output, re.MULTILINE)
        return mismatch(canonicalize_name(match["name"]) if match else None, wanted, output)
    return _fetch_failure(output, output) or completed.failure("pip")


_WHEEL = re.compile(r"[^\s/\"']+\.whl\b")
_UNREACHABLE = re.compile(
    r"is not a trusted or secure host|Could not fetch URL (?!\S+ 404)|Exceeded \d+ redirects|HTTP error"
    r"|Max retries exceeded|incomplete-download|connection-failed|connection-timeout|ssl-missing"
    r"|ssl-verification-failed|NewConnectionError|ReadTimeout"
)


def _fetch_failure(output: str, detail: str) -> BundleError | None:
    if re.search(r"\b40[13] (?:Client )?Error|HTTP error 40[13]", output):
        return unauthorized(detail)
    # A 404 of an index is its way to say that it has no such package.
    if _UNREACHABLE.search(output):
        return unreachable(detail)
    return None


def _telling(output: str) -> str:
    """The lines of a verbose output that say what went wrong with the network."""
    lines = [line.strip() for line in output.splitlines()]
    said = [line for line in lines if re.search(r"\b40[13]\b|Could not fetch|Error|WARNING", line)]
    return "\n".join(dict.fromkeys(said))


def closure(
    wanted: Requirements, report: Report, target: Target
) -> tuple[dict[str, set[str]], dict[str, str]]:
    """What the target needs of a report, and what the report lacks.

    The first has the extras by the name of the package; the second the distribution that declares it, by the
    requirement that is not satisfied. Raises `BundleError` for a requirement that could only be built.
    """
    needed: dict[str, set[str]] = {}
    missing: dict[str, str] = {}
    queue = [(Declared(one.line), "") for one in wanted.requirements]
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        if requirement.url and not urlsplit(requirement.url).path.endswith(".whl"):
            raise source_requirement(name, requirement.url, parent)
        found = report.get(name)
        if found is None or not _satisfies(found, requirement):
            missing.setdefault(_unmarked(requirement), parent)
        if found is None or (name in needed and requirement.extras <= needed[name]):
            continue
        needed[name] = needed.get(name, set()) | requirement.extras
        queue += [(child, name) for child in _declared(found, needed[name], target)]
    return needed, missing


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


def _unlisted(missing: Mapping[str, str], report: Report) -> BundleError:
    """The error for what a complete list of hashes lacks, or has in another version."""
    others = [
        f"{parent} requires {line}, and the requirements list {name}=={report[name]['metadata']['version']}"
        for line, parent in missing.items()
        if (name := canonicalize_name(Declared(line).name)) in report
    ]
    return conflict("\n".join(others)) if others else hash_missing(missing)


def _chosen(report: Report, wanted: Requirements) -> tuple[Wheel, ...]:
    """The wheels of a report."""
    direct = {one.name: one.url for one in wanted.requirements if one.url}
    return tuple(_wheel(name, report[name], direct.get(name)) for name in sorted(report))


def _wheel(name: str, item: Mapping[str, Any], direct: str | None) -> Wheel:
    """The wheel of a report's item; one that was asked for by URL keeps that: the report omits passwords."""
    url = direct or item["download_info"]["url"]
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    return Wheel(
        name=name,
        version=item["metadata"]["version"],
        filename=wheel_file(url),
        url=url,
        sha256=hashes.get("sha256"),
    )


def _line(requirement: Requirement, hashes: Iterable[str]) -> str:
    return requirement.line + "".join(f" --hash={value}" for value in hashes)


def _exact(wheel: Wheel, hashes: tuple[str, ...], *, hashed: bool) -> str:
    """The line for exactly this wheel. One --hash makes pip ask for some in every line, a URL's does not."""
    if hashed:
        return f"{wheel.name} @ {wheel.url}" + "".join(f" --hash={value}" for value in hashes)
    fragment = "" if "#" in wheel.url else "".join(f"#{value.replace(':', '=')}" for value in hashes[:1])
    return f"{wheel.name} @ {wheel.url}{fragment}"


def _common(target: Target) -> list[str]:
    return [
        *("--python-version", target.full_version, "--implementation", "cp", "--abi", target.abi),
        *(part for platform in target.platforms for part in ("--platform", platform)),
        *ONLY_BINARY,
        *("--no-input", "--progress-bar", "off"),
    ]


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
        *("--ignore-requires-python", *ONLY_BINARY, "--no-input", "--progress-bar", "off"),
    ]


def build_arguments(file: str, into: Path) -> list[str]:
    """`pip wheel` of the project that a file names; what the build needs is not built in turn."""
    return [
        *("wheel", "--requirement", file, "--wheel-dir", str(into), "--no-deps", "--ignore-requires-python"),
        *ONLY_BINARY,
        *("--no-input", "--progress-bar", "off"),
    ]


def option_lines(options: Options) -> list[str]:
    """The options of the requirements as lines of a file: pip knows them all there."""
    return [
        *index_lines(options),
        *(["--pre"] if options.pre else []),
        *(f"--trusted-host {host}" for host in options.trusted_hosts),
    ]
