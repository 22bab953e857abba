from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from results import built, ended, job, wheel

from lambda_bundle import manifest
from lambda_bundle.errors import BundleError, Code
from lambda_bundle.result import Result


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "dist"


def names(output: Path) -> list[str]:
    return list(manifest.read(output))


def made(output: Path, *names: str) -> list[Result]:
    return [built(job(output, name)) for name in names]


def test_a_row(output: Path) -> None:
    manifest.update(output, [built(job(output), wheel(), wheel("certifi", sha256=None))])
    text = (output / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "version": 1,
        "artifacts": {
            "api": {
                "kind": "function",
                "path": "api.zip",
                "format": "zip",
                "runtime": "python3.13",
                "runtimes": ["python3.13"],
                "arch": "arm64",
                "handler": "app.handler",
                "layers": [],
                "sha256": "0f" * 32,
                "code_sha256": "Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8=",
                "size": 1200,
                "unzipped": 3400,
                "digest": "cd" * 32,
                "wheels": [
                    {
                        "name": "idna",
                        "version": "3.20",
                        "file": "idna-3.20-py3-none-any.whl",
                        "sha256": "ab" * 32,
                    },
                    {
                        "name": "certifi",
                        "version": "3.20",
                        "file": "certifi-3.20-py3-none-any.whl",
                        "sha256": None,
                    },
                ],
            }
        },
    }


def test_a_layer_in_a_folder(output: Path) -> None:
    layer = job(output, "common", kind="layer", handler=None, format="dir")
    row = manifest.row(layer, built(layer).artifact)  # type: ignore[arg-type]
    assert (row["kind"], row["path"], row["format"]) == ("layer", "common", "dir")
    assert (row["handler"], row["code_sha256"], row["wheels"]) == (None, None, [])


def test_the_same_inputs_give_the_same_bytes_anywhere(tmp_path: Path) -> None:
    texts = []
    for folder in ("one", "some/where/else"):
        output = tmp_path / folder / "dist"
        manifest.update(output, [built(job(output), wheel(), took=len(folder))])
        texts.append((output / "manifest.json").read_bytes())
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0].decode()
    assert "hunter2" not in texts[0].decode()
    assert b"\r" not in texts[0]


def test_a_partial_run_keeps_the_rows_of_others(output: Path) -> None:
    known = ["a", "b", "c"]
    manifest.update(output, made(output, "c", "a"), known=known)
    before = manifest.read(output)
    manifest.update(output, made(output, "b"), known=known)
    assert names(output) == known  # in the order of the file
    assert {name: manifest.read(output)[name] for name in before} == before


def test_what_failed_is_dropped_and_what_was_cancelled_stays(output: Path) -> None:
    manifest.update(output, made(output, "a", "b", "c"))
    manifest.update(output, [ended(job(output, "a"), "failed"), ended(job(output, "b"), "cancelled")])
    assert names(output) == ["b", "c"]


def test_what_is_no_longer_declared_is_dropped(output: Path) -> None:
    manifest.update(output, made(output, "old", "a"), known=["old", "a"])
    manifest.update(output, made(output, "b"), known=["b", "a"])
    assert names(output) == ["b", "a"]


def test_a_new_row_replaces_the_old_one(output: Path) -> None:
    manifest.update(output, made(output, "a"))
    manifest.update(output, [built(job(output, "a", format="dir"))])
    assert manifest.read(output)["a"]["path"] == "a"


def test_no_manifest_has_no_rows(output: Path) -> None:
    assert manifest.read(output) == {}
    output.mkdir()
    assert manifest.read(output) == {}


UPDATE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from results import built, job
from lambda_bundle import manifest
output, prefix = Path(sys.argv[2]), sys.argv[3]
for number in range(15):
    manifest.update(output, [built(job(output, f"{prefix}{number}"))])
"""


def test_processes_at_once_lose_nothing(output: Path, clean_environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", UPDATE, str(Path(__file__).parent), str(output)]
    running = [subprocess.Popen([*command, prefix], env=dict(clean_environ)) for prefix in "abc"]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert set(names(output)) == {f"{prefix}{number}" for prefix in "abc" for number in range(15)}
    assert [path.name for path in output.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"manifest"',
        "{}",
        '{"artifacts": {}}',
        '{"version": 2, "artifacts": {}}',
        '{"version": 1, "artifacts": []}',
        '{"version": 1, "artifacts": {"a": 1}}',
        '{"version": 1, "artifacts": {"a": {}}}',
        '{"version": 1, "artifacts": {"a": {"path": 1}}}',
        '{"version": 1, "artifacts": {"a": {"path": ""}}}',
        '{"version": 1, "artifacts": {"a": {"path": "."}}}',
        '{"version": 1, "artifacts": {"a": {"path": ".."}}}',
        '{"version": 1, "artifacts": {"a": {"path": "../a.zip"}}}',
        '{"version": 1, "artifacts": {"a": {"path": "/a.zip"}}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_is_no_manifest_is_an_error_with_a_hint(output: Path, text: str) -> None:
    output.mkdir()
    (output / "manifest.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    for attempt in (manifest.read, lambda folder: manifest.update(folder, made(folder, "a"))):
        with pytest.raises(BundleError) as caught:
            attempt(output)
        (problem,) = caught.value.problems
        assert problem.code is Code.MANIFEST_UNREADABLE
        assert problem.message == "not a manifest that this version writes"
        assert problem.where.file == str(output / "manifest.json")
        assert problem.hint == "remove it with `invoke clean` and bundle everything again"


def test_a_manifest_that_cannot_be_read(output: Path) -> None:
    (output / "manifest.json").mkdir(parents=True)
    with pytest.raises(BundleError) as caught:
        manifest.read(output)
    (problem,) = caught.value.problems
    assert problem.code is Code.MANIFEST_UNREADABLE
    assert problem.message.startswith("cannot be read: ")


def test_a_file_in_place_of_the_output_folder(output: Path) -> None:
    output.write_text("mine")
    with pytest.raises(BundleError) as caught:
        manifest.update(output, made(output, "a"))
    (problem,) = caught.value.problems
    assert problem.code is Code.OUTPUT_UNWRITABLE
    assert problem.message.startswith("cannot be a folder: ")
    assert problem.where.file == str(output)
    assert "--output" in str(problem.hint)


@pytest.mark.parametrize(
    ("error", "message", "file"),
    [
        (OSError(28, "No space left on device"), "cannot be written: No space left on device", "dist"),
        (PermissionError(13, "Permission denied", "x/y"), "cannot be written: Permission denied", "x/y"),
        (FileExistsError(17, "File exists", "x"), "cannot be a folder: File exists", "x"),
        (NotADirectoryError(20, "Not a directory", "x"), "cannot be a folder: Not a directory", "x"),
    ],
)
def test_what_cannot_be_written(error: OSError, message: str, file: str) -> None:
    (problem,) = manifest.unwritable(Path("dist"), error).problems
    assert (problem.message, problem.where.file) == (message, file)
