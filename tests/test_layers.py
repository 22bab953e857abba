"""Layers for several runtimes, and functions that leave out what their layers carry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results import job
from test_pipeline import Heard
from wheelhouse import Wheelhouse
from workbench import both, uv_and_at_length_pip
from workshop import Workshop, snapshot

from lambda_bundle import Code, Problem, Result, limits
from lambda_bundle.contents import Contents
from lambda_bundle.lock import Wheel

posix = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")
SEVERAL = {"entry": "layer", "runtimes": ["python3.12", "python3.13"]}
SITES = {f"3.{minor}": f"python/lib/python3.{minor}/site-packages/" for minor in (11, 12, 13)}


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": "def handler(event, context): ...\n", "layer/shared.py": "SHARED = 1\n"})
    return made


def compiled(wheelhouse: Wheelhouse, name: str, **values: Any) -> None:
    """A wheel for each of three runtimes, told apart by what is in it."""
    for minor in (11, 12, 13):
        abi = f"cp3{minor}"
        tag = f"{abi}-{abi}-manylinux2014_aarch64"
        wheelhouse.wheel(name, tag=tag, files={f"{name}/__init__.py": f"ABI = {abi!r}\n"}, **values)


def infos(files: Iterable[str]) -> set[str]:
    """The distributions in an artifact, with the folder in which each lies."""
    return {path.removesuffix(".dist-info/METADATA") for path in files if path.endswith("/METADATA")}


def errors(result: Result) -> list[Problem]:
    return [one for one in result.problems if one.severity == "error"]


# --- several runtimes


@both
def test_each_runtime_has_its_own_dependencies(
    workshop: Workshop, wheelhouse: Wheelhouse, backend: str
) -> None:
    compiled(wheelhouse, "fast")
    wheelhouse.wheel("pure", requires=['backport ; python_version < "3.13"'])
    wheelhouse.wheel("backport")
    workshop.write({"layer/requirements.txt": "fast\npure\n"})
    workshop.declare({}, {"common": {**SEVERAL, "backend": backend}}, {"runtime": "python3.14"})
    files = workshop.build()["common"]
    old, new = SITES["3.12"], SITES["3.13"]
    assert files["python/shared.py"] == b"SHARED = 1\n"
    assert files[f"{old}fast/__init__.py"] == b"ABI = 'cp312'\n"
    assert files[f"{new}fast/__init__.py"] == b"ABI = 'cp313'\n"
    assert infos(files) == {
        *(f"{old}{name}-1.0" for name in ("backport", "fast", "pure")),
        *(f"{new}{name}-1.0" for name in ("fast", "pure")),
    }
    assert {path.split("/")[0] for path in files} == {"python"}
    row = workshop.manifest["common"]
    assert (row["runtime"], row["runtimes"], row["layers"]) == ("python3.12", SEVERAL["runtimes"], [])
    assert [(one["file"].split("-")[0], one["runtimes"]) for one in row["wheels"]] == [
        ("backport", ["python3.12"]),
        ("fast", ["python3.12"]),
        ("fast", ["python3.13"]),
        ("pure", ["python3.12", "python3.13"]),
    ]
    assert [one["file"] for one in row["wheels"]][1:3] == [
        f"fast-1.0-cp3{minor}-cp3{minor}-manylinux2014_aarch64.whl" for minor in (12, 13)
    ]


def test_one_runtime_in_a_list_is_one_runtime(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("pure")
    workshop.write({"layer/requirements.txt": "pure\n"})
    one = {"entry": "layer", "runtimes": ["python3.13"]}
    workshop.declare({}, {"a": one, "b": {"entry": "layer"}})
    files = workshop.build()
    assert files["a"] == files["b"]
    assert "python/pure/__init__.py" in files["a"]
    assert "runtimes" not in workshop.manifest["a"]["wheels"][0]


AFTER = ["rm lib/python3.12/site-packages/fast/data.txt"]


@posix
@pytest.mark.parametrize(
    ("backend", "after"),
    [
        ("uv", []),
        ("uv", AFTER),
        pytest.param("pip", [], marks=pytest.mark.campaign),  # each runtime is installed as any target is
        pytest.param("pip", AFTER, marks=pytest.mark.campaign),  # a hook knows of no backend
    ],
)
def test_the_bytes_are_the_same_cold_warm_and_in_a_folder(
    workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path, backend: str, after: list[str]
) -> None:
    compiled(wheelhouse, "fast", requires=["pure"])
    wheelhouse.wheel("pure", files={"pure.py": "x = 1\n" * 500})
    workshop.write({"layer/requirements.txt": "fast\n"})
    hooks = {"hooks": {"after": after}} if after else {}
    files = {"zipped": {**SEVERAL, "backend": backend}, "folder": {**SEVERAL, "format": "dir"}}
    if after:
        for one in wheelhouse.folder.glob("fast-*"):
            one.unlink()
        for minor in (12, 13):
            wheelhouse.wheel(
                "fast",
                tag=f"cp3{minor}-cp3{minor}-manylinux2014_aarch64",
                requires=["pure"],
                files={"fast/__init__.py": "", "fast/data.txt": "data"},
            )
    text = "\n".join(
        [
            '[defaults]\nruntime = "python3.13"\narch = "arm64"',
            *(
                f"[layers.{name}]\n"
                + "\n".join(f"{key} = {json.dumps(value)}" for key, value in one.items())
                + (f"\nhooks.after = {json.dumps(hooks['hooks']['after'])}" if hooks else "")
                for name, one in files.items()
            ),
        ]
    )
    workshop.write({"bundles.toml": text + "\n"})
    cold = workshop.build()
    assert cold["zipped"] == cold["folder"]
    (path, kept) = (workshop.output / "zipped.zip", (workshop.output / "zipped.zip").read_bytes())
    workshop.build()
    assert path.read_bytes() == kept
    workshop.build(environ={"LAMBDA_BUNDLE_CACHE": str(tmp_path / "another-cache")})
    assert path.read_bytes() == kept
    record = cold["zipped"][f"{SITES['3.12']}fast-1.0.dist-info/RECORD"].decode()
    assert ("fast/data.txt" in record) == (f"{SITES['3.12']}fast/data.txt" in cold["zipped"])
    if after:
        assert "fast/data.txt" not in record
        assert f"{SITES['3.13']}fast/data.txt" in cold["zipped"]


@posix
def test_hooks_work_in_what_becomes_python(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("pure")
    workshop.write({"layer/requirements.txt": "pure\n"})
    lines = [
        '[layers.common]\nentry = "layer"\nruntimes = ["python3.12", "python3.13"]\narch = "arm64"',
        'hooks.before = ["echo made > made.txt"]',
        'hooks.after = ["echo $LAMBDA_BUNDLE_RUNTIME > told.txt", "find . -name pure >> told.txt"]',
    ]
    workshop.write({"bundles.toml": "\n".join(lines) + "\n"})
    files = workshop.build()["common"]
    assert files["python/made.txt"] == b"made\n"
    first, *found = files["python/told.txt"].decode().splitlines()
    assert first == "python3.12 python3.13"
    assert sorted(found) == [f"./lib/python3.{minor}/site-packages/pure" for minor in (12, 13)]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("pure/__init__.py", "the sources and pure 1.0 both bring this file, and they differ"),
        ("lib/python3.12/site-packages/pure/__init__.py", "both bring this file"),
        ("lib", "this is a file of the sources, and a folder that pure 1.0 brings"),
    ],
)
def test_sources_that_dependencies_would_hide(
    workshop: Workshop, wheelhouse: Wheelhouse, file: str, message: str
) -> None:
    wheelhouse.wheel("pure")
    workshop.write({"layer/requirements.txt": "pure\n", f"layer/{file}": "other\n"})
    workshop.declare({}, {"common": SEVERAL})
    problems = workshop.fail()
    assert problems[0].code is Code.FILE_COLLISION
    assert message in problems[0].message


def test_a_runtime_without_a_wheel_fails_the_layer(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("fast", tag="cp313-cp313-manylinux2014_aarch64")
    workshop.write({"layer/requirements.txt": "fast\n"})
    workshop.declare({}, {"common": SEVERAL})
    (problem,) = workshop.fail()
    assert problem.code is Code.NO_WHEEL
    assert "python3.12 on arm64" in problem.message


# --- what is left out of a function


def attached(workshop: Workshop, *layers: str, backend: str = "uv", **layer: Any) -> None:
    """A function, and layers that it is deployed with."""
    declared = {name: {"entry": f"layers/{name}", "backend": backend, **layer} for name in layers}
    workshop.declare({"api": {"layers": list(layers), "backend": backend}}, declared)


@uv_and_at_length_pip
def test_what_a_layer_carries_is_left_out(workshop: Workshop, wheelhouse: Wheelhouse, backend: str) -> None:
    wheelhouse.wheel("web", requires=["base"])
    wheelhouse.wheel("base")
    wheelhouse.wheel("alone")
    workshop.write({"layers/common/requirements.txt": "base\n", "src/requirements.txt": "web\nalone\n"})
    attached(workshop, "common", backend=backend)
    files = workshop.build()
    assert infos(files["api"]) == {"alone-1.0", "web-1.0"}
    assert infos(files["common"]) == {"python/base-1.0"}
    assert not any(path.startswith("base") for path in files["api"])
    row = workshop.manifest["api"]
    assert row["layers"] == ["common"]
    assert [one["name"] for one in row["wheels"]] == ["alone", "web"]


def test_only_what_is_for_the_function_s_runtime_counts(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("old")
    wheelhouse.wheel("new")
    marked = 'old ; python_version < "3.13"\nnew ; python_version >= "3.13"\n'
    workshop.write({"layers/common/requirements.txt": marked, "src/requirements.txt": "old\nnew\n"})
    attached(workshop, "common", runtimes=SEVERAL["runtimes"])
    assert infos(workshop.build()["api"]) == {"old-1.0"}


def test_nothing_may_be_left(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("base")
    workshop.write({"layers/common/requirements.txt": "base\n", "src/requirements.txt": "base==1.0.0\n"})
    attached(workshop, "common")
    assert set(workshop.build()["api"]) == {"app.py", "requirements.txt"}
    assert workshop.manifest["api"]["wheels"] == []


def test_the_layer_need_not_be_built(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("web", requires=["base"])
    wheelhouse.wheel("base")
    workshop.write({"layers/common/requirements.txt": "base\n", "src/requirements.txt": "web\n"})
    attached(workshop, "common")
    workshop.bundle("api")
    alone = (workshop.output / "api.zip").read_bytes()
    assert workshop.left == ["api.zip", "manifest.json"]
    digest = workshop.manifest["api"]["digest"]
    workshop.build(workers=1)
    assert (workshop.output / "api.zip").read_bytes() == alone
    assert workshop.manifest["api"]["digest"] == digest
    assert workshop.left == ["api.zip", "common.zip", "manifest.json"]


def test_a_function_s_own_module_may_stand_before_that_of_a_layer(workshop: Workshop) -> None:
    workshop.write({"src/shared.py": "MINE = 1\n"})
    workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "layer"}})
    files = workshop.build()
    assert (files["api"]["shared.py"], files["common"]["python/shared.py"]) == (
        b"MINE = 1\n",
        b"SHARED = 1\n",
    )


def test_the_digest_covers_the_wheels_of_layers(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("base")
    wheelhouse.wheel("more")
    workshop.write({"layers/common/requirements.txt": "base\n", "src/requirements.txt": "base\n"})
    attached(workshop, "common")
    workshop.build()
    before, bytes_before = workshop.manifest["api"]["digest"], (workshop.output / "api.zip").read_bytes()
    workshop.write({"layers/common/requirements.txt": "base\nmore\n"})
    workshop.build()
    assert workshop.manifest["api"]["digest"] != before
    assert (workshop.output / "api.zip").read_bytes() == bytes_before


@posix
def test_hooks_of_a_layer_run_once_and_can_write_its_requirements(
    workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    wheelhouse.wheel("base", files={"base.py": "", "big.bin": "x" * 5000})
    log = tmp_path / "log"
    log.mkdir()
    lines = [
        '[defaults]\nruntime = "python3.13"\narch = "arm64"\nlayers = ["common"]',
        *(f'[functions.f{one}]\nentry = "src"\nhandler = "app.handler"' for one in range(4)),
        '[layers.common]\nentry = "layer"',
        f"hooks.before = ['echo base > requirements.txt; mktemp {log}/XXXXXX']",
        "hooks.after = ['rm big.bin']",
    ]
    workshop.write({"bundles.toml": "\n".join(lines) + "\n", "src/requirements.txt": "base\n"})
    before = snapshot(workshop.root)
    files = workshop.build(workers=4)
    assert [set(files[f"f{one}"]) for one in range(4)] == [{"app.py", "requirements.txt"}] * 4
    assert "python/base.py" in files["common"]
    assert "python/big.bin" not in files["common"]
    assert len(list(log.iterdir())) == 1
    shutil.rmtree(workshop.output)
    assert {**snapshot(workshop.root), ".": None} == {**before, ".": None}


@uv_and_at_length_pip
def test_another_version_is_an_error_that_shows_both(
    workshop: Workshop, wheelhouse: Wheelhouse, backend: str
) -> None:
    for version in ("1.0", "2.0"):
        wheelhouse.wheel("base", version)
    wheelhouse.wheel("web", requires=["base>1"])
    workshop.write({"layers/common/requirements.txt": "# old\nbase==1.0\n", "src/requirements.txt": "web\n"})
    attached(workshop, "common", backend=backend)
    results = workshop.bundle()
    (problem,) = errors(results["api"])
    assert results["common"].status == "built"
    assert problem.code is Code.LAYER_CONFLICT
    assert problem.message == "api needs base 2.0, and its layer common carries base 1.0"
    assert problem.hint is not None
    assert "pin base==1.0 in api, or base==2.0 in common" in problem.hint
    assert problem.detail == (
        "base 2.0 in api: needed by web 1.0 (>1)\n"
        "base 1.0 in common: asked for in layers/common/requirements.txt:2"
    )
    assert (problem.where.name, problem.where.stage) == ("api", "install")
    assert workshop.left == ["common.zip", "manifest.json"]


def test_who_wants_it_may_be_in_the_layer(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """The function's own constraint moves what a package that is left out needs."""
    for version in ("1.0", "2.0"):
        wheelhouse.wheel("base", version)
    wheelhouse.wheel(
        "web", requires=["base", 'other ; sys_platform == "win32"', "other>=1.* ; sys_platform == 'win32'"]
    )
    workshop.write(
        {
            "layers/common/requirements.txt": "web\n",
            "src/requirements.txt": "web\n-c pins.txt\n",
            "src/pins.txt": "base<2\n",
        }
    )
    attached(workshop, "common")
    (problem,) = errors(workshop.bundle("api")["api"])
    assert problem.message == "api needs base 1.0, and its layer common carries base 2.0"
    assert problem.where.file == "src/pins.txt"
    assert problem.detail == (
        "base 1.0 in api: asked for in src/pins.txt:1\nbase 2.0 in common: needed by web 1.0 (any version)"
    )
    workshop.write({"src/requirements.txt": "web\n", "layers/common/requirements.txt": "web\nbase<2\n"})
    (problem,) = errors(workshop.bundle("api")["api"])
    assert problem.detail == (
        "base 2.0 in api: needed by web 1.0 (any version)\n"
        "base 1.0 in common: asked for in layers/common/requirements.txt:2"
    )


