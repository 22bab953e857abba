"""What was measured, as JSON lines and as a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.measure import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A command and what each of its runs cost."""

    command: str
    seconds: tuple[float, ...]
    cpu: tuple[float, ...]
    peak: int = 0
    """Bytes; the largest of all runs."""

    @classmethod
    def of(cls, command: str, samples: Iterable[Sample]) -> Timed:
        """The samples of one command."""
        samples = tuple(samples)
        return cls(
            command=command,
            seconds=tuple(round(one.seconds, 4) for one in samples),
            cpu=tuple(round(one.cpu, 4) for one in samples),
            peak=max(one.peak for one in samples),
        )

    @property
    def best(self) -> float:
        """Seconds of the fastest run: what others did to the machine meanwhile can only have added some."""
        return min(self.seconds)

    @property
    def middle(self) -> float:
        """Seconds of the run in the middle."""
        return median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    case: str
    """The name that `--only` knows it by."""
    title: str
    figure: float | None = None
    """None when there is none; the note says why."""
    middle: float | None = None
    """A ratio once more, by the runs in the middle instead of the fastest."""
    unit: str = "\N{MULTIPLICATION SIGN}"
    bound: Literal["≤", "≥"] | None = None
    limit: float | None = None
    ours: Timed | None = None
    others: tuple[Timed, ...] = ()
    """What ours is compared with: their sum."""
    note: str = ""
    load: str = ""
    """`/proc/loadavg` before the case."""

    @property
    def met(self) -> bool | None:
        """Whether the figure is what it must be; None where nothing is asked of it."""
        if self.figure is None or self.limit is None:
            return None
        return self.figure <= self.limit if self.bound == "≤" else self.figure >= self.limit

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Row:
        """The row that `dump` wrote."""
        others = tuple(_timed(one) for one in data["others"])
        return cls(**{**data, "ours": data["ours"] and _timed(data["ours"]), "others": others})


def _timed(data: Mapping[str, Any]) -> Timed:
    return Timed(**{**data, "seconds": tuple(data["seconds"]), "cpu": tuple(data["cpu"])})


Machine = dict[str, str]
"""What the figures were measured on, and when, in words."""


def dump(value: Row | Machine) -> str:
    """One line of JSON, which says what it holds."""
    document = {"row": asdict(value)} if isinstance(value, Row) else {"machine": value}
    return json.dumps(document, ensure_ascii=False)


def read(path: Path) -> tuple[Machine, list[Row]]:
    """The machine and the rows of a file of JSON lines."""
    machine: Machine = {}
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        if "row" in document:
            rows.append(Row.read(document["row"]))
        else:
            machine.update(document["machine"])
    return machine, rows


_COLUMNS = ("case", "figure", "target", "met", "by medians", "ours", "compared with", "load before")


def markdown(machine: Machine, rows: Iterable[Row]) -> str:
    """The machine as a list, and the rows as a table, with the notes below it."""
    rows = list(rows)
    notes = list(dict.fromkeys(row.note for row in rows if row.note and row.figure is not None))
    lines = [f"- {key}: {value}" for key, value in machine.items()]
    lines += ["", _line(_COLUMNS), _line("---" for _ in _COLUMNS)]
    lines += [_line(_cells(row, notes)) for row in rows]
    if notes:
        lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines).lstrip("\n") + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(row: Row, notes: list[str]) -> Iterator[str]:
    yield f"{row.title} ({notes.index(row.note) + 1})" if row.note in notes else row.title
    yield f"{_number(row.figure)} {row.unit}" if row.figure is not None else row.note
    yield f"{row.bound} {row.limit:g} {row.unit}" if row.limit is not None else ""
    yield {True: "yes", False: "**no**", None: ""}[row.met]
    yield f"{_number(row.middle)} {row.unit}" if row.middle is not None else ""
    yield _shown(row.ours) if row.ours else ""
    yield " + ".join(map(_shown, row.others))
    yield row.load


def _shown(timed: Timed) -> str:
    return f"`{timed.command}` {_number(timed.best)} s"


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
