"""Shell scripts that do not end by themselves, and whether they are gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

FAMILY = """
echo $$ >> pids
sh -c 'echo $$ >> pids; sleep 1000 & echo $! >> pids; wait' &
wait
"""
"""A shell with a child and a grandchild, which write down their numbers and wait for ever."""

STUBBORN = "trap '' TERM; echo $$ >> pids; sleep 1000; sleep 1000"
"""A shell that does not end when it is asked to."""


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return (
        not status.is_file() or status.read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    )


def pids(file: Path, count: int) -> list[int]:
    """Wait until so many processes have written their number into a file, a line for each."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        time.sleep(0.01)
    raise AssertionError(f"{file} never had {count} lines")


def all_gone(numbers: list[int]) -> bool:
    """Whether all of these processes are gone, or go now."""
    end = time.monotonic() + 2
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, numbers))
