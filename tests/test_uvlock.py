"""Whether a uv.lock is of its project, told without uv: it agrees with uv, and names what differs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomli
from uv import find_uv_bin
from wheelhouse import Wheelhouse

from lambda_bundle.targets import Target
from lambda_bundle.uvlock import difference

TARGET = Target("python3.13", "arm64")
PROJECT = """
[project]
name = "app"
version = "0"
requires-python = ">=3.10"
dependencies = [
    "pure>=1",
    "pure<9; python_version >= '3.12'",
    "pure!=5",
    "both[Fast,more]; python_version >= '3.13'",
    "never; sys_platform == 'win32'",
    "near @ {near}",
]
[project.optional-dependencies]
Extra_One = ["other==1.0"]
[dependency-groups]
Dev_Tools = ["tool<2", {{ include-group = "base" }}]
base = ["below"]
[tool.uv]
dev-dependencies = ["late"]
"""
NAMES = ("pure", "both", "never", "near", "other", "tool", "below", "late", "new")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, clean_environ: Mapping[str, str]) -> Path:
    """A project that uv has locked."""
    folder = tmp_path_factory.mktemp("uvlock")
    (folder / "wheels").mkdir()
    house = Wheelhouse(folder / "wheels")
    for name in NAMES:
        house.wheel(name, extras={"fast": [], "more": []} if name == "both" else {})
    (near,) = house.folder.glob("near-*")
    (folder / "app").mkdir()
    (folder / "app/pyproject.toml").write_text(PROJECT.format(near=near.as_uri()))
    lock(folder / "app", clean_environ)
    return folder / "app"


def lock(project: Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `uv lock` with the wheels beside the project."""
    command = [find_uv_bin(), "lock", "--quiet", "--offline", "--no-index", "--find-links", "../wheels"]
    return subprocess.run([*command, *arguments], cwd=project, env=dict(environ), check=not arguments)


def says(project: str, lock: str) -> str | None:
    return difference(tomli.loads(lock), {"app": tomli.loads(project)}, TARGET)


CHANGES: dict[str, tuple[str, str, str]] = {
    "another version": ("pure>=1", "pure>=0.5", "app now needs pure!=5,<9,>=0.5"),
    "one more": ('"pure>=1",', '"pure>=1", "new",', "app now needs new"),
    "one less": ('"pure!=5",', "", "app now needs pure<9,>=1"),
    "another extra": ("both[Fast,more]", "both[fast]", "app now needs both"),
    "another marker": ("sys_platform == 'win32'", "sys_platform == 'linux'", "app now needs never"),
    "in an extra": ("other==1.0", "other==1.0,<3", "app now needs other<3,==1.0 (extra-one)"),
    "another group": ("tool<2", "tool<3", "app now needs tool<3 (group dev-tools)"),
    "what a group includes": (
        'base = ["below"]',
        'base = ["below", "new"]',
        "app now needs new (group base)",
    ),
    "the old way": ('["late"]', '["late", "new"]', "app now needs new (group dev)"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_uv_calls_stale_is_named(
    locked: Path, tmp_path: Path, clean_environ: Mapping[str, str], change: str
) -> None:
    before, after, said = CHANGES[change]
    text = (locked / "pyproject.toml").read_text()
    assert before in text
    changed = text.replace(before, after)
    assert says(changed, (locked / "uv.lock").read_text()) == said
    shutil.copytree(locked, tmp_path / "app")
    (tmp_path / "app/pyproject.toml").write_text(changed)
    shutil.copytree(locked.parent / "wheels", tmp_path / "wheels")
    assert lock(tmp_path / "app", clean_environ, "--check").returncode != 0


def test_what_uv_has_locked_agrees(locked: Path, clean_environ: Mapping[str, str]) -> None:
    text = (locked / "pyproject.toml").read_text()
    assert says(text, (locked / "uv.lock").read_text()) is None
    assert lock(locked, clean_environ, "--check").returncode == 0
    # the same, written in another way
    other = text.replace("both[Fast,more]", "Both[more, fast]").replace("pure>=1", "Pure >= 1")
    assert says(other, (locked / "uv.lock").read_text()) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"pure>=1",', '"pure>=1", "no requirement ==",'),
        ("requires-python", 'dynamic = ["dependencies"]\nrequires-python'),
        ('include-group = "base"', 'include-group = "nowhere"'),
    ],
    ids=["no requirement", "what only a build can tell", "no group"],
)
def test_what_cannot_be_told_is_left_to_uv(locked: Path, before: str, after: str) -> None:
    text = (locked / "pyproject.toml").read_text()
    assert before in text
    assert says(text.replace(before, after, 1), (locked / "uv.lock").read_text()) is None


def test_a_project_that_is_not_in_the_lock(locked: Path) -> None:
    data = tomli.loads((locked / "uv.lock").read_text())
    assert difference(data, {"more": {}}, TARGET) == "more is not in it"
