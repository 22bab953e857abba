"""Locks of Poetry, Pipenv and PDM, each written and exported by the real tool.

The tools come from the real package index, into environments of their own; what they lock comes from
hand-written wheels behind an index on the loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from localcode import project
from loopback import Index, serving
from uv import find_uv_bin
from wheelhouse import Wheelhouse, sha256
from workbench import BACKENDS
from workshop import Workshop, snapshot, told

from lambda_bundle import foreign
from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.jobs import Selection
from lambda_bundle.projects import LOCKS
from lambda_bundle.targets import Target

APP = "def handler(event, context): ...\n"
TOOLS = {
    "poetry1": ("poetry", ["poetry<2", "poetry-plugin-export"]),
    "poetry2": ("poetry", ["poetry>=2", "poetry-plugin-export"]),
    "plain": ("poetry", ["poetry>=2"]),
    "pipenv": ("pipenv", ["pipenv"]),
    "pdm": ("pdm", ["pdm[locked]"]),
}
RUNTIMES = {"python3.10": "x86_64", "python3.13": "arm64"}

POETRY = """[tool.poetry]
name = "api"
version = "0.1"
description = ""
authors = []
readme = "README.md"
package-mode = false
[tool.poetry.dependencies]
python = ">=3.9,<4"
web = "*"
fast = "*"
tomlkit = {{ version = "*", python = "<3.11" }}
more = {{ version = "*", optional = true }}
{more}
[tool.poetry.extras]
x = ["more"]
[tool.poetry.group.dev.dependencies]
testing = "*"
[tool.poetry.group.cloud.dependencies]
aws = "*"
[[tool.poetry.source]]
name = "loopback"
url = "{index}/"
priority = "primary"
"""
PIPFILE = """[[source]]
url = "{index}"
verify_ssl = true
name = "loopback"
[packages]
web = "*"
fast = "*"
tomlkit = {{ version = "*", markers = "python_version < '3.11'" }}
{more}
[dev-packages]
testing = "*"
[cloud]
aws = "*"
"""
PDM = """[project]
name = "api"
version = "0.1"
requires-python = ">=3.9"
dependencies = ["web", "fast", "tomlkit; python_version < '3.11'"{more}]
[project.optional-dependencies]
x = ["more"]
[dependency-groups]
dev = ["testing"]
cloud = ["aws"]
[tool.pdm]
distribution = false
[[tool.pdm.source]]
name = "pypi"
url = "{index}"
"""


@dataclass(frozen=True)
class Bench:
    shop: Workshop
    house: Wheelhouse
    index: str
    tools: Path
    locks: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """What a tool has locked before, by the tool and its project file."""

    def write(self, tool: str, more: str = "") -> None:
        kind, _ = TOOLS[tool]
        name, text = {
            "poetry": ("pyproject.toml", POETRY),
            "pipenv": ("Pipfile", PIPFILE),
            "pdm": ("pyproject.toml", PDM),
        }[kind]
        self.shop.write({f"api/{name}": text.format(index=self.index, more=more), "api/app.py": APP})

    def lock(self, tool: str) -> None:
        kind, _ = TOOLS[tool]
        path = self.shop.root / "api" / LOCKS[kind]  # type: ignore[index]
        asked = (tool, path.with_name("Pipfile" if kind == "pipenv" else "pyproject.toml").read_text())
        if asked not in self.locks or "../" in asked[1]:
            self._lock(tool)
            self.locks[asked] = path.read_bytes()
        path.write_bytes(self.locks[asked])

    def _lock(self, tool: str) -> None:
        kind, _ = TOOLS[tool]
        command = [str(self.path(tool) / kind), "lock", *(["-G", ":all"] if kind == "pdm" else [])]
        command += ["--categories", "packages dev-packages cloud"] if kind == "pipenv" else []
        done = subprocess.run(
            command,
            cwd=self.shop.root / "api",
            env=self.environ(tool),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert (self.shop.root / "api" / LOCKS[kind]).is_file(), done.stdout + done.stderr  # type: ignore[index]

    def path(self, tool: str) -> Path:
        """Where a tool is installed; it is made when it is first asked for."""
        folder = self.tools / tool / ("Scripts" if os.name == "nt" else "bin")
        if not folder.exists():
            environ = {**os.environ, "UV_CACHE_DIR": str(self.tools / "cache")}
            for arguments in (
                ["venv", "--quiet", "--python", sys.executable, str(folder.parent)],
                ["pip", "install", "--quiet", "--python", str(folder.parent), *TOOLS[tool][1]],
            ):
                subprocess.run([find_uv_bin(), *arguments], env=environ, check=True)
        return folder

    def environ(self, tool: str) -> dict[str, str]:
        found = dict(self.shop.environ)
        return {**found, "PATH": f"{self.path(tool)}{os.pathsep}{found['PATH']}"}

    def declare(self, **values: Any) -> None:
        self.shop.declare(
            {
                f"{backend}-{runtime.replace('.', '-')}": {
                    "entry": "api",
                    "backend": backend,
                    "runtime": runtime,
                    "arch": arch,
                    **values,
                }
                for backend in BACKENDS
                for runtime, arch in RUNTIMES.items()
            }
        )

    def installed(self, tool: str, *only: str) -> dict[str, dict[str, str]]:
        """The files by the names of distributions, for each function."""
        results = self.shop.bundle(*only, environ=self.environ(tool))
        assert not [line for one in results.values() for line in told(one)]
        return {
            name: {wheel.name: wheel.filename for wheel in one.artifact.wheels}  # type: ignore[union-attr]
            for name, one in results.items()
        }

    def problem(self, tool: str) -> Problem:
        problems = set(self.shop.fail("uv-python3-13", environ=self.environ(tool)))
        (one,) = problems
        return one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, clean_environ: Mapping[str, str]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("shared")
    house = Wheelhouse(folder / "wheels")
    house.folder.mkdir()
    house.wheel("web", "2.0", requires=["idna>=3", 'colour; sys_platform == "win32"'])
    for name in ("idna", "colour", "tomlkit", "core", "testing", "more"):
        house.wheel(name, "3.1")
    house.wheel("aws", "1.0", requires=["core"])
    house.wheel("rich-one", requires=["brought; extra == 'y'"], extras=["y"])
    house.wheel("brought")
    for tag in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "win_amd64"):
        for python in ("cp310", "cp311", "cp313"):
            house.wheel("fast", "1.5", f"{python}-{python}-{tag}")
    with serving(Index(folder=house.folder)) as address:
        own = {
            "UV_CACHE_DIR": str(folder / "uv"),
            "PIP_CACHE_DIR": str(folder / "pip"),
            "LAMBDA_BUNDLE_CACHE": str(folder / "cache"),
            "NO_PROXY": "127.0.0.1",
            "HOME": str(folder / "home"),
            "WORKON_HOME": str(folder / "venvs"),
            "PDM_CHECK_UPDATE": "0",
            "POETRY_CACHE_DIR": str(folder / "poetry"),
            "PIPENV_CACHE_DIR": str(folder / "pipenv"),
            "UV_DEFAULT_INDEX": (folder / "nowhere").as_uri(),
        }
        (folder / "nowhere").mkdir()
        environ = {**clean_environ, **own}
        yield Bench(Workshop(folder, environ), house, f"http://{address}/simple", folder / "tools")


@pytest.fixture
def bench(shared: Bench, tmp_path: Path) -> Bench:
    shop = Workshop(tmp_path / "a repo", dict(shared.shop.environ))
    return Bench(shop, shared.house, shared.index, shared.tools, shared.locks)


def rewrite(bench: Bench, name: str, before: str, after: str) -> None:
    path = bench.shop.root / "api" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


LOCKING = ["poetry1", "poetry2", "pipenv", "pdm"]
newer_tools = pytest.mark.parametrize(
    "tool", [pytest.param("poetry1", marks=pytest.mark.campaign), *LOCKING[1:]]
)
"""Poetry 1 is asked with the same arguments as Poetry 2; that its locks are read, every run shows."""


@pytest.mark.index
@pytest.mark.parametrize("tool", LOCKING)
def test_what_a_tool_locked_is_installed(bench: Bench, tool: str, pytestconfig: pytest.Config) -> None:
    """The backends get the same list, whichever tool has written it: each run shows it of one."""
    bench.write(tool)
    bench.lock(tool)
    before = snapshot(bench.shop.root)
    bench.declare()
    pip = "*" if pytestconfig.getoption("--campaign") else "pip-python3-13" if tool == "poetry2" else "uv-*"
    every = bench.installed(tool, "uv-*", pip)
    assert len(every) == {"*": 4, "uv-*": 2}.get(pip, 3)
    for runtime, arch in RUNTIMES.items():
        found, *others = (one for name, one in every.items() if name.endswith(runtime.replace(".", "-")))
        assert all(one == found for one in others)
        machine = {"x86_64": "x86_64", "arm64": "aarch64"}[arch]
        abi = runtime.replace("python", "cp").replace(".", "")
        assert found["fast"] == f"fast-1.5-{abi}-{abi}-manylinux_2_17_{machine}.whl"
        # Pipenv locks for the host alone: what its markers leave out there has no version in it.
        conditional = {"tomlkit"} if runtime == "python3.10" else set()
        assert set(found) == {"web", "idna", "fast"} | conditional
    after = snapshot(bench.shop.root, without=["dist", "bundles.toml"])
    assert {name: it for name, it in before.items() if name in after} == after
    assert set(after) == set(before)


@pytest.mark.index
@newer_tools
def test_groups_and_skip(bench: Bench, tool: str) -> None:
    """What is selected is the tool's business: the backends differ in nothing there."""
    bench.write(tool)
    bench.lock(tool)
    cases: dict[str, tuple[Mapping[str, Any], set[str]]] = {
        "group": ({"groups": ["cloud"], "skip": ["fast"]}, {"web", "idna", "aws", "core"}),
    }
    if tool != "pipenv":  # which knows no extras
        cases["extra"] = ({"extras": ["x"]}, {"web", "idna", "fast", "more"})
    if tool == "pdm":  # whatever writes the list, what only the skipped need is in it
        cases["skip"] = ({"groups": ["cloud"], "skip": ["aws", "fast"]}, {"web", "idna"})
    functions = {name: {"entry": "api", **selection} for name, (selection, _) in cases.items()}
    bench.shop.declare({**functions, "wrong": {"entry": "api", "groups": ["clodu"]}})
    found = bench.installed(tool, *cases)
    assert {name: set(one) for name, one in found.items()} == {name: one for name, (_, one) in cases.items()}
    (one,) = bench.shop.fail("wrong", environ=bench.environ(tool))
    assert (one.code, one.hint) == (Code.UNKNOWN_SELECTION, 'did you mean "cloud"?')
    assert one.message.endswith(" called clodu")


