from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from lambda_bundle.cache import DEFAULT_LIMIT, FORMAT, Cache, parse_size
from lambda_bundle.errors import BundleError, Code

HOUR = 3600


def fill(cache: Cache, kind: str, name: str, size: int, *, age: float) -> Path:
    """An entry of some bytes that was last used `age` seconds ago."""
    path = cache.path(kind, name)
    with cache.making(path) as made:
        (made / "content").write_bytes(bytes(size))
        cache.keep(made, path)
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1234", 1234),
        ("12b", 12),
        ("3k", 3_000),
        ("500MB", 500_000_000),
        (" 2.5 GB ", 2_500_000_000),
        ("1tb", 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "--limit") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "5 apples", "1.2.3GB", "GB"])
def test_what_is_no_size_is_an_error_that_names_the_option(text: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_size(text, "--limit")
    (problem,) = caught.value.problems
    assert problem.code is Code.INVALID_OPTION
    assert problem.where.key == "--limit"
    assert text in problem.message


def test_the_environment_names_the_folder_and_the_limit(tmp_path: Path) -> None:
    cache = Cache.of({"LAMBDA_BUNDLE_CACHE": str(tmp_path), "LAMBDA_BUNDLE_CACHE_LIMIT": "7kB"})
    assert cache.root == tmp_path
    assert cache.limit == 7000
    assert Cache.of({}).limit == DEFAULT_LIMIT
    assert Cache.of({}).root.name == "lambda-bundle"


def test_an_entry_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.path("sets", "one")

    def fail() -> None:
        with cache.making(path) as made:
            (made / "half").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not cache.use(path)
    assert cache.entries() == []
    assert [one.name for one in (cache.folder / "sets").iterdir()] == []


def test_keeping_replaces_what_stood_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    fill(cache, "sets", "one", 10, age=0)
    path = fill(cache, "sets", "one", 20, age=0)
    assert (path / "content").stat().st_size == 20
    assert [one.name for one in path.parent.iterdir()] == ["one"]


def test_makers_of_one_entry_wait_for_each_other(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.path("packs", "one")
    inside: list[int] = []
    most: list[int] = []

    def make() -> None:
        with cache.making(path):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_pruning_takes_the_longest_unused_first_until_the_rest_fits(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=250)
    old = fill(cache, "sets", "old", 100, age=9 * HOUR)
    middle = fill(cache, "packs", "middle", 100, age=5 * HOUR)
    young = fill(cache, "sets", "young", 100, age=2 * HOUR)
    assert [entry.path for entry in cache.prune()] == [old]
    assert not old.exists()
    assert middle.exists()
    assert cache.use(middle)  # now it is the youngest
    assert [entry.path for entry in cache.prune(100)] == [young]
    assert middle.exists()


@pytest.mark.parametrize("note", [None, "many", ""])
def test_sizes_are_noted_and_measured_where_they_are_not(tmp_path: Path, note: str | None) -> None:
    """What each file has is asked once, when the entry is made."""
    cache = Cache(tmp_path)
    path = fill(cache, "trees", "one", 1000, age=0)
    cache.write(cache.path("sets", "two"), [])
    (path / "content").write_bytes(bytes(7))
    sizes = {entry.path.name: entry.size for entry in cache.entries()}
    assert sizes == {"one": 1000, "two": (tmp_path / FORMAT / "sets" / "two").stat().st_size}
    if note is None:
        (path / "size").unlink()
    else:
        (path / "size").write_text(note)
    measured = 7 + (0 if note is None else len(note))
    assert {entry.size for entry in cache.entries() if entry.path == path} == {measured}


def test_what_was_just_used_stays_unless_everything_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=0)
    path = fill(cache, "sets", "one", 100, age=60)
    assert cache.prune() == []
    assert [entry.path for entry in cache.prune(everything=True)] == [path]
    assert cache.entries() == []


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "none")
    assert cache.entries() == []
    assert cache.prune(everything=True) == []
    assert not (tmp_path / "none").exists()


def test_what_killed_runs_left_goes_after_a_day(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, young = (cache.scratch("sets") / name for name in (".old", ".young"))
    for path, hours in ((old, 25), (young, 23)):
        path.mkdir()
        os.utime(path, (time.time() - hours * HOUR,) * 2)
    assert cache.prune() == []
    assert (old.exists(), young.exists()) == (False, True)
    assert cache.prune(everything=True) == []
    assert not young.exists()


def test_what_the_system_refuses_in_the_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    cache = Cache(tmp_path / "cache")
    with pytest.raises(BundleError) as caught, cache.guarding():
        cache.scratch("sets")
    (problem,) = caught.value.problems
    assert problem.code is Code.CACHE_UNUSABLE
    assert str(problem.where.file).startswith(str(cache.root))
    with pytest.raises(FileNotFoundError), cache.guarding():
        (tmp_path / "elsewhere").read_bytes()


# --- entries that are JSON


@pytest.mark.parametrize("document", [{}, [], None, {"a": [1, "é\n", None]}, "text\nmore"])
def test_what_is_written_is_read(tmp_path: Path, document: object) -> None:
    cache = Cache(tmp_path)
    path = cache.path("configs", "one.json")
    cache.write(path, document)
    assert cache.read(path) == document


def test_what_is_damaged_is_not_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path, other = cache.path("configs", "one.json"), cache.path("configs", "other.json")
    cache.write(path, {"key": "value"})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"changed|codec"):
            cache.read(path)
        path.write_bytes(whole[:at])
        with pytest.raises(ValueError, match=r"changed|codec"):
            cache.read(path)
    other.write_bytes(whole)
    with pytest.raises(ValueError, match="changed"):
        cache.read(other)
    with pytest.raises(FileNotFoundError):
        cache.read(cache.path("configs", "absent.json"))


def test_half_written_files_of_killed_runs_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    file = cache.scratch("configs") / ".half"
    file.write_text("{")
    os.utime(file, (time.time() - 48 * HOUR,) * 2)
    cache.prune()
    assert not file.exists()


def test_a_folder_in_the_place_of_an_entry_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.path("sets", "one.json")
    (path / "deep").mkdir(parents=True)
    cache.write(path, {"a": 1})
    assert cache.read(path) == {"a": 1}
