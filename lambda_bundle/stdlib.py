"""The standard library of each Python that can be a target: its modules, and names that came and went.

The table is `stdlib.json`, which `tests/stdlib_table.py` makes from real interpreters. It holds what Linux
has: `winreg` is in no row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """The minor versions of Python 3 that have something; the first one that the table knows is 7."""

    first: int
    last: int | None
    """None: the newest has it too."""

    def holds(self, version: Version) -> bool:
        """Whether a version has it."""
        return self.first <= version[1] <= (version[1] if self.last is None else self.last)

    def told(self, version: Version) -> str:
        """Why a version does not have it."""
        if version[1] < self.first:
            return f"it came with Python 3.{self.first}"
        return f"Python 3.{(self.last or 0) + 1} removed it"


_ALIASES = {"os.path": "posixpath"}
"""Modules that are other modules."""


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("stdlib.json").read_text(encoding="utf-8"))
    return found


def module(name: str) -> Span | None:
    """The versions that have a module, by its dotted name; None when none has."""
    span = _table()["modules"].get(name)
    return None if span is None else Span(*span)


def member(module: str, name: str) -> Span | None:
    """The versions whose module has a name, where some have it and others do not."""
    span = _table()["names"].get(_ALIASES.get(module, module), {}).get(name)
    return None if span is None else Span(*span)


def has(name: str, version: Version) -> bool:
    """Whether a version has a module, by its dotted name."""
    span = module(name)
    return span is not None and span.holds(version)


@cache
def builtin(version: Version) -> frozenset[str]:
    """`sys.builtin_module_names` of a version: the modules that are part of the interpreter itself."""
    return frozenset(_table()["builtin"][str(version[1])])
