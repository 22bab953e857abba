"""Whether the binaries of a tree load on a target: what each file is, and what follows from that.

`inspect` reads facts, which hold for every target and can be kept; `judge` is pure. The file decides, and
never the name of a wheel: tags lie in both directions.

What a finding weighs:

- An *extension module* is imported by name. CPython looks for three endings only (in its source:
  `_PyImport_DynLoadFiletab`): `.cpython-313-x86_64-linux-gnu.so`, `.abi3.so`, `.so`. What a module that is
  found needs is an error when it is missing, and so is what the libraries need that it needs.
- A module with another ending is never imported: a warning where something else has its name, an error where
  nothing has. Libraries that only such modules need are not judged.
- Other shared libraries are loaded by code that nobody can foresee (ctypes, plugins). A distribution may
  bring several and choose, so that one that cannot load is an error only where none of its binaries can
  (cufile has a library that needs drivers beside one that does not; lightgbm has a single one), and one for
  another machine only where all of them are for that. A wheel for every platform can do without all of its
  binaries (debugpy has a library for x86_64, with which it can attach to processes).
- Programs are started and not imported: a warning, but for a machine that is wrong in the whole distribution.
- Object files (`.o`) are never loaded.

A library counts as bundled wherever it lies in the artifact or its layers, by file name or DT_SONAME,
whatever DT_RUNPATH says: packages load libraries by path before others ask for them, and runpaths lead into
other distributions (`$ORIGIN/../../nvidia/…`). What is nowhere fails on Lambda for certain.
"""

from __future__ import annotations

import csv
import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from lambda_bundle.elf import MAGIC, Binary, read
from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.systems import GLIBC, System, Version, system
from lambda_bundle.targets import Target

