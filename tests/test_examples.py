"""The examples: their handlers run, and the artifacts made of them hold what it takes to run."""

import base64
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from packaging.requirements import Requirement
from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[1]
DECLARED: dict[str, Any] = tomli.loads((ROOT / "bundles.toml").read_text(encoding="utf-8"))
FUNCTIONS: dict[str, dict[str, Any]] = {
    name: DECLARED["defaults"] | function for name, function in DECLARED["functions"].items()
}
LAYERS: dict[str, dict[str, Any]] = {
    name: DECLARED["defaults"] | layer for name, layer in DECLARED["layers"].items()
}

MEMBERS = {name: one for name, one in FUNCTIONS.items() if one["entry"].startswith("examples/monorepo/")}
"""The functions of the workspace."""

# Stands in for the Lambda runtime. Handlers may log to stdout; the result must be alone there.
RUN_HANDLER = """
import contextlib, importlib, json, sys, types

*roots, handler, event = sys.argv[1:]
sys.path[:0] = roots
context = types.SimpleNamespace(
    function_name="example",
    function_version="$LATEST",
    memory_limit_in_mb=128,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:example",
    aws_request_id="7c4b1f0e-3a52-4d8e-9d5a-2f6a1b0c9e8d",
)
with contextlib.redirect_stdout(sys.stderr):
    module, _, name = handler.rpartition(".")
    with open(event, encoding="utf-8") as file:
        result = getattr(importlib.import_module(module), name)(json.load(file), context)
json.dump(result, sys.stdout)
"""


def run_handler(python: str, name: str, *trees: Path) -> dict[str, Any]:
    """Call the handler with its sample event; it sees the trees and the standard library, nothing else."""
    event, handler = ROOT / FUNCTIONS[name]["entry"] / "event.json", FUNCTIONS[name]["handler"]
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", RUN_HANDLER, *map(str, trees), handler, str(event)],
        env={key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# --- what each handler answers to its event.json


def check_http_api(result: dict[str, Any]) -> None:
    assert result["statusCode"] == 201
    assert result["headers"]["content-type"] == "application/json"
    assert json.loads(result["body"]) == {"item": "apple", "quantity": 120, "total": "43.20"}


def check_webhook(result: dict[str, Any]) -> None:
    assert result["statusCode"] == 200
    assert json.loads(result["body"]) == {"verified": True, "forwarded": False, "bytes": 61}


def check_thumbnailer(result: dict[str, Any]) -> None:
    assert (result["width"], result["height"]) == (48, 32)
    assert base64.b64decode(result["image"]).startswith(b"\x89PNG\r\n\x1a\n")


def check_report(result: dict[str, Any]) -> None:
    assert result == {
        "rows": 5,
        "incomplete": 1,
        "regions": {"east": 310.0, "north": 220.0, "south": 125.25},
        "median": 99.5,
        "p90": 234.2,
    }


def check_notify(result: dict[str, Any]) -> None:
    assert result["published"] is False
    assert result["message"]["Subject"] == "Order A-1042 failed"
    assert json.loads(result["message"]["Message"])["reason"] == "payment declined"


def check_heartbeat(result: dict[str, Any]) -> None:
    assert result == {"status": "ok", "scheduled": "2026-03-12T19:00:00Z", "checked": 0, "down": []}


def check_greeter(result: dict[str, Any]) -> None:
    assert result == {
        "greeting": "Welcome back, Ada! This is your 22nd visit.",
        "build": {
            "function": "greeter",
            "runtime": "python3.13",
            "arch": "arm64",
            "greeting": "Welcome back",
        },
    }


def check_orders(result: dict[str, Any]) -> None:
    assert result == {"total": "3.30"}


def check_invoices(result: dict[str, Any]) -> None:
    assert result == {"invoice": "Customer 1 owes 3.30"}


def check_stock(result: dict[str, Any]) -> None:
    assert result["table"].splitlines()[2].split() == ["apple", "0.5"]


def check_reminders(result: dict[str, Any]) -> None:
    assert result == {"due": "2026-02-28"}


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "http-api": check_http_api,
    "webhook": check_webhook,
    "thumbnailer": check_thumbnailer,
    "report": check_report,
    "notify": check_notify,
    "heartbeat": check_heartbeat,
    "greeter": check_greeter,
    "orders": check_orders,
    "invoices": check_invoices,
    "stock": check_stock,
    "reminders": check_reminders,
}


# --- the sources, as they are


