"""The folder that a run works in, the monorepos there, and the environment of every command."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.generate import Function, functions, generate
from benchmarks.measure import CommandError, Sample, measure
from benchmarks.results import Timed

BUNDLE = "invoke bundle --all"
ASIDE = "aside"
"""Where a monorepo has what is not to be deleted yet."""
_DROPPED = (
    "LAMBDA_BUNDLE_",
    "PYTHON",
    "VIRTUAL_ENV",
    "PIP_FIND_LINKS",
    "PIP_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
)
"""Variables that would change what is installed, or where from: a folder of wheels on the machine is faster
than an index."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the cases share."""

    work: Path
    """Everything is written below this folder, temporary files too."""
    runs: int
    n: int
    """How many functions the ordinary cases have,"""
    many: int
    """those in which next to nothing has changed,"""
    most: int
    """the largest,"""
    few: int
    """and the one that the peers bundle too."""
    peers: Path | None = None
    """Where the peers are installed, if not on `PATH`."""
    _repos: dict[int, Repo] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """Of every command: this process's, with caches below `work`, and the tools beside this Python first.

        pip's configuration files are not read: one that names a folder of the machine would make its
        downloads look faster than those of uv, which does not read them.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        tools = [Path(sys.executable).parent, *([self.peers / "bin", self.peers] if self.peers else [])]
        return {
            **kept,
            "PATH": os.pathsep.join([*map(str, tools), os.environ.get("PATH", os.defpath)]),
            "TMPDIR": str(self.folder("tmp")),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_CACHE_DIR": str(self.work / "caches/pip"),
            "UV_PYTHON_DOWNLOADS": "never",
            **self.caches("caches"),
        }

    def caches(self, name: str) -> dict[str, str]:
        """The variables that say where uv's cache is, and ours."""
        return {
            "UV_CACHE_DIR": str(self.work / name / "uv"),
            "LAMBDA_BUNDLE_CACHE": str(self.work / name / "lambda-bundle"),
        }

    def folder(self, name: str) -> Path:
        """A folder below `work`."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def empty(self, name: str) -> Path:
        """An empty folder below `work`."""
        remove(self.work / name)
        return self.folder(name)

    def fresh(self, name: str) -> str:
        """The path below `work` of a folder that is not there yet, in the one called `name`."""
        return next(one for number in count(1) if not (self.work / (one := f"{name}/{number}")).exists())

    def forget(self) -> None:
        """Empty our own cache; uv's stays."""
        remove(self.work / "caches/lambda-bundle")

    def has(self, tool: str) -> bool:
        """Whether a command is installed."""
        return shutil.which(tool, path=self.environ["PATH"]) is not None

    def run(
        self,
        command: str,
        *arguments: str,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        memory: bool = False,
    ) -> Sample:
        """Run a shell command in `cwd` (default: `work`); `arguments` are its `$1` and so on."""
        return measure(
            ["sh", "-c", command, "sh", *arguments],
            cwd=cwd or self.work,
            environ={**self.environ, **(environ or {})},
            log=self.work / "log.txt",
            memory=memory,
        )

    def repo(self, n: int) -> Repo:
        """The monorepo of `n` functions; written when it is asked for first."""
        if n not in self._repos:
            remove(self.work / f"n{n}")
            generate(self.work / f"n{n}", n)
            self._repos[n] = Repo(bench=self, n=n, root=self.work / f"n{n}")
        return self._repos[n]

    def alternate(self, *commands: tuple[str, Callable[[], Sample]], at_least: int = 0) -> list[Timed]:
        """Run the commands in turn, `runs` times, so that a busy minute of the machine hits them all."""
        samples = [[run() for _, run in commands] for _ in range(max(self.runs, at_least))]
        return [
            Timed.of(command, column)
            for (command, _), column in zip(commands, zip(*samples, strict=True), strict=True)
        ]


@dataclass(kw_only=True)
class Repo:
    """A generated monorepo."""

    bench: Bench
    n: int
    root: Path
    edits: int = 0
    _manifests: dict[str, bytes] = field(default_factory=dict)

    @property
    def functions(self) -> tuple[Function, ...]:
        """What is in it."""
        return functions(self.n)

    def run(self, command: str, *arguments: str, memory: bool = False) -> Sample:
        """Run a command in it."""
        return self.bench.run(command, *arguments, cwd=self.root, memory=memory)

    def bundle(
        self,
        output: str = "dist",
        *,
        options: str = "",
        environ: Mapping[str, str] | None = None,
        memory: bool = False,
    ) -> Sample:
        """Bundle everything. Raises `CommandError`, also when an artifact is missing or not what it was."""
        sample = self.bench.run(f"{BUNDLE}{options}", cwd=self.root, environ=environ, memory=memory)
        self._check(output)
        return sample

    def _check(self, output: str) -> None:
        folder = self.root / output
        found = sum(1 for _ in folder.glob("fn-*"))
        if found != self.n:
            raise CommandError(f"{found} artifacts instead of {self.n}")
        manifest = (folder / "manifest.json").read_bytes()
        if self._manifests.setdefault(output, manifest) != manifest:
            raise CommandError("the artifacts are not those of the run before")

    def again(self, output: str = "dist", *, options: str = "") -> Sample:
        """Bundle everything when the caches are there and the artifacts are not."""
        self.delete(output)
        return self.bundle(output, options=options)

    def cold(self) -> Sample:
        """Bundle everything when nothing is there but the sources; nothing is deleted before."""
        name = self.bench.fresh("cold")
        self.set_aside("dist")
        return self.bundle(environ=self.bench.caches(name))

    def compressed_anew(self, *, memory: bool = False) -> Sample:
        """Bundle everything when uv's cache is there, and neither ours nor the artifacts are."""
        self.bench.forget()
        self.delete("dist")
        return self.bundle(memory=memory)

    def edit(self) -> None:
        """Change one line of one function that has large dependencies."""
        function = next((one for one in self.functions if one.deps == "large"), self.functions[0])
        self.edits += 1
        with (self.root / function.entry / "svc/mod_0.py").open("a", encoding="utf-8") as file:
            file.write(f"EDITED = {self.edits}\n")
        self._manifests.clear()

    def edited(self) -> Sample:
        """Bundle everything after an edit."""
        self.edit()
        return self.bundle()

    def set_aside(self, name: str) -> None:
        """Move a folder out of the way, if it is there."""
        if (self.root / name).exists():
            aside = self.root / ASIDE
            aside.mkdir(exist_ok=True)
            (self.root / name).replace(aside / f"{name}{len(list(aside.iterdir()))}")

    def copy(self) -> Sample:
        """Copy the artifacts."""
        remove(self.root / "copy")
        sample = self.run("cp -r dist copy")
        remove(self.root / "copy")
        return sample

    def delete(self, output: str) -> None:
        """Delete the artifacts."""
        remove(self.root / output)


def remove(path: Path) -> None:
    """Remove a folder, if it is there."""
    if path.exists():
        shutil.rmtree(path)
