"""What a lock pins is what is installed: uv.lock and pylock.toml, bundled by both backends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli
from localcode import project
from loopback import Index, serving
from packaging.markers import Marker
from uv import find_uv_bin
from wheelhouse import Wheelhouse, sha256
from workbench import BACKENDS
from workshop import Workshop, snapshot

from lambda_bundle.errors import Code, Problem
from lambda_bundle.result import Result

APP = {"app.py": "def handler(event, context): ...\n"}
RUNTIMES = {"python3.10": "x86_64", "python3.13": "arm64"}


@dataclass(frozen=True)
class Bench:
    """A repository, and an index on the loopback that uv locks from."""

    shop: Workshop
    house: Wheelhouse
    index: Index

    def project(self, folder: str, *dependencies: str, name: str = "", more: str = "") -> None:
        """An entry with a pyproject.toml."""
        listed = ", ".join(f"'{one}'" if '"' in one else f'"{one}"' for one in dependencies)
        text = f'[project]\nname = "{name or Path(folder).name}"\nversion = "0.1"\n'
        text += f'requires-python = ">=3.9"\ndependencies = [{listed}]\n{more}'
        self.shop.write({f"{folder}/pyproject.toml": text, f"{folder}/app.py": APP["app.py"]})

    def uv(self, *arguments: str, folder: str = "api") -> None:
        subprocess.run(
            [find_uv_bin(), *arguments, "--quiet"],
            cwd=self.shop.root / folder,
            env=dict(self.shop.environ),
            check=True,
        )

    def declare(self, **values: Any) -> None:
        """A function for each backend and runtime."""
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

    def installed(self, runtime: str = "python3.13", *, pip: bool = False) -> dict[str, str]:
        """The wheels that are installed for a runtime, by name; with pip too, both must agree.

        What is locked is exact, and given to each backend in the same words: pip, which takes its time, need
        not be asked often.
        """
        results = self.shop.bundle(f"{'*' if pip else 'uv'}-{runtime.replace('.', '-')}")
        told = [
            problem for one in results.values() for problem in one.problems if problem.severity == "error"
        ]
        assert not told, told
        assert len(results) == (2 if pip else 1)
        ours, *theirs = ({wheel.name: wheel.filename for wheel in wheels(one)} for one in results.values())
        assert all(one == ours for one in theirs)
        first, *others = (one.job.artifact.read_bytes() for one in results.values())
        assert all(one == first for one in others)
        return ours

    def problem(self) -> Problem:
        """The one error that each function has."""
        problems = set(self.shop.fail("*-python3-13"))
        codes = {one.code for one in problems}
        assert len(codes) == 1, problems
        return next(iter(problems))

    def warnings(self, name: str = "uv-python3-13") -> list[Problem]:
        return [one for one in self.shop.bundle(name)[name].problems if one.severity == "warning"]


def wheels(result: Result) -> Any:
    assert result.artifact is not None
    return result.artifact.wheels


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, clean_environ: Mapping[str, str]) -> Iterator[Bench]:
    """One index and one cache of uv for all: only the repositories differ."""
    folder = tmp_path_factory.mktemp("shared")
    house = Wheelhouse(folder / "wheels")
    house.folder.mkdir()
    stock(house)
    index = Index(folder=house.folder)
    with serving(index) as address:
        own = {
            "UV_DEFAULT_INDEX": f"http://{address}/simple",
            "PIP_INDEX_URL": f"http://{address}/simple",
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "PIP_CACHE_DIR": str(folder / "pip-cache"),
            "NO_PROXY": "127.0.0.1",
            "LAMBDA_BUNDLE_CACHE": str(folder / "cache"),
        }
        yield Bench(Workshop(folder, {**clean_environ, **own}), house, index)


@pytest.fixture
def bench(shared: Bench, tmp_path: Path) -> Bench:
    return Bench(Workshop(tmp_path / "a repo", dict(shared.shop.environ)), shared.house, shared.index)


def stock(house: Wheelhouse) -> None:
    """An application's dependencies, some of them for other platforms and Pythons than the host's."""
    house.wheel("web", "2.0", requires=["idna>=3", 'colour; sys_platform == "win32"'])
    house.wheel("idna", "3.1")
    house.wheel("idna", "3.2")
    house.wheel("colour", "1.0")
    house.wheel("tomlkit", "1.0")
    for tag in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "win_amd64", "macosx_11_0_arm64"):
        for python in ("cp310", "cp311", "cp313"):
            house.wheel("fast", "1.5", f"{python}-{python}-{tag}")
    house.wheel("aws", "1.0", requires=["core"])
    house.wheel("core", "1.0", requires=["idna"])
    house.wheel("testing", "1.0")
    house.wheel("PyMixed", "1.0")


DEPENDENCIES = ("web", "fast", 'tomlkit; python_version < "3.11"', 'core; platform_machine == "arm64"')
GROUPS = (
    '[dependency-groups]\ndev = ["testing"]\ncloud = ["aws"]\n[project.optional-dependencies]\nx = ["core"]\n'
)


def locked(bench: Bench, runtime: str) -> set[str]:
    """What the lock says for a target, read from uv's own export by its markers."""
    arch = {"x86_64": "x86_64", "arm64": "aarch64"}[RUNTIMES[runtime]]
    environment = {
        "python_version": runtime.removeprefix("python"),
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_machine": arch,
        "python_full_version": f"{runtime.removeprefix('python')}.20",
    }
    bench.uv("export", "--frozen", "--no-dev", "--no-emit-project", "-o", "../pylock.check.toml")
    data = tomli.loads((bench.shop.root / "pylock.check.toml").read_text())
    return {
        one["name"]
        for one in data["packages"]
        if "marker" not in one or Marker(one["marker"]).evaluate(environment, context="lock_file")
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_uv_locked_is_installed(bench: Bench, runtime: str) -> None:
    bench.project("api", *DEPENDENCIES, more=GROUPS)
    bench.uv("lock", "--upgrade-package", "idna==3.1")  # 3.2 is there too
    bench.declare()
    before = snapshot(bench.shop.root, without=["dist"])
    found = bench.installed(runtime, pip=runtime == "python3.13")
    assert snapshot(bench.shop.root, without=["dist"]) == before
    assert set(found) == locked(bench, runtime)
    assert ("tomlkit" in found) == (runtime == "python3.10")
    machine = "x86_64" if RUNTIMES[runtime] == "x86_64" else "aarch64"
    abi = runtime.replace("python", "cp").replace(".", "")
    assert found["fast"] == f"fast-1.5-{abi}-{abi}-manylinux_2_17_{machine}.whl"
    assert found["idna"] == "idna-3.1-py3-none-any.whl"


def test_no_index_is_asked_for_what_is_locked(bench: Bench) -> None:
    bench.project("api", "web")
    bench.uv("lock")
    bench.shop.declare({"api": {"entry": "api", "backend": "pip"}})
    bench.index.fetched.clear()
    own = {name: str(bench.shop.root / "cache") for name in ("PIP_CACHE_DIR", "LAMBDA_BUNDLE_CACHE")}
    bench.shop.build("api", environ=own)
    assert dict(bench.index.fetched) == {"web-2.0-py3-none-any.whl": 1, "idna-3.2-py3-none-any.whl": 1}


SELECTIONS: tuple[tuple[Mapping[str, Any], set[str]], ...] = (
    ({}, {"web", "idna"}),
    ({"groups": ["cloud"]}, {"web", "idna", "aws", "core"}),
    ({"extras": ["x"]}, {"web", "idna", "core"}),
    ({"groups": ["dev"]}, {"web", "idna", "testing"}),
    ({"groups": ["cloud"], "skip": ["aws"]}, {"web", "idna"}),
    ({"skip": ["Web"]}, set()),
    ({"skip": ["idna"]}, {"web"}),
)


def test_groups_extras_and_skip(bench: Bench) -> None:
    """What is selected is uv's business and ours: the backends are asked for what is left."""
    bench.project("api", "web", more=GROUPS)
    bench.uv("lock")
    functions = {f"f{number}": {"entry": "api", **one} for number, (one, _) in enumerate(SELECTIONS)}
    bench.shop.declare({**functions, "pip": {**functions["f4"], "backend": "pip"}})
    results = bench.shop.bundle()
    names = {name: {wheel.name for wheel in wheels(result)} for name, result in results.items()}
    expected = {f"f{number}": names for number, (_, names) in enumerate(SELECTIONS)}
    assert names == {**expected, "pip": expected["f4"]}


def test_skip_of_something_absent_is_a_warning(bench: Bench) -> None:
    bench.project("api", "web")
    bench.uv("lock")
    bench.declare(skip=["boto3", "colour"])  # colour is locked, for Windows
    told = bench.warnings()
    assert [one.code for one in told] == [Code.SKIP_UNUSED] * 2
    assert [one.message.split()[0] for one in told] == ["boto3", "colour"]


def test_a_stale_lock_says_how_to_refresh_it(bench: Bench) -> None:
    bench.project("api", "web")
    bench.uv("lock")
    bench.project("api", "web", "fast")
    bench.declare()
    one = bench.problem()
    assert (one.code, one.hint) == (Code.LOCK_STALE, "run `uv lock` in api")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("version = 1\n<<<<<<< HEAD\n", Code.LOCK_INVALID),
        ('version = 9\nrevision = 1\nrequires-python = ">=3.9"\n', Code.LOCK_INVALID),
        ('version = "x"\n', Code.LOCK_INVALID),
    ],
)
def test_an_unreadable_lock(bench: Bench, text: str, code: Code) -> None:
    bench.project("api")
    bench.shop.write({"api/uv.lock": text})
    bench.declare()
    one = bench.problem()
    assert (one.code, one.where.file) == (code, "api/uv.lock")
    assert "uv lock" in (one.hint or "")


