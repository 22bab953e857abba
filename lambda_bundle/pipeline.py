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

_FORCED = Verdict(reasons=("--force",))


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

    A zip that is gone while nothing else has changed is put together again from what is kept of its build.
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
    cache = Cache.of(environ)
    freshness = Freshness(cache, environ)
    verdicts = [_FORCED] * len(jobs) if force else _verdicts(freshness, jobs, listed)
    verdicts = [
        _asked(job, verdict, upgrade=upgrade, strict=strict, locked=locked)
        for job, verdict in zip(jobs, verdicts, strict=True)
    ]
    results = _Results(verdicts, progress, known)
    for number, (job, verdict) in enumerate(zip(jobs, verdicts, strict=True)):
        if not verdict.reasons:
            result = Result(job=job, status="fresh", artifact=verdict.artifact, problems=job.warnings)
            results.hear(number, result)
    if not results.lacking:
        if not all(manifest.lists(rows, known) for rows in listed.values()):
            results.write_manifests()
        return results.in_order()
    # Where all is up to date, nothing of what follows is loaded.
    from lambda_bundle.process import Children  # noqa: PLC0415

    children = Children()
    recipes = {number: (jobs[number], one.recipe) for number, one in enumerate(verdicts) if one.recipe}
    if recipes:
        from lambda_bundle.restoring import restore  # noqa: PLC0415

        restore(
            recipes,
            cache=cache,
            freshness=freshness,
            listed=listed,
            workers=workers,
            children=children,
            progress=progress,
            restored=results.hear,
            ended=results.write_manifests,
        )
    stale = results.lacking
    if not stale:
        return results.in_order()
    from lambda_bundle.pool import build  # noqa: PLC0415

    built = build(
        [jobs[number] for number in stale],
        entries={jobs[number]: found for number in stale if (found := verdicts[number].known) is not None},
        workers=workers,
        fail_fast=fail_fast,
        upgrade=upgrade,
        strict=strict,
        offline=offline,
        locked=locked,
        children=children,
        environ=environ,
        progress=progress,
        ended=results.write_manifests,
    )
    return results.in_order(dict(zip(stale, built, strict=True)))


class _Results:
    """What became of the jobs so far."""

    def __init__(self, verdicts: Sequence[Verdict], progress: Progress, known: Sequence[str] | None) -> None:
        self._verdicts, self._progress, self._known = verdicts, progress, known
        self._ended: dict[int, Result] = {}

    @property
    def lacking(self) -> list[int]:
        """The jobs that have not ended."""
        return [number for number in range(len(self._verdicts)) if number not in self._ended]

    def hear(self, number: int, result: Result) -> None:
        """A job has ended without a build: it has the same to say as the last one had."""
        told = (*result.problems, *self._verdicts[number].warnings)
        self._ended[number] = replace(result, problems=told)
        self._progress.finished(self._ended[number])

    def write_manifests(self, built: Sequence[Result] = ()) -> None:
        """Write the manifest of every output folder."""
        outputs: dict[Path, list[Result]] = {}
        for result in (*self._ended.values(), *built):
            outputs.setdefault(result.job.output, []).append(result)
        for output, ended in outputs.items():
            manifest.update(output, ended, known=self._known)

    def in_order(self, built: Mapping[int, Result] | None = None) -> tuple[Result, ...]:
        """A result for each job, with the reasons why it was not up to date."""
        found = sorted({**self._ended, **(built or {})}.items())
        return tuple(replace(result, reasons=self._verdicts[number].reasons) for number, result in found)


def examine(jobs: Sequence[Job], environ: Mapping[str, str]) -> list[Verdict]:
    """Whether the artifact of each job is up to date, and why not.

    Raises `BundleError` for a manifest that cannot be read.
    """
    return _verdicts(Freshness(Cache.of(environ), environ), jobs, _listed(jobs))


def _listed(jobs: Sequence[Job]) -> dict[Path, Mapping[str, Any]]:
    """The rows of the manifest in each output folder."""
    return {output: manifest.read(output) for output in dict.fromkeys(job.output for job in jobs)}


def _verdicts(
    freshness: Freshness, jobs: Sequence[Job], listed: Mapping[Path, Mapping[str, Any]]
) -> list[Verdict]:
    return [freshness.verdict(job, listed[job.output]) for job in jobs]


def _asked(job: Job, verdict: Verdict, *, upgrade: bool, strict: bool, locked: bool) -> Verdict:
    """The verdict, when more is asked than that an artifact is what it was."""
    artifact = verdict.artifact
    if artifact is None:
        return verdict
    open_ended = not verdict.pinned and (artifact.wheels or artifact.left_out)
    if upgrade and open_ended:  # what is to be resolved anew is not up to date
        return _anew(verdict, "--upgrade")
    if strict and any(one.severity == "warning" for one in (*job.warnings, *verdict.warnings)):
        return _anew(verdict, "--strict")  # what was built with warnings is built again, to fail
    if locked and not verdict.pinned:
        return _anew(verdict, "--locked")  # there may be a lock by now, or else it fails
    return verdict


def _anew(verdict: Verdict, reason: str) -> Verdict:
    return Verdict(reasons=verdict.reasons or (reason,), known=verdict.known)
