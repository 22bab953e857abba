from __future__ import annotations

import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_bundle.archive import write_zip
from lambda_bundle.members import open_pack, write_pack
from lambda_bundle.stage import Tree

NAMES = st.text("abcé-_", min_size=1, max_size=6)
FILES = st.dictionaries(NAMES, st.binary(max_size=300) | st.just(b"x" * 5000), max_size=12)


def nothing() -> None:
    pass


def written(folder: Path, files: dict[str, bytes]) -> Tree:
    folder.mkdir()
    for number, content in enumerate(files.values()):
        (folder / str(number)).write_bytes(content)
    return {name: folder / str(number) for number, name in enumerate(files)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(theirs=st.lists(FILES, max_size=3), ours=FILES, data=st.data())
def test_a_zip_from_packs_is_the_zip_of_the_same_files(
    tmp_path_factory: pytest.TempPathFactory,
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
    for number, pool in enumerate((None, ThreadPoolExecutor(2))):
        packs = []
        for at, files in enumerate(theirs):
            made = folder / f"pack{number}-{at}"
            made.mkdir()
            write_pack(written(folder / f"their{number}-{at}", files), made, check=nothing, pool=pool)
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


@pytest.mark.parametrize("file", ["members", "directory", "index.json"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone", "empty"])
def test_a_damaged_pack_is_no_pack(tmp_path: Path, file: str, how: str) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    write_pack(written(tmp_path / "tree", {"a": b"alpha" * 100, "b": b"beta"}), pack, check=nothing)
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
    write_pack(written(tmp_path / "tree", {"a": b"alpha"}), pack, check=nothing)
    (pack / "index.json").write_text(json.dumps({"other": "shape"}))
    assert open_pack(pack) is None