@pytest.mark.index
def test_skip_keeps_what_the_extras_of_others_bring(bench: Bench) -> None:
    """Poetry's export lists that, and names no extras."""
    bench.write("poetry2", 'rich-one = { version = "*", extras = ["y"] }')
    bench.lock("poetry2")
    bench.shop.declare({"api": {"entry": "api", "skip": ["fast"]}})
    assert set(bench.installed("poetry2")["api"]) == {"web", "idna", "rich-one", "brought"}


BOUNDS = {"poetry2": '">=3.9,<4"', "pdm": '">=3.9"'}


@pytest.mark.index
@pytest.mark.parametrize("tool", BOUNDS)
def test_a_lock_for_other_pythons(bench: Bench, tool: str) -> None:
    """Poetry's export leaves everything out then, and PDM's knows nothing of it."""
    bench.write(tool)
    rewrite(bench, "pyproject.toml", BOUNDS[tool], '">=3.9,<3.13"')
    bench.lock(tool)
    bench.declare()
    one = bench.problem(tool)
    assert (one.code, one.where.file) == (Code.LOCK_UNSUITABLE, f"api/{LOCKS[TOOLS[tool][0]]}")  # type: ignore[index]
    assert "python3.13 on arm64" in one.message
    assert set(bench.installed(tool, "uv-python3-10")["uv-python3-10"]) >= {"web", "idna", "fast", "tomlkit"}