_MACH_O = frozenset({b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"})
_FAT = b"\xca\xfe\xba\xbe"
"""Mach-O for several machines; Java's classes begin like that too, with a version where the count is."""
_MACHO, _PE = "mach-o", "pe"
_SYSTEM_OF = {_MACHO: "macOS", _PE: "Windows"}

_TAGGED = re.compile(r"(?P<stem>[^.]+)\.(?P<tag>(?:cpython-|pypy|graalpy|abi\d)[^.]*)\.so", re.ASCII)
"""The file name of an extension module that says for which Python (PEP 3149)."""
_TAG = re.compile(r"^Tag: *(\S+)", re.MULTILINE)
_MUSL = re.compile(r"libc\.musl-.*|ld-musl-.*")
"""The names of musl's C library and of its dynamic linker."""
_FAMILY = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC)_(\d+(?:\.\d+)*)", re.ASCII)
_OF_GCC = {"GLIBCXX": "libstdc++", "CXXABI": "libstdc++", "GCC": "libgcc"}
Severity = Literal["error", "warning"]


def inspect(tree: Mapping[str, Path]) -> dict[str, Binary]:
    """Every binary among the files (paths with `/` in the artifact, and where each lies), by path.

    Files are recognised by their first bytes. `dataclasses.asdict` makes plain values for JSON of a `Binary`,
    and `Binary.of` a `Binary` of those. The `type` of a binary for another system is `mach-o` or `pe`.
    Raises OSError as opening a file does.
    """
    found: dict[str, Binary] = {}
    for path, file in tree.items():
        start = _start(file)
        if start == MAGIC:
            found[path] = read(file)
        elif (other := _foreign(file, start)) is not None:
            found[path] = Binary(type=other)
    for path in _portable(tree) if found else ():
        if path in found:
            found[path] = replace(found[path], portable=True)
    return found


def is_of_interest(path: str, start: bytes) -> bool:
    """Whether `inspect` has any use for a file, by its path and its first four bytes."""
    begins = start in {MAGIC, _FAT, *_MACH_O} or start.startswith(b"MZ")
    return begins or path.endswith((".dist-info/WHEEL", ".dist-info/RECORD"))


def judge(
    found: Mapping[str, Binary],
    *,
    target: Target,
    files: Collection[str],
    owner: Callable[[str], str | None],
) -> Iterator[Problem]:
    """What of these binaries does not load on the target, in the order of paths.

    `files` is every path in the artifact and in its layers; paths in `found` that are not among them are
    judged all the same. `owner` names the distribution of a path ("numpy 2.3.5"); None: it is the user's own.
    """
    yield from _Verdict(found, target, frozenset(files), owner).problems()


def _start(file: Path) -> bytes:
    # Not by `open`: these four bytes are all that is read of most files, and its layers cost more.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return os.read(handle, 4)
    finally:
        os.close(handle)


def _foreign(file: Path, start: bytes) -> str | None:
    """The format of a binary for another system; None for all other files."""
    if start in _MACH_O:
        return _MACHO
    if start != _FAT and not start.startswith(b"MZ"):
        return None
    with file.open("rb") as stream:
        head = stream.read(64)
        if start == _FAT:
            return _MACHO if 0 < int.from_bytes(head[4:8], "big") < 30 else None
        stream.seek(int.from_bytes(head[60:64], "little"))
        return _PE if stream.read(4) == b"PE\0\0" else None


def _portable(tree: Mapping[str, Path]) -> Iterator[str]:
    """The files of every distribution whose wheel was tagged for all platforms (`none-any`)."""
    for path, file in tree.items():
        if path.endswith(".dist-info/WHEEL"):
            tags = _TAG.findall(file.read_text(encoding="utf-8", errors="replace"))
            record = tree.get(path.removesuffix("WHEEL") + "RECORD")
            if tags and all(tag.endswith("-any") for tag in tags) and record is not None:
                root = posixpath.dirname(posixpath.dirname(path))
                with record.open(encoding="utf-8", errors="replace", newline="") as rows:
                    yield from (posixpath.join(root, row[0]) for row in csv.reader(rows) if row)


@dataclass(frozen=True)
class _Verdict:
    found: Mapping[str, Binary]
    target: Target
    files: frozenset[str]
    owner: Callable[[str], str | None]

    # --- what the target has

    @cached_property
    def _system(self) -> System:
        return system(self.target)

    @cached_property
    def _known(self) -> frozenset[str]:
        return self._system.libraries | self._system.maybe

    @cached_property
    def _suffixes(self) -> tuple[str, ...]:
        """The endings of extension modules that CPython on the target looks for."""
        abi = self.target.abi.removeprefix("cp")
        return (f".cpython-{abi}-{self.target.machine}-linux-gnu.so", ".abi3.so", ".so")

    def _fits(self, binary: Binary) -> bool:
        has = (binary.machine, binary.bits, binary.little)
        return binary.damage is None and has == (self.target.machine, 64, True)

    # --- how the files hang together

    @cached_property
    def _bundled(self) -> dict[str, set[str]]:
        """The paths of each library, by file name and DT_SONAME."""
        paths: dict[str, set[str]] = {}
        for path in self.files:
            if ".so" in path and ".so" in (name := posixpath.basename(path)):
                paths.setdefault(name, set()).add(path)
        for path, binary in self.found.items():
            for name in {posixpath.basename(path), binary.soname or posixpath.basename(path)}:
                paths.setdefault(name, set()).add(path)
        return paths

    def _is_module(self, path: str) -> bool:
        return self.found[path].init or _TAGGED.fullmatch(posixpath.basename(path)) is not None

    def _is_found(self, path: str) -> bool:
        """Whether no tag in its name keeps CPython on the target from finding it."""
        match = _TAGGED.fullmatch(posixpath.basename(path))
        return match is None or f".{match['tag']}.so" in self._suffixes

    @cached_property
    def _imported(self) -> frozenset[str]:
        """The modules that are found, and all that they need."""
        return self._with_needs(path for path in self.found if self._is_module(path) and self._is_found(path))

    @cached_property
    def _dead(self) -> frozenset[str]:
        """What nothing needs but modules that are not found."""
        return self._with_needs(path for path in self.found if not self._is_found(path)) - self._imported

    def _with_needs(self, paths: Iterable[str]) -> frozenset[str]:
        reached: set[str] = set()
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            if path not in reached:
                reached.add(path)
                needed = self.found[path].needed if path in self.found else ()
                waiting += [near for name in needed for near in self._bundled.get(name, ())]
        return frozenset(reached)

    @cached_property
    def _working(self) -> frozenset[str | None]:
        """The owners of at least one module or library that loads, its symbol versions aside."""
        return frozenset(
            self.owner(path)
            for path, binary in self.found.items()
            if binary.type == "shared"
            and self._is_found(path)
            and self._fits(binary)
            and not any(self._missing(binary))
        )

    @cached_property
    def _machines(self) -> dict[str | None, set[str]]:
        """The machines that the modules, libraries and programs of each owner are for."""
        machines: dict[str | None, set[str]] = {}
        for path, binary in self.found.items():
            if binary.machine and binary.type in {"shared", "executable"}:
                machines.setdefault(self.owner(path), set()).add(f"{binary.machine} {binary.bits}")
        return machines

    def _missing(self, binary: Binary) -> Iterator[str]:
        """The needed libraries that are nowhere."""
        return (name for name in binary.needed if name not in self._bundled and name not in self._known)

    def _stand_in(self, path: str) -> str | None:
        """What is imported in place of a module that is not found."""
        stem = posixpath.join(posixpath.dirname(path), _stem(path))
        endings = (*self._suffixes, ".py", "/__init__.py")
        return next((stem + ending for ending in endings if stem + ending in self.files), None)

    def _not_asked_for(self, path: str) -> bool:
        """Whether it is mypyc's shared module of modules that all have a stand-in: those alone import it."""
        name = posixpath.basename(path)
        ending = name.removeprefix(_stem(path))
        compiled = [
            one
            for one in self.found
            if one.endswith(ending)
            and self.owner(one) == self.owner(path)
            and not _stem(one).endswith("__mypyc")
        ]
        return _stem(path).endswith("__mypyc") and bool(compiled) and all(map(self._stand_in, compiled))

    @cached_property
    def _lacking(self) -> dict[str | None, list[bool]]:
        """Of the extension modules of each owner, whether a library is missing."""
        found: dict[str | None, list[bool]] = {}
        for path, binary in self.found.items():
            if self._is_module(path) and self._is_found(path) and self._fits(binary):
                found.setdefault(self.owner(path), []).append(any(self._missing(binary)))
        return found

    def _is_aside(self, path: str) -> bool:
        """Whether it is one of a few modules of a distribution whose others load.

        Those are for what may be there or not, such as the threads of TBB and OpenMP or a GPU, and the
        distribution does without.
        """
        owner = self.owner(path)
        lacking = self._lacking.get(owner, [])
        return owner is not None and self._is_module(path) and 2 * sum(lacking) < len(lacking)

    def _severity(self, path: str) -> Severity:
        """What it weighs when a file cannot be loaded."""
        if path in self._imported:
            return "error"
        if self.found[path].portable:
            return "warning"
        is_library = self.found[path].type == "shared" or ".so" in posixpath.basename(path)
        return "error" if is_library and self.owner(path) not in self._working else "warning"

    # --- the findings

    def problems(self) -> Iterator[Problem]:
        for path in sorted(self.found):
            binary = self.found[path]
            if binary.type in _SYSTEM_OF:
                yield from self._of_another_system(path, binary)
            elif binary.type in {"object", "other"}:
                continue
            elif not self._is_found(path):
                yield self._never_imported(path)
            elif path in self._dead:
                continue
            elif binary.damage is not None:
                yield self._damaged(path, binary.damage)
            elif not self._fits(binary):
                yield self._wrong_machine(path, binary)
            else:
                yield from self._libraries(path, binary)
                yield from self._symbols(path, binary)

    def _of_another_system(self, path: str, binary: Binary) -> Iterator[Problem]:
        name = posixpath.basename(path)
        if name.endswith(".exe"):
            return  # launchers that setuptools and others have for every system
        fatal = (
            (name.endswith(".pyd") or _TAGGED.fullmatch(name) is not None)
            and not binary.portable
            and self._stand_in(path) is None
            and self.owner(path) not in self._working
        ) or (path.endswith(self._suffixes[:2]) and binary.type == _MACHO)
        yield self._problem(
            Code.FOREIGN_BINARY,
            path,
            "error" if fatal else "warning",
            f"it is a binary for {_SYSTEM_OF[binary.type]}, which Linux does not load",
            f"install a wheel for {self.target}, or build it there"
            if fatal
            else "it is dead weight: `exclude` leaves out what is yours, and an `after` hook what is not",
        )

    def _never_imported(self, path: str) -> Problem:
        instead = self._stand_in(path)
        spared = instead or self._not_asked_for(path) or self.found[path].portable
        tag = posixpath.basename(path).removeprefix(f"{_stem(path)}.").removesuffix(".so")
        musl = "musl" in tag
        said = f"it is an extension module for {'the C library musl' if musl else tag}, and "
        said += (
            f"{self.target.runtime} looks for {', '.join(_stem(path) + suffix for suffix in self._suffixes)}"
        )
        if instead:
            said += f"; {instead} is imported instead"
        elif self._not_asked_for(path):
            said += "; what was compiled together with it has pure Python beside it"
        elif self.found[path].portable:
            said += "; its wheel is for every platform and does without"
        else:
            said += f"; nothing stands in for {_stem(path)}"
        return self._problem(
            Code.MUSL_BINARY if musl else Code.EXTENSION_MISFIT,
            path,
            "warning" if spared else "error",
            said,
            self._wheel_hint(musl=musl),
        )

    def _damaged(self, path: str, damage: str) -> Problem:
        return self._problem(
            Code.DAMAGED_BINARY,
            path,
            self._severity(path),
            f"it begins as an ELF file, and {damage}",
            "download or build it again; `cache --clear` removes what was kept of it",
        )

    def _wrong_machine(self, path: str, binary: Binary) -> Problem:
        chosen = len(self._machines[self.owner(path)]) > 1 or binary.portable
        fatal = path in self._imported or (self.owner(path) not in self._working and not chosen)
        order = "" if binary.little else ", big-endian"
        return self._problem(
            Code.WRONG_MACHINE,
            path,
            "error" if fatal else "warning",
            f"it is for {binary.machine} with {binary.bits} bits{order}; {self.target} "
            f"is {self.target.machine} with 64 bits",
            self._wheel_hint(musl=False)
            if fatal
            else "its distribution does without it or has another one; leave it out to save space",
        )

    def _libraries(self, path: str, binary: Binary) -> Iterator[Problem]:
        musl = next((name for name in binary.needed if _MUSL.fullmatch(name)), None)
        if musl is not None:
            yield self._problem(
                Code.MUSL_BINARY,
                path,
                self._severity(path),
                f"it needs musl's C library ({musl}), and {self.target} has glibc",
                self._wheel_hint(musl=True),
            )
            return
        missing = list(self._missing(binary))
        if missing:
            names = ", ".join(missing)
            yield self._problem(
                Code.LIBRARY_MISSING,
                path,
                "warning" if self._is_aside(path) else self._severity(path),
                f"it needs {names}, and neither the artifact, its layers nor {self.target.runtime} has "
                + ("that" if len(missing) == 1 else "these"),
                "choose a wheel that includes what it needs, or bring that in a layer",
            )
        unsure = [name for name in binary.needed if name in self._system.maybe and name not in self._bundled]
        if unsure:
            yield self._problem(
                Code.LIBRARY_MISSING,
                path,
                "warning",
                f"it needs {', '.join(unsure)}, and AWS does not promise that {self.target.runtime} has "
                + ("that" if len(unsure) == 1 else "these"),
                "bring what it needs in a layer to be sure of it",
            )

    def _symbols(self, path: str, binary: Binary) -> Iterator[Problem]:
        spared = path not in self._imported and (binary.type == "executable" or binary.portable)
        newest: dict[str, tuple[Version, str, str]] = {}
        for library, names in binary.versions.items():
            for name in names if self._is_systems(library) else ():
                family, version = _version(name)
                if family and version > newest.get(family, ((),))[0]:
                    newest[family] = (version, name, library)
        for family, (version, name, library) in sorted(newest.items()):
            has, late = self._system.newest[family], self._system.lately.get(family, ())
            if version > has:
                soon = version <= late
                end = f"{family}_{_dotted(has)}"
                yield self._problem(
                    Code.SYMBOL_TOO_NEW,
                    path,
                    "warning" if soon or spared else "error",
                    f"it needs {name} of {library}, and {self.target.runtime} "
                    + (
                        f"is certain to have {end} only, and more after an update"
                        if soon
                        else f"ends at {end}"
                    ),
                    self._newer_hint(family),
                )

    def _is_systems(self, library: str) -> bool:
        """Whether the system's copy decides about versions; glibc is never taken from the artifact."""
        return library in GLIBC or (library not in self._bundled and library in self._known)

    # --- words

    def _newer_hint(self, family: str) -> str:
        if family in _OF_GCC:
            return f"choose a wheel that includes its own {_OF_GCC[family]}, or was built with an older GCC"
        older = "choose a version of it that was built for an older glibc"
        return older if self.target.version >= (3, 12) else f"{older}, or move to python3.12 or newer"

    def _wheel_hint(self, *, musl: bool) -> str:
        kind = "a manylinux wheel" if musl else "a wheel"
        return (
            f"install {kind} for {self.target}; what is installed follows from `runtime`, `arch` and `tags`"
        )

    def _problem(self, code: Code, path: str, severity: Severity, said: str, hint: str) -> Problem:
        owner = self.owner(path)
        return Problem(
            code=code,
            message=f"{owner}: {said}" if owner else said,
            where=Where(file=path),
            hint=hint,
            severity=severity,
        )


def _stem(path: str) -> str:
    """The name under which a module is imported from its folder."""
    return posixpath.basename(path).partition(".")[0]


def _version(name: str) -> tuple[str, Version]:
    """The family and the number of a symbol version; ("", ()) for those that nobody can order."""
    if name.startswith("GLIBC_ABI_"):
        return "GLIBC", (
            2,
            36,
        )  # marks of what a binary relies on; the first, GLIBC_ABI_DT_RELR, came with 2.36
    match = _FAMILY.fullmatch(name)
    return (match[1], tuple(int(part) for part in match[2].split("."))) if match else ("", ())


def _dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)
