"""Zips that are gone, or not what was built, while all that their builds looked at is as it was.

The record of a build says which packs and sources such a zip consists of: it is written again, without asking
what to install, and without judging what was judged. It must have the hash that the record names. Where it
has not, and where a pack is missing or damaged, it has to be built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_bundle import archive, manifest
from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError
from lambda_bundle.freshness import Freshness, Recipe
from lambda_bundle.jobs import Job
from lambda_bundle.members import Pack, open_pack
from lambda_bundle.once import Once
from lambda_bundle.process import Children, Stopped, attended
from lambda_bundle.processes import cpus
from lambda_bundle.result import Progress, Result
from lambda_bundle.working import beside_artifacts


def restore(
    wanted: Mapping[int, tuple[Job, Recipe]],
    *,
    cache: Cache,
    freshness: Freshness,
    listed: Mapping[Path, Mapping[str, Any]],
    workers: int | None,
    children: Children,
    progress: Progress,
    restored: Callable[[int, Result], None],
    ended: Callable[[], None],
) -> None:
    """Write every zip that can be, at most `workers` at once (None: one for each CPU).

    `listed` holds the rows of the manifest in each output folder. `restored` hears of each zip that is in its
    place, by the number of its job, and `ended` when no more come, whatever becomes of the run. Raises
    `BundleError` where an output folder cannot be written, and `KeyboardInterrupt` when interrupted, with
    `children` stopped and nothing half-written.
    """

    def work() -> None:
        with ExitStack() as stack:
            stack.callback(ended)
            outputs = dict.fromkeys(job.output for job, _ in wanted.values())
            folders = {output: beside_artifacts(stack, output) for output in outputs}
            pool = stack.enter_context(ThreadPoolExecutor(workers or cpus()))
            names = {output: manifest.paths(listed[output]) for output in outputs}
            run = _Run(cache, freshness, names, progress, children, folders, Once(pool))
            for _, recipe in wanted.values():  # before all zips: these wait for them in the same pool
                for name in recipe.packs:
                    run.begin(name)
            futures = {pool.submit(run.write, *one): number for number, one in wanted.items()}
            for future in as_completed(futures):
                result = future.result()
                if result is not None:
                    restored(futures[future], result)

    attended(children, work)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the zips of one run share."""

    cache: Cache
    freshness: Freshness
    listed: Mapping[Path, AbstractSet[str]]
    """What the manifest of each output folder lists."""
    progress: Progress
    children: Children
    folders: Mapping[Path, Path]
    """For the work, by output folder."""
    once: Once

    def begin(self, name: str) -> Future[Pack | None]:
        """Open a pack, unless somebody does."""
        path = self.cache.path("packs", name)
        return self.once.begin("pack", name, lambda: open_pack(path) if self.cache.use(path) else None)

    def write(self, job: Job, recipe: Recipe) -> Result | None:
        """Put a zip into its place; None where it has to be built, which tells why."""
        began = time.monotonic()
        try:
            self.children.check()
            if not manifest.is_ours(job, self.listed[job.output]):
                return None
            packs = [pack for name in recipe.packs if (pack := self.begin(name).result()) is not None]
            if len(packs) < len(recipe.packs):
                return None
            self.progress.entered(job, "archive")
            own = {f"{job.prefix}{path}": job.sources / path for path in recipe.sources}
            temporary = self.folders[job.output] / job.artifact.name
            archived = archive.write_zip(own, temporary, packs=packs, check=self.children.check)
            if archived != recipe.artifact.archived:
                return None
            stale = manifest.replaced(job, self.listed[job.output])
            archive.publish(temporary, job.artifact, stale=stale)
        except (OSError, BundleError, Stopped):
            return None
        self.freshness.restored(job, recipe)
        return Result(
            job=job,
            status="built",
            seconds=time.monotonic() - began,
            artifact=recipe.artifact,
            problems=job.warnings,
        )
