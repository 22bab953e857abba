"""Files are read once, and the same content is compressed once, whoever brings it."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_bundle import spool as module
from lambda_bundle.copies import File
from lambda_bundle.deflation import DEFLATED
from lambda_bundle.spool import Place, Reader, Spool, take_in

CONTENTS = st.binary(max_size=40) | st.sampled_from([b"a" * 3000, b"b" * 3000])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def inflated(place: Place, reader: Reader) -> bytes:
    data = reader.read(place)
    return zlib.decompress(data, -zlib.MAX_WBITS) if place.method == DEFLATED else data


def spooled(folder: Path) -> int:
    """Bytes of what is compressed."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(contents=st.lists(CONTENTS, max_size=8), data=st.data())
def test_what_is_said_of_files_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], data: st.DataObject
) -> None:
    """The hash that a RECORD claims may be true, of another file, or missing."""
    folder = tmp_path_factory.mktemp("files")
    claims: dict[str, str | None] = {}
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
        truth = [None, sha256(content), *map(sha256, contents)]
        claims[str(folder / str(number))] = data.draw(st.sampled_from(truth))
    spool = Spool(lambda: tmp_path_factory.mktemp("spool"))
    looks = spool.take_in(claims, map)
    assert [look.file for look in looks] == [File(len(one), 0o644, sha256(one)) for one in contents]
    assert [look.start for look in looks] == [one[:4] for one in contents]
    with Reader() as reader:
        for content in contents:
            place = spool.find(sha256(content))
            assert place is None or inflated(place, reader) == content
    honest = {path: sha256(content) for path, content in zip(claims, contents, strict=True)}
    spool.take_in(honest, map)
    with Reader() as reader:
        for content in contents:
            found = spool.find(sha256(content))
            assert found is not None
            assert inflated(found, reader) == content


def test_the_same_content_is_compressed_once(tmp_path: Path) -> None:
    """Even where two threads take it in at the same moment, and one is waited for."""
    content = bytes(range(256)) * 4000
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "spool").mkdir()
    spool = Spool(lambda: tmp_path / "spool")
    begun, go = Event(), Event()

    def slowly(function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterable[Any]:
        begun.set()
        assert go.wait(10)
        return map(function, arguments)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(spool.take_in, {str(tmp_path / "one"): sha256(content)}, slowly)
        assert begun.wait(10)
        (second,) = spool.take_in({str(tmp_path / "other"): sha256(content)}, map)
        assert second.place is None
        found = pool.submit(spool.find, sha256(content))
        assert not found.done()
        go.set()
        (look,) = first.result()
        assert found.result() == look.place
    assert look.place is not None
    assert spooled(tmp_path / "spool") == look.place.packed


def test_who_fails_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    absent, there = str(tmp_path / "absent"), str(tmp_path / "there")
    wanted: dict[str, str | None] = {absent: sha256(b"y"), there: sha256(b"x")}
    spool = Spool(lambda: tmp_path)
    with pytest.raises(FileNotFoundError):
        spool.take_in(wanted, map)
    assert spool.find(sha256(b"x")) is spool.find(sha256(b"y")) is None
    (tmp_path / "absent").write_bytes(b"y")
    assert all(look.place for look in spool.take_in(wanted, map))


def test_nothing_is_compressed_in_vain(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    wanted = {str(tmp_path / "file"): sha256(b"x" * 3_000_000)}
    spool = Spool(lambda: pytest.fail("nothing is to be written"))
    (look,) = spool.take_in(wanted, map, packed=False)
    assert (look.file, look.start) == (File(3_000_000, 0o644, sha256(b"x" * 3_000_000)), b"xxxx")
    assert look.place is spool.find(look.file.sha256) is spool.find(None) is None
    assert spool.folders == ()


def test_what_no_zip_can_hold_is_only_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    (tmp_path / "large").write_bytes(b"x" * 101)
    (tmp_path / "fits").write_bytes(b"x" * 100)
    large, fits = take_in([(str(tmp_path / "large"), True), (str(tmp_path / "fits"), True)], str(tmp_path))
    assert large == (File(101, 0o644, sha256(b"x" * 101)), b"xxxx", None)
    assert fits.place is not None


def test_a_spool_is_one_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "spool").mkdir()
    spool = Spool(lambda: tmp_path / "spool")
    (look,) = spool.take_in({str(tmp_path / "file"): None}, map)
    assert look.place is not None
    with Reader() as reader, pytest.raises(OSError, match=re.escape(look.place.path)):
        reader.read(look.place._replace(packed=99))
    assert list(map(Path, spool.folders)) == list((tmp_path / "spool").iterdir())
