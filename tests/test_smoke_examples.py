"""Every example, run by `invoke smoke` with its event, where this machine has its Python.

The examples are mostly for arm64. A copy of bundles.toml asks for this machine's architecture
instead, so that what is compiled is run too. What ran where stands in the summary of the tests.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from test_examples import CHECKS, FUNCTIONS, bundle_all, check_greeter, copy_project

from lambda_bundle.targets import MACHINES

ARCH = next((arch for arch, machine in MACHINES.items() if machine == platform.machine()), None)

pytestmark = [
    pytest.mark.index,
    pytest.mark.skipif(
        sys.platform != "linux" or ARCH is None, reason="Lambda runs on Linux, x86_64 or arm64"
    ),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, bundled for this machine's architecture."""
    folder = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    path = folder / "bundles.toml"
    text = re.sub(r'arch = "\w+"', f'arch = "{ARCH}"', path.read_text(encoding="utf-8"))
    text = re.sub(r"linux_(\d+_\d+)_(aarch64|x86_64)", rf"linux_\1_{platform.machine()}", text)
    path.write_text(text, encoding="utf-8")
    bundle_all(folder)
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
def test_example(name: str, project: Path, record_property: Callable[[str, object], None]) -> None:
    event = project / FUNCTIONS[name]["entry"] / "event.json"
    row = smoke(project, name, event)
    if row["status"] == "not run":
        pytest.skip(f"{name}: {row['problems'][0]['message']}")
    assert row["status"] == "passed", row["problems"]
    assert f"python{row['interpreter']['version'].rpartition('.')[0]}" == row["runtime"]
    assert (row["arch"], row["interpreter"]["exact"]) == (ARCH, True)
    assert row["init_ms"] > 0
    assert row["duration_ms"] > 0
    assert row["max_memory"] > 0
    result = json.loads(row["response"])
    if CHECKS[name] is check_greeter:
        result["build"]["arch"] = "arm64"  # its hook writes down what it was bundled for
    CHECKS[name](result)
    where = f"CPython {row['interpreter']['version']} on {row['interpreter']['machine']}"
    record_property("ran", f"{name} ({row['runtime']}): {where}, awslambdaric {row['awslambdaric']}")


def smoke(project: Path, name: str, event: Path) -> dict[str, Any]:
    """What `invoke smoke` says of one function."""
    ran = Project(project, os.environ).here("smoke", "--only", name, "--event", str(event), "--json")
    assert ran.out, ran.err
    (row,) = ran.data["smoke"]
    assert ran.code == (1 if row["status"] == "failed" else 0)
    found: dict[str, Any] = row
    return found
