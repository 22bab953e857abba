"""One job from sources to artifact.

The only module that knows the order of the stages; no stage calls another.
"""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from lambda_bundle import access, archive, hooks, limits, manifest
from lambda_bundle import layers as layering
from lambda_bundle.cache import FOLDER_VARIABLE
from lambda_bundle.contents import Contents, Share
from lambda_bundle.entries import lock_name
from lambda_bundle.errors import BundleError, Code, Problem, Stage, Where, fails, silence, strictly
from lambda_bundle.hygiene import zipped
from lambda_bundle.inputs import inputs_of
from lambda_bundle.installed import refresh_records
from lambda_bundle.jobs import Job
from lambda_bundle.members import Pack
from lambda_bundle.projects import Law, Place, find, refreshing
from lambda_bundle.records import Inputs, place_of, standing
from lambda_bundle.requirements import gather, unused
from lambda_bundle.result import Archived, Artifact, Progress
from lambda_bundle.sets import is_same
from lambda_bundle.shared import Run
from lambda_bundle.stage import (
    HOOK_LEFTOVERS,
    Tree,
    check_collisions,
    copy,
    detach,
    folders_of,
    scan,
    sources_of,
)
from lambda_bundle.stamps import Seen, Stamp, look
from lambda_bundle.targets import Target
from lambda_bundle.variables import rooted
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirements
from lambda_bundle.working import has_least_room, private_folder

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Assembly:
    """One job on its way through the stages."""

    def __init__(self, run: Run, job: Job, stack: ExitStack) -> None:
        self._run, self._job, self._stack = run, job, stack
        self._environ = {**run.environ, **rooted(dict(job.env), str(job.root))}
        self._staged: Path | None = None
        self._brought: frozenset[str] = frozenset()

    def build(self) -> tuple[Artifact, Inputs, tuple[Problem, ...]]:
        """All stages; what was published, what went into it, and warnings."""
        job = self._job
        if not self._run.owns(job):
            raise manifest.in_the_way(job)
        contents = self._run.layer(job, self.contents) if job.kind == "layer" else self.contents()
        with self._stage("verify"):
            found = self._verified(contents)
        with self._stage("archive"):
            excess = limits.check(contents)
            if excess is not None:
                raise BundleError(excess)
            temporary = self._run.outputs[job.output].folder / job.artifact.name
            self._stack.callback(archive.remove, temporary)  # what failed halfway
            packs = self._packs(contents) if job.format == "zip" else ()
            archived = self._archived(temporary, contents, packs)
        with self._stage("publish"):
            number = temporary.stat().st_ino
            archive.publish(temporary, job.artifact, stale=self._run.stale(job))
            # Here and now: later, it may be another's.
            stands = standing(place_of(job)) if job.artifact.lstat().st_ino == number else None
        artifact = Artifact(
            archived=archived,
            wheels=contents.wheels,
            digest=_digest(contents),
            runtimes=contents.runtimes,
            left_out=tuple(wheel for share in contents.shares for wheel in share.found.left_out),
        )
        upload = zipped(archived.size) if job.format == "zip" else ()
        told = (one for one in upload if not any(entry.silences(one) for entry in job.ignore))
        warnings = (*found, *(one.at(name=job.name, stage="archive") for one in told))
        return artifact, inputs_of(self._run, contents, packs, stands=stands), warnings

    def _verified(self, contents: Contents) -> tuple[Problem, ...]:
        """What is to say of what will be archived. Raises `BundleError` where that is an error."""
        job, run = self._job, self._run
        found = [
            warning
            for share in contents.shares
            for warning in (*share.order.wanted.warnings, *share.found.warnings)
        ]
        for target in job.targets:
            problems = run.verdicts.of(contents, target)
            found += [problem.at(name=job.name, stage="verify") for problem in problems]
        kept = silence(dict.fromkeys(found), job.ignore, contents.owner)
        if run.strict:
            kept = strictly(kept)
        if fails(kept) or (run.strict and job.warnings):
            raise BundleError(*kept)
        return kept

    def contents(self) -> Contents:
        """The stages up to the archive: everything that is to be in there."""
        job = self._job
        with self._stage("stage"):
            found, seen, folders = self._entry()
            self._check_cache(found)
        sources = self._prepared(found)
        with self._stage("requirements"):
            wanted = [(target, self._wanted(target)) for target in job.targets]
        layers = self._layers()
        with self._stage("install"):
            shares = [self._share(target, one, layers) for target, one in wanted]
            for share in shares:
                layering.check(job.name, share, layers)
                _check_collisions(sources, share)
        contents = Contents(
            job=job,
            seen=seen,
            folders=folders,
            own=sources,
            shares=tuple(shares),
            layers=layers,
        )
        own = sources
        if job.after:
            with self._stage("after hooks"):
                own = self._with_hooks(job.after, contents.tree(self._run.store), shares)
                shares = [replace(share, kept=_unchanged(own, share)) for share in shares]
        own = {path: source for path, source in own.items() if not any(share.holds(path) for share in shares)}
        return replace(contents, own=own, shares=tuple(shares))

    def _check_cache(self, sources: Tree) -> None:
        """Raise `BundleError` where the cache lies among the sources: it would get into the artifact."""
        root, job = self._run.cache.root, self._job
        if root.is_relative_to(job.sources) and any(one.is_relative_to(root) for one in sources.values()):
            message = f"the cache is {self._place.shown(root)}, and lies in the entry"
            hint = (
                f"leave it out with `exclude`, or name a folder outside of every entry in {FOLDER_VARIABLE}"
            )
            raise BundleError(Problem(code=Code.CACHE_UNUSABLE, message=message, hint=hint))

    def _entry(self) -> tuple[Tree, Mapping[str, Seen], Mapping[str, Stamp]]:
        """The files of the entry, how they are, and the folders that they were found in."""
        job = self._job
        known = self._run.entries.get(job)
        if known is None:
            folders: dict[str, Stamp] = {}
            found = sources_of(job, folders)
            return found, {path: look(source) for path, source in found.items()}, folders
        return {path: job.sources / path for path in known.sources}, known.sources, known.folders

    def _prepared(self, sources: Tree) -> Tree:
        """The sources, with what hooks make of them before anything is installed."""
        self._brought = frozenset(sources)
        if not self._job.before:
            return sources
        with self._stage("before hooks"):
            return self._with_hooks(self._job.before, sources)

    @contextmanager
    def requirements(self) -> Iterator[tuple[Place, Mapping[str, str]]]:
        """The stage of that name, for whoever wants no artifact: where to look, and the environment."""
        with self._stage("stage"):
            sources = sources_of(self._job, {}) if self._job.before else {}
        self._prepared(sources)
        with self._stage("requirements"):
            yield self._place, self._environ

    def _layers(self) -> tuple[Contents, ...]:
        """What the layers of a function hold; their problems are told as theirs."""
        if not self._job.layers:
            return ()
        with self._stage("layers"):
            pass  # what comes up from here on has the name and the stages of a layer
        quiet = replace(self._run, progress=Progress())
        return tuple(
            self._run.layer(layer, Assembly(quiet, layer, self._stack).contents) for layer in self._job.layers
        )

    def _share(self, target: Target, wanted: Requirements, layers: tuple[Contents, ...]) -> Share:
        without = layering.carried(layers, target)
        order = self._run.order(
            self._job, target, wanted, environ=self._environ, without=without, place=self._place
        )
        found = self._run.store.dependencies(order)
        site = self._job.site(target)
        read = partial(self._run.store.read, found, order, prefix=f"{self._job.prefix}{site}")
        return Share(target=target, site=site, order=order, found=found, kept=found.files.keys(), read=read)

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

    def _packs(self, contents: Contents) -> tuple[Pack, ...]:
        """The compressed form of what the dependencies bring."""
        prefix, check = self._job.prefix, self._run.children.check
        return tuple(
            self._run.store.pack(share.found, share.order, f"{prefix}{share.site}", check)
            for share in contents.shares
            if share.kept
        )

    def _archived(self, path: Path, contents: Contents, packs: Sequence[Pack]) -> Archived:
        if self._job.format == "dir":
            return self._write_folder(path, contents)
        prefix = self._job.prefix
        without = frozenset(
            f"{prefix}{share.site}{name}" for share in contents.shares if share.kept for name in share.changed
        )
        own, check = _below(prefix, contents.own), self._run.children.check
        return archive.write_zip(own, path, packs=packs, without=without, check=check)

    def _write_folder(self, path: Path, contents: Contents) -> Archived:
        prefix = self._job.prefix
        files = (file for share in contents.shares for file in share.files)
        hashes = {f"{prefix}{name}": file.sha256 for name, file in files}
        tree = _below(prefix, contents.tree(self._run.store))
        return archive.write_folder(tree, path, hashes=hashes, run=self._run.processes.map)

    def _folder(self) -> Path:
        """An empty folder that is there as long as this job runs; for a layer, as long as the run.

        Whichever job wants to know first what a layer holds, others look into it later.
        """
        parent = self._run.outputs[self._job.output].folder
        if self._job.kind == "layer":
            return Path(tempfile.mkdtemp(prefix=f".{self._job.name}-", dir=parent))
        return private_folder(self._stack, prefix=f".{self._job.name}-", parent=parent)

    def _full(self) -> BundleError | None:
        """The error for a temporary folder on a disk of its own, with less room than all else has."""
        scratch = self._run.scratch
        if not has_least_room(scratch, [self._run.cache.root, self._job.output]):
            return None
        message = f"the temporary folder has no room left: {scratch.parent}"
        hint = "make room there, or name another folder in TMPDIR"
        return BundleError(Problem(code=Code.SYSTEM_ERROR, message=message, hint=hint))

    def _refused(self, error: OSError) -> BundleError:
        """The error for what the system refused: to read the sources, or to write what becomes of them."""
        if error.errno in _NO_ROOM and not error.filename and (full := self._full()) is not None:
            return full
        job, file = self._job, Path(str(error.filename or self._job.output))
        if self._run.cache.holds(str(file)):
            if error.errno not in _NO_ROOM:
                return self._run.cache.refused(error)
            error = OSError(error.errno, error.strerror)  # while it was copied from there
        read = any(file.is_relative_to(one.sources) for one in (job, *job.layers))
        theirs = read and not file.is_relative_to(job.output)
        if theirs and error.errno not in _NO_ROOM:
            where = Where(file=self._place.shown(file))
            message = f"cannot be read any more: {error.strerror}"
            hint = "it was there when the work began: leave the sources alone meanwhile, and run it again"
            return BundleError(Problem(code=Code.UNUSABLE_FILE, message=message, where=where, hint=hint))
        if theirs or file.is_relative_to(job.output):  # where in there we work is no business of the user's
            error = OSError(error.errno, error.strerror)
        return manifest.unwritable(job.output, error)

    def _with_hooks(self, commands: Sequence[str], tree: Tree, shares: Sequence[Share] = ()) -> Tree:
        """Run hooks in a copy of the tree; the files that they leave."""
        if self._staged is None:
            self._staged = self._folder()
        folder = self._staged
        copy({path: source for path, source in tree.items() if folder not in source.parents}, folder)
        job = self._job
        told = hooks.variables(
            name=job.name, entry=str(job.sources), runtime=" ".join(job.runtimes), arch=job.target.arch
        )
        environ = {**self._environ, **told}
        hooks.run(
            commands,
            folder=folder,
            environ=environ,
            timeout=job.timeout,
            children=self._run.children,
            secrets=access.all_secrets(environ, job.index),
        )
        for share in shares:
            refresh_records(folder / share.site, share.found.infos)
        hint = "let the hook remove it when it is done"
        left = scan(folder, exclude=HOOK_LEFTOVERS, environments=False, hint=hint)
        detach(left, folder)
        return {path: folder / path for path in left}

    @property
    def _place(self) -> Place:
        job = self._job
        return Place(root=job.root, entry=job.sources, staged=self._staged, brought=self._brought)

    def _wanted(self, target: Target) -> Requirements:
        job, place = self._job, self._place
        law = find(place, job.selection, job.name)
        if law is None:
            return replace(NO_REQUIREMENTS, warnings=unused(job.selection, place.shown(job.sources)))
        wanted = gather(law, place, job.selection, target, self._run.work(job, self._environ))
        if self._run.locked and not wanted.is_pinned:
            raise _unlocked(law, place, job.name)
        return access.add(wanted, job, target, self._environ, self._run.configurations)


