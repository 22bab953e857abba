from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_bundle.archive import write_zip
from lambda_bundle.deflation import MAX_BYTES
from lambda_bundle.errors import BundleError
from lambda_bundle.members import Item, Member, Pack, Writer, fitting, items, open_pack
from lambda_bundle.packing import Packer
from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.spool import Spool
from lambda_bundle.stage import Tree

NAMES = st.text("abcé-_", min_size=1, max_size=6)
FILES = st.dictionaries(NAMES, st.binary(max_size=300) | st.just(b"x" * 5000), max_size=12)


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Three, which are started for every little thing."""
    with closing(Processes(Children(), os.environ, tmp_path_factory.mktemp("empty"), 3, worth=0)) as made:
        yield made


def packer(folder: Path, processes: Processes | None = None) -> Packer:
    """One with a spool of its own."""
    folder.mkdir(exist_ok=True)
    return Packer(Spool(lambda: folder), map if processes is None else processes.map)


def write_pack(tree: Tree, folder: Path, processes: Processes | None = None) -> None:
    packer(folder.with_name(f"{folder.name}-spool"), processes).write(
        items(tree), folder, folder, check=nothing
    )


def written(folder: Path, files: dict[str, bytes]) -> Tree:
    folder.mkdir()
    for number, content in enumerate(files.values()):
        (folder / str(number)).write_bytes(content)
    return {name: folder / str(number) for number, name in enumerate(files)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(theirs=st.lists(FILES, max_size=3), ours=FILES, data=st.data())
def test_a_zip_from_packs_is_the_zip_of_the_same_files(
    tmp_path_factory: pytest.TempPathFactory,
    processes: Processes,
    theirs: list[dict[str, bytes]],
    ours: dict[str, bytes],
    data: st.DataObject,
) -> None:
    """Whatever part of the packs is used, the content is right, and the bytes depend on nothing else."""
    folder = tmp_path_factory.mktemp("zip")
    theirs = [{f"{at}/{name}": content for name, content in files.items()} for at, files in enumerate(theirs)]
    names = sorted(name for files in theirs for name in files)
    dropped = data.draw(st.sets(st.sampled_from(names))) if names else set()
    own = written(folder / "own", {f"own/{name}": content for name, content in ours.items()})
    packed = []
    for number, others in enumerate((None, processes)):
        packs = []
        for at, files in enumerate(theirs):
            made = folder / f"pack{number}-{at}"
            made.mkdir()
            write_pack(written(folder / f"their{number}-{at}", files), made, others)
            pack = open_pack(made)
            assert pack is not None
            packs.append(pack)
        path = folder / f"{number}.zip"
        archived = write_zip(own, path, packs=packs, without=frozenset(dropped))
        packed.append((path.read_bytes(), archived))
    assert packed[0] == packed[1]
    with zipfile.ZipFile(io.BytesIO(packed[0][0])) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
        names = archive.namelist()
    kept = {name: content for files in theirs for name, content in files.items() if name not in dropped}
    assert found == {**kept, **{f"own/{name}": content for name, content in ours.items()}}
    assert names == [*sorted(kept), *sorted(own)]
    assert packed[0][1].unzipped == sum(map(len, found.values()))
    assert packed[0][1].size == len(packed[0][0])
    assert packed[0][1].sha256 == hashlib.sha256(packed[0][0]).hexdigest()


def ready(folder: Path, files: dict[str, bytes]) -> list[Item]:
    """The files as those of a dependency set, whose hashes are known."""
    tree = written(folder, files)
    return [replace(one, sha256=hashlib.sha256(files[one.name]).hexdigest()) for one in items(tree)]


SHARED = {f"{number:03}": f"content {number}".encode() * 2000 for number in range(120)}


@pytest.mark.parametrize("at_once", [1, 4])
def test_packs_of_what_was_taken_in(tmp_path: Path, processes: Processes, at_once: int) -> None:
    """The files can be gone by then; and every pack is what it is when its files are compressed for it."""
    spool = Spool(lambda: tmp_path)
    packs, alone = Packer(spool, processes.map), packer(tmp_path / "alone", processes)

    def pack(number: int) -> Pack:
        own = {**SHARED, f"{number}/own": b"own", "twice": SHARED["007"]}
        names = list(own)[:: -1 if number % 2 else 1]
        wanted = ready(tmp_path / f"tree{number}", {name: own[name] for name in names})
        spool.take_in({one.source: one.sha256 for one in wanted}, processes.map)
        shutil.rmtree(tmp_path / f"tree{number}")
        (tmp_path / f"pack{number}").mkdir()
        return packs.write(wanted, tmp_path / f"pack{number}", tmp_path / f"pack{number}", check=nothing)

    with ThreadPoolExecutor(at_once) as callers:
        made = list(callers.map(pack, range(6)))
    for number, one in enumerate(made):
        again = open_pack(one.folder)
        assert again is not None
        assert (again.directory, again.size, again.count, again.unzipped) == (
            one.directory,
            one.size,
            one.count,
            one.unzipped,
        )
        assert again.sha256.digest() == one.sha256.digest()
        own = {**SHARED, f"{number}/own": b"own", "twice": SHARED["007"]}
        assert {name: one.read(name) for name in own} == own
        assert one.read("absent") is None
        folder = tmp_path / f"plain-pack{number}"
        folder.mkdir()
        names = list(own)[:: -1 if number % 2 else 1]
        wanted = ready(tmp_path / f"plain{number}", {name: own[name] for name in names})
        plain = alone.write(wanted, folder, folder, check=nothing)
        assert plain.content.read_bytes() == one.content.read_bytes()


def test_a_pack_that_is_given_up_blocks_nobody(tmp_path: Path, processes: Processes) -> None:
    one = packer(tmp_path / "spool", processes)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    count = 0

    def check() -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyError("stop")

    wanted = ready(tmp_path / "a", SHARED)
    with pytest.raises(KeyError, match="stop"):
        one.write(wanted, tmp_path / "one", tmp_path / "one", check=check)
    one.write(wanted, tmp_path / "two", tmp_path / "two", check=nothing)
    assert open_pack(tmp_path / "two") is not None


def test_a_file_that_cannot_be_read_fails_its_pack(tmp_path: Path, processes: Processes) -> None:
    wanted = ready(tmp_path / "a", SHARED)
    Path(wanted[50].source).unlink()
    with pytest.raises(FileNotFoundError):
        packer(tmp_path / "spool", processes).write(wanted, tmp_path, tmp_path, check=nothing)


@pytest.mark.parametrize("file", ["members", "directory", "index.json"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone", "empty"])
def test_a_damaged_pack_is_no_pack(tmp_path: Path, file: str, how: str) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    write_pack(written(tmp_path / "tree", {"a": b"alpha" * 100, "b": b"beta"}), pack)
    assert open_pack(pack) is not None
    path = pack / file
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"changed": changed, "cut": content[:-1], "empty": b""}[how])
    assert open_pack(pack) is None


def test_an_index_of_another_shape_is_no_pack(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    write_pack(written(tmp_path / "tree", {"a": b"alpha"}), pack)
    (pack / "index.json").write_text(json.dumps({"other": "shape"}))
    assert open_pack(pack) is None


def test_what_no_zip_can_hold(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="4 GiB"):
        fitting(Item("large", "nowhere", 0o644, MAX_BYTES + 1))
    with (tmp_path / "x").open("wb", buffering=0) as file:
        out = Writer(file)
        out.size = MAX_BYTES - 40
        with pytest.raises(BundleError, match="4 GiB"):
            out.add(Member("name", 0o644, 0, 0, 9, 9), b"123456789")
    assert out.count == 0