@pytest.mark.index
def test_what_pipenv_s_markers_leave_out_is_an_error(bench: Bench) -> None:
    """It locks for its own Python; what the Pipfile asks for without a marker is asked for everywhere."""
    bench.house.wheel("late", python=">=3.10")
    bench.write("pipenv", 'late = "*"')
    rewrite(bench, "Pipfile", 'name = "loopback"', 'name = "pypi"')  # a name says nothing of the place
    bench.lock("pipenv")
    bench.declare()
    assert "late" in bench.installed("pipenv", "uv-python3-13")["uv-python3-13"]
    older = {"entry": "api", "runtime": "python3.9", "arch": "x86_64"}
    bench.shop.declare({"api": older})
    *_, one = bench.shop.fail(environ=bench.environ("pipenv"))
    assert (one.code, one.where.file) == (Code.LOCK_UNSUITABLE, "api/Pipfile.lock")
    assert "has late for other targets than python3.9" in one.message
    bench.shop.declare({"api": {**older, "skip": ["late"]}})
    *_, one = bench.shop.fail(environ=bench.environ("pipenv"))
    assert (one.code, one.message) == (Code.NO_WHEEL, "fast 1.5 has no wheel for python3.9 on x86_64")
    lock = bench.shop.root / "api" / "Pipfile.lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "default": {}}))
    *_, one = bench.shop.fail(environ=bench.environ("pipenv"))
    assert (one.code, one.message) == (
        Code.LOCK_STALE,
        "api/Pipfile.lock does not have fast, web, and the project asks for that",
    )