@pytest.mark.parametrize(
    ("selection", "file", "what", "hint"),
    [
        ({"groups": ["clod"]}, "pyproject.toml", "dependency group called clod", 'did you mean "cloud"?'),
        ({"groups": ["nope"]}, "pyproject.toml", "dependency group called nope", "there are dev, cloud"),
        ({"extras": ["nope"]}, "pyproject.toml", "extra called nope", "there is x"),
        ({"package": "app"}, "uv.lock", "package called app", 'did you mean "api"?'),
        ({"package": "API", "extras": ["y"]}, "pyproject.toml", "extra called y", "there is x"),
    ],
)
def test_what_the_project_does_not_have(
    bench: Bench, selection: Mapping[str, Any], file: str, what: str, hint: str
) -> None:
    bench.project("api", more=GROUPS)
    bench.uv("lock")
    bench.declare(**selection)
    one = bench.problem()
    assert (one.code, one.where.file) == (Code.UNKNOWN_SELECTION, f"api/{file}")
    assert (one.message, one.hint) == (f"api/{file} has no {what}", hint)


def test_a_lock_for_another_python(bench: Bench) -> None:
    bench.project("api")
    text = (bench.shop.root / "api/pyproject.toml").read_text().replace(">=3.9", ">=3.9,<3.13")
    bench.shop.write({"api/pyproject.toml": text})
    bench.uv("lock")
    bench.declare()
    one = bench.problem()
    assert one.code == Code.LOCK_UNSUITABLE
    assert "<3.13" in one.message