def test_layers_of_one_function_must_agree(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    for version in ("1.0", "2.0"):
        wheelhouse.wheel("base", version)
    workshop.write({f"layers/l{one}/requirements.txt": f"base=={one}.0\n" for one in (1, 2)})
    attached(workshop, "l1", "l2")
    results = workshop.bundle()
    (problem,) = errors(results["api"])
    assert problem.code is Code.LAYER_CONFLICT
    assert problem.message == "layer l1 carries base 1.0, and layer l2 base 2.0"
    assert [results[name].status for name in ("l1", "l2")] == ["built", "built"]


def test_an_unusable_version_is_no_conflict(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """uv takes a version whose Requires-Python has an upper bound; it is asked again for another."""
    wheelhouse.wheel("base", "1.0")
    wheelhouse.wheel("base", "2.0", python="<3.12")
    workshop.write({"layers/common/requirements.txt": "base\n", "src/requirements.txt": "base\n"})
    attached(workshop, "common")
    assert infos(workshop.build()["api"]) == set()


@pytest.mark.usefixtures("wheelhouse")
def test_what_is_wrong_with_a_layer_fails_its_functions(workshop: Workshop) -> None:
    workshop.write({"layers/common/requirements.txt": "nowhere\n"})
    attached(workshop, "common")
    results = workshop.bundle()
    (theirs,), (mine,) = errors(results["common"]), errors(results["api"])
    assert theirs == mine
    assert (mine.where.name, mine.where.stage) == ("common", "install")
    assert mine.code is Code.PACKAGE_NOT_FOUND
    assert [one.status for one in results.values()] == ["failed", "failed"]
    assert errors(workshop.bundle("api")["api"]) == [mine]


def test_layers_are_a_stage(workshop: Workshop) -> None:
    workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "layer"}})
    heard = Heard()
    workshop.bundle("api", progress=heard)
    assert heard.of("api") == ["stage", "requirements", "layers", "install", "verify", "archive", "publish"]
    assert heard.of("common") == []


