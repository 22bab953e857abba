"""The tasks of this repository: bundling, and the chores of the project itself."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

import lambda_bundle.tasks

ROOT = Path(__file__).parent
PYTHON = shlex.quote(sys.executable)


@task
def check(c: Context) -> None:
    """Look for faults without running anything: ruff, its formatter, mypy."""
    for command in ("ruff check", "ruff format --check", "mypy"):
        _run(c, command)


@task(
    name="test",
    auto_shortflags=False,
    help={
        "offline": "Leave out what needs the real package index.",
        "only": "Run the tests that match this expression (pytest -k).",
        "workers": "How many to run at once (pytest-xdist; default: one more than there are CPUs).",
        "campaign": "Run the long campaigns too: every combination of what the suite has one case of.",
        "coverage": "Measure branch coverage, and fail below the limit.",
    },
)
def run_tests(  # noqa: PLR0917 - each is an option of the task
    c: Context,
    offline: bool = False,
    only: Any = None,
    workers: Any = None,
    campaign: bool = False,
    coverage: bool = False,
) -> None:
    """Run the tests."""
    options = ["-m", "not index"] if offline else []
    options += ["-k", only] if only else []
    options += ["--campaign"] if campaign else []
    # A module's tests stay together: some share bundles that take a while to make. Many wait for a server or
    # for a command, and one more than there are CPUs makes use of that.
    options += ["-n", workers or str((os.cpu_count() or 1) + 1), "--dist", "loadscope"]
    options += ["--cov", "--cov-report=term"] if coverage else []
    _run(c, "pytest", *options)


@task
def docs(c: Context) -> None:
    """Build the documentation, to docs/_build/html."""
    _run(c, "sphinx", "-W", "docs", "docs/_build/html")


def _run(c: Context, module: str, *options: str) -> None:
    with c.cd(str(ROOT)):
        c.run(f"{PYTHON} -m {module} {shlex.join(options)}".strip(), echo=True)


# `from lambda_bundle.tasks import ns` alone would hide the tasks above: a collection named ns is all that
# Invoke looks at. So this one begins as a copy of it.
ns = Collection.from_module(lambda_bundle.tasks)
chores: tuple[Any, ...] = (check, run_tests, docs)
for chore in chores:
    ns.add_task(chore)
