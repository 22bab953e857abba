"""What the figures are measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.results import Machine


def describe(work: Path, environ: Mapping[str, str]) -> Machine:
    """The machine, the file system of a folder, the day, and the versions of what runs."""
    return {
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory()}, Linux {platform.release()}",
        "file system": f"{_file_system(work)}, {shutil.disk_usage(work).free / 1e9:.0f} GB free",
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "versions": ", ".join(
            (
                f"lambda-bundle {version('lambda-bundle')} ({_commit()})",
                f"Python {platform.python_version()}",
                f"Invoke {version('invoke')}",
                _first("uv --version", environ),
                _first("python -m pip --version", environ),
            )
        ),
    }


def load() -> str:
    """The load averages of 1, 5 and 15 minutes, and how many processes ran."""
    return " ".join(_read("/proc/loadavg").split()[:4]) or "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _processor() -> str:
    lines = (line.partition(":") for line in _read("/proc/cpuinfo").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on: that of the nearest mount point above it."""
    mounts = (line.split() for line in _read("/proc/mounts").splitlines())
    types = {Path(fields[1]): fields[2] for fields in mounts}
    resolved = folder.resolve()
    return next((types[path] for path in (resolved, *resolved.parents) if path in types), "unknown")


def _first(command: str, environ: Mapping[str, str]) -> str:
    """The first two words that a command prints: its name and version."""
    words = _output(command, environ=environ).split()
    return " ".join(words[:2]) or f"{command.split()[-2]}: not installed"


def _commit() -> str:
    """The commit of this repository, and whether anything of the package differs from it."""
    commit = _output("git rev-parse --short HEAD") or "commit unknown"
    return f"{commit} with changes" if _output("git status --short lambda_bundle") else commit


def _output(command: str, environ: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command.split(),
            cwd=Path(__file__).parents[1],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
