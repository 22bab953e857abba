"""Small repositories with a bundles.toml, and commands run in them as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        for text in (done.stdout, done.stderr):
            assert "Traceback" not in text, text
            assert "\x1b" not in text, text
        return Ran(done.returncode, done.stdout, done.stderr)


def functions(*names: str, extra: str = "") -> str:
    """A bundles.toml with one function for each name; their sources are in src/."""
    tables = "".join(f'[functions.{name}]\nentry = "src"\nhandler = "main.handler"\n' for name in names)
    return f'[defaults]\nruntime = "python3.13"\narch = "arm64"\n{tables}{extra}'
