"""What one ELF file says of itself: for which machine it is, and what it needs to be loaded.

The room of pyelftools, which reads the headers. The tables of the dynamic linker are read here: they are
arrays of a few fixed fields, and taking them apart field by field with pyelftools takes some three times as
long for the whole file.
The formats: https://gabi.xinuos.com (headers, dynamic section), and "Symbol Versioning" of the Linux Standard
Base (https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

MAGIC = b"\x7fELF"
MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_386": "i386", "EM_ARM": "arm"}
"""pyelftools' word for a machine, and the one of wheels; other machines keep pyelftools' word."""
_EI_CLASS, _EI_DATA = 4, 5
_CLASSES, _ORDERS = {1: 32, 2: 64}, {1: True, 2: False}
"""Bits, and whether the lowest byte comes first."""
_HEADER = 64
"""Bytes of the header, at most."""
_MANY = 0xFFFF
"""PN_XNUM: `e_phnum` cannot say how many program headers there are, and the first section header does."""
_TYPES = {"ET_EXEC": "executable", "ET_DYN": "shared", "ET_REL": "object"}
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2
"""VER_FLG_WEAK: the dynamic linker goes on without this version."""
_MOST = 65_536
"""Entries of one table that are read at most: those of a damaged file may form a ring."""
_BROKEN = (struct.error, ValueError, LookupError, OverflowError, AttributeError)
"""What pyelftools and `struct` raise on bytes that are no ELF file, besides its own; not TypeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One ELF file. Plain values only: `dataclasses.asdict` and `Binary.of` lead to JSON and back."""

    machine: str = ""
    """x86_64 or aarch64, as in wheels; i386, arm, or another word where it is for neither."""
    bits: int = 0
    """32 or 64."""
    little: bool = True
    """Whether the lowest byte comes first."""
    type: str = ""
    """executable (it has an interpreter or a fixed address), shared, object (not linked yet), or other."""
    static: bool = False
    """Whether it says nothing to the dynamic linker, and so needs nothing."""
    soname: str | None = None
    needed: tuple[str, ...] = ()
    """DT_NEEDED: names of libraries, in their order."""
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The symbol versions that it cannot do without, by the library that is to have them."""
    defines: tuple[str, ...] = ()
    """The symbol versions that it has for others."""
    runpath: tuple[str, ...] = ()
    """DT_RUNPATH or DT_RPATH, taken apart at the colons."""
    init: bool = False
    """Whether it names `PyInit_` and its own file name up to the first dot: an extension module (PEP 489)."""
    portable: bool = False
    """Whether it came in a wheel for every platform, which then can do without it. Not read from the file."""
    damage: str | None = None
    """Why it could not be read; all else is then empty."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Binary:
        """The binary that `dataclasses.asdict` and JSON have made a plain mapping of."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        plain["versions"] = {name: tuple(found) for name, found in row.get("versions", {}).items()}
        return cls(**plain)


def read(path: Path) -> Binary:
    """Read an ELF file; what cannot be read is `damage` of the result. Raises OSError as opening does.

    Only headers and the tables of the dynamic linker are touched, whatever the size of the file.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            return Binary(damage="it is empty")
        from elftools.common.exceptions import ELFError  # noqa: PLC0415 - few runs read a binary
        from elftools.construct import ConstructError  # noqa: PLC0415 - the same

        with content:
            try:
                return _binary(content, path.name.partition(".")[0])
            except (ELFError, ConstructError, *_BROKEN):
                return Binary(damage="it is damaged or cut short: its headers lead nowhere")


def _binary(content: mmap.mmap, stem: str) -> Binary:
    bits, little = _CLASSES[content[_EI_CLASS]], _ORDERS[content[_EI_DATA]]
    header = _structs(bits, little).Elf_Ehdr.parse(content[:_HEADER])
    segments = _segments(_structs(bits, little, header["e_machine"]), header, content)
    kinds = {segment["p_type"] for segment in segments}
    machine = str(header["e_machine"])
    common: dict[str, Any] = {
        "machine": MACHINES.get(machine, machine.removeprefix("EM_").lower()),
        "bits": bits,
        "little": little,
        "type": "executable" if "PT_INTERP" in kinds else _TYPES.get(header["e_type"], "other"),
    }
    dynamic = next((segment for segment in segments if segment["p_type"] == "PT_DYNAMIC"), None)
    if dynamic is None:
        return Binary(**common, static=common["type"] != "object")
    tables = _Tables(content, ("<" if little else ">"), bits, segments, dynamic)
    return Binary(
        **common,
        soname=next(tables.strings(_SONAME), None),
        needed=tuple(tables.strings(_NEEDED)),
        versions=tables.versions(),
        defines=tuple(tables.definitions()),
        runpath=tuple(part for text in tables.paths() for part in text.split(":") if part),
        init=tables.mentions(b"PyInit_" + stem.encode(errors="replace")),
    )


@lru_cache
def _structs(bits: int, little: bool, machine: str | None = None) -> Any:
    """pyelftools' layouts; without a machine, that of the header. `ELFFile` makes them for each file anew."""
    from elftools.elf.structs import ELFStructs  # noqa: PLC0415 - few runs read a binary

    made = ELFStructs(little_endian=little, elfclass=bits)
    made.create_basic_structs()
    if machine is not None:
        made.create_advanced_structs(e_machine=machine)
    return made


