"""The benchmarks: what the generator writes, and the table that the runner makes. Nothing is measured."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tomli
from deflate import deflate_compress
from packaging.requirements import Requirement

from lambda_bundle import load, plan
from lambda_bundle.deflation import LEVEL, compressor

ROOT = Path(__file__).resolve().parents[1]
N = 20


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks") / "monorepo"
    done = run("benchmarks.generate", folder, "-n", N)
    assert done.returncode == 0, done.stderr
    return folder


# --- the generator


def test_generator_writes_the_same_bytes_again(monorepo: Path, tmp_path: Path) -> None:
    assert run("benchmarks.generate", tmp_path, "-n", N).returncode == 0
    assert contents(tmp_path) == contents(monorepo)


def test_every_function_is_declared_and_has_its_files(monorepo: Path) -> None:
    jobs = plan(load(monorepo / "bundles.toml"))
    assert len(jobs) == N
    for job in jobs:
        files = contents(job.sources)
        assert len(files) == 10
        assert {"handler.py", "requirements.txt", "svc/__init__.py"} < files.keys()
        assert not job.warnings


def test_both_architectures_have_every_dependency_set(monorepo: Path) -> None:
    jobs = plan(load(monorepo / "bundles.toml"))
    found = Counter((job.sources.joinpath("requirements.txt").read_text(), job.target.arch) for job in jobs)
    assert len({requirements for requirements, _ in found}) == 5
    assert len(found) == 10
    assert set(found.values()) == {N // 10}


def test_requirements_are_pinned_and_agree(monorepo: Path) -> None:
    lines = {line for path in monorepo.rglob("requirements.txt") for line in path.read_text().splitlines()}
    pins = [Requirement(line) for line in lines]
    assert all([specifier.operator for specifier in pin.specifier] == ["=="] for pin in pins)
    assert len({pin.name for pin in pins}) == len(pins)


def test_sources_compile_and_no_module_repeats_another(monorepo: Path) -> None:
    modules = [content for path, content in contents(monorepo).items() if "/mod_" in path]
    assert len(set(modules)) == len(modules) == 7 * N
    for path, content in contents(monorepo).items():
        if path.endswith(".py"):
            compile(content, path, "exec")


def test_tasks_are_those_of_the_package(monorepo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"],
        cwd=monorepo,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bundle" in done.stdout


def test_number_of_files_can_be_chosen(tmp_path: Path) -> None:
    assert run("benchmarks.generate", tmp_path, "-n", 1, "--files", 4).returncode == 0
    assert len(contents(tmp_path / "functions/fn-000")) == 4


def test_generator_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = run("benchmarks.generate", tmp_path)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("arguments", [("-n", "0"), ("-n", "x"), ("--files", "3")])
def test_generator_refuses_other_numbers(tmp_path: Path, arguments: tuple[str, str]) -> None:
    assert run("benchmarks.generate", tmp_path / "out", *arguments).returncode == 2
    assert not (tmp_path / "out").exists()


# --- the runner's table


def timed(command: str, *seconds: float, peak: int = 0) -> dict[str, Any]:
    return {"command": command, "seconds": seconds, "cpu": seconds, "peak": peak}


def row(**values: Any) -> dict[str, Any]:
    times = "\N{MULTIPLICATION SIGN}"
    empty: dict[str, Any] = {
        "figure": None,
        "unit": times,
        "bound": None,
        "limit": None,
        "ours": None,
        "others": [],
    }
    return {"case": "warm", "title": "warm", "note": "", "load": "0.10 0.20 0.30 1/99", **empty, **values}


ROWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the fastest run counts": (
        row(
            figure=1.234,
            bound="≤",
            limit=1.5,
            middle=1.5678,
            ours=timed("ours", 3.3, 2.25),
            others=[timed("cp", 1.5), timed("list", 0.125, 0.5)],
        ),
        ["warm", "1.23 ×", "≤ 1.5 ×", "yes", "1.57 ×", "`ours` 2.25 s", "`cp` 1.5 s + `list` 0.125 s"],  # noqa: RUF001
    ),
    "a target that is missed": (
        row(figure=0.61, unit="s", bound="≤", limit=0.5, ours=timed("ours", 0.61)),
        ["warm", "0.61 s", "≤ 0.5 s", "**no**", "", "`ours` 0.61 s", ""],
    ),
    "at least": (
        row(figure=49.9, bound="≥", limit=50),
        ["warm", "49.9 ×", "≥ 50 ×", "**no**", "", "", ""],  # noqa: RUF001
    ),
    "no target": (row(figure=1234.5, unit="MB"), ["warm", "1234 MB", "", "", "", "", ""]),
    "a pipe in a command": (
        row(figure=1, ours=timed("a | b", 1)),
        ["warm", "1 ×", "", "", "", r"`a \| b` 1 s", ""],  # noqa: RUF001
    ),
    "a peer that is not there": (
        row(note="not installed: sam"),
        ["warm", "not installed: sam", "", "", "", "", ""],
    ),
    "a note goes below": (
        row(figure=2, note="a sample"),
        ["warm (1)", "2 ×", "", "", "", "", ""],  # noqa: RUF001
    ),
}


def table(tmp_path: Path, *documents: dict[str, Any]) -> list[str]:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    done = run("benchmarks.run", "--table", path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("case", ROWS)
def test_row_of_the_table(tmp_path: Path, case: str) -> None:
    given, cells = ROWS[case]
    lines = table(tmp_path, {"row": given})
    assert len(lines) == (5 if case == "a note goes below" else 3)
    found = [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[2])]
    assert found == ["", *cells, "0.10 0.20 0.30 1/99", ""]


def test_table_says_what_it_was_measured_on(tmp_path: Path) -> None:
    lines = table(tmp_path, {"machine": {"machine": "2 cores", "date": "2026-11-22"}}, {"row": row(figure=1)})
    assert lines[:3] == ["- machine: 2 cores", "- date: 2026-11-22", ""]
    assert lines[3].startswith("| case | figure | target | met |")


def test_notes_are_numbered_and_said_once(tmp_path: Path) -> None:
    rows = [row(figure=1, note="first"), row(figure=2, note="second"), row(figure=3, note="first")]
    lines = table(tmp_path, *({"row": one} for one in rows))
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| warm (1)", "| warm (2)", "| warm (1)"]
    assert lines[-2:] == ["1. first", "2. second"]


def test_unknown_case_names_those_there_are(tmp_path: Path) -> None:
    done = run("benchmarks.run", "--work", tmp_path, "--only", "warn")
    assert done.returncode == 2
    assert "no case is called warn; there are startup, warm, folder" in done.stderr


# --- its page


def test_every_case_is_explained() -> None:
    page = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    asked = run("benchmarks.run", "--help").stdout
    match = re.search(r"only these: ([a-z, \n]+)", asked)
    assert match
    explained = re.findall(r"^\| `([a-z]+)` \|", page, re.MULTILINE)
    assert explained == [name.strip() for name in match[1].split(",")]


def test_generated_configuration_is_small(monorepo: Path) -> None:
    """One table for each function, and the defaults."""
    document = tomli.loads((monorepo / "bundles.toml").read_text(encoding="utf-8"))
    assert document["defaults"] == {"runtime": "python3.11"}
    assert all(one.keys() == {"entry", "handler", "arch"} for one in document["functions"].values())


def test_comparison_of_libraries(tmp_path: Path) -> None:
    content = b"numbers = [1, 2, 3]\n" * 50_000
    (tmp_path / "numbers.py").write_bytes(content)
    (tmp_path / "empty.py").touch()
    done = run("benchmarks.compress", "--compare", tmp_path)
    assert done.returncode == 0, done.stderr
    head, _, *rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    libraries = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    expected = hashlib.sha256(bytes(deflate_compress(content, LEVEL))).hexdigest()
    assert libraries[compressor().partition(",")[0]]["digest"] == expected[:8]
    assert {row["folder"] for row in libraries.values()} == {tmp_path.name}
    assert any(name.startswith("zlib 1.") for name in libraries), "the standard library's is always there"
