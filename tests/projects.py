"""Small repositories with a bundles.toml, and commands run in them as a user runs them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

from lambda_bundle import cli

HANDLER = "def handler(event, context):\n    return event\n"
TASKS = "from lambda_bundle.tasks import ns\n"
SCRIPT = Path(sys.executable).with_name("lambda-bundle")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    """A folder with a bundles.toml, a tasks.py and sources."""

    root: Path
    environ: Mapping[str, str]

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def invoke(self, *args: str, cwd: str = ".", **environ: str) -> Ran:
        return self.run([sys.executable, "-m", "invoke", *args], cwd=cwd, **environ)

    def script(self, *args: str, cwd: str = ".", **environ: str) -> Ran:
        return self.run([str(SCRIPT), *args], cwd=cwd, **environ)

    def here(self, *args: str, cwd: str = ".", **environ: str) -> Ran:
        """What `script` does, in this process: for the many tests that are not about the process.

        A process of its own takes a third of a second before it does anything.
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        code = within(self.root / cwd, {**self.environ, **environ}, args, out, err)
        return _seen(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    def run(self, command: list[str], cwd: str = ".", **environ: str) -> Ran:
        """Run a command; whatever happens, nobody sees a traceback or an escape code."""
        done = subprocess.run(
            command,
            cwd=self.root / cwd,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return _seen(done.returncode, done.stdout, done.stderr)


def within(folder: Path, environ: Mapping[str, str], args: Sequence[str], out: TextIO, err: TextIO) -> int:
    """The exit code of `lambda-bundle` in this process, as if it had been started in a folder."""
    back = Path.cwd()
    with (
        patch.dict(os.environ, environ, clear=True),
        patch.object(sys, "argv", [str(SCRIPT), *args]),
        patch.object(tempfile, "tempdir", None),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        os.chdir(folder)
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        finally:
            os.chdir(back)
    assert isinstance(code, int)
    return code


def _seen(code: int, out: str, err: str) -> Ran:
    for text in (out, err):
        assert "Traceback" not in text, text
        assert "\x1b" not in text, text
    return Ran(code, out, err)


def functions(*names: str, extra: str = "") -> str:
    """A bundles.toml with one function for each name; their sources are in src/."""
    tables = "".join(f'[functions.{name}]\nentry = "src"\nhandler = "main.handler"\n' for name in names)
    return f'[defaults]\nruntime = "python3.13"\narch = "arm64"\n{tables}{extra}'
