"""Imports go downwards, and names of other packages stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import lambda_bundle

FOLDER = Path(lambda_bundle.__file__).parent
ORDER = [
    # values that everything speaks of
    *("errors", "targets", "stdlib"),
    # how files were, and what is kept between runs
    *("stamps", "cache"),
    # from bundles.toml to jobs
    *("positions", "toml_errors", "findings", "indexes", "checks", "entries", "models", "config", "jobs"),
    # running commands
    *("once", "process", "worker", "processes", "hooks"),
    # from requirements to wheels
    *(
        "variables",
        "lock",
        "wanted",
        "reqlines",
        "reqspec",
        "reqfile",
        "registries",
        "access",
        "installed",
        "needs",
        "unpack",
        "installers",
    ),
    *("projects", "pylock", "lockfile", "uvlock", "exports", "foreign"),
    *("uv_commands", "uv_output", "installer_uv"),
    *("pip_commands", "pip_output", "pip_report", "pip_markers", "installer_pip", "backends", "resolutions"),
    # whether binaries load on a target
    *("elf", "systems", "binaries"),
    # from sources and wheels to artifacts
    *(
        "copies",
        "stage",
        "deflation",
        "spool",
        "members",
        "packing",
        "git",
        "local",
        "purewheel",
        "sdist",
        "localwheel",
        "builder",
    ),
    "requirements",
    *("sets", "orders", "pieces", "store", "contents", "layers", "limits"),
    # whether they would load
    *(
        "modules",
        "conditions",
        "source",
        "syntax",
        "reading",
        "scope",
        "failures",
        "imports",
        "bytecode",
        "closure",
        "hygiene",
        "verify",
        "verdicts",
    ),
    *("unpacked", "inspection", "sizes"),
    *("result", "archive", "manifest", "working", "settings", "records", "freshness"),
    *("restoring", "shared", "inputs", "assembly", "locking", "pool", "pipeline", "clean"),
    # running an artifact
    *("bootstrap", "interpreters", "provided", "runtime_api", "sandbox", "smoke", "subjects"),
    # the edge
    *(
        "terminal",
        "console",
        "report",
        "smoke_report",
        "verify_report",
        "sizes_report",
        "edge",
        "options",
        "tasks",
        "cli",
    ),
]
"""A module may import those before it, and none after it."""

ROOMS = {
    "awslambdaric": {"bootstrap"},
    "deflate": {"freshness", "deflation"},
    "elftools": {"elf"},
    "filelock": {"cache", "manifest", "working"},
    "invoke": {"edge", "tasks", "cli"},
    "pathspec": {"stage"},
    "pip": {"pip_markers"},
    "platformdirs": {"cache"},
    "pydantic": {"models"},
    "rich": {"terminal"},
    "ruff": {"syntax"},
    "subprocess": {"process"},
    "tomli": {"config", "positions", "projects", "registries", "local", "uv_output"},
    "tomli_w": {"lockfile"},
    "uv": {"exports"},
}

TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.rglob("*.py")}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            assert node.module is not None
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if node.module == "lambda_bundle" and name.name in TREES else node.module


def own(tree: ast.AST) -> set[str]:
    """The modules of the package that are imported."""
    prefix = "lambda_bundle."
    return {name.removeprefix(prefix) for name in imported(tree) if name.startswith(prefix)}


def test_every_module_has_its_place() -> None:
    assert sorted({*ORDER, "__init__"}) == sorted(TREES)
    assert len(set(ORDER)) == len(ORDER)
    assert not [path for path in FOLDER.rglob("*.py") if path.parent != FOLDER], "modules are flat"


@pytest.mark.parametrize("name", ORDER)
def test_imports_go_downwards(name: str) -> None:
    below = set(ORDER[: ORDER.index(name)])
    assert own(TREES[name]) <= below


@pytest.mark.parametrize("package", ROOMS)
def test_names_of_others_stay_in_their_rooms(package: str) -> None:
    users = {
        name
        for name, tree in TREES.items()
        if any(module.partition(".")[0] == package for module in imported(tree))
    }
    assert users <= ROOMS[package]


def test_every_package_of_others_has_a_room() -> None:
    outside = {module.partition(".")[0] for tree in TREES.values() for module in imported(tree)}
    assert outside - set(sys.stdlib_module_names) - {"lambda_bundle"} <= {*ROOMS, "packaging"}


def test_no_module_is_called_like_one_of_python() -> None:
    """Two of them are run as files, with their folder in front of the path."""
    assert not set(sys.stdlib_module_names) & set(TREES)


def test_no_module_is_called_a_drawer() -> None:
    assert not {"utils", "util", "helpers", "helper", "base", "manager", "common"} & set(TREES)


def test_what_is_exported_has_no_module_s_name() -> None:
    assert not set(lambda_bundle.__all__) & set(TREES)


def loaded(statement: str, environ: Mapping[str, str]) -> set[str]:
    """The packages and modules that a statement loads in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(environ), capture_output=True, encoding="utf-8", check=True
    )
    return set(done.stdout.split())


def test_the_package_itself_is_light(clean_environ: Mapping[str, str]) -> None:
    modules = loaded("import lambda_bundle", clean_environ)
    assert not modules & {"invoke", "packaging", *ROOMS} - {"subprocess"}
    assert {name for name in modules if name.startswith("lambda_bundle")} == {"lambda_bundle"}


def test_listing_the_tasks_is_light(clean_environ: Mapping[str, str]) -> None:
    modules = loaded("from lambda_bundle.tasks import ns", clean_environ)
    assert "invoke" in modules
    assert not modules & {"packaging", *ROOMS} - {"invoke", "subprocess"}
    assert {name for name in modules if name.startswith("lambda_bundle")} == {
        "lambda_bundle",
        "lambda_bundle.edge",
        "lambda_bundle.options",
        "lambda_bundle.tasks",
    }


def test_validating_loads_nothing_that_builds(clean_environ: Mapping[str, str]) -> None:
    modules = loaded("import lambda_bundle.console, lambda_bundle.jobs, lambda_bundle.models", clean_environ)
    assert not modules & {"deflate", "filelock", "invoke", "uv", "lambda_bundle.pipeline"}