def test_a_wheel_that_is_not_what_was_locked(bench: Bench) -> None:
    bench.project("api", "web")
    bench.uv("lock")
    lock = bench.shop.root / "api/uv.lock"
    true = sha256(bench.house.folder / "web-2.0-py3-none-any.whl")
    lock.write_text(lock.read_text().replace(true, "sha256:" + "0" * 64))
    bench.declare()
    assert bench.problem().code == Code.HASH_MISMATCH


def test_pylock_is_read_as_it_is(bench: Bench) -> None:
    bench.project("api", *DEPENDENCIES)
    bench.uv("lock")
    bench.uv("export", "--no-emit-project", "-o", "pylock.toml")
    expected = locked(bench, "python3.13")
    for name in ("uv.lock", "pyproject.toml"):
        (bench.shop.root / "api" / name).unlink()
    bench.declare()
    assert set(bench.installed()) == expected


def test_pylock_that_lists_wheels_of_another_machine_alone(bench: Bench) -> None:
    """As `pip lock` does: whether the package has others, it does not say."""
    wheel = "fast-1.5-cp313-cp313-win_amd64.whl"
    text = 'lock-version = "1.0"\ncreated-by = "pip"\n[[packages]]\nname = "fast"\nversion = "1.5"\n'
    text += f'[[packages.wheels]]\nname = "{wheel}"\nurl = "https://files.example/{wheel}"\n'
    text += f'[packages.wheels.hashes]\nsha256 = "{"ab" * 32}"\n'
    bench.shop.write({"api/pylock.toml": text, "api/app.py": APP["app.py"]})
    bench.declare()
    one = bench.problem()
    assert (one.code, one.where.file) == (Code.NO_WHEEL, "api/pylock.toml")
    assert one.message.startswith("api/pylock.toml lists no wheel of fast 1.5 for python3.")
    assert "lock for this target too" in (one.hint or "")
    assert wheel in (one.detail or "")


