"""What the jobs of one run share: the store, the pools, what is known, and what the run was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from packaging.utils import canonicalize_name

from lambda_bundle import access, manifest
from lambda_bundle.backends import Backends
from lambda_bundle.cache import Cache
from lambda_bundle.contents import Contents
from lambda_bundle.freshness import Freshness, Known
from lambda_bundle.installers import Work
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Release
from lambda_bundle.once import Once
from lambda_bundle.orders import Order
from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.projects import Place
from lambda_bundle.registries import Configurations
from lambda_bundle.result import Progress
from lambda_bundle.store import Store
from lambda_bundle.targets import Target
from lambda_bundle.variables import for_backends
from lambda_bundle.verdicts import Verdicts
from lambda_bundle.wanted import Requirements


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
    processes: Processes
    slots: threading.Semaphore
    """One for each job that may work at a time; those that wait for others have none."""
    turns: threading.Semaphore
    """One for each backend that may resolve or install at a time, for jobs that have no slot meanwhile."""
    children: Children
    environ: Mapping[str, str]
    progress: Progress
    freshness: Freshness
    backends: Backends
    scratch: Path
    """For the backends' own files."""
    cache: Cache
    store: Store
    verdicts: Verdicts
    outputs: Mapping[Path, Output]
    entries: Mapping[Job, Known] = field(default_factory=dict)
    """What earlier runs know of some entries."""
    configurations: Configurations = field(default_factory=Configurations)
    layers: Once = field(default_factory=Once)
    """What each layer holds."""
    offline: bool = False
    """Whether no backend may fetch anything."""
    upgrade: bool = False
    """Whether what is not pinned is resolved anew."""
    strict: bool = False
    """Warnings count as errors."""
    locked: bool = False
    """Whether everything must be pinned by a lock."""

    def stale(self, job: Job) -> tuple[Path, ...]:
        """What an earlier run left of a job in the other format."""
        return manifest.replaced(job, self.outputs[job.output].listed)

    def owns(self, job: Job) -> bool:
        """Whether what stands in the place of a job's artifact is of an earlier run, or nothing."""
        return manifest.is_ours(job, self.outputs[job.output].listed) or self.freshness.stands(job)

    def layer(self, job: Job, make: Callable[[], Contents]) -> Contents:
        """What a layer holds: made once in a run, by whichever job needs it first."""
        return self.layers.get("layer", job, make, waiting=self.waiting)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a job waits, another may work."""
        self.slots.release()
        try:
            yield
        finally:
            self.slots.acquire()

    def order(
        self,
        job: Job,
        target: Target,
        wanted: Requirements,
        *,
        environ: Mapping[str, str],
        without: frozenset[Release],
        place: Place,
    ) -> Order:
        """What a job asks the store for."""
        work = self.work(job, environ, wanted.secrets)
        return Order(
            wanted=wanted,
            target=target,
            installer=self.backends.get(job.backend),
            work=work,
            without=without,
            place=place,
            output=job.output,
            lasting=job.format == "dir" or bool(job.after),
            packed=job.format == "zip",
            sdists=frozenset(canonicalize_name(name) for name in job.selection.sdists),
            turn=self.turns,
            waiting=self.waiting,
        )

    def work(self, job: Job, environ: Mapping[str, str], secrets: frozenset[str] = frozenset()) -> Work:
        """What the commands of a job need around them."""
        # What a backend cannot clean up when it is ended goes with our own folder.
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.scratch))
        return Work(
            children=self.children,
            environ={**for_backends(environ), **temporary},
            place=self.scratch / token_hex(8),
            timeout=job.timeout,
            secrets=secrets | access.secrets(environ),
            offline=self.offline,
            refresh=self.upgrade,
        )
