"""Run commands, stop them all, and keep credentials out of what they print.

The only module that knows `subprocess`. Every child leads a process group of its own, so that stopping
it stops what it started, and a Ctrl-C on the terminal reaches this program alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle.errors import BundleError, Code, Problem

GRACE = 3.0
"""Seconds between asking a child to end and ending it."""
_KEPT = 1 << 20
"""Bytes of a command's output that are kept, from its end."""
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:/{1,3})[^/\s'\"<>@]+@")
_QUERY = re.compile(
    r"(?P<name>[?&][\w.-]*(?:token|key|secret|pass|passwd|password|auth|sig|signature|credential)=)[^&\s'\"#]+",
    re.IGNORECASE,
)


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The run was asked to stop, and this command with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that has ended, with its exit code and what it wrote to stdout and stderr together."""

    command: str
    code: int
    output: str

    def failure(self, what: str, *, hint: str | None = None) -> BundleError:
        """The error that says that this command failed; `what` is what the user knows it by."""
        how = f"was ended by signal {-self.code}" if self.code < 0 else f"ended with exit code {self.code}"
        detail = f"$ {self.command}\n{self.output.strip()}".strip()
        return BundleError(
            Problem(code=Code.COMMAND_FAILED, message=f"{what} {how}", hint=hint, detail=detail)
        )


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without credentials: those in URLs, and the given values wherever they stand."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "****")
    return _QUERY.sub(r"\g<name>****", _USERINFO.sub(r"\g<scheme>****@", text))


class Children:
    """The running commands of one run; stopped together, after which no new one starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        command: Sequence[str] | str,
        *,
        cwd: Path,
        environ: Mapping[str, str],
        timeout: float,
        secrets: Iterable[str] = (),
    ) -> Completed:
        """Run a command (a string goes through the shell) to its end, without standard input.

        `timeout` is in seconds. Raises `BundleError` when the command cannot be started or takes too long,
        and `Stopped` when `stop` was called. The output is masked.
        """
        shown = mask(command if isinstance(command, str) else _join(command), secrets)
        # A file rather than a pipe: a background process that a hook leaves behind would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            child = self._start(command, shown, cwd=cwd, environ=environ, output=output.fileno())
            try:
                code = child.wait(timeout)
            except subprocess.TimeoutExpired:
                self._kill(child)
                raise BundleError(
                    Problem(
                        code=Code.COMMAND_TIMED_OUT,
                        message=f"a command was stopped because it took longer than {timeout:g} s",
                        hint="raise `timeout` (seconds that one command may take) if it needs longer",
                        detail=f"$ {shown}\n{mask(_tail(output.fileno()), secrets).strip()}".strip(),
                    )
                ) from None
            finally:
                self._forget(child)
            text = mask(_tail(output.fileno()), secrets)
        if self._stopped:
            raise Stopped
        return Completed(command=shown, code=code, output=text)

    def stop(self) -> None:
        """End every running command and whatever it started; returns when all are gone."""
        with self._lock:
            self._stopped = True
            running = tuple(self._running)
        for child in running:
            _signal(child, gently=True)
        for child in running:
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
            self._kill(child)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def _start(
        self, command: Sequence[str] | str, shown: str, *, cwd: Path, environ: Mapping[str, str], output: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:  # so that none starts behind the back of `stop`
            if self._stopped:
                raise Stopped
            try:
                child = subprocess.Popen(
                    command,
                    shell=isinstance(command, str),  # noqa: S602 - hooks are shell scripts by definition
                    cwd=cwd,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            except OSError as error:
                raise BundleError(
                    Problem(
                        code=Code.COMMAND_FAILED,
                        message=f"the command could not be started ({error.strerror}): {shown}",
                        hint="install it, or put it on PATH",
                    )
                ) from None
            self._running.add(child)
            return child

    def _forget(self, child: subprocess.Popen[bytes]) -> None:
        _signal(child, gently=False)  # nothing that it left in the background survives it
        with self._lock:
            self._running.discard(child)

    @staticmethod
    def _kill(child: subprocess.Popen[bytes]) -> None:
        _signal(child, gently=False)
        child.wait()


def _signal(child: subprocess.Popen[bytes], *, gently: bool) -> None:
    if sys.platform == "win32":
        if child.poll() is None:
            subprocess.run(  # noqa: S603
                ["taskkill", "/F", "/T", "/PID", str(child.pid)],  # noqa: S607
                capture_output=True,
                check=False,
            )
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM if gently else signal.SIGKILL)


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, max(0, size - _KEPT), os.SEEK_SET)
    return os.read(descriptor, _KEPT).decode(errors="replace").replace("\r\n", "\n")


def _join(command: Sequence[str]) -> str:
    return " ".join(part if re.fullmatch(r"[\w./:=@%+,-]+", part) else f"'{part}'" for part in command)
