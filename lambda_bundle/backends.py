"""Find the backend that a job asks for on this host."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.exports import find_uv
from lambda_bundle.installers import Installer
from lambda_bundle.process import Children
from lambda_bundle.variables import for_backends

_PROBE_TIMEOUT = 60.0


class Backends:
    """The backends of one run; each is looked for once."""

    def __init__(self, children: Children, environ: Mapping[str, str], folder: Path) -> None:
        self._children, self._environ, self._folder = children, environ, folder
        self._lock = threading.Lock()
        self._found: dict[str, Installer] = {}

    def get(self, name: str) -> Installer:
        """The backend of this name. Raises `BundleError` when the host has none that serves."""
        with self._lock:
            if name not in self._found:
                self._found[name] = self._uv() if name == "uv" else self._pip()
            return self._found[name]

    def _uv(self) -> Installer:
        from lambda_bundle.installer_uv import Uv  # noqa: PLC0415 - few runs need both

        return Uv(find_uv())

    def _pip(self) -> Installer:
        """That of the first Python which has one that serves: the one that runs us, then those on PATH."""
        from lambda_bundle.installer_pip import OLDEST, Pip  # noqa: PLC0415 - see above

        seen = []
        environ = for_backends(self._environ)
        for python in dict.fromkeys(_pythons(self._environ)):
            told = self._children.run(
                [python, "-m", "pip", "--version"],
                cwd=self._folder,
                environ=environ,
                timeout=_PROBE_TIMEOUT,
            )
            version = re.match(r"pip (\d+)\.(\d+)", told.output)
            if told.code == 0 and version and (int(version[1]), int(version[2])) >= OLDEST:
                return Pip(python)
            seen.append(
                f"{python}: {told.output.strip().splitlines()[-1] if told.output.strip() else 'no pip'}"
            )
        oldest = ".".join(map(str, OLDEST))
        raise BundleError(
            Problem(
                code=Code.PYTHON_MISSING,
                message=f"no Python on this host has pip {oldest} or newer, which the pip backend needs",
                hint='install pip (python -m ensurepip --upgrade), or use backend = "uv"',
                detail="\n".join(seen),
            )
        )


def _pythons(environ: Mapping[str, str]) -> Iterator[str]:
    yield sys.executable
    for name in ("python3", "python"):
        found = shutil.which(name, path=environ.get("PATH"))
        if found:
            yield found
