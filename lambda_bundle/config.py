"""`bundles.toml` → `Config`: every problem is found in one go and reported with its line and key."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lambda_bundle import __version__, indexes
from lambda_bundle.cache import Cache
from lambda_bundle.entries import FILE_NAME, Entry, artifact_name, gather, unused
from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.findings import Findings, dotted, quoted
from lambda_bundle.indexes import NO_INDEX, Address, Index
from lambda_bundle.positions import KeyPath, locate

__all__ = ["FILE_NAME", "Config", "Entry", "artifact_name", "find", "load"]

_KIND = "configs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A validated `bundles.toml`."""

    file: Path
    """Absolute."""
    entries: tuple[Entry, ...]
    """Functions and layers in the order of the file."""
    places: Mapping[KeyPath, Where]
    """Where the entries and their values are written, for problems that come up later."""
    index: Index = NO_INDEX
    warnings: tuple[Problem, ...] = ()

    @property
    def root(self) -> Path:
        """The folder of the file, which its paths are relative to."""
        return self.file.parent


def find(start: Path) -> Path:
    """The nearest `bundles.toml` in a folder or above it. Raises `BundleError` when there is none."""
    for folder in (start, *start.parents):
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
    raise BundleError(
        Problem(
            code=Code.CONFIG_MISSING,
            message=f"there is no {FILE_NAME} in {start} or any folder above it",
            hint=f"write one beside your functions; the README shows the shortest {FILE_NAME} that works",
        )
    )


def load(path: Path, cache: Cache | None = None) -> Config:
    """Read and validate a `bundles.toml`. Raises `BundleError` with every problem in it.

    A `cache` remembers files that are valid: what it has seen before is not validated again.
    """
    text = _read(path)
    path = path.parent.resolve() / path.name
    key = hashlib.sha256(json.dumps([__version__, path.name, text]).encode()).hexdigest()
    kept = None if cache is None else cache.path(_KIND, f"{key}.json")
    config = None if kept is None else _recall(kept, path)
    if config is None:
        config = _load(text, path)
        if cache is not None and kept is not None:
            with suppress(OSError):
                cache.write(kept, _document(config))
    return config


def _load(text: str, path: Path) -> Config:
    from lambda_bundle.models import validate  # noqa: PLC0415 - a file that is known to be valid goes without

    data = _parse(text, path.name)
    findings = Findings(path.name, locate(text))
    validate(data, findings)
    table = data.get("index")
    index = indexes.check(table if isinstance(table, dict) else {}, findings)
    entries = gather(data, path.parent, findings)
    findings.check()
    places = {key: findings.where(key) for one in entries for key in one.places}
    names = [entry.name for entry in entries]
    warnings = [
        Problem(
            code=Code.OVERRIDE_UNUSED,
            message=f"{quoted(pattern)} matches no function and no layer",
            where=findings.where(key),
            hint=did_you_mean(pattern, names),
            severity="warning",
        )
        for key, pattern in unused(data, names)
    ]
    return Config(file=path, entries=entries, places=places, index=index, warnings=tuple(warnings))


def _document(config: Config) -> dict[str, Any]:
    told = asdict(replace(config, places={}))
    told["places"] = [[where.line, *key] for key, where in config.places.items()]
    del told["file"]
    return told


class _Places(Mapping[KeyPath, Where]):
    """Where entries and values are written: of thousands of places hardly one is asked for."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self._file, self._lines = file, lines

    def __getitem__(self, key: KeyPath) -> Where:
        return Where(file=self._file, line=self._lines[key], key=dotted(key) or None)

    def __iter__(self) -> Iterator[KeyPath]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def _recall(kept: Path, path: Path) -> Config | None:
    """The configuration that was valid earlier, if the folders that it names are still there."""
    try:
        told = Cache.read(kept)
        entries = tuple(map(_entry, told["entries"]))
        config = Config(
            file=path,
            entries=entries,
            places=_Places(path.name, {tuple(key): int(line) for line, *key in told["places"]}),
            index=_index(told["index"]),
            warnings=tuple(map(Problem.of, told["warnings"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    root = str(path.parent)
    return config if all(os.path.isdir(f"{root}/{one.entry}") for one in entries) else None  # noqa: PTH112 - see checks


def _index(told: Mapping[str, Any]) -> Index:
    def address(one: Mapping[str, Any]) -> Address:
        return Address(text=one["text"], where=Where(**one["where"]))

    url = None if told["url"] is None else address(told["url"])
    return Index(url=url, extra=tuple(map(address, told["extra"])), links=tuple(map(address, told["links"])))


def _entry(told: dict[str, Any]) -> Entry:
    """An entry as JSON holds it, with tuples for its arrays."""
    for key, value in told.items():
        if isinstance(value, list):
            told[key] = tuple(value)
    told["written"] = {key: tuple(place) for key, place in told["written"].items()}
    return Entry(**told)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        problem = Problem(code=Code.CONFIG_MISSING, message=f"there is no file {path}")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        problem = Problem(code=Code.CONFIG_UNREADABLE, message=message, where=Where(file=str(path)))
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            message = "not valid UTF-8, which TOML must be"
            where = Where(file=path.name, line=line)
            problem = Problem(code=Code.CONFIG_SYNTAX, message=message, where=where)
    raise BundleError(problem)


def _parse(text: str, file: str) -> dict[str, Any]:
    import tomli  # noqa: PLC0415 - a file that is known to be valid is not parsed

    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        from lambda_bundle.toml_errors import explain  # noqa: PLC0415 - seldom needed

        why, hint = explain(error.msg)
        message = f"not valid TOML: {why}"
        where = Where(file=file, line=error.lineno, column=error.colno)
    except RecursionError:
        message, where, hint = "arrays or tables are nested too deeply", Where(file=file), None
    raise BundleError(Problem(code=Code.CONFIG_SYNTAX, message=message, where=where, hint=hint))
