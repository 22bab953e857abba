"""What is kept between runs: installed dependency sets, their compressed form, and wheels built here.

Everything in here can be made again. An entry appears in one step, is checked by its reader before use, and
goes when the cache grows over its limit, the longest unused first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_bundle.errors import BundleError, Code, Problem, Where

FORMAT = "3"
"""Part of the path: an incompatible version of this tool starts anew and harms nothing."""
FOLDER_VARIABLE = "LAMBDA_BUNDLE_CACHE"
LIMIT_VARIABLE = "LAMBDA_BUNDLE_CACHE_LIMIT"
DEFAULT_LIMIT = 5_000_000_000
"""Bytes."""
KINDS = ("sets", "trees", "packs", "wheels", "resolutions", "builds", "configs", "verdicts")
_IN_USE = 3600.0
"""Seconds for which an entry that was used stays, whatever the limit says: another run may be reading it."""
_ABANDONED = 86400.0
"""Seconds after which nobody works any more on what is half made."""
_SIZE = "size"
"""The file in a folder of the cache that says how many bytes the others have."""
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One entry of the cache."""

    path: Path
    size: int
    """Bytes; a file with several links counts in full: the limit is a promise about the worst case."""
    used: float
    """When it was last used, in seconds since the epoch."""


class Cache:
    """A folder of entries, shared by all runs of one user."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.root = folder
        self.folder = folder / FORMAT
        self.limit = limit

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Cache:
        """The cache that the environment names. Raises `BundleError` for a limit that is no size."""
        chosen = environ.get(FOLDER_VARIABLE)
        folder = Path(chosen).absolute() if chosen else _default_folder()
        text = environ.get(LIMIT_VARIABLE)
        return cls(folder, DEFAULT_LIMIT if text is None else parse_size(text, LIMIT_VARIABLE))

    def holds(self, file: str | bytes) -> bool:
        """Whether a file is in the cache, or where it should be."""
        return Path(os.fsdecode(file)).is_relative_to(self.root)

    def refused(self, error: OSError) -> BundleError:
        """The error for what the system refuses in the cache."""
        return BundleError(
            Problem(
                code=Code.CACHE_UNUSABLE,
                message=f"the cache cannot be used: {error.strerror or error}",
                where=Where(file=str(error.filename or self.root)),
                hint=f"see that it is a folder, writable and with room, or name another in {FOLDER_VARIABLE}",
            )
        )

    def vanished(self, path: Path) -> BundleError:
        """The error for an entry that cannot be read although it was just made."""
        return BundleError(
            Problem(
                code=Code.CACHE_UNUSABLE,
                message="what was just written to the cache is not there, or not the same",
                where=Where(file=str(path)),
                hint="look at the disk; `invoke cache --clear` empties the cache",
            )
        )

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Raises `BundleError` for what the system refuses in the cache; what it refuses elsewhere passes."""
        try:
            yield
        except OSError as error:
            if error.filename is None or self.holds(error.filename):
                raise self.refused(error) from None
            raise

    def path(self, kind: str, key: str) -> Path:
        """Where an entry is, or would be."""
        return self.folder / kind / key

    def scratch(self, kind: str) -> Path:
        """The folder of a kind of entry, for temporary ones to lie beside them."""
        folder = self.folder / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def use(self, path: Path) -> bool:
        """Whether an entry is there; if so it counts as used now."""
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def making(self, path: Path) -> Iterator[Path]:
        """A temporary path beside an entry, to be filled and then moved there by `keep`; alone in the world.

        Other processes that want the same entry wait, and find it made.
        """
        from filelock import FileLock  # noqa: PLC0415 - a run in which nothing is made goes without

        path.parent.mkdir(parents=True, exist_ok=True)
        locks = self.folder / "running"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{path.parent.name}-{path.name}.lock"):
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def write(self, path: Path, document: Any) -> None:
        """Write an entry that is JSON, with a seal: in one step, and whoever is last has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document)  # json.dump takes ten times as long
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".", encoding="utf-8", delete=False
        ) as file:
            file.write(sealed(path.name, text))
        if path.is_dir():  # what stands there is none of ours, or damaged
            shutil.rmtree(path)
        Path(file.name).replace(path)

    @staticmethod
    def read(path: str | Path) -> Any:
        """What `sealed` JSON says. Raises `OSError`, and `ValueError` where it is not what was written."""
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a Path for each of 1,000 entries is slow
            seal, _, text = file.read().partition("\n")
        if seal != _seal(os.path.basename(path), text):  # noqa: PTH119 - the same
            raise ValueError("it was changed")
        return json.loads(text)

    def keep(self, made: Path, path: Path) -> None:
        """Move what was made to its place; what stood there goes."""
        # Once, now: to look at every file of every entry is what took the longest at the end of a run.
        (made / _SIZE).write_text(f"{_measured(made)}\n", encoding="utf-8")
        if path.is_dir():
            self.drop(path)
        made.replace(path)

    def drop(self, path: Path) -> None:
        """Remove an entry: out of sight in one step, then for good."""
        if path.is_dir():
            grave = Path(tempfile.mkdtemp(prefix=".gone-", dir=path.parent))
            with suppress(FileNotFoundError):
                path.replace(grave / path.name)
            shutil.rmtree(grave, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def entries(self) -> list[Usage]:
        """Every entry, the longest unused first."""
        found = []
        for kind in KINDS:
            folder = self.folder / kind
            for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else ():
                with suppress(FileNotFoundError):
                    found.append(Usage(path=path, size=_size(path), used=path.stat().st_mtime))
        return sorted(found, key=lambda one: (one.used, one.path))

    def prune(self, limit: int | None = None, *, everything: bool = False) -> list[Usage]:
        """Remove entries until the rest fits the limit in bytes; what was removed.

        What was used within the last hour stays, for another run may be reading it, unless `everything` goes.
        """
        self._sweep(0 if everything else _ABANDONED)
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        bound = 0 if everything else self.limit if limit is None else limit
        recent = float("inf") if everything else time.time() - _IN_USE
        removed = []
        for entry in entries:
            if total <= bound or entry.used > recent:
                break
            self.drop(entry.path)
            total -= entry.size
            removed.append(entry)
        return removed

    def _sweep(self, age: float) -> None:
        """Remove what runs left that were killed in the middle of their work, so many seconds ago."""
        for kind in KINDS:
            for path in (self.folder / kind).glob(".*"):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - age:
                        self.drop(path)


def sealed(name: str, text: str) -> str:
    """The text of a file called `name`, with what tells later that it is this text."""
    return f"{_seal(name, text)}\n{text}"


def _seal(name: str, text: str) -> str:
    """What tells that an entry is what was written under its name."""
    return hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()


def parse_size(text: str, name: str) -> int:
    """Bytes of a size such as 500MB or 2.5 GB (1 kB = 1000 B). Raises `BundleError` that names the option."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?b?)\s*", text.lower())
    if match is None:
        message = f'"{text}" is not a size'
        raise BundleError(
            Problem(
                code=Code.INVALID_OPTION,
                message=message,
                where=Where(key=name),
                hint="write it as 500MB or 2.5GB",
            )
        )
    unit = match[2] if match[2].endswith("b") else f"{match[2]}b"
    return int(float(match[1]) * _UNITS["" if unit == "b" else unit])


def _default_folder() -> Path:
    from platformdirs import user_cache_path  # noqa: PLC0415 - only where the environment names none

    return user_cache_path("lambda-bundle", appauthor=False)


def _size(path: Path) -> int:
    """Bytes of an entry; of a folder, what was noted when it was made."""
    if not path.is_dir():
        return path.stat().st_size
    try:
        return int((path / _SIZE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _measured(path)


def _measured(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - a Path for each file costs more than the look
    return total
