"""A repository with functions, bundled through the public API, and ways to look at what comes out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelhouse import Wheelhouse

from lambda_bundle import Problem, Progress, Result, bundle, load, plan

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Workshop:
    """A folder with a bundles.toml and sources."""

    root: Path
    environ: Mapping[str, str]

    @property
    def output(self) -> Path:
        return self.root / "dist"

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def declare(
        self,
        functions: Mapping[str, Values],
        layers: Mapping[str, Values] | None = None,
        defaults: Values | None = None,
    ) -> None:
        """Write the bundles.toml; without an entry, a function's sources are in src/."""
        common = {"runtime": "python3.13", "arch": "arm64", **(defaults or {})}
        ordinary = {"entry": "src", "handler": "app.handler"}
        tables = {f"functions.{name}": {**ordinary, **values} for name, values in functions.items()}
        tables |= {f"layers.{name}": {"entry": "src", **values} for name, values in (layers or {}).items()}
        lines = []
        for title, values in {"defaults": common, **tables}.items():
            lines += [f"[{title}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        self.write({"bundles.toml": "\n".join(lines) + "\n"})

    def bundle(
        self,
        *only: str,
        workers: int | None = 2,
        fail_fast: bool = False,
        progress: Progress | None = None,
        output: Path | None = None,
        environ: Mapping[str, str] | None = None,
        force: bool = True,
        upgrade: bool = False,
        locked: bool = False,
    ) -> dict[str, Result]:
        """Bundle what is declared; the results by name, in the order in which they came."""
        config = load(self.root / "bundles.toml")
        results = bundle(
            plan(config, only or ("*",), output=output),
            workers=workers,
            fail_fast=fail_fast,
            force=force,
            upgrade=upgrade,
            locked=locked,
            environ={**self.environ, **(environ or {})},
            progress=progress,
            known=[entry.name for entry in config.entries],
        )
        return {result.job.name: result for result in results}

    def build(self, *only: str, **options: Any) -> dict[str, dict[str, bytes]]:
        """Bundle, and give the content of each artifact; every one must have been built."""
        results = self.bundle(*only, **options)
        assert {name: told(result) for name, result in results.items()} == {name: [] for name in results}
        assert {result.status for result in results.values()} == {"built"}
        return {name: content(result.job.artifact) for name, result in results.items()}

    def fail(self, *only: str, **options: Any) -> tuple[Problem, ...]:
        """Bundle, and give the problems; not one may have been built."""
        results = self.bundle(*only, **options)
        assert {result.status for result in results.values()} == {"failed"}
        return tuple(problem for result in results.values() for problem in result.problems)

    @property
    def manifest(self) -> dict[str, Any]:
        """The rows of the manifest by name."""
        rows: dict[str, Any] = json.loads((self.output / "manifest.json").read_bytes())["artifacts"]
        return rows

    @property
    def left(self) -> list[str]:
        """What is in the output folder."""
        return sorted(path.name for path in self.output.iterdir())


def one_function(root: Path, environ: Mapping[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A repository with a function, which has a dependency."""
    wheelhouse.wheel("pure", files={"pure/__init__.py": "1\n"})
    made = Workshop(root, environ)
    handler = "def handler(event, context): ...\n"
    made.write({"src/app.py": handler, "src/requirements.txt": "pure\n", "src/pkg/data.txt": "data\n"})
    made.declare({"api": {}})
    return made


def wheels(shop: Workshop, name: str = "api") -> list[tuple[str, str]]:
    """The names and versions in the manifest's row of a function."""
    return [(row["name"], row["version"]) for row in shop.manifest[name]["wheels"]]


def told(result: Result) -> list[str]:
    """The errors of a result, as one line each."""
    return [f"{one.where}: {one.message}" for one in result.problems if one.severity == "error"]


def content(artifact: Path) -> dict[str, bytes]:
    """What is in an artifact, by path."""
    if artifact.is_dir():
        files = (path for path in artifact.rglob("*") if path.is_file())
        return {str(path.relative_to(artifact)): path.read_bytes() for path in sorted(files)}
    with zipfile.ZipFile(artifact) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def modes(artifact: Path) -> dict[str, int]:
    """The permissions of what is in an artifact."""
    if artifact.is_dir():
        paths = (artifact, *artifact.rglob("*"))
        return {str(path.relative_to(artifact)): path.lstat().st_mode & 0o7777 for path in paths}
    with zipfile.ZipFile(artifact) as archive:
        return {member.filename: member.external_attr >> 16 & 0o7777 for member in archive.infolist()}


def snapshot(folder: Path, *, without: Sequence[str] = ()) -> dict[str, tuple[int, int, int, bytes]]:
    """All that can be told of a tree: permissions, times, content; `without` some folders at its top."""
    found = {}
    for path in sorted((folder, *folder.rglob("*"))):
        relative = path.relative_to(folder)
        if relative.parts and relative.parts[0] not in without:
            status = path.lstat()
            held = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(relative)] = (status.st_mode, status.st_mtime_ns, status.st_ctime_ns, held)
    return found
