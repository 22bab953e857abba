"""What is kept between runs changes how long they take, and never what they make."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
from loopback import Index, serving
from projects import HANDLER, TASKS, Project, functions
from wheelhouse import Wheelhouse, elf
from workbench import both
from workshop import Workshop, content

from lambda_bundle import BundleError, Code
from lambda_bundle.cache import FORMAT, Cache

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")

DATA = "numbers = [1, 2, 3]\n" * 200
EDIT = "printf changed > pure/data.txt; rm pure/extra.txt; echo new > pure/new.txt"
"""A hook that changes, removes and adds files of a dependency in place."""
BEFORE: dict[str, object] = {"hooks.before": ["echo made > made.txt"]}
AFTER: dict[str, object] = {"hooks.after": [EDIT]}
FUNCTIONS: dict[str, dict[str, object]] = {
    "zip": {},
    "dir": {"format": "dir"},
    "pip": {"backend": "pip"},
    "before": BEFORE,
    "after": AFTER,
    "both": {**BEFORE, **AFTER},
    "before-dir": {**BEFORE, "format": "dir"},
    "after-dir": {**AFTER, "format": "dir"},
    "x86": {"arch": "x86_64"},
}
LAYERS: dict[str, dict[str, object]] = {"layer": {}, "layer-dir": {**AFTER, "format": "dir"}}


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """Functions of many kinds that share a pure and a compiled dependency."""
    files = {
        "pure/__init__.py": "1\n",
        "pure/data.txt": DATA,
        "pure/extra.txt": "x",
        "pure/run": "#!/bin/sh\n",
    }
    wheelhouse.wheel("pure", files=files, executable=["pure/run"])
    for machine in ("x86_64", "aarch64"):
        tag = f"cp313-cp313-manylinux_2_17_{machine}"
        wheelhouse.wheel("compiled", tag=tag, files={"compiled/ext.so": elf(machine, "note " * 99)})
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": HANDLER, "src/requirements.txt": "pure\ncompiled\n", "src/zz/data.txt": "data"})
    made.declare(FUNCTIONS, LAYERS)
    return made


def cache(workshop: Workshop) -> Cache:
    return Cache.of(workshop.environ)


def sets(workshop: Workshop) -> list[Path]:
    """The folders with the installed files of each set."""
    return sorted(cache(workshop).folder.glob("trees/*/tree"))


def entries(workshop: Workshop) -> dict[Path, int]:
    """The sets and packs, each with a number that another folder does not have."""
    paths = (entry.path for entry in cache(workshop).entries())
    return {path: path.stat().st_ino for path in paths if path.parent.name in {"sets", "trees", "packs"}}


def made(
    workshop: Workshop, *only: str, workers: int = 2, force: bool = True
) -> dict[str, bytes | tuple[int, bytes]]:
    """Every byte and permission of the output of a run into an empty folder."""
    shutil.rmtree(workshop.output, ignore_errors=True)
    workshop.build(*only, workers=workers, force=force)
    files = sorted(path for path in workshop.output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(workshop.output)): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in files
    }


# --- the same bytes


def test_warm_cold_and_deleted(workshop: Workshop) -> None:
    cold = made(workshop, workers=1)
    assert content(workshop.output / "after.zip")["pure/data.txt"] == b"changed"
    assert (workshop.output / "after-dir" / "pure" / "data.txt").read_bytes() == b"changed"
    assert content(workshop.output / "zip.zip")["pure/data.txt"] == DATA.encode()
    kept = entries(workshop)
    assert {path.parent.name for path in kept} == {"sets", "trees", "packs"}
    for workers in (1, 4):
        for force in (True, False):
            assert made(workshop, workers=workers, force=force) == cold, f"warm, {workers} at once"
            assert entries(workshop) == kept, "a warm run installs and compresses nothing"
    shutil.rmtree(cache(workshop).root)
    assert made(workshop, workers=4) == cold, "deleted"
    shutil.rmtree(cache(workshop).folder / "packs")
    assert made(workshop, workers=4) == cold, "half of it deleted"
    for kind in ("sets", "trees"):
        shutil.rmtree(cache(workshop).folder / kind)
        assert made(workshop, workers=4) == cold, "another part"


PARTS = ("sets", "trees", "packs", "resolutions", "verdicts")
AT_ONCE = [(("trees", "packs", "verdicts"), 2), (PARTS, 3)]


@pytest.mark.parametrize(
    ("gone", "workers"),
    [
        *AT_ONCE,
        *(
            pytest.param(gone, workers, marks=pytest.mark.campaign)
            for count in range(1, len(PARTS) + 1)
            for gone in combinations(PARTS, count)
            for workers in (1, 2, 3)
            if (gone, workers) not in AT_ONCE
        ),
    ],
    ids=str,
)
def test_nobody_waits_for_ever(workshop: Workshop, gone: tuple[str, ...], workers: int) -> None:
    """Jobs wait for sets, packs and layers that others make, and give their turn away meanwhile."""
    attached = {f"with-{form}": {"layers": ["layer"], "format": form} for form in ("zip", "dir")}
    many = {f"{name}-{number}": values for number in range(3) for name, values in FUNCTIONS.items()}
    workshop.write({"src/app.py": f"from pure import extra\nimport compiled.ext\n{HANDLER}"})
    workshop.write({"src/requirements.txt": "pure\ncompiled\n", "tasks.py": TASKS})
    workshop.declare({**many, **attached}, LAYERS)
    first = workshop.bundle(workers=4)
    for kind in gone:
        shutil.rmtree(cache(workshop).folder / kind, ignore_errors=True)
    command = [sys.executable, "-m", "invoke", "bundle", "--all", "--force", "--jobs", str(workers), "--json"]
    done = subprocess.run(
        command, cwd=workshop.root, env=dict(workshop.environ), capture_output=True, timeout=120, check=False
    )
    statuses = {row["name"]: row["status"] for row in json.loads(done.stdout)["results"]}
    assert statuses == dict.fromkeys([*many, *attached, *LAYERS], "built")
    assert {name: row["sha256"] for name, row in workshop.manifest.items()} == {
        name: one.artifact.archived.sha256 for name, one in first.items() if one.artifact is not None
    }


def test_order_of_a_zip(workshop: Workshop) -> None:
    built = workshop.build("zip", "after", "layer")
    theirs = [path for path in built["zip"] if path.startswith(("pure", "compiled"))]
    assert list(built["zip"]) == [*sorted(theirs), "app.py", "requirements.txt", "zz/data.txt"]
    assert list(built["layer"]) == [f"python/{path}" for path in built["zip"]]
    changed = {"pure/data.txt", "pure/extra.txt", "pure-1.0.dist-info/RECORD"}
    own = ["app.py", "pure-1.0.dist-info/RECORD", "pure/data.txt", "pure/new.txt", "requirements.txt"]
    assert list(built["after"]) == [*sorted({*theirs} - changed), *own, "zz/data.txt"]


# --- what a hook does stays with its function


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_hooks_never_reach_the_cache(workshop: Workshop, form: str) -> None:
    vandal = 'find . -type f ! -name app.py -exec sh -c \'echo vandal > "$1"; chmod 777 "$1"\' _ {} \\;'
    linked = "ln -s pure/data.txt link.txt; echo more >> link.txt"
    workshop.declare(
        {
            "vandal": {"hooks.after": [vandal], "format": form},
            "linked": {"hooks.after": [linked], "format": form},
            "plain": {"format": form},
            "after": {"hooks.after": ["true"], "format": form},
        }
    )
    for _ in range(2):
        built = workshop.build(workers=1)
        left = {text for path, text in built["vandal"].items() if not path.endswith(("/RECORD", "app.py"))}
        assert left == {b"vandal\n"}
        assert built["linked"]["pure/data.txt"] == DATA.encode() + b"more\n"
        for name in ("plain", "after"):
            assert built[name]["pure/data.txt"] == DATA.encode()
    for folder in sets(workshop):
        assert (folder / "pure" / "data.txt").read_text() == DATA
        assert (folder / "pure" / "data.txt").stat().st_mode & 0o777 == 0o644


def test_artifacts_share_nothing_with_the_cache(workshop: Workshop) -> None:
    workshop.build("dir")
    assert len(sets(workshop)) == 1
    (workshop.output / "dir" / "pure" / "data.txt").write_text("changed in dist")
    assert [(folder / "pure" / "data.txt").read_text() for folder in sets(workshop)] == [DATA]


def test_zips_alone_need_no_files_beside_them(workshop: Workshop) -> None:
    """What is installed for them is there for one run; it is linked, and nothing is written there."""
    workshop.declare({"zip": {}, "x86": {"arch": "x86_64"}})
    built = workshop.build()
    unpacked = list(Path(workshop.environ["UV_CACHE_DIR"]).rglob("pure/data.txt"))
    assert [file.read_text() for file in unpacked] == [DATA]
    assert [file.stat().st_nlink for file in unpacked] == [1]
    assert {path.parent.name for path in entries(workshop)} == {"sets", "packs"}
    assert list((cache(workshop).folder / "trees").iterdir()) == []
    workshop.declare({"dir": {"format": "dir"}})
    assert workshop.build()["dir"] == built["zip"]


# --- damage


def overwrite(file: Path) -> None:
    file.write_bytes(b"2\n")


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def make_executable(file: Path) -> None:
    file.chmod(0o755)


def replace(file: Path) -> None:
    file.unlink()
    file.write_bytes(b"1\n")


def rot(file: Path) -> None:
    """What a disk does: neither size nor time tell."""
    before = file.stat()
    file.write_bytes(b"3\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "damage", [overwrite, append, replace, rot, make_executable, Path.unlink, Path.mkdir]
)
@pytest.mark.parametrize("only", [["dir"], ["after"], ["layer-dir"], ["dir", "zip"]], ids="+".join)
def test_damaged_set_is_made_anew(
    workshop: Workshop, damage: Callable[[Path], None], only: list[str]
) -> None:
    first = made(workshop, *only)
    (folder,) = sets(workshop)
    file = folder / "pure" / "__init__.py"
    if damage is Path.mkdir:
        file.unlink()
    damage(file)
    shutil.rmtree(cache(workshop).folder / "packs", ignore_errors=True)
    assert made(workshop, *only, workers=4) == first
    assert file.read_bytes() == b"1\n"
    kept = entries(workshop)
    assert made(workshop, *only) == first
    assert entries(workshop) == kept, "and is whole now"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"x": 1}, "shared": {}}'])
def test_set_without_its_list_is_made_anew(workshop: Workshop, text: str) -> None:
    first = made(workshop, "dir", "zip")
    (facts,) = (cache(workshop).folder / "sets").iterdir()
    facts.write_text(text)
    assert made(workshop, "dir", "zip") == first


@pytest.mark.parametrize("file", ["members", "directory", "index.json"])
@pytest.mark.parametrize("damage", [append, replace, Path.unlink])
def test_damaged_pack_is_made_anew(workshop: Workshop, file: str, damage: Callable[[Path], None]) -> None:
    first = made(workshop, "zip", "after")
    (pack,) = (cache(workshop).folder / "packs").iterdir()
    damage(pack / file)
    assert made(workshop, "zip", "after") == first
    kept = entries(workshop)
    assert made(workshop, "zip", "after") == first
    assert entries(workshop) == kept


# --- what is kept


def test_second_run_fetches_and_installs_nothing(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.write({"src/requirements.txt": "pure\n"})
    workshop.declare({name: FUNCTIONS[name] for name in ("zip", "dir", "after")})
    index = Index(folder=wheelhouse.folder)
    with serving(index) as host:
        online = {"UV_DEFAULT_INDEX": f"http://{host}/simple", "UV_FIND_LINKS": ""}
        first = workshop.build(environ=online)
        kept = entries(workshop)
        assert set(index.fetched.values()) == {1}
        for number in range(2):
            uv_cache = str(workshop.root / f"another cache {number}")
            assert workshop.build(environ={**online, "UV_CACHE_DIR": uv_cache}) == first
        assert set(index.fetched.values()) == {1}
    assert entries(workshop) == kept


def test_new_release_is_another_set(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.declare({"zip": {}})
    first = workshop.build()["zip"]
    wheelhouse.wheel("pure", "1.1")
    assert workshop.build()["zip"] == first, "what was resolved stays"
    second = workshop.build(upgrade=True)["zip"]
    assert {"pure-1.0.dist-info/METADATA", "pure-1.1.dist-info/METADATA"} == (
        first.keys() | second.keys()
    ) & {
        "pure-1.0.dist-info/METADATA",
        "pure-1.1.dist-info/METADATA",
    }
    assert "pure-1.0.dist-info/METADATA" not in second


def test_another_wheel_of_the_same_name_is_another_set(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    workshop.declare({"zip": {}})
    workshop.build()
    wheelhouse.wheel("pure", files={"pure/__init__.py": "2\n"})
    assert (
        workshop.build(environ={"UV_CACHE_DIR": str(workshop.root / "uv")})["zip"]["pure/__init__.py"]
        == b"2\n"
    )
    assert len(list((cache(workshop).folder / "sets").iterdir())) == 2


def test_wheels_without_hashes_are_installed_again(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """Nobody knows whether what an address gives is what it gave before."""
    workshop.write({"src/requirements.txt": "pure\n"})
    workshop.declare({"zip": {}, "dir": {"format": "dir"}})
    name = "pure-1.0-py3-none-any.whl"
    with serving(Index(folder=wheelhouse.folder, promised={name: ""})) as host:
        for number in range(2):
            wheelhouse.wheel("pure", files={"pure/__init__.py": f"{number}\n"})
            uv_cache = str(workshop.root / f"uv cache {number}")
            online = {
                "UV_DEFAULT_INDEX": f"http://{host}/simple",
                "UV_FIND_LINKS": "",
                "UV_CACHE_DIR": uv_cache,
            }
            built = workshop.build(environ=online, upgrade=True)
            for one in built.values():
                assert one["pure/__init__.py"] == f"{number}\n".encode()


@both
def test_upgrading_asks_indexes_whose_answers_uv_still_has(backend: str, workshop: Workshop) -> None:
    """For ten minutes, with the index of the Python project and with many others."""
    served = Wheelhouse(workshop.root / "served")
    served.folder.mkdir()
    served.wheel("fresh", "1.0")
    workshop.write({"src/requirements.txt": "fresh\n"})
    workshop.declare({"zip": {"backend": backend}})
    with serving(Index(folder=served.folder, good=600)) as host:
        online = {
            "UV_DEFAULT_INDEX": f"http://{host}/simple",
            "UV_CACHE_DIR": str(workshop.root / "uv cache"),
            "PIP_INDEX_URL": f"http://{host}/simple",
            "PIP_NO_INDEX": "0",
            "NO_PROXY": "127.0.0.1",
        }
        found = [workshop.build(environ=online)["zip"]["fresh/__init__.py"]]
        served.wheel("fresh", "2.0")
        found.append(workshop.build(environ=online)["zip"]["fresh/__init__.py"])
        found.append(workshop.build(environ=online, upgrade=True)["zip"]["fresh/__init__.py"])
    assert [text.split()[2] for text in found] == [b'"1.0"', b'"1.0"', b'"2.0"']


# --- limits and trouble


def age(workshop: Workshop, hours: float) -> list[Path]:
    """Let everything in the cache have been used so long ago."""
    paths = [entry.path for entry in cache(workshop).entries()]
    for path in paths:
        os.utime(path, (time.time() - hours * 3600,) * 2)
    return paths


def test_pruning_at_the_end_keeps_what_was_used(workshop: Workshop) -> None:
    workshop.declare({"zip": {}, "dir": {"format": "dir"}})
    workshop.build()
    old = age(workshop, hours=5)
    workshop.write({"src/requirements.txt": "pure\n"})
    built = workshop.build(environ={"LAMBDA_BUNDLE_CACHE_LIMIT": "1kB"})
    assert not [path for path in old if path.exists() and path.parent.name not in {"builds", "verdicts"}]
    kept = entries(workshop)
    assert {path.parent.name for path in kept} == {"sets", "trees", "packs"}
    assert workshop.build(environ={"LAMBDA_BUNDLE_CACHE_LIMIT": "1kB"}) == built
    assert entries(workshop) == kept


def test_using_is_not_growing(workshop: Workshop) -> None:
    """A run that adds nothing removes nothing: looking at every size would cost it time."""
    workshop.declare({"zip": {}})
    workshop.build()
    old = age(workshop, hours=5)
    workshop.build(environ={"LAMBDA_BUNDLE_CACHE_LIMIT": "0"})
    assert all(path.exists() for path in old)


def test_limit_that_is_no_size(workshop: Workshop) -> None:
    with pytest.raises(BundleError) as caught:
        workshop.bundle(environ={"LAMBDA_BUNDLE_CACHE_LIMIT": "plenty"})
    (problem,) = caught.value.problems
    assert (problem.code, problem.where.key) == (Code.INVALID_OPTION, "LAMBDA_BUNDLE_CACHE_LIMIT")
    assert not workshop.output.exists()


@pytest.mark.parametrize(
    "place", [".", FORMAT, *(f"{FORMAT}/{name}" for name in ("sets", "trees", "packs", "running"))]
)
def test_something_in_the_way_of_the_cache(workshop: Workshop, place: str) -> None:
    root = workshop.root / "cache"
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text("in the way")
    workshop.declare({"zip": {}, "small": {"entry": "small"}})
    workshop.write({"small/app.py": HANDLER})
    results = workshop.bundle(environ={"LAMBDA_BUNDLE_CACHE": str(root)})
    (problem,) = results["zip"].problems
    assert problem.code is Code.CACHE_UNUSABLE
    assert str(problem.where.file).startswith(str(root))
    assert "LAMBDA_BUNDLE_CACHE" in str(problem.hint)
    assert results["small"].status == "built", "without dependencies there is nothing to keep"


# --- several processes


@pytest.fixture
def project(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Project:
    wheelhouse.wheel("pure", files={"pure/__init__.py": "1\n", "pure/data.txt": DATA})
    made = Project(tmp_path / "project", environ)
    made.write({"bundles.toml": functions("api", "worker"), "tasks.py": TASKS})
    made.write({"src/main.py": HANDLER, "src/requirements.txt": "pure\n"})
    return made


@pytest.fixture
def several(project: Project, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Runs that begin at once, each with an output folder of its own and all with one empty cache."""
    running = []
    for number in range(3):
        command = [
            sys.executable,
            "-m",
            "invoke",
            "bundle",
            "--all",
            "--output",
            str(tmp_path / f"out{number}"),
        ]
        running.append(
            subprocess.Popen(
                command,
                cwd=project.root,
                env=dict(project.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    yield running
    for one in running:
        one.kill()
        one.communicate()


def test_processes_share_a_cache(
    project: Project, tmp_path: Path, several: list[subprocess.Popen[str]]
) -> None:
    for one in several:
        said, _ = one.communicate(timeout=120)
        assert one.returncode == 0, said
    outputs = [
        {path.name: path.read_bytes() for path in (tmp_path / f"out{number}").iterdir()}
        for number in range(3)
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert outputs[0].keys() == {"api.zip", "worker.zip", "manifest.json"}
    kept = Cache.of(project.environ)
    assert [entry.path.parent.name for entry in kept.entries()].count("sets") == 1
    assert not list(kept.folder.glob("*/.*")), "nothing half made is left"


def test_a_cache_among_the_sources(workshop: Workshop) -> None:
    environ = {"LAMBDA_BUNDLE_CACHE": str(workshop.root / "src" / "cache")}
    workshop.bundle("zip", environ=environ)  # there was none yet
    result = workshop.bundle("zip", environ=environ)["zip"]
    (problem,) = result.problems
    assert (result.status, problem.code) == ("failed", Code.CACHE_UNUSABLE)
    assert problem.message == "the cache is src/cache, and lies in the entry"
    workshop.declare({"zip": {"exclude": ["cache/"]}})
    for _ in range(2):
        assert workshop.bundle("zip", environ=environ, force=False)["zip"].status != "failed"
    assert not [name for name in content(workshop.output / "zip.zip") if name.startswith("cache")]


# --- the command


def test_cache_command(project: Project) -> None:
    root = project.environ["LAMBDA_BUNDLE_CACHE"]
    ran = project.invoke("cache")
    assert ran.code == 0, ran.err
    assert [line.split() for line in ran.out.splitlines()] == [
        ["entries", "size", "limit", "folder"],
        ["0", "0", "B", "5.0", "GB", root],
    ]
    assert project.invoke("bundle", "--all").code == 0
    shown = project.script("cache", "--json", LAMBDA_BUNDLE_CACHE_LIMIT="7kB").data
    size = shown.pop("size")
    assert shown == {"folder": root, "entries": 6, "limit": 7000, "removed": 0, "freed": 0}
    assert size == sum(entry.size for entry in Cache.of(project.environ).entries()) > len(DATA)
    cleared = project.script("cache", "--clear", cwd="..")
    assert cleared.code == 0
    assert cleared.err.startswith("removed 6 entries, ")
    assert cleared.out.splitlines()[1].split()[:3] == ["0", "0", "B"]
    assert Cache.of(project.environ).entries() == []
    assert project.invoke("bundle", "--all").code == 0


def test_pruning_by_command(project: Project) -> None:
    assert project.script("bundle", "--all").code == 0
    kept = Cache.of(project.environ)
    first = kept.entries()[0]
    os.utime(first.path, (time.time() - 7200,) * 2)
    assert project.script("cache", "--prune").err == ""
    ran = project.script("cache", "--prune", "--limit", "1kB", "--json")
    assert ran.data["removed"] == 1, "the other was used within the hour"
    assert (ran.data["freed"], ran.data["limit"], ran.data["entries"]) == (first.size, 1000, 5)
    assert ran.err.startswith("removed 1 entry, ")
    assert first.path not in [entry.path for entry in kept.entries()]


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        (["--limit", "1GB"], {}, "--limit"),
        (["--prune", "--clear"], {}, "contradict"),
        (["--prune", "--limit", "lots"], {}, '"lots" is not a size'),
        (["--prune", "--limit", "9" * 400], {}, "is not a size"),
        ([], {"LAMBDA_BUNDLE_CACHE_LIMIT": "lots"}, "LAMBDA_BUNDLE_CACHE_LIMIT"),
    ],
)
def test_cache_command_that_cannot_be_meant(
    project: Project, options: list[str], environ: dict[str, str], said: str
) -> None:
    ran = project.script("cache", *options, **environ)
    assert ran.code == 2
    assert str(Code.INVALID_OPTION) in ran.err
    assert said in ran.err
    assert ran.out == ""


def test_limit_that_is_no_size_is_a_mistake_in_usage(project: Project) -> None:
    ran = project.invoke("bundle", "--all", LAMBDA_BUNDLE_CACHE_LIMIT="plenty")
    assert ran.code == 2
    assert f'error[{Code.INVALID_OPTION}]: "plenty" is not a size' in ran.err
    assert not (project.root / "dist").exists()


def test_cache_that_cannot_be_used(project: Project) -> None:
    (project.root / "file").touch()
    ran = project.invoke("bundle", "--all", LAMBDA_BUNDLE_CACHE=str(project.root / "file"))
    assert ran.code == 1
    assert f"error[{Code.CACHE_UNUSABLE}]" in ran.err
    assert f"api, install: {project.root / 'file'}" in ran.err
    shown = project.invoke("cache", "--json", LAMBDA_BUNDLE_CACHE=str(project.root / "file"))
    assert (shown.code, shown.data["entries"]) == (0, 0)
