from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Index, serving
from packaging.markers import Marker
from uv import find_uv_bin
from wheelhouse import Wheelhouse
from workbench import Workbench, both, tree

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.installed import tidy
from lambda_bundle.installer_uv import Uv
from lambda_bundle.installers import exclusions, index_lines
from lambda_bundle.lock import Unfit
from lambda_bundle.targets import RUNTIMES, Target
from lambda_bundle.uv_commands import (
    compile_arguments,
    environment,
    install_arguments,
    listing_arguments,
    platform,
)
from lambda_bundle.wanted import Options

PY311 = Target("python3.11", "x86_64")
NONE = Options(
    index_url=None,
    extra_index_urls=(),
    find_links=(),
    no_index=False,
    pre=False,
    trusted_hosts=(),
    require_hashes=False,
)
ALL = Options(
    index_url="https://me:s3cret@host/simple",
    extra_index_urls=("https://other/simple",),
    find_links=("/srv/my wheels", "https://host/links"),
    no_index=True,
    pre=True,
    trusted_hosts=("host", "other:8080"),
    require_hashes=True,
)
TARGETS = [Target(name, arch) for name, runtime in RUNTIMES.items() for arch in runtime.archs]


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workbench:
    assert wheelhouse.folder.is_dir()
    return Workbench(tmp_path, environ)


# --- the platform that uv is asked for

PLATFORMS: list[tuple[Target, str | None]] = [
    (Target("python3.7", "x86_64"), "x86_64-manylinux_2_17"),
    (PY311, "x86_64-manylinux_2_28"),
    (Target("python3.9", "arm64"), "aarch64-manylinux_2_28"),
    (Target("python3.13", "arm64"), "aarch64-manylinux_2_34"),
    (Target("python3.13", "x86_64", ("manylinux1_x86_64",)), "x86_64-manylinux_2_17"),
    (Target("python3.13", "x86_64", ("manylinux2014_x86_64",)), "x86_64-manylinux_2_17"),
    (
        Target("python3.13", "x86_64", ("manylinux_2_17_x86_64", "manylinux_2_29_x86_64")),
        "x86_64-manylinux_2_31",
    ),
    (Target("python3.13", "x86_64", ("manylinux_2_40_x86_64",)), "x86_64-manylinux_2_40"),
    (Target("python3.13", "x86_64", ("manylinux_2_41_x86_64",)), None),
    (Target("python3.13", "x86_64", ("musllinux_1_1_x86_64",)), "x86_64-unknown-linux-musl"),
    (Target("python3.13", "arm64", ("musllinux_1_2_aarch64",)), "aarch64-unknown-linux-musl"),
    (Target("python3.13", "x86_64", ("musllinux_1_3_x86_64",)), None),
    (Target("python3.13", "x86_64", ("musllinux_1_2_x86_64", "manylinux_2_28_x86_64")), None),
    (Target("python3.13", "x86_64", ("linux_x86_64",)), None),
]


@pytest.mark.parametrize(("target", "place"), PLATFORMS, ids=lambda value: str(getattr(value, "tags", value)))
def test_platform(target: Target, place: str | None) -> None:
    """The lowest of uv's that admits all tags of the target."""
    assert platform(target) == place
    arguments = compile_arguments(target, NONE)
    assert arguments[-1:] == (["--universal"] if place is None else [place])


@given(st.sampled_from(TARGETS))
def test_environment_is_the_marker_of_its_target_alone(target: Target) -> None:
    marker = Marker(environment(target))
    assert [str(other) for other in TARGETS if marker.evaluate(other.markers)] == [str(target)]
    assert not marker.evaluate({**target.markers, "sys_platform": "win32"})


# --- arguments


def test_options_become_arguments() -> None:
    plain, full = compile_arguments(PY311, NONE), compile_arguments(PY311, ALL)
    assert [one for one in full if one not in plain] == [
        *("--prerelease", "allow"),
        *("--allow-insecure-host", "host", "--allow-insecure-host", "other:8080"),
    ]
    installing = install_arguments(PY311, "x86_64-manylinux_2_40", Path("into"), "f", options=ALL)
    assert installing[-4:] == ["--allow-insecure-host", "host", "--allow-insecure-host", "other:8080"]


@pytest.mark.parametrize(
    "arguments",
    [
        compile_arguments(PY311, ALL),
        listing_arguments(ALL, "2.7"),
        install_arguments(PY311, "x86_64-manylinux_2_40", Path("into"), "f", options=ALL),
    ],
)
def test_no_command_shows_an_index_or_fetches_a_python(arguments: list[str]) -> None:
    assert not [one for one in arguments if "s3cret" in one or "index-url" in one]
    assert "--no-python-downloads" in arguments
    assert "--python" in arguments


def test_index_options_become_lines() -> None:
    assert index_lines(NONE) == []
    assert index_lines(ALL) == [
        "--index-url https://me:s3cret@host/simple",
        "--extra-index-url https://other/simple",
        "--find-links file:///srv/my%20wheels",
        "--find-links https://host/links",
        "--no-index",
    ]


