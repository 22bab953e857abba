from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Index, serving
from wheelhouse import Wheelhouse, elf, sha256
from workbench import Workbench
from workshop import Workshop

from lambda_bundle.errors import BundleError, Code, Where
from lambda_bundle.installer_pip import Pip
from lambda_bundle.lock import Unfit
from lambda_bundle.pip_commands import download_arguments, option_lines, report_arguments
from lambda_bundle.pip_report import lacking
from lambda_bundle.targets import RUNTIMES, Target
from lambda_bundle.wanted import Options, Requirement, Requirements

PY310 = Target("python3.10", "x86_64")
TARGETS = [Target(name, arch) for name, runtime in RUNTIMES.items() for arch in runtime.archs]


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workbench:
    assert wheelhouse.folder.is_dir()
    return Workbench(tmp_path, environ)


def options(**given_options: Any) -> Options:
    plain: dict[str, Any] = {
        "index_url": None,
        "extra_index_urls": (),
        "find_links": (),
        "no_index": False,
        "pre": False,
        "trusted_hosts": (),
        "require_hashes": False,
    }
    return Options(**(plain | given_options))


# --- arguments


@given(st.sampled_from(TARGETS), st.booleans())
def test_every_command_is_for_the_target(target: Target, alone: bool) -> None:
    for arguments in (report_arguments(target, alone=alone), download_arguments(target, "file", "folder")):
        pairs = list(pairwise(arguments))
        assert [value for option, value in pairs if option == "--platform"] == list(target.platforms)
        assert ("--abi", target.abi) in pairs
        assert ("--implementation", "cp") in pairs
        assert ("--python-version", target.full_version) in pairs
        assert "--no-input" in arguments
    assert ("--no-deps" in report_arguments(target, alone=alone)) == alone
    assert "--no-deps" in download_arguments(target, "file", "folder")


def test_options_become_lines_of_a_file() -> None:
    """Where no other user sees the password; pip knows all of them there."""
    wanted = Requirements(
        requirements=(),
        constraints=(),
        options=options(
            index_url="https://me:s3cret@host/simple",
            extra_index_urls=("https://other/simple",),
            find_links=("/srv/my wheels",),
            no_index=True,
            pre=True,
            trusted_hosts=("host", "other:8080"),
        ),
        files=(),
        secrets=frozenset(),
    )
    assert option_lines(wanted.options) == [
        "--index-url https://me:s3cret@host/simple",
        "--extra-index-url https://other/simple",
        "--find-links file:///srv/my%20wheels",
        "--no-index",
        "--pre",
        "--trusted-host host",
        "--trusted-host other:8080",
    ]


# --- what a complete list does not list


def report(packages: Mapping[str, tuple[str, Iterable[str]]]) -> dict[str, dict[str, Any]]:
    """Of `name: (version, requires_dist)`."""
    return {
        name: {"metadata": {"name": name, "version": version, "requires_dist": list(requires)}}
        for name, (version, requires) in packages.items()
    }


def wanted(*lines: str) -> Requirements:
    requirements = tuple(
        Requirement(
            name=line.partition("[")[0],
            specifier="",
            extras=tuple(line.partition("[")[2].rstrip("]").split(",")) if "[" in line else (),
            url=None,
            hashes=(),
            where=Where(),
        )
        for line in lines
    )
    return Requirements(
        requirements=requirements, constraints=(), options=options(), files=(), secrets=frozenset()
    )


