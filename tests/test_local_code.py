"""Local projects, archives and repositories in bundles: real builds by the real uv and pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from localcode import archive, commit, git, project, repository
from uv import find_uv_bin
from wheelhouse import Wheelhouse, elf, sha256
from workbench import BACKENDS, both, uv_and_at_length_pip
from workshop import Workshop, content, modes, snapshot, wheels

from lambda_bundle import BundleError, bundle, load, plan
from lambda_bundle.errors import Code
from lambda_bundle.git import Repository


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A repository with one function, in a place with a space and a letter beyond ASCII in its name."""
    assert wheelhouse.folder.is_dir()
    environ["PIP_CACHE_DIR"] = str(tmp_path / "pip-cache")
    shop = Workshop(tmp_path / "my repository é", environ)
    shop.write({"src/app.py": "def handler(event, context): ...\n"})
    return shop


@both
def test_folder(backend: str, workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("dep", "2.0")
    project(workshop.root / "libs/lib", requires=["dep>=1", 'absent; sys_platform == "win32"'])
    workshop.write({"src/requirements.txt": "../libs/lib\n"})
    workshop.declare({"api": {"backend": backend}})
    before = snapshot(workshop.root / "libs")
    found = workshop.build()["api"]
    assert found["lib/__init__.py"] == b'VERSION = "1.0"\n'
    assert "dep/__init__.py" in found
    assert wheels(workshop) == [("dep", "2.0"), ("lib", "1.0")]
    assert snapshot(workshop.root / "libs") == before


def test_built_once_for_each_content(workshop: Workshop) -> None:
    """However many functions ask for it, in however many runs, and whatever lies about in the project."""
    mark = workshop.root / "mark"
    lib = project(workshop.root / "lib", mark=mark)
    workshop.write({f"{name}/requirements.txt": "-e ../lib\n" for name in "abc"})
    functions = {name: {"entry": name} for name in "abc"}
    for name in functions:
        workshop.write({f"{name}/app.py": f"def handler(event, context): ...  # {name}\n"})
    workshop.declare(functions)
    first = workshop.build(workers=3)
    rows = workshop.manifest
    assert mark.read_text() == "lib\n"
    litter = (
        "__pycache__/x.pyc",
        ".venv/x",
        "lib.egg-info/PKG-INFO",
        "build/lib/old.py",
        "dist/lib-1.0.tar.gz",
    )
    workshop.write({f"lib/{path}": "x" for path in litter})
    (lib / "src/lib/__init__.py").touch()
    assert workshop.build() == first
    assert workshop.manifest == rows
    assert mark.read_text() == "lib\n"
    workshop.write({"lib/src/lib/__init__.py": "CHANGED = True\n"})
    second = workshop.build()
    assert mark.read_text() == "lib\nlib\n"
    assert {name: found["lib/__init__.py"] for name, found in second.items()} == dict.fromkeys(
        "abc", b"CHANGED = True\n"
    )
    assert not [name for name in rows if rows[name]["digest"] == workshop.manifest[name]["digest"]]


def test_new_build_is_the_same_file(workshop: Workshop, tmp_path: Path) -> None:
    """The archives of the build backend in these tests are never the same twice."""
    project(workshop.root / "lib", files={"lib.py": "x", "lib_data/a.txt": "y"})
    workshop.write({"src/requirements.txt": "../lib\n"})
    rows = []
    for number, backend in enumerate(("uv", "pip", "uv")):
        workshop.declare({"api": {"backend": backend}})
        workshop.build(environ={"LAMBDA_BUNDLE_CACHE": str(tmp_path / f"cache-{number}")})
        rows.append(workshop.manifest["api"])
    assert [row["sha256"] for row in rows] == [rows[0]["sha256"]] * 3
    assert [row["wheels"] for row in rows] == [rows[0]["wheels"]] * 3
    (wheel,) = rows[0]["wheels"]
    assert (wheel["file"], len(wheel["sha256"])) == ("lib-1.0-py3-none-any.whl", 64)


CHAINS = {
    "URL in the metadata": {"requires": ["shared @ {root}/../shared"]},
    "path in the metadata": {"requires": ["shared @ ../shared"]},
    "sources of uv": {"requires": ["shared"], "more": '[tool.uv.sources]\nShared = { path = "../shared" }\n'},
    "sources of uv with markers": {
        "requires": ["shared"],
        "more": """[tool.uv.sources]\nshared = [
            { path = "../gone", marker = "sys_platform == 'win32'" },
            { path = "../shared", editable = true, marker = "sys_platform == 'linux'" },
        ]\n""",
    },
    "Poetry": {
        "requires": ["shared @ {root}/../shared"],
        "more": '[tool.poetry.dependencies]\nshared = { path = "../shared", develop = true }\n',
    },
    "member of a workspace": {
        "requires": ["shared"],
        "more": "[tool.uv.sources]\nshared = { workspace = true }\n",
    },
    "sources of the workspace": {"requires": ["shared[x]>=1"]},
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_local_dependencies_of_local_projects(
    chain: dict[str, list[str]], workshop: Workshop, wheelhouse: Wheelhouse
) -> None:
    wheelhouse.wheel("last")
    if "more" not in chain or "workspace" in chain["more"]:
        workshop.write(
            {
                "pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*"]\nexclude = ["libs/odd"]\n'
                "[tool.uv.sources]\nshared = { workspace = true }\n",
                "libs/odd/pyproject.toml": '[project]\nname = "shared"\n',
            }
        )
    project(workshop.root / "libs/top", **chain)  # type: ignore[arg-type]
    project(
        workshop.root / "libs/shared",
        requires=["deep; os_name == 'posix'", "gone @ file:///gone ; os_name == 'nt'"],
        extras=["x"],
        more='[tool.uv.sources]\ndeep = { path = "../../elsewhere/deep" }\n',
    )
    project(workshop.root / "elsewhere/deep", requires=["last"])
    workshop.write({"src/requirements.txt": "../libs/top\n"})
    workshop.declare({"api": {}})
    found = workshop.build()["api"]
    assert wheels(workshop) == [("deep", "1.0"), ("last", "1.0"), ("shared", "1.0"), ("top", "1.0")]
    metadata = [text.decode() for path, text in found.items() if path.endswith("METADATA")]
    assert not [text for text in metadata if "file:" in text or str(workshop.root) in text or "../" in text]


@uv_and_at_length_pip
def test_extras(backend: str, workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    for name in ("one", "two"):
        wheelhouse.wheel(name)
    requires = ["one; extra == 'x'", "two; extra == 'y'", "other; extra == 'y'", "never; extra == 'z'"]
    more = '[tool.uv.sources]\nother = { path = "../other" }\nnever = { path = "../never" }\n'
    project(workshop.root / "lib", requires=requires, extras=["x", "y", "z"], more=more)
    project(workshop.root / "other", requires=["lib[x]"])
    workshop.write({"src/requirements.txt": "-e ../lib[Y]\n../other\n"})
    workshop.declare({"api": {"backend": backend}})
    workshop.build()
    assert [name for name, _ in wheels(workshop)] == ["lib", "one", "other", "two"]


def test_extra_that_a_project_does_not_have(workshop: Workshop) -> None:
    """Told in later runs too, which take what they install from the cache."""
    project(workshop.root / "lib", extras=["x"])
    workshop.write({"src/requirements.txt": "-e ../lib[y]\n"})
    workshop.declare({"api": {}})
    for _ in range(2):
        (warning,) = workshop.bundle()["api"].problems
        assert (warning.code, warning.where.line) == (Code.EXTRA_UNKNOWN, 1)
        assert warning.message.startswith("lib 1.0 has no extra y: ")


def test_project_that_is_the_entry(workshop: Workshop) -> None:
    """The output, and what an earlier run put there, is no part of it."""
    mark = workshop.root.parent / "mark"
    project(workshop.root, "whole", mark=mark)
    workshop.write({"src/requirements.txt": "..\n"})
    workshop.declare({"api": {}})
    first = workshop.build()
    assert workshop.build() == first
    assert mark.read_text() == "whole\n"


def test_hooks_change_what_is_built(workshop: Workshop) -> None:
    project(
        workshop.root / "src/lib",
        more='[tool.uv.sources]\nnear = { path = "../../near" }\n',
        requires=["near"],
    )
    project(workshop.root / "near")
    workshop.write({"src/requirements.txt": "./lib\n"})
    before = ["echo GENERATED = 1 > lib/src/lib/made.py"]
    workshop.declare({"api": {"hooks": {"before": before}, "exclude": ["near/"]}})
    text = (
        (workshop.root / "bundles.toml")
        .read_text()
        .replace('hooks = {"before": ', "hooks.before = ")
        .replace("]}\n", "]\n")
    )
    workshop.write({"bundles.toml": text})
    found = workshop.build()["api"]
    assert found["lib/made.py"] == b"GENERATED = 1\n"
    assert "near/__init__.py" in found
    assert not (workshop.root / "src/lib/src/lib/made.py").exists()


def test_hashes_beside_local_projects(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    dep = sha256(wheelhouse.wheel("dep"))
    project(workshop.root / "lib", requires=["dep"])
    workshop.write({"src/requirements.txt": f"dep==1.0 --hash={dep}\n../lib\n"})
    for backend in BACKENDS:
        workshop.declare({"api": {"backend": backend}})
        workshop.build()
        assert wheels(workshop) == [("dep", "1.0"), ("lib", "1.0")]


def test_damaged_wheel_is_built_anew(workshop: Workshop, environ: dict[str, str]) -> None:
    mark = workshop.root / "mark"
    project(workshop.root / "lib", mark=mark)
    workshop.write({"src/requirements.txt": "../lib\n"})
    workshop.declare({"api": {}})
    first = workshop.build()
    (kept,) = Path(environ["LAMBDA_BUNDLE_CACHE"]).glob("*/wheels/*/*.whl")
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b'VERSION = "1.0"', b'VERSION = "6.6"'))
    assert workshop.build() == first
    assert kept.read_bytes() == whole
    assert mark.read_text() == "lib\nlib\n"
    told = kept.with_name("wheel.json")
    told.write_bytes(told.read_bytes().replace(b'"requires": []', b'"requires": ["x"]'))
    assert workshop.build() == first
    assert mark.read_text() == "lib\nlib\nlib\n"


IMPURE = {
    "tag": ({"tag": "cp311-cp311-linux_x86_64"}, "its wheel is for cp311-cp311-linux_x86_64"),
    "ELF": ({"files": {"lib/fast.bin": elf("x86_64")}}, "lib/fast.bin is in it"),
    "suffix": ({"files": {"lib/_a.cpython-311-darwin.so": b"x"}}, "lib/_a.cpython-311-darwin.so is in it"),
    "Windows": ({"files": {"lib/_a.pyd": b"MZ"}}, "lib/_a.pyd is in it"),
    "versioned": ({"files": {"lib/libz.so.1.2": b"x"}}, "lib/libz.so.1.2 is in it"),
}


@pytest.mark.parametrize(("how", "word"), IMPURE.values(), ids=IMPURE.keys())
def test_impure(how: dict[str, str], word: str, workshop: Workshop) -> None:
    project(workshop.root / "lib", **how)  # type: ignore[arg-type]
    workshop.write({"src/requirements.txt": "\n../lib\n"})
    workshop.declare({"api": {"backend": "pip" if "tag" in how else "uv"}})
    (problem,) = workshop.fail()
    assert problem.code is Code.IMPURE_WHEEL
    assert problem.message == f"lib cannot be built: it is not pure Python: {word}"
    assert (problem.where.file, problem.where.line) == ("src/requirements.txt", 2)
    assert word.split()[-1 if "tag" in how else 0] in (problem.detail or "")


@both
def test_failing_build(backend: str, workshop: Workshop) -> None:
    project(workshop.root / "lib", fail="no compiler today")
    workshop.write({"src/requirements.txt": "../lib\n"})
    workshop.declare({"api": {"backend": backend}})
    (problem,) = workshop.fail()
    assert problem.code is Code.COMMAND_FAILED
    assert problem.message.startswith(f"lib cannot be built: {backend} ended with exit code ")
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" in (problem.hint or "")
    assert "no compiler today" in (problem.detail or "")
    assert len((problem.detail or "").splitlines()) <= 40


def test_everything_wrong_is_told_at_once(workshop: Workshop) -> None:
    project(workshop.root / "impure", tag="py3-none-linux_x86_64")
    project(workshop.root / "other", "another")
    workshop.write({"empty/x": "x", "src/requirements.txt": "../impure\n../empty\nname @ ../other\n"})
    workshop.declare({"api": {}})
    told = {(problem.code, problem.where.line): problem.message for problem in workshop.fail()}
    assert told == {
        (
            Code.IMPURE_WHEEL,
            1,
        ): "impure cannot be built: it is not pure Python: its wheel is for py3-none-linux_x86_64",
        (Code.SOURCE_REQUIREMENT, 2): "empty cannot be built: it is no Python project, for it has neither "
        "pyproject.toml nor setup.py",
        (Code.INVALID_REQUIREMENT, 3): "other cannot be built: it is called another, and asked for as name",
    }


def test_two_projects_of_one_name(workshop: Workshop) -> None:
    for folder in ("one", "two"):
        project(workshop.root / folder, "lib")
    workshop.write({"src/requirements.txt": "../one\n../one/.\n../two\n"})
    workshop.declare({"api": {}})
    (problem,) = workshop.fail()
    assert (problem.code, problem.where.line) == (Code.CONFLICT, 3)
    assert problem.message == "lib is asked for from two places: one and two"


def test_tools_of_a_build(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """They come from the index, as wheels."""
    wheelhouse.wheel("tool")
    wheelhouse.sdist("sources")
    project(workshop.root / "lib", tools=["tool"])
    workshop.write({"src/requirements.txt": "../lib\n"})
    for backend in BACKENDS:
        workshop.declare({"api": {"backend": backend}})
        if backend == "uv":  # with pip, the tools of the index build in `test_local_index.py`
            workshop.build()
        project(workshop.root / "lib", tools=["sources"])
        (problem,) = workshop.fail()
        assert problem.code is Code.COMMAND_FAILED
        assert "sources" in (problem.detail or "")
    assert not wheelhouse.mark.exists()


@uv_and_at_length_pip
def test_archive(backend: str, workshop: Workshop, tmp_path: Path) -> None:
    packed = archive(project(tmp_path / "lib"), workshop.root / "lib-1.0.tar.gz", mtime=0)
    workshop.write({"src/requirements.txt": f"lib @ file:../lib-1.0.tar.gz --hash={sha256(packed)}\n"})
    workshop.declare({"api": {"backend": backend}})
    assert "lib/__init__.py" in workshop.build()["api"]
    workshop.write({"src/requirements.txt": f"../lib-1.0.tar.gz --hash=sha256:{'0' * 64}\n"})
    (problem,) = workshop.fail()
    assert problem.code is Code.HASH_MISMATCH
    assert problem.message.startswith("lib-1.0.tar.gz cannot be built: the archive does not have the hash")


def test_zip_archive(workshop: Workshop, tmp_path: Path) -> None:
    """As GitHub has them; some tools leave times in there that no wheel can hold."""
    folder = project(tmp_path / "lib")
    with zipfile.ZipFile(workshop.root / "lib.zip", "w") as packed:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            packed.writestr(f"lib-main/{file.relative_to(folder).as_posix()}", file.read_bytes())
    workshop.write({"src/requirements.txt": "../lib.zip\n"})
    workshop.declare({"api": {}})
    assert "lib/__init__.py" in workshop.build()["api"]
    broken = bytearray((workshop.root / "lib.zip").read_bytes())
    broken[60:90] = bytes(30)
    (workshop.root / "lib.zip").write_bytes(broken)
    (problem,) = workshop.fail()
    assert problem.message.startswith("lib.zip cannot be built: the archive cannot be unpacked")


def test_archive_with_a_project_below(workshop: Workshop, tmp_path: Path) -> None:
    project(tmp_path / "all/python/lib")
    archive(tmp_path / "all", workshop.root / "all.tar.gz")
    workshop.declare({"api": {}})
    workshop.write({"src/requirements.txt": "../all.tar.gz#subdirectory=python/lib\n"})
    assert "lib/__init__.py" in workshop.build()["api"]
    workshop.write({"src/requirements.txt": "../all.tar.gz\n"})
    (problem,) = workshop.fail()
    assert problem.code is Code.SOURCE_REQUIREMENT
    assert "#subdirectory=" in (problem.hint or "")
    (workshop.root / "all.tar.gz").write_bytes(b"no archive")
    (problem,) = workshop.fail()
    assert problem.message.startswith("all.tar.gz cannot be built: the archive cannot be unpacked")


@uv_and_at_length_pip
def test_git(backend: str, workshop: Workshop, tmp_path: Path) -> None:
    environ = workshop.environ
    project(tmp_path / "repo/libs/lib")
    remote = repository(tmp_path / "repo", environ)
    git(remote, environ, "tag", "--annotate", "v1", "--message", "x")
    first = git(remote, environ, "rev-parse", "HEAD")
    url = f"git+{remote.as_uri()}"

    def built(reference: str) -> bytes:
        line = f"-e {url}{reference}#egg=lib&subdirectory=libs/lib\n"
        workshop.write({"src/requirements.txt": line})
        workshop.declare({"api": {"backend": backend}})
        return workshop.build()["api"]["lib/__init__.py"]

    old = b'VERSION = "1.0"\n'
    assert built("") == built("@main") == old
    (remote / "libs/lib/src/lib/__init__.py").write_text("NEW = 1\n")
    commit(remote, environ)
    assert built("") == built("@main") == b"NEW = 1\n"
    assert built("@v1") == built(f"@{first}") == built(f"@{first[:9]}") == old
    for reference in ("v9", "abcdef0"):
        workshop.write({"src/requirements.txt": f"{url}@{reference}#subdirectory=libs/lib\n"})
        (problem,) = workshop.fail()
        assert problem.message.endswith(f"has no branch, tag or commit called {reference}")


def test_commit_of_no_branch(workshop: Workshop, tmp_path: Path) -> None:
    """As a pull request is one."""
    project(tmp_path / "repo", "lib")
    remote = repository(tmp_path / "repo", workshop.environ)
    (remote / "src/lib/__init__.py").write_text("PULLED = 1\n", encoding="utf-8")
    pulled = commit(remote, workshop.environ)
    git(remote, workshop.environ, "update-ref", "refs/pull/1/head", pulled)
    git(remote, workshop.environ, "reset", "--quiet", "--hard", "HEAD~1")
    workshop.declare({"api": {}})
    for reference in (pulled, "refs/pull/1/head"):
        workshop.write({"src/requirements.txt": f"git+{remote.as_uri()}@{reference}\n"})
        assert workshop.build()["api"]["lib/__init__.py"] == b"PULLED = 1\n"


def test_submodules(workshop: Workshop, tmp_path: Path) -> None:
    # git itself does not follow submodules into folders of the machine, unless it is told to.
    allowed = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "protocol.file.allow",
        "GIT_CONFIG_VALUE_0": "always",
    }
    environ = {**workshop.environ, **allowed}
    (tmp_path / "part").mkdir()
    (tmp_path / "part/__init__.py").write_text("PART = 1\n")
    part = repository(tmp_path / "part", environ)
    project(tmp_path / "repo", "lib")
    remote = repository(tmp_path / "repo", environ)
    git(remote, environ, "submodule", "--quiet", "add", part.as_uri(), "src/lib/part")
    commit(remote, environ)
    workshop.write({"src/requirements.txt": f"git+{remote.as_uri()}@main\n"})
    workshop.declare({"api": {}})
    assert workshop.build(environ=allowed)["api"]["lib/part/__init__.py"] == b"PART = 1\n"
    (refused,) = workshop.fail(environ={"LAMBDA_BUNDLE_CACHE": str(tmp_path / "another cache")})
    assert refused.code is Code.COMMAND_FAILED
    assert "git ended with exit code" in refused.message


@pytest.mark.parametrize(
    ("text", "url", "reference"),
    [
        ("git+ssh://git@example.org/team/lib.git@v1", "ssh://git@example.org/team/lib.git", "v1"),
        ("git+https://me:pw@example.org/lib.git@a%2Fb", "https://example.org/lib.git", "a/b"),
        ("git+https://example.org/lib.git", "https://example.org/lib.git", None),
    ],
)
def test_addresses_of_repositories(text: str, url: str, reference: str | None) -> None:
    found = Repository.parse(text)
    assert (found.url, found.reference, found.credentials is None) == (url, reference, "me:pw" not in text)


def test_no_address_of_a_repository() -> None:
    with pytest.raises(BundleError) as caught:
        Repository.parse("git+me:Qx0secret@host")
    (problem,) = caught.value.problems
    assert problem.code is Code.INVALID_REQUIREMENT
    assert problem.message == "git+****@host is not the address of a git repository"


def test_commit_needs_no_remote_twice(workshop: Workshop, tmp_path: Path) -> None:
    project(tmp_path / "repo")
    remote = repository(tmp_path / "repo", workshop.environ)
    first = git(remote, workshop.environ, "rev-parse", "HEAD")
    workshop.write({"src/requirements.txt": f"git+{remote.as_uri()}@{first}\n"})
    workshop.declare({"api": {}})
    before = workshop.build()
    remote.rename(tmp_path / "gone")
    assert workshop.build() == before


def test_git_that_is_missing_or_refuses(workshop: Workshop, tmp_path: Path) -> None:
    workshop.declare({"api": {}})
    address = "git+https://me:Qx0secret@127.0.0.1:9/team/lib.git@main"
    workshop.write({"src/requirements.txt": f"lib @ {address}\n"})
    (problem,) = workshop.fail(environ={"PATH": str(tmp_path)})
    assert problem.code is Code.COMMAND_FAILED
    assert "git ls-remote" in problem.message
    assert problem.hint == "install it, or put it on PATH"
    (refused,) = workshop.fail()
    assert refused.code is Code.COMMAND_FAILED
    assert "git ended with exit code 128" in refused.message
    assert "127.0.0.1:9" in (refused.detail or "")
    assert "Qx0secret" not in f"{problem}{refused}"


def test_git_dependency_of_a_local_project(workshop: Workshop, tmp_path: Path) -> None:
    project(tmp_path / "repo", "far")
    remote = repository(tmp_path / "repo", workshop.environ)
    more = f'[tool.uv.sources]\nfar = {{ git = "{remote.as_uri()}", branch = "main" }}\n'
    project(workshop.root / "one", requires=["far"], more=more)
    project(workshop.root / "two", requires=[f"far @ git+{remote.as_uri()}@main"])
    workshop.write({"src/requirements.txt": "../one\n../two\n"})
    workshop.declare({"api": {}})
    workshop.build()
    assert [name for name, _ in wheels(workshop)] == ["far", "one", "two"]


def test_what_makes_a_bundle_stale(workshop: Workshop, tmp_path: Path) -> None:
    project(workshop.root / "libs/top", requires=["shared"])
    project(workshop.root / "libs/shared")
    packed = archive(project(tmp_path / "packed"), workshop.root / "packed.tar.gz")
    workshop.write(
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*"]\n'
            "[tool.uv.sources]\nshared = { workspace = true }\n",
            "src/requirements.txt": "../libs/top\n../packed.tar.gz\n",
        }
    )
    workshop.declare({"api": {}})
    workshop.build()
    assert workshop.bundle(force=False)["api"].status == "fresh"
    changes: dict[str, Callable[[], object]] = {
        "libs/shared": lambda: workshop.write({"libs/shared/src/shared/new.py": "NEW = 1\n"}),
        "libs/top": lambda: (workshop.root / "libs/top/wheel.json").chmod(0o755),
        "packed.tar.gz": lambda: archive(project(tmp_path / "packed", version="2.0"), packed),
        "pyproject.toml": lambda: workshop.write(
            {"pyproject.toml": (workshop.root / "pyproject.toml").read_text() + "# changed\n"}
        ),
    }
    for name, change in changes.items():
        change()
        result = workshop.bundle(force=False)["api"]
        assert (result.status, result.reasons) == ("built", (f"{name} changed",))
        assert workshop.bundle(force=False)["api"].status == "fresh"


