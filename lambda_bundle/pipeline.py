"""One job from sources to artifact, and many at once.

The only module that knows the order of the stages; no stage calls another.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lambda_bundle import archive, hooks, manifest, requirements
from lambda_bundle.backends import Backends
from lambda_bundle.config import artifact_name
from lambda_bundle.errors import BundleError, Problem, Stage
from lambda_bundle.installed import refresh_records
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Job
from lambda_bundle.process import Children, Stopped
from lambda_bundle.reqfile import Requirements
from lambda_bundle.result import Artifact, Result
from lambda_bundle.stage import DEFAULT_EXCLUDES, HOOK_LEFTOVERS, Tree, copy, file_mode, merge, scan
from lambda_bundle.store import NOTHING, DependencySet, Store

WORK_PREFIX = ".lambda-bundle-"
"""How the folders begin that a run works in, inside the output folder; `clean` removes what a crash left."""
_HEARTBEAT = 0.5
"""Seconds between looks at whether somebody pressed Ctrl-C (a wait without end ignores it on Windows)."""


class Progress:
    """Hears what happens, from several threads at once; this one does nothing with it."""

    def entered(self, job: Job, stage: Stage) -> None:
        """A job has come to a stage."""

    def finished(self, result: Result) -> None:
        """A job has ended."""


def bundle(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    fail_fast: bool = False,
    environ: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    known: Sequence[str] | None = None,
) -> tuple[Result, ...]:
    """Build every job, at most `workers` at once (default: one for each CPU); results in the order of the jobs.

    A failing job does not stop the others unless `fail_fast`; its problems are in its result, and the artifact
    of an earlier run is removed, so that nobody deploys it by mistake. `environ` is the environment of hooks
    and backends (default: this process's). `known` holds every name that `bundles.toml` declares: rows of
    others leave the manifest. Raises `BundleError` when the manifest cannot be written, and
    `KeyboardInterrupt` when interrupted, with every child ended and nothing half-written.
    """
    environ = dict(os.environ if environ is None else environ)
    workers = workers or os.cpu_count() or 1
    results: dict[str, Result] = {}
    with _Run(environ, workers, progress or Progress()) as run:
        try:
            run.all(jobs, results, fail_fast=fail_fast)
        finally:
            for output in dict.fromkeys(job.output for job in jobs):
                ours = [result for result in results.values() if result.job.output == output]
                manifest.update(output, ours, known=known)
    return tuple(results[job.name] for job in jobs)


class _Run:
    """What the jobs of one run share, and what must be gone when it ends."""

    def __init__(self, environ: Mapping[str, str], workers: int, progress: Progress) -> None:
        self._environ, self._workers, self._progress = environ, workers, progress
        self._children = Children()
        self._stack = ExitStack()

    def __enter__(self) -> _Run:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-bundle-"))
        self._scratch = Path(folder)
        self._backends = Backends(self._children, self._environ, self._scratch)
        self._pool = self._stack.enter_context(ThreadPoolExecutor(self._workers))
        self._building = self._stack.enter_context(ThreadPoolExecutor(self._workers))
        self._folders: dict[Path, Path] = {}
        self._stores: dict[Path, Store] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._children.stop()
        self._stack.close()

    def all(self, jobs: Sequence[Job], results: dict[str, Result], *, fail_fast: bool) -> None:
        """Run every job and note its result as soon as it is there."""
        try:
            for output in dict.fromkeys(job.output for job in jobs):
                self._prepare(output)
            pending: dict[Future[Result], Job] = {self._pool.submit(self._one, job): job for job in jobs}
            while pending:
                done, _ = wait(pending, timeout=_HEARTBEAT, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    results[pending.pop(future).name] = result
                    self._progress.finished(result)
                    if fail_fast and result.status == "failed":
                        self._children.stop()
        except KeyboardInterrupt:
            self._children.stop()
            self._pool.shutdown(cancel_futures=True)
            raise

    def _prepare(self, output: Path) -> None:
        """A folder to work in, on the same disk as the artifacts: moving them into place is one step."""
        try:
            output.mkdir(parents=True, exist_ok=True)
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=output))
        except OSError as error:
            raise manifest.unwritable(output, error) from None
        self._folders[output] = Path(folder)
        self._stores[output] = Store(Path(folder, "dependencies"), self._building)

    def _one(self, job: Job) -> Result:
        """One job, with whatever goes wrong in it as part of its result."""
        began = time.monotonic()
        if self._children.stopped:
            return Result(job=job, status="cancelled", problems=job.warnings)
        try:
            artifact, warnings = _Work(self, job).build()
        except BundleError as error:
            problems = error.problems
        except Stopped:
            return Result(
                job=job, status="cancelled", seconds=time.monotonic() - began, problems=job.warnings
            )
        else:
            problems = (*job.warnings, *warnings)
            seconds = time.monotonic() - began
            return Result(job=job, status="built", seconds=seconds, artifact=artifact, problems=problems)
        with suppress(OSError):
            for form in ("zip", "dir"):
                archive.remove(job.output / artifact_name(job.name, form))
        seconds = time.monotonic() - began
        return Result(job=job, status="failed", seconds=seconds, problems=(*job.warnings, *problems))

    def folder(self, job: Job) -> Path:
        """An empty folder for a job, on the disk of its output."""
        return Path(tempfile.mkdtemp(prefix=f"{job.name}-", dir=self._folders[job.output]))

    def dependencies(self, job: Job, wanted: Requirements, environ: Mapping[str, str]) -> DependencySet:
        """The dependency set that a job asks for."""
        work = Work(
            children=self._children,
            environ=environ,
            folder=Path(tempfile.mkdtemp(dir=self._scratch)),
            timeout=job.timeout,
            secrets=wanted.secrets,
        )
        return self._stores[job.output].dependencies(
            wanted, job.target, self._backends.get(job.backend), work
        )

    @property
    def children(self) -> Children:
        """The running commands."""
        return self._children

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the run began in."""
        return self._environ

    @property
    def progress(self) -> Progress:
        """Who hears what happens."""
        return self._progress


class _Work:
    """One job on its way through the stages."""

    def __init__(self, run: _Run, job: Job) -> None:
        self._run, self._job = run, job
        self._environ = {**run.environ, **dict(job.env)}
        self._staged: Path | None = None

    def build(self) -> tuple[Artifact, tuple[Problem, ...]]:
        """All stages; what was published, and warnings."""
        job = self._job
        with self._stage("stage"):
            sources: Tree = scan(
                job.sources, exclude=(*DEFAULT_EXCLUDES, *job.exclude), include=job.include, skip=job.output
            )
            excluded = requirements.FILE_NAME not in sources
            inputs = _hashes(sources)
        if job.before:
            with self._stage("before hooks"):
                sources = self._with_hooks(job.before, sources)
        with self._stage("requirements"):
            wanted = self._wanted(excluded=excluded)
        with self._stage("install"):
            dependencies = NOTHING if wanted is None else self._run.dependencies(job, wanted, self._environ)
            tree: Tree = merge(sources, dependencies.files, dependencies.owner)
        if job.after:
            with self._stage("after hooks"):
                tree = self._with_hooks(job.after, tree, infos=dependencies.infos)
        with self._stage("archive"):
            temporary = self._run.folder(job) / job.artifact.name
            write = archive.write_zip if job.format == "zip" else archive.write_folder
            archived = write({f"{job.prefix}{path}": source for path, source in tree.items()}, temporary)
        with self._stage("publish"):
            stale = [
                job.output / artifact_name(job.name, form) for form in ("zip", "dir") if form != job.format
            ]
            archive.publish(temporary, job.artifact, stale=stale)
        digest = _digest(job, inputs, dependencies)
        return Artifact(archived=archived, wheels=dependencies.wheels, digest=digest), dependencies.warnings

    @contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        """A stage: heard by whoever follows the progress, and named in its problems."""
        if self._run.children.stopped:
            raise Stopped
        self._run.progress.entered(self._job, stage)
        try:
            yield
        except BundleError as error:
            raise BundleError(*(one.at(name=self._job.name, stage=stage) for one in error.problems)) from None
        except OSError as error:
            problem = manifest.unwritable(self._job.output, error).problems[0]
            raise BundleError(problem.at(name=self._job.name, stage=stage)) from None

    def _with_hooks(self, commands: Sequence[str], tree: Tree, infos: Sequence[str] = ()) -> Tree:
        """Run hooks in a copy of the tree; the files that they leave."""
        if self._staged is None:
            self._staged = self._run.folder(self._job)
        folder = self._staged
        copy({path: source for path, source in tree.items() if folder not in source.parents}, folder)
        job = self._job
        told = hooks.variables(
            name=job.name, entry=str(job.sources), runtime=job.target.runtime, arch=job.target.arch
        )
        environ = {**self._environ, **told}
        hooks.run(commands, folder=folder, environ=environ, timeout=job.timeout, children=self._run.children)
        refresh_records(folder, infos)
        return scan(folder, exclude=HOOK_LEFTOVERS)

    def _wanted(self, *, excluded: bool) -> Requirements | None:
        job = self._job
        place = requirements.Place(root=job.root, entry=job.sources, staged=self._staged)
        path = requirements.find(place, excluded=excluded)
        return None if path is None else requirements.gather(place, path, job.target, self._environ)


def _hashes(tree: Tree) -> list[list[str]]:
    """Name, permissions and hash of each file."""
    return [
        [path, f"{file_mode(source):o}", hashlib.sha256(source.read_bytes()).hexdigest()]
        for path, source in tree.items()
    ]


def _digest(job: Job, sources: list[list[str]], dependencies: DependencySet) -> str:
    """A digest of everything that went in; no absolute path is part of it, so that two checkouts agree."""
    settings = [
        *(job.kind, job.name, job.handler, job.target.runtime, job.target.arch, job.target.platforms),
        *(job.backend, job.before, job.after, job.exclude, job.include, job.env, job.format),
    ]
    wheels = [[wheel.filename, wheel.sha256] for wheel in dependencies.wheels]
    return hashlib.sha256(json.dumps([settings, sources, wheels]).encode()).hexdigest()
