"""What uv's configuration of a project says of indexes, by uv's own rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import tomli
from loopback import Index, serving
from wheelhouse import Wheelhouse
from workbench import Workbench

from lambda_bundle import BundleError, Code, load, plan
from lambda_bundle.access import add
from lambda_bundle.registries import Configurations, Registries
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

TARGET = Target("python3.12", "arm64")
HOUSE = '[[tool.uv.index]]\nname = "house"\nurl = "https://packages.example.com/simple"\n'


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def found(root: Path, entry: str = "api", **environ: str) -> Registries | None:
    (root / entry).mkdir(parents=True, exist_ok=True)
    return Configurations().find(root / entry, environ, TARGET.markers)


def names(root: Path, entry: str = "api", **environ: str) -> list[object]:
    registries = found(root, entry, **environ)
    return [] if registries is None else [one["name"] for one in registries.indexes]


def named(name: str, prefix: str = "tool.uv.") -> str:
    return f'[[{prefix}index]]\nname = "{name}"\nurl = "https://packages.example.com/{name}"\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"pyproject.toml": "[project]\n"}, []),
        ({"pyproject.toml": named("above")}, ["above"]),
        ({"pyproject.toml": named("above"), "api/pyproject.toml": "[project]\n"}, ["above"]),
        ({"pyproject.toml": named("above"), "api/pyproject.toml": named("own")}, ["own"]),
        ({"api/pyproject.toml": named("own"), "api/uv.toml": named("file", "")}, ["file"]),
        ({"uv.toml": named("file", ""), "api/pyproject.toml": "[tool.uv]\nmanaged = true\n"}, []),
        ({"api/pyproject.toml": "no [ TOML", "pyproject.toml": named("above")}, ["above"]),
        ({"api/pyproject.toml": 'tool.uv.index = "nonsense"\n'}, []),
        ({"api/pyproject.toml": "[tool.uv]\nno-deps = true\n"}, []),
    ],
)
def test_the_nearest_configuration(files: Mapping[str, str], expected: list[str], tmp_path: Path) -> None:
    write(tmp_path, files)
    assert names(tmp_path) == expected


def test_none_is_read_where_uv_would_not(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": HOUSE})
    assert names(tmp_path, UV_NO_CONFIG="1") == []
    assert names(tmp_path, UV_NO_CONFIG="0") == ["house"]


def test_workspace(tmp_path: Path) -> None:
    """The root's configuration holds, with the indexes that a member names for its own sources."""
    workspace = '[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/apart"]\n'
    settings = '[tool.uv]\nindex-strategy = "unsafe-best-match"\n'
    sources = '[tool.uv.sources]\na = { index = "root" }\n'
    member = '[tool.uv]\nindex-strategy = "first-index"\n[tool.uv.sources]\nb = { index = "own" }\n'
    write(
        tmp_path,
        {
            "pyproject.toml": f"{settings}{workspace}{sources}{named('root')}",
            "packages/api/pyproject.toml": f"{member}{named('root')}{named('own')}",
            "packages/apart/pyproject.toml": f"{member}{named('own')}",
        },
    )
    registries = found(tmp_path, "packages/api")
    assert registries is not None
    assert [one["name"] for one in registries.indexes] == ["root", "own"]
    assert registries.settings == {"index-strategy": "unsafe-best-match"}
    assert registries.pins == {"a": "root", "b": "own"}
    assert names(tmp_path, "packages/apart") == ["own"]


def test_sources_by_marker(tmp_path: Path) -> None:
    text = """
        [tool.uv.sources]
        Local_Code = { path = "../x" }
        one = [
            { index = "mac", marker = "sys_platform == 'darwin'" },
            { index = "house", marker = "platform_machine == 'aarch64'" },
            { index = "later" },
        ]
        extra = [{ index = "house", extra = "gpu" }]
        wrong = { index = "house", marker = "nonsense" }
        Mixed_Case = { index = "house" }
        """
    write(tmp_path, {"api/pyproject.toml": text + HOUSE})
    registries = found(tmp_path)
    assert registries is not None
    assert registries.pins == {"one": "house", "mixed-case": "house"}


