"""`lambda-bundle`: the same tasks as a command of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from invoke.exceptions import Exit, ParseError, UnknownFileType
from invoke.program import Program

from lambda_bundle import __version__
from lambda_bundle.edge import USAGE, edge, invalid
from lambda_bundle.errors import did_you_mean
from lambda_bundle.tasks import ns


class _Command(Program):
    """Invoke's program, with the exit code and the look of our own errors for what it cannot parse.

    (Invoke itself exits with 1 there, which is ours for a bundle that failed.)
    """

    def parse_core(self, argv: list[str] | None) -> None:
        with _usage():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with _usage():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        with _usage():
            super().parse_cleanup()

    def update_config(self, merge: bool = True) -> None:
        with _usage():
            super().update_config(merge)


@contextmanager
def _usage() -> Iterator[None]:
    try:
        yield
    except (Exit, ParseError, UnknownFileType, ValueError) as error:
        if isinstance(error, Exit) and error.message is None:  # the regular end of --help and --list
            raise
        message = _reworded(error)
        with edge(as_json="--json" in sys.argv):
            raise invalid(message, hint=_hint(message)) from None


def _reworded(error: Exception) -> str:
    """What Invoke says, in our manner."""
    message = str(error).strip().rstrip("!")
    if isinstance(error, ValueError):  # int() on what is none; no other option is converted
        message = "not a number: " + message.rpartition(": ")[2]
    message = re.sub("<Argument: ([a-z-]+)[^>]*>", r"--\1", message)
    return message[:1].lower() + message[1:]


def _hint(message: str) -> str:
    every = ns.to_contexts()
    contexts = [one for one in every if one.name in sys.argv] or every
    words = {name for one in contexts for name in (str(one.name), *one.flags)}
    unknown = re.match(r"no idea what '(\S+)'", message)
    for option, value in pairwise(sys.argv):
        given = sys.argv.count(option) > 1 and option.startswith("--")
        if unknown and value == unknown[1] and given and not value.startswith("-"):
            return f"{option} is there twice, and takes one value"
    near = did_you_mean(unknown[1], words - {unknown[1]}) if unknown else None
    return near or "lambda-bundle --help shows the tasks, and --help TASK the options of one"


def main() -> None:
    """Run the command line."""
    command = _Command(
        name="lambda-bundle",
        binary="lambda-bundle",
        binary_names=["lambda-bundle"],
        namespace=ns,
        version=__version__,
    )
    try:
        try:
            command.run()
        finally:
            if sys.stdout is not None:  # Python has none where whoever has called it has closed it
                sys.stdout.flush()
    except OSError as error:  # while help was written; tasks write with more care
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever read the help has seen enough then
            sys.stderr.write(f"stdout cannot be written: {error.strerror}\n")
            raise SystemExit(USAGE) from None
