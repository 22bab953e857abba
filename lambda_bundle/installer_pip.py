"""The pip backend, for hosts where only pip's configuration reaches the index. It needs nothing of uv.

pip answers markers for the host, whatever its options say of the target: what chooses versions runs by way of
`pip_markers`, and whether that had its effect is read in pip's report.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name, parse_wheel_filename

from lambda_bundle import pip_markers
from lambda_bundle.errors import BundleError, Code, Problem, Where
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
from lambda_bundle.lock import Source, Unfit, Wheel, fits, newest, promised, wheel_file
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
    NO_MATCH,
    PYTHON,
    PYTHONS,
    UNSOLVED,
    UNSUPPORTED,
    Links,
    blamed,
    built,
    failure,
    fetch_failure,
    telling,
    yanked,
)
from lambda_bundle.pip_report import Report, chosen, lacking, unlisted
from lambda_bundle.process import Completed
from lambda_bundle.targets import Target
from lambda_bundle.unpack import unpack
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirements

OLDEST = (23, 1)
"""The first pip whose installation report names hashes by their kind."""


class Pip:
    """Resolve and install with the pip of some Python on the host."""

    name = "pip"

    def __init__(self, python: str) -> None:
        self._python = python

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """See `Installer.resolve`."""
        refuse_misfits(wanted, target)
        # With hashes the list is complete by pip's own rule, and nothing else is looked at.
        alone = wanted.options.require_hashes or wanted.exact
        report = self._report(wanted, target, work, unfit, alone=alone)
        if isinstance(report, Completed):
            raise self._unsolved(report, wanted, target, work, unfit)
        if wanted.options.require_hashes and not wanted.exact:
            missing = lacking(wanted, report, target)
            if missing:
                raise unlisted(missing, report)
        return chosen(report, wanted)

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
                unpack(Path(folder, wheel_file(wheel.url)), into)  # locks may spell the name in another way

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
        return work.run([self._python, "-m", "pip", *arguments], **environ)

    def _run(self, arguments: list[str], target: Target, work: Work) -> Completed:
        """Run what is for the target: with its markers, and so that nothing is built."""
        # --only-binary does not keep pip from building what a distribution requires by URL. A build has pip
        # run once more, for its tools, and that one ends when the environment asks for some Python version.
        environ = {**ENVIRONMENT, "PIP_PYTHON_VERSION": target.full_version}
        markers = work.write("markers.json", [json.dumps(target.markers)])
        return work.run([self._python, pip_markers.__file__, markers, *arguments], **environ)

    def _report(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...], *, alone: bool
    ) -> Report | Completed:
        """What pip would install on the target; or the command, if it failed."""
        hashed = wanted.options.require_hashes
        lines = [line(one, one.hashes if hashed else ()) for one in wanted.requirements]
        work.write("requirements.in", [*option_lines(wanted.options), *lines])
        work.write("constraints.txt", [*(one.line for one in wanted.constraints), *exclusions(unfit)])
        completed = self._run(report_arguments(target, alone=alone), target, work)
        if completed.code:
            return completed
        document = json.loads((work.folder / "report.json").read_text(encoding="utf-8"))
        if document["environment"] != target.markers:
            raise _deaf(self._python, document["pip_version"])
        # The report says that something was withdrawn, and pip's messages why.
        reasons = yanked(completed.output)
        items = ((canonicalize_name(item["metadata"]["name"]), item) for item in document["install"])
        return {name: {**item, "yanked_reason": reasons.get(name, "")} for name, item in items}

    def _unsolved(
        self,
        completed: Completed,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
    ) -> BundleError:
        """The error that a resolution without a result means."""
        output = completed.output.strip()
        if not UNSOLVED.search(output):
            return failure(completed, wanted, work)
        if refused := built(output):
            return refused
        return no_fit(unfit, wanted, target) if unfit else self._diagnose(output, wanted, target, work)

    def _diagnose(self, output: str, wanted: Requirements, target: Target, work: Work) -> BundleError:
        """The error that requirements mean which pip cannot meet."""
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


def _deaf(python: str, version: str) -> BundleError:
    """The error for a pip that takes its markers from elsewhere: what it chose is for the host."""
    return BundleError(
        Problem(
            code=Code.PYTHON_MISSING,
            message=f"pip {version} of {python} does not choose by the markers of the target",
            hint='use another version of pip, or backend = "uv"',
        )
    )