@pytest.mark.index
def test_each_package_of_a_lock_comes_from_its_own_index(bench: Bench, tmp_path: Path) -> None:
    """The hashes say which files may come: an index with an older version is no hindrance."""
    second = Wheelhouse(tmp_path / "second")
    second.folder.mkdir()
    second.wheel("web", "0.1")
    second.wheel("private")
    with serving(Index(folder=second.folder)) as address:
        bench.write("pipenv", 'private = { version = "*", index = "second" }')
        source = (
            f'[[source]]\nurl = "http://{address}/simple"\nverify_ssl = true\nname = "second"\n[packages]'
        )
        rewrite(bench, "Pipfile", "[packages]", source)
        bench.lock("pipenv")
        bench.declare()
        found = bench.installed("pipenv", "uv-python3-13")["uv-python3-13"]
    assert (found["web"], found["private"]) == ("web-2.0-py3-none-any.whl", "private-1.0-py3-none-any.whl")


@pytest.mark.parametrize(
    ("span", "holds"),
    [
        (foreign.Span("", ""), True),
        (foreign.Span(">=3.9,<3.13", ""), False),
        (foreign.Span(">=3.9", "manylinux_2_17_aarch64"), True),
        (foreign.Span(">=3.9", "manylinux_2_17_x86_64"), False),
        (foreign.Span("", "linux"), True),
        (foreign.Span("", "musllinux_1_2_aarch64"), True),
        (foreign.Span("", "macos_14_0_arm64"), False),
        (foreign.Span("", "windows_arm64"), False),
    ],
    ids=str,
)
def test_what_a_lock_of_pdm_is_for(span: foreign.Span, *, holds: bool) -> None:
    assert span.holds(Target("python3.13", "arm64")) == holds


@pytest.mark.index
@newer_tools
def test_a_stale_lock_and_a_broken_one(bench: Bench, tool: str) -> None:
    kind, _ = TOOLS[tool]
    bench.write(tool)
    bench.lock(tool)
    bench.write(tool, ', "colour"' if tool == "pdm" else 'colour = "*"')
    bench.declare()
    one = bench.problem(tool)
    assert (one.code, one.hint) == (Code.LOCK_STALE, f"run `{kind} lock` in api")
    bench.shop.write({f"api/{LOCKS[kind]}": "<<<<<<< HEAD\n"})  # type: ignore[index]
    one = bench.problem(tool)
    assert (one.code, one.where.file) == (Code.LOCK_INVALID, f"api/{LOCKS[kind]}")  # type: ignore[index]


@pytest.mark.index
@newer_tools
def test_a_hash_is_checked(bench: Bench, tool: str) -> None:
    kind, _ = TOOLS[tool]
    bench.write(tool)
    bench.lock(tool)
    path = bench.shop.root / "api" / LOCKS[kind]  # type: ignore[index]
    true = sha256(bench.house.folder / "web-2.0-py3-none-any.whl")
    path.write_text(path.read_text().replace(true, f"sha256:{'0' * 64}"))
    bench.declare()
    assert bench.problem(tool).code == Code.HASH_MISMATCH


@pytest.mark.index
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the marker holds for this host")
def test_what_pipenv_has_not_pinned(bench: Bench) -> None:
    """It does so where a marker does not hold for the host, and says no version: no lock has chosen one."""
    bench.write("pipenv")
    bench.lock("pipenv")
    bench.declare()
    for locked, expected in ((False, ("built", Code.UNPINNED)), (True, ("failed", Code.LOCK_MISSING))):
        environ = bench.environ("pipenv")
        (one,) = bench.shop.bundle("uv-python3-10", environ=environ, locked=locked).values()
        assert (one.status, one.problems[-1].code) == expected


