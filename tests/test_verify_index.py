"""Folders of real wheels, as other tools leave them: what does not load is found, and what loads passes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from projects import Project
from uv import find_uv_bin

pytestmark = pytest.mark.index

HANDLER = "def handler(event, context): ...\n"
Install = Callable[..., Path]


@pytest.fixture(scope="module")
def install(clean_environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Install:
    """A folder with packages that uv has installed for some target, and a handler that imports one."""

    def installed(
        *packages: str, python: str, machine: str = "x86_64", imports: str, deps: bool = True
    ) -> Path:
        folder = tmp_path_factory.mktemp("function")
        command = [
            *(
                find_uv_bin(),
                "pip",
                "install",
                "--quiet",
                "--only-binary",
                ":all:",
                "--python",
                sys.executable,
            ),
            *("--python-version", python, "--python-platform", f"{machine}-manylinux_2_28"),
            *([] if deps else ["--no-deps"]),
            *("--target", str(folder), *packages),
        ]
        subprocess.run(command, env=dict(clean_environ), check=True, timeout=300)
        (folder / "app.py").write_text(f"import {imports}\n{HANDLER}")
        return folder

    return installed


def verified(
    folder: Path, runtime: str, environ: Mapping[str, str], arch: str = "x86_64"
) -> list[tuple[str, str]]:
    """The errors, by code and what they are about."""
    options = ("--runtime", runtime, "--arch", arch, "--handler", "app.handler", "--json")
    ran = Project(folder.parent, environ).here("verify", "--path", str(folder), *options)
    (verdict,) = ran.data["verdicts"]
    errors = [one for one in verdict["problems"] if one["severity"] == "error"]
    assert ran.code == (1 if errors else 0), ran.err
    return [(one["code"].removeprefix("PythonLocalBundling"), one["message"]) for one in errors]


def codes(found: list[tuple[str, str]]) -> set[str]:
    return {code for code, _ in found}


def test_requirement_that_only_the_target_has(install: Install, clean_environ: Mapping[str, str]) -> None:
    """Who asks pip on Python 3.11 for 3.10 gets an aiohttp without async-timeout, and no word of it."""
    folder = install("aiohttp==3.12.15", python="3.11", imports="json")
    assert ("DependencyMissing", "async-timeout") in [
        (code, name)
        for code, text in verified(folder, "python3.10", clean_environ)
        for name in ("async-timeout",)
        if f"requires {name}" in text
    ]
    assert verified(folder, "python3.11", clean_environ) == []
    assert (
        verified(install("aiohttp==3.12.15", python="3.10", imports="aiohttp"), "python3.10", clean_environ)
        == []
    )


def test_version_that_does_not_fit(install: Install, clean_environ: Mapping[str, str]) -> None:
    parts = ("requests==2.32.3", "idna", "certifi", "charset-normalizer")
    folder = install(*parts, "urllib3==1.20", python="3.12", imports="requests", deps=False)
    assert codes(verified(folder, "python3.12", clean_environ)) == {"DependencyVersion"}
    near = install(*parts, "urllib3==1.26.20", python="3.12", imports="requests", deps=False)
    assert verified(near, "python3.12", clean_environ) == []
    alone = install("requests==2.32.3", python="3.12", imports="requests", deps=False)
    found = verified(alone, "python3.12", clean_environ)
    assert codes(found) == {"DependencyMissing"}
    assert len(found) == 3, "urllib3 is the runtime's"


def test_python_that_does_not_fit(install: Install, clean_environ: Mapping[str, str]) -> None:
    folder = install("idna==3.10", "certifi==2025.8.3", python="3.12", imports="idna")
    assert codes(verified(folder, "python3.7", clean_environ)) <= {"PythonUnsupported"}
    newer = install("networkx==3.5", python="3.12", imports="networkx")
    assert codes(verified(newer, "python3.10", clean_environ)) == {"PythonUnsupported"}
    assert verified(newer, "python3.11", clean_environ) == []


def test_extension_of_another_python(install: Install, clean_environ: Mapping[str, str]) -> None:
    folder = install("pydantic==2.11.9", python="3.12", imports="pydantic")
    assert verified(folder, "python3.12", clean_environ) == []
    assert "ExtensionMisfit" in codes(verified(folder, "python3.13", clean_environ))
    assert codes(verified(folder, "python3.12", clean_environ, arch="arm64")) == {"ExtensionMisfit"}


def test_pure_wheels_fit_everywhere(install: Install, clean_environ: Mapping[str, str]) -> None:
    folder = install("fastapi==0.116.1", "mangum==0.19.0", "pydantic<2", python="3.12", imports="mangum")
    for path in folder.rglob("*.so"):
        path.unlink()
    for runtime in ("python3.12", "python3.13"):
        for arch in ("x86_64", "arm64"):
            assert verified(folder, runtime, clean_environ, arch) == []


def test_imports_of_real_packages(install: Install, clean_environ: Mapping[str, str]) -> None:
    packages = ("six", "pyyaml", "python-dateutil", "protobuf", "attrs")
    folder = install(*packages, python="3.13", imports="json")
    there = (
        "import six.moves.urllib, yaml, dateutil.tz, google.protobuf.message, attr, attrs",
        "from six.moves import urllib_parse, configparser",
        "from google.protobuf import message",
        "from yaml import CSafeLoader",
        "import _yaml",
    )
    (folder / "app.py").write_text("\n".join(there) + f"\n{HANDLER}")
    assert verified(folder, "python3.13", clean_environ) == []
    gone = {
        "google.cloud.storage": "google.cloud",
        "PIL": "PIL",
        "yaml.nothing": "yaml.nothing",
        "cgi": "cgi",
    }
    (folder / "app.py").write_text("".join(f"import {name}\n" for name in gone) + HANDLER)
    found = verified(folder, "python3.13", clean_environ)
    assert [code for code, _ in found] == ["ImportMissing"] * len(gone), found
    assert {message.split('"')[1] for _, message in found} == set(gone.values())


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.campaign)])
def test_own_code_like_that_of_real_packages(
    many: bool, install: Install, clean_environ: Mapping[str, str]
) -> None:
    """Packages without their metadata count as own code: real sources of many kinds must pass."""
    packages = {name: name for name in ("requests", "jinja2", "click", "packaging")}
    packages |= {"pyyaml": "yaml", "attrs": "attr, attrs"}
    if many:
        packages |= {name: name for name in ("pydantic", "sqlalchemy", "boto3", "rich")}
    folder = install(*packages, python="3.13", imports=", ".join(packages.values()))
    for info in folder.glob("*.dist-info"):
        for file in info.iterdir():
            if file.is_file():
                file.unlink()
    assert verified(folder, "python3.13", clean_environ) == []
