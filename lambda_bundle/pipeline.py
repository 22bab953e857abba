"""The whole of a run: what is up to date stays as it is, and the rest is built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambda_bundle import manifest
from lambda_bundle.cache import Cache
from lambda_bundle.freshness import Freshness, Verdict
from lambda_bundle.jobs import Job
from lambda_bundle.result import Progress, Result


def bundle(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    fail_fast: bool = False,
    force: bool = False,
    upgrade: bool = False,
    strict: bool = False,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    known: Sequence[str] | None = None,
    offline: bool = False,
    locked: bool = False,
) -> tuple[Result, ...]:
    """Build every job whose artifact is not up to date, at most `workers` at once (default: the CPUs).

    Returns a result for each job, in the order of the jobs. A failing job does not stop the others unless
    `fail_fast`; its problems are in its result, and the artifact of an earlier run is removed, so that nobody
    deploys it by mistake. `force` builds all; `upgrade` resolves requirements anew that are not pinned.
    With `strict`, warnings count as errors.
    `environ` is the environment of hooks and backends (default: this process's). `known` holds every name
    that `bundles.toml` declares: rows of others leave the manifest. With `offline` nothing is fetched, and
    what is in no cache fails; with `locked`, so does what no lock pins. Raises `BundleError` when the output
    folder or its manifest cannot be read or written, and `KeyboardInterrupt` when interrupted, with every
    child ended and nothing half-written.
    """
    environ = dict(os.environ if environ is None else environ)
    progress = progress or Progress()
    listed = {} if force else _listed(jobs)
    verdicts = [Verdict(reasons=("--force",))] * len(jobs) if force else _verdicts(jobs, environ, listed)
    if upgrade:
        verdicts = [_upgraded(verdict) for verdict in verdicts]
    if strict:
        verdicts = [_strict(job, verdict) for job, verdict in zip(jobs, verdicts, strict=True)]
    if locked:
        verdicts = [_pinned(verdict) for verdict in verdicts]
    results = {
        number: Result(
            job=job, status="fresh", artifact=verdict.artifact, problems=(*job.warnings, *verdict.warnings)
        )
        for number, (job, verdict) in enumerate(zip(jobs, verdicts, strict=True))
        if not verdict.reasons
    }
    fresh = list(results.values())
    for result in fresh:
        progress.finished(result)

    def ended(built: Sequence[Result]) -> None:
        _list([*fresh, *built], known)

    stale = [number for number in range(len(jobs)) if number not in results]
    if not stale:
        if not all(manifest.lists(rows, known) for rows in listed.values()):
            ended([])
        return tuple(fresh)
    from lambda_bundle.pool import build  # noqa: PLC0415 - where all is up to date, nothing heavy is loaded

    built = build(
        [jobs[number] for number in stale],
        entries={jobs[number]: found for number in stale if (found := verdicts[number].known) is not None},
        workers=workers,
        fail_fast=fail_fast,
        upgrade=upgrade,
        strict=strict,
        offline=offline,
        locked=locked,
        environ=environ,
        progress=progress,
        ended=ended,
    )
    for number, result in zip(stale, built, strict=True):
        results[number] = replace(result, reasons=verdicts[number].reasons)
    return tuple(result for _, result in sorted(results.items()))


def examine(jobs: Sequence[Job], environ: Mapping[str, str]) -> list[Verdict]:
    """Whether the artifact of each job is up to date, and why not.

    Raises `BundleError` for a manifest that cannot be read.
    """
    return _verdicts(jobs, environ, _listed(jobs))


def _listed(jobs: Sequence[Job]) -> dict[Path, Mapping[str, Any]]:
    """The rows of the manifest in each output folder."""
    return {output: manifest.read(output) for output in dict.fromkeys(job.output for job in jobs)}


def _verdicts(
    jobs: Sequence[Job], environ: Mapping[str, str], listed: Mapping[Path, Mapping[str, Any]]
) -> list[Verdict]:
    freshness = Freshness(Cache.of(environ), environ)
    return [freshness.verdict(job, listed[job.output]) for job in jobs]


def _upgraded(verdict: Verdict) -> Verdict:
    """What is to be resolved anew cannot be up to date."""
    resolved = verdict.artifact is not None and verdict.artifact.wheels
    return Verdict(reasons=("--upgrade",)) if resolved else verdict


def _strict(job: Job, verdict: Verdict) -> Verdict:
    """What was built with warnings is built again, to fail."""
    warned = any(problem.severity == "warning" for problem in (*job.warnings, *verdict.warnings))
    return Verdict(reasons=("--strict",)) if warned and not verdict.reasons else verdict


def _pinned(verdict: Verdict) -> Verdict:
    """What was built without a lock is looked at again: there may be one now, or else it fails."""
    return verdict if verdict.reasons or verdict.pinned else Verdict(reasons=("--locked",))


def _list(results: Sequence[Result], known: Sequence[str] | None) -> None:
    outputs: dict[Path, list[Result]] = {}
    for result in results:
        outputs.setdefault(result.job.output, []).append(result)
    for output, ended in outputs.items():
        manifest.update(output, ended, known=known)