@pytest.mark.index
def test_poetry_without_its_plugin(bench: Bench) -> None:
    bench.write("plain")
    bench.lock("poetry2")
    bench.declare()
    one = bench.problem("plain")
    assert one.code == Code.COMMAND_FAILED
    assert "poetry-plugin-export" in (one.hint or "")


@pytest.mark.parametrize("kind", ["poetry", "pipenv", "pdm"])
def test_a_tool_that_is_not_installed(kind: str, tmp_path: Path, environ: dict[str, str]) -> None:
    shop = Workshop(tmp_path / "repo", {**environ, "PATH": str(tmp_path)})
    shop.declare({"api": {}, "other": {"entry": "other"}})
    shop.write({f"src/{LOCKS[kind]}": "", "src/app.py": APP, "other/app.py": APP})  # type: ignore[index]
    results = shop.bundle()
    assert [one.status for one in results.values()] == ["failed", "built"]
    (one,) = results["api"].problems
    assert one.code == Code.COMMAND_FAILED
    assert one.message == f"{kind} is not installed, and src/{LOCKS[kind]} is its lock"  # type: ignore[index]
    assert f"uv tool install {kind}" in (one.hint or "")


@pytest.mark.parametrize("kind", LOCKS)
@pytest.mark.parametrize("system", ["win32", "linux", "darwin"])
def test_what_is_exported_on_windows(kind: Any, system: str) -> None:
    if system == "win32" and kind in {"poetry", "pipenv", "pdm"}:
        with pytest.raises(BundleError) as caught:
            foreign.refuse_on(system, kind)
        assert [one.code for one in caught.value.problems] == [Code.WINDOWS_EXPORT_UNSUPPORTED]
    else:
        foreign.refuse_on(system, kind)


def test_pdm_exports_no_group_that_is_not_named() -> None:
    def asked(*groups: str) -> str:
        return " ".join(foreign.pdm_arguments(Selection(groups=groups), ("dev", "cloud"))[6:])

    assert asked() == "--prod"
    assert asked("x") == "--prod --group x"
    assert asked("cloud") == "--without dev --group cloud"


@pytest.mark.parametrize(
    ("name", "text"), [("Pipfile", '[packages]\nweb = "*"\n'), ("pyproject.toml", POETRY)]
)
def test_what_nobody_has_locked(name: str, text: str, tmp_path: Path, environ: dict[str, str]) -> None:
    shop = Workshop(tmp_path / "repo", environ)
    shop.declare({"api": {}})
    shop.write({f"src/{name}": text.format(index="", more="") if "{" in text else text, "src/app.py": APP})
    (one,) = shop.fail()
    assert (one.code, one.where.file) == (Code.LOCK_MISSING, f"src/{name}")


# --- a pyproject.toml without a lock

UNLOCKED = """[project]
name = "api"
version = "0.1"
dependencies = ["web", "colour; sys_platform == 'win32'"]
[project.optional-dependencies]
"Fast_Ones" = ["fast"]
everything = ["API[fast.ones,more]", "tomlkit", "api[nope]; sys_platform == 'win32'"]
more = ["api[everything]"]
[dependency-groups]
cloud = ["aws"]
all = [{ include-group = "cloud" }, "tomlkit"]
own = ["api[fast-ones]", "api"]
"""


SELECTIONS: dict[str, tuple[Mapping[str, Any], set[str]]] = {
    "plain": ({}, {"web", "idna"}),
    "extra": ({"extras": ["fast-ones"]}, {"web", "idna", "fast"}),
    "group": ({"groups": ["all"]}, {"web", "idna", "aws", "core", "tomlkit"}),
    "itself": ({"extras": ["everything"]}, {"web", "idna", "fast", "tomlkit"}),
    "itself-in-a-group": ({"groups": ["own"]}, {"web", "idna", "fast"}),
    "skip": ({"groups": ["all"], "skip": ["aws"]}, {"web", "idna", "tomlkit"}),
    "pip": ({"groups": ["all"], "skip": ["aws"], "backend": "pip"}, {"web", "idna", "tomlkit"}),
}


