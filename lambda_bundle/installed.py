"""Read and tidy a folder into which a backend has installed wheels.

Both backends leave traces of the host (console scripts with its interpreter's path, lock files, URLs) and
order RECORD differently. After `tidy`, the same wheels are the same bytes, whichever backend put them there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import posixpath
import re
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name

_LEFTOVERS = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
"""Files of a .dist-info folder that tell of the installation and not of the distribution."""
_SCRIPTS = ("bin/", "Scripts/")
_PYTHON_SCRIPT = re.compile(rb"#!.*python|#!/bin/sh\n'''exec' .*python", re.IGNORECASE)
_HEADERS = re.compile(r"include/(?P<project>[^/]+)/(?:.*\.(?P<suffix>h|hh|hpp|hxx|pxd|pxi)|.*)", re.DOTALL)
"""Headers, for nothing compiles on Lambda; a wheel's own lie in a folder of the project's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution, as its .dist-info folder tells."""

    name: str
    version: str
    requires_python: str | None
    requires: tuple[str, ...]
    """Every `Requires-Dist`, as it is written."""
    extras: tuple[str, ...]
    """Every `Provides-Extra`, normalized (PEP 685)."""
    info: str
    """The name of its .dist-info folder."""
    files: dict[str, str]
    """Every file that it brought, relative to the folder, with the hash in RECORD ("" for RECORD itself)."""


def distributions(folder: Path) -> tuple[Distribution, ...]:
    """Every distribution installed into the folder, by name."""
    return tuple(sorted((_read(info) for info in folder.glob("*.dist-info") if info.is_dir()), key=order_of))


def order_of(distribution: Distribution) -> tuple[str, str]:
    """What distributions are sorted by."""
    return distribution.name, distribution.info


def contested(found: Sequence[Distribution]) -> dict[str, tuple[Distribution, ...]]:
    """The files that more than one distribution brings with different content, by path."""
    seen: set[str] = set()
    shared: set[str] = set()
    for one in found:
        shared |= seen & one.files.keys()
        seen |= one.files.keys()
    owners = {path: tuple(one for one in found if path in one.files) for path in sorted(shared)}
    return {
        path: claims for path, claims in owners.items() if len({claim.files[path] for claim in claims}) > 1
    }


def tidy(folder: Path) -> None:
    """Remove what the backend left behind, and make every RECORD say exactly what is there."""
    clean(folder, distributions(folder))
    for distribution in distributions(folder):
        write_record(folder, distribution)


def clean(folder: Path, found: Iterable[Distribution]) -> list[str]:
    """Remove what the backend left behind of these distributions; the paths of all that stays, sorted.

    No file is written over: it may be a hard link into the backend's cache.
    """
    (folder / ".lock").unlink(missing_ok=True)
    for distribution in found:
        for path in distribution.files:
            if _is_leftover(folder, path, distribution):
                (folder / path).unlink(missing_ok=True)
            elif path.startswith(_SCRIPTS):
                _make_executable(folder / path)
    for folders in (*_SCRIPTS, "include/"):
        _remove_empty(folder / folders)
    return sorted(_files(str(folder)))


def empty(folder: Path) -> None:
    """Remove all that is in a folder. Raises `OSError`."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def expected(distribution: Distribution) -> Iterator[tuple[str, str]]:
    """The files that stay as the wheel has them, each with the SHA-256 that RECORD promises."""
    for path, entry in distribution.files.items():
        left_over = path.rpartition("/")[2] in _LEFTOVERS and path.startswith(f"{distribution.info}/")
        changed = path.startswith((*_SCRIPTS, "include/")) or "__pycache__/" in path
        sha256 = None if left_over or changed else sha256_of(entry)
        if sha256 is not None:
            yield path, sha256


def _files(root: str) -> Iterator[str]:
    """Every file below a folder, but for bytecode, which goes."""
    for folder, folders, names in os.walk(root):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
            shutil.rmtree(os.path.join(folder, "__pycache__"), ignore_errors=True)  # noqa: PTH118 - as below
        above = folder[len(root) + 1 :].replace(os.sep, "/")
        yield from (f"{above}/{name}" if above else name for name in names)


def refresh_records(folder: Path, infos: Iterable[str]) -> None:
    """Make the RECORDs of these .dist-info folders true again, after hooks have changed what is there."""
    for info in infos:
        if (folder / info / "RECORD").is_file():
            write_record(folder, _read(folder / info))


