"""What the user sees: progress, tables, problems. The only module that knows rich.

Data goes to stdout, everything else to stderr. On a terminal it is live and coloured; elsewhere it is plain
lines of any length.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lambda_bundle.archive import UNZIPPED_LIMIT
from lambda_bundle.errors import Problem, Stage, Where
from lambda_bundle.jobs import Job
from lambda_bundle.manifest import row
from lambda_bundle.pipeline import Progress
from lambda_bundle.result import Result

_WIDE = 1_000_000
"""Columns off a terminal: a log is for searching, and a path cut in two is found by nobody."""
_DETAIL_LINES = 60
_PLACES = 8
_MARKS = {"built": ("✓", "green"), "failed": ("✗", "bold red"), "cancelled": ("–", "yellow")}


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=_WIDE)
    return console


class Printer:
    """Writes to stdout and stderr."""

    def __init__(self) -> None:
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    def note(self, text: str) -> None:
        """A line for whoever watches."""
        self.err.print(Text(text), overflow="fold")

    def json(self, document: Any) -> None:
        """Data for programs."""
        self.out.file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def problems(self, problems: Iterable[Problem]) -> None:
        """Every problem, warnings first, so that the errors are what stands last.

        What is the same in several places (a deprecated runtime of 200 functions) is told once, with the places.
        """
        places: dict[Problem, dict[str, None]] = {}
        for problem in sorted(problems, key=lambda one: one.severity == "error"):
            places.setdefault(replace(problem, where=Where()), {})[str(problem.where)] = None
        for problem, where in places.items():
            self.err.print(_problem(problem, [one for one in where if one]), overflow="fold")

    def results(self, results: Sequence[Result]) -> None:
        """The closing table."""
        table = _table(self.out)
        for name, justify in (("", "left"), ("name", "left"), ("runtime", "left"), ("arch", "left")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for name in ("size", "unzipped", "wheels", "time"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("path", overflow="fold")
        for result in results:
            table.add_row(*_cells(result))
        self.out.print(table)

    def plan(self, rows: Sequence[dict[str, Any]]) -> None:
        """What would be built."""
        table = _table(self.out)
        for name in ("name", "kind", "runtime", "arch", "backend", "format", "requirements", "tags"):
            table.add_column(name, overflow="fold")
        for one in rows:
            cells = [one["name"], one["kind"], one["runtime"], one["arch"], one["backend"], one["format"]]
            table.add_row(*map(Text, (*cells, one["requirements"] or "none", _short_tags(one["tags"]))))
        self.out.print(table)


def _table(console: Console) -> Table:
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), expand=False)


def _cells(result: Result) -> list[Text]:
    mark, style = _MARKS[result.status]
    job = result.job
    cells = [Text(mark, style), Text(job.name), Text(job.target.runtime), Text(job.target.arch)]
    if result.artifact is None:
        return [
            *cells,
            Text(""),
            Text(""),
            Text(""),
            Text(seconds(result.seconds)),
            Text(result.status, style),
        ]
    archived = result.artifact.archived
    over = archived.unzipped > UNZIPPED_LIMIT
    return [
        *cells,
        Text(size(archived.size)),
        Text(size(archived.unzipped), "bold yellow" if over else ""),
        Text(str(len(result.artifact.wheels))),
        Text(seconds(result.seconds)),
        Text(path(job)),
    ]


def _short_tags(tags: Sequence[str]) -> str:
    """The first tag and how many follow: the rest is what the first one implies."""
    return tags[0] if len(tags) == 1 else f"{tags[0]} and {len(tags) - 1} more"


def path(job: Job) -> str:
    """Where the artifact is, relative to `bundles.toml` if it is below it."""
    if job.artifact.is_relative_to(job.root):
        return job.artifact.relative_to(job.root).as_posix()
    return str(job.artifact)


def size(count: int) -> str:
    """Bytes in the units of people (1 kB = 1000 B)."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def seconds(count: float) -> str:
    """A duration."""
    return f"{count:.1f} s" if count < 60 else f"{int(count // 60)} min {int(count % 60)} s"  # noqa: PLR2004


def _problem(problem: Problem, places: Sequence[str]) -> Text:
    style = "bold red" if problem.severity == "error" else "bold yellow"
    text = Text()
    text.append(f"{problem.severity}[{problem.code}]", style)
    text.append(f": {problem.message}\n", "bold")
    for place in places[:_PLACES]:
        text.append("  --> ", "blue").append(f"{place}\n")
    if len(places) > _PLACES:
        text.append("  --> ", "blue").append(f"and {len(places) - _PLACES} more\n")
    if problem.detail:
        lines = problem.detail.splitlines()
        if len(lines) > _DETAIL_LINES:
            lines = [f"({len(lines) - _DETAIL_LINES} lines before)", *lines[-_DETAIL_LINES:]]
        for line in ("", *lines):
            text.append("   | ", "blue").append(f"{line}\n", "dim")
    if problem.hint:
        text.append("\nhint", "bold cyan").append(f": {problem.hint}\n")
    return text


def document(results: Sequence[Result]) -> dict[str, Any]:
    """What `--json` prints for a run."""
    return {
        "results": [
            {
                "name": result.job.name,
                "status": result.status,
                "seconds": round(result.seconds, 3),
                "path": str(result.job.artifact) if result.artifact else None,
                "artifact": row(result, result.artifact) if result.artifact else None,
                "problems": [problem_document(problem) for problem in result.problems],
            }
            for result in results
        ]
    }


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


class PlainProgress(Progress):
    """One line for each job that ends: for logs."""

    def __init__(self, printer: Printer, total: int) -> None:
        self._printer, self._total, self._done = printer, total, 0

    def finished(self, result: Result) -> None:
        """Say how it ended."""
        self._done += 1
        counted = f"[{self._done}/{self._total}]"
        self._printer.note(f"{counted} {result.status} {result.job.name} in {seconds(result.seconds)}")


class LiveProgress(Progress):
    """What each running job is doing, redrawn in place: for terminals."""

    def __init__(self, printer: Printer, total: int) -> None:
        self._printer, self._total = printer, total
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Stage, float]] = {}
        self._done = 0
        self._live = Live(
            console=printer.err, get_renderable=self._draw, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def entered(self, job: Job, stage: Stage) -> None:
        """Show the stage."""
        with self._lock:
            _, began = self._running.get(job.name, (stage, time.monotonic()))
            self._running[job.name] = (stage, began)

    def finished(self, result: Result) -> None:
        """Leave a line behind."""
        with self._lock:
            self._running.pop(result.job.name, None)
            self._done += 1
        mark, style = _MARKS[result.status]
        line = Text.assemble((mark, style), f" {result.job.name} ", (seconds(result.seconds), "dim"))
        self._live.console.print(line)

    def _draw(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        with self._lock:
            now = time.monotonic()
            for name, (stage, began) in self._running.items():
                table.add_row(
                    Text("•", "cyan"), Text(name), Text(stage, "cyan"), Text(seconds(now - began), "dim")
                )
            table.add_row(Text(""), Text(f"{self._done} of {self._total} done", "dim"))
        return table
