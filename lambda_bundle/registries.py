"""The indexes that a project's own configuration names: uv's, for both backends.

uv works in a private folder, and so would not find it. Only what says where packages come from is taken over
(https://docs.astral.sh/uv/reference/settings/): anything else must not change what a bundle holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import tomli
from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

_SETTINGS = (
    *("index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "keyring-provider"),
    *("allow-insecure-host", "native-tls", "system-certs", "http-proxy", "https-proxy", "no-proxy"),
)
_INDEX_KEYS = (
    *("name", "url", "default", "explicit", "format", "authenticate", "ignore-error-codes"),
    *("cache-control", "exclude-newer"),
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """What the configuration of a project says."""

    settings: Mapping[str, Any]
    """Of `[tool.uv]`, with absolute paths."""
    indexes: tuple[Mapping[str, Any], ...]
    """`[[tool.uv.index]]`, in order, with absolute paths."""
    pins: Mapping[str, str]
    """The name of the index that a package must come from, by the package's normalized name."""
    files: tuple[Path, ...] = ()
    """What was read."""

    def lines(self) -> tuple[str, ...]:
        """As lines below `[tool.uv]`: settings, then tables."""
        tables = []
        for index in self.indexes:
            tables += ["[[tool.uv.index]]", *(f"{key} = {_inline(value)}" for key, value in index.items())]
        return (*(f"{key} = {_inline(value)}" for key, value in self.settings.items()), *tables)

    def urls(self, environ: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
        """The default index and the others, with the credentials that the environment has for them."""
        found = {False: list[str](), True: list[str]()}
        for index in self.indexes:
            if index.get("format") != "flat":
                found[index.get("default") is True].append(_with_credentials(index, environ))
        extra = self.settings.get("extra-index-url", [])
        default = next(iter(found[True]), None) or self.settings.get("index-url")
        return default, (*found[False], *extra)

    def links(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Folders and pages with links to wheels."""
        flat = (_with_credentials(one, environ) for one in self.indexes if one.get("format") == "flat")
        return (*flat, *self.settings.get("find-links", []))


_Found = tuple[tuple[Mapping[str, Any], Path], ...]


class Configurations:
    """The files of uv's configuration; each is read once in a run, for most functions have the same above."""

    def __init__(self) -> None:
        self._known: dict[Path, _Found] = {}
        self._said: dict[str, str] = {}

    def find(self, folder: Path, environ: Mapping[str, str], markers: Mapping[str, str]) -> Registries | None:
        """What holds for a folder by uv's rules; None where nothing does.

        The nearest `uv.toml`, or `pyproject.toml` with a `[tool.uv]`, of the folder and those above it; in a
        workspace that of its root, with the indexes and sources of the member besides. What cannot be read
        is nothing: whoever needs it says so.
        """
        if environ.get("UV_NO_CONFIG", "").lower() in {"1", "true", "yes", "on"}:
            return None
        found = self._of(Path(os.path.normpath(folder)))
        return _registries(found, markers) if found else None

    def said(self, path: str) -> str:
        """The same as `said`."""
        if path not in self._said:
            self._said[path] = said(Path(path))
        return self._said[path]

    def _of(self, folder: Path) -> _Found:
        """The configurations of a folder and of those above it, the nearest first."""
        known = self._known.get(folder)
        if known is None:
            above = () if folder.parent == folder else self._of(folder.parent)
            known = self._known[folder] = (*_configuration(folder), *above)
        return known


def places(folder: Path) -> Iterator[Path]:
    """Every file that could say something for a folder."""
    for above in (folder, *folder.parents):
        yield above / "uv.toml"
        yield above / "pyproject.toml"


def said(path: Path) -> str:
    """A digest of what such a file says, of all that is in it; the same where it says nothing."""
    table = _load(path) if path.name == "uv.toml" else _table(_load(path), "tool", "uv")
    return hashlib.sha256(json.dumps(table, default=str, sort_keys=True).encode()).hexdigest()


def _registries(found: _Found, markers: Mapping[str, str]) -> Registries | None:
    own, own_folder = found[0]
    root, base = next(
        ((table, above) for table, above in found if _holds(table, above, own_folder)), found[0]
    )
    settings = {key: root[key] for key in _SETTINGS if key in root}
    settings |= {key: value for key, value in _table(root, "pip").items() if key in _SETTINGS}
    indexes = [*_indexes(root, base), *(_indexes(own, own_folder) if own is not root else ())]
    pins = {**_pins(root, markers), **_pins(own, markers)}
    if not settings and not indexes:
        return None
    files = (
        folder / name
        for folder in dict.fromkeys((base, own_folder))
        for name in ("uv.toml", "pyproject.toml")
    )
    return Registries(
        settings=_absolute(settings, base),
        indexes=tuple(_unique(indexes)),
        pins=pins,
        files=tuple(path for path in files if path.is_file()),
    )


def _configuration(folder: Path) -> Iterator[tuple[Mapping[str, Any], Path]]:
    own, project = _load(folder / "uv.toml"), _load(folder / "pyproject.toml")
    table = _table(project, "tool", "uv")
    if own or table:
        # A uv.toml takes the place of the table, except for what belongs to a project.
        kept = {key: table[key] for key in ("workspace", "sources", *(() if own else table)) if key in table}
        yield {**kept, **own}, folder


def _load(path: Path) -> Mapping[str, Any]:
    try:
        return tomli.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def _table(data: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    value: Any = data
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _holds(table: Mapping[str, Any], root: Path, folder: Path) -> bool:
    """Whether the configuration is that of a workspace around the folder."""
    workspace = table.get("workspace")
    if not isinstance(workspace, dict):
        return False
    relative = folder.relative_to(root).as_posix()
    excluded = workspace.get("exclude", [])
    return not any(isinstance(one, str) and fnmatchcase(relative, one.rstrip("/")) for one in excluded)


def _indexes(table: Mapping[str, Any], base: Path) -> Iterator[Mapping[str, Any]]:
    found = table.get("index", [])
    for index in found if isinstance(found, list) else ():
        if isinstance(index, dict) and isinstance(index.get("url"), str):
            known = {key: index[key] for key in _INDEX_KEYS if key in index}
            yield {**known, "url": _place(index["url"], base)}


def _pins(table: Mapping[str, Any], markers: Mapping[str, str]) -> dict[str, str]:
    """Sources that are indexes, where the marker holds for the target and no extra or group is asked for."""
    found: dict[str, str] = {}
    for name, source in _table(table, "sources").items():
        for one in source if isinstance(source, list) else [source]:
            if (
                isinstance(one, dict)
                and isinstance(one.get("index"), str)
                and not one.keys() & {"extra", "group"}
            ):
                try:
                    holds = "marker" not in one or Marker(one["marker"]).evaluate(dict(markers))
                except InvalidMarker:
                    holds = False
                if holds:
                    found.setdefault(canonicalize_name(name), one["index"])
    return found


def _absolute(settings: Mapping[str, Any], base: Path) -> dict[str, Any]:
    found = dict(settings)
    for key in ("index-url", "extra-index-url", "find-links"):
        value = found.get(key)
        if isinstance(value, str):
            found[key] = _place(value, base)
        elif isinstance(value, list):
            found[key] = [_place(str(one), base) for one in value]
    return found


def _place(text: str, base: Path) -> str:
    return text if _SCHEME.match(text) else Path(os.path.normpath(base / text)).as_uri()


def _unique(indexes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """One index for each name: that of the root comes first."""
    names = set[object]()
    for index in indexes:
        name = index.get("name")
        if name is None or name not in names:
            names.add(name)
            yield index


def _with_credentials(index: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The address of an index with what uv's variables have for its name."""
    url = str(index["url"])
    name = re.sub(r"[^A-Z0-9]", "_", str(index.get("name", "")).upper())
    user, password = (environ.get(f"UV_INDEX_{name}_{what}", "") for what in ("USERNAME", "PASSWORD"))
    parts = urlsplit(url)
    if not name or not (user or password) or "@" in parts.netloc:
        return url
    userinfo = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{userinfo}@{parts.netloc}"))


def _inline(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool | int | float) else json.dumps(str(value))