def test_what_is_named_by_path_and_not_required_counts(workshop: Workshop) -> None:
    """A build may look at it: it lies beside the project meanwhile."""
    project(workshop.root / "lib")
    project(workshop.root / "other")
    file = workshop.root / "lib/pyproject.toml"
    file.write_text(f'{file.read_text()}\n[tool.uv.sources]\nother = {{ path = "../other" }}\n')
    workshop.write({"src/requirements.txt": "../lib\n"})
    workshop.declare({"api": {}})
    workshop.build()
    assert workshop.bundle(force=False)["api"].status == "fresh"
    workshop.write({"other/version.txt": "2\n"})
    assert workshop.bundle(force=False)["api"].reasons == ("other changed",)


def test_project_that_hooks_have_changed_is_fresh(workshop: Workshop) -> None:
    project(workshop.root / "src/lib")
    workshop.write({"src/requirements.txt": "./lib\n"})
    workshop.declare({"api": {}})
    with (workshop.root / "bundles.toml").open("a") as file:
        file.write('hooks.before = ["echo GENERATED = 1 > lib/src/lib/made.py"]\n')
    assert workshop.build()["api"]["lib/made.py"] == b"GENERATED = 1\n"
    assert workshop.bundle(force=False)["api"].status == "fresh"


# --- workspaces, and what else is built


