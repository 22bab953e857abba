"""What is known of source files: their syntax on the target, their names, their imports; kept between runs.

Reading is the slow part of the verification. What was read of a function's own code is kept until it changes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lambda_bundle.cache import Cache
from lambda_bundle.process import Children
from lambda_bundle.source import Import, Source, Unread, When, read
from lambda_bundle.syntax import HOST, Fault, check, decode
from lambda_bundle.targets import Target

_FILE = "readings.json"
_FORMAT = 1
"""Of what is kept; a new one when more is read, or something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one source file."""

    source: Source | None = None
    fault: Fault | None = None
    """Why the target's Python cannot parse it."""
    unread: str | None = None
    """Why the Python that this runs on cannot, although the target's can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What it takes to read."""

    children: Children
    environ: Mapping[str, str]
    scratch: Path
    """For temporary files."""
    cache: Cache | None = None
    """Where to keep what was read; None: nowhere."""


def readings(files: Mapping[str, Path], target: Target, desk: Desk, *, name: str) -> dict[str, Reading]:
    """What is known of each file; `name` says whose they are, for the next time."""
    contents = {path: file.read_bytes() for path, file in sorted(files.items())}
    if not contents:
        return {}
    hashes = [[path, hashlib.sha256(content).hexdigest()] for path, content in contents.items()]
    digest = _hash([_FORMAT, HOST, target.full_version, _ruff(), hashes])
    entry = None if desk.cache is None else desk.cache.path("code", _hash([name, str(target)]))
    kept = None if entry is None else _kept(entry, digest)
    if kept is None:
        kept = _read(contents, target, desk)
        if entry is not None and desk.cache is not None:
            _keep(kept, digest, entry, desk.cache)
    elif entry is not None and desk.cache is not None:
        desk.cache.use(entry)
    return kept


@cache
def _ruff() -> str:
    """The version of ruff; looking for it takes longer than what is asked of it here."""
    return version("ruff")


def read_one(content: bytes, target: Target) -> Reading:
    """The same for one file of a dependency, whose syntax is its own business."""
    try:
        return Reading(source=read(decode(content), target, HOST))
    except (SyntaxError, Unread) as error:
        return Reading(unread=str(error))


def _read(contents: Mapping[str, bytes], target: Target, desk: Desk) -> dict[str, Reading]:
    texts: dict[str, str] = {}
    found: dict[str, Reading] = {}
    for path, content in contents.items():
        try:
            texts[path] = decode(content)
        except SyntaxError as error:  # noqa: PERF203 - every file has its own
            found[path] = Reading(fault=Fault(said=str(error)))
    with tempfile.TemporaryDirectory(dir=desk.scratch) as folder, ThreadPoolExecutor(1) as beside:
        checking = beside.submit(
            check, texts, target, children=desk.children, environ=desk.environ, folder=Path(folder)
        )
        found |= {path: _read_text(text, target) for path, text in texts.items()}
        found |= {path: Reading(fault=fault) for path, fault in checking.result().items()}
    return found


def _read_text(text: str, target: Target) -> Reading:
    try:
        return Reading(source=read(text, target, HOST))
    except Unread as error:
        if target.version > HOST or error.line is None:
            return Reading(unread=str(error))
        lines = text.splitlines()
        shown = lines[error.line - 1].strip() if 0 < error.line <= len(lines) else ""
        return Reading(fault=Fault(said=str(error), line=error.line, text=shown))


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _kept(entry: Path, digest: str) -> dict[str, Reading] | None:
    """What was read before of the same files; None where they are others, or it is damaged."""
    try:
        document = json.loads((entry / _FILE).read_text(encoding="utf-8"))
        if document["digest"] == digest:
            return {path: _of(row) for path, row in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _keep(found: Mapping[str, Reading], digest: str, entry: Path, cache: Cache) -> None:
    text = json.dumps({"digest": digest, "files": {path: _row(one) for path, one in found.items()}})
    with suppress(OSError), cache.making(entry) as made:  # it can be read again next time
        (made / _FILE).write_text(text, encoding="utf-8")
        cache.keep(made, entry)


def _row(reading: Reading) -> list[Any]:
    source, fault = reading.source, reading.fault
    return [
        None if source is None else _source_row(source),
        None if fault is None else asdict(fault),
        reading.unread,
    ]


def _of(row: list[Any]) -> Reading:
    source, fault, unread = row
    return Reading(
        source=None if source is None else _source(source),
        fault=None if fault is None else Fault(**fault),
        unread=unread,
    )


def _source_row(source: Source) -> list[Any]:
    exports = None if source.exports is None else sorted(source.exports)
    imports = [[one.module, one.name, one.level, one.line, one.when, one.instead] for one in source.imports]
    return [sorted(source.names), exports, source.dynamic, source.moves, imports]


def _source(row: list[Any]) -> Source:
    names, exports, dynamic, moves, imports = row
    return Source(
        names=frozenset(names),
        exports=None if exports is None else frozenset(exports),
        dynamic=dynamic,
        moves=moves,
        imports=tuple(_import(*one) for one in imports),
    )


def _import(module: str, name: str | None, level: int, line: int, when: When, instead: list[int]) -> Import:  # noqa: PLR0917 - the fields of a row
    return Import(module=module, name=name, level=level, line=line, when=when, instead=tuple(instead))