PACKAGES = [f"p{number}" for number in range(6)]
SOME = st.sets(st.sampled_from(PACKAGES), max_size=3)
GRAPHS = st.fixed_dictionaries(
    {
        name: st.sets(st.sampled_from(PACKAGES[:number]), max_size=2)
        for number, name in enumerate(PACKAGES)
        if number
    }
)


def closure(graph: Mapping[str, set[str]], names: set[str]) -> set[str]:
    found = set(names)
    for name in names:
        found |= closure(graph, graph.get(name, set()))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(graph=GRAPHS, wanted=SOME, first=SOME, second=SOME)
def test_function_and_layers_together_hold_exactly_what_is_locked(
    tmp_path_factory: pytest.TempPathFactory,
    clean_environ: Mapping[str, str],
    graph: Mapping[str, set[str]],
    wanted: set[str],
    first: set[str],
    second: set[str],
) -> None:
    folder = tmp_path_factory.mktemp("law")
    house = Wheelhouse(folder / "wheelhouse")
    house.folder.mkdir()
    for name in PACKAGES:
        house.wheel(name, requires=sorted(graph.get(name, ())))
    nowhere = folder / "nowhere"
    nowhere.mkdir()
    index = {"UV_DEFAULT_INDEX": nowhere.as_uri(), "UV_FIND_LINKS": str(house.folder)}
    cache = {"LAMBDA_BUNDLE_CACHE": str(folder / "cache"), "UV_CACHE_DIR": str(folder / "uv")}
    workshop = Workshop(folder / "repo", {**clean_environ, **index, **cache})
    for place, names in {"src": wanted, "layers/l1": first, "layers/l2": second}.items():
        workshop.write({f"{place}/requirements.txt": "".join(f"{name}\n" for name in sorted(names))})
    workshop.write({"src/app.py": "def handler(event, context): ...\n"})
    attached(workshop, "l1", "l2")
    files = workshop.build()
    mine = {path.removesuffix("-1.0") for path in infos(files["api"])}
    carried = {
        path.removesuffix("-1.0").removeprefix("python/")
        for name in ("l1", "l2")
        for path in infos(files[name])
    }
    locked = closure(graph, wanted)
    assert carried == closure(graph, first | second)
    assert mine == locked - carried
    assert locked <= mine | carried <= locked | closure(graph, first | second)


