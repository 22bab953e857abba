"""Each finding about binaries on real wheels: one that has it, and one that nearly has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from agreement import OLDER_GCC, answers, explanation, fetch

from lambda_bundle.binaries import inspect, judge
from lambda_bundle.errors import Problem
from lambda_bundle.targets import Target

pytestmark = pytest.mark.index

GNU = "x86_64-manylinux_2_34"
ARM = "aarch64-manylinux_2_34"
MUSL = "x86_64-unknown-linux-musl"


@dataclass(frozen=True)
class Tree:
    """One wheel, installed for some platform and Python, whatever it is judged for later."""

    folder: Path

    def judged(self, runtime: str, arch: str) -> list[Problem]:
        """What is said of it on a target."""
        tree = {
            path.relative_to(self.folder).as_posix(): path
            for path in self.folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        return list(judge(inspect(tree), target=Target(runtime, arch), files=tree, owner=lambda _: "it"))

    def told(self, runtime: str, arch: str = "x86_64") -> set[tuple[str, str]]:
        """Severities and codes."""
        return {(problem.severity, problem.code.name) for problem in self.judged(runtime, arch)}


Install = Callable[[str, str, str], Tree]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Installs a wheel once per session."""

    @cache
    def one(requirement: str, platform: str, python: str) -> Tree:
        folder = tmp_path_factory.mktemp("wheel")
        command: list[str | Path] = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        command += ["--python", sys.executable, "--python-platform", platform, "--python-version", python]
        command += ["--only-binary", ":all:", "--link-mode", "copy", "--no-config", requirement]
        done = subprocess.run([sys.executable, *command], capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        return Tree(folder)

    return one


def test_a_newer_glibc(install: Install) -> None:
    old, new = install("numpy==2.3.5", GNU, "3.11"), install("numpy==2.3.5", GNU, "3.12")
    assert old.told("python3.11") == {("error", "SYMBOL_TOO_NEW")}
    assert {problem.message for problem in old.judged("python3.11", "x86_64")} == {
        "it: it needs GLIBC_2.27 of libm.so.6, and python3.11 ends at GLIBC_2.26"
    }
    assert not new.told("python3.12")


def test_a_tag_that_asks_for_more_than_the_binary(install: Install) -> None:
    # Tagged manylinux_2_27 and manylinux_2_28, and satisfied by the glibc 2.26 of Amazon Linux 2.
    assert not install("duckdb==2.0.0", "x86_64-manylinux_2_28", "3.11").told("python3.11")


def test_weak_versions(install: Install) -> None:
    # It names GLIBC_2.28 as weak, and asks for it at run time.
    assert not install("uv==0.13.9", ARM, "3.11").told("python3.11", "arm64")


def test_another_machine(install: Install) -> None:
    arm = install("cryptography==46.0.3", ARM, "3.13")
    assert arm.told("python3.13") == {("error", "WRONG_MACHINE")}
    assert not arm.told("python3.13", "arm64")


def test_another_python(install: Install) -> None:
    tree = install("pydantic-core==2.41.5", GNU, "3.12")
    assert tree.told("python3.13") == {("error", "EXTENSION_MISFIT")}
    assert tree.told("python3.12", "arm64") == {("error", "EXTENSION_MISFIT")}
    assert not tree.told("python3.12")
    # The stable ABI fits every later Python.
    assert not install("cryptography==46.0.3", GNU, "3.12").told("python3.14")


def test_another_python_with_pure_python_beside_it(install: Install) -> None:
    tree = install("charset-normalizer==3.4.4", GNU, "3.12")
    assert tree.told("python3.13") == {("warning", "EXTENSION_MISFIT")}
    assert not tree.told("python3.12")


def test_musl_with_and_without_a_stand_in(install: Install) -> None:
    for version in ("3.4.4", "3.5.2"):
        stands_in = install(f"charset-normalizer=={version}", MUSL, "3.13")
        assert stands_in.told("python3.13") == {("warning", "MUSL_BINARY")}
    nothing = install("pydantic-core==2.41.5", MUSL, "3.13")
    assert nothing.told("python3.13") == {("error", "MUSL_BINARY")}


def test_a_stable_module_for_musl(install: Install) -> None:
    tree = install("cryptography==46.0.3", MUSL, "3.13")
    assert tree.told("python3.13") == {("error", "MUSL_BINARY")}
    assert all("libc.musl-x86_64.so.1" in problem.message for problem in tree.judged("python3.13", "x86_64"))


def test_a_library_that_nobody_brings(install: Install) -> None:
    tree = install("lightgbm==4.6.0", GNU, "3.13")
    (problem,) = tree.judged("python3.13", "x86_64")
    assert (problem.severity, problem.code.name) == ("error", "LIBRARY_MISSING")
    assert "libgomp.so.1" in problem.message
    # These bring all that they need, one in a folder beside the package, one in its own.
    for other in ("psycopg-binary==3.2.12", "pyzmq==27.1.0"):
        assert not install(other, GNU, "3.13").told("python3.13")


def test_wheels_of_other_systems(install: Install) -> None:
    assert install("markupsafe==3.0.3", "aarch64-apple-darwin", "3.13").told("python3.13", "arm64") == {
        ("error", "FOREIGN_BINARY")
    }
    assert install("markupsafe==3.0.3", "x86_64-pc-windows-msvc", "3.13").told("python3.13") == {
        ("error", "FOREIGN_BINARY")
    }
    assert not install("markupsafe==3.0.3", GNU, "3.13").told("python3.13")
    # Launchers for Windows are part of setuptools everywhere.
    assert not install("setuptools==80.9.0", GNU, "3.13").told("python3.13")


def test_a_download_that_was_cut_short(install: Install, tmp_path: Path) -> None:
    whole = next(install("markupsafe==3.0.3", GNU, "3.13").folder.rglob("*.so"))
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:-2000])
    assert Tree(tmp_path).told("python3.13") <= {("error", "DAMAGED_BINARY")}
    cut.write_bytes(whole.read_bytes()[:8000])
    assert Tree(tmp_path).told("python3.13") == {("error", "DAMAGED_BINARY")}


