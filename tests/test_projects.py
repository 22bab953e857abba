from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.jobs import Selection
from lambda_bundle.projects import REQUIREMENTS, Law, Place, find, load


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


def write(folder: Path, text: str = "idna==3.20\n", name: str = REQUIREMENTS) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


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
    assert outside.shown(outside.entry / REQUIREMENTS) == str(tmp_path / "other" / REQUIREMENTS)


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


# --- which file


def found(place: Place, name: str = "api", **selection: Any) -> tuple[str, Path] | None:
    law = find(place, Selection(**selection), name)
    return None if law is None else (law.kind, law.path)


def problem(place: Place, **selection: Any) -> Problem:
    with pytest.raises(BundleError) as caught:
        find(place, Selection(**selection), "api")
    (one,) = caught.value.problems
    return one


def test_no_file_means_no_dependencies(place: Place) -> None:
    assert found(place) is None
    assert found(original(place)) is None


def test_without_hooks_the_entry_has_the_file(place: Place) -> None:
    path = write(place.entry)
    assert found(original(place)) == ("requirements", path)


def test_hooks_may_write_change_and_remove_the_file(place: Place) -> None:
    write(place.entry)
    brought = replace(place, brought=frozenset([REQUIREMENTS]))
    assert found(brought) is None
    path = write(staged(place))
    assert found(brought) == ("requirements", path)
    assert found(place) == ("requirements", path)


def test_a_file_that_is_left_out_of_the_bundle_counts(place: Place) -> None:
    path = write(place.entry)
    assert found(place) == ("requirements", path)


SPECIFIC = ["pylock.api.toml", "uv.lock", "pylock.toml", REQUIREMENTS]


@pytest.mark.parametrize("number", range(len(SPECIFIC)))
def test_the_most_specific_wins_and_the_others_are_told(place: Place, number: int) -> None:
    paths = [write(place.entry, "", name) for name in SPECIFIC[number:]]
    law = find(original(place), Selection(), "api")
    assert law is not None
    assert (law.path, *law.others) == tuple(paths)


@pytest.mark.parametrize(
    ("packaging", "name"),
    [("uv", "uv.lock"), ("pylock", "pylock.api.toml"), ("requirements", REQUIREMENTS)],
)
def test_packaging_settles_it(place: Place, packaging: str, name: str) -> None:
    for one in SPECIFIC:
        write(place.entry, "", one)
    law = find(original(place), Selection(packaging=packaging), "api")  # type: ignore[arg-type]
    assert law is not None
    assert (law.path.name, law.others) == (name, ())


def test_the_lock_of_another_function_is_not_ours(place: Place) -> None:
    write(place.entry, "", "pylock.worker.toml")
    assert found(original(place)) is None
    assert found(original(place), name="worker") == ("pylock", place.entry / "pylock.worker.toml")


def test_what_packaging_asks_for_must_be_there(place: Place) -> None:
    write(place.entry)
    one = problem(original(place), packaging="uv")
    assert (one.code, one.where.file) == (Code.LOCK_MISSING, "services/api")
    assert one.hint == "run `uv lock`"


WORKSPACE = '[tool.uv.workspace]\nmembers = ["services/*", "libs/**"]\nexclude = ["services/old*"]\n'


@pytest.mark.parametrize(
    ("entry", "member"),
    [
        ("services/api", True),
        ("services/old-api", False),
        ("services/deep/api", False),
        ("libs/a/b/c", True),
        ("elsewhere", False),
        ("locked", True),
    ],
)
def test_a_member_has_the_lock_of_its_workspace(tmp_path: Path, entry: str, *, member: bool) -> None:
    write(tmp_path, WORKSPACE, "pyproject.toml")
    text = '[[package]]\nname = "x"\nsource = { virtual = "locked" }\n'
    lock = write(tmp_path, text, "uv.lock")
    write(tmp_path / entry, '[project]\nname = "x"\n', "pyproject.toml")
    write(tmp_path / entry)
    law = find(Place(root=tmp_path, entry=tmp_path / entry), Selection(), "api")
    assert law is not None
    assert (law.path == lock, law.kind) == (member, "uv" if member else "requirements")
    assert law.project == tmp_path / entry


def test_a_folder_without_a_project_is_no_member(tmp_path: Path) -> None:
    write(tmp_path, WORKSPACE, "pyproject.toml")
    lock = write(tmp_path, "", "uv.lock")
    entry = tmp_path / "services" / "api"
    entry.mkdir(parents=True)
    place = Place(root=tmp_path, entry=entry)
    assert found(place) is None
    assert found(place, package="core") == ("uv", lock)


