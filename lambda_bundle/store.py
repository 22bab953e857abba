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
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
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
        order = _Order(wanted=wanted, target=target, installer=installer, work=work)
        with self._lock:
            if order.key not in self._sets:
                self._sets[order.key] = (wanted, self._pool.submit(self._build, order))
            asked, future = self._sets[order.key]
        try:
            return future.result()
        except BundleError as error:
            raise _relocate(error, asked, wanted) from None

    def _build(self, order: _Order) -> DependencySet:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfit: tuple[Unfit, ...] = ()
        while True:
            wheels = order.installer.resolve(order.wanted, order.target, order.work, unfit)
            folder = Path(tempfile.mkdtemp(prefix=f"{order.key[:12]}-", dir=self._folder))
            with self._single_flight(wheels):
                order.install(wheels, folder)
            # uv ignores the upper bounds of Requires-Python, so what it chose is looked at again.
            refusing = _unfit(distributions(folder), order.wanted, order.target)
            if not refusing:
                break
            if any(one.direct for one in refusing):
                raise no_fit(refusing, order.wanted, order.target)
            unfit = (*unfit, *refusing)
            shutil.rmtree(folder)
        claims = contested(distributions(folder))
        self._settle(folder, claims, wheels, order)
        tidy(folder)
        files = scan(folder, exclude=())
        warnings = tuple(_shared(path, owners) for path, owners in claims.items() if path in files)
        return DependencySet(wheels=wheels, folder=folder, files=files, warnings=warnings)

    def _settle(
        self,
        folder: Path,
        claims: Mapping[str, tuple[Distribution, ...]],
        wheels: Iterable[Wheel],
        order: _Order,
    ) -> None:
        """Give each path that several distributions bring to the last of them by name.

        Which of them a backend leaves there is chance: what must not happen is that the artifact varies.
        """
        for path, owners in claims.items():
            winner = owners[-1]
            if record_hash(folder / path) != winner.files[path]:
                with tempfile.TemporaryDirectory(dir=self._folder) as alone:
                    order.install([wheel for wheel in wheels if wheel.name == winner.name], Path(alone))
                    (folder / path).unlink()
                    shutil.copy2(Path(alone, path), folder / path)

    @contextmanager
    def _single_flight(self, wheels: Iterable[Wheel]) -> Iterator[None]:
        """Hold every wheel that nobody has fetched yet, so that no other thread fetches it meanwhile."""
        urls = sorted({wheel.url for wheel in wheels})
        with ExitStack() as held:
            for (
                url
            ) in urls:  # in one order everywhere: two threads that wait for each other would wait for ever
                with self._lock:
                    lock = self._fetching.setdefault(url, threading.Lock())
                lock.acquire()
                if url in self._fetched:
                    lock.release()
                else:
                    held.callback(lock.release)
            yield
            self._fetched.update(urls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What somebody has asked the store for."""

    wanted: Requirements
    target: Target
    installer: Installer
    work: Work

    @property
    def key(self) -> str:
        """What makes two dependency sets the same: all that can change the outcome, and no place."""
        wanted, target, work = self.wanted, self.target, self.work
        parts = [
            self.installer.name,
            [target.runtime, target.arch, *target.platforms],
            [[one.line, *one.hashes] for one in wanted.requirements],
            [[one.line, *one.hashes] for one in wanted.constraints],
            asdict(wanted.options),
            sorted(work.environ.items()),
            work.timeout,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def install(self, wheels: Iterable[Wheel], folder: Path) -> None:
        """Install some of the wheels that it resolves to."""
        self.installer.install(tuple(wheels), self.wanted, self.target, folder, self.work)


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
        if not target.admitted(one.requires_python)
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
    theirs, ours = (
        [one.where for one in (*wanted.requirements, *wanted.constraints)] for wanted in (asked, mine)
    )
    places = dict(zip(theirs, ours, strict=True))
    return BundleError(
        *(replace(problem, where=places.get(problem.where, problem.where)) for problem in error.problems)
    )
