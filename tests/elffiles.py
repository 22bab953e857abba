"""Hand-written ELF files: headers and the tables of the dynamic linker, and no code."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NUMBERS = {"x86_64": 62, "aarch64": 183, "i386": 3, "s390x": 22, "bpf": 247}
TYPES = {"object": 1, "executable": 2, "shared": 3, "core": 4}
BASE = 0x10000
"""How far addresses are from offsets, so that nobody can confuse them."""


@dataclass(frozen=True, kw_only=True)
class Elf:
    """What to write."""

    machine: str = "x86_64"
    bits: int = 64
    order: str = "<"
    type: str = "shared"
    needed: Iterable[str] = ()
    soname: str | None = None
    versions: Mapping[str, Iterable[str]] = field(default_factory=dict)
    weak: Mapping[str, Iterable[str]] = field(default_factory=dict)
    defines: Iterable[str] = ()
    runpath: str | None = None
    rpath: str | None = None
    symbols: Iterable[str] = ()
    interpreter: str | None = None
    static: bool = False

    def write(self) -> bytes:
        """The bytes of the file."""
        strings, dynamic = _Strings(), []
        dynamic += [(1, strings.add(name)) for name in self.needed]
        texts = ((14, self.soname), (29, self.runpath), (15, self.rpath))
        dynamic += [(tag, strings.add(text)) for tag, text in texts if text is not None]
        for symbol in self.symbols:
            strings.add(symbol)
        needs, wanted = self._verneed(strings)
        definitions, defined = self._verdef(strings)
        count = 1 if self.static else 2
        count += self.interpreter is not None
        start = (64 + 56 * count) if self.bits == 64 else (52 + 32 * count)
        at = {}
        body = b""
        for name, data in (
            ("strings", strings.data),
            ("needs", needs),
            ("definitions", definitions),
            ("interpreter", (self.interpreter or "").encode() + b"\0"),
        ):
            body += bytes(-(start + len(body)) % 8)
            at[name] = start + len(body)
            body += data
        body += bytes(-(start + len(body)) % 8)
        dynamic += [(5, BASE + at["strings"]), (10, len(strings.data))]
        if wanted:
            dynamic += [(0x6FFFFFFE, BASE + at["needs"]), (0x6FFFFFFF, wanted)]
        if defined:
            dynamic += [(0x6FFFFFFC, BASE + at["definitions"]), (0x6FFFFFFD, defined)]
        layout = self.order + ("qQ" if self.bits == 64 else "iI")
        table = b"".join(struct.pack(layout, *entry) for entry in (*dynamic, (0, 0)))
        place = start + len(body)
        body += b"" if self.static else table
        segments = [self._segment(1, 0, start + len(body))]
        segments += [] if self.static else [self._segment(2, place, len(table))]
        if self.interpreter is not None:
            segments.append(self._segment(3, at["interpreter"], len(self.interpreter) + 1))
        return self._header(count) + b"".join(segments) + body

    def _header(self, count: int) -> bytes:
        size, entry = (64, 56) if self.bits == 64 else (52, 32)
        word = "Q" if self.bits == 64 else "I"
        return struct.pack(
            f"{self.order}4s5B7xHHI{word}{word}{word}IHHHHHH",
            *(b"\x7fELF", self.bits // 32, 1 if self.order == "<" else 2, 1, 0, 0),
            *(TYPES[self.type], NUMBERS[self.machine], 1, 0, size, 0, 0, size, entry, count, 0, 0, 0),
        )

    def _segment(self, kind: int, offset: int, size: int) -> bytes:
        address = BASE + offset
        if self.bits == 64:
            return struct.pack(f"{self.order}IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)
        return struct.pack(f"{self.order}IIIIIIII", kind, offset, address, address, size, size, 4, 8)

    def _verneed(self, strings: _Strings) -> tuple[bytes, int]:
        libraries = list(dict.fromkeys([*self.versions, *self.weak]))
        data = b""
        for number, library in enumerate(libraries):
            names = [(name, 0) for name in self.versions.get(library, ())]
            names += [(name, 2) for name in self.weak.get(library, ())]
            following = 0 if number == len(libraries) - 1 else 16 + 16 * len(names)
            data += struct.pack(f"{self.order}HHIII", 1, len(names), strings.add(library), 16, following)
            for place, (name, flags) in enumerate(names):
                after = 0 if place == len(names) - 1 else 16
                data += struct.pack(f"{self.order}IHHII", 0, flags, 2 + place, strings.add(name), after)
        return data, len(libraries)

    def _verdef(self, strings: _Strings) -> tuple[bytes, int]:
        names = list(self.defines)
        data = b""
        for number, name in enumerate(names):
            following = 0 if number == len(names) - 1 else 28
            data += struct.pack(f"{self.order}HHHHIII", 1, 0, 1 + number, 1, 0, 20, following)
            data += struct.pack(f"{self.order}II", strings.add(name), 0)
        return data, len(names)


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        self.data += text.encode() + b"\0"
        return len(self.data) - len(text.encode()) - 1
