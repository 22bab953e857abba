"""Where each key of a TOML document is written, so that a problem can name its line.

tomli gives plain data without positions, and tomlkit has none in its public API. The scanner here reads
only what tomli has accepted: sure of the syntax, it needs to know no more than where keys and elements
begin, and takes commas and equals signs for blanks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

KeyPath = tuple[str | int, ...]
"""The way to a value in the parsed data: keys of tables, and indexes of arrays."""
Position = tuple[int, int]
"""A line and a column in it (in characters, not bytes), both counted from 1."""


def _token(pattern: str) -> re.Pattern[str]:
    """The pattern as group 1, and after it all that separates it from the next token."""
    return re.compile(rf"({pattern})(?:[\s,=]+|#[^\n]*)*", re.DOTALL)


_QUOTED = r'"(?:\\.|[^"\\])*"|' + "'[^']*'"
_LONG = r'"""(?:\\.|[^\\])*?"{3,5}|' + "'''.*?'{3,5}"  # of five quotes at the end, two are content
_NOTHING = _token("")
_KEY = _token(rf"[\w-]+|{_QUOTED}")
_DOT = _token(r"\.")
_HEADER, _HEADER_END = _token(r"\[\[?"), _token(r"\]\]?")
_ARRAY, _ARRAY_END = _token(r"\["), _token(r"\]")
_TABLE, _TABLE_END = _token(r"\{"), _token(r"\}")
_SCALAR = _token(rf"{_LONG}|{_QUOTED}|[^\n,#\]}}]+")  # a date may have a space in it


def locate(text: str) -> dict[KeyPath, Position]:
    """Where each key and each array element of the document is written.

    A table is where a header or a dotted key first mentions it, an element of an array of tables where its
    `[[header]]` begins. Raises `tomli.TOMLDecodeError` for a text that is not TOML.
    """
    import tomli  # noqa: PLC0415 - a file that is known to be valid is not parsed

    tomli.loads(text)  # the scanner checks nothing, and might never end
    scanner = _Scanner(text)
    scanner.document()
    lines = [0, *(newline.end() for newline in re.finditer("\n", text))]

    def position(offset: int) -> Position:
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    return {path: position(offset) for path, offset in scanner.found.items()}


def nearest(positions: Mapping[KeyPath, Position], path: KeyPath) -> Position | None:
    """The position of the path, or of the longest beginning of it that has one: a missing key's table."""
    beginnings = (path[:length] for length in range(len(path), 0, -1))
    return next((positions[beginning] for beginning in beginnings if beginning in positions), None)


@dataclass(slots=True)
class _Scanner:
    """Walks through the text once; stands at the beginning of a token, or at the end."""

    text: str
    at: int = 0
    found: dict[KeyPath, int] = field(default_factory=dict)
    """The offset of each path."""
    sizes: Counter[KeyPath] = field(default_factory=Counter)
    """How many elements each array of tables has so far."""

    def document(self) -> None:
        table: KeyPath = ()
        self.take(_NOTHING)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.value(self.key(table))

    def header(self) -> KeyPath:
        """Read a header; return the path of the table, or array of tables, to which the keys below it go."""
        start, brackets = self.at, self.take(_HEADER)
        path = self.key(())
        self.take(_HEADER_END)
        if brackets == "[[":
            self.sizes[path] += 1
            self.found[self.inside(path)] = start
        return path

    def key(self, table: KeyPath) -> KeyPath:
        """Read a key, dotted or not, in the table; return its path."""
        path = self.part(table)
        while self.take(_DOT):
            path = self.part(path)
        return path

    def part(self, table: KeyPath) -> KeyPath:
        """Read one part of a dotted key; return its path."""
        start = self.at
        import tomli  # noqa: PLC0415 - see above

        (name,) = tomli.loads(f"{self.take(_KEY)} = 0")
        path = (*self.inside(table), name)
        self.found.setdefault(path, start)
        return path

    def value(self, path: KeyPath) -> None:
        """Read the value of the path, with all that it contains."""
        if self.take(_ARRAY):
            elements = ((*path, index) for index in count())
            while not self.take(_ARRAY_END):
                element = next(elements)
                self.found[element] = self.at
                self.value(element)
        elif self.take(_TABLE):
            while not self.take(_TABLE_END):
                self.value(self.key(path))
        else:
            self.take(_SCALAR)

    def inside(self, path: KeyPath) -> KeyPath:
        """The table to which keys below the path belong: of an array of tables, the last."""
        return (*path, self.sizes[path] - 1) if path in self.sizes else path

    def take(self, token: re.Pattern[str]) -> str:
        """Step behind the token and return it, or stay and return nothing if another one is here."""
        match = token.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[1]
