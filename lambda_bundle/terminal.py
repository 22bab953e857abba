"""Colours, wrapped lines and lines that are redrawn in place: the only module that knows rich.

It is loaded for a terminal, or where somebody asks for colours, or for a log with something other than ASCII.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Cell = tuple[str, str]
"""A text and its style ("" for none), such as "bold red"."""
Line = Sequence[Cell]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read the output has seen enough: the work goes on, and its exit code counts."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Terminal:
    """A stream that shows colours; without the width of a terminal, its lines are of any length."""

    def __init__(self, stream: TextIO, *, stderr: bool, unlimited: int) -> None:
        self._console = _Console(
            stderr=stderr,
            highlight=False,
            markup=False,
            emoji=False,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
            width=None if stream.isatty() else unlimited,
        )
        self.is_live = stream.isatty() and self._console.is_terminal and not self._console.is_dumb_terminal
        """Whether lines can be redrawn in place."""

    @property
    def width(self) -> int:
        """How many columns it has."""
        return self._console.width

    def wrapped(self, line: Line) -> None:
        """Write a line, as several where it is too long."""
        text = _text(line)
        for part in text.wrap(self._console, self._console.width) or [Text()]:
            part.rstrip()
            self._console.print(part, soft_wrap=True)

    def captured(self, bar: Cell, text: str) -> None:
        """Write a line of what a command said, with a bar before it; the colours of the command are kept."""
        content = Text.from_ansi(text, style="dim")
        for part in content.wrap(self._console, max(self._console.width - len(bar[0]), 1)) or [Text()]:
            line = Text.assemble(bar, part)
            line.rstrip()
            self._console.print(line, soft_wrap=True)

    def whole(self, lines: Sequence[Line]) -> None:
        """Write lines as they are, however long."""
        self._console.print(
            Text("\n").join(map(_text, lines)), soft_wrap=True
        )  # each call costs more than a line

    @contextmanager
    def live(self, draw: Callable[[], Sequence[Line]]) -> Iterator[None]:
        """Redraw lines at the bottom of the terminal until the end; then they are gone."""
        from rich.live import Live  # noqa: PLC0415 - only a run on a terminal needs it

        def drawn() -> Text:
            return Text("\n", no_wrap=True, overflow="crop").join(map(_text, draw()))

        with Live(console=self._console, get_renderable=drawn, refresh_per_second=8, transient=True):
            yield

    def leave(self) -> None:
        """Write nothing more."""
        self._console.on_broken_pipe()


def _text(line: Line) -> Text:
    made = Text("".join(text for text, _ in line))
    start = 0
    for text, style in line:
        if style:
            made.stylize(style, start, start + len(text))
        start += len(text)
    return made


def cells(text: str) -> int:
    """How many columns a text takes; signs of East Asia take two."""
    return cell_len(text)


def uncoloured(text: str) -> str:
    """A line of what a command said, without the codes for a terminal in it."""
    return Text.from_ansi(text).plain
