from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_bundle import copies
from lambda_bundle.archive import write_folder
from lambda_bundle.copies import copy_content, copy_file, copy_hashed, spread

CONTENTS = [b"", b"x", bytes(range(256)) * 9_000]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such permissions")


@pytest.fixture(params=["kernel", "refused", "half", "absent"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system does of the copying: all, nothing, the beginning; or it has no such call."""
    if request.param == "absent" or not hasattr(os, "copy_file_range"):
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif request.param != "kernel":
        real, calls = os.copy_file_range, []

        def limited(source: int, destination: int, count: int) -> int:
            calls.append(count)
            if request.param == "refused" or len(calls) > 1:
                raise OSError(errno.EXDEV, "not here")
            return real(source, destination, min(count, 1000))

        monkeypatch.setattr(os, "copy_file_range", limited)


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_copies_are_equal(tmp_path: Path, content: bytes) -> None:
    source, one, other = tmp_path / "source", tmp_path / "one", tmp_path / "other"
    source.write_bytes(content)
    assert copy_file(source, one) == (len(content), 0o644)
    assert copy_hashed(str(source), other) == (len(content), 0o644, hashlib.sha256(content).hexdigest())
    assert one.read_bytes() == other.read_bytes() == content


@pytest.mark.usefixtures("kernel")
def test_a_copy_shares_nothing(tmp_path: Path) -> None:
    source, one, other = tmp_path / "source", tmp_path / "one", tmp_path / "other"
    source.write_bytes(b"as it was")
    copy_file(source, one)
    copy_hashed(source, other)
    for copy in (one, other):
        with copy.open("r+b") as file:
            file.write(b"vandal")
        copy.chmod(0o755)
    assert source.read_bytes() == b"as it was"
    source.write_bytes(b"something else")
    assert one.read_bytes() == other.read_bytes() == b"vandalwas"


@posix
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("given", "wanted"), [(0o600, 0o644), (0o666, 0o644), (0o700, 0o755), (0o654, 0o644), (0o777, 0o755)]
)
def test_permissions_are_those_of_lambda(tmp_path: Path, given: int, wanted: int) -> None:
    source, one, other = tmp_path / "source", tmp_path / "one", tmp_path / "other"
    source.touch()
    source.chmod(given)
    assert copy_file(source, one)[1] == copy_hashed(source, other)[1] == wanted
    assert one.stat().st_mode & 0o7777 == other.stat().st_mode & 0o7777 == wanted


@posix
@pytest.mark.usefixtures("umask")
def test_permissions_of_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_folder({"a/b/c/file": tmp_path / "file", "a/file": tmp_path / "file"}, tmp_path / "out", hashes={})
    folders = [tmp_path / "out" / place for place in ("", "a", "a/b", "a/b/c")]
    assert {folder.stat().st_mode & 0o7777 for folder in folders} == {0o755}


@pytest.mark.parametrize("copy", [copy_file, copy_hashed])
def test_nothing_is_written_over(tmp_path: Path, copy: type) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(FileExistsError) as caught:
        copy(tmp_path / "source", tmp_path / "there")
    assert Path(str(caught.value.filename)) == tmp_path / "there"
    assert (tmp_path / "there").read_bytes() == b"old"


@pytest.mark.usefixtures("kernel")
def test_a_file_that_shrinks_meanwhile_ends_early(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"short")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "copy").open("wb") as copy:
        assert copy_content(source.fileno(), copy.fileno(), 100) == 5
    assert (tmp_path / "copy").read_bytes() == b"short"


@settings(deadline=None, max_examples=30)
@given(content=st.binary(max_size=200), block=st.integers(min_value=1, max_value=50))
def test_blocks_of_any_size(tmp_path_factory: pytest.TempPathFactory, content: bytes, block: int) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "source").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_BLOCK", block)
        _, _, sha256 = copy_hashed(folder / "source", folder / "copy")
    assert (folder / "copy").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()


def flags(folder: Path) -> str:
    """What lsattr tells of a folder; empty where the file system has no such flags."""
    return run("lsattr", "-d", str(folder)).stdout.partition(" ")[0]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("lsattr") is None, reason="lsattr is not installed")
def test_folders_that_have_nothing_to_do_with_one_another(tmp_path: Path) -> None:
    """The hint is for the folder alone, and what else is said of it stays."""
    folder = tmp_path / "folder"
    folder.mkdir()
    before = flags(folder)
    spread(folder)
    spread(folder)
    after = flags(folder)
    assert after.replace("T", "-") == before.replace("T", "-")
    (folder / "below").mkdir()
    assert "T" not in flags(folder / "below")
    if run("chattr", "+T", str(tmp_path)).returncode == 0:
        assert "T" in after


def test_where_there_is_no_such_hint_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "absent", tmp_path / "file", "/proc/self"):
        spread(place)
