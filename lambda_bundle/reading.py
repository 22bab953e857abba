"""What is known of source files: their syntax on the target, their names, their imports."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.source import Source, Unread, is_certain, read, read_all
from lambda_bundle.syntax import HOST, Fault, check, decode
from lambda_bundle.targets import Target

_BATCH = 1 << 15
"""Characters of source files that are read in one go."""


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
    processes: Processes


def readings(files: Mapping[str, Path], target: Target, desk: Desk) -> dict[str, Reading]:
    """What is known of each file of a function's own."""
    return _read({path: file.read_bytes() for path, file in sorted(files.items())}, target, desk)


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
    if not texts:
        return found
    if is_certain(target, HOST):
        found |= _understood(texts, target, desk)
        texts = {path: text for path, text in texts.items() if found[path].source is None}
        return {**found, **_faults(texts, target, desk)}
    with ThreadPoolExecutor(1) as beside:
        faults = beside.submit(_faults, texts, target, desk)
        found |= _understood(texts, target, desk)
        return {**found, **faults.result()}


def _faults(texts: Mapping[str, str], target: Target, desk: Desk) -> dict[str, Reading]:
    """What ruff refuses."""
    if not texts:
        return {}
    with tempfile.TemporaryDirectory(dir=desk.scratch) as folder:
        found = check(texts, target, children=desk.children, environ=desk.environ, folder=Path(folder))
    return {path: Reading(fault=fault) for path, fault in found.items()}


def _understood(texts: Mapping[str, str], target: Target, desk: Desk) -> dict[str, Reading]:
    """What the Python that this runs on makes of them."""
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts.values():
        batches[-1].append(text)
        size += len(text)
        if size > _BATCH:
            batches.append([])
            size = 0
    read = desk.processes.map(partial(read_all, target=target, host=HOST), batches)
    found = (one for batch in read for one in batch)
    return {path: _reading(one, texts[path], target) for path, one in zip(texts, found, strict=True)}


def _reading(found: Source | Unread, text: str, target: Target) -> Reading:
    if isinstance(found, Source):
        return Reading(source=found)
    if (target.version > HOST and not found.always) or found.line is None:
        return Reading(unread=str(found))
    lines = text.splitlines()
    shown = lines[found.line - 1].strip() if 0 < found.line <= len(lines) else ""
    return Reading(fault=Fault(said=str(found), line=found.line, text=shown))