def write_record(
    folder: Path, distribution: Distribution, known: Mapping[str, tuple[int, str]] | None = None
) -> None:
    """Write RECORD anew (the format of PEP 376 and PEP 427): the files that are there, sorted, hashed.

    `known` has the bytes and the SHA-256 of every file that is there; None: nobody has looked yet.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    record = f"{distribution.info}/RECORD"
    look = known.get if known is not None else lambda path: _look(folder / path)
    for path in sorted({*distribution.files, record}):
        if path == record:
            writer.writerow((path, "", ""))
        elif (file := look(path)) is not None:
            writer.writerow((path, _in_record(bytes.fromhex(file[1])), file[0]))
    # Replaced, not written over: the file may be a hard link into a backend's cache.
    (folder / record).unlink(missing_ok=True)
    (folder / record).write_text(lines.getvalue(), encoding="utf-8", newline="\n")


def _look(file: Path) -> tuple[int, str] | None:
    if not file.is_file():
        return None
    content = file.read_bytes()
    return len(content), hashlib.sha256(content).hexdigest()


def record_hash(file: Path) -> str:
    """The hash of a file in the form of RECORD: "sha256=" and urlsafe base64 without padding."""
    return _in_record(hashlib.sha256(file.read_bytes()).digest())


def sha256_of(entry: str) -> str | None:
    """The SHA-256 that a hash in RECORD stands for, as hexadecimal digits; None where it is none."""
    kind, _, text = entry.partition("=")
    try:
        return urlsafe_b64decode(f"{text}=").hex() if kind == "sha256" else None
    except ValueError:
        return None


def _in_record(sha256: bytes) -> str:
    return f"sha256={urlsafe_b64encode(sha256).rstrip(b'=').decode()}"


def _read(info: Path) -> Distribution:
    return read(info.name, info / "METADATA", info / "RECORD")


def read(info: str, metadata: Path, record: Path | None) -> Distribution:
    """A distribution, by the name of its .dist-info folder and the files that tell of it."""
    text = metadata.read_text(encoding="utf-8", errors="replace") if metadata.is_file() else ""
    fields = HeaderParser().parsestr(text)
    return Distribution(
        name=canonicalize_name(fields["Name"] or info.partition("-")[0]),
        version=fields["Version"] or "",
        requires_python=fields["Requires-Python"],
        requires=tuple(fields.get_all("Requires-Dist", ())),
        extras=tuple(canonicalize_name(one) for one in fields.get_all("Provides-Extra", ())),
        info=info,
        files={} if record is None else dict(_record(record)),
    )


def _record(record: Path) -> Iterator[tuple[str, str]]:
    if not record.is_file():
        return
    with record.open(encoding="utf-8", newline="") as lines:
        yield from listed(lines)


def listed(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The files in the lines of a RECORD, relative to the folder and never outside it, and their hashes."""
    for row in csv.reader(lines):
        if row:
            yield _inside(row[0]), row[1] if len(row) > 1 else ""


def _inside(path: str) -> str:
    """A path of RECORD relative to the folder, and never one outside it."""
    path = posixpath.normpath(path.replace("\\", "/")).lstrip("/")
    while path.startswith("../"):
        path = path[3:]
    return path


def _is_leftover(folder: Path, path: str, distribution: Distribution) -> bool:
    if path.startswith(f"{distribution.info}/"):
        return path.removeprefix(f"{distribution.info}/") in _LEFTOVERS
    if path.startswith(_SCRIPTS):
        return _is_python_script(folder / path)
    header = _HEADERS.fullmatch(path)
    return header is not None and (
        header["suffix"] is not None or canonicalize_name(header["project"]) == distribution.name
    )


def _is_python_script(file: Path) -> bool:
    """Whether this starts the host's Python; programs of other kinds stay."""
    if not file.is_file():
        return False
    content = file.read_bytes()
    if file.suffix == ".exe":  # a launcher of Windows: the script stands behind the program
        return b"#!" in content[-4096:]
    return _PYTHON_SCRIPT.match(content) is not None


def _make_executable(program: Path) -> None:
    """Set the bit, which not every wheel has. The file itself may be in uv's cache: this writes a copy."""
    if not program.is_file():
        return
    content = program.read_bytes()
    program.unlink()
    program.write_bytes(content)
    program.chmod(0o755)


def _remove_empty(folder: Path) -> None:
    for path in sorted((folder, *folder.rglob("*")), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
