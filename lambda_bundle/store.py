"""Dependency sets: resolved, installed and compressed once, for all functions and all later runs.

What requirements resolve to is kept between runs by what was asked; what a set of wheels looks like when
installed, and its compressed form, by the names and hashes of the wheels. What lies in the store is
only ever read, and whoever reads it looks first whether it is still what was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lambda_bundle import __version__
from lambda_bundle.binaries import inspect
from lambda_bundle.builder import NOTHING_LOCAL, Builder, Local, Setting
from lambda_bundle.cache import Cache
from lambda_bundle.elf import Binary
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installed import Distribution, contested, distributions, record_hash, tidy
from lambda_bundle.installers import Asked, Installer, Wheelless, Work, no_fit, where_asked
from lambda_bundle.lock import Release, Source, Unfit, Wheel, pick
from lambda_bundle.members import Pack, compressor, open_pack, write_pack
from lambda_bundle.needs import kept, skip_unused
from lambda_bundle.once import Once
from lambda_bundle.process import mask
from lambda_bundle.projects import Place
from lambda_bundle.reqfile import Requirements
from lambda_bundle.resolutions import Resolutions, choosing
from lambda_bundle.stage import Tree, file_mode, folders_of, scan
from lambda_bundle.targets import Target

_SET, _TREE = "set.json", "tree"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a dependency set, as it was when the set was made."""

    size: int
    mtime: int
    """Nanoseconds."""
    mode: int
    """On Lambda."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySet:
    """Installed wheels, tidy, with the files that they brought."""

    key: str = ""
    wheels: tuple[Wheel, ...] = ()
    left_out: tuple[Wheel, ...] = ()
    """What the requirements resolve to as well, and the order wanted left out."""
    folder: Path = Path()
    files: Mapping[str, File]
    hashes: Mapping[str, str]
    """The SHA-256 of each file."""
    folders: Mapping[str, str]
    """Each folder, with a file that lies in it."""
    distributions: tuple[Distribution, ...] = ()
    """Without their files: `owners` has these."""
    owners: Mapping[str, int] = field(default_factory=dict)
    """The number of the distribution that brought each file."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    """What is known of the binaries among the files."""
    warnings: tuple[Problem, ...] = ()
    local: Local = NOTHING_LOCAL
    """What of this machine took part, as this caller knows it."""

    def distribution(self, path: str) -> Distribution | None:
        """The distribution that brought a file."""
        number = self.owners.get(path)
        return None if number is None else self.distributions[number]

    def owner(self, path: str) -> str:
        """The same, for messages."""
        found = self.distribution(path)
        return "a dependency" if found is None else f"{found.name} {found.version}"

    @property
    def infos(self) -> tuple[str, ...]:
        """The .dist-info folders in it."""
        return tuple(sorted({path.partition("/")[0] for path in self.files if ".dist-info/" in path}))

    def is_whole(self) -> bool:
        """Whether every file is still there as it was (by size, time and permissions)."""
        try:
            for path, file in self.files.items():
                found = os.stat(f"{self.folder}/{path}")  # noqa: PTH116 - a Path for each of 3,000 files is slow
                mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
                if (found.st_size, found.st_mtime_ns, mode) != (file.size, file.mtime, file.mode):
                    return False
        except OSError:
            return False
        return True


NOTHING = DependencySet(files={}, hashes={}, folders={})
"""What a function without requirements gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asks the store for."""

    wanted: Requirements
    target: Target
    installer: Installer
    work: Work
    without: frozenset[Release] = frozenset()
    """What is there already, and is not to be installed."""
    place: Place = field(default_factory=lambda: Place(root=Path(), entry=Path()))
    """Where relative paths lead, and how paths are shown."""
    output: Path | None = None
    """A folder that is no part of any local project."""
    sdists: frozenset[str] = frozenset()
    """The packages that may be built from source, by normalized name."""

    @property
    def key(self) -> str:
        """What makes two orders the same in one run: all that can change the outcome, and no place.

        Sources are wheels by then, at paths that say their content.
        """
        passing = [sorted(self.work.environ.items()), self.work.timeout, sorted(self.without)]
        return _hash([*self._asked(), *passing])

    @property
    def lasting_key(self) -> str:
        """What makes two orders the same in two runs: neither a credential nor a passing setting is in it."""
        environ = {name: self.work.environ[name] for name in choosing(self.work.environ)}
        asked = json.dumps([*self._asked(), environ])
        # They may be built anew any time.
        wheels = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.wanted.wheels]
        return _hash([__version__, mask(asked, self.work.secrets), wheels])

    def _asked(self) -> list[Any]:
        wanted, target = self.wanted, self.target
        return [
            self.installer.name,
            [target.runtime, target.full_version, target.arch, *target.platforms],
            [[one.line, *one.hashes] for one in wanted.requirements],
            [[one.line, *one.hashes] for one in wanted.constraints],
            [
                [one.name, [[wheel.url, wheel.sha256, *wheel.hashes] for wheel in one.wheels]]
                for one in wanted.candidates
            ],
            [wanted.exact, wanted.skip, wanted.roots, sorted(self.sdists)],
            asdict(wanted.options),
        ]

    def resolve(self, unfit: tuple[Unfit, ...]) -> tuple[Wheel, ...]:
        """The wheels for the target, by name: those that a lock lists, and what the backend finds."""
        wanted = self.wanted
        locked, misfits = pick(wanted.candidates, self.target, {})
        misfits = tuple(one for one in misfits if one.name not in wanted.skip)
        if misfits:
            raise no_fit(misfits, wanted, self.target)
        found: tuple[Wheel, ...] = ()
        if wanted.requirements:
            found = self.installer.resolve(wanted, self.target, self.work, unfit)
        return tuple(sorted((*locked, *found), key=lambda wheel: wheel.name))

    @property
    def setting(self) -> Setting:
        """What there is around the builds."""
        return Setting(
            installer=self.installer,
            work=self.work,
            wanted=self.wanted,
            target=self.target,
            place=self.place,
            skip=self.output,
        )

    def try_to_resolve(self, unfit: tuple[Unfit, ...]) -> tuple[Wheel, ...] | Wheelless:
        """The same; what has no wheel may have sources."""
        try:
            return self.resolve(unfit)
        except Wheelless as error:
            return error

    def install(self, wheels: Iterable[Wheel], folder: Path) -> None:
        """Install some of the wheels that it resolves to."""
        self.installer.install(tuple(wheels), self.wanted, self.target, folder, self.work)


class Store:
    """The dependency sets of one run, kept in a cache; they are made in a pool of threads."""

    def __init__(
        self, cache: Cache, pool: Executor, *, deflating: Executor | None = None, upgrade: bool = False
    ) -> None:
        self._cache, self._once, self._deflating = cache, Once(pool), deflating
        self._builder = Builder(cache, self._once)
        self._resolutions = Resolutions(cache, upgrade=upgrade)
        self._run = token_hex(8)
        self._lock = threading.Lock()
        self._asked: dict[str, Requirements] = {}
        self._fetching: dict[str, threading.Lock] = {}
        self._fetched: set[str] = set()
        self._installed = False

    @property
    def grown(self) -> bool:
        """Whether anything was added to the cache."""
        return self._installed or self._builder.grown

    def dependencies(self, order: Order) -> DependencySet:
        """The dependency set for these requirements.

        Raises `BundleError`, with the places of the requirements as this caller wrote them.
        """
        wanted, local = order.wanted, NOTHING_LOCAL
        if wanted.sources:
            wanted, local = self._builder.wheels(wanted, order.setting)
            order = replace(order, wanted=wanted)
        if not wanted.requirements and not wanted.candidates:
            return NOTHING
        asked = self._asked.setdefault(order.key, wanted)
        try:
            # Whoever comes first to the making: the places in an error are those of `asked`.
            found = self._once.get("set", order.key, lambda: self._make(replace(order, wanted=asked)))
        except BundleError as error:
            raise _relocate(error, asked, wanted) from None
        return replace(found, local=local) if local != NOTHING_LOCAL else found

    def sdist_of(self, wheel: Wheel) -> Source | None:
        """The source distribution that a wheel was built of; None for what nothing was built for."""
        return self._builder.sdist_of(wheel)

    def tree(self, found: DependencySet, order: Order) -> Tree:
        """Where each file of a set is on disk; a set that was damaged is made anew first."""
        if not found.key:  # it is nothing
            return {}
        return self._once.get("whole", found.key, lambda: self._whole(found, order))

    def pack(self, found: DependencySet, order: Order, prefix: str, check: Callable[[], None]) -> Pack:
        """The compressed form of a set, with a prefix before every path; checked against its hash."""
        key = _hash([found.key, prefix, compressor()])
        path = self._cache.path("packs", key)
        pack = self._once.get("pack", key, lambda: open_pack(path))
        if pack is None:
            tree = {f"{prefix}{name}": source for name, source in self.tree(found, order).items()}
            pack = self._once.get("new pack", key, lambda: self._write_pack(tree, path, check))
        with self._cache.guarding():
            self._cache.use(path)
        return pack

    def _whole(self, found: DependencySet, order: Order) -> Tree:
        if not found.is_whole():
            with self._cache.guarding():
                self._cache.drop(found.folder.parent)
            self._install(order, found.wheels, found.key)
        return {path: found.folder / path for path in found.files}

    def _write_pack(self, tree: Mapping[str, Path], path: Path, check: Callable[[], None]) -> Pack:
        self._installed = True
        with self._cache.guarding(), self._cache.making(path) as folder:
            pack = open_pack(path)  # another process may have been quicker
            if pack is None:
                write_pack(tree, folder, check=check, pool=self._deflating)
                self._cache.keep(folder, path)
                pack = open_pack(path)
        if pack is None:
            raise self._cache.vanished(path)
        return pack

    def _make(self, order: Order) -> DependencySet:
        """Resolve, and install unless the cache has the very wheels installed already."""
        key = order.lasting_key
        resolved = self._resolutions.find(key)
        if resolved is not None:
            with suppress(BundleError):  # what the index no longer has may have a successor
                return self._get(order, resolved)
        unfit: tuple[Unfit, ...] = ()
        while True:
            order, resolved = self._resolve(order, unfit)
            found = self._get(order, resolved)
            # uv ignores the upper bounds of Requires-Python, so what it chose is looked at again.
            refusing = _unfit(found.distributions, order.wanted, order.target) if found.key else ()
            if not refusing:
                self._resolutions.keep(key, resolved)
                return found
            if order.wanted.exact or any(one.direct for one in refusing):
                raise no_fit(refusing, order.wanted, order.target)
            unfit = (*unfit, *refusing)

    def _resolve(self, order: Order, unfit: tuple[Unfit, ...]) -> tuple[Order, tuple[Wheel, ...]]:
        """The wheels; where there is none, and that is allowed, of sources that are built here.

        Returns the order with those at hand, too.
        """
        asked: dict[str, str] = {}
        built: dict[Release, Wheel] = {}
        while True:
            resolved = order.try_to_resolve(unfit)
            if not isinstance(resolved, Wheelless):
                # uv does not always say the hash of a file in a folder.
                known = {wheel.url: wheel for wheel in built.values()}
                return order, tuple(known.get(wheel.url, wheel) for wheel in resolved)
            names = [name for name in resolved.asked if name in order.sdists]
            asked |= {name: resolved.asked[name] for name in names}
            wheels = [self._built(order, name, asked) for name in names]
            fresh = [wheel for wheel in wheels if wheel is not None and wheel.release not in built]
            if not fresh:
                raise resolved
            built |= {wheel.release: wheel for wheel in fresh}
            order = replace(order, wanted=_with_built(order.wanted, fresh))

    def _built(self, order: Order, name: str, asked: Asked) -> Wheel | None:
        """A wheel of the source distribution that fits; None where there is none."""
        wanted = order.wanted
        locked = next((one for one in wanted.candidates if one.name == name), None)
        where = where_asked(name, wanted) if locked is None else locked.where

        def find() -> Source | None:
            if locked is not None:
                return locked.sdist
            return order.installer.sdist(name, asked, wanted, order.target, order.work)

        built = self._builder.sdist(Source(name=name, where=where), find, order.setting)
        return None if built is None else built.wheel

    def _get(self, order: Order, resolved: tuple[Wheel, ...]) -> DependencySet:
        """What is needed of a resolution, without what layers carry."""
        needed, warnings = self._needed(order, resolved)
        wheels = tuple(wheel for wheel in needed if wheel.release not in order.without)
        left_out = tuple(wheel for wheel in needed if wheel.release in order.without)
        found = self._have(order, wheels) if wheels else NOTHING
        return replace(found, left_out=left_out, warnings=(*found.warnings, *warnings))

    def _have(self, order: Order, wheels: tuple[Wheel, ...]) -> DependencySet:
        """These wheels installed; from the cache where it has them."""
        key = self._set_key(wheels, order)
        path = self._cache.path("sets", key)
        with self._cache.guarding():
            found = _read_set(path, key, wheels) if self._cache.use(path) else None
        return found or self._install(order, wheels, key)

    def _needed(
        self, order: Order, wheels: tuple[Wheel, ...]
    ) -> tuple[tuple[Wheel, ...], tuple[Problem, ...]]:
        """Those that are needed when what is to be skipped is left out; what they need, only they tell."""
        wanted = order.wanted
        if not wanted.skip:
            return wheels, ()
        names = kept(distributions(self._have(order, wheels).folder), wanted, order.target) if wheels else ()
        present = {one.name for one in wheels} | {one.name for one in wanted.candidates}
        warnings = tuple(skip_unused(name) for name in wanted.skip if name not in present)
        return tuple(wheel for wheel in wheels if wheel.name in names), warnings

    def _install(self, order: Order, wheels: tuple[Wheel, ...], key: str) -> DependencySet:
        self._installed = True
        with (
            self._cache.guarding(),
            tempfile.TemporaryDirectory(dir=self._cache.scratch("sets"), prefix=".") as scratch,
        ):
            folder = Path(scratch, _TREE)
            folder.mkdir()
            with self._single_flight(wheels):
                order.install(wheels, folder)
            return self._keep(order, wheels, key, folder)

    def _set_key(self, wheels: Iterable[Wheel], order: Order) -> str:
        """What makes two installed sets the same: the wheels, what installs them, and what tidies up (us).

        Without its hash nobody knows what an address will give next time: such a set serves this run only.
        """
        files = sorted([wheel.filename, wheel.sha256 or f"{mask(wheel.url)} {self._run}"] for wheel in wheels)
        return _hash([__version__, order.installer.name, files])

    def _keep(self, order: Order, wheels: tuple[Wheel, ...], key: str, folder: Path) -> DependencySet:
        """Tidy an installed set and move it into the cache."""
        claims = contested(distributions(folder))
        _settle(folder, claims, wheels, order)
        tidy(folder)
        files = {
            path: _record(source) for path, source in scan(folder, exclude=(), environments=True).items()
        }
        shared = {
            path: [f"{one.name} {one.version}" for one in owners]
            for path, owners in claims.items()
            if path in files
        }
        path = self._cache.path("sets", key)
        with self._cache.making(path) as made:
            kept = _read_set(path, key, wheels)
            if kept is None or not kept.is_whole():
                folder.replace(made / _TREE)
                document = {**_facts(made / _TREE, files), "shared": shared}
                (made / _SET).write_text(json.dumps(document), encoding="utf-8")
                self._cache.keep(made, path)
                kept = _read_set(path, key, wheels)
        if kept is None:
            raise self._cache.vanished(path)
        return kept

    @contextmanager
    def _single_flight(self, wheels: Iterable[Wheel]) -> Iterator[None]:
        """Hold every wheel that nobody has fetched yet, so that no other thread fetches it meanwhile."""
        urls = sorted({wheel.url for wheel in wheels})
        with ExitStack() as held:
            # In one order everywhere: two threads that wait for each other would wait for ever.
            for url in urls:
                with self._lock:
                    lock = self._fetching.setdefault(url, threading.Lock())
                lock.acquire()
                if url in self._fetched:
                    lock.release()
                else:
                    held.callback(lock.release)
            yield
            self._fetched.update(urls)


def _with_built(wanted: Requirements, wheels: Sequence[Wheel]) -> Requirements:
    """The requirements with wheels that were built at hand: in a lock, and as folders to look into."""
    by_name = {wheel.name: wheel for wheel in wheels}
    folders = tuple(str(Path(url2pathname(urlsplit(wheel.url).path)).parent) for wheel in wheels)
    return replace(
        wanted,
        candidates=tuple(
            replace(one, wheels=(by_name[one.name],)) if one.name in by_name else one
            for one in wanted.candidates
        ),
        requirements=tuple(
            replace(one, hashes=(*one.hashes, f"sha256:{by_name[one.name].sha256}"))
            if one.name in by_name and one.hashes
            else one
            for one in wanted.requirements
        ),
        options=replace(wanted.options, find_links=(*wanted.options.find_links, *folders)),
    )


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _settle(
    folder: Path,
    claims: Mapping[str, tuple[Distribution, ...]],
    wheels: Iterable[Wheel],
    order: Order,
) -> None:
    """Give each path that several distributions bring to the last of them by name.

    Which of them a backend leaves there is chance: what must not happen is that the artifact varies.
    """
    for path, owners in claims.items():
        winner = owners[-1]
        if record_hash(folder / path) != winner.files[path]:
            with tempfile.TemporaryDirectory(dir=folder.parent) as alone:
                order.install([wheel for wheel in wheels if wheel.name == winner.name], Path(alone))
                (folder / path).unlink()
                shutil.copy2(Path(alone, path), folder / path)


def _record(path: Path) -> File:
    found = path.stat()
    return File(
        found.st_size, found.st_mtime_ns, file_mode(path), hashlib.sha256(path.read_bytes()).hexdigest()
    )


def is_same(path: Path, file: File) -> bool:
    """Whether a file has the content and the permissions of one in a set."""
    if path.stat().st_size != file.size or file_mode(path) != file.mode:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def _fields(file: File) -> tuple[int, int, int, str]:
    return file.size, file.mtime, file.mode, file.sha256


def _facts(folder: Path, files: Mapping[str, File]) -> dict[str, Any]:
    """What is known of an installed set: its files, each with the number of its distribution, and these."""
    found = distributions(folder)
    owners = {path: number for number, one in enumerate(found) for path in one.files}
    return {
        "files": {path: [*_fields(file), owners.get(path)] for path, file in files.items()},
        "distributions": [asdict(replace(one, files={})) for one in found],
        "binaries": {
            path: asdict(binary) for path, binary in inspect({path: folder / path for path in files}).items()
        },
    }


def _distribution(row: Mapping[str, Any]) -> Distribution:
    return Distribution(**{**row, "requires": tuple(row["requires"])})


def _read_set(path: Path, key: str, wheels: tuple[Wheel, ...]) -> DependencySet | None:
    try:
        document = json.loads((path / _SET).read_text(encoding="utf-8"))
        files = {name: File(*fields) for name, (*fields, _) in document["files"].items()}
        owners = {name: row[-1] for name, row in document["files"].items() if row[-1] is not None}
        found = tuple(map(_distribution, document["distributions"]))
        binaries = {name: Binary.of(row) for name, row in document["binaries"].items()}
        warnings = tuple(_shared(name, claims) for name, claims in document["shared"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return DependencySet(
        key=key,
        wheels=wheels,
        folder=path / _TREE,
        files=files,
        hashes={name: file.sha256 for name, file in files.items()},
        folders=folders_of(files),
        distributions=found,
        owners=owners,
        binaries=binaries,
        warnings=warnings,
    )


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


def _shared(path: str, claims: list[str]) -> Problem:
    names, winner = ", ".join(claims), claims[-1].rpartition(" ")[0]
    return Problem(
        code=Code.SHARED_PATH,
        message=f"{names} bring this file with different content; the one of {winner} is used",
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
