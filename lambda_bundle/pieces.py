"""Wheels installed for one run: each once, whichever dependency sets it is a piece of.

Most wheels are for every platform, and part of many sets. They are installed into hidden folders of the
cache, which go when the run ends.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from lambda_bundle.cache import Cache
from lambda_bundle.copies import Run
from lambda_bundle.installed import Distribution, clean, contested, distributions, record_hash
from lambda_bundle.lock import Wheel
from lambda_bundle.orders import Order
from lambda_bundle.processes import Processes
from lambda_bundle.sets import Piece, is_clear, survey

TREE = "tree"
_Key = tuple[str, str, str]


class Pieces:
    """The installed wheels of one run."""

    def __init__(self, cache: Cache, processes: Processes | None = None) -> None:
        self._cache = cache
        self._run: Run = map if processes is None else processes.map
        self._remove: Run = map if processes is None else processes.threads.map  # those have ended by then
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self._fetched: set[str] = set()
        self._known: dict[_Key, Piece] = {}
        self._folders: list[Path] = []

    def get(self, order: Order, wheels: Sequence[Wheel]) -> tuple[Piece, ...]:
        """The wheels, installed to be read: the files may be links into a backend's cache."""
        with self._single_flight(wheels) as at_hand:
            known = {wheel: self._known.get(_key(order, wheel)) for wheel in wheels}
            there = tuple(piece for piece in known.values() if piece is not None)
            missing = [wheel for wheel, piece in known.items() if piece is None]
            pieces = (*there, *(self._install(order, missing, at_hand) if missing else ()))
            if there and not is_clear(pieces):
                # The RECORDs tell of the file that is left, and so belong to this set alone.
                return self._install(order, wheels, frozenset(wheel.url for wheel in wheels))
            return pieces

    def put(self, order: Order, wheels: Sequence[Wheel], folder: Path) -> tuple[Piece, ...]:
        """The wheels, installed into an empty folder, which has their files for itself."""
        with self._single_flight(wheels) as at_hand:
            return self._into(folder, order, wheels, at_hand, linked=False)

    def close(self) -> None:
        """Remove the installed wheels."""
        list(self._remove(partial(shutil.rmtree, ignore_errors=True), self._folders))

    def scratch(self) -> Path:
        """A hidden folder in the cache, with an empty one for the files in it."""
        scratch = Path(tempfile.mkdtemp(dir=self._cache.scratch("trees"), prefix="."))
        (scratch / TREE).mkdir()
        return scratch

    def _install(self, order: Order, wheels: Sequence[Wheel], at_hand: frozenset[str]) -> tuple[Piece, ...]:
        scratch = self.scratch()
        self._folders.append(scratch)
        pieces = self._into(scratch / TREE, order, wheels, at_hand, linked=True)
        by_name = {piece.distribution.name: piece for piece in pieces if piece.distribution}
        if is_clear(pieces) and len(pieces) == len(wheels) == len(by_name):
            found = {_key(order, wheel): by_name.get(wheel.name) for wheel in wheels}
            self._known.update({key: piece for key, piece in found.items() if piece is not None})
        return pieces

    def _into(
        self, folder: Path, order: Order, wheels: Sequence[Wheel], at_hand: frozenset[str], *, linked: bool
    ) -> tuple[Piece, ...]:
        """Install the wheels and tidy up; what is known of them."""
        order.install(wheels, folder, linked=linked, at_hand=at_hand)
        found = distributions(folder)
        _settle(folder, contested(found), wheels, order)
        return survey(folder, clean(folder, found), found, run=self._run)

    @contextmanager
    def _single_flight(self, wheels: Iterable[Wheel]) -> Iterator[frozenset[str]]:
        """Hold every wheel that nobody has fetched yet: other threads wait, and find it installed.

        Gives the URLs of those that were fetched before.
        """
        urls = sorted({wheel.url for wheel in wheels})
        with ExitStack() as held:
            # In one order everywhere: two threads that wait for each other would wait for ever.
            fetched = set()
            for url in urls:
                with self._lock:
                    lock = self._fetching.setdefault(url, threading.Lock())
                lock.acquire()
                if url in self._fetched:
                    fetched.add(url)
                    lock.release()
                else:
                    held.callback(lock.release)
            yield frozenset(fetched)
            self._fetched.update(urls)


def _key(order: Order, wheel: Wheel) -> _Key:
    """What makes two installed wheels the same in one run: what installs them, and the very file."""
    return order.installer.name, wheel.filename, wheel.sha256 or wheel.url


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
