"""How things look: problems, tables, lines that are redrawn in place.

Data goes to stdout, everything else to stderr. On a terminal it is live, coloured and wrapped; elsewhere it
is plain lines of any length: a log is for searching, and nobody finds a path that was cut in two.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO

from lambda_bundle.errors import Problem, Where

if TYPE_CHECKING:
    from lambda_bundle.terminal import Terminal

# rich takes longer to import than 200 functions that are up to date take to be told: a log goes without.

Cell = tuple[str, str]
"""A text and its style ("" for none), such as "bold red"."""
_WIDE = 1_000_000
_GAP = "  "
_BAR = ("   | ", "blue")
_DETAIL_LINES = 60
_PLACES = 8
"""How many places of a warning are told; an error is to be mended in every one."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MARKS = {"✓": "+", "✗": "x", "•": "*"}
"""Signs, and what stands for them where the encoding of the output has none."""
_COLOURS = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables by which somebody asks for colours where there is no terminal
(https://rich.readthedocs.io/en/stable/console.html)."""


class _Log:
    """A stream that is no terminal: plain lines of any length."""

    is_live = False
    width = _WIDE

    def __init__(self, stream: TextIO, *, aside: bool = False) -> None:
        """`aside`: what is written there is no result."""
        self._stream, self._aside = stream, aside

    def wrapped(self, line: Sequence[Cell]) -> None:
        """Write a line."""
        self._write(part.rstrip() for part in _joined(line).split("\n"))

    def captured(self, bar: Cell, text: str) -> None:
        """Write a line of what a command said, with a bar before it."""
        from lambda_bundle.terminal import uncoloured  # noqa: PLC0415 - see above

        self._write([(bar[0] + uncoloured(text).expandtabs()).rstrip()])

    def whole(self, lines: Sequence[Sequence[Cell]]) -> None:
        """Write lines as they are."""
        self._write(map(_joined, lines))

    def live(self, draw: Callable[[], Sequence[Sequence[Cell]]]) -> AbstractContextManager[None]:
        """Nothing can be redrawn here."""
        del draw
        return nullcontext()

    def leave(self) -> None:
        """Write nothing more: whoever read the output has seen enough, or the disk is full."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def _write(self, lines: Iterable[str]) -> None:
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except BrokenPipeError:  # the work goes on, and its exit code counts
            self.leave()
        except OSError:  # a full disk: of progress nothing is lost that matters, of results it is
            if not self._aside:
                raise
            self.leave()


def _joined(line: Sequence[Cell]) -> str:
    return "".join([text for text, _ in line]).expandtabs()


def _opened(stream: TextIO, *, stderr: bool) -> _Log | Terminal:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # no name of a file is worth a crash
    if not stream.isatty() and not any(map(os.environ.get, _COLOURS)):
        return _Log(stream, aside=stderr)
    from lambda_bundle.terminal import Terminal  # noqa: PLC0415 - see above

    return Terminal(stream, stderr=stderr, unlimited=_WIDE)


class Printer:
    """Writes to stdout and stderr."""

    def __init__(self) -> None:
        # Python has none where whoever has called it has closed it (`>&-`): nobody listens there.
        self._streams = tuple(one if one is not None else io.StringIO() for one in (sys.stdout, sys.stderr))
        out, err = self._streams
        self._out, self._err = _opened(out, stderr=False), _opened(err, stderr=True)
        self.is_live = self._err.is_live
        """Whether lines can be redrawn in place."""

    def note(self, *cells: Cell) -> None:
        """A line for whoever watches; without cells a blank one."""
        self._err.wrapped(_line(cells))

    def mark(self, sign: str) -> str:
        """A sign, or plain ASCII where the encoding of stdout or stderr has no such sign."""
        try:
            for stream in self._streams:
                sign.encode(getattr(stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return _MARKS[sign]
        return sign

    def json(self, document: Any) -> None:
        """Data for programs, in ASCII: it arrives whole through every pipe and code page."""
        try:
            self._streams[0].write(json.dumps(document, indent=2) + "\n")
            self._streams[0].flush()
        except BrokenPipeError:
            self._out.leave()
        except OSError:  # it can be told on the other stream
            self._out.leave()
            raise

    def data(self, text: str) -> None:
        """A line of data for people, on stdout; it is never wrapped."""
        self._out.whole([_line([(text, "")])])

    def settle(self) -> None:
        """Write nothing more to a stream that takes nothing more, such as a file on a full disk."""
        for stream, opened in zip(self._streams, (self._out, self._err), strict=True):
            try:
                stream.flush()
            except OSError:  # noqa: PERF203 - two streams
                opened.leave()

    def problems(self, problems: Iterable[Problem]) -> None:
        """Every problem, warnings first, so that the errors are what stands last.

        What is the same in several places (a deprecated runtime of 200 functions) is told once, with the
        places.
        """
        places: dict[Problem, dict[str, None]] = {}
        for problem in sorted(problems, key=lambda one: one.severity == "error"):
            places.setdefault(replace(problem, where=Where()), {})[str(problem.where)] = None
        for problem, where in places.items():
            self._problem(problem, [place for place in where if place])

    def _problem(self, problem: Problem, places: Sequence[str]) -> None:
        error = problem.severity == "error"
        style = "bold red" if error else "bold yellow"
        self.note((f"{problem.severity}[{problem.code}]", style), (f": {problem.message}", "bold"))
        if len(places) > _PLACES and not error:
            places = [*places[:_PLACES], f"and {len(places) - _PLACES} more"]
        for place in places:
            self.note(("  --> ", "blue"), (place, ""))
        if problem.detail:
            self._detail(problem.detail.splitlines())
        if hint := _spoken(problem.hint):
            self.note()
            self.note(("hint", "bold cyan"), (f": {hint}", ""))
        self.note()

    def _detail(self, lines: Sequence[str]) -> None:
        if len(lines) > _DETAIL_LINES:
            lines = [f"({len(lines) - _DETAIL_LINES} lines before)", *lines[-_DETAIL_LINES:]]
        for line in ("", *lines):
            self._err.captured(_BAR, line)

    def table(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        *,
        right: Collection[str] = (),
        spare: Collection[str] = (),
    ) -> None:
        """A table on stdout; `right` names the columns that are aligned to the right.

        On a terminal without room for all of it, the `spare` columns are left out, and those that still do
        not fit come below their row, each on a line of its own.
        """
        header = [(title, "bold") for title in titles]
        by_title = zip(titles, zip(header, *rows, strict=True), strict=True)
        columns = [_Column(title, cells, title in right) for title, cells in by_title]
        if not self._fits(columns):
            columns = [column for column in columns if column.title not in spare]
        beside = max((n for n in range(1, len(columns) + 1) if self._fits(columns[:n])), default=1)
        below = columns[beside:]
        indent = max((len(column.title) for column in below), default=0)
        lines: list[Sequence[Cell]] = []
        for at in range(len(rows) + 1):
            lines.append(_beside(columns[:beside], at))
            for column in below if at else []:
                title = (f"    {column.title:{indent}}{_GAP}", "dim")
                if column.texts[at]:
                    lines.append(_line([title, (column.texts[at], column.styles[at])]))
        self._out.whole(lines)

    def _fits(self, columns: Sequence[_Column]) -> bool:
        return sum(column.width + len(_GAP) for column in columns) - len(_GAP) <= self._out.width

    def live(self, draw: Callable[[], Sequence[Sequence[Cell]]]) -> AbstractContextManager[None]:
        """Redraw lines at the bottom of the terminal until the end; then they are gone."""
        return self._err.live(lambda: [_line(cells) for cells in draw()])


class _Column:
    """A column of a table, its title first."""

    def __init__(self, title: str, cells: Sequence[Cell], right: bool) -> None:
        self.title, self._right = title, right
        self.texts = [_visible(text) for text, _ in cells]
        self.styles = [style for _, style in cells]
        self._widths = [_cells(text) for text in self.texts]
        self.width = max(self._widths)

    def padded(self, at: int) -> str:
        """The text of a cell, as wide as the column."""
        space = " " * (self.width - self._widths[at])
        return space + self.texts[at] if self._right else self.texts[at] + space


def _beside(columns: Sequence[_Column], at: int) -> Sequence[Cell]:
    """One row of a table."""
    row = [(column.padded(at) + _GAP, column.styles[at]) for column in columns]
    while row and not (text := row[-1][0].rstrip()):
        row.pop()
    return [*row[:-1], (text, row[-1][1])] if row else row


def _line(cells: Iterable[Cell]) -> Sequence[Cell]:
    return [(_visible(text), style) for text, style in cells]


def _cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii() or text in _MARKS:
        return len(text)
    from lambda_bundle.terminal import cells  # noqa: PLC0415 - see above

    return cells(text)


def _visible(text: str) -> str:
    """A text with control characters made visible: names of files can hold them."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def problem_document(problem: Problem) -> dict[str, Any]:
    """What `--json` prints for a problem."""
    where = problem.where
    return {
        "severity": problem.severity,
        "code": problem.code.value,
        "message": problem.message,
        "file": where.file,
        "line": where.line,
        "column": where.column,
        "key": where.key,
        "name": where.name,
        "stage": where.stage,
        "hint": _spoken(problem.hint),
        "detail": problem.detail,
    }


def _spoken(hint: str | None) -> str | None:
    """A hint with the program that was called in the commands that it names."""
    if hint is None or PurePath(sys.argv[0]).stem != "lambda-bundle":
        return hint
    return _COMMAND.sub("lambda-bundle ", hint)


_COMMAND = re.compile(r"\binvoke (?=(?:bundle|lock|verify|validate|plan|smoke|clean|cache)\b)")