@uv_and_at_length_pip
def test_members_of_a_locked_workspace(backend: str, workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """As the monorepo of a team has them: what the lock says is installed, and the members are built."""
    wheelhouse.wheel("dep")
    wheelhouse.wheel("unwanted")
    sources = "[tool.uv.sources]\nshared = { workspace = true }\ndeep = { workspace = true }\n"
    members = {"shared": ["deep"], "deep": ["dep"], "other": ["unwanted"]}
    for name, requires in members.items():
        folder = project(workshop.root / "libs" / name, requires=requires)
        text = (folder / "pyproject.toml").read_text()
        told = f"dependencies = {json.dumps(requires)}\n[build-system]"
        (folder / "pyproject.toml").write_text(text.replace("[build-system]", told) + sources)
    workshop.write(
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["src", "libs/*"]\n',
            "src/pyproject.toml": '[project]\nname = "api"\nversion = "1"\nrequires-python = ">=3.9"\n'
            f'dependencies = ["shared"]\n{sources}',
        }
    )
    command = [find_uv_bin(), "lock", "--offline", "--python", sys.executable, "--no-python-downloads"]
    subprocess.run(command, cwd=workshop.root, env=dict(workshop.environ), check=True, capture_output=True)
    workshop.declare({"api": {"backend": backend, "packaging": "uv"}})
    first = workshop.build()["api"]
    assert wheels(workshop) == [("deep", "1.0"), ("dep", "1.0"), ("shared", "1.0")]
    workshop.write({"libs/deep/src/deep/new.py": "NEW = 1\n"})
    result = workshop.bundle(force=False)["api"]
    assert (result.status, result.reasons) == ("built", ("libs/deep changed",))
    assert first.keys() < content(result.job.artifact).keys()