def test_a_release_is_normalized() -> None:
    def wheel(version: str) -> Wheel:
        file = f"a-{version}-py3-none-any.whl"
        return Wheel(name="a", version=version, filename=file, url=f"file:///{file}", sha256=None)

    assert wheel("1.0").release == wheel("1.0.0").release
    assert len({wheel(version).release for version in ("1.0", "1.0+local", "1.0.1", "1.0rc1")}) == 4


# --- packages that lie in two places

PLAIN, SPREAD = "", "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n"


@pytest.mark.parametrize(
    ("mine", "theirs", "works"),
    [
        (None, None, True),  # a namespace
        (PLAIN, PLAIN, False),
        (PLAIN, None, False),
        (None, PLAIN, False),
        (SPREAD, SPREAD, True),
        (SPREAD, PLAIN, True),  # the function's is found first
        (PLAIN, SPREAD, False),
        (None, SPREAD, True),
    ],
)
def test_a_split_package_is_told_where_python_would_not_find_it(
    workshop: Workshop,
    wheelhouse: Wheelhouse,
    tmp_path: Path,
    mine: str | None,
    theirs: str | None,
    works: bool,
) -> None:
    """What is refused is exactly what Python does not import from two places."""
    for name, init in (("a", theirs), ("b", mine)):
        files = {f"ns/{name}/__init__.py": "", f"ns/{name}/deep/__init__.py": ""}
        wheelhouse.wheel(name, files={**files, **({} if init is None else {"ns/__init__.py": init})})
    workshop.write({"layers/common/requirements.txt": "a\n", "src/requirements.txt": "a\nb\n"})
    attached(workshop, "common")
    places = []
    for name in ("b", "a"):
        with zipfile.ZipFile(wheelhouse.folder / f"{name}-1.0-py3-none-any.whl") as archive:
            archive.extractall(tmp_path / name)
        places.append(str(tmp_path / name))
    code = f"import sys; sys.path[:0] = {places!r}; import ns.a.deep, ns.b.deep"
    assert works == (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
    )
    found = errors(workshop.bundle("api")["api"])
    assert [one.code for one in found] == ([] if works else [Code.SPLIT_PACKAGE])
    if not works:
        assert found[0].message == (
            "the package ns is split: b 1.0 brings one part into api, "
            "and a 1.0 another into its layer common; Python finds one of them"
        )


