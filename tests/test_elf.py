"""What is read of ELF files, and that no file can make the reading fail."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from elffiles import Elf
from hypothesis import given
from hypothesis import strategies as st

from lambda_bundle.elf import Binary, read

FULL = Elf(
    needed=["libstdc++.so.6", "libc.so.6"],
    soname="libfull.so.1",
    versions={"libstdc++.so.6": ["GLIBCXX_3.4.21"], "libc.so.6": ["GLIBC_2.17", "GLIBC_2.2.5"]},
    weak={"libm.so.6": ["GLIBC_2.99"], "libc.so.6": ["GLIBC_2.98"]},
    defines=["libfull.so.1", "FULL_1.0"],
    runpath="$ORIGIN/../full.libs:$ORIGIN",
    symbols=["PyInit_full"],
)


def written(folder: Path, elf: Elf | bytes, name: str = "full.abi3.so") -> Path:
    path = folder / name
    path.write_bytes(elf if isinstance(elf, bytes) else elf.write())
    return path


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_is_read(bits: int, order: str, tmp_path: Path) -> None:
    assert read(written(tmp_path, replace(FULL, bits=bits, order=order))) == Binary(
        machine="x86_64",
        bits=bits,
        little=order == "<",
        type="shared",
        soname="libfull.so.1",
        needed=("libstdc++.so.6", "libc.so.6"),
        versions={
            "libstdc++.so.6": ("GLIBCXX_3.4.21",),
            "libc.so.6": ("GLIBC_2.17", "GLIBC_2.2.5"),
        },
        defines=("libfull.so.1", "FULL_1.0"),
        runpath=("$ORIGIN/../full.libs", "$ORIGIN"),
        init=True,
    )


def test_more_program_headers_than_the_header_can_count(tmp_path: Path) -> None:
    """As in a core dump: the first section header says how many there are (gabi, `PN_XNUM`)."""
    plain = FULL.write()
    counted = bytearray(plain)
    (count,) = struct.unpack_from("<H", plain, 0x38)
    struct.pack_into("<Q", counted, 0x28, len(plain))
    struct.pack_into("<HHHH", counted, 0x38, 0xFFFF, 64, 1, 0)
    counted += struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0)
    assert read(written(tmp_path, bytes(counted))) == read(written(tmp_path, plain))


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
def test_readelf_understands_what_the_tests_write(tmp_path: Path) -> None:
    shown = subprocess.run(
        [shutil.which("readelf") or "", "-d", "-l", "-V", written(tmp_path, FULL)],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    for text in (
        "Shared library: [libstdc++.so.6]",
        "soname: [libfull.so.1]",
        "Library runpath: [$ORIGIN/..",
    ):
        assert text in shown.stdout
    assert "Error" not in shown.stderr


@pytest.mark.parametrize(
    ("elf", "type_", "static"),
    [
        (Elf(), "shared", False),
        (Elf(interpreter="/lib64/ld-linux-x86-64.so.2"), "executable", False),
        (Elf(type="executable", static=True), "executable", True),
        (Elf(static=True), "shared", True),
        (Elf(type="object", static=True), "object", False),
        (Elf(type="core", static=True), "other", True),
    ],
)
def test_kinds_of_files(elf: Elf, type_: str, static: bool, tmp_path: Path) -> None:
    binary = read(written(tmp_path, elf))
    assert (binary.type, binary.static, binary.damage) == (type_, static, None)


@pytest.mark.parametrize(
    ("machine", "word"),
    [("aarch64", "aarch64"), ("i386", "i386"), ("s390x", "s390"), ("bpf", "bpf")],
)
def test_machines(machine: str, word: str, tmp_path: Path) -> None:
    assert read(written(tmp_path, Elf(machine=machine))).machine == word


def test_a_module_is_known_by_its_own_name(tmp_path: Path) -> None:
    elf = Elf(symbols=["PyInit_full"])
    assert read(written(tmp_path, elf, "full.cpython-313-x86_64-linux-gnu.so")).init
    assert not read(written(tmp_path, elf, "libfull.so")).init


def test_rpath_counts_where_there_is_no_runpath(tmp_path: Path) -> None:
    assert read(written(tmp_path, Elf(rpath="/a"))).runpath == ("/a",)
    assert read(written(tmp_path, Elf(rpath="/a", runpath="/b"))).runpath == ("/b",)


def test_json_and_back(tmp_path: Path) -> None:
    binary = read(written(tmp_path, FULL))
    assert Binary.of(json.loads(json.dumps(asdict(binary)))) == binary
    assert Binary.of({}) == Binary()


def test_an_empty_file(tmp_path: Path) -> None:
    assert read(written(tmp_path, b"")).damage == "it is empty"


def test_every_way_to_cut_a_file_short(tmp_path: Path) -> None:
    whole = FULL.write()
    for length in range(4, len(whole)):
        assert read(written(tmp_path, whole[:length])).damage, length


def test_a_ring_in_a_table_ends(tmp_path: Path) -> None:
    whole = bytearray(replace(FULL, weak={}, versions={"a.so": ["A"], "b.so": ["B"]}).write())
    entry = whole.index(b"\x01\x00\x01\x00", 64)  # vn_version 1, vn_cnt 1
    whole[entry + 12 : entry + 16] = (2**32 - 32).to_bytes(4, "little")
    assert read(written(tmp_path, bytes(whole))).damage


@given(
    elf=st.sampled_from([FULL, replace(FULL, bits=32), replace(FULL, order=">")]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_no_bytes_make_it_fail(
    elf: Elf, changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(elf.write())
    for place, value in changes:
        content[4 + place % (len(content) - 4)] = value
    binary = read(written(tmp_path_factory.getbasetemp(), bytes(content), "changed.so"))
    assert json.dumps(asdict(binary))


@pytest.mark.skipif(sys.platform != "linux", reason="the host has no ELF files")
def test_the_host_s_own_python() -> None:
    binary = read(Path(sys.executable).resolve())
    assert binary.type == "executable"
    assert binary.bits in {32, 64}
    assert binary.damage is None


@pytest.mark.skipif(sys.platform == "win32", reason="sparse files need a flag there")
def test_size_does_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    os.truncate(path, 8_000_000_000)
    assert read(path).needed == ("libstdc++.so.6", "libc.so.6")