def test_wheels_whose_names_are_not_normalized(bench: Bench) -> None:
    """uv writes the name of the file as it should be, and its address as it is."""
    bench.project("api", "pymixed")
    bench.uv("lock")
    bench.declare()
    assert set(bench.installed()) == {"pymixed"}


def test_skip_in_a_pylock_follows_the_metadata(bench: Bench) -> None:
    bench.project("api", "web", "aws")
    bench.uv("lock")
    bench.uv("export", "--no-emit-project", "-o", "pylock.toml")
    (bench.shop.root / "api" / "uv.lock").unlink()
    bench.declare(skip=["aws", "absent"], packaging="pylock")
    assert set(bench.installed()) == {"web", "idna"}
    assert [one.code for one in bench.warnings()] == [Code.SKIP_UNUSED]


def test_the_pylock_of_a_function_comes_first(bench: Bench) -> None:
    bench.project("api", "web")
    bench.uv("lock")
    bench.uv("export", "--no-emit-project", "--prune", "idna", "-o", "pylock.uv-python3-13.toml")
    bench.declare(**{"verify.ignore": ["DependencyMissing:*"]})
    results = bench.shop.bundle("*-python3-13")
    assert {name: [wheel.name for wheel in wheels(one)] for name, one in results.items()} == {
        "uv-python3-13": ["web"],
        "pip-python3-13": ["idna", "web"],
    }
    (told,) = bench.warnings()
    assert told.code == Code.SEVERAL_LOCKS
    assert told.message.startswith("api/pylock.uv-python3-13.toml says")
    assert "api/uv.lock" in told.message
    assert told.hint is not None
    assert 'packaging = "pylock"' in told.hint


def test_a_lock_that_hooks_make(bench: Bench) -> None:
    bench.project("api", "web")
    bench.declare(**{"hooks.before": [f'"{find_uv_bin()}" lock -q']})
    assert set(bench.installed()) == {"web", "idna"}
    assert not (bench.shop.root / "api" / "uv.lock").exists()


LISTED = "web\naws\n"
COMPILED = "web==2.0\naws==1.0\ncore==1.0\nidna==3.2\n"


@pytest.mark.parametrize(
    ("text", "skip"),
    [
        (LISTED, ["aws", "core"]),
        (COMPILED, ["aws"]),
        pytest.param(LISTED, ["aws"], marks=pytest.mark.campaign),
        pytest.param(COMPILED, ["aws", "core"], marks=pytest.mark.campaign),
    ],
)
def test_skip_in_requirements(bench: Bench, text: str, skip: list[str]) -> None:
    """Also where the file is a compiled one, which lists everything."""
    bench.shop.write({"api/requirements.txt": text, **{f"api/{name}": it for name, it in APP.items()}})
    bench.declare(skip=skip)
    assert set(bench.installed()) == {"web", "idna"}


def test_selection_that_means_nothing_is_told(bench: Bench) -> None:
    bench.shop.write({"api/requirements.txt": "", **{f"api/{name}": it for name, it in APP.items()}})
    bench.declare(groups=["x"], package="y")
    assert [one.message.split("`")[1] for one in bench.warnings()] == ["groups", "package"]


# --- workspaces