def test_exclusions() -> None:
    """Each version once; of what is asked for by URL there is no other."""
    found = [Unfit(name="b", version="2"), Unfit(name="a", version="1"), Unfit(name="b", version="2")]
    assert exclusions([*found, Unfit(name="c", version="3", direct=True)]) == ["a!=1", "b!=2"]


# --- at work


def test_version_after_version_without_a_wheel(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """uv knows no glibc 2.26: what it offers for 2.28 is looked at again, and again."""
    for minor in range(9):
        wheelhouse.wheel("pkg", f"1.{minor}", f"cp311-cp311-manylinux_2_{20 + minor}_x86_64")
        wheelhouse.wheel("other", f"1.{minor}", f"cp311-cp311-manylinux_2_{28 - minor}_x86_64")
    assert bench.files("uv", "pkg\nother", PY311) == [
        "other-1.8-cp311-cp311-manylinux_2_20_x86_64.whl",
        "pkg-1.6-cp311-cp311-manylinux_2_26_x86_64.whl",
    ]
    problem = bench.problem("uv", "pkg>=1.7", PY311)
    assert problem.message == (
        "pkg 1.8 has no wheel for python3.11 on x86_64; nor have the other versions that were allowed: 1.7"
    )


def test_a_python_that_is_too_old_is_told(bench: Workbench) -> None:
    """Where uv says of the wheels alone that they are for other Pythons."""
    house = Wheelhouse(bench.folder / "served")
    house.folder.mkdir()
    for tag in ("cp312-cp312", "cp313-cp313"):
        house.wheel("pkg", "2.0", f"{tag}-manylinux_2_17_x86_64", python=">=3.12")
    with serving(Index(folder=house.folder)) as host:
        problem = bench.problem("uv", f"--index-url http://{host}/simple\npkg==2.0", PY311)
    assert problem.message == "pkg 2.0 has no wheel for python3.11 on x86_64 (it requires Python >=3.12)"


def test_reasons_of_several_packages(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Nothing else is said of a package whose versions run out than why each of them was left out."""
    wheelhouse.wheel("pkg", "1.0", "cp311-cp311-manylinux_2_28_x86_64", python=">=3.8")
    wheelhouse.wheel("pkg", "2.0", python="<3.11")
    problem = bench.problem("uv", "pkg", PY311)
    assert problem.code is Code.PYTHON_UNSUPPORTED
    assert problem.message.startswith("pkg 2.0 requires Python <3.11")


def test_index_of_the_requirements_outdoes_that_of_the_environment(
    wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    """As in pip; the fixture's environment names an index that has nothing."""
    served = Wheelhouse(bench.folder / "served")
    served.folder.mkdir()
    served.wheel("pkg", "1.0")
    other = bench.folder / "other-index"
    bench.environ["UV_DEFAULT_INDEX"] = other.as_uri()
    with serving(Index(folder=served.folder)) as host:
        text = f"--index-url http://{host}/simple\npkg\n"
        assert tree(bench.dependencies("uv", text, PY311)).keys() >= {"pkg/__init__.py"}
    assert wheelhouse.folder.is_dir()


def test_index_that_goes_away_is_told(bench: Workbench) -> None:
    """Its failure is not taken for that of the version that was left out before."""
    served = Wheelhouse(bench.folder / "served")
    served.folder.mkdir()
    served.wheel("pkg", "1.0", "cp311-cp311-manylinux_2_28_x86_64")
    bench.environ["UV_HTTP_RETRIES"] = "0"
    wanted = bench.requirements("--index-url http://127.0.0.1:1/simple\npkg\n", PY311)
    with pytest.raises(Exception, match="could not be fetched"):
        bench.backend("uv").resolve(wanted, PY311, bench.work(), (Unfit(name="pkg", version="1.0"),))


def test_configuration_of_the_current_folder_has_no_part(
    wheelhouse: Wheelhouse, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in resolving nor in installing: `no-deps` there would leave dependencies out."""
    wheelhouse.wheel("pkg", requires=["dep"])
    wheelhouse.wheel("dep", "1.0")
    wheelhouse.wheel("dep", "2.0")
    (bench.folder / "pyproject.toml").write_text(
        '[tool.uv]\nconstraint-dependencies = ["dep<2"]\n'
        '[tool.uv.pip]\nno-deps = true\nlink-mode = "symlink"\n'
    )
    monkeypatch.chdir(bench.folder)
    dependencies = bench.dependencies("uv", "pkg", PY311)
    assert [wheel.filename for wheel in dependencies.wheels] == [
        "dep-2.0-py3-none-any.whl",
        "pkg-1.0-py3-none-any.whl",
    ]
    assert not [path for path in dependencies.files if (dependencies.folder / path).is_symlink()]


def test_cache_of_uv_stays_as_it_is(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """What was installed before by hard links is the same after programs got their permissions."""
    bench.environ["UV_LINK_MODE"] = "hardlink"
    wheelhouse.wheel("pkg", files={"pkg.py": "", "pkg-1.0.data/data/bin/tool": "#!/bin/sh\n"})
    first = bench.dependencies("uv", "pkg", PY311)
    program = first.folder / "bin" / "tool"
    assert program.stat().st_nlink == 1
    assert program.stat().st_mode & 0o777 == 0o755
    assert tree(bench.dependencies("uv", "pkg", PY311)) == tree(first)


def test_each_file_is_fetched_once(bench: Workbench) -> None:
    served = Wheelhouse(bench.folder / "served")
    served.folder.mkdir()
    served.wheel("pkg", requires=["dep"])
    served.wheel("dep", tag="cp311-cp311-manylinux_2_17_x86_64")
    index = Index(folder=served.folder)
    with serving(index) as host:
        bench.dependencies("uv", f"--index-url http://{host}/simple\npkg\n", PY311)
    assert index.fetched == {
        "pkg-1.0-py3-none-any.whl": 1,
        "dep-1.0-cp311-cp311-manylinux_2_17_x86_64.whl": 1,
    }


# --- what uv has in its cache, and what it leaves behind


def served(bench: Workbench) -> Wheelhouse:
    """An index's files: a package with three modules."""
    house = Wheelhouse(bench.folder / "served")
    house.folder.mkdir()
    files = {f"pkg/{name}.py": f"{name} = 1\n" for name in ("__init__", "one", "two")}
    house.wheel("pkg", files={**files, "pkg-1.0.data/scripts/tool": "#!python\n"})
    house.wheel("dep")
    return house


DAMAGE: dict[str, Callable[[Path], object]] = {
    "changed": lambda file: file.write_text("one = 2\n"),
    "empty": lambda file: file.write_text(""),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_in_the_cache_of_uv_reaches_nothing(bench: Workbench, damage: str) -> None:
    """Whoever edits an installed file edits uv's cache, where it is a hard link."""
    index = Index(folder=served(bench).folder)
    with serving(index) as host:
        text = f"--index-url http://{host}/simple\npkg==1.0\ndep==1.0\n"
        expected = tree(bench.dependencies("uv", text, PY311))
        assert list(index.fetched.values()) == [1, 1]
        (file,) = Path(bench.environ["UV_CACHE_DIR"]).glob("archive-v0/*/pkg/one.py")
        DAMAGE[damage](file)
        assert tree(bench.dependencies("uv", text, PY311)) == expected
    with pytest.raises(BundleError) as caught:
        bench.dependencies("uv", text, PY311)  # the index is gone
    problem = caught.value.problems[0]
    assert (problem.code, problem.hint) == (
        Code.CACHE_UNUSABLE,
        "`uv cache clean pkg` removes what may be damaged",
    )
    assert problem.message.startswith("pkg 1.0 was not installed as its RECORD says (pkg/one.py)")


@both
def test_a_record_that_is_wrong_is_the_wheel_s_own_affair(backend: str, bench: Workbench) -> None:
    """Some wheels were changed after they were built; nobody else looks at it either."""
    wheel = served(bench).folder / "pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["pkg/one.py"] = b"signed = 1\n"
    del members["pkg/two.py"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    del bench.environ["PIP_NO_INDEX"]
    with serving(Index(folder=wheel.parent)) as host:
        found = bench.dependencies(backend, f"--index-url http://{host}/simple\npkg\n", PY311)
    files = tree(found)
    assert files["pkg/one.py"][0] == b"signed = 1\n"
    assert "pkg/two.py" not in files


INTERRUPTED = """#!/bin/sh
case "$*" in
*"pip install"*) [ -e "{mark}" ] || {{
    "{uv}" "$@"
    touch "{mark}"
    find . .. -path "*/tree/pkg/*" -name "[ot]*.py" -delete
    kill -9 $$
}} ;;
esac
exec "{uv}" "$@"
"""


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands before uv")
def test_an_installation_that_was_killed_leaves_nothing_behind(bench: Workbench) -> None:
    """uv takes for installed what has a .dist-info folder, and a second attempt would add nothing."""
    with serving(Index(folder=served(bench).folder)) as host:
        text = f"--index-url http://{host}/simple\npkg\ndep\n"
        expected = tree(bench.dependencies("uv", text, PY311))
        uv = bench.folder / "uv"
        uv.write_text(INTERRUPTED.format(uv=find_uv_bin(), mark=bench.folder / "killed"))
        uv.chmod(0o755)
        wanted = bench.requirements(text, PY311)
        work = bench.work(wanted)
        wheels = Uv(str(uv)).resolve(wanted, PY311, work, ())
        into = work.folder / "tree"
        into.mkdir()
        (into / "left.py").touch()
        Uv(str(uv)).install(wheels, wanted, PY311, into, work)
    assert (bench.folder / "killed").exists()
    tidy(into)
    found = {path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()}
    assert found == expected.keys()