def test_variables_that_give_a_version(workshop: Workshop) -> None:
    mark = workshop.root / "mark"
    project(workshop.root / "lib", mark=mark)
    workshop.write({"src/requirements.txt": "../lib\n"})
    for version, count in (("1.0", 1), ("1.0", 1), ("2.0", 2)):
        workshop.declare({"api": {}})
        with (workshop.root / "bundles.toml").open("a") as file:
            file.write(f'env = {{ SETUPTOOLS_SCM_PRETEND_VERSION = "{version}" }}\n')
        workshop.build()
        assert mark.read_text() == "lib\n" * count


def test_programs_of_a_local_project(workshop: Workshop) -> None:
    """They stay as in any wheel: what starts the host's Python goes, and all else is executable."""
    files = {
        "lib.py": "x",
        "lib-1.0.data/scripts/tool": "#!/bin/sh\necho x\n",
        "lib-1.0.data/scripts/host": f"#!{sys.executable}\n",
        "lib-1.0.data/data/share/lib.txt": "x",
    }
    project(workshop.root / "lib", files=files)
    workshop.write({"src/requirements.txt": "../lib\n"})
    found = []
    for backend in BACKENDS:
        workshop.declare({"api": {"backend": backend}})
        built = workshop.build()["api"]
        assert {"bin/tool", "share/lib.txt"} < built.keys()
        assert "bin/host" not in built
        assert modes(workshop.output / "api.zip")["bin/tool"] == 0o755
        found.append(built)
    assert found[0] == found[1]


