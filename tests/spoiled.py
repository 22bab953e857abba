"""A bundles.toml with every key that there is, and the ways to spoil one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

COMMON: dict[str, Any] = {
    "runtime": "python3.12",
    "arch": "x86_64",
    "tags": ["manylinux_2_28_x86_64", "manylinux2014_x86_64"],
    "backend": "pip",
    "packaging": "pylock",
    "requirements": "locks/api.toml",
    "groups": ["aws"],
    "extras": ["fast"],
    "package": "core",
    "skip": ["boto3", "botocore"],
    "sdists": ["docopt"],
    "hooks": {"before": ["make proto", "make rest"], "after": ["rm -rf docs"]},
    "exclude": ["tests/"],
    "include": ["tests/data.json", "*.md"],
    "env": {"A": "1", "B": "two"},
    "format": "dir",
    "timeout": 90,
}
ATTACHING: dict[str, Any] = {**COMMON, "layers": ["common", "wide"]}
VALID: dict[str, Any] = {
    "defaults": {**COMMON, "layers": ["common"]},
    "functions": {
        "api": {"entry": "src", "handler": "app.main.handler", **ATTACHING},
        "worker": {"entry": "src", "handler": "main.handler"},
    },
    "layers": {
        "common": {"entry": "src", **COMMON},
        "wide": {"entry": "src", "runtimes": ["python3.12", "python3.13"]},
    },
    "index": {
        "url": "https://build:${TOKEN}@packages.example.com/simple",
        "extra": ["${OTHER_INDEX}", "https://packages.example.com/other"],
        "links": ["wheels/", "https://packages.example.com/wheels.html"],
    },
    "overrides": [{"select": ["a*", "common"], **ATTACHING}, {"select": ["worker"], "timeout": 1.5}],
}
"""Every key, everywhere it can stand."""

STRINGS: list[Any] = [7, 1.5, True, date(2026, 1, 1), ["x"], {"x": "y"}]
ARRAYS: list[Any] = ["x", 7, True, {"x": "y"}]
TABLES: list[Any] = ["x", 7, False, ["x"]]
NUMBERS: list[Any] = ["90", True, ["x"], {"x": "y"}, 0, -1, float("inf"), float("nan")]


def wrong_values(value: object) -> list[Any]:
    """Values that a key with this value cannot have, all for what they are and not for what they say."""
    if isinstance(value, str):
        return STRINGS
    if isinstance(value, list):
        return ARRAYS
    return TABLES if isinstance(value, dict) else NUMBERS


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every key and every element below a value, with what it holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, child in items:
        yield (*path, part), child
        yield from paths(child, (*path, part))


def spoil(value: Any, path: tuple[str | int, ...], wrong: object) -> Any:
    """A copy with another value at the path."""
    if not path:
        return wrong
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = spoil(value[path[0]], path[1:], wrong)  # type: ignore[index]
    return copy


def toml(value: Any, key: str = "") -> str:
    """The document as TOML, with a line for every key outside of arrays and for every element of them."""
    if isinstance(value, dict) and value:
        return "".join(toml(one, f"{key}.{name}" if key else name) for name, one in value.items())
    return f"{key} = {_inline(value)}\n"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_inline, value)) + "\n]"
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, float) else json.dumps(value)
