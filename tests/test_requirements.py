from __future__ import annotations

from pathlib import Path

import pytest

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.requirements import FILE_NAME, Place, find, gather
from lambda_bundle.targets import Target

TARGET = Target("python3.10", "arm64")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An entry, and the copy of it that hooks have worked in."""
    entry, staged = tmp_path / "root" / "services" / "api", tmp_path / "copy"
    for folder in (entry, staged):
        folder.mkdir(parents=True)
    return Place(root=tmp_path / "root", entry=entry, staged=staged)


def original(place: Place) -> Place:
    """The same entry before any hook."""
    return Place(root=place.root, entry=place.entry)


def staged(place: Place) -> Path:
    assert place.staged is not None
    return place.staged


def write(folder: Path, text: str = "idna==3.20\n", name: str = FILE_NAME) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_no_dependencies(place: Place) -> None:
    assert find(place, excluded=False) is None
    assert find(original(place), excluded=False) is None


def test_without_hooks_the_entry_has_the_file(place: Place) -> None:
    path = write(place.entry)
    assert find(original(place), excluded=False) == path
    assert find(original(place), excluded=True) == path


def test_hooks_may_write_and_remove_the_file(place: Place) -> None:
    write(place.entry)
    assert find(place, excluded=False) is None
    assert find(place, excluded=False) != (path := write(staged(place)))
    assert find(place, excluded=False) == path


def test_a_file_that_is_left_out_of_the_bundle_counts(place: Place) -> None:
    path = write(place.entry)
    assert find(place, excluded=True) == path


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_an_error_and_not_nothing(place: Place, kind: str) -> None:
    path = place.entry / FILE_NAME
    path.mkdir() if kind == "folder" else path.symlink_to("nowhere")
    found = find(original(place), excluded=False)
    assert found == path
    with pytest.raises(BundleError) as caught:
        gather(original(place), path, TARGET, {})
    assert [one.code for one in caught.value.problems] == [Code.REQUIREMENTS_MISSING]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("root/services/api/requirements.txt", "services/api/requirements.txt"),
        ("root/services/api/../common.txt", "services/common.txt"),
        ("copy/requirements.txt", "services/api/requirements.txt"),
        ("copy/deep/more.txt", "services/api/deep/more.txt"),
        ("elsewhere/x.txt", "{tmp}/elsewhere/x.txt"),
    ],
)
def test_paths_are_shown_as_the_user_knows_them(place: Place, tmp_path: Path, path: str, shown: str) -> None:
    assert place.shown(tmp_path / path) == shown.format(tmp=tmp_path)


def test_an_entry_outside_of_the_root_is_shown_whole(tmp_path: Path) -> None:
    outside = Place(root=tmp_path / "root", entry=tmp_path / "root" / ".." / "other")
    assert outside.shown(outside.entry / FILE_NAME) == str(tmp_path / "other" / FILE_NAME)


def test_what_a_staged_file_names_is_looked_for_in_the_copy_first(place: Place) -> None:
    copy = write(staged(place), name="deep/more.txt")
    write(place.entry, name="deep/more.txt")
    beside = write(place.entry.parent, name="common.txt")
    assert place.resolve(staged(place), "deep/more.txt") == copy
    assert place.resolve(staged(place), "deep/gone.txt") == place.entry / "deep" / "gone.txt"
    assert place.resolve(staged(place), "../common.txt") == beside
    assert place.resolve(staged(place) / "deep", "../../common.txt") == beside
    assert place.resolve(place.entry, "../common.txt") == beside
    assert original(place).resolve(place.entry, "../common.txt") == beside
    assert place.resolve(staged(place), str(beside)) == beside


def test_what_the_files_say_for_the_target(place: Place) -> None:
    write(place.entry.parent, "tomli==2.3.0 ; python_version < '3.11'\n", name="common.txt")
    text = "-r ../common.txt\nidna==3.20 ; platform_machine == 'x86_64'\n${NAME}==1.0\n"
    found = gather(original(place), write(place.entry, text), TARGET, {"NAME": "attrs"})
    assert [one.name for one in found.requirements] == ["tomli", "attrs"]
    assert [one.where.file for one in found.requirements] == [
        "services/common.txt",
        "services/api/requirements.txt",
    ]


def test_every_problem_is_where_the_user_knows_it(place: Place) -> None:
    path = write(staged(place), "idna==\n-r missing.txt\n")
    with pytest.raises(BundleError) as caught:
        gather(place, path, TARGET, {})
    told = [(one.code, one.where.file, one.where.line) for one in caught.value.problems]
    assert told == [
        (Code.INVALID_REQUIREMENT, "services/api/requirements.txt", 1),
        (Code.REQUIREMENTS_MISSING, "services/api/requirements.txt", 2),
    ]