def test_git_offline(workshop: Workshop) -> None:
    workshop.write({"src/requirements.txt": "git+https://127.0.0.1:9/lib.git@main\n"})
    workshop.declare({"api": {}})
    config = load(workshop.root / "bundles.toml")
    (result,) = bundle(plan(config), environ=workshop.environ, offline=True)
    (problem,) = result.problems
    assert problem.code is Code.OFFLINE
    assert "127.0.0.1:9/lib.git" in problem.message


def test_credentials_reach_git_by_its_environment(workshop: Workshop, tmp_path: Path) -> None:
    """In no argument, which every user of the machine can read; other hosts do not get them."""
    program = tmp_path / "bin/git"
    workshop.write({"src/requirements.txt": "lib @ git+https://me:Qx0secret@127.0.0.1:9/team/lib.git@main\n"})
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nenv >> {tmp_path}/env\nexit 3\n')
    program.chmod(0o755)
    workshop.declare({"api": {}})
    path = f"{program.parent}{os.pathsep}{workshop.environ['PATH']}"
    (problem,) = workshop.fail(environ={"PATH": path})
    assert problem.code is Code.COMMAND_FAILED
    assert "Qx0secret" not in (tmp_path / "said").read_text()
    told = (tmp_path / "env").read_text()
    assert "url.https://me:Qx0secret@127.0.0.1:9/.insteadOf" in told
    assert "GIT_TERMINAL_PROMPT=0" in told
