"""What is told of a run: its progress, the closing table, and the document that `--json` prints."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambda_bundle.console import Cell, Printer, problem_document
from lambda_bundle.errors import Problem, Stage, Where
from lambda_bundle.jobs import Job
from lambda_bundle.manifest import row
from lambda_bundle.result import Locked, Progress, Result
from lambda_bundle.targets import UNZIPPED_LIMIT

_MARKS = {
    "built": ("✓", "green"),
    "fresh": ("=", "green"),
    "failed": ("✗", "bold red"),
    "cancelled": ("•", "yellow"),
}
_MARKS |= {"locked": _MARKS["built"], "kept": _MARKS["fresh"], "skipped": ("•", "")}
_QUIET = frozenset({"fresh", "kept", "skipped"})
"""How jobs end for which nothing was done."""
_TITLES = ("", "name", "runtime", "arch", "size", "unzipped", "wheels", "time", "path")
_NUMBERS = ("size", "unzipped", "wheels", "time")


def problems(printer: Printer, found: Sequence[Problem]) -> None:
    """Every error and warning; of notes, which ask for nothing, how many there are."""
    printer.problems(problem for problem in found if problem.severity != "note")
    notes = len({replace(problem, where=Where()) for problem in found if problem.severity == "note"})
    if notes:
        printer.note((f"{notes} {'note' if notes == 1 else 'notes'}: --json tells them", "dim"))
        printer.note()


def results(printer: Printer, ended: Sequence[Result]) -> None:
    """The closing table, and below it what became of the whole."""
    printer.table(_TITLES, [_row(printer, one) for one in ended], right=_NUMBERS, spare=("runtime", "arch"))
    built, fresh = (sum(one.status == status for one in ended) for status in ("built", "fresh"))
    folders = ", ".join(dict.fromkeys(shown(one.job.output) for one in ended))
    told = f"{built} of {len(ended)} built" if built or fresh < len(ended) else ""
    told += f"{', ' if told else ''}{fresh} up to date" if fresh else ""
    failed = sum(one.status == "failed" for one in ended)
    printer.note((f"{told} in {folders}{f', {failed} failed' if failed else ''}", ""))


def _row(printer: Printer, result: Result) -> list[Cell]:
    sign, style = _MARKS[result.status]
    job, took = result.job, (seconds(result.seconds), "")
    cells = [
        (printer.mark(sign), style),
        (job.name, ""),
        (", ".join(job.runtimes), ""),
        (job.target.arch, ""),
    ]
    if result.artifact is None:
        return [*cells, (result.status, style), ("", ""), ("", ""), took, ("", "")]
    archived = result.artifact.archived
    over = "bold yellow" if archived.unzipped > UNZIPPED_LIMIT else ""
    sizes = [(size(archived.size), ""), (size(archived.unzipped), over)]
    return [*cells, *sizes, (str(len(result.artifact.wheels)), ""), took, (shown(job.artifact), "")]


def locks(printer: Printer, ended: Sequence[Locked]) -> None:
    """The closing table of `invoke lock`."""
    titles = ("", "name", "runtime", "arch", "packages", "time", "lock")
    table: list[list[Cell]] = []
    for one in ended:
        sign, style = _MARKS[one.status]
        row = [(printer.mark(sign), style), (one.job.name, ""), (", ".join(one.job.runtimes), "")]
        row += [(one.job.target.arch, ""), (str(one.packages) if one.path else "", "")]
        row += [(seconds(one.seconds), ""), (shown(one.path) if one.path else one.note or one.status, style)]
        table.append(row)
    printer.table(titles, table, right=("packages", "time"), spare=("runtime", "arch"))
    for one in ended:
        if one.changes:
            printer.note((f"{one.job.name}: {', '.join(_change(*each) for each in one.changes)}", ""))
    counts = {status: sum(one.status == status for one in ended) for status in ("locked", "kept", "skipped")}
    failed = len(ended) - sum(counts.values())
    told = {"locked": counts["locked"], "up to date": counts["kept"], "without need": counts["skipped"]}
    told["failed"] = failed
    printer.note((", ".join(f"{count} {what}" for what, count in told.items() if count), ""))


def _change(name: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"+ {name} {after}"
    return f"- {name} {before}" if after is None else f"{name} {before} → {after}"


def lock_document(ended: Sequence[Locked]) -> dict[str, Any]:
    """What `invoke lock --json` prints."""
    return {
        "locks": [
            {
                "name": one.job.name,
                "status": one.status,
                "seconds": round(one.seconds, 3),
                "path": str(one.path) if one.path else None,
                "packages": one.packages,
                "note": one.note or None,
                "changes": [
                    {"name": name, "before": before, "after": after} for name, before, after in one.changes
                ],
                "problems": [problem_document(problem) for problem in one.problems],
            }
            for one in ended
        ]
    }


def shown(path: Path) -> str:
    """A path for people: relative to the current folder if it is below it."""
    here, text = os.path.join(os.getcwd(), ""), str(path)  # noqa: PTH109, PTH118 - for each of 1,000 rows
    return text.removeprefix(here)


def size(count: int) -> str:
    """Bytes in the units of people (1 kB = 1000 B)."""
    if count < 1000:
        return f"{count} B"
    if count < 999_950:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 999_950_000 else f"{count / 1e9:.1f} GB"


def seconds(count: float) -> str:
    """A duration."""
    if count < 59.95:
        return f"{count:.1f} s"
    return f"{round(count) // 60} min {round(count) % 60} s"


def document(ended: Sequence[Result]) -> dict[str, Any]:
    """What `--json` prints for a run."""
    return {
        "results": [
            {
                "name": result.job.name,
                "status": result.status,
                "seconds": round(result.seconds, 3),
                "path": str(result.job.artifact) if result.artifact else None,
                "artifact": row(result.job, result.artifact) if result.artifact else None,
                "reasons": list(result.reasons),
                "problems": [problem_document(problem) for problem in result.problems],
            }
            for result in ended
        ]
    }


@contextmanager
def progress(printer: Printer, total: int) -> Iterator[Progress]:
    """Whoever tells of a run while it lasts: in place on a terminal, in lines elsewhere."""
    if printer.is_live:
        live = LiveProgress(printer, total)
        with printer.live(live.draw):
            yield live
    else:
        yield PlainProgress(printer, total)


class PlainProgress(Progress):
    """One line for each job that ends: for logs."""

    def __init__(self, printer: Printer, total: int) -> None:
        self._printer, self._total, self._done = printer, total, 0

    def finished(self, result: Result) -> None:
        """Say how it ended, unless nothing was done."""
        self._say(result)

    def locked(self, lock: Locked) -> None:
        """The same of a lock."""
        self._say(lock)

    def _say(self, result: Result | Locked) -> None:
        self._done += 1
        if result.status in _QUIET:
            return
        counted = f"[{self._done}/{self._total}]"
        self._printer.note((f"{counted} {result.status} {result.job.name} in {seconds(result.seconds)}", ""))


class LiveProgress(Progress):
    """What each running job is doing, for terminals."""

    def __init__(self, printer: Printer, total: int) -> None:
        self._printer, self._total = printer, total
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Stage, float]] = {}
        self._done = 0

    def entered(self, job: Job, stage: Stage) -> None:
        """Show the stage."""
        with self._lock:
            _, began = self._running.get(job.name, (stage, time.monotonic()))
            self._running[job.name] = (stage, began)

    def finished(self, result: Result) -> None:
        """Leave a line behind."""
        self._leave(result)

    def locked(self, lock: Locked) -> None:
        """The same for a lock."""
        self._leave(lock)

    def _leave(self, result: Result | Locked) -> None:
        with self._lock:
            self._running.pop(result.job.name, None)
            self._done += 1
        if result.status in _QUIET:
            return
        sign, style = _MARKS[result.status]
        name, took = result.job.name, seconds(result.seconds)
        self._printer.note((self._printer.mark(sign), style), (f" {name} ", ""), (took, "dim"))

    def draw(self) -> list[list[Cell]]:
        """The lines of this moment."""
        with self._lock:
            running, done, now = dict(self._running), self._done, time.monotonic()
        width = max(map(len, running), default=0)
        sign = self._printer.mark("•")
        lines: list[list[Cell]] = [
            [
                (f"{sign} ", "cyan"),
                (f"{name:{width}}  ", ""),
                (f"{stage:12}  ", "cyan"),
                (seconds(now - began), "dim"),
            ]
            for name, (stage, began) in running.items()
        ]
        return [*lines, [(f"  {done} of {self._total} done", "dim")]]
