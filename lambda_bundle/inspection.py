"""Verification of artifacts that are there already: those of `bundles.toml`, and any other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from lambda_bundle import unpacked
from lambda_bundle.checks import handler_fault
from lambda_bundle.errors import (
    BundleError,
    Code,
    Ignore,
    Problem,
    Where,
    did_you_mean,
    fails,
    silence,
    strictly,
)
from lambda_bundle.jobs import Job
from lambda_bundle.process import Children, attended
from lambda_bundle.processes import Processes, cpus
from lambda_bundle.reading import Desk
from lambda_bundle.targets import MACHINES, RUNTIMES, Target
from lambda_bundle.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One artifact that is to be verified for one target."""

    name: str
    path: Path
    target: Target
    handler: str | None
    layers: tuple[tuple[str, Path], ...] = ()
    """The names of its layers, and where they are."""
    skipped: frozenset[str] = frozenset()
    """The distributions that were left out on purpose."""
    ignore: tuple[Ignore, ...] = ()
    warnings: tuple[Problem, ...] = ()
    """What is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a case."""

    case: Case
    problems: tuple[Problem, ...]
    files: int = 0
    """How many files the artifact has."""

    @property
    def passed(self) -> bool:
        """Whether no error was found."""
        return not fails(self.problems)


def declared(jobs: Iterable[Job]) -> list[Case]:
    """The artifacts of jobs; of a layer, one case for each of its runtimes."""
    return [
        Case(
            name=job.name,
            path=job.artifact,
            target=target,
            handler=job.handler,
            layers=tuple((layer.name, layer.artifact) for layer in job.layers),
            skipped=frozenset(map(canonicalize_name, job.selection.skip)),
            ignore=job.ignore,
            warnings=job.warnings,
        )
        for job in jobs
        for target in job.targets
    ]


def given(
    path: str, runtime: str | None, arch: str | None, handler: str | None, *, layers: Sequence[str]
) -> Case:
    """The case that options describe. Raises `BundleError` for a target that does not exist."""
    problems = []
    for option, value, known in (("runtime", runtime, RUNTIMES), ("arch", arch, MACHINES)):
        if value is None:
            problems.append(_invalid(f"--{option} is missing", option, f"it is one of {', '.join(known)}"))
        elif value not in known:
            hint = did_you_mean(value, known) or f"it is one of {', '.join(known)}"
            problems.append(_invalid(f'"{value}" is not known', option, hint))
    fault = None if handler is None else handler_fault(handler)
    if fault is not None:
        message, hint = fault
        where = Where(key="--handler")
        problems.append(Problem(code=Code.INVALID_HANDLER, message=message, where=where, hint=hint))
    if not problems and arch not in RUNTIMES[str(runtime)].archs:
        problems.append(_invalid(f"{runtime} does not exist on {arch}", "arch", None))
    if problems:
        raise BundleError(*problems)
    return Case(
        name=Path(path).name,
        path=Path(path).absolute(),
        target=Target(str(runtime), str(arch)),
        handler=handler,
        layers=tuple((Path(layer).name, Path(layer).absolute()) for layer in layers),
    )


def _invalid(message: str, option: str, hint: str | None) -> Problem:
    return Problem(code=Code.INVALID_OPTION, message=message, where=Where(key=f"--{option}"), hint=hint)


def inspect(cases: Iterable[Case], *, strict: bool, environ: Mapping[str, str]) -> list[Verdict]:
    """Verify one artifact after the other."""
    children = Children()

    def each() -> list[Verdict]:
        with (
            tempfile.TemporaryDirectory(prefix="lambda-bundle-") as scratch,
            closing(Processes(children, environ, Path(scratch), cpus())) as processes,
        ):
            desk = Desk(children=children, environ=environ, scratch=Path(scratch), processes=processes)
            return [_verdict(case, desk, strict=strict) for case in cases]

    return attended(children, each)


def _verdict(case: Case, desk: Desk, *, strict: bool) -> Verdict:
    files = 0
    try:
        with tempfile.TemporaryDirectory(dir=desk.scratch) as folder:
            artifact = _unpack(case.path, Path(folder, "itself"), is_layer=case.handler is None)
            layers = [
                (name, _unpack(path, Path(folder, f"layer-{number}"), is_layer=True))
                for number, (name, path) in enumerate(case.layers)
            ]
            files = len(artifact.files)
            subject, known = unpacked.judged(artifact, case.target, handler=case.handler, layers=layers)
            subject = replace(subject, skipped=case.skipped)
            found = silence((*known, *verify(subject, desk)), case.ignore, subject.owner)
    except BundleError as error:
        found = error.problems
    told = (*case.warnings, *(problem.at(name=case.name, stage="verify") for problem in found))
    return Verdict(case=case, problems=strictly(told) if strict else told, files=files)


def _unpack(path: Path, folder: Path, *, is_layer: bool) -> unpacked.Artifact:
    if not path.exists():
        raise unpacked.missing(path)
    folder.mkdir()
    return unpacked.unpack(path, folder, is_layer=is_layer)
