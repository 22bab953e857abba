"""Nothing is ever built: every command says so, and every target proves it."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheelhouse import Wheelhouse
from workbench import BACKENDS, Workbench

from lambda_bundle import pip_commands, uv_commands
from lambda_bundle.errors import Code
from lambda_bundle.targets import RUNTIMES, Target
from lambda_bundle.wanted import Options

TAGS = ((), ("manylinux2014_",), ("musllinux_1_2_", "manylinux_2_28_"), ("linux_",), ("manylinux_2_40_",))
TARGETS = [
    Target(name, arch, tuple(f"{tag}{Target(name, arch).machine}" for tag in tags))
    for name, runtime in RUNTIMES.items()
    for arch, tags in product(runtime.archs, TAGS)
]
PLAIN = [target for target in TARGETS if not target.tags]
ENDS = (PLAIN[0], PLAIN[-1])
"""The targets that pip is asked for in every run of the suite; uv is asked for all."""

options = st.builds(
    Options,
    index_url=st.sampled_from([None, "https://host/simple"]),
    extra_index_urls=st.sampled_from([(), ("https://other/simple",)]),
    find_links=st.sampled_from([(), ("/srv/wheels",)]),
    no_index=st.booleans(),
    pre=st.booleans(),
    trusted_hosts=st.sampled_from([(), ("host",), ("host", "other:8080")]),
    require_hashes=st.booleans(),
)


def commands(target: Target, given_options: Options, flag: bool) -> dict[str, list[str]]:
    """Every command that a backend may run for a target."""
    machine = target.machine
    return {
        "uv compile": uv_commands.compile_arguments(target, given_options),
        "uv list": uv_commands.listing_arguments(given_options, "2.7"),
        "uv install": uv_commands.install_arguments(
            target,
            f"{machine}-manylinux_2_40",
            Path("into"),
            "pylock.toml",
            options=given_options,
        ),
        "pip report": pip_commands.report_arguments(target, alone=flag),
        "pip download": pip_commands.download_arguments(target, "install.txt", "folder"),
    }


@given(st.sampled_from(TARGETS), options, st.booleans())
def test_every_command_says_so(target: Target, given_options: Options, flag: bool) -> None:
    for name, arguments in commands(target, given_options, flag).items():
        assert arguments.count("--only-binary") == 1, name
        assert arguments[arguments.index("--only-binary") + 1] == ":all:", name
        refused = ("--no-binary", "--editable", "--no-build-isolation")
        assert not [one for one in arguments if one.startswith(refused)], name


@pytest.mark.parametrize(
    ("backend", "target"),
    [
        pytest.param(
            *(backend, target),
            id=f"{target}-{backend}",
            marks=[] if backend == "uv" or target in ENDS else pytest.mark.campaign,
        )
        for backend in BACKENDS
        for target in PLAIN
    ],
)
def test_sources_are_never_built(
    backend: str, target: Target, wheelhouse: Wheelhouse, tmp_path: Path, environ: dict[str, str]
) -> None:
    wheelhouse.sdist("sources", "1.0")
    problem = Workbench(tmp_path, environ).problem(backend, "sources==1.0", target)
    assert problem.code is Code.SOURCE_ONLY
    assert problem.message.startswith("sources 1.0 has only a source distribution, no wheel for ")
    assert problem.message.endswith(str(target))
    assert not wheelhouse.mark.exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_older_wheel_rather_than_newer_sources(
    backend: str, wheelhouse: Wheelhouse, tmp_path: Path, environ: dict[str, str]
) -> None:
    wheelhouse.wheel("pkg", "1.0")
    wheelhouse.sdist("pkg", "2.0")
    wheelhouse.sdist("pkg", "1.0")
    bench = Workbench(tmp_path, environ)
    assert bench.files(backend, "pkg", PLAIN[0]) == ["pkg-1.0-py3-none-any.whl"]
    assert not wheelhouse.mark.exists()


ENVIRONMENTS = [
    ("uv", {"UV_NO_BINARY": "1", "UV_NO_BUILD": "0"}),
    ("uv", {"UV_NO_BINARY_PACKAGE": "sources"}),
    ("pip", {"PIP_NO_BINARY": ":all:", "PIP_ONLY_BINARY": ":none:"}),
    pytest.param("pip", {"PIP_NO_BINARY": "sources"}, marks=pytest.mark.campaign),
]


@pytest.mark.parametrize(("backend", "asking"), ENVIRONMENTS)
def test_environment_that_asks_for_builds(
    backend: str,
    asking: dict[str, str],
    wheelhouse: Wheelhouse,
    tmp_path: Path,
    environ: dict[str, str],
) -> None:
    environ.update(asking)
    wheelhouse.sdist("sources")
    problem = Workbench(tmp_path, environ).problem(backend, "sources", PLAIN[0])
    assert problem.code is Code.SOURCE_ONLY
    assert not wheelhouse.mark.exists()


def test_project_of_the_current_folder_that_asks_for_builds(
    wheelhouse: Wheelhouse, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "pyproject.toml"  # above the folder that uv works in, too
    project.write_text('[tool.uv]\nno-binary-package = ["sources"]\n[tool.uv.pip]\nno-binary = ["sources"]\n')
    monkeypatch.chdir(tmp_path)
    wheelhouse.sdist("sources")
    problem = Workbench(tmp_path, environ).problem("uv", "sources", PLAIN[0])
    assert problem.code is Code.SOURCE_ONLY
    assert not wheelhouse.mark.exists()


def builds(target: Target, given_options: Options) -> dict[str, list[str]]:
    """Every command that may build something, and of what: one project, or a package that is named."""
    return {
        "uv sdist": [
            *uv_commands.compile_arguments(target, given_options),
            *uv_commands.from_sources(["named"]),
        ],
        "uv fetch": uv_commands.fetch_arguments("named", Path("into"), options=given_options),
        "pip sdist": pip_commands.sdist_arguments(target, "named", Path("into")),
        "pip fetch": pip_commands.fetch_arguments(Path("into")),
        "pip build": pip_commands.build_arguments("build.txt", Path("into")),
    }


@given(st.sampled_from(TARGETS), options)
def test_builds_are_of_one_thing(target: Target, given_options: Options) -> None:
    """What they need in turn are wheels."""
    for name, arguments in builds(target, given_options).items():
        assert arguments.count("--only-binary") == 1, name
        assert arguments[arguments.index("--only-binary") + 1] == ":all:", name
        exempt = [after for one, after in pairwise(arguments) if one == "--no-binary"]
        assert exempt in ([], ["named"]), name
        assert "--no-build-isolation" not in arguments, name
    # uv build has no --only-binary; of what it builds, the project is exempt from this.
    arguments = uv_commands.build_arguments(Path("project"), Path("into"), options=given_options)
    assert "--no-build" in arguments