def test_every_function_has_a_check() -> None:
    assert CHECKS.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_its_handler_and_an_event(name: str) -> None:
    entry = ROOT / FUNCTIONS[name]["entry"]
    module, _, _ = FUNCTIONS[name]["handler"].rpartition(".")
    assert entry.joinpath(*module.split(".")).with_suffix(".py").is_file()
    assert isinstance(json.loads((entry / "event.json").read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name", [*FUNCTIONS, *LAYERS])
def test_requirements_are_pinned_and_nothing_else(name: str) -> None:
    requirements = ROOT / (FUNCTIONS | LAYERS)[name]["entry"] / "requirements.txt"
    if name in {"heartbeat", *MEMBERS}:
        assert not requirements.exists()
        return
    lines = requirements.read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert pins
    assert all(pin.url is None for pin in pins)
    assert all([specifier.operator for specifier in pin.specifier] == ["=="] for pin in pins)


def test_heartbeat_runs_from_its_sources() -> None:
    check_heartbeat(run_handler(sys.executable, "heartbeat", ROOT / FUNCTIONS["heartbeat"]["entry"]))


# --- the artifacts, made from the real index


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project in which everything has been bundled once."""
    folder = copy_project(tmp_path_factory.mktemp("examples") / "project")
    bundle_all(folder)
    return folder


def copy_project(folder: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignore)
    shutil.copy2(ROOT / "bundles.toml", folder)
    (folder / "tasks.py").write_text("from lambda_bundle.tasks import ns\n", encoding="utf-8")
    lock(folder / "examples" / "monorepo")
    return folder


def lock(workspace: Path) -> None:
    """Write the uv.lock, which records the index that it was made from and so is not kept here."""
    command = [find_uv_bin(), "lock", "--no-python-downloads", "--python", sys.executable]
    done = subprocess.run(command, cwd=workspace, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def bundle_all(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "bundle", "--all", "--force"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def artifacts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "dist").glob("*.zip")}


def contents(folder: Path, name: str) -> list[str]:
    with zipfile.ZipFile(folder / "dist" / f"{name}.zip") as archive:
        return archive.namelist()


@pytest.mark.index
@pytest.mark.parametrize("name", [*FUNCTIONS, *LAYERS])
def test_artifact_exists(project: Path, name: str) -> None:
    assert (project / "dist" / f"{name}.zip").is_file()


@pytest.mark.index
@pytest.mark.parametrize("name", FUNCTIONS)
def test_artifact_runs(project: Path, tmp_path: Path, name: str) -> None:
    task, opt = tmp_path / "task", tmp_path / "opt"
    layers = FUNCTIONS[name].get("layers", [])
    for artifact, folder in ((name, task), *((layer, opt) for layer in layers)):
        with zipfile.ZipFile(project / "dist" / f"{artifact}.zip") as archive:
            archive.extractall(folder)
    compiled = any(".so" in path.suffixes for path in tmp_path.rglob("*"))
    if compiled and FUNCTIONS[name]["arch"] != host_arch():
        pytest.skip(f"holds compiled code for Lambda's {FUNCTIONS[name]['arch']}, the host is another")
    runtime = FUNCTIONS[name]["runtime"]
    python = find_python(runtime)
    if python is None:
        pytest.skip(f"no {runtime} on this machine")
    CHECKS[name](run_handler(python, name, task, opt / "python"))


def host_arch() -> str | None:
    """Return the host's architecture in AWS's words; None where Lambda's binaries do not load anyway."""
    if sys.platform != "linux":
        return None
    return {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())


def find_python(runtime: str) -> str | None:
    """Return an interpreter of this minor version that really starts: a version manager's shim may not."""
    for candidate in candidates(runtime):
        try:
            done = subprocess.run(
                [candidate, "-I", "-S", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                encoding="utf-8",
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip() == runtime:
            return candidate
    return None


def candidates(runtime: str) -> Iterator[str]:
    yield sys.executable
    if found := shutil.which(runtime):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    version = runtime.removeprefix("python")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))


@pytest.mark.index
def test_excluded_files_stay_out(project: Path) -> None:
    names = contents(project, "http-api")
    assert "app/main.py" in names
    assert not [name for name in names if name.startswith("tests/") or name == "event.json"]


@pytest.mark.index
def test_webhook_prefers_the_musllinux_wheel(project: Path) -> None:
    compiled = [name for name in contents(project, "webhook") if name.endswith(".so")]
    assert compiled
    assert all(name.endswith("-aarch64-linux-musl.so") for name in compiled)


@pytest.mark.index
def test_hooks_leave_their_file_and_no_tools(project: Path) -> None:
    names = contents(project, "greeter")
    assert "build_info.json" in names
    assert not [name for name in names if name.startswith("tools/")]
    assert not (project / "examples" / "greeter" / "build_info.json").exists()


@pytest.mark.index
def test_layer_lands_under_python(project: Path) -> None:
    names = contents(project, "common")
    assert "python/common_greeting.py" in names
    assert "python/pydantic/__init__.py" in names
    assert all(name.startswith("python/") for name in names)


@pytest.mark.index
def test_what_the_layer_carries_is_not_in_its_function(project: Path) -> None:
    def distributions(name: str) -> set[str]:
        suffix = ".dist-info/METADATA"
        found = (path.removesuffix(suffix) for path in contents(project, name) if path.endswith(suffix))
        return {path.removeprefix("python/").partition("-")[0] for path in found}

    assert distributions("common") >= {"pydantic", "pydantic_core", "typing_extensions"}
    assert distributions("http-api") >= {"fastapi", "mangum", "starlette"}
    assert not distributions("http-api") & distributions("common")


@pytest.mark.index
def test_bundling_again_gives_the_same_bytes(project: Path) -> None:
    before = artifacts(project)
    bundle_all(project)
    assert artifacts(project) == before


@pytest.mark.index
def test_another_checkout_gives_the_same_bytes(project: Path, tmp_path: Path) -> None:
    other = copy_project(tmp_path / "elsewhere" / "checkout")
    bundle_all(other)
    assert artifacts(other) == artifacts(project)
