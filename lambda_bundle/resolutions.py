"""What requirements resolved to, kept until somebody asks for newer versions.

Without this, an unpinned requirement would be asked of the index in every run, and could change between two
runs of the same sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lambda_bundle.cache import Cache
from lambda_bundle.lock import Wheel

KIND = "resolutions"


class Resolutions:
    """The wheels of earlier resolutions, by what was asked."""

    def __init__(self, cache: Cache, *, upgrade: bool = False) -> None:
        self._cache, self._upgrade = cache, upgrade

    def find(self, key: str) -> tuple[Wheel, ...] | None:
        """The wheels that were chosen for this earlier; None when nobody knows or they are not wanted.

        A wheel in a local folder must still be there, the same.
        """
        if self._upgrade:
            return None
        path = self._path(key)
        try:
            wheels = tuple(map(wheel_of, self._cache.read(path)))
            known = all(_is_there(wheel) for wheel in wheels)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return wheels if known and self._cache.use(path) else None

    def keep(self, key: str, wheels: Iterable[Wheel]) -> None:
        """Remember what was chosen.

        Not where a hash is unknown: nobody could tell whether the file is still the same. And not where a URL
        holds a credential: none is ever written down.
        """
        from lambda_bundle.process import mask  # noqa: PLC0415 - where all is up to date, nothing runs

        rows = [asdict(wheel) for wheel in wheels]
        if all(row["sha256"] and mask(row["url"]) == row["url"] for row in rows):
            with self._cache.guarding():
                self._cache.write(self._path(key), rows)

    def _path(self, key: str) -> Path:
        return self._cache.path(KIND, f"{key}.json")


def wheel_of(told: Mapping[str, Any]) -> Wheel:
    """A wheel as JSON holds it."""
    return Wheel(**{**told, "hashes": tuple(told["hashes"])})


def _is_there(wheel: Wheel) -> bool:
    if not wheel.url.startswith("file:"):
        return True
    from urllib.parse import urlsplit  # noqa: PLC0415 - where all is up to date, nothing is looked up
    from urllib.request import url2pathname  # noqa: PLC0415 - the same

    file = Path(url2pathname(urlsplit(wheel.url).path))
    return hashlib.sha256(file.read_bytes()).hexdigest() == wheel.sha256