# --- sizes


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def test_function_and_layers_share_one_limit(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    limit = 262_144_000
    files: dict[str, str | bytes] = {"large/data.bin": "x" * 50_000}
    wheelhouse.wheel("large", files=files)
    workshop.write({"layers/common/requirements.txt": "large\n", "src/requirements.txt": "large\n"})
    attached(workshop, "common")
    sparse(workshop.root / "layers" / "common" / "blob.bin", limit - 50_000)
    (problem,) = errors(workshop.bundle("api")["api"])
    assert problem.code is Code.ARTIFACT_TOO_LARGE
    assert "with its layers" in problem.message
    assert f"{limit:,}" in problem.message
    assert problem.detail is not None
    first, second, third = problem.detail.splitlines()
    assert first.split() == ["262,094,006", "sources", "(layer", "common)"]
    assert second.split()[1:] == ["large", "1.0", "(layer", "common)"]
    assert third.split()[1:] == ["sources"]


@pytest.mark.parametrize(("excess", "told"), [(0, False), (1, True)])
def test_the_limit_itself_is_allowed(tmp_path: Path, excess: int, told: bool) -> None:
    def contents(name: str, size: int, *layers: Contents) -> Contents:
        sparse(tmp_path / name, size)
        made = job(tmp_path / "dist", name)
        own = {"blob": tmp_path / name}
        return Contents(job=made, seen={}, folders={}, own=own, shares=(), layers=layers)

    one, other = contents("one", 100_000_000), contents("other", 100_000_000)
    problem = limits.check(contents("api", 62_144_000 + excess, one, other))
    assert (problem is not None) == told
    if problem is not None:
        assert problem.message == (
            "unzipped, it is 262,144,001 bytes with its layers, and Lambda accepts 262,144,000"
        )
        assert problem.detail is not None
        assert [line.split()[-1] for line in problem.detail.splitlines()] == ["one)", "other)", "sources"]


def test_what_is_largest_is_told_by_distribution(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """Of many, the ten largest, and the rest together."""
    for number in range(12):
        wheelhouse.wheel(f"d{number}", files={f"d{number}.bin": "x" * 1000 * (number + 1)})
    text = "".join(f"d{number}\n" for number in range(12))
    workshop.write({"layers/common/requirements.txt": text, "src/requirements.txt": text})
    attached(workshop, "common", runtimes=SEVERAL["runtimes"])
    sparse(workshop.root / "src" / "blob.bin", 262_144_000)
    (problem,) = errors(workshop.bundle("api")["api"])
    assert problem.detail is not None
    lines = problem.detail.splitlines()
    assert len(lines) == 11
    assert lines[0].split(maxsplit=1)[1] == "sources"
    assert [line.split(maxsplit=1)[1] for line in lines[1:4]] == [
        "d11 1.0 for python3.12 (layer common)",
        "d11 1.0 for python3.13 (layer common)",
        "d10 1.0 for python3.12 (layer common)",
    ]
    assert lines[-1].endswith("16 more")
    sizes = [int(line.split()[0].replace(",", "")) for line in lines]
    assert f"{sum(sizes):,} bytes with its layers" in problem.message