def workspace(bench: Bench) -> None:
    """Two functions, and two shared members of which one needs the other."""
    root = bench.shop.root
    member = "[tool.uv.sources]\n{name} = {{ workspace = true }}\n"
    bench.shop.write({"pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*", "services/*"]\n'})
    project(root / "libs" / "core", "core-lib", requires=["idna"])
    project(root / "libs" / "models", requires=["core-lib"], more=member.format(name="core-lib"))
    for name, needed in (("core", "idna"), ("models", "core-lib")):
        path = root / "libs" / name / "pyproject.toml"
        text = path.read_text().replace("[build-system]", f'dependencies = ["{needed}"]\n[build-system]')
        path.write_text(text)
    bench.project("services/api", "models", "web", more=GROUPS + member.format(name="models"))
    bench.project("services/other", "tomlkit")
    bench.uv("lock", folder=".")


def test_members_of_a_workspace_are_built_and_installed(bench: Bench) -> None:
    workspace(bench)
    bench.declare(entry="services/api", groups=["cloud"])
    found = bench.installed(pip=True)
    assert set(found) == {"models", "core-lib", "web", "idna", "aws", "core"}
    assert found["core-lib"] == "core_lib-1.0-py3-none-any.whl"


def test_another_member_brings_its_own_code(bench: Bench) -> None:
    workspace(bench)
    bench.shop.write({"plain/app.py": APP["app.py"]})
    bench.declare(entry="plain", package="models")
    assert set(bench.installed()) == {"models", "core-lib", "idna"}
    bench.declare(entry="libs/models", handler="backend.build_wheel", package="models")
    assert set(bench.installed()) == {"core-lib", "idna"}


def test_a_changed_member_changes_what_contains_it(bench: Bench) -> None:
    workspace(bench)
    services = {name: {"entry": f"services/{name}"} for name in ("api", "other")}
    bench.shop.declare(services)
    before = {name: one.artifact for name, one in bench.shop.bundle().items()}
    bench.shop.write({"libs/core/src/core_lib/__init__.py": "CHANGED = True\n"})
    after = {name: one.artifact for name, one in bench.shop.bundle().items()}
    assert before["api"] != after["api"]
    assert before["other"] == after["other"]


def test_a_member_that_nobody_has_locked(bench: Bench) -> None:
    workspace(bench)
    bench.project("services/late", "web")
    bench.declare(entry="services/late")
    one = bench.problem()
    assert (one.code, one.where.file) == (Code.LOCK_STALE, "uv.lock")


# --- hosts whose Python the project does not admit

NEWER = """[project]
name = "api"
version = "0.1"
requires-python = ">=3.13"
dependencies = [{dependencies}]
[dependency-groups]
cloud = ["aws"]
"""
LOCKED = """version = 1
revision = 3
requires-python = ">=3.13"

[[package]]
name = "api"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [{{ name = "web" }}]

[package.dev-dependencies]
cloud = [{{ name = "aws" }}]

[package.metadata]
requires-dist = [{{ name = "web", specifier = ">=2" }}]

[package.metadata.requires-dev]
cloud = [{{ name = "aws" }}]
"""
PACKAGE = """
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "{index}" }}
wheels = [{{ url = "{index_files}/{file}", hash = "{hash}" }}]
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this host's Python is one that the project admits")
@pytest.mark.parametrize(
    ("dependencies", "why"),
    [
        ('"web>=2"', None),
        ('"web>=2", "colour; python_version < \'3.13\'"', None),
        ('"web>=1"', "api now needs web>=1"),
        ('"web>=2", "fast"', "api now needs fast"),
        ("", "api no longer needs web"),
    ],
)
def test_a_host_that_the_project_does_not_admit(bench: Bench, dependencies: str, why: str | None) -> None:
    index = bench.shop.environ["UV_DEFAULT_INDEX"]
    text = LOCKED.format()
    for name, version in (("web", "2.0"), ("aws", "1.0")):
        path = bench.house.folder / f"{name}-{version}-py3-none-any.whl"
        text += PACKAGE.format(
            name=name,
            version=version,
            index=index,
            index_files=index.replace("simple", "files"),
            file=path.name,
            hash=sha256(path),
        )
    files = {"pyproject.toml": NEWER.format(dependencies=dependencies), "uv.lock": text, **APP}
    bench.shop.write({f"api/{name}": content for name, content in files.items()})
    bench.declare(**{"verify.ignore": ["DependencyMissing:*"]})
    if why is None:
        assert bench.installed() == {"web": "web-2.0-py3-none-any.whl"}
    else:
        one = bench.problem()
        assert (one.code, one.hint) == (Code.LOCK_STALE, "run `uv lock` in api")
        assert one.message.endswith(why)