LISTS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, list[str]]], dict[str, str]]] = {
    "complete": (("a",), {"a": ("1", ["b>=1"]), "b": ("1", [])}, {}),
    "what only another Python needs": (("a",), {"a": ("1", ["b; python_version >= '3.11'"])}, {}),
    "lacking": (("a",), {"a": ("1", ["b<2; python_version < '3.11'"])}, {"b<2": "a"}),
    "lacking what was asked for": (("a",), {}, {"a": ""}),
    "another version": (("a",), {"a": ("1", ["b>=2"]), "b": ("1", [])}, {"b>=2": "a"}),
    "a pre-release": (("a",), {"a": ("1", ["b>=1"]), "b": ("2.0a1", [])}, {}),
    "in a circle": (("a",), {"a": ("1", ["b"]), "b": ("1", ["a"])}, {}),
    "an extra": (("a[x]",), {"a": ("1", ["b; extra == 'x'", "c; extra == 'y'"])}, {"b": "a"}),
    "an extra of itself": (
        ("a[all]",),
        {"a": ("1", ["a[x]; extra == 'all'", "b; extra == 'x'"])},
        {"b": "a"},
    ),
    "an extra that is asked for later": (
        ("a", "b"),
        {"a": ("1", ["c[x,y]; extra == 'never'", "c; extra == 'x'"]), "b": ("1", ["a[x]"])},
        {"c": "a"},
    ),
    "lacking with extras": (("a",), {"a": ("1", ["B.b[y,x]>=1,<3"])}, {"b-b[x,y]<3,>=1": "a"}),
    "a wheel by its URL": (
        ("a",),
        {"a": ("1", ["b @ https://host/b-1-py3-none-any.whl"]), "b": ("7", [])},
        {},
    ),
    "lacking a wheel with a URL": (
        ("a",),
        {"a": ("1", ["b[x] @ https://host/b-1-py3-none-any.whl ; python_version < '3.11'"])},
        {"b[x] @ https://host/b-1-py3-none-any.whl": "a"},
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_what_a_list_lacks(case: str) -> None:
    lines, packages, missing = LISTS[case]
    assert lacking(wanted(*lines), report(packages), PY310) == missing


def test_list_with_something_that_could_only_be_built() -> None:
    place = "https://me:s3cret@host/b-1.tar.gz?token=s3cret"
    with pytest.raises(BundleError) as caught:
        lacking(wanted("a"), report({"a": ("1", [f"b @ {place}"])}), PY310)
    (problem,) = caught.value.problems
    assert problem.code is Code.SOURCE_REQUIREMENT
    assert problem.message.startswith("a requires b as sources (https://")
    assert "s3cret" not in problem.message


NAMES = "abcdef"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True), min_size=1),
    st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_a_list_lacks_what_is_required_and_not_there(
    requires: Mapping[str, list[str]], roots: set[str]
) -> None:
    missing = lacking(
        wanted(*roots), report({name: ("1", children) for name, children in requires.items()}), PY310
    )
    reached: set[str] = set()
    while more := (roots | {child for name in reached for child in requires.get(name, ())}) - reached:
        reached |= more
    assert set(missing) == reached - set(requires)


# --- at work


