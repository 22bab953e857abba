from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from lambda_bundle.backends import Backends
from lambda_bundle.errors import Code
from lambda_bundle.installer_pip import Pip
from lambda_bundle.installer_uv import Uv
from lambda_bundle.process import Children

# Says which backend is found, or how it is told that none is. `-S` leaves out this Python's own packages.
LOOK = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from lambda_bundle.backends import Backends
from lambda_bundle.errors import BundleError
from lambda_bundle.process import Children
{first}
backends = Backends(Children(), {environ!r}, Path({folder!r}))
try:
    print(backends.get({name!r})._python)
except BundleError as error:
    (problem,) = error.problems
    print(problem.code, problem.message, problem.hint, problem.detail, sep="\\n")
"""


def look(
    name: str, *, python: Path | str, folder: Path, environ: dict[str, str], first: str = ""
) -> list[str]:
    path = [one for one in sys.path if one]
    script = LOOK.format(path=path, first=first, environ=environ, folder=str(folder), name=name)
    command = [str(python), "-S", "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": ""})
    return told.stdout.splitlines()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_backends_of_this_host(tmp_path: Path, environ: dict[str, str]) -> None:
    backends = Backends(Children(), environ, tmp_path)
    uv, pip = backends.get("uv"), backends.get("pip")
    assert isinstance(uv, Uv)
    assert isinstance(pip, Pip)
    assert (uv.name, pip.name) == ("uv", "pip")
    assert backends.get("uv") is uv
    assert backends.get("pip") is pip


def test_no_python_with_pip(bare: Path, tmp_path: Path) -> None:
    code, message, hint, *detail = look("pip", python=bare, folder=tmp_path, environ={"PATH": ""})
    assert code == Code.PYTHON_MISSING.value
    assert message == "no Python on this host has pip 23.1 or newer, which the pip backend needs"
    assert "ensurepip" in hint
    assert detail == [f"{bare}: {bare}: No module named pip"]


def test_pythons_on_the_path_come_next(bare: Path, tmp_path: Path) -> None:
    """One that is too old, one that says nothing, and one that serves: the first that serves is taken."""
    folder = tmp_path / "path"
    executable(folder / "python3", "#!/bin/sh\necho pip 23.0.1 from /somewhere\n")
    executable(folder / "python", "#!/bin/sh\nexit 3\n")
    environ = {"PATH": str(folder)}
    *_, old, silent = look("pip", python=bare, folder=tmp_path, environ=environ)
    assert old == f"{folder / 'python3'}: pip 23.0.1 from /somewhere"
    assert silent == f"{folder / 'python'}: no pip"
    executable(folder / "python", "#!/bin/sh\necho pip 23.1.2 from /elsewhere\n")
    told = look("pip", python=bare, folder=tmp_path, environ=environ)
    assert told == [str(folder / "python")]


GONE = {
    "the module": "sys.modules['uv'] = None",
    "the program": """
import uv
def find_uv_bin():
    raise FileNotFoundError("no uv")
uv.find_uv_bin = find_uv_bin
""",
}


@pytest.mark.parametrize("what", GONE)
def test_uv_that_is_gone(what: str, tmp_path: Path) -> None:
    code, message, hint, _ = look("uv", python=sys.executable, folder=tmp_path, environ={}, first=GONE[what])
    assert code == Code.COMMAND_FAILED.value
    assert message == "the uv that lambda-bundle was installed with is gone"
    assert "--force-reinstall uv" in hint
