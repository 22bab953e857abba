"""What every test shares: no configuration of the host's reaches uv or pip, and no network is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from uv import find_uv_bin
from wheelhouse import Wheelhouse

from lambda_bundle.process import Children

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PASSED_ON = ("UV_CACHE_DIR", "UV_PYTHON_DOWNLOADS")
"""Variables of the backends that tests keep: a shared cache is what makes the index tests bearable."""


LONGEST = (
    *("foreign", "private", "install_errors", "backends_agree", "kept", "smoke_examples", "smoke"),
    *("freshness", "sdists", "local_code", "verify_index", "locking", "store", "docs", "examples"),
    *("local_index", "locked", "pip", "pieces", "interrupt", "pipeline", "layers", "binaries_index"),
    *("index", "cli", "console", "verify", "process", "reqfile", "only_binary", "verdicts", "monorepo"),
)
"""The modules that take longest, by what follows `test_` in their names: begun first, none is waited for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--campaign", action="store_true", help="run the long campaigns too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only campaigns are for, and put the longest modules first."""
    ranks = {f"test_{name}": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
    if not config.getoption("--campaign"):
        dropped = [item for item in items if item.get_closest_marker("campaign")]
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if not item.get_closest_marker("campaign")]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for all tests that do not say which, in whatever worker; nothing reaches the user's."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_BUNDLE_CACHE", str(folder))
        patch.delenv("LAMBDA_BUNDLE_CACHE_LIMIT", raising=False)
        yield folder


@pytest.fixture
def children() -> Iterator[Children]:
    """The commands of a test; at its end none runs."""
    made = Children()
    yield made
    made.stop()
    made.stop()


@pytest.fixture(scope="session")
def clean_environ(cache: Path) -> dict[str, str]:
    """This process's environment without what configures uv, pip or Python, and with a cache for tests."""
    dropped = ("UV_", "PIP_", "PYTHON", "LAMBDA_BUNDLE_", "VIRTUAL_ENV", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(dropped) or name in PASSED_ON
    }
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "LAMBDA_BUNDLE_CACHE": str(cache)}


@pytest.fixture
def environ(
    clean_environ: Mapping[str, str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An environment with a cache of its own, in which neither backend asks an index.

    What is not in the wheelhouse does not exist.
    """
    own = {"LAMBDA_BUNDLE_CACHE": str(tmp_path_factory.mktemp("cache"))}
    nowhere = tmp_path / "empty-index"  # uv has no variable that switches indexes off
    nowhere.mkdir()
    return {**clean_environ, **own, "UV_DEFAULT_INDEX": nowhere.as_uri(), "PIP_NO_INDEX": "1"}


@pytest.fixture(scope="session")
def acquainted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of uv that knows the Python of the tests and nothing else.

    In an empty one, uv has to start that Python first, which takes longer than the rest of most tests.
    """
    asked, known = tmp_path_factory.mktemp("asked"), tmp_path_factory.mktemp("acquainted")
    command = [find_uv_bin(), "python", "find", "--quiet", "--offline", "--no-python-downloads"]
    environ = {**os.environ, "UV_CACHE_DIR": str(asked)}
    subprocess.run([*command, sys.executable], env=environ, check=True, stdout=subprocess.DEVNULL)
    for folder in asked.glob("interpreter-*"):
        shutil.copytree(folder, known / folder.name)
    return known


@pytest.fixture
def wheelhouse(tmp_path: Path, environ: dict[str, str], acquainted: Path) -> Wheelhouse:
    """An empty folder for hand-written wheels that both backends look into."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    environ["UV_FIND_LINKS"] = environ["PIP_FIND_LINKS"] = str(folder)
    environ["UV_CACHE_DIR"] = str(shutil.copytree(acquainted, tmp_path / "uv-cache"))
    return Wheelhouse(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which artifacts were run, and on what."""
    reports = terminalreporter.stats.get("passed", [])
    ran = [told for report in reports for name, told in report.user_properties if name == "ran"]
    if ran:
        terminalreporter.section("artifacts that were run", sep="=")
        for line in sorted(ran):
            terminalreporter.line(line)
