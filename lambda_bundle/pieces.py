"""Wheels installed for one run: each once, whichever dependency sets it is a piece of.

Most wheels are for every platform, and part of many sets. They are installed into hidden folders of the
cache, which go when the run ends.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from lambda_bundle.cache import Cache
from lambda_bundle.copies import Run, spread
from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.installed import Distribution, clean, contested, distributions, record_hash
from lambda_bundle.lock import Wheel
from lambda_bundle.orders import Order
from lambda_bundle.processes import Processes
from lambda_bundle.sets import Piece, is_clear, survey
from lambda_bundle.spool import Spool

_Key = tuple[str, str, str]


class Pieces:
    """The installed wheels of one run."""

    def __init__(self, cache: Cache, spool: Spool, processes: Processes | None = None) -> None:
        self._cache, self._spool = cache, spool
        self._run: Run = map if processes is None else processes.map
        self._lock = threading.Lock()
        self._known: dict[_Key, Future[Piece | None]] = {}
        """Each wheel that somebody installs, or has installed; None where nobody has it by itself."""
        self._folders: list[Path] = []

    def get(self, order: Order, wheels: Sequence[Wheel]) -> tuple[Piece, ...]:
        """The wheels, installed to be read: the files may be links into a backend's cache."""
        known: dict[Wheel, Future[Piece | None]] = {}
        with self._lock:
            for wheel in wheels:
                theirs = self._known.get(_key(order, wheel))
                if theirs is not None and not (theirs.done() and theirs.result() is None):
                    known[wheel] = theirs
            missing = {wheel: Future[Piece | None]() for wheel in wheels if wheel not in known}
            self._known |= {_key(order, wheel): future for wheel, future in missing.items()}
        # First what nobody else installs, and only then is waited for the others: so nobody waits for ever.
        pieces = self._install(order, missing) if missing else ()
        there = [future.result() for future in known.values()]
        if there:
            pieces = (*pieces, *(piece for piece in there if piece is not None))
            if None in there or not is_clear(pieces):
                # It failed elsewhere; or files are of several, and the RECORDs are right for this set alone.
                at_hand = frozenset(wheel.url for wheel in known)
                return self._put(order, wheels, at_hand)
        return pieces

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where they are; whoever has done with them removes these."""
        return tuple(self._folders)

    def _install(self, order: Order, wheels: Mapping[Wheel, Future[Piece | None]]) -> tuple[Piece, ...]:
        """Install wheels, and hand them to everybody who waits for one."""
        found: Mapping[str, Piece] = {}
        try:
            pieces = self._put(order, tuple(wheels))
            by_name = {piece.distribution.name: piece for piece in pieces if piece.distribution}
            if is_clear(pieces) and len(pieces) == len(wheels) == len(by_name):
                found = by_name
        finally:  # whoever gets none tries it alone
            for wheel, future in wheels.items():
                future.set_result(found.get(wheel.name))
        return pieces

    def _put(
        self, order: Order, wheels: Sequence[Wheel], at_hand: frozenset[str] = frozenset()
    ) -> tuple[Piece, ...]:
        """Install the wheels into a folder of their own and tidy up; what is known of them.

        `at_hand` are the URLs of those that were fetched in this run already. What is not as its RECORD says
        is fetched again: a cache may be damaged, and so may a RECORD. Raises `BundleError`.
        """
        pieces = self._installed(order, wheels, at_hand)
        odd = {piece.distribution.name: piece for piece in pieces if piece.distribution and piece.odd}
        if odd and not self._is_theirs(order, [wheel for wheel in wheels if wheel.name in odd], odd):
            pieces = self._installed(order, wheels, at_hand, anew=True)
        return pieces

    def _is_theirs(self, order: Order, wheels: Sequence[Wheel], odd: Mapping[str, Piece]) -> bool:
        """Whether wheels have what is odd in these pieces when they are fetched again."""
        for wheel in wheels:
            piece = odd[wheel.name]
            with tempfile.TemporaryDirectory(dir=piece.folder.parent) as folder:
                try:
                    order.install([wheel], Path(folder), anew=True)
                except BundleError as error:
                    raise _damaged(wheel, piece, error) from None
                if any(not _same(piece.folder / path, Path(folder, path)) for path in piece.odd):
                    return False
        return True

    def _installed(
        self, order: Order, wheels: Sequence[Wheel], at_hand: frozenset[str], *, anew: bool = False
    ) -> tuple[Piece, ...]:
        trees = self._cache.scratch("trees")
        spread(trees)
        scratch = Path(tempfile.mkdtemp(dir=trees, prefix="."))
        folder = scratch / "tree"
        folder.mkdir()
        self._folders.append(scratch)
        order.install(wheels, folder, at_hand, anew=anew)
        found = distributions(folder)
        _settle(folder, contested(found), wheels, order)
        paths = clean(folder, found)
        return survey(folder, paths, found, spool=self._spool, packed=order.packed, run=self._run)


def _same(one: Path, other: Path) -> bool:
    """Whether two files are the same, or neither is there."""
    if not one.is_file() or not other.is_file():
        return one.is_file() == other.is_file()
    return one.read_bytes() == other.read_bytes()


def _damaged(wheel: Wheel, piece: Piece, error: BundleError) -> BundleError:
    """The error for what was not installed as it should be, and cannot be fetched again."""
    names = f"{piece.odd[0]} and {len(piece.odd) - 1} more" if len(piece.odd) > 1 else piece.odd[0]
    problem = Problem(
        code=Code.CACHE_UNUSABLE,
        message=f"{wheel.name} {wheel.version} was not installed as its RECORD says ({names}), and cannot be "
        "fetched again",
        hint=f"`uv cache clean {wheel.name}` removes what may be damaged",
    )
    return BundleError(problem, *error.problems)


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
