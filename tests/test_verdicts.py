"""Verdicts are kept by all that they follow from, and are the same however they were come by."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elffiles import Elf
from projects import HANDLER
from wheelhouse import Wheelhouse
from workshop import Workshop

from lambda_bundle import Code, Problem, bundle, load, plan
from lambda_bundle.cache import Cache

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": HANDLER})
    return made


def kept(workshop: Workshop) -> set[Path]:
    return set(Path(workshop.environ["LAMBDA_BUNDLE_CACHE"]).glob("*/verdicts/*"))


def codes(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(one.severity, one.code.value.removeprefix("PythonLocalBundling")) for one in problems]


def found(workshop: Workshop, **values: object) -> list[tuple[str, str]]:
    workshop.declare({"api": values})
    return codes(workshop.bundle()["api"].problems)


def rewrite(path: Path, messages: Mapping[str, str]) -> None:
    """Put other messages into an entry, as one that was written like that."""
    cache = Cache(path)
    rows = cache.read(path)
    for row in rows:
        row["message"] = messages.get(row["code"], row["message"])
    cache.write(path, rows)


# --- reuse


def test_what_was_judged_is_not_judged_again(workshop: Workshop) -> None:
    workshop.write({"src/id_rsa": ""})
    assert found(workshop) == [("warning", "SecretFile")]
    (entry,) = kept(workshop)
    rewrite(entry, {Code.SECRET_FILE.value: "from the cache"})
    (problem,) = workshop.bundle()["api"].problems
    assert problem.message == "from the cache"
    assert (problem.where.name, problem.where.stage, problem.where.file) == ("api", "verify", "id_rsa")
    assert kept(workshop) == {entry}


def test_it_serves_every_function_and_checkout_with_the_same_content(workshop: Workshop) -> None:
    workshop.write({"src/id_rsa": ""})
    quiet = {"verify.ignore": ["SecretFile:*"]}
    workshop.declare({"api": {}, "other": {"format": "dir"}, "quiet": quiet})
    results = workshop.bundle()
    assert {name: codes(one.problems) for name, one in results.items()} == {
        "api": [("warning", "SecretFile")],
        "other": [("warning", "SecretFile")],
        "quiet": [],
    }
    before = kept(workshop)
    assert len(before) == 1
    shutil.copytree(workshop.root / "src", workshop.root.parent / "another place" / "src")
    second = Workshop(workshop.root.parent / "another place", workshop.environ)
    assert found(second) == [("warning", "SecretFile")]
    assert kept(workshop) == before


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{}",
        "[]",
        "\n[]",
        "\udcff",
    ],
)
def test_what_is_damaged_is_made_anew(workshop: Workshop, damage: str) -> None:
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]
    (entry,) = kept(workshop)
    whole = entry.read_bytes()
    entry.write_bytes(damage.encode(errors="surrogateescape"))
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]
    assert entry.read_bytes() == whole


def test_a_verdict_of_something_else_does_not_count(workshop: Workshop) -> None:
    assert found(workshop) == []
    (good,) = kept(workshop)
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]
    (bad,) = kept(workshop) - {good}
    bad.write_bytes(good.read_bytes())
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]


def test_a_changed_entry_does_not_count(workshop: Workshop) -> None:
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]
    (entry,) = kept(workshop)
    seal, _, _ = entry.read_text().partition("\n")
    entry.write_text(f"{seal}\n[]")
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]


def test_an_entry_that_cannot_be_written_harms_nothing(workshop: Workshop) -> None:
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]
    (entry,) = kept(workshop)
    entry.unlink()
    (entry / "inside").mkdir(parents=True)
    assert found(workshop, handler="app.main") == [("error", "HandlerUndefined")]


# --- what it follows from

LAYER = {"common": {"entry": "layer"}}


def declared(workshop: Workshop, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    workshop.declare({"api": {"layers": ["common"], **values}}, LAYER)
    return codes(workshop.bundle()["api"].problems)


@pytest.fixture
def full(workshop: Workshop, wheelhouse: Wheelhouse) -> Workshop:
    """A function with a dependency, a layer and a hook."""
    for version in ("1.0", "2.0"):
        wheelhouse.wheel("dep", version, files={"dep/__init__.py": f"x = {version}\n", "dep/more.py": ""})
        wheelhouse.wheel("low", version)
    workshop.write(
        {
            "src/requirements.txt": "dep==1.0\n",
            "src/data.txt": "",
            "layer/requirements.txt": "low==1.0\n",
            "layer/shared.py": "",
        }
    )
    assert declared(workshop, {}) == []
    return workshop


@pytest.mark.parametrize(
    ("files", "values"),
    [
        ({"src/app.py": f"{HANDLER}\n"}, {}),
        ({"src/data.txt": "x"}, {}),
        ({"src/new.txt": ""}, {}),
        ({"src/app.py": f"{HANDLER}\ndef other(event, context): ...\n"}, {"handler": "app.other"}),
        ({}, {"handler": "app.nothing"}),
        ({}, {"tags": ["manylinux_2_28_aarch64"]}),
        ({"src/requirements.txt": "dep==2.0\n"}, {}),
        ({"src/requirements.txt": ""}, {}),
        ({}, {"skip": ["dep"]}),
        ({}, {"layers": []}),
        ({"layer/shared.py": "x = 1\n"}, {}),
        ({"layer/other.py": ""}, {}),
        ({"layer/requirements.txt": "low==2.0\n"}, {}),
        ({}, {"hooks.before": ["echo y >> data.txt"]}),
        ({}, {"hooks.after": ["rm dep/more.py"]}),
        ({}, {"hooks.after": ["echo 'y = 1' >> dep/more.py"]}),
        ({}, {"hooks.after": ["touch new.txt"]}),
    ],
    ids=str,
)
def test_whatever_changes_is_judged_anew(
    full: Workshop, files: Mapping[str, str], values: Mapping[str, Any]
) -> None:
    before = kept(full)
    full.write({"src/id_rsa": ""})
    base = kept_after(full, {})
    assert base - before, "one more file"
    (mine,) = (path for path in base - before if "SecretFile" in path.read_text())
    full.write(files)
    new = kept_after(full, values) - base
    assert [path for path in new if "SecretFile" in path.read_text()], "not from what is kept"
    assert mine in base


def kept_after(workshop: Workshop, values: Mapping[str, Any]) -> set[Path]:
    assert ("warning", "SecretFile") in declared(workshop, values)
    return kept(workshop)


@pytest.mark.parametrize(
    "values", [{"runtime": "python3.12"}, {"arch": "x86_64"}, {"tags": ["manylinux_2_28_aarch64"]}], ids=str
)
def test_every_target_is_judged(workshop: Workshop, values: Mapping[str, Any]) -> None:
    assert found(workshop) == []
    before = kept(workshop)
    assert found(workshop, **values) == []
    assert len(kept(workshop) - before) == 1


@pytest.mark.parametrize("hook", ["true", "echo y > data.txt"])
def test_what_hooks_leave_counts_and_not_that_they_run(full: Workshop, hook: str) -> None:
    values = {"hooks.after": [hook]}
    assert declared(full, values) == []
    before = kept(full)
    assert declared(full, {"hooks.after": [hook, "true"]}) == []
    assert kept(full) == before


def test_what_a_hook_leaves_is_looked_at_each_time(workshop: Workshop) -> None:
    """Sources and commands are the same; the difference is outside."""
    told = workshop.root.parent / "told"
    told.write_text(HANDLER)
    hook = {"hooks.before": [f"cp '{told}' app.py"]}
    assert found(workshop, **hook) == []
    told.write_text("x = 1\n")
    assert found(workshop, **hook) == [("error", "HandlerUndefined")]
    told.write_text(HANDLER)
    assert found(workshop, **hook) == []


def test_what_a_hook_of_a_layer_leaves_counts(full: Workshop) -> None:
    full.write({"src/app.py": f"import made\n{HANDLER}"})
    told = full.root.parent / "told"
    hook = {"common": {"entry": "layer", "hooks.before": [f"cp '{told}' made.py || true"]}}
    full.declare({"api": {"layers": ["common"]}}, hook)
    assert codes(full.bundle()["api"].problems) == [("error", "ImportMissing")]
    told.write_text("")
    assert codes(full.bundle()["api"].problems) == []


def test_what_changes_while_it_is_judged_is_not_kept(workshop: Workshop) -> None:
    """The hook of a layer runs after the sources of the function were looked at."""
    changed = workshop.root / "src" / "app.py"
    workshop.write({"layer/shared.py": ""})
    layer: dict[str, Any] = {"common": {"entry": "layer", "hooks.before": [f"echo 'x = 1' > '{changed}'"]}}
    workshop.declare({"api": {"layers": ["common"]}}, layer)
    assert codes(workshop.bundle("api")["api"].problems) == [("error", "HandlerUndefined")]
    workshop.write({"src/app.py": HANDLER})
    layer["common"]["hooks.before"] = ["true"]
    workshop.declare({"api": {"layers": ["common"]}}, layer)
    assert codes(workshop.bundle("api")["api"].problems) == []


# --- what is made of it


def test_warnings_are_told_again(workshop: Workshop) -> None:
    workshop.write({"src/id_rsa": "", "src/app.py": f"import boto3\n{HANDLER}"})
    expected = [("note", "ImportFromRuntime"), ("warning", "SecretFile")]
    assert found(workshop) == expected
    assert found(workshop) == expected
    assert len(kept(workshop)) == 1


def test_ignoring_comes_afterwards(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    bad = Elf(machine="x86_64").write()
    wheelhouse.wheel("ext", tag="cp313-cp313-manylinux_2_17_aarch64", files={"core.abi3.so": bad})
    workshop.write({"src/requirements.txt": "ext\n", "src/id_rsa": ""})
    whole = [("error", "WrongMachine"), ("warning", "SecretFile")]
    assert found(workshop) == whole
    assert found(workshop, **{"verify.ignore": ["SecretFile:*"]}) == whole[:1]
    assert found(workshop, **{"verify.ignore": ["WrongMachine:ext"]}) == whole[1:], "by its distribution"
    assert found(workshop, **{"verify.ignore": ["SecretFile:no"]}) == [*whole, ("warning", "IgnoreUnused")]
    assert found(workshop) == whole
    assert len(kept(workshop)) == 1


def test_being_strict_comes_afterwards(workshop: Workshop) -> None:
    workshop.write({"src/id_rsa": ""})
    assert found(workshop) == [("warning", "SecretFile")]
    jobs = plan(load(workshop.root / "bundles.toml"))
    (result,) = bundle(jobs, environ=workshop.environ, strict=True)
    assert (result.status, codes(result.problems)) == ("failed", [("error", "SecretFile")])
    assert found(workshop) == [("warning", "SecretFile")]
    assert len(kept(workshop)) == 1


def test_the_owner_is_known_without_judging(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """In a layer for several runtimes, and where a hook has changed the file."""
    bad = Elf(machine="x86_64").write()
    for number in (312, 313):
        wheelhouse.wheel("ext", tag=f"cp{number}-cp{number}-manylinux_2_17_aarch64", files={"a.abi3.so": bad})
    workshop.write({"layer/requirements.txt": "ext\n"})
    runtimes = ["python3.12", "python3.13"]
    for hooks in ([], ["for file in $(find . -name a.abi3.so); do printf x >> $file; done"]):
        for ignore, told in (([], 2), (["WrongMachine:ext"], 0), (["WrongMachine:other"], 3)):
            values = {"entry": "layer", "runtimes": runtimes, "verify.ignore": ignore, "hooks.after": hooks}
            workshop.declare({}, {"common": values})
            assert len(workshop.bundle()["common"].problems) == told


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_files_of_dependencies_are_read_for_several(
    workshop: Workshop, wheelhouse: Wheelhouse, form: str
) -> None:
    """What a star import brings, only the dependency says; a hook may have changed it for one of them."""
    wheelhouse.wheel("dep", files={"dep/__init__.py": f"{HANDLER}\ndef other(event, context): ...\n"})
    workshop.write({"src/requirements.txt": "dep\n", "src/app.py": "from dep import *\n"})
    functions: dict[str, dict[str, Any]] = {
        "one": {},
        "two": {"handler": "app.other"},
        "three": {"handler": "app.third"},
        "four": {"hooks.after": ["echo 'x = 1' > dep/__init__.py"]},
        "five": {"hooks.after": ["rm dep/__init__.py"]},
        "six": {"hooks.after": ["rm app.py"], "handler": "dep.handler"},
    }
    workshop.declare({name: {"format": form, **values} for name, values in functions.items()})
    undefined = [("error", "HandlerUndefined")]
    for _ in range(2):
        results = workshop.bundle()
        assert {name: codes(one.problems) for name, one in results.items()} == {
            "one": [],
            "two": [],
            "three": undefined,
            "four": undefined,
            "five": [("note", "NotChecked"), ("error", "ImportMissing")],
            "six": [],
        }
    assert len(kept(workshop)) == 6
