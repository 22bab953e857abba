"""Dependency sets: resolved, installed and compressed once, for all functions and all later runs.

What requirements resolve to is kept between runs by what was asked; what a set of wheels looks like when
installed, and its compressed form, by the names and hashes of the wheels. What lies in the store is
only ever read, and whoever reads it looks first whether it is still what was written.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lambda_bundle import __version__, sets
from lambda_bundle.cache import Cache
from lambda_bundle.copies import Run
from lambda_bundle.deflation import compressor
from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.installed import Distribution
from lambda_bundle.installers import Asked, Wheelless, no_fit, where_asked, withdrawn
from lambda_bundle.lock import Release, Source, Unfit, Wheel
from lambda_bundle.members import Item, Pack, open_pack
from lambda_bundle.needs import kept, skip_unused, unknown_extras
from lambda_bundle.once import Once
from lambda_bundle.orders import Order, digest
from lambda_bundle.packing import Packer
from lambda_bundle.pieces import Pieces
from lambda_bundle.process import mask
from lambda_bundle.processes import Processes
from lambda_bundle.resolutions import Resolutions
from lambda_bundle.sets import NOTHING, DependencySet, Piece, located, stamps
from lambda_bundle.spool import Spool
from lambda_bundle.stage import Tree, copy_out
from lambda_bundle.targets import Target
from lambda_bundle.wanted import NOTHING_LOCAL, Requirements, file_path

if TYPE_CHECKING:
    from lambda_bundle.builder import Builder

_TREE, _STAMPS = "tree", "stamps.json"
_Have = Callable[[Order, tuple[Wheel, ...]], DependencySet]
"""Gives some wheels, installed as somebody has ordered them."""


class _Lacking(Exception):  # noqa: N818 - it is no error: they are installed then
    """The cache does not have these wheels installed."""


class Store:
    """The dependency sets of one run, kept in a cache; each is made by whoever asks for it first."""

    def __init__(
        self, cache: Cache, pool: Executor, *, processes: Processes | None = None, upgrade: bool = False
    ) -> None:
        """Several projects of local code are built at once, in the pool."""
        self._cache, self._once, self._pool = cache, Once(), pool
        self._building: Builder | None = None
        self._resolutions = Resolutions(cache, upgrade=upgrade)
        self._run = token_hex(8)
        self._lock = threading.Lock()
        self._asked: dict[str, Requirements] = {}
        self._installed = False
        self._at_once: Run = map if processes is None else processes.map
        self._remove: Run = map if processes is None else processes.threads.map  # the processes are gone then
        self._spool = Spool(lambda: cache.scratch("packs"))
        self._packer = Packer(self._spool, self._at_once)
        self._pieces = Pieces(cache, self._spool, processes)
        self._passing: dict[str, tuple[Piece, ...]] = {}
        """The sets that were installed to be read, and only for this run."""
        self._sound: set[str] = set()
        """The keys of the sets whose kept files were looked at in this run, or made."""
        self._making: dict[str, threading.Lock] = {}

    @property
    def grown(self) -> bool:
        """Whether anything was added to the cache."""
        return self._installed or (self._building is not None and self._building.grown)

    @property
    def _builder(self) -> Builder:
        """Makes wheels of local code."""
        from lambda_bundle.builder import Builder  # noqa: PLC0415 - most functions have nothing to build

        with self._lock:
            if self._building is None:
                self._building = Builder(self._cache, Once(self._pool))
            return self._building

    def dependencies(self, order: Order) -> DependencySet:
        """The dependency set for these requirements.

        Raises `BundleError`, with the places of the requirements as this caller wrote them.
        """
        wanted, local = order.wanted, NOTHING_LOCAL
        if wanted.sources:
            with order.waiting():
                wanted, local = self._builder.wheels(wanted, order.setting)
            order = replace(order, wanted=wanted)
        if not wanted.requirements and not wanted.candidates:
            return NOTHING
        key = order.key
        asked = self._asked.setdefault(key, wanted)
        try:
            # Whoever comes first to the making: the places in an error are those of `asked`.
            found = self._once.get(
                "set", key, lambda: self._make(replace(order, wanted=asked)), waiting=order.waiting
            )
        except BundleError as error:
            raise _relocate(error, asked, wanted) from None
        told = (*unknown_extras(found.distributions, wanted), *withdrawn(found.wheels, wanted))
        if local == NOTHING_LOCAL and not told:
            return found
        return replace(found, local=local, warnings=(*found.warnings, *told))

    def sdist_of(self, wheel: Wheel) -> Source | None:
        """The source distribution that a wheel was built of; None for what nothing was built for."""
        return self._builder.sdist_of(wheel)

    def tree(self, found: DependencySet, order: Order) -> Tree:
        """Where each file of a set is on disk; a set that was damaged is made anew first.

        It stays for later runs: whoever wants it once, wants it again.
        """
        if not found.key:  # it is nothing
            return {}
        folder = self.folder(found, order)
        return {path: folder / path for path in found.files}

    def folder(self, found: DependencySet, order: Order) -> Path:
        """The folder in which these files are."""
        return self._once.get("tree", found.key, lambda: self._lasting(found, order), waiting=order.waiting)

    def read(self, found: DependencySet, order: Order, path: str, prefix: str) -> bytes:
        """One file of a set; `prefix` is that of the pack which the caller will want, if any.

        Nothing is given up meanwhile, for others may wait for what the caller makes of it, and give up
        nothing; so nobody is waited for who has given up something.
        """
        order = replace(order, waiting=nullcontext)
        pieces = self._passing.get(found.key)
        if pieces is not None:
            folder = next(piece.folder for piece in pieces if path in piece.files)
            return (folder / path).read_bytes()
        pack = self._kept_pack(found, order, prefix)
        content = None if pack is None else pack.read(f"{prefix}{path}")
        return (self._lasting(found, order) / path).read_bytes() if content is None else content

    def pack(self, found: DependencySet, order: Order, prefix: str, check: Callable[[], None]) -> Pack:
        """The compressed form of a set, with a prefix before every path; checked against its hash."""
        path = self._pack_path(found, prefix)
        pack = self._kept_pack(found, order, prefix) or self._once.get(
            "new pack",
            path.name,
            lambda: self._write_pack(found, order, prefix, path, check),
            waiting=order.waiting,
        )
        with self._cache.guarding():
            self._cache.use(path)
        return pack

    def close(self) -> None:
        """Remove what was there for this run only."""
        # Not sooner: whoever writes a pack with another prefix reads there, too.
        folders = [*self._spool.folders, *self._pieces.folders]
        list(self._remove(partial(shutil.rmtree, ignore_errors=True), folders))

    def _pack_path(self, found: DependencySet, prefix: str) -> Path:
        return self._cache.path("packs", digest([found.key, prefix, compressor()]))

    def _kept_pack(self, found: DependencySet, order: Order, prefix: str) -> Pack | None:
        path = self._pack_path(found, prefix)
        return self._once.get("pack", path.name, lambda: open_pack(path), waiting=order.waiting)

    def _write_pack(
        self, found: DependencySet, order: Order, prefix: str, path: Path, check: Callable[[], None]
    ) -> Pack:
        self._installed = True
        with order.waiting(), self._cache.guarding(), self._cache.making(path) as folder:
            pack = open_pack(path)  # another process may have been quicker
            if pack is None:
                sources = self._sources(found, order)
                wanted = [
                    Item(f"{prefix}{name}", sources[name], file.mode, file.size, file.sha256)
                    for name, file in found.files.items()
                ]
                wanted.sort(key=lambda one: one.name)
                pack = self._packer.write(wanted, folder, path, check=check)
                self._cache.keep(folder, path)
        return pack

    def _sources(self, found: DependencySet, order: Order) -> Mapping[str, str]:
        """Where the files of a set are, to be read."""
        with self._alone(found.key):
            pieces, folder = self._passing.get(found.key), self._kept_tree(found)
            if pieces is None and folder is not None:
                return {path: f"{folder}/{path}" for path in found.files}
            if pieces is None:
                self._install(order, found.wheels, found.key)
            return located(self._passing[found.key])

    def _lasting(self, found: DependencySet, order: Order) -> Path:
        """The folder with a set's own files, which nothing else has a link to."""
        folder = self._kept_tree(found)
        if folder is None:
            with order.waiting(), self._alone(found.key):
                folder = self._kept_tree(found)
                if folder is None:
                    self._install_to_last(order, found.wheels, found.key)
                    folder = self._kept_tree(found)
        if folder is None:
            raise self._cache.vanished(self._cache.path("trees", found.key))
        return folder

    def _kept_tree(self, found: DependencySet) -> Path | None:
        """The folder of a set in the cache; None when it is not there, or not as it was."""
        path = self._cache.path("trees", found.key)
        with self._cache.guarding():
            whole = self._cache.use(path) and _is_whole(path, found) and self._is_sound(path / _TREE, found)
        return path / _TREE if whole else None

    def _is_sound(self, folder: Path, found: DependencySet) -> bool:
        """Whether the files of a set have the content that they should have; looked at once in a run."""
        if found.key not in self._sound:
            paths: dict[str, str | None] = {f"{folder}/{path}": None for path in found.files}
            looks = self._spool.take_in(paths, self._at_once, packed=False)
            hashes = [look.file.sha256 for look in looks]
            if hashes != [found.hashes[path] for path in found.files]:
                return False
            self._sound.add(found.key)
        return True

    def _make(self, order: Order) -> DependencySet:
        """Resolve, and install unless the cache has the very wheels installed already."""
        key = order.lasting_key
        resolved = self._resolutions.find(key)
        if resolved is not None:
            with suppress(_Lacking):
                return replace(_get(order, resolved, self._kept), resolution=key)
        with order.waiting():
            if resolved is not None:
                with suppress(BundleError):  # what the index no longer has may have a successor
                    return replace(_get(order, resolved, self._have), resolution=key)
            resolved, found = self._resolved(order)
        self._resolutions.keep(key, resolved)
        return replace(found, resolution=key)

    def _resolved(self, order: Order) -> tuple[tuple[Wheel, ...], DependencySet]:
        """What the requirements resolve to now, and its set."""
        unfit: tuple[Unfit, ...] = ()
        while True:
            order, resolved = self._resolve(order, unfit)
            found = _get(order, resolved, self._have)
            # uv ignores the upper bounds of Requires-Python, so what it chose is looked at again.
            refusing = _unfit(found.distributions, order.wanted, order.target) if found.key else ()
            if not refusing:
                return resolved, found
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

        with order.turn:
            built = self._builder.sdist(Source(name=name, where=where), find, order.setting)
        return None if built is None else built.wheel

    def _have(self, order: Order, wheels: tuple[Wheel, ...]) -> DependencySet:
        """These wheels installed; from the cache where it has them."""
        key = self._set_key(wheels, order)
        with self._alone(key):
            install = self._install_to_last if order.lasting else self._install
            return self._kept_set(key, wheels) or install(order, wheels, key)

    def _kept(self, order: Order, wheels: tuple[Wheel, ...]) -> DependencySet:
        """The same, if the cache has them. Raises `_Lacking`."""
        found = self._kept_set(self._set_key(wheels, order), wheels)
        if found is None:
            raise _Lacking
        return found

    def _kept_set(self, key: str, wheels: tuple[Wheel, ...]) -> DependencySet | None:
        path = self._cache.path("sets", f"{key}.json")
        with self._cache.guarding():
            try:
                return sets.of(self._cache.read(path), key, wheels) if self._cache.use(path) else None
            except (ValueError, KeyError, TypeError, AttributeError):
                return None

    def _install(self, order: Order, wheels: tuple[Wheel, ...], key: str) -> DependencySet:
        """Install a set for this run, and keep what is known of it."""
        self._installed = True
        with self._cache.guarding():
            pieces = self._passing[key] = self._pieces.get(order, wheels)
            known = sets.facts(pieces)
            self._cache.write(self._cache.path("sets", f"{key}.json"), known)
            return sets.of(known, key, wheels)

    def _install_to_last(self, order: Order, wheels: tuple[Wheel, ...], key: str) -> DependencySet:
        """Install a set, and keep real copies of its files as well."""
        found = self._install(order, wheels, key)
        with self._cache.guarding():
            path = self._cache.path("trees", key)
            with self._cache.making(path) as made:
                if self._kept_tree(found) is None:
                    sources = located(self._passing[key])
                    copy_out(sources, made / _TREE, hashes=found.hashes, run=self._at_once)
                    text = json.dumps(stamps(made / _TREE, found.files))
                    (made / _STAMPS).write_text(text, encoding="utf-8")
                    self._cache.keep(made, path)
                    self._sound.add(key)
        return found

    def _set_key(self, wheels: Iterable[Wheel], order: Order) -> str:
        """What makes two installed sets the same: the wheels, what installs them, and what tidies up (us).

        Without its hash nobody knows what an address will give next time: such a set serves this run only.
        """
        files = sorted([wheel.filename, wheel.sha256 or f"{mask(wheel.url)} {self._run}"] for wheel in wheels)
        return digest([__version__, order.installer.name, files])

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Nobody else in this run installs this set meanwhile: who comes later, finds it."""
        with self._lock:
            lock = self._making.setdefault(key, threading.Lock())
        with lock:
            yield


def _with_built(wanted: Requirements, wheels: Sequence[Wheel]) -> Requirements:
    """The requirements with wheels that were built at hand: in a lock, and as folders to look into."""
    by_name = {wheel.name: wheel for wheel in wheels}
    folders = tuple(str(Path(file_path(f"file:{urlsplit(wheel.url).path}")).parent) for wheel in wheels)
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


def _is_whole(path: Path, found: DependencySet) -> bool:
    """Whether every file is still there as it was (by size, time and permissions)."""
    try:
        noted = json.loads((path / _STAMPS).read_text(encoding="utf-8"))
        now = stamps(path / _TREE, found.files)
    except (OSError, ValueError):
        return False
    return bool({name: list(stamp) for name, stamp in now.items()} == noted)


def _get(order: Order, resolved: tuple[Wheel, ...], have: _Have) -> DependencySet:
    """What is needed of a resolution, without what layers carry."""
    needed, warnings = _needed(order, resolved, have)
    wheels = tuple(wheel for wheel in needed if wheel.release not in order.without)
    left_out = tuple(wheel for wheel in needed if wheel.release in order.without)
    found = have(order, wheels) if wheels else NOTHING
    return replace(found, left_out=left_out, warnings=(*found.warnings, *warnings))


def _needed(
    order: Order, wheels: tuple[Wheel, ...], have: _Have
) -> tuple[tuple[Wheel, ...], tuple[Problem, ...]]:
    """Those that are needed when what is to be skipped is left out; what they need, only they tell."""
    wanted = order.wanted
    if not wanted.skip:
        return wheels, ()
    facts = replace(order, lasting=False, packed=False)
    names = kept(have(facts, wheels).distributions, wanted, order.target) if wheels else ()
    present = {one.name for one in wheels} | {one.name for one in wanted.candidates}
    warnings = tuple(skip_unused(name) for name in wanted.skip if name not in present)
    return tuple(wheel for wheel in wheels if wheel.name in names), warnings


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


def _relocate(error: BundleError, asked: Requirements, mine: Requirements) -> BundleError:
    """The error with the places of my requirements in place of those of whoever asked first for the same."""
    theirs, ours = (
        [one.where for one in (*wanted.requirements, *wanted.constraints)] for wanted in (asked, mine)
    )
    places = dict(zip(theirs, ours, strict=True))
    return BundleError(
        *(replace(problem, where=places.get(problem.where, problem.where)) for problem in error.problems)
    )
