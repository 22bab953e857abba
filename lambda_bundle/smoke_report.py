"""What is told of artifacts that were run: the table, responses, and the document that `--json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lambda_bundle.console import Cell, Printer, problem_document
from lambda_bundle.report import size
from lambda_bundle.smoke import Trial

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "not run": ("•", "yellow")}
_TITLES = ("", "name", "runtime", "arch", "status", "ran on", "init", "duration", "memory")
_NUMBERS = ("init", "duration", "memory")


def trials(printer: Printer, ended: Sequence[Trial]) -> None:
    """The table, then each response, and below them what became of the whole."""
    printer.table(_TITLES, [_row(printer, one) for one in ended], right=_NUMBERS, spare=("arch",))
    for trial in ended:
        if trial.response is not None:
            printer.data(f"{trial.subject.name}: {trial.response}")
    counts = {status: sum(one.status == status for one in ended) for status in _MARKS}
    printer.note((", ".join(f"{count} {status}" for status, count in counts.items() if count), ""))


def heard(printer: Printer, trial: Trial) -> None:
    """One line for an artifact that was run: for whoever watches."""
    where = f" on {ran_on(trial)}" if trial.interpreter else ""
    printer.note((f"{trial.status} {trial.subject.name}{where}", ""))


def ran_on(trial: Trial) -> str:
    """The interpreter, and whether it is only nearly that of the target."""
    if trial.interpreter is None:
        return ""
    near = "" if trial.interpreter.loads(trial.subject.target) else " (nothing compiled)"
    return f"{trial.interpreter}{near}"


def milliseconds(seconds: float | None) -> str:
    """A duration as Lambda's own log gives it."""
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _row(printer: Printer, trial: Trial) -> list[Cell]:
    sign, style = _MARKS[trial.status]
    target = trial.subject.target
    numbers = (
        milliseconds(trial.init),
        milliseconds(trial.duration),
        "" if trial.memory is None else size(trial.memory),
    )
    cells = [(trial.subject.name, ""), (target.runtime, ""), (target.arch, ""), (trial.status, style)]
    rest: list[Cell] = [(text, "") for text in (ran_on(trial), *numbers)]
    return [(printer.mark(sign), style), *cells, *rest]


def document(ended: Sequence[Trial]) -> dict[str, Any]:
    """What `--json` prints."""
    return {"smoke": [_document(one) for one in ended]}


def _document(trial: Trial) -> dict[str, Any]:
    subject, interpreter = trial.subject, trial.interpreter
    return {
        "name": subject.name,
        "runtime": subject.target.runtime,
        "arch": subject.target.arch,
        "handler": subject.handler,
        "status": trial.status,
        "interpreter": interpreter
        and {
            "command": list(interpreter.command),
            "version": interpreter.version,
            "machine": interpreter.machine,
            "system": interpreter.system,
            "emulated": interpreter.emulated,
            "exact": interpreter.loads(subject.target),
        },
        "awslambdaric": trial.client,
        "init_ms": _rounded(trial.init),
        "duration_ms": _rounded(trial.duration),
        "max_memory": trial.memory,
        "response": trial.response,
        "output": trial.output,
        "problems": [problem_document(problem) for problem in trial.problems],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
