"""Find a CPython on this host that can stand for a target's.

Nothing is ever downloaded: what uv manages, what pyenv has built and what is on PATH is all there is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambda_bundle.errors import BundleError
from lambda_bundle.process import Children
from lambda_bundle.targets import Target

_PROBE = (
    "import json, platform, sys, sysconfig; print(json.dumps(["
    "sys.implementation.name, platform.python_version(), platform.machine(), sys.platform,"
    "sysconfig.get_config_var('EXT_SUFFIX') or '']))"
)
_TIMEOUT = 60.0
_SYSROOT = "/usr/{machine}-linux-gnu"
"""Where Debian's cross packages put the C library of another architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython of this host."""

    command: tuple[str, ...]
    """What starts it, the emulator included."""
    version: str
    """Such as 3.13.0."""
    machine: str
    system: str
    """sys.platform: linux, darwin, win32."""
    suffix: str
    """The ending of extension modules that are for it alone, such as .cpython-313-x86_64-linux-gnu.so."""
    emulated: bool = False
    """Whether it runs under qemu."""

    @property
    def minor(self) -> tuple[int, int]:
        """Python's major and minor version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def loads(self, target: Target) -> bool:
        """Whether it loads what is compiled for the target, and nothing else: the same ABI on glibc."""
        return self.suffix == f".cpython-{target.abi.removeprefix('cp')}-{target.machine}-linux-gnu.so"

    def __str__(self) -> str:
        emulated = " under qemu" if self.emulated else ""
        system = "" if self.system == "linux" else f" ({self.system})"
        return f"CPython {self.version} on {self.machine}{system}{emulated}"


class Interpreters:
    """The interpreters of this host; each is looked at once."""

    def __init__(
        self,
        children: Children,
        environ: Mapping[str, str],
        folder: Path,
        *,
        given: Sequence[Path] = (),
        uv: str | None = None,
    ) -> None:
        """`folder` is where they are run; `given` are those to choose from, instead of all that are found."""
        self._children, self._environ, self._folder = children, environ, folder
        self.given = tuple(given)
        self._uv = uv
        self._known: dict[str, list[Path]] = {}
        self._probed: dict[tuple[str, ...], Interpreter | None] = {}

    def probe(self, path: Path) -> Interpreter | None:
        """The CPython behind a path, or None when there is none that runs here."""
        return self._probe(str(path))

    def of(self, target: Target) -> Iterator[Interpreter]:
        """Every interpreter of the target's Python version, those of this machine first."""
        seen = set()
        for path in self.given or self._candidates(target):
            found = self._probe(str(path)) or self._emulated(str(path), target)
            if found is not None and found.minor == target.version and found.command not in seen:
                seen.add(found.command)
                yield found

    def _candidates(self, target: Target) -> Iterator[Path]:
        version = f"{target.version[0]}.{target.version[1]}"
        if sys.version_info[:2] == target.version:
            yield Path(sys.executable)
        yield from _pyenv(self._environ, version)
        if version not in self._known:
            self._known[version] = list(self._managed(version))
        yield from self._known[version]
        on_path = shutil.which(f"python{version}", path=self._environ.get("PATH"))
        if on_path and Path(on_path).parent.name != "shims":  # pyenv's: looked at above
            yield Path(on_path)

    def _managed(self, version: str) -> Iterator[Path]:
        """What uv finds, and what it manages for other architectures."""
        if self._uv is None:
            return
        asked = [self._uv, "python", "find", "--system", "--no-project", "--no-python-downloads", version]
        found = self._lines(asked)
        if found:
            yield Path(found[-1])
        folder = self._lines([self._uv, "python", "dir"])
        if folder:
            pattern = f"cpython-{version}.*-linux-*-gnu/bin/python{version}"
            yield from sorted(Path(folder[-1]).glob(pattern))

    def _lines(self, command: Sequence[str]) -> list[str]:
        """What a command of uv says; nothing when it fails, as it does when it finds none."""
        done = self._children.run(command, cwd=self._folder, environ=self._environ, timeout=_TIMEOUT)
        return [] if done.code else done.output.split("\n")[:-1]

    def _emulated(self, path: str, target: Target) -> Interpreter | None:
        """One for another architecture, under qemu's user mode where that is installed."""
        name = f"qemu-{target.machine}"
        search = self._environ.get("PATH")
        emulator = shutil.which(name, path=search) or shutil.which(f"{name}-static", path=search)
        if emulator is None:
            return None
        sysroot = Path(_SYSROOT.format(machine=target.machine))
        options = ["-L", str(sysroot)] if sysroot.is_dir() and "QEMU_LD_PREFIX" not in self._environ else []
        return self._probe(emulator, *options, path)

    def _probe(self, *command: str) -> Interpreter | None:
        if command not in self._probed:
            self._probed[command] = self._ask(command)
        return self._probed[command]

    def _ask(self, command: tuple[str, ...]) -> Interpreter | None:
        try:
            done = self._children.run(
                [*command, "-S", "-c", _PROBE], cwd=self._folder, environ=self._environ, timeout=_TIMEOUT
            )
            name, version, machine, system, suffix = json.loads(done.output.splitlines()[-1])
        except (BundleError, ValueError, IndexError):  # not there, for another machine, or no Python
            return None
        if done.code or name != "cpython":
            return None
        emulated = len(command) > 1 or (system == "linux" == sys.platform and machine != os.uname().machine)
        return Interpreter(
            command=command,
            version=version,
            machine=machine,
            system=system,
            suffix=suffix,
            emulated=emulated,
        )


def is_ours(interpreter: Interpreter) -> bool:
    """Whether what is installed beside us is for this interpreter too."""
    same = interpreter.minor == sys.version_info[:2]
    return same and interpreter.suffix == sysconfig.get_config_var("EXT_SUFFIX")


def _pyenv(environ: Mapping[str, str], version: str) -> Iterator[Path]:
    """pyenv's, the newest first: its shims stand on PATH for versions that are not switched on too."""
    root = environ.get("PYENV_ROOT")
    folder = Path(root) if root else Path.home() / ".pyenv"
    found = []
    for path in folder.glob(f"versions/{version}.*/bin/python"):
        match = re.fullmatch(r"\d+\.\d+\.(\d+)", path.parent.parent.name)
        if match:
            found.append((int(match[1]), path))
    yield from (path for _, path in sorted(found, reverse=True))
