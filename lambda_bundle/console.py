"""How things look: problems, tables, lines that are redrawn in place. The only module that knows rich.

Data goes to stdout, everything else to stderr. On a terminal it is live, coloured and wrapped; elsewhere it
is plain lines of any length: a log is for searching, and nobody finds a path that was cut in two.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from lambda_bundle.errors import Problem, Where

Cell = tuple[str, str]
"""A text and its style ("" for none), such as "bold red"."""
_WIDE = 1_000_000
_GAP = "  "
_DETAIL_LINES = 60
_PLACES = 8
"""How many places of a warning are told; an error is to be mended in every one."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MARKS = {"✓": "+", "✗": "x", "•": "*"}
"""Signs, and what stands for them where the encoding of the output has none."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read the output has seen enough: the work goes on, and its exit code counts."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def _console(stream: TextIO, *, stderr: bool) -> Console:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # no name of a file is worth a crash
    return _Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if stream.isatty() else _WIDE,
    )


class Printer:
    """Writes to stdout and stderr."""

    def __init__(self) -> None:
        self._out = _console(sys.stdout, stderr=False)
        self._err = _console(sys.stderr, stderr=True)
        self.is_live = sys.stderr.isatty() and self._err.is_terminal and not self._err.is_dumb_terminal
        """Whether lines can be redrawn in place."""

    def note(self, *cells: Cell) -> None:
        """A line for whoever watches; without cells a blank one."""
        self._tell(_line(cells))

    def _tell(self, line: Text) -> None:
        for part in line.wrap(self._err, self._err.width) or [Text()]:
            part.rstrip()
            self._err.print(part, soft_wrap=True)

    def mark(self, sign: str) -> str:
        """A sign, or plain ASCII where the encoding of stdout or stderr has no such sign."""
        try:
            for console in (self._out, self._err):
                sign.encode(console.encoding)
        except UnicodeEncodeError:
            return _MARKS[sign]
        return sign

    def json(self, document: Any) -> None:
        """Data for programs, in ASCII: it arrives whole through every pipe and code page."""
        try:
            self._out.file.write(json.dumps(document, indent=2) + "\n")
            self._out.file.flush()
        except BrokenPipeError:
            self._out.on_broken_pipe()

    def data(self, text: str) -> None:
        """A line of data for people, on stdout; it is never wrapped."""
        self._out.print(_line([(text, "")]), soft_wrap=True)

    def settle(self) -> None:
        """Write nothing more to a stream that takes nothing more, such as a file on a full disk."""
        for console in (self._out, self._err):
            try:
                console.file.flush()
            except OSError:  # noqa: PERF203 - two streams
                console.on_broken_pipe()

    def problems(self, problems: Iterable[Problem]) -> None:
        """Every problem, warnings first, so that the errors are what stands last.

        What is the same in several places (a deprecated runtime of 200 functions) is told once, with the
        places.
        """
        places: dict[Problem, dict[str, None]] = {}
        for problem in sorted(problems, key=lambda one: one.severity == "error"):
            places.setdefault(replace(problem, where=Where()), {})[str(problem.where)] = None
        for problem, where in places.items():
            for line in self._problem(problem, [place for place in where if place]):
                self._tell(line)

    def _problem(self, problem: Problem, places: Sequence[str]) -> Iterator[Text]:
        error = problem.severity == "error"
        style = "bold red" if error else "bold yellow"
        yield _line([(f"{problem.severity}[{problem.code}]", style), (f": {problem.message}", "bold")])
        if len(places) > _PLACES and not error:
            places = [*places[:_PLACES], f"and {len(places) - _PLACES} more"]
        for place in places:
            yield _line([("  --> ", "blue"), (place, "")])
        if problem.detail:
            yield from self._detail(problem.detail.splitlines())
        if problem.hint:
            yield Text()
            yield _line([("hint", "bold cyan"), (f": {problem.hint}", "")])
        yield Text()

    def _detail(self, lines: Sequence[str]) -> Iterator[Text]:
        if len(lines) > _DETAIL_LINES:
            lines = [f"({len(lines) - _DETAIL_LINES} lines before)", *lines[-_DETAIL_LINES:]]
        bar = "   | "
        for line in ("", *lines):
            content = Text.from_ansi(line, style="dim")  # colours of a command are welcome on a terminal
            for part in content.wrap(self._err, max(self._err.width - len(bar), 1)) or [Text()]:
                yield Text.assemble((bar, "blue"), part)

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
        lines = []
        for at in range(len(rows) + 1):
            lines.append(_beside(columns[:beside], at))
            for column in below if at else []:
                title = (f"    {column.title:{indent}}{_GAP}", "dim")
                if column.texts[at]:
                    lines.append(_line([title, (column.texts[at], column.styles[at])]))
        self._out.print(Text("\n").join(lines), soft_wrap=True)  # one call: each costs more than a line

    def _fits(self, columns: Sequence[_Column]) -> bool:
        return sum(column.width + len(_GAP) for column in columns) - len(_GAP) <= self._out.width

    @contextmanager
    def live(self, draw: Callable[[], Sequence[Sequence[Cell]]]) -> Iterator[None]:
        """Redraw lines at the bottom of the terminal until the end; then they are gone."""
        from rich.live import Live  # noqa: PLC0415 - only a run on a terminal needs it

        def drawn() -> Text:
            lines = [_line(cells) for cells in draw()]
            return Text("\n", no_wrap=True, overflow="crop").join(lines)

        with Live(console=self._err, get_renderable=drawn, refresh_per_second=8, transient=True):
            yield


class _Column:
    """A column of a table, its title first."""

    def __init__(self, title: str, cells: Sequence[Cell], right: bool) -> None:
        self.title, self._right = title, right
        self.texts = [_visible(text) for text, _ in cells]
        self.styles = [style for _, style in cells]
        self._widths = [cell_len(text) for text in self.texts]
        self.width = max(self._widths)

    def padded(self, at: int) -> str:
        """The text of a cell, as wide as the column."""
        space = " " * (self.width - self._widths[at])
        return space + self.texts[at] if self._right else self.texts[at] + space


def _beside(columns: Sequence[_Column], at: int) -> Text:
    """One row of a table."""
    parts = [column.padded(at) for column in columns]
    row = Text(_GAP.join(parts).rstrip())
    start = 0
    for column, part in zip(columns, parts, strict=True):
        if column.styles[at]:
            row.stylize(column.styles[at], start, start + len(part))
        start += len(part) + len(_GAP)
    return row


def _line(cells: Iterable[Cell]) -> Text:
    return Text.assemble(*map(_text, cells))


def _text(cell: Cell) -> Text:
    text, style = cell
    return Text(_visible(text), style)


def _visible(text: str) -> str:
    """A text with control characters made visible: names of files can hold them."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


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
        "hint": problem.hint,
        "detail": problem.detail,
    }