def test_programs_and_choices_among_machines(install: Install) -> None:
    assert not install("ruff==0.14.5", GNU, "3.13").told("python3.13")
    assert install("ruff==0.14.5", ARM, "3.13").told("python3.13") == {("error", "WRONG_MACHINE")}
    # A library for x86_64 alone, in a wheel for every platform that works without it.
    tree = install("debugpy==1.8.17", "aarch64-manylinux_2_17", "3.8")
    assert {path.name for path in tree.folder.rglob("*.so")} == {"attach_linux_amd64.so"}
    assert tree.told("python3.8", "arm64") == {("warning", "WRONG_MACHINE"), ("warning", "FOREIGN_BINARY")}
    # It needs glibc 2.34.
    assert tree.told("python3.8") == {("warning", "SYMBOL_TOO_NEW"), ("warning", "FOREIGN_BINARY")}


def test_agreement_with_auditwheel(tmp_path: Path) -> None:
    fetch(
        tmp_path,
        ["markupsafe==3.0.3", "bcrypt==5.0.0", "contourpy==1.3.3", "rpds-py==0.29.0"],
        "3.13",
        "x86_64",
    )
    fetch(tmp_path, ["numexpr==2.14.1", "markupsafe==3.0.3"], "3.11", "aarch64")
    found = answers(tmp_path.glob("*.whl"))
    assert {(answer.runtime, answer.loads) for answer in found if answer.wheel.startswith("bcrypt")} == {
        ("python3.7", False),
        ("python3.11", False),
        ("python3.13", True),
    }
    differences = {
        (answer.wheel.partition("-")[0], answer.runtime): explanation(answer)
        for answer in found
        if answer.loads != answer.theirs
    }
    assert differences == {("contourpy", "python3.11"): OLDER_GCC}
    assert len(found) == 4 * 3 + 2 * 2
