"""Many jobs at once, in a pool of threads; their results in order, and what happens on Ctrl-C."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from lambda_bundle import archive, manifest
from lambda_bundle.access import rooted
from lambda_bundle.assembly import Assembly, Output, Run, private_folder
from lambda_bundle.backends import Backends
from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Problem, strictly
from lambda_bundle.freshness import Freshness, Inputs
from lambda_bundle.jobs import Job
from lambda_bundle.process import Children, Stopped, attended
from lambda_bundle.result import Artifact, Progress, Result, Status
from lambda_bundle.store import Store

WORK_PREFIX = ".lambda-bundle-"
"""How the folders begin that a run works in, inside the output folder; `clean` removes what a crash left."""


def build(
    jobs: Sequence[Job],
    *,
    workers: int | None,
    fail_fast: bool,
    upgrade: bool,
    strict: bool,
    offline: bool,
    environ: Mapping[str, str],
    progress: Progress,
    ended: Callable[[Sequence[Result]], None],
) -> tuple[Result, ...]:
    """Build every job, at most `workers` at once (None: one for each CPU); a result for each, in order.

    `ended` hears of all that have ended, whatever becomes of the run. Raises `KeyboardInterrupt` when
    interrupted, with every child ended and nothing half-written.
    """
    children = Children()
    opened = _open(
        dict.fromkeys(one.output for job in jobs for one in (job, *job.layers)),
        workers=workers or _cpus(),
        upgrade=upgrade,
        strict=strict,
        offline=offline,
        children=children,
        environ=rooted(environ),
        progress=progress,
    )
    return attended(children, lambda: _build(jobs, opened, fail_fast=fail_fast, ended=ended))


def _cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _build(
    jobs: Sequence[Job],
    opened: AbstractContextManager[Run],
    *,
    fail_fast: bool,
    ended: Callable[[Sequence[Result]], None],
) -> tuple[Result, ...]:
    futures: list[Future[Result]] = []
    try:
        with opened as run:
            futures += [run.pool.submit(_one, run, job, fail_fast=fail_fast) for job in jobs]
            for future in as_completed(futures):
                run.progress.finished(future.result())
    finally:  # whatever happens, the manifest tells what is there
        ended([future.result() for future in futures if future.exception() is None])
    return tuple(future.result() for future in futures)


@contextmanager
def _open(
    outputs: Iterable[Path],
    *,
    workers: int,
    upgrade: bool,
    strict: bool,
    offline: bool,
    children: Children,
    environ: Mapping[str, str],
    progress: Progress,
) -> Iterator[Run]:
    """A run; at its end no command runs, no thread works, and no folder is left."""
    with ExitStack() as stack:
        cache = Cache.of(environ)
        scratch = private_folder(stack, prefix=WORK_PREFIX.removeprefix("."))
        folders = {output: _prepare(stack, output) for output in outputs}
        deflating = stack.enter_context(ThreadPoolExecutor(workers))
        building = stack.enter_context(ThreadPoolExecutor(workers))
        store = Store(cache, building, deflating=deflating, upgrade=upgrade)
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        stack.callback(children.stop)
        yield Run(
            cache=cache,
            store=store,
            pool=pool,
            children=children,
            environ=environ,
            progress=progress,
            freshness=Freshness(cache, environ),
            backends=Backends(children, environ, scratch),
            scratch=scratch,
            offline=offline,
            strict=strict,
            outputs={
                output: Output(
                    folder=folder,
                    listed=frozenset(row["path"] for row in manifest.read(output).values()),
                )
                for output, folder in folders.items()
            },
        )
        if store.grown:
            with suppress(OSError):  # it can be done next time
                cache.prune()


def _prepare(stack: ExitStack, output: Path) -> Path:
    try:
        output.mkdir(parents=True, exist_ok=True)
        return private_folder(stack, prefix=WORK_PREFIX, parent=output)
    except OSError as error:
        raise manifest.unwritable(output, error) from None


def _one(run: Run, job: Job, *, fail_fast: bool) -> Result:
    """One job, with whatever goes wrong in it as part of its result; with `fail_fast` that ends the run."""
    began = time.monotonic()
    status: Status = "cancelled"
    artifact: Artifact | None = None
    problems: tuple[Problem, ...] = ()
    inputs = Inputs()
    try:
        with ExitStack() as stack:
            artifact, inputs, problems = Assembly(run, job, stack).build()
        status = "built"
    except BundleError as error:
        status, problems = "failed", error.problems
        if fail_fast and not run.children.stopped:
            run.children.stop()  # here and now: nothing is to begin between the failure and its report
        run.freshness.forget(job)
        with suppress(OSError):
            for path in (job.artifact, *run.stale(job)):
                archive.remove(path)
    except Stopped:
        pass
    warnings = strictly(job.warnings) if run.strict else job.warnings
    seconds, problems = time.monotonic() - began, (*warnings, *problems)
    result = Result(job=job, status=status, seconds=seconds, artifact=artifact, problems=problems)
    if artifact is not None:
        run.freshness.record(result, artifact, inputs)
    return result
