"""Archives: the same bytes from the same files, and never half of one in its place."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workshop import content, modes

from lambda_bundle.archive import publish, remove, write_folder, write_zip
from lambda_bundle.errors import BundleError, Code
from lambda_bundle.result import Archived
from lambda_bundle.stage import Tree

UNZIP = shutil.which("unzip")
Write = Callable[..., Archived]


def plain_folder(tree: Tree, path: Path, **options: Any) -> Archived:
    """A folder of files of which nothing is known beforehand."""
    return write_folder(tree, path, hashes={}, **options)


BOTH = pytest.mark.parametrize("write", [write_zip, plain_folder])


def plant(folder: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    """Write files below a folder, and give them as a tree."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: folder / name for name in files}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


NOISE = random.Random(0).randbytes(5000)  # noqa: S311 - only to be incompressible
FILES = {
    "app.py": b"x = 1\n" * 100,
    "data.json.gz": gzip.compress(bytes(1000), compresslevel=0, mtime=0),
    "empty": b"",
    "one": b"1",
    "noise.bin": NOISE,
    "pkg/__init__.py": b"",
    "pkg/sub/ünï 💥\n.txt": "cödé".encode() * 50,
    "run.sh": b"#!/bin/sh\n",
}


# --- zip


def test_zip(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", FILES)
    tree["run.sh"].chmod(0o700)
    tree["app.py"].chmod(0o600)
    path = tmp_path / "x.zip"
    archived = write_zip(dict(reversed(tree.items())), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(FILES)
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        members = {member.filename: member for member in archive.infolist()}
    stored = {name for name, member in members.items() if member.compress_type == zipfile.ZIP_STORED}
    assert stored == {"data.json.gz", "empty", "one", "noise.bin", "pkg/__init__.py", "run.sh"}
    assert members["app.py"].compress_size < 50
    assert {member.date_time for member in members.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.create_system for member in members.values()} == {3}
    assert all(stat.S_ISREG(member.external_attr >> 16) for member in members.values())
    assert not any(member.extra or member.comment for member in members.values())
    assert modes(path) == {**dict.fromkeys(FILES, 0o644), "run.sh": 0o755}
    data = path.read_bytes()
    assert archived.size == len(data)
    assert archived.unzipped == sum(map(len, FILES.values()))
    assert archived.sha256 == sha256(data).hexdigest()
    assert archived.code_sha256 == b64encode(sha256(data).digest()).decode()


def test_zip_of_nothing(tmp_path: Path) -> None:
    archived = write_zip({}, tmp_path / "x.zip")
    assert (archived.size, archived.unzipped) == (22, 0)
    assert content(tmp_path / "x.zip") == {}


@pytest.mark.skipif(UNZIP is None, reason="there is no unzip")
def test_unzip_reads_it(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", {name: data for name, data in FILES.items() if name.isascii()})
    tree["run.sh"].chmod(0o755)
    write_zip(tree, tmp_path / "x.zip")
    subprocess.run([str(UNZIP), "-tqq", tmp_path / "x.zip"], check=True)
    subprocess.run([str(UNZIP), "-qq", tmp_path / "x.zip", "-d", tmp_path / "out"], check=True)
    assert content(tmp_path / "out") == content(tmp_path / "tree")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("size", [0, 1, 2, 65535, 65536, 3_000_000])
def test_sizes(tmp_path: Path, size: int) -> None:
    data = (NOISE * (size // len(NOISE) + 1))[:size]
    tree = plant(tmp_path / "tree", {"a": data, "b": bytes(size)})
    assert write_zip(tree, tmp_path / "x.zip").unzipped == 2 * size
    assert content(tmp_path / "x.zip") == {"a": data, "b": bytes(size)}


def test_as_many_files_as_a_zip_can_hold(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    tree = {f"{n:05}": file for n in range(0xFFFF)}
    write_zip(tree, tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert len(archive.namelist()) == 0xFFFF
    with pytest.raises(BundleError) as error:
        write_zip({**tree, "one more": file}, tmp_path / "y.zip")
    (problem,) = error.value.problems
    assert problem.code is Code.ARTIFACT_TOO_LARGE
    assert "65,536" in problem.message


@pytest.mark.skipif(sys.platform != "linux", reason="needs files that are mostly holes")
@pytest.mark.parametrize("sizes", [[5 << 30], [3 << 30, 3 << 30], [(4 << 30) - 1], [(4 << 30) - 31]])
def test_more_bytes_than_a_zip_can_hold(tmp_path: Path, sizes: list[int]) -> None:
    tree = plant(tmp_path, {str(number): b"" for number, _ in enumerate(sizes)})
    for path, size in zip(tree.values(), sizes, strict=True):
        os.truncate(path, size)
    with pytest.raises(BundleError) as error:
        write_zip(tree, tmp_path / "x.zip")
    assert [problem.code for problem in error.value.problems] == [Code.ARTIFACT_TOO_LARGE]
    assert not (tmp_path / "x.zip").exists()


# --- folder


def test_folder(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", FILES)
    tree["run.sh"].chmod(0o700)
    with umask(0o077):
        archived = plain_folder(tree, tmp_path / "out")
    assert content(tmp_path / "out") == FILES
    files = {**dict.fromkeys(FILES, 0o644), "run.sh": 0o755}
    assert modes(tmp_path / "out") == {**files, ".": 0o755, "pkg": 0o755, "pkg/sub": 0o755}
    assert archived.size == archived.unzipped == sum(map(len, FILES.values()))
    (tmp_path / "out" / "app.py").write_bytes(b"changed")  # a copy, nothing that anything else holds
    assert tree["app.py"].read_bytes() == FILES["app.py"]


def test_folder_of_nothing(tmp_path: Path) -> None:
    assert plain_folder({}, tmp_path / "out").size == 0
    assert modes(tmp_path / "out") == {".": 0o755}


def test_hash_of_a_folder_tells_names_contents_and_permissions_apart(tmp_path: Path) -> None:
    seen = set()
    variants: list[dict[str, bytes]] = [
        {},
        {"a": b""},
        {"b": b""},
        {"a": b"1"},
        {"a": b"", "b": b""},
        {"a/b": b""},
    ]
    for number, files in enumerate(variants):
        seen.add(plain_folder(plant(tmp_path / f"t{number}", files), tmp_path / f"o{number}").sha256)
    tree = plant(tmp_path / "executable", {"a": b""})
    tree["a"].chmod(0o755)
    seen.add(plain_folder(tree, tmp_path / "o").sha256)
    assert len(seen) == len(variants) + 1


def test_both_formats_hold_the_same(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", FILES)
    zipped = write_zip(tree, tmp_path / "x.zip")
    plain = plain_folder(tree, tmp_path / "x")
    assert zipped.unzipped == plain.unzipped
    assert content(tmp_path / "x.zip") == content(tmp_path / "x")


# --- laws

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
        lambda name: name not in {".", ".."}
    ),
    min_size=1,
    max_size=3,
).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=6).filter(
    lambda files: not any(a != b and (a + "/").startswith(b + "/") for a in files for b in files)
)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, two of these names can be one")
@BOTH
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=TREES,
    mask=st.sampled_from([0o022, 0o077, 0o000]),
    mtime=st.integers(0, 4_000_000_000),
    chance=st.randoms(use_true_random=False),
)
def test_bytes_depend_on_nothing_but_names_contents_and_the_executable_bit(
    write: Write, files: dict[str, bytes], mask: int, mtime: int, chance: random.Random, tmp_path: Path
) -> None:
    for path in tmp_path.iterdir():
        remove(path)
    one = write(plant(tmp_path / "one", files), tmp_path / "first")
    shuffled = list(files)
    chance.shuffle(shuffled)
    with umask(mask):
        tree = plant(tmp_path / "an other" / "place", {name: files[name] for name in shuffled})
        for path in tree.values():
            os.utime(path, (mtime, mtime))
            path.chmod(chance.choice([0o600, 0o644, 0o666, 0o640]))
            if os.geteuid() == 0:
                os.chown(path, 0, chance.randint(0, 5))
        other = write(tree, tmp_path / "second")
    assert one == other
    assert content(tmp_path / "first") == content(tmp_path / "second") == dict(sorted(files.items()))
    if write is write_zip:
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


# --- both


def test_a_zip_can_be_stopped_between_files(tmp_path: Path) -> None:
    class Enough(Exception):  # noqa: N818 - no error
        pass

    calls = iter([None, None, Enough()])

    def check() -> None:
        if problem := next(calls):
            raise problem

    with pytest.raises(Enough):
        write_zip(plant(tmp_path / "tree", FILES), tmp_path / "out", check=check)


@BOTH
def test_file_that_vanishes(write: Write, tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", FILES)
    tree["one"].unlink()
    with pytest.raises(FileNotFoundError) as error:
        write(tree, tmp_path / "out")
    assert error.value.filename == str(tree["one"])


# --- publishing


def publish_zip(tmp_path: Path, files: Mapping[str, bytes], destination: Path, *stale: Path) -> None:
    tree = plant(tmp_path / "tree", files)
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_zip({name: tree[name] for name in files}, work / destination.name)
    publish(work / destination.name, destination, stale=stale)
    assert list(work.iterdir()) == []


def publish_folder(tmp_path: Path, files: Mapping[str, bytes], destination: Path, *stale: Path) -> None:
    tree = plant(tmp_path / "tree", files)
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    plain_folder({name: tree[name] for name in files}, work / destination.name)
    publish(work / destination.name, destination, stale=stale)
    assert list(work.iterdir()) == []


def nothing(destination: Path) -> None:
    pass


def a_file(destination: Path) -> None:
    destination.write_bytes(b"old")


def a_folder(destination: Path) -> None:
    plant(destination, {"old": b"", "sub/old": b""})


def a_link_to_a_file(destination: Path) -> None:
    target = destination.with_name("elsewhere.txt")
    target.write_bytes(b"theirs")
    destination.symlink_to(target)


def a_link_to_a_folder(destination: Path) -> None:
    plant(destination.with_name("elsewhere"), {"x": b"theirs"})
    destination.symlink_to("elsewhere")


def a_dangling_link(destination: Path) -> None:
    destination.symlink_to("nowhere")


IN_THE_WAY = [
    nothing,
    a_file,
    a_folder,
    a_link_to_a_file,
    a_link_to_a_folder,
    a_dangling_link,
]


@pytest.mark.parametrize("before", IN_THE_WAY)
@pytest.mark.parametrize("put", [publish_zip, publish_folder])
def test_publish(tmp_path: Path, put: Callable[..., None], before: Callable[[Path], None]) -> None:
    output = tmp_path / "dist"
    output.mkdir()
    before(output / "x")
    elsewhere = {
        path.name: content(path) if path.is_dir() else path.read_bytes() for path in output.glob("else*")
    }
    put(tmp_path, {"new": b"new"}, output / "x")
    assert not (output / "x").is_symlink()
    assert content(output / "x") == {"new": b"new"}
    found = {
        path.name: content(path) if path.is_dir() else path.read_bytes() for path in output.glob("else*")
    }
    assert found == elsewhere, "what a link led to is not ours"


@pytest.mark.parametrize("before", IN_THE_WAY)
def test_what_is_stale_goes(tmp_path: Path, before: Callable[[Path], None]) -> None:
    output = tmp_path / "dist"
    output.mkdir()
    before(output / "x")
    publish_zip(tmp_path, {"new": b"new"}, output / "x.zip", output / "x")
    assert not os.path.lexists(output / "x")


@pytest.mark.parametrize("before", IN_THE_WAY)
def test_remove(tmp_path: Path, before: Callable[[Path], None]) -> None:
    before(tmp_path / "x")
    remove(tmp_path / "x")
    assert not os.path.lexists(tmp_path / "x")


def test_times_of_artifacts_are_real(tmp_path: Path) -> None:
    before = time.time() - 1
    publish_zip(tmp_path, {"a": b""}, tmp_path / "x.zip")
    publish_folder(tmp_path, {"a": b""}, tmp_path / "x")
    for path in (tmp_path / "x.zip", tmp_path / "x", tmp_path / "x" / "a"):
        assert before < path.stat().st_mtime < time.time() + 1


def test_reader_never_sees_half_a_zip(tmp_path: Path) -> None:
    destination = tmp_path / "x.zip"
    publish_zip(tmp_path, {"n": b"0", "noise": NOISE}, destination)
    ended = threading.Event()
    seen: set[bytes] = set()
    errors: list[Exception] = []

    def read() -> None:
        while not ended.is_set():
            try:
                files = content(destination)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must tell
                errors.append(error)
                return
            assert files.keys() == {"n", "noise"}
            seen.add(files["n"])

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(150):
        publish_zip(tmp_path, {"n": b"%d" % number, "noise": NOISE}, destination)
    ended.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert len(seen) > 1
