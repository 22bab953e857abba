"""Many jobs at once, in a pool of threads; their results in order, and what happens on Ctrl-C."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from lambda_bundle import archive, manifest
from lambda_bundle.assembly import Assembly
from lambda_bundle.backends import Backends
from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Problem, strictly
from lambda_bundle.freshness import Freshness, Known
from lambda_bundle.jobs import Job
from lambda_bundle.process import Children, Stopped, attended
from lambda_bundle.processes import Processes, cpus
from lambda_bundle.records import Inputs
from lambda_bundle.result import Artifact, Locked, Progress, Result, Status
from lambda_bundle.shared import Output, Run
from lambda_bundle.store import Store
from lambda_bundle.variables import rooted
from lambda_bundle.verdicts import Verdicts
from lambda_bundle.working import beside_artifacts, private_folder

_R = TypeVar("_R", Result, Locked)
_FETCHING = 4
"""How many resolve and install at once, at least: they wait for the network, mostly."""
_WAITING = 64
"""How many jobs can wait for others, or for their turn, before no more are begun."""


def build(
    jobs: Sequence[Job],
    *,
    entries: Mapping[Job, Known],
    workers: int | None,
    fail_fast: bool,
    upgrade: bool,
    strict: bool,
    offline: bool,
    locked: bool,
    children: Children,
    environ: Mapping[str, str],
    progress: Progress,
    ended: Callable[[Sequence[Result]], None],
) -> tuple[Result, ...]:
    """Build every job, at most `workers` at once (None: one for each CPU); a result for each, in order.

    `entries` holds what need not be looked at again of some. `ended` hears of all that have ended, whatever
    becomes of the run. Where `children` are stopped, all that has not ended is cancelled. Raises
    `KeyboardInterrupt` when interrupted, with every child ended and nothing half-written.
    """
    opened = _open(
        dict.fromkeys(one.output for job in jobs for one in (job, *job.layers)),
        entries=entries,
        workers=workers,
        upgrade=upgrade,
        strict=strict,
        offline=offline,
        locked=locked,
        children=children,
        environ=rooted(environ),
        progress=progress,
    )
    work = partial(_one, fail_fast=fail_fast)
    return attended(
        children,
        lambda: _work(jobs, opened, work, heard=progress.finished, ended=ended),
    )


def lock(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    upgrade: bool = False,
    offline: bool = False,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[Locked, ...]:
    """Write the locks of all jobs; what became of each, in order.

    A failing job does not stop the others. With `upgrade`, locks that are current are made anew too. Raises
    `KeyboardInterrupt` when interrupted, with every child ended and no lock half-written.
    """
    children, progress = Children(), progress or Progress()
    opened = _open(
        dict.fromkeys(job.output for job in jobs),
        workers=workers,
        upgrade=upgrade,
        offline=offline,
        publishing=False,
        children=children,
        environ=rooted(os.environ if environ is None else environ),
        progress=progress,
    )
    work = partial(_lock, upgrade=upgrade)
    return attended(
        children,
        lambda: _work(jobs, opened, work, heard=progress.locked, ended=lambda _: None),
    )


def _work(
    jobs: Sequence[Job],
    opened: AbstractContextManager[Run],
    work: Callable[[Run, Job], _R],
    *,
    heard: Callable[[_R], None],
    ended: Callable[[Sequence[_R]], None],
) -> tuple[_R, ...]:
    futures: list[Future[_R]] = []
    try:
        with opened as run:
            futures += [run.pool.submit(work, run, job) for job in jobs]
            for future in as_completed(futures):
                heard(future.result())
    finally:  # whatever happens, the manifest tells what is there
        ended([future.result() for future in futures if future.exception() is None])
    return tuple(future.result() for future in futures)


@contextmanager
def _open(
    outputs: Iterable[Path],
    *,
    entries: Mapping[Job, Known] | None = None,
    workers: int | None,
    upgrade: bool,
    strict: bool = False,
    offline: bool,
    locked: bool = False,
    publishing: bool = True,
    children: Children,
    environ: Mapping[str, str],
    progress: Progress,
) -> Iterator[Run]:
    """A run; at its end no command runs, no thread works, and no folder is left."""
    fetchers = workers or max(_FETCHING, cpus())
    workers = workers or cpus()
    with ExitStack() as stack:
        cache = Cache.of(environ)
        scratch = private_folder(stack, prefix=manifest.PASSING.removeprefix("."))
        folders = {output: beside_artifacts(stack, output) if publishing else scratch for output in outputs}
        processes = stack.enter_context(closing(Processes(children, environ, scratch, workers)))
        building = ThreadPoolExecutor(fetchers)
        store = Store(cache, building, processes=processes, upgrade=upgrade)
        stack.callback(store.close)
        stack.enter_context(building)
        pool = stack.enter_context(ThreadPoolExecutor(workers + _WAITING))
        stack.callback(children.stop)
        yield Run(
            slots=threading.Semaphore(workers),
            turns=threading.Semaphore(fetchers),
            entries=entries or {},
            cache=cache,
            store=store,
            verdicts=Verdicts(
                cache, children=children, environ=environ, scratch=scratch, processes=processes
            ),
            pool=pool,
            processes=processes,
            children=children,
            environ=environ,
            progress=progress,
            freshness=Freshness(cache, environ),
            backends=Backends(children, environ, scratch),
            scratch=scratch,
            offline=offline,
            upgrade=upgrade,
            strict=strict,
            locked=locked,
            outputs={
                output: Output(
                    folder=folder,
                    listed=manifest.paths(manifest.read(output)) if publishing else frozenset(),
                )
                for output, folder in folders.items()
            },
        )
        if store.grown:
            with suppress(OSError):  # it can be done next time
                cache.prune()


def _one(run: Run, job: Job, *, fail_fast: bool) -> Result:
    """One job, with whatever goes wrong in it as part of its result; with `fail_fast` that ends the run."""
    began = time.monotonic()
    status: Status = "cancelled"
    artifact: Artifact | None = None
    problems: tuple[Problem, ...] = ()
    inputs = Inputs()
    try:
        with run.slots, ExitStack() as stack:
            artifact, inputs, problems = Assembly(run, job, stack).build()
        status = "built"
    except BundleError as error:
        status, problems = "failed", error.problems
        if fail_fast and not run.children.stopped:
            run.children.stop()  # here and now: nothing is to begin between the failure and its report
        ours = (job.artifact,) if run.owns(job) else ()
        run.freshness.forget(job)
        with suppress(OSError):
            for path in (*ours, *run.stale(job)):
                archive.remove(path)
    except Stopped:
        pass
    warnings = strictly(job.warnings) if run.strict else job.warnings
    seconds, problems = time.monotonic() - began, (*warnings, *problems)
    result = Result(job=job, status=status, seconds=seconds, artifact=artifact, problems=problems)
    if artifact is not None:
        run.freshness.record(result, artifact, inputs)
    return result


def _lock(run: Run, job: Job, *, upgrade: bool) -> Locked:
    """The lock of one job, with whatever goes wrong in it as part of what is told."""
    from lambda_bundle.locking import lock_one  # noqa: PLC0415 - only where locks are written

    began = time.monotonic()
    try:
        with run.slots, ExitStack() as stack:
            found = lock_one(run, job, stack, upgrade=upgrade)
    except BundleError as error:
        found = Locked(job=job, status="failed", problems=error.problems)
    except Stopped:
        found = Locked(job=job, status="cancelled")
    seconds, problems = time.monotonic() - began, (*job.warnings, *found.problems)
    return replace(found, seconds=seconds, problems=problems)
