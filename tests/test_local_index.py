"""Local code and source distributions with the build backends that people use, and the real package index."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from workbench import BACKENDS, uv_and_at_length_pip
from workshop import Workshop, snapshot

from lambda_bundle.errors import Code

pytestmark = pytest.mark.index


@pytest.fixture
def workshop(tmp_path: Path, clean_environ: Mapping[str, str]) -> Workshop:
    """A repository that asks the index which is configured on this machine."""
    configured = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    shop = Workshop(tmp_path / "repo", {**clean_environ, **configured})
    shop.write({"src/app.py": "def handler(event, context): ...\n"})
    return shop


def toml(backend: str, requires: str, name: str, *, dependencies: str = "[]", more: str = "") -> str:
    return (
        f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
        f'[project]\nname = "{name}"\nversion = "1.2.3"\ndependencies = {dependencies}\n{more}'
    )


PROJECTS: dict[str, dict[str, str]] = {
    "hatchling": {
        "lib/pyproject.toml": toml(
            "hatchling.build",
            "hatchling",
            "lib",
            dependencies='["near @ {root:uri}/../near"]',
            more="[tool.hatch.metadata]\nallow-direct-references = true\n",
        ),
        "lib/lib/__init__.py": "NAME = 'lib'\n",
    },
    "setuptools": {
        "lib/setup.py": "from setuptools import setup\n"
        "setup(name='lib', version='1.2.3', packages=['lib'], install_requires=['near'])\n",
        "lib/pyproject.toml": '[tool.uv.sources]\nnear = { path = "../near" }\n',
        "lib/lib/__init__.py": "NAME = 'lib'\n",
        "lib/build/lib/lib/stale.py": "",
    },
    "poetry-core": {
        "lib/pyproject.toml": '[tool.poetry]\nname = "lib"\nversion = "1.2.3"\ndescription = ""\n'
        'authors = []\n[tool.poetry.dependencies]\npython = ">=3.9"\n'
        'near = { path = "../near", develop = true }\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
        "lib/lib/__init__.py": "NAME = 'lib'\n",
    },
    "pdm-backend": {
        "lib/pyproject.toml": toml(
            "pdm.backend", "pdm-backend", "lib", dependencies='["near @ file:///${PROJECT_ROOT}/../near"]'
        ),
        "lib/lib/__init__.py": "NAME = 'lib'\n",
    },
    "flit-core": {
        "lib/pyproject.toml": toml("flit_core.buildapi", "flit_core", "lib", dependencies='["near"]').replace(
            'version = "1.2.3"', 'version = "1.2.3"\ndescription = "x"'
        )
        + "[tool.uv.sources]\nnear = { workspace = true }\n",
        "lib/lib/__init__.py": "NAME = 'lib'\n",
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["lib", "near"]\n',
    },
}
QUICK = ("hatchling", "setuptools")
"""Those that every run of the suite builds; the others differ in where `near` is written down."""


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(files, id=name, marks=[] if name in QUICK else pytest.mark.campaign)
        for name, files in PROJECTS.items()
    ],
)
def test_build_backends(files: Mapping[str, str], workshop: Workshop, pytestconfig: pytest.Config) -> None:
    near = {
        "near/pyproject.toml": toml("hatchling.build", "hatchling", "near", dependencies='["idna"]'),
        "near/near/__init__.py": "NAME = 'near'\n",
    }
    workshop.write({**files, **near, "src/requirements.txt": "-e ../lib\n"})
    before = snapshot(workshop.root, without=["dist", "bundles.toml"])
    found = {}
    # Where sources build with a setup.py, pip does as with any other, and takes its time.
    backends = BACKENDS if "lib/setup.py" not in files or pytestconfig.getoption("--campaign") else ("uv",)
    for backend in backends:
        workshop.declare({"api": {"backend": backend}})
        found[backend] = workshop.build()["api"]
        names = [row["name"] for row in workshop.manifest["api"]["wheels"]]
        assert names == ["idna", "lib", "near"]
    assert {"lib/__init__.py", "near/__init__.py"} <= found["uv"].keys()
    assert "lib/stale.py" not in found["uv"]
    assert all(one == found["uv"] for one in found.values())
    after = snapshot(workshop.root, without=["dist", "bundles.toml"])
    assert after.keys() == before.keys()
    assert {path: one[-1] for path, one in after.items()} == {path: one[-1] for path, one in before.items()}


@uv_and_at_length_pip
def test_compiled_extension(backend: str, workshop: Workshop) -> None:
    workshop.write(
        {
            "lib/setup.py": "from setuptools import Extension, setup\n"
            "setup(name='lib', version='1', ext_modules=[Extension('fast', ['fast.c'])])\n",
            "lib/fast.c": "int PyInit_fast(void) { return 0; }\n",
            "src/requirements.txt": "../lib\n",
        }
    )
    workshop.declare({"api": {"backend": backend}})
    (problem,) = workshop.fail()
    if problem.code is Code.COMMAND_FAILED:
        pytest.skip("this host has no compiler")
    assert problem.code is Code.IMPURE_WHEEL
    assert "fast." in (problem.detail or "")


@pytest.mark.parametrize("backends", [("uv",), pytest.param(BACKENDS, marks=pytest.mark.campaign)])
def test_package_that_has_no_wheel(backends: Sequence[str], workshop: Workshop) -> None:
    workshop.write({"src/requirements.txt": "docopt==0.6.2\nidna==3.10\n"})
    found = []
    for backend in backends:
        workshop.declare({"api": {"backend": backend}})
        (problem,) = workshop.fail()
        assert problem.code is Code.SOURCE_ONLY
        workshop.declare({"api": {"backend": backend, "sdists": ["docopt"]}})
        found.append(workshop.build()["api"])
    assert "docopt.py" in found[0]
    assert all(one == found[0] for one in found)
