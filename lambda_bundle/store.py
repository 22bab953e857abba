"""Dependency sets: resolved and installed once for each distinct (requirements, target, backend).

Functions share them. What lies in the store is only ever read: a backend may have hard-linked it to its own
cache, so that an edit in place would reach every later install.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installed import Distribution, contested, distributions, record_hash, tidy
from lambda_bundle.installers import Installer, Work, no_fit
from lambda_bundle.lock import Unfit, Wheel
from lambda_bundle.reqfile import Requirements
from lambda_bundle.stage import scan
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySet:
    """Installed wheels, tidy, with the files that they brought."""

    wheels: tuple[Wheel, ...] = ()
    folder: Path | None = None
    files: dict[str, Path]
    warnings: tuple[Problem, ...] = ()

    def owner(self, path: str) -> str:
        """The distribution that brought a path, for messages."""
        if self.folder is not None:
            for distribution in distributions(self.folder):
                if path in distribution.files:
                    return f"{distribution.name} {distribution.version}"
        return "a dependency"

    @property
    def infos(self) -> tuple[str, ...]:
        """The .dist-info folders in it."""
        return tuple(sorted({path.partition("/")[0] for path in self.files if ".dist-info/" in path}))


NOTHING = DependencySet(files={})
"""What a function without requirements gets."""


class Store:
    """The dependency sets of one run, below a folder of its own; they are built in a pool of threads."""

    def __init__(self, folder: Path, pool: Executor) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pool = pool
        self._sets: dict[str, tuple[Requirements, Future[DependencySet]]] = {}
        self._fetching: dict[str, threading.Lock] = {}
        self._fetched: set[str] = set()

    def dependencies(
        self, wanted: Requirements, target: Target, installer: Installer, work: Work
    ) -> DependencySet:
        """The installed dependency set for these requirements; work on the same set is done once.

        Raises `BundleError`, with the places of the requirements as this caller wrote them.
        """
        if not wanted.requirements:
            return NOTHING
        key = _key(wanted, target, installer, work)
        with self._lock:
            if key not in self._sets:
                future = self._pool.submit(self._build, key, wanted, target, installer, work)
                self._sets[key] = (wanted, future)
            asked, future = self._sets[key]
        try:
            return future.result()
        except BundleError as error:
            raise _relocate(error, asked, wanted) from None

    def _build(
        self, key: str, wanted: Requirements, target: Target, installer: Installer, work: Work
    ) -> DependencySet:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfit: tuple[Unfit, ...] = ()
        while True:
            wheels = installer.resolve(wanted, target, work, unfit)
            folder = Path(tempfile.mkdtemp(prefix=f"{key[:12]}-", dir=self._folder))
            with self._single_flight(wheels):
                installer.install(wheels, wanted, target, folder, work)
            # uv ignores the upper bounds of Requires-Python, so what it chose is looked at again.
            refusing = _unfit(distributions(folder), wanted, target)
            if not refusing:
                break
            if any(one.direct for one in refusing):
                raise no_fit(refusing, wanted, target)
            unfit = (*unfit, *refusing)
            shutil.rmtree(folder)
        warnings = self._settle(folder, wheels, wanted, target, installer, work)
        tidy(folder)
        return DependencySet(wheels=wheels, folder=folder, files=scan(folder, exclude=()), warnings=warnings)

    def _settle(
        self,
        folder: Path,
        wheels: tuple[Wheel, ...],
        wanted: Requirements,
        target: Target,
        installer: Installer,
        work: Work,
    ) -> tuple[Problem, ...]:
        """Give each path that several distributions bring to the last of them by name, with a warning.

        Which of them a backend leaves there is chance: what must not happen is that the artifact varies.
        """
        warnings = []
        for path, claims in contested(distributions(folder)).items():
            winner = claims[-1]
            if record_hash(folder / path) != winner.files[path]:
                with tempfile.TemporaryDirectory(dir=self._folder) as alone:
                    only = tuple(wheel for wheel in wheels if wheel.name == winner.name)
                    installer.install(only, wanted, target, Path(alone), work)
                    (folder / path).unlink()
                    shutil.copy2(Path(alone, path), folder / path)
            warnings.append(_shared(path, claims))
        return tuple(warnings)

    @contextmanager
    def _single_flight(self, wheels: Iterable[Wheel]) -> Iterator[None]:
        """Hold every wheel that nobody has fetched yet, so that no other thread fetches it meanwhile."""
        with ExitStack() as held:
            for wheel in sorted(wheels, key=lambda one: one.url):
                with self._lock:
                    lock = self._fetching.setdefault(wheel.url, threading.Lock())
                if wheel.url not in self._fetched:
                    held.enter_context(lock)
            yield
            self._fetched.update(wheel.url for wheel in wheels)


def _key(wanted: Requirements, target: Target, installer: Installer, work: Work) -> str:
    """What makes two dependency sets the same: all that can change the outcome, and no place."""
    options = wanted.options
    parts = [
        installer.name,
        [target.runtime, target.arch, *target.platforms],
        [[one.line, *one.hashes] for one in wanted.requirements],
        [[one.line, *one.hashes] for one in wanted.constraints],
        [options.index_url, options.extra_index_urls, options.find_links, options.no_index, options.pre],
        sorted(work.environ.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _unfit(found: Iterable[Distribution], wanted: Requirements, target: Target) -> tuple[Unfit, ...]:
    direct = {one.name for one in wanted.requirements if one.url}
    return tuple(
        Unfit(
            name=one.name,
            version=one.version,
            direct=one.name in direct,
            requires_python=one.requires_python,
        )
        for one in found
        if not one.admits(target)
    )


def _shared(path: str, claims: tuple[Distribution, ...]) -> Problem:
    names = ", ".join(f"{one.name} {one.version}" for one in claims)
    return Problem(
        code=Code.SHARED_PATH,
        message=f"{names} bring this file with different content; the one of {claims[-1].name} is used",
        where=Where(file=path),
        hint="leave one of them out if they are not meant to live together",
        severity="warning",
    )


def _relocate(error: BundleError, asked: Requirements, mine: Requirements) -> BundleError:
    """The error with the places of my requirements in place of those of whoever asked first for the same."""
    places = {
        theirs.where: ours.where for theirs, ours in zip(asked.requirements, mine.requirements, strict=True)
    }
    return BundleError(
        *(replace(problem, where=places.get(problem.where, problem.where)) for problem in error.problems)
    )
