"""Run one command and say what it cost. Memory is read from `/proc`, so it is known on Linux alone."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 7200.0
"""Seconds that one command may take."""
_GRACE = 10.0  # seconds between asking a command to end and ending it
_INTERVAL = 0.1  # seconds between looks at the memory
_PROC = Path("/proc")
_PPID, _START, _RSS = 1, 19, 21  # fields of /proc/PID/stat behind the name (proc(5) counts from pid = 1)


class CommandError(Exception):
    """A command that failed; the text says how, and `output` is what it wrote."""

    def __init__(self, how: str, output: str = "") -> None:
        super().__init__(how)
        self.output = output


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a command cost once."""

    seconds: float
    cpu: float
    """CPU seconds of the whole process tree."""
    peak: int = 0
    """Bytes in the resident sets of the process tree at their largest; 0 where nobody looked."""


def measure(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], log: Path, memory: bool = False
) -> Sample:
    """Run a command without standard input and with its output in `log`. Raises `CommandError`.

    What is written still from before goes to the disk first. Looking at the memory costs a few percent of
    one CPU.
    """
    os.sync()
    before = _cpu()
    with log.open("wb") as out:
        began = time.monotonic()
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watch = _Memory(child.pid)
        with _ended(child), watch if memory else nullcontext():
            code = child.wait()
            seconds = time.monotonic() - began
    if code:
        raise CommandError(f"exit code {code}", log.read_text(encoding="utf-8", errors="replace"))
    return Sample(seconds=seconds, cpu=_cpu() - before, peak=watch.peak)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no child behind, whatever happens, and end one that takes too long."""
    # A timer rather than `wait(timeout)`, which polls and so adds up to 50 ms.
    timer = threading.Timer(TIMEOUT, os.killpg, (child.pid, signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _lives(child):
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, number)
            until = time.monotonic() + _GRACE
            while _lives(child) and time.monotonic() < until:
                time.sleep(_INTERVAL)


def _lives(child: subprocess.Popen[bytes]) -> bool:
    """Whether a child, or anything in its process group, is still there."""
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return False
    return True


class _Memory:
    """The resident sets of a process and its descendants, looked at now and then, together.

    A page that two processes share counts twice; a peak between two looks is missed.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._done = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._known: set[tuple[int, int]] = set()
        self.peak = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self.peak = max(self.peak, self._look())

    def _look(self) -> int:
        pages, family = 0, {self._pid}
        # By time of start, so that a parent comes before its children. A process whose parent has ended is
        # told by having been seen before.
        for start, pid, parent, size in sorted(_processes()):
            if pid in family or parent in family or (pid, start) in self._known:
                family.add(pid)
                self._known.add((pid, start))
                pages += size
        return pages * resource.getpagesize()


def _processes() -> Iterator[tuple[int, int, int, int]]:
    """Start, pid, parent and resident pages of every process."""
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            fields = (
                (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
            )
            yield int(fields[_START]), int(folder.name), int(fields[_PPID]), int(fields[_RSS])
