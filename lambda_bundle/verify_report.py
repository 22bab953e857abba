"""What is told of a verification: the table, and the document of `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lambda_bundle.console import Cell, Printer, problem_document
from lambda_bundle.inspection import Verdict
from lambda_bundle.report import shown


def results(printer: Printer, found: Sequence[Verdict]) -> None:
    """The table of a verification, and below it what became of the whole."""
    rows = []
    for one in found:
        sign, style = ("✓", "green") if one.passed else ("✗", "bold red")
        counts = [
            sum(each.severity == kind for each in one.problems) for kind in ("error", "warning", "note")
        ]
        cells: list[Cell] = [(printer.mark(sign), style), (one.case.name, ""), (one.case.target.runtime, "")]
        cells += [(one.case.target.arch, ""), (str(one.files), ""), *((str(count), "") for count in counts)]
        rows.append([*cells, (shown(one.case.path), "")])
    titles = ("", "name", "runtime", "arch", "files", "errors", "warnings", "notes", "path")
    printer.table(titles, rows, right=("files", "errors", "warnings", "notes"), spare=("notes", "files"))
    printer.note((f"{sum(one.passed for one in found)} of {len(found)} would load", ""))


def document(found: Sequence[Verdict]) -> dict[str, Any]:
    """What `--json` prints for a verification."""
    return {
        "verdicts": [
            {
                "name": one.case.name,
                "passed": one.passed,
                "path": str(one.case.path),
                "runtime": one.case.target.runtime,
                "arch": one.case.target.arch,
                "files": one.files,
                "problems": [problem_document(problem) for problem in one.problems],
            }
            for one in found
        ]
    }