@pytest.mark.parametrize(
    ("written", "file", "kind"),
    [
        ("locks/prod.txt", "root/locks/prod.txt", "requirements"),
        ("services/api/deep/uv.lock", "root/services/api/deep/uv.lock", "uv"),
        ("deep/pylock.toml", "root/services/api/deep/pylock.toml", "pylock"),
        ("../pylock.prod.toml", "root/services/pylock.prod.toml", "pylock"),
        ("..\\..\\all.in", "root/all.in", "requirements"),
    ],
)
def test_requirements_points_elsewhere(
    place: Place, tmp_path: Path, written: str, file: str, kind: str
) -> None:
    write(place.entry)
    path = write((tmp_path / file).parent, "", Path(file).name)
    assert found(original(place), requirements=written) == (kind, path)


def test_requirements_may_point_at_what_a_hook_makes(place: Place) -> None:
    path = write(staged(place), "", "made/pylock.toml")
    assert found(place, requirements="services/api/made/pylock.toml") == ("pylock", path)
    assert found(place, requirements="made/pylock.toml") == ("pylock", path)


def test_requirements_that_are_not_there(place: Place) -> None:
    one = problem(original(place), requirements="locks/prod.txt")
    assert (one.code, one.where.file) == (Code.REQUIREMENTS_MISSING, "locks/prod.txt")


def test_requirements_that_name_what_is_locked(place: Place) -> None:
    """A Pipfile, or a pyproject.toml with `packaging`, stands for the lock beside it."""
    write(place.entry, "", "deep/Pipfile")
    lock = write(place.entry, "", "deep/Pipfile.lock")
    assert found(original(place), requirements="deep/Pipfile") == ("pipenv", lock)
    write(place.entry, "[project]", "pyproject.toml")
    lock = write(place.entry, "", "pdm.lock")
    assert found(original(place), requirements="pyproject.toml", packaging="pdm") == ("pdm", lock)
    one = problem(original(place), requirements="pyproject.toml", packaging="poetry")
    assert (one.code, one.where.file) == (Code.LOCK_MISSING, "services/api/pyproject.toml")
    # A lock comes before what is not locked, unless the latter is asked for.
    assert found(original(place), requirements="pyproject.toml") == ("pdm", lock)
    project = place.entry / "pyproject.toml"
    assert found(original(place), requirements="pyproject.toml", packaging="project") == ("project", project)
    lock.unlink()
    write(place.entry, "", "Pipfile.lock")  # it is of a Pipfile
    assert found(original(place), requirements="pyproject.toml") == ("project", project)
    write(place.entry, '[tool.poetry.dependencies]\nidna = "*"\n', "pyproject.toml")
    one = problem(original(place), requirements="pyproject.toml")
    assert (one.code, one.hint) == (
        Code.LOCK_MISSING,
        "run `poetry lock`, and keep the lock with the sources",
    )


@pytest.mark.parametrize(("entry", "member"), [("services/api", True), ("elsewhere", False)])
def test_a_lock_of_a_workspace_that_is_named_is_asked_for_the_member(
    tmp_path: Path, entry: str, *, member: bool
) -> None:
    write(tmp_path / "root", WORKSPACE, "pyproject.toml")
    lock = write(tmp_path / "root", "version = 1\n", "uv.lock")
    write(tmp_path / "root" / entry, '[project]\nname = "x"\n', "pyproject.toml")
    other = write(tmp_path / "root" / "other", "version = 1\n", "uv.lock")
    place = Place(root=tmp_path / "root", entry=tmp_path / "root" / entry)
    law = find(place, Selection(requirements="uv.lock"), "api")
    assert law == Law(kind="uv", path=lock, project=place.entry if member else lock.parent)
    law = find(place, Selection(requirements="other/uv.lock"), "api")
    assert law == Law(kind="uv", path=other, project=other.parent)


def test_packaging_and_requirements_must_agree(place: Place) -> None:
    write(place.entry, "", "pylock.toml")
    one = problem(original(place), requirements="pylock.toml", packaging="uv")
    assert one.code == Code.INVALID_OPTION


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"a = 1\n<<<<<<< HEAD\n", "is not valid TOML", 2),
        (b"\xe4", "is not UTF-8", None),
        (b"a = " + b"[" * 9000, "is nested too deeply", None),
    ],
)
def test_a_lock_that_cannot_be_read(place: Place, content: bytes, message: str, line: int | None) -> None:
    path = place.entry / "pylock.prod.toml"
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        load(path, original(place))
    (one,) = caught.value.problems
    assert (one.code, one.where.line) == (Code.LOCK_INVALID, line)
    assert one.message == f"services/api/pylock.prod.toml {message}"
    assert one.hint is not None
