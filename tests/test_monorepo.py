"""The workspace among the examples: what its lock says is what each function gets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_examples import MEMBERS, copy_project, lock
from uv import find_uv_bin

from lambda_bundle import Result, bundle, load, plan
from lambda_bundle.targets import Target

pytestmark = pytest.mark.index

SHARED = {
    "orders": {"catalog", "money"},
    "stock": {"catalog", "money"},
    "invoices": {"money"},
    "reminders": set(),
}
"""The members that each function contains."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("monorepo") / "checkout")


def build(checkout: Path, environ: Mapping[str, str], **options: Any) -> dict[str, Result]:
    jobs = plan(load(checkout / "bundles.toml"), MEMBERS, output=checkout / "out")
    results = bundle(jobs, environ=environ, **options)
    assert not [problem for one in results for problem in one.problems]
    return {one.job.name: one for one in results}


def wheels(checkout: Path) -> dict[str, dict[str, str]]:
    """What the manifest says: versions by the names of distributions, for each function."""
    rows = json.loads((checkout / "out" / "manifest.json").read_text())["artifacts"]
    return {name: {wheel["name"]: wheel["version"] for wheel in row["wheels"]} for name, row in rows.items()}


def locked(workspace: Path, name: str, target: Target) -> dict[str, str]:
    """What uv's own export lists for a function, where its markers hold on the target."""
    listing = ["export", "--locked", "--no-hashes", "--no-header", "--no-annotate", "--no-emit-local"]
    chosen = ["--package", name, "--no-dev", "--group", *MEMBERS[name]["groups"]]
    command = [find_uv_bin(), *listing, *chosen, "--no-python-downloads", "--python", sys.executable]
    done = subprocess.run(command, cwd=workspace, capture_output=True, encoding="utf-8", check=True)
    pins = [Requirement(line) for line in done.stdout.splitlines()]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate({**target.markers, "extra": ""})
    }


@pytest.mark.parametrize(
    ("runtime", "backend"),
    [
        ("python3.13", "uv"),
        ("python3.13", "pip"),
        ("python3.11", "uv"),
        pytest.param("python3.11", "pip", marks=pytest.mark.campaign),
    ],
)
def test_what_is_locked_is_what_is_installed(
    checkout: Path, tmp_path: Path, clean_environ: Mapping[str, str], backend: str, runtime: str
) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns("out"))
    text = (folder / "bundles.toml").read_text()
    override = f'[[overrides]]\nselect = {json.dumps(list(MEMBERS))}\nruntime = "{runtime}"\n'
    declared = text.replace('backend = "pip"\n', "") + override + f'backend = "{backend}"\n'
    (folder / "bundles.toml").write_text(declared)
    results = build(folder, clean_environ)
    for name, found in wheels(folder).items():
        target = results[name].job.target
        expected = locked(folder / "examples" / "monorepo", name, target)
        assert found == {**expected, **dict.fromkeys(SHARED[name], "1.0")}, name
    assert not [name for name, found in wheels(folder).items() if "pytest" in found]


def test_a_member_s_source_is_in_every_bundle_that_needs_it(
    checkout: Path, tmp_path: Path, clean_environ: Mapping[str, str]
) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns("out"))
    declared = (folder / "bundles.toml").read_text()
    (folder / "bundles.toml").write_text(declared.replace('backend = "pip"\n', ""))  # pip takes its time
    build(folder, clean_environ)
    source = folder / "examples" / "monorepo" / "packages" / "money" / "src" / "money" / "__init__.py"
    source.write_text(source.read_text() + "\nCURRENCY = 'EUR'\n")
    again = build(folder, clean_environ)
    told = {name: one.reasons for name, one in again.items()}
    changed = ("examples/monorepo/packages/money changed",)
    assert told == {"orders": changed, "stock": changed, "invoices": changed, "reminders": ()}


def test_lock_that_is_stale(checkout: Path, tmp_path: Path, clean_environ: Mapping[str, str]) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns("out"))
    project = folder / "examples" / "monorepo" / "services" / "stock" / "pyproject.toml"
    project.write_text(project.read_text().replace("tabulate>=0.9", "tabulate>=0.9,<99"))
    jobs = plan(load(folder / "bundles.toml"), ["stock"], output=folder / "out")
    (result,) = bundle(jobs, environ=clean_environ)
    (problem,) = result.problems
    assert result.status == "failed"
    assert "uv lock" in str(problem.hint)
    lock(folder / "examples" / "monorepo")
    assert bundle(jobs, environ=clean_environ)[0].status == "built"
