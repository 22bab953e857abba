from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from results import built, job

from lambda_bundle import manifest
from lambda_bundle.clean import sweep
from lambda_bundle.entries import MANIFEST
from lambda_bundle.errors import BundleError, Code
from lambda_bundle.working import beside_artifacts, has_least_room


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder with artifacts as a run leaves them."""
    folder = tmp_path / "dist"
    manifest.update(folder, [built(job(folder, "api")), built(job(folder, "common", format="dir"))])
    (folder / "api.zip").touch()
    (folder / "common").mkdir()
    (folder / "common" / "file").touch()
    return folder


def swept(output: Path, *names: str) -> list[str]:
    return [path.name for path in sweep(output, names)]


def test_everything_that_is_ours_goes_and_the_folder_with_it(output: Path) -> None:
    (output / f"{manifest.PASSING}abc").mkdir()
    (output / f"{manifest.PASSING}abc" / "x").touch()
    removed = sorted([f"{manifest.PASSING}abc", "api.zip", "common", "manifest.json"])
    assert swept(output, "api", "common") == removed
    assert not output.exists()
    assert swept(output, "api", "common") == []


def test_what_is_not_ours_stays(output: Path) -> None:
    for name in ("notes.txt", "other.zip"):
        (output / name).touch()
    for folder in ("api", "docs"):  # a folder of the user's may have the name of a function
        (output / folder).mkdir()
        (output / folder / "mine").touch()
    assert swept(output, "api", "docs", "common") == ["api.zip", "common", "manifest.json"]
    assert sorted(path.name for path in output.iterdir()) == ["api", "docs", "notes.txt", "other.zip"]
    assert (output / "api" / "mine").exists()


def test_what_is_no_longer_declared_goes_by_the_manifest(output: Path) -> None:
    assert swept(output) == ["api.zip", "common", "manifest.json"]


@pytest.mark.parametrize("text", ["not a manifest", '{"version": 1, "artifacts": {"x": {"path": ".."}}}'])
def test_without_a_readable_manifest_zips_go_by_their_names(output: Path, text: str) -> None:
    (output / "manifest.json").write_text(text)
    assert swept(output, "api", "common") == ["api.zip", "manifest.json"]
    assert (output / "common" / "file").exists()


def test_links_are_not_followed(output: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (output / "common" / "file").unlink()
    (output / "common").rmdir()
    (output / "common").symlink_to(tmp_path / "mine")
    (output / "dangling.zip").symlink_to("nothing")
    assert swept(output, "dangling") == ["api.zip", "common", "dangling.zip", "manifest.json"]
    assert (tmp_path / "mine" / "file").exists()


def test_folders_called_like_files_stay(output: Path) -> None:
    (output / "b.zip").mkdir()
    assert swept(output, "api", "b") == ["api.zip", "common", "manifest.json"]
    assert (output / "b.zip").is_dir()


def test_a_folder_that_is_a_link_is_emptied(output: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(output)
    assert swept(link) == ["api.zip", "common", "manifest.json"]
    assert link.is_symlink()
    assert output.is_dir()


def test_a_run_that_goes_on_is_not_disturbed(output: Path) -> None:
    (output / f"{manifest.PASSING}{MANIFEST}").touch()
    with ExitStack() as stack:
        folder = beside_artifacts(stack, output)
        with pytest.raises(BundleError) as caught:
            sweep(output, ["api"])
        (problem,) = caught.value.problems
        assert (problem.code, problem.message) == (
            Code.OUTPUT_UNWRITABLE,
            "a run is at work in this folder",
        )
        assert folder.is_dir()
        assert (output / "api.zip").exists()
    assert "api.zip" in swept(output, "api")
    assert not output.exists()


@pytest.mark.parametrize("kind", ["nothing", "a file"])
def test_no_folder_needs_no_cleaning(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "dist"
    if kind == "a file":
        output.touch()
    assert sweep(output, ["api"]) == ()
    assert output.exists() == (kind == "a file")


def test_which_folder_has_the_least_room(tmp_path: Path) -> None:
    """The one to name when a disk is full; on the same disk nobody can tell."""
    assert not has_least_room(tmp_path, [tmp_path.parent])
    assert not has_least_room(tmp_path, [tmp_path / "absent"])
    memory = Path("/dev/shm")  # noqa: S108 - nothing is written there
    if memory.exists() and memory.stat().st_dev != tmp_path.stat().st_dev:
        answers = {has_least_room(memory, [tmp_path]), has_least_room(tmp_path, [memory])}
        assert answers == {True, False}
        assert not has_least_room(memory, [tmp_path, memory])