def test_lines_are_toml_with_absolute_places(tmp_path: Path) -> None:
    text = """
        [tool.uv]
        no-deps = true
        find-links = ["./our wheels", "https://packages.example.com/x.html"]
        [tool.uv.pip]
        keyring-provider = "subprocess"
        no-header = true
        [[tool.uv.index]]
        name = "house"
        url = "simple"
        explicit = true
        ignore-error-codes = [403]
        cache-control = { api = "max-age=600" }
        publish-url = "https://packages.example.com/upload"
        """
    write(tmp_path, {"api/pyproject.toml": text})
    registries = found(tmp_path)
    assert registries is not None
    document = tomli.loads("\n".join(["[tool.uv]", *registries.lines()]))["tool"]["uv"]
    folder = tmp_path / "api"
    assert document == {
        "find-links": [(folder / "our wheels").as_uri(), "https://packages.example.com/x.html"],
        "keyring-provider": "subprocess",
        "index": [
            {
                "name": "house",
                "url": (folder / "simple").as_uri(),
                "explicit": True,
                "ignore-error-codes": [403],
                "cache-control": {"api": "max-age=600"},
            }
        ],
    }


def test_credentials_by_the_name_of_the_index(tmp_path: Path) -> None:
    text = (
        HOUSE
        + named("open")
        + '[[tool.uv.index]]\nname = "our-own"\nurl = "https://packages.example.com/own"\ndefault = true\n'
        + '[[tool.uv.index]]\nname = "page"\nurl = "https://packages.example.com/x.html"\nformat = "flat"\n'
    )
    write(tmp_path, {"api/pyproject.toml": text})
    registries = found(tmp_path)
    assert registries is not None
    environ = {
        "UV_INDEX_HOUSE_USERNAME": "me",
        "UV_INDEX_HOUSE_PASSWORD": "a/b",
        "UV_INDEX_OUR_OWN_USERNAME": "token",
    }
    assert registries.urls(environ) == (
        "https://token@packages.example.com/own",
        ("https://me:a%2Fb@packages.example.com/simple", "https://packages.example.com/open"),
    )
    assert registries.links(environ) == ("https://packages.example.com/x.html",)


# --- packages that must come from one index


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str]) -> Workbench:
    del environ["PIP_NO_INDEX"]
    return Workbench(tmp_path, {**environ, "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1"})


def declared(bench: Workbench, backend: str, text: str) -> Requirements:
    """What a pyproject.toml without a lock asks for, with the indexes that it names."""
    function = '[functions.api]\nentry = "api"\nhandler = "a.b"\nruntime = "python3.12"\narch = "arm64"\n'
    write(bench.folder, {"bundles.toml": f'{function}backend = "{backend}"\n'})
    (job,) = plan(load(bench.folder / "bundles.toml"))
    wanted = replace(bench.requirements(text, TARGET), files=(bench.folder / "api/pyproject.toml",))
    return add(wanted, job, TARGET, bench.environ, Configurations())


def test_a_package_that_must_come_from_one_index(bench: Workbench) -> None:
    """The other one has newer versions, and is asked for everything else."""
    for name in ("house", "public"):
        (bench.folder / name).mkdir()
    house, public = Wheelhouse(bench.folder / "house"), Wheelhouse(bench.folder / "public")
    house.wheel("ours", "1.0", requires=["theirs"])
    house.wheel("theirs", "1.0")
    public.wheel("ours", "9.0")
    public.wheel("theirs", "9.0")
    with serving(Index(folder=house.folder)) as ours, serving(Index(folder=public.folder)) as theirs:
        bench.environ["UV_DEFAULT_INDEX"] = f"http://{theirs}/simple"
        index = f'[[tool.uv.index]]\nname = "house"\nurl = "http://{ours}/simple"\nexplicit = true\n'
        sources = '[tool.uv.sources]\nours = { index = "house" }\n'
        write(bench.folder, {"api/pyproject.toml": index + sources})
        wanted = declared(bench, "uv", "ours>=1\n")
        wheels = bench.backend("uv").resolve(wanted, TARGET, bench.work(wanted), ())
        assert [(wheel.name, wheel.version) for wheel in wheels] == [("ours", "1.0"), ("theirs", "9.0")]
        with pytest.raises(BundleError) as caught:
            declared(bench, "pip", "ours>=1\n")
    (problem,) = caught.value.problems
    assert problem.code is Code.INDEX_UNSUITABLE
    assert "ours must come from the index house" in problem.message
