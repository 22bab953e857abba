"""The problems of one TOML file, each with its place, told in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.positions import KeyPath, Position, nearest

Table = Mapping[str, Any]
"""A table of parsed TOML."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Findings:
    """Collects problems while one look after another is taken at the file."""

    def __init__(self, file: str, positions: Mapping[KeyPath, Position]) -> None:
        self._file, self._positions = file, positions
        self._problems: list[tuple[Position, Problem]] = []
        self.faulty: set[KeyPath] = set()
        """The keys that have a problem: what follows from their values is not worth telling."""
        self.meant: set[KeyPath] = set()
        """Known keys that unknown ones were taken for; they are not missing."""

    def __bool__(self) -> bool:
        return bool(self._problems)

    def position(self, key: KeyPath) -> Position:
        """Where a key is written, or what comes nearest to it."""
        return nearest(self._positions, key) or (1, 1)

    def where(self, key: KeyPath) -> Where:
        """The place of a key, for a problem."""
        return Where(file=self._file, line=self.position(key)[0], key=dotted(key) or None)

    def add(self, key: KeyPath, code: Code, message: str, hint: str | None = None) -> None:
        """Note an error."""
        self.faulty.add(key)
        problem = Problem(code=code, message=message, where=self.where(key), hint=hint)
        self._problems.append((self.position(key), problem))

    def check(self) -> None:
        """Raise `BundleError` with every problem, each once, if there is any."""
        if self._problems:
            ordered = sorted(self._problems, key=lambda found: found[0])
            raise BundleError(*dict.fromkeys(problem for _, problem in ordered))


def dotted(key: KeyPath) -> str:
    """A key as TOML writes it: `functions.api.tags[0]`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """A string as TOML writes it, on one line."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in escaped) + '"'
