"""Run commands, stop them all, and keep credentials out of what they print.

The only module that knows `subprocess`. Every child leads a session of its own, so that stopping it stops
what it started, and a Ctrl-C on the terminal reaches this program alone.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import IO, TypeVar

from lambda_bundle.errors import BundleError, Code, Problem

_T = TypeVar("_T")
GRACE = 3.0
"""Seconds between asking a child to end and ending it."""
KEPT = 4 << 20
"""Bytes of a command's output that are kept, from its end."""
_LINGER = 1.0
"""Seconds to wait for the end of what an ended command wrote: a daemon may hold it open for ever."""
_HEARTBEAT = 0.1
"""Seconds between looks at whether somebody pressed Ctrl-C."""


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
        detail = _transcript(self.command, self.output)
        return BundleError(
            Problem(code=Code.COMMAND_FAILED, message=f"{what} {how}", hint=hint, detail=detail)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A command that runs beside us."""

    pid: int
    output: Callable[[], str]
    """What it wrote to stdout and stderr together; to be asked for when it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A command that is asked things while it runs."""

    asking: IO[bytes]
    """What it reads."""
    answers: IO[bytes]
    """What it writes."""
    end: Callable[[], Completed]
    """Ends it, if it runs: how it ended, and what it wrote to stderr."""

    def failure(self, what: str, *, hint: str) -> BundleError:
        """The error that says that it ended; `what` is what the user knows it by."""
        return self.end().failure(what, hint=hint)


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
        shown: str | None = None,
        stdout: Path | None = None,
    ) -> Completed:
        """Run a command (a string goes through the shell) to its end, without standard input.

        `timeout` is in seconds; `shown` is what the command is called in messages; `stdout` is a file for
        what it writes there, as it is. Whatever it started and
        left behind is ended with it. Raises `BundleError` when the command cannot be started or takes too
        long, and `Stopped` when `stop` was called. What comes out is masked.
        """
        secrets = tuple(secrets)
        shown = mask(shown or (command if isinstance(command, str) else shlex.join(command)), secrets)
        child = self._start(command, shown, cwd=cwd, environ=environ, stdout=stdout)
        output = _Output(child.stdout or child.stderr)
        late = threading.Event()
        # A timer rather than `wait(timeout)`, which polls and so adds up to 50 ms to every command.
        timer = threading.Timer(min(timeout, threading.TIMEOUT_MAX), _end, (child, late))
        timer.daemon = True
        timer.start()
        try:
            code = child.wait()
        finally:
            timer.cancel()
            self._forget(child)
        text = mask(output.text(), secrets)
        self.check()
        if late.is_set():
            raise _timed_out(shown, text, timeout)
        return Completed(command=shown, code=code, output=text)

    @contextmanager
    def running(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        ended: Callable[[int], object],
    ) -> Iterator[Running]:
        """A command that runs beside us, without standard input, until it ends or the context is left.

        `ended` is called with the exit code, from a thread of its own; -9 is what killing gives. Raises
        `BundleError` when the command cannot be started, and `Stopped` when `stop` was called.
        """
        child = self._start(command, shlex.join(command), cwd=cwd, environ=environ)
        output = _Output(child.stdout or child.stderr)
        waiting = threading.Thread(target=lambda: ended(child.wait()), daemon=True)
        waiting.start()
        try:
            yield Running(pid=child.pid, output=lambda: mask(output.text()))
        finally:
            self._forget(child)
            waiting.join()

    @contextmanager
    def talking(
        self, command: Sequence[str], *, shown: str, cwd: Path, environ: Mapping[str, str]
    ) -> Iterator[Talk]:
        """A command that is to end when nobody asks it any more, which is when the context is left.

        Raises `BundleError` when it cannot be started, and `Stopped` when `stop` was called.
        """
        child = self._start(command, shown, cwd=cwd, environ=environ, talking=True)
        asking, answers, errors = child.stdin, child.stdout, child.stderr
        assert asking is not None  # noqa: S101 - these are pipes
        assert answers is not None  # noqa: S101 - the same
        output = _Output(errors)

        @cache
        def end() -> Completed:
            for pipe in (asking, answers):
                with suppress(OSError):  # what it was not told any more
                    pipe.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_LINGER)
            self._forget(child)
            return Completed(command=shown, code=child.wait(), output=mask(output.text()))

        try:
            yield Talk(asking=asking, answers=answers, end=end)
        finally:
            end()

    def stop(self) -> None:
        """Ask every running command, and whatever it started, to end; every `run` raises `Stopped` then.

        What has not ended after `GRACE` seconds is ended, and a second call does that at once.
        """
        with self._lock:
            again, self._stopped = self._stopped, True
            if self._running and not again:
                timer = threading.Timer(GRACE, self.stop)
                timer.daemon = True
                timer.start()
            for child in self._running:
                _signal(child, gently=not again)

    def check(self) -> None:
        """Raise `Stopped` when `stop` was called."""
        if self._stopped:
            raise Stopped

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def _start(
        self,
        command: Sequence[str] | str,
        shown: str,
        *,
        cwd: Path,
        environ: Mapping[str, str],
        stdout: Path | None = None,
        talking: bool = False,
    ) -> subprocess.Popen[bytes]:
        with self._lock, ExitStack() as stack:  # locked, so that none starts behind the back of `stop`
            self.check()
            try:
                child = subprocess.Popen(
                    command,
                    shell=isinstance(command, str),  # hooks are shell scripts by definition
                    cwd=cwd,
                    env=dict(environ),
                    stdin=subprocess.PIPE if talking else subprocess.DEVNULL,
                    stdout=stack.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE,
                    stderr=subprocess.PIPE if stdout or talking else subprocess.STDOUT,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            except (OSError, ValueError) as error:  # ValueError: what no system can take, such as a null byte
                raise _not_started(error, shown, cwd) from None
            self._running.add(child)
            return child

    def _forget(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(child)
            _signal(child, gently=False)  # nothing that it left in the background survives it
        child.wait()


class _Output:
    """What a child writes, read as it comes so that it never waits for us; the end of it is kept.

    A pipe and not a file: what a script writes to /dev/stderr would truncate a file.
    """

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._kept = bytearray()
        self._cut = False
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                self._kept += chunk
                self._cut = self._cut or len(self._kept) > KEPT
                del self._kept[:-KEPT]

    def text(self) -> str:
        """All of it when the child has ended; from the beginning of a line where it was too much."""
        self._thread.join(_LINGER)
        kept = bytes(self._kept)
        if self._cut:  # half a line could hold half a password, which nothing would mask
            kept = kept.partition(b"\n")[2]
        return kept.decode(errors="replace").replace("\r\n", "\n")


def _end(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _signal(child, gently=False)


def _signal(child: subprocess.Popen[bytes], *, gently: bool) -> None:
    """Ask a child and whatever it started to end, or end them."""
    if sys.platform == "win32":
        if child.poll() is None:
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(child.pid)],  # noqa: S607 - part of every Windows
                capture_output=True,
                check=False,
            )
        return
    number = signal.SIGTERM if gently else signal.SIGKILL
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    for pid in _elsewhere(child.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _elsewhere(session: int) -> Iterator[int]:
    """The processes of a session outside its leader's group, where the system has /proc.

    `timeout`, and every shell with job control, gives what it starts a group of its own.
    """
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - hundreds of names, after every command
            with suppress(ValueError, ProcessLookupError, PermissionError):
                if os.getsid(int(name)) == session != os.getpgid(int(name)):
                    yield int(name)


def _timed_out(shown: str, output: str, timeout: float) -> BundleError:
    return BundleError(
        Problem(
            code=Code.COMMAND_TIMED_OUT,
            message=f"a command was stopped because it took longer than {timeout:g} s",
            hint="raise `timeout` (seconds that one command may take) if it needs longer",
            detail=_transcript(shown, output),
        )
    )


def _not_started(error: OSError | ValueError, shown: str, cwd: Path) -> BundleError:
    why: str | None = str(error)
    hint = "install it, or put it on PATH"
    if isinstance(error, OSError):
        why = error.strerror
        if str(error.filename) == str(cwd):
            why, hint = f"{why}: {cwd}", "the folder that it was to work in is gone: run it again"
    message = f"the command could not be started ({why}): {shown}"
    return BundleError(Problem(code=Code.COMMAND_FAILED, message=message, hint=hint))


def _transcript(shown: str, output: str) -> str:
    return f"$ {shown}\n{output.strip()}".strip()


_ENDING = [one for one in signal.Signals if one.name in {"SIGINT", "SIGTERM", "SIGHUP"}]


@contextmanager
def held_back() -> Iterator[Sequence[int]]:
    """Ctrl-C, and what else ends us where it has a handler, take effect at the end; meanwhile, what has come.

    They would break into the main thread between any two instructions, and neither locks nor cleaning up
    survive that.
    """
    came: list[int] = []
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], object]] = {}
    if threading.current_thread() is threading.main_thread():  # no other sets handlers, nor is broken into
        for number in _ENDING:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        handlers[signal.Signals(came[0])](came[0], None)


def attended(children: Children, work: Callable[[], _T]) -> _T:
    """What `work` returns; it runs in another thread, and Ctrl-C stops the children.

    Raises `KeyboardInterrupt` then, when the work has come to its end.
    """
    with held_back() as signals, ThreadPoolExecutor(1) as aside:
        ending = aside.submit(work)
        heard = 0
        while not ending.done():
            wait([ending], timeout=_HEARTBEAT)
            if heard < len(signals):
                heard = len(signals)
                children.stop()
    return ending.result()


_USERINFO = re.compile(
    # Behind whatever scheme somebody typed, or none. A password may hold what should have been escaped, even
    # a slash where no host can be meant; a colon with digits and a slash behind it is a port. A line may have
    # a million characters: every length has an end, and nothing is looked for backwards.
    r"""(?P<scheme> (?<=[A-Za-z0-9+.-]{2}):[/\\]+ | (?<!:)// )
        [^\s"<>/?#:@[]{0,4096}
        (?: (?P<password> :(?![/\\]|\d+(?:[/?#]|$)) (?: [^\s"<>/]{0,4096} | [^\s"<>]{0,4096} ))
          | [^\s"<>/?#:]{0,4096} )
        @""",
    re.VERBOSE,
)
_NAME_ALONE = re.compile(r"(?:(?<=ssh):)?//", re.IGNORECASE)
"""Where a user's name without a password is nothing to hide: git@host. Elsewhere it most often is a token."""
_QUERY = re.compile(
    r"""(?P<name>[?&;#][\w.-]*(?:token|key|keyid|secret|pass|passwd|password|auth|sig|signature|credential)=)
        [^&\s'"#]+""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADER = re.compile(r"(?P<name>\bauthorization: *(?:basic|bearer|token) +)\S+", re.IGNORECASE)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without credentials: those in URLs and headers, and the given values wherever they stand."""
    values = sorted(filter(None, secrets), key=len, reverse=True)
    if values:
        text = re.sub("|".join(map(re.escape, values)), "****", text)
    text = _USERINFO.sub(_without_userinfo, text)
    return _HEADER.sub(r"\g<name>****", _QUERY.sub(r"\g<name>****", text))


def _without_userinfo(match: re.Match[str]) -> str:
    harmless = match["password"] is None and _NAME_ALONE.match(match.string, match.start())
    return match[0] if harmless else f"{match['scheme']}****@"
