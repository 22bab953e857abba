"""Where the program meets whoever called it: problems become output and exit codes here, and nowhere else."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

if TYPE_CHECKING:
    from lambda_bundle.console import Printer
    from lambda_bundle.errors import BundleError, Problem

# Everything heavy is imported where it is used: `invoke --list` reads this module too.

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_OBJECTS = 50_000
"""So many new ones, before those that nobody has any more are looked for."""


@contextmanager
def edge(*, as_json: bool = False) -> Iterator[Printer]:
    """The one place where problems become output and exit codes."""
    # Python would look through everything once more before it ends, for objects that nobody has any more.
    atexit.register(gc.freeze)
    try:
        with _bytecode(), _seldom_collected(), _terminable():
            yield from _reporting(as_json=as_json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: every command was ended, and no artifact was half-written\n")
        raise Exit(code=INTERRUPTED) from None


def _reporting(*, as_json: bool) -> Iterator[Printer]:
    from lambda_bundle.console import Printer, problem_document  # noqa: PLC0415
    from lambda_bundle.errors import BundleError  # noqa: PLC0415

    printer = Printer()
    problems: Iterable[Problem]
    try:
        yield printer
    except BundleError as error:
        problems = error.problems
    except OSError as error:
        printer.settle()
        problems = [_system_problem(error)]
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):
            raise
        printer.settle()
        problems = [_exhausted()]
    else:
        return
    if as_json:
        printer.json({"problems": [problem_document(problem) for problem in problems]})
    printer.problems(problems)
    raise Exit(code=USAGE)


def _system_problem(error: OSError) -> Problem:
    """What the operating system refuses outside the work on a single artifact."""
    from lambda_bundle.errors import Code, Problem, Where  # noqa: PLC0415

    where = Where(file=str(error.filename)) if error.filename else Where()
    return Problem(
        code=Code.SYSTEM_ERROR,
        message=f"the operating system says: {error.strerror or error}",
        where=where,
        hint="see that the folder is there, that its permissions allow the work, and that the disk has room",
    )


def _exhausted() -> Problem:
    from lambda_bundle.errors import Code, Problem  # noqa: PLC0415

    return Problem(
        code=Code.SYSTEM_ERROR,
        message="there is no room for another thread or process",
        hint="allow more (`ulimit -u` and `-v`, the limits of the container), or work with --jobs 1",
    )


@contextmanager
def _bytecode() -> Iterator[None]:
    """Let Python keep the bytecode of what is imported from here on.

    Invoke switches that off for the sake of tasks.py. Where nothing was compiled at installation (uv does not
    by default), every start would compile pydantic and rich anew, which takes a second.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Imports and runs make many objects that stay: they are not to be looked through again and again."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def _terminable() -> Iterator[None]:
    """CI systems end a job with SIGTERM, and terminals that are closed with SIGHUP.

    Both are to leave as little behind as Ctrl-C. A signal that is ignored, as by `nohup`, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one can set handlers
        yield
        return
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    previous = {one: signal.getsignal(one) for one in numbers if signal.getsignal(one) != signal.SIG_IGN}
    for one in previous:
        signal.signal(one, _interrupt)
    try:
        yield
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def invalid(message: str, *, option: str | None = None, hint: str | None = None) -> BundleError:
    """The error for a command line that cannot be meant."""
    from lambda_bundle.errors import BundleError, Code, Problem, Where  # noqa: PLC0415

    where = Where(key=option and f"--{option}")
    return BundleError(Problem(code=Code.INVALID_OPTION, message=message, where=where, hint=hint))