def test_a_project_without_a_lock(bench: Bench) -> None:
    """What is selected is asked of pip in the same words."""
    bench.shop.write({"api/pyproject.toml": UNLOCKED, "api/app.py": APP})
    bench.shop.declare({name: {"entry": "api", **selection} for name, (selection, _) in SELECTIONS.items()})
    index = {"UV_DEFAULT_INDEX": bench.index, "PIP_INDEX_URL": bench.index}
    results = bench.shop.bundle(environ=index)
    assert results.keys() == SELECTIONS.keys()
    for name, result in results.items():
        assert result.artifact is not None, told(result)
        assert {wheel.name for wheel in result.artifact.wheels} == SELECTIONS[name][1]
        assert [one.code for one in result.problems] == [Code.UNPINNED]


@pytest.mark.parametrize(
    ("old", "new", "selection", "code", "words"),
    [
        ("[project.opt", 'dynamic = ["dependencies"]\n[project.opt', {}, Code.INVALID_REQUIREMENT, "dynamic"),
        ('"web"', '"web=="', {}, Code.INVALID_REQUIREMENT, "web=="),
        (
            "API[fast.ones,more]",
            "API[slow]",
            {"extras": ["everything"]},
            Code.UNKNOWN_SELECTION,
            "no extra called slow",
        ),
        (
            'version = "0.1"',
            'version = "0.1"\nrequires-python = ">=3.14"',
            {},
            Code.PYTHON_UNSUPPORTED,
            "requires Python >=3.14, and python3.13",
        ),
        ("", "", {"extras": ["nope"]}, Code.UNKNOWN_SELECTION, "no extra called nope"),
        ("", "", {"groups": ["cluod"]}, Code.UNKNOWN_SELECTION, "no dependency group called cluod"),
        ('group = "cloud"', 'group = "all"', {"groups": ["all"]}, Code.INVALID_REQUIREMENT, "PEP 735"),
    ],
)
def test_a_project_that_says_too_little(
    bench: Bench, old: str, new: str, selection: Mapping[str, Any], code: Code, words: str
) -> None:
    bench.shop.write({"api/pyproject.toml": UNLOCKED.replace(old, new), "api/app.py": APP})
    bench.shop.declare({"api": {"entry": "api", **selection}})
    (one,) = bench.shop.fail()
    assert (one.code, one.where.file) == (code, "api/pyproject.toml")
    assert words in one.message


def test_a_pyproject_for_tools_alone_has_no_dependencies(bench: Bench) -> None:
    bench.shop.write({"api/pyproject.toml": "[tool.ruff]\nline-length = 99\n", "api/app.py": APP})
    bench.shop.declare({"api": {"entry": "api"}})
    (result,) = bench.shop.bundle().values()
    assert (result.status, result.problems) == ("built", ())


# --- local code

LOCAL = {
    "poetry1": 'shared = { path = "../libs/shared", develop = true }',
    "poetry2": 'shared = { path = "../libs/shared" }',
    "pipenv": 'shared = { path = "../libs/shared" }',
    "pdm": ', "shared @ file:///${PROJECT_ROOT}/../libs/shared"',
}


@pytest.mark.index
@newer_tools
def test_a_path_dependency_is_built(bench: Bench, tool: str) -> None:
    project(bench.shop.root / "libs" / "shared", "shared", requires=["idna"])
    bench.write(tool, LOCAL[tool])
    bench.lock(tool)
    bench.declare()
    (found,) = bench.installed(tool, "uv-python3-13").values()
    assert set(found) == {"web", "idna", "fast", "shared"}
    assert found["shared"] == "shared-1.0-py3-none-any.whl"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_project_without_a_lock_has_local_code(bench: Bench, backend: str) -> None:
    project(bench.shop.root / "libs" / "shared", "shared", requires=["idna"])
    text = '[project]\nname = "api"\nversion = "0.1"\ndependencies = ["shared", "web"]\n'
    text += '[tool.uv.sources]\nshared = { path = "../libs/shared" }\n'
    bench.shop.write({"api/pyproject.toml": text, "api/app.py": APP})
    bench.shop.declare({"api": {"entry": "api", "backend": backend}})
    index = {"UV_DEFAULT_INDEX": bench.index, "PIP_INDEX_URL": bench.index}
    (result,) = bench.shop.bundle(environ=index).values()
    assert result.artifact is not None, told(result)
    assert {wheel.name for wheel in result.artifact.wheels} == {"shared", "idna", "web"}
    assert [one.code for one in result.problems] == [Code.UNPINNED]
