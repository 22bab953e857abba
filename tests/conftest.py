"""What every test shares: no configuration of the host's reaches uv or pip, and no network is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from wheelhouse import Wheelhouse

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PASSED_ON = ("UV_CACHE_DIR", "UV_PYTHON_DOWNLOADS")
"""Variables of the backends that tests keep: a shared cache is what makes the index tests bearable."""


@pytest.fixture(scope="session")
def clean_environ() -> dict[str, str]:
    """This process's environment without what configures uv, pip or Python."""
    dropped = ("UV_", "PIP_", "PYTHON", "LAMBDA_BUNDLE_", "VIRTUAL_ENV", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(dropped) or name in PASSED_ON
    }
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture
def environ(clean_environ: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which neither backend asks an index: what is not in the wheelhouse does not exist."""
    nowhere = tmp_path / "empty-index"  # uv has no variable that switches indexes off
    nowhere.mkdir()
    return {**clean_environ, "UV_DEFAULT_INDEX": nowhere.as_uri(), "PIP_NO_INDEX": "1"}


@pytest.fixture
def wheelhouse(tmp_path: Path, environ: dict[str, str]) -> Wheelhouse:
    """An empty folder for hand-written wheels that both backends look into."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    environ["UV_FIND_LINKS"] = environ["PIP_FIND_LINKS"] = str(folder)
    environ["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    return Wheelhouse(folder)
