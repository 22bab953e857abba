"""The pip backend, for hosts where only pip's configuration reaches the index. It needs nothing of uv.

pip evaluates markers for the host, whatever its options say of the target: so what the target lacks
(`pip_report.closure`) is asked for by name, and what does not apply is dropped, until nothing changes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name, parse_wheel_filename

from lambda_bundle.errors import BundleError, Where
from lambda_bundle.installers import (
    BUILD_ENVIRONMENT,
    Asked,
    Work,
    allowed_hashes,
    archive_line,
    conflict,
    exclusions,
    no_fit,
    not_found,
    offline,
    refuse_misfits,
    source_only,
    unusable,
)
from lambda_bundle.lock import Source, Unfit, Wheel, fits, newest, promised
from lambda_bundle.pip_commands import (
    ENVIRONMENT,
    build_arguments,
    download_arguments,
    exact_line,
    fetch_arguments,
    line,
    option_lines,
    report_arguments,
    sdist_arguments,
)
from lambda_bundle.pip_output import (
    CONFLICT,
    NO_MATCH,
    PYTHON,
    PYTHONS,
    UNSOLVED,
    UNSUPPORTED,
    Links,
    asked_for,
    blamed,
    failure,
    fetch_failure,
    telling,
)
from lambda_bundle.pip_report import Report, chosen, closure, unlisted
from lambda_bundle.process import Completed
from lambda_bundle.targets import Target
from lambda_bundle.unpack import unpack
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirements

OLDEST = (23, 1)
"""The first pip whose installation report names hashes by their kind."""


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
                return chosen(solved, wanted)
            failures.append(solved)
            if not UNSOLVED.search(solved.output):
                raise failure(solved, wanted, work)
            if asked_for(solved.output, wanted):
                break  # the host's markers have no part in that
        if unfit:
            raise no_fit(unfit, wanted, target)
        # The first names both sides of a conflict, the last only what the target needs.
        conflicting = all(CONFLICT in one.output for one in failures)
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
        lines = [exact_line(wheel, promised(wheel, allowed), hashed=hashed) for wheel in wheels]
        name = work.write("install.txt", [*option_lines(wanted.options), *lines])
        with TemporaryDirectory(dir=work.folder) as folder:
            completed = self._run(download_arguments(target, name, folder), target, work)
            if completed.code:
                raise failure(completed, wanted, work)
            for wheel in sorted(wheels, key=lambda one: one.name):
                unpack(Path(folder, wheel.filename), into)

    def sdist(
        self, name: str, asked: Asked, wanted: Requirements, target: Target, work: Work
    ) -> Source | None:
        """See `Installer.sdist`; pip looks at the metadata of what it fetches, and may build for that."""
        listed = [one for one in wanted.requirements if one.name == name and not one.url]
        hashed = wanted.options.require_hashes
        lines = [line(one, one.hashes if hashed else ()) for one in listed]
        lines += [] if hashed and listed else [f"{name}{asked[name]}"]
        work.write("sdist.in", [*option_lines(wanted.options), *dict.fromkeys(lines)])
        work.write("constraints.txt", [one.line for one in wanted.constraints])
        folder = Path(mkdtemp(dir=work.folder))
        completed = self._build(sdist_arguments(target, name, folder), work)
        if completed.code:
            if "No matching distribution found" in completed.output:
                return None
            raise failure(completed, wanted, work)
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
            raise failure(completed, NO_REQUIREMENTS, work)
        return next(into.iterdir())

    def build(self, project: Path, into: Path, wanted: Requirements, work: Work) -> None:
        """See `Installer.build`."""
        name = work.write("build.txt", [*option_lines(wanted.options), project.as_uri()])
        completed = self._build(build_arguments(name, into), work)
        if completed.code:
            raise failure(completed, NO_REQUIREMENTS, work)

    def _build(self, arguments: list[str], work: Work) -> Completed:
        """Run what may build, on and for this host."""
        environ = {**ENVIRONMENT, **BUILD_ENVIRONMENT}
        return work.run([*self._command, *arguments], **environ)

    def _run(self, arguments: list[str], target: Target, work: Work) -> Completed:
        # --only-binary does not keep pip from building what a distribution requires by URL. A build has pip
        # run once more, for its tools, and that one ends when the environment asks for some Python version.
        return work.run([*self._command, *arguments], **ENVIRONMENT, PIP_PYTHON_VERSION=target.full_version)

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
                raise unlisted(missing, report)
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
        lines = [line(one, one.hashes if hashed else ()) for one in wanted.requirements]
        work.write("requirements.in", [*option_lines(wanted.options), *lines, *added])
        work.write("constraints.txt", [*(one.line for one in wanted.constraints), *exclusions(unfit)])
        completed = self._run(report_arguments(target, alone=alone), target, work)
        if completed.code:
            return completed
        document = json.loads((work.folder / "report.json").read_text(encoding="utf-8"))
        return {canonicalize_name(item["metadata"]["name"]): item for item in document["install"]}

    def _diagnose(self, output: str, wanted: Requirements, target: Target, work: Work) -> BundleError:
        """The error that a failed resolution means."""
        if match := NO_MATCH.search(output):
            return self._unmatched(Declared(match["asked"]), wanted, target, work) or conflict(output)
        if match := PYTHONS.search(output):
            name = canonicalize_name(match["name"])
            unfit = Unfit(name=name, version=match["version"], requires_python=match["python"])
            return no_fit([unfit], wanted, target)
        if match := PYTHON.search(output):
            name = canonicalize_name(match["name"])
            version = newest(Links(output, name).files)
            unfit = Unfit(name=name, version=version, requires_python=match["python"])
            return no_fit([unfit], wanted, target)
        if match := UNSUPPORTED.search(output):
            name, parsed, *_ = parse_wheel_filename(match["file"])
            return no_fit([Unfit(name=name, version=str(parsed), wheels=(match["file"],))], wanted, target)
        for requirement in blamed(output, wanted):
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
        links = Links(told, name)
        version = links.choose(requirement.specifier)
        if version is None:
            if work.offline:
                return offline(name, wanted)
            asked, offered = (str(requirement), newest(links.files)) if links.files else (None, None)
            refused = fetch_failure(told, telling(told))
            return refused or not_found(name, wanted, asked=asked, offered=offered)
        wheels = [file for file in links.files[version] if file.endswith(".whl")]
        if not wheels:
            return source_only(name, version, wanted, target, asked=str(requirement.specifier))
        python = links.requires_python(version, target)
        if python is None and any(fits(wheel, target) for wheel in wheels):
            return None
        return no_fit([unusable(name, version, wheels, python=python, target=target)], wanted, target)