def _segments(structs: Any, header: Any, content: mmap.mmap) -> list[Any]:
    """The program headers."""
    first, size, count = header["e_phoff"], header["e_phentsize"], header["e_phnum"]
    if count == _MANY:
        begin = header["e_shoff"]
        count = structs.Elf_Shdr.parse(content[begin : begin + header["e_shentsize"]])["sh_info"]
    segments = [
        structs.Elf_Phdr.parse(content[first + size * number : first + size * (number + 1)])
        for number in range(count)
    ]
    # A file that was cut short has its beginning: what is missing is what the headers point to.
    loads = (segment for segment in segments if segment["p_type"] == "PT_LOAD")
    if any(load["p_offset"] + load["p_filesz"] > len(content) for load in loads):
        raise ValueError("it is cut short")
    return segments


class _Tables:
    """The tables of the dynamic linker, found by its own section as the linker finds them."""

    def __init__(self, content: mmap.mmap, order: str, bits: int, segments: list[Any], dynamic: Any) -> None:
        self._content = content
        self._order = order
        self._loads = [segment for segment in segments if segment["p_type"] == "PT_LOAD"]
        self._tags: dict[int, list[int]] = {}
        entry = struct.Struct(order + ("qQ" if bits == 64 else "iI"))
        block = content[dynamic["p_offset"] : dynamic["p_offset"] + dynamic["p_filesz"]]
        for tag, value in entry.iter_unpack(block[: len(block) // entry.size * entry.size]):
            if tag == 0:
                break
            self._tags.setdefault(tag, []).append(value)
        self._strings, self._length = 0, 0
        if _STRTAB in self._tags:
            self._strings = self._offset(_STRTAB)
            self._length = self._tags[_STRSZ][0]

    def _offset(self, tag: int) -> int:
        """Where the table of a tag begins in the file; the tag tells the address in memory."""
        address = self._tags[tag][0]
        for load in self._loads:
            if load["p_vaddr"] <= address < load["p_vaddr"] + load["p_filesz"]:
                return int(address - load["p_vaddr"] + load["p_offset"])
        raise ValueError("it is cut short")

    def _string(self, index: int) -> str:
        end = self._content.find(b"\0", self._strings + index, self._strings + self._length)
        if end < 0:
            raise ValueError("it is cut short")
        return self._content[self._strings + index : end].decode(errors="replace")

    def strings(self, tag: int) -> Iterator[str]:
        """The strings of every entry with this tag."""
        return (self._string(index) for index in self._tags.get(tag, ()))

    def paths(self) -> Iterator[str]:
        """Where the linker is to look; it takes no notice of DT_RPATH beside DT_RUNPATH."""
        return self.strings(_RUNPATH if _RUNPATH in self._tags else _RPATH)

    def mentions(self, name: bytes) -> bool:
        """Whether a symbol has this name. Names share their ends: only the end of a string is certain."""
        return self._content.find(name + b"\0", self._strings, self._strings + self._length) >= 0

    def versions(self) -> dict[str, tuple[str, ...]]:
        """Needed versions by library, but weak ones (Elf_Verneed, Elf_Vernaux; alike for 32 and 64 bits)."""
        found: dict[str, tuple[str, ...]] = {}
        for at, (_, count, file, aux, _) in self._chain(_VERNEED, _VERNEEDNUM, "HHIII", following=4):
            names = [
                self._string(name)
                for _, (_, flags, _, name, _) in self._walk(at + aux, count, "IHHII", following=4)
                if not flags & _WEAK
            ]
            library = self._string(file)
            if names:
                found[library] = (*found.get(library, ()), *names)
        return found

    def definitions(self) -> Iterator[str]:
        """Versions that it defines (Elf_Verdef and Elf_Verdaux); the first name of each is its own."""
        for at, (*_, aux, _) in self._chain(_VERDEF, _VERDEFNUM, "HHHHIII", following=6):
            yield self._string(struct.unpack_from(f"{self._order}I", self._content, at + aux)[0])

    def _chain(
        self, tag: int, number: int, layout: str, *, following: int
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        if tag in self._tags:
            yield from self._walk(self._offset(tag), self._tags[number][0], layout, following=following)

    def _walk(
        self, at: int, count: int, layout: str, *, following: int
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Entries that each say how far it is to the next, and where each of them is."""
        for _ in range(min(count, _MOST)):
            entry = struct.unpack_from(self._order + layout, self._content, at)
            yield at, entry
            if not entry[following]:
                return
            at += entry[following]
