"""One job from sources to artifact.

The only module that knows the order of the stages; no stage calls another.
"""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle import archive, hooks, manifest, requirements
from lambda_bundle.backends import Backends
from lambda_bundle.cache import Cache
from lambda_bundle.entries import artifact_name
from lambda_bundle.errors import BundleError, Code, Problem, Stage, Where
from lambda_bundle.installed import refresh_records
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Job
from lambda_bundle.process import Children
from lambda_bundle.reqfile import NO_REQUIREMENTS, Requirements
from lambda_bundle.result import Artifact, Result
from lambda_bundle.stage import (
    DEFAULT_EXCLUDES,
    HOOK_LEFTOVERS,
    Tree,
    check_collisions,
    copy,
    detach,
    file_mode,
    scan,
)
from lambda_bundle.store import DependencySet, Order, Store, is_same

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Progress:
    """Hears what happens, from several threads at once; this one does nothing with it."""

    def entered(self, job: Job, stage: Stage) -> None:
        """A job has come to a stage."""

    def finished(self, result: Result) -> None:
        """A job has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a run has for each output folder."""

    folder: Path
    """For the work, on the same disk as the artifacts: moving them into place is one step."""
    listed: frozenset[str]
    """The artifacts that the manifest named when the run began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the jobs of one run share."""

    pool: Executor
    children: Children
    environ: Mapping[str, str]
    progress: Progress
    backends: Backends
    scratch: Path
    """For the backends' own files."""
    cache: Cache
    store: Store
    outputs: Mapping[Path, Output]

    def stale(self, job: Job) -> Iterator[Path]:
        """What an earlier run left of a job in the other format; an unlisted folder is not ours."""
        other = artifact_name(job.name, "dir" if job.format == "zip" else "zip")
        if job.format == "dir" or other in self.outputs[job.output].listed:
            yield job.output / other

    def order(self, job: Job, wanted: Requirements, environ: Mapping[str, str]) -> Order:
        """What a job asks the store for."""
        # What a backend cannot clean up when it is ended goes with our own folder.
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.scratch))
        work = Work(
            children=self.children,
            environ={**environ, **temporary},
            folder=Path(tempfile.mkdtemp(dir=self.scratch)),
            timeout=job.timeout,
            secrets=wanted.secrets,
        )
        return Order(wanted=wanted, target=job.target, installer=self.backends.get(job.backend), work=work)


def private_folder(stack: ExitStack, *, prefix: str, parent: Path | None = None) -> Path:
    """A folder that is removed in the end; what somebody is still writing there is no reason to fail then."""
    folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