def _unlocked(law: Law, place: Place, name: str) -> BundleError:
    shown = place.shown(law.path)
    message = f"no lock pins what {shown} asks for, and with --locked nothing else is built"
    hint = refreshing(lock_name(name))
    return BundleError(Problem(code=Code.LOCK_MISSING, message=message, where=Where(file=shown), hint=hint))


def _below(prefix: str, tree: Tree) -> Tree:
    return {f"{prefix}{path}": source for path, source in tree.items()} if prefix else tree


def _check_collisions(sources: Tree, share: Share) -> None:
    """Raise `BundleError` where sources and dependencies meet, or would hide one another in a layer."""
    site, found = share.site, share.found
    folders: Mapping[str, str] = found.folders
    if site and found.files:
        folders = {**dict.fromkeys(folders_of([f"{site}x"]), next(iter(found.files))), **folders}
    seen = {path.removeprefix(site): source for path, source in sources.items()}
    check_collisions(seen, found.hashes, folders, found.owner)


def _unchanged(tree: Tree, share: Share) -> frozenset[str]:
    """The files of the dependencies that hooks have left as they were."""
    return frozenset(
        path
        for path, file in share.found.files.items()
        if (source := tree.get(f"{share.site}{path}")) is not None and is_same(source, file)
    )


def _digest(contents: Contents) -> str:
    """A digest of everything that went in; no absolute path is part of it, so that two checkouts agree."""
    job = contents.job
    settings = [
        *(job.kind, job.name, job.handler, job.runtimes, job.target.arch, job.target.platforms),
        *(job.backend, job.before, job.after, job.exclude, job.include, job.env, job.format),
        *map(str, job.ignore),
    ]
    layers = [[layer.job.name, _wheels(layer)] for layer in contents.layers]
    sources = [[path, f"{one.mode:o}", one.sha256] for path, one in contents.seen.items()]
    parts = [settings, sources, _wheels(contents), layers]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _wheels(contents: Contents) -> list[list[list[str | None]]]:
    return [[[wheel.filename, wheel.sha256] for wheel in share.found.wheels] for share in contents.shares]
