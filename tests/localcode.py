"""Local projects with a build backend of their own, so that real builds need no index."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelhouse import Wheelhouse

BACKEND = '''
"""Builds a wheel of what is in src/, as wheel.json says; marks that it ran, and leaves things behind."""
import json, os, pathlib, time, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    told = json.loads(pathlib.Path("wheel.json").read_text(encoding="utf-8"))
    if told.get("mark"):
        with open(told["mark"], "a", encoding="utf-8") as mark:
            mark.write(told["name"] + "\\n")
    if told.get("fail"):
        raise SystemExit("\\n".join(f"line {number}" for number in range(100)) + "\\n" + told["fail"])
    pathlib.Path("build").mkdir(exist_ok=True)
    pathlib.Path("build/left-behind.txt").write_text("x")
    module = told["name"].replace("-", "_").replace(".", "_")
    info = f"{module}-{told['version']}.dist-info"
    root = pathlib.Path.cwd()
    requires = [one.replace("{root}", root.as_uri()) for one in told["requires"]]
    metadata = [f"Metadata-Version: 2.1\\nName: {told['name']}\\nVersion: {told['version']}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    metadata += [f"Provides-Extra: {one}" for one in told["extras"]]
    metadata += [f"Requires-Python: {told['python']}"] if told["python"] else []
    tag = told["tag"]
    pure = "true" if tag.endswith("-any") else "false"
    content = {
        f"{info}/METADATA": "\\n".join(metadata) + "\\n\\nAbout.\\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: {os.getpid()}\\n"
        f"Root-Is-Purelib: {pure}\\nTag: {tag}\\n",
        f"{info}/entry_points.txt": f"[console_scripts]\\n{module} = {module}:main\\n",
    }
    name = f"{module}-{told['version']}-{tag}.whl"
    now = time.localtime()[:6]  # the worst backend: every build is another file
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path, now), text)
        for path in sorted(pathlib.Path("src").rglob("*"), reverse=bool(os.getpid() % 2)):
            if path.is_file():
                archive.write(path, path.relative_to("src").as_posix())
        archive.writestr(f"{info}/RECORD", "")
    return name
'''


def project(
    folder: Path,
    name: str | None = None,
    version: str = "1.0",
    *,
    requires: Iterable[str] = (),
    extras: Iterable[str] = (),
    python: str | None = None,
    tag: str = "py3-none-any",
    files: Mapping[str, str | bytes] | None = None,
    tools: Sequence[str] = (),
    more: str = "",
    mark: Path | None = None,
    fail: str | None = None,
) -> Path:
    """Write a project: one package of its name, or `files`, below src/; the folder.

    `{root}` in a dependency is the URL of the folder in which it is built; `more` goes into pyproject.toml;
    each build adds a line to the file `mark`.
    """
    name = name or folder.name
    module = name.replace("-", "_").replace(".", "_")
    told = {
        "name": name,
        "version": version,
        "requires": list(requires),
        "extras": list(extras),
        "python": python,
        "tag": tag,
        "mark": str(mark) if mark else None,
        "fail": fail,
    }
    content: dict[str, str | bytes] = {
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n'
        f"[build-system]\nrequires = {json.dumps(list(tools))}\n"
        f'build-backend = "backend"\nbackend-path = ["."]\n{more}',
        "backend.py": BACKEND,
        "wheel.json": json.dumps(told),
    }
    sources = {f"{module}/__init__.py": f'VERSION = "{version}"\n'} if files is None else files
    content |= {f"src/{path}": data for path, data in sources.items()}
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def archive(folder: Path, path: Path, *, mtime: int = 10**9) -> Path:
    """A source archive of a project, with one folder at its top."""
    with tarfile.open(path, "w:gz") as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                data = file.read_bytes()
                member = tarfile.TarInfo(
                    f"{path.name.removesuffix('.tar.gz')}/{file.relative_to(folder).as_posix()}"
                )
                member.size, member.mtime = len(data), mtime
                packed.addfile(member, io.BytesIO(data))
    return path


def released(wheelhouse: Wheelhouse, tmp_path: Path, name: str, version: str = "1.0", **how: Any) -> Path:
    """A source distribution of a project in the wheelhouse."""
    folder = project(tmp_path / f"sources-{name}-{version}", name, version, **how)
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "PKG-INFO").write_text(about)
    return archive(folder, wheelhouse.folder / f"{name.replace('-', '_')}-{version}.tar.gz")


def repository(folder: Path, environ: Mapping[str, str]) -> Path:
    """Make a folder a git repository, with what is in it as its first commit."""
    git(folder, environ, "init", "--quiet", "--initial-branch", "main")
    commit(folder, environ)
    return folder


def commit(folder: Path, environ: Mapping[str, str]) -> str:
    """Commit whatever has changed; the hash."""
    git(folder, environ, "add", "--all")
    git(folder, environ, "commit", "--quiet", "--message", "x")
    return git(folder, environ, "rev-parse", "HEAD")


def git(folder: Path, environ: Mapping[str, str], *arguments: str) -> str:
    who = {
        f"GIT_{role}_{what}": "x@example.com"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - whichever git there is
        cwd=folder,
        env={**environ, **who, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.strip()