class Assembly:
    """One job on its way through the stages."""

    def __init__(self, run: Run, job: Job, stack: ExitStack) -> None:
        self._run, self._job, self._stack = run, job, stack
        self._environ = {**run.environ, **dict(job.env)}
        self._staged: Path | None = None

    def build(self) -> tuple[Artifact, tuple[Problem, ...]]:
        """All stages; what was published, and warnings."""
        job = self._job
        with self._stage("stage"):
            exclude = (*DEFAULT_EXCLUDES, *job.exclude)
            sources: Tree = scan(
                job.sources, exclude=exclude, include=job.include, environments=False, skip=job.output
            )
            left_out = requirements.FILE_NAME not in sources
            inputs = _hashes(sources)
        if job.before:
            with self._stage("before hooks"):
                sources = self._with_hooks(job.before, sources)
        with self._stage("requirements"):
            # One that is left out of the bundle counts all the same, unless hooks have made another.
            wanted = self._wanted(excluded=left_out and requirements.FILE_NAME not in sources)
        with self._stage("install"):
            order = self._run.order(job, wanted, self._environ)
            dependencies = self._run.store.dependencies(order)
            check_collisions(sources, dependencies.hashes, dependencies.folders, dependencies.owner)
        kept, own = frozenset(dependencies.files), sources
        if job.after:
            with self._stage("after hooks"):
                everything = {**sources, **self._run.store.tree(dependencies, order)}
                own = self._with_hooks(job.after, everything, infos=dependencies.infos)
                kept = _unchanged(own, dependencies)
        own = {path: source for path, source in own.items() if path not in kept}
        with self._stage("archive"):
            temporary = self._folder() / job.artifact.name
            write = self._write_zip if job.format == "zip" else self._write_folder
            archived = write(temporary, own, kept, order, dependencies)
        with self._stage("publish"):
            archive.publish(temporary, job.artifact, stale=self._run.stale(job))
        digest = _digest(job, inputs, dependencies)
        return Artifact(archived=archived, wheels=dependencies.wheels, digest=digest), dependencies.warnings

    @contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        """A stage: heard by whoever follows the progress, and named in its problems."""
        self._run.children.check()
        self._run.progress.entered(self._job, stage)
        try:
            yield
        except BundleError as error:
            problems = error.problems
        except OSError as error:
            problems = self._refused(error).problems
        else:
            return
        raise BundleError(*(problem.at(name=self._job.name, stage=stage) for problem in problems))

    def _write_zip(
        self, path: Path, own: Tree, kept: frozenset[str], order: Order, dependencies: DependencySet
    ) -> archive.Archived:
        prefix, check = self._job.prefix, self._run.children.check
        pack = self._run.store.pack(dependencies, order, prefix, check) if kept else None
        without = frozenset(f"{prefix}{name}" for name in dependencies.files.keys() - kept)
        return archive.write_zip(
            _below(prefix, own), path, packs=[pack] if pack else [], without=without, check=check
        )

    def _write_folder(
        self, path: Path, own: Tree, kept: frozenset[str], order: Order, dependencies: DependencySet
    ) -> archive.Archived:
        prefix, check = self._job.prefix, self._run.children.check
        theirs = {
            name: source for name, source in self._run.store.tree(dependencies, order).items() if name in kept
        }
        hashes = {f"{prefix}{name}": dependencies.hashes[name] for name in kept}
        return archive.write_folder(_below(prefix, {**theirs, **own}), path, hashes=hashes, check=check)

    def _folder(self) -> Path:
        """An empty folder that is there as long as this job runs."""
        parent = self._run.outputs[self._job.output].folder
        return private_folder(self._stack, prefix=f"{self._job.name}-", parent=parent)

    def _refused(self, error: OSError) -> BundleError:
        """The error for what the system refused: to read the sources, or to write what becomes of them."""
        job, file = self._job, Path(str(error.filename or self._job.output))
        if self._run.cache.holds(str(file)):
            if error.errno not in _NO_ROOM:
                return self._run.cache.refused(error)
            error = OSError(error.errno, error.strerror)  # while it was copied from there
        theirs = file.is_relative_to(job.sources) and not file.is_relative_to(job.output)
        if theirs and error.errno not in _NO_ROOM:
            where = Where(file=self._place.shown(file))
            message = f"cannot be read any more: {error.strerror}"
            hint = "it was there when the work began: leave the sources alone meanwhile, and run it again"
            return BundleError(Problem(code=Code.UNUSABLE_FILE, message=message, where=where, hint=hint))
        if theirs or file.is_relative_to(job.output):  # where in there we work is no business of the user's
            error = OSError(error.errno, error.strerror)
        return manifest.unwritable(job.output, error)

    def _with_hooks(self, commands: Sequence[str], tree: Tree, infos: Sequence[str] = ()) -> Tree:
        """Run hooks in a copy of the tree; the files that they leave."""
        if self._staged is None:
            self._staged = self._folder()
        folder = self._staged
        copy({path: source for path, source in tree.items() if folder not in source.parents}, folder)
        job = self._job
        told = hooks.variables(
            name=job.name, entry=str(job.sources), runtime=job.target.runtime, arch=job.target.arch
        )
        environ = {**self._environ, **told}
        hooks.run(commands, folder=folder, environ=environ, timeout=job.timeout, children=self._run.children)
        refresh_records(folder, infos)
        hint = "let the hook remove it when it is done"
        left = scan(folder, exclude=HOOK_LEFTOVERS, environments=False, hint=hint)
        detach(left, folder)
        return {path: folder / path for path in left}

    @property
    def _place(self) -> requirements.Place:
        return requirements.Place(root=self._job.root, entry=self._job.sources, staged=self._staged)

    def _wanted(self, *, excluded: bool) -> Requirements:
        path = requirements.find(self._place, excluded=excluded)
        if path is None:
            return NO_REQUIREMENTS
        return requirements.gather(self._place, path, self._job.target, self._environ)


def _hashes(tree: Tree) -> list[list[str]]:
    """Name, permissions and hash of each file."""
    return [
        [path, f"{file_mode(source):o}", hashlib.sha256(source.read_bytes()).hexdigest()]
        for path, source in tree.items()
    ]


def _below(prefix: str, tree: Tree) -> Tree:
    return {f"{prefix}{path}": source for path, source in tree.items()} if prefix else tree


def _unchanged(tree: Tree, dependencies: DependencySet) -> frozenset[str]:
    """The files of the dependencies that hooks have left as they were."""
    return frozenset(
        path for path, file in dependencies.files.items() if path in tree and is_same(tree[path], file)
    )


def _digest(job: Job, sources: list[list[str]], dependencies: DependencySet) -> str:
    """A digest of everything that went in; no absolute path is part of it, so that two checkouts agree."""
    settings = [
        *(job.kind, job.name, job.handler, job.target.runtime, job.target.arch, job.target.platforms),
        *(job.backend, job.before, job.after, job.exclude, job.include, job.env, job.format),
    ]
    wheels = [[wheel.filename, wheel.sha256] for wheel in dependencies.wheels]
    return hashlib.sha256(json.dumps([settings, sources, wheels]).encode()).hexdigest()