def test_resolver_finds_an_older_version_where_the_newest_asks_for_too_much(
    wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    wheelhouse.wheel("top", "1.0", requires=["dep"])
    wheelhouse.wheel("top", "2.0", requires=["dep>=2"])
    wheelhouse.wheel("dep", "1.0")
    assert bench.files("pip", "top", PY310) == ["dep-1.0-py3-none-any.whl", "top-1.0-py3-none-any.whl"]


def test_versions_are_chosen_by_the_markers_of_the_target(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """What only the host needs, and nobody could install, is no reason to take an older version.

    This is how cryptography requires cffi: the newest for Python 3.8 were passed over on every other host.
    """
    wheelhouse.wheel("top", "1.0")
    wheelhouse.wheel(
        "top",
        "2.0",
        requires=[
            "dep>=2; python_version != '3.9'",
            "dep>=1; python_version == '3.9'",
            "arm; platform_machine == 'aarch64'",
        ],
    )
    wheelhouse.wheel("dep", "1.0")
    wheelhouse.wheel("arm", "1.0")
    target = Target("python3.9", "arm64")
    names = ["arm-1.0-py3-none-any.whl", "dep-1.0-py3-none-any.whl", "top-2.0-py3-none-any.whl"]
    assert bench.files("pip", "top", target) == names
    assert bench.files("uv", "top", target) == names


def test_pip_that_takes_markers_from_elsewhere(bench: Workbench, wheelhouse: Wheelhouse) -> None:
    """It chooses for the host, and its report says so."""
    first = bench.folder / "first"
    first.mkdir()
    (first / "sitecustomize.py").write_text("import pip._internal.models.installation_report\n")
    bench.environ["PYTHONPATH"] = str(first)
    wheelhouse.wheel("pkg")
    problem = bench.problem("pip", "pkg", PY310)
    assert problem.code is Code.PYTHON_MISSING
    assert problem.message.endswith(f" of {sys.executable} does not choose by the markers of the target")


@pytest.mark.parametrize(
    "variables",
    [
        {"PIP_PLATFORM": "win_amd64", "PIP_ABI": "none", "PIP_IMPLEMENTATION": "pp", "PIP_NO_DEPS": "1"},
        {"PIP_REQUIREMENT": "/nowhere", "PIP_TARGET": "/nowhere", "PIP_PYTHON": "/nowhere"},
    ],
)
def test_variables_that_say_what_is_decided_here(
    variables: dict[str, str], wheelhouse: Wheelhouse, tmp_path: Path, environ: dict[str, str]
) -> None:
    for tag in ("manylinux_2_17_aarch64", "win_amd64"):
        wheelhouse.wheel("lib", "1.0", f"cp310-cp310-{tag}", requires=["dep"])
    wheelhouse.wheel("dep")
    shop = Workshop(tmp_path, {**environ, **variables})
    shop.write({"src/app.py": "def handler(event, context): ...\n", "src/requirements.txt": "lib\n"})
    shop.declare({"api": {"runtime": "python3.10", "backend": "pip"}})
    assert {"lib/__init__.py", "dep/__init__.py"} <= shop.build()["api"].keys()


@pytest.mark.index
@pytest.mark.parametrize("version", ["23.1", "24.1.2"])
def test_pip_that_asks_its_own_python(version: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Old ones compare `Requires-Python` with that, where a page does not say it."""
    old = bench.folder / "old"
    venv.create(old, with_pip=True)
    python = str(old / "bin" / "python")
    environ = {name: value for name, value in os.environ.items() if name != "PIP_NO_INDEX"}
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"pip=={version}"], check=True, env=environ)
    wheelhouse.wheel("lib", "1.0")
    wheelhouse.wheel("lib", "2.0", python="<3.10")
    wheelhouse.wheel("lib", "3.0", python=">=3.10")
    wanted = bench.requirements("lib", Target("python3.9", "arm64"))
    (wheel,) = Pip(python).resolve(wanted, Target("python3.9", "arm64"), bench.work(), ())
    assert wheel.version == "2.0"


def test_nothing_that_pip_would_move_over_is_lost(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """`pip install --target` drops what is data for a folder that a package has, and exits with 0."""
    wheelhouse.wheel(
        "lost",
        files={
            "lost/__init__.py": "",
            "lib/__init__.py": "",
            "lost-1.0.data/data/lib/liblost.so": elf("x86_64"),
            "lost-1.0.data/data/lost/data.txt": "",
        },
    )
    wheelhouse.wheel("tools", files={"bin/__init__.py": ""})
    wheelhouse.wheel("program", files={"program-1.0.data/scripts/program": elf("x86_64")})
    found = bench.dependencies("pip", "lost\ntools\nprogram", PY310).files
    assert found.keys() >= {
        *("lost/__init__.py", "lost/data.txt", "lib/__init__.py", "lib/liblost.so"),
        *("bin/__init__.py", "bin/program"),
    }


def test_reason_of_the_store_is_told(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """A pip that was told to ignore Requires-Python is not believed."""
    bench.environ["PIP_IGNORE_REQUIRES_PYTHON"] = "1"
    wheelhouse.wheel("pkg", "1.0", python="<3.10")
    wheelhouse.wheel("pkg", "2.0", python=">=3.11")
    problem = bench.problem("pip", "pkg", PY310)
    assert problem.code is Code.PYTHON_UNSUPPORTED
    assert problem.message.startswith("pkg 2.0 requires Python >=3.11")


def test_wheel_that_a_distribution_requires_by_url(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Something that uv refuses altogether."""
    elsewhere = Wheelhouse(bench.folder / "elsewhere")
    elsewhere.folder.mkdir()
    fitting = elsewhere.wheel("fitting", requires=["leaf"])
    windows = elsewhere.wheel("windows", "1.5", "cp310-cp310-win_amd64")
    wheelhouse.wheel("leaf")
    wheelhouse.wheel("top", requires=[f"fitting @ {fitting.as_uri()}"])
    wheelhouse.wheel("wrong", requires=[f"windows @ {windows.as_uri()}"])
    assert bench.files("pip", "top", PY310) == [
        *("fitting-1.0-py3-none-any.whl", "leaf-1.0-py3-none-any.whl", "top-1.0-py3-none-any.whl"),
    ]
    problem = bench.problem("pip", "wrong", PY310)
    assert (problem.code, problem.where) == (Code.NO_WHEEL, Where())
    assert problem.message == f"windows 1.5 has no wheel for {PY310}"
    assert problem.detail
    assert windows.name in problem.detail


@pytest.mark.parametrize(
    "variables", [{"PIP_QUIET": "2"}, {"PIP_VERBOSE": "1", "PIP_REQUIRE_VIRTUALENV": "1"}]
)
def test_environment_that_changes_what_pip_says(
    variables: dict[str, str], wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    bench.environ.update(variables)
    wheelhouse.sdist("pkg")
    assert bench.problem("pip", "pkg", PY310).code is Code.SOURCE_ONLY


def test_list_with_hashes_needs_no_look_at_what_the_host_needs(
    wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    top = wheelhouse.wheel("top", requires=["nowhere; python_version >= '3.11'"])
    text = f"top==1.0 --hash={sha256(top)}"
    assert bench.files("pip", text, PY310) == [top.name]


def test_exclusions_of_the_store(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel("pkg", "1.0")
    wheelhouse.wheel("pkg", "2.0")
    requirements = bench.requirements("pkg", PY310)
    unfit = (Unfit(name="pkg", version="2.0", requires_python="<3"),)
    (wheel,) = bench.backend("pip").resolve(requirements, PY310, bench.work(), unfit)
    assert wheel.version == "1.0"


def test_index_refuses_only_a_file(bench: Workbench) -> None:
    served = Wheelhouse(bench.folder / "served")
    served.folder.mkdir()
    served.wheel("pkg")
    with serving(Index(folder=served.folder, credentials="me:right")) as host:
        text = f"pkg @ http://me:wr0ng@{host}/files/pkg-1.0-py3-none-any.whl\n"
        problem = bench.problem("pip", text, PY310)
    assert problem.code is Code.INDEX_UNAUTHORIZED
    assert "wr0ng" not in f"{problem}"
