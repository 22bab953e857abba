from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tomli
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from spoiled import VALID, paths, spoil, wrong_values

from lambda_bundle.models import schema
from lambda_bundle.targets import MACHINES, RUNTIMES

ROOT = Path(__file__).resolve().parents[1]
SCHEMA: dict[str, Any] = json.loads((ROOT / "bundles.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_file_is_current() -> None:
    assert schema() == SCHEMA, "run `invoke schema > bundles.schema.json`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("table", ["Defaults", "Function", "Layer", "Override"])
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("runtime", list(RUNTIMES)),
        ("arch", list(MACHINES)),
        ("backend", ["uv", "pip"]),
        ("format", ["zip", "dir"]),
        ("packaging", ["uv", "poetry", "pipenv", "pdm", "pylock", "requirements", "project"]),
    ],
)
def test_choices_are_listed(table: str, key: str, values: list[str]) -> None:
    assert SCHEMA["$defs"][table]["properties"][key]["enum"] == values


def test_every_key_is_described() -> None:
    tables = [SCHEMA, *SCHEMA["$defs"].values()]
    for table in tables:
        assert table["description"]
        for value in table["properties"].values():
            assert value["description"]


def test_toml_has_no_null() -> None:
    assert "null" not in json.dumps(SCHEMA)


def test_the_bundles_of_this_repository_are_valid() -> None:
    VALIDATOR.validate(tomli.loads((ROOT / "bundles.toml").read_text(encoding="utf-8")))


def test_every_key_is_allowed() -> None:
    VALIDATOR.validate(VALID)


@pytest.mark.parametrize("path", [(), *(path for path, value in paths(VALID) if isinstance(value, dict))])
def test_unknown_keys_are_refused(path: tuple[str | int, ...]) -> None:
    table: Any = VALID
    for part in path:
        table = table[part]
    assert not VALIDATOR.is_valid(spoil(VALID, path, {**table, "colour": {}}))


def test_what_the_loader_refuses_for_its_type_is_refused() -> None:
    for path, value in paths(VALID):
        for wrong in wrong_values(value):
            in_json = not isinstance(wrong, float) or math.isfinite(wrong)
            assert not in_json or not VALIDATOR.is_valid(spoil(VALID, path, wrong)), (path, wrong)


@pytest.mark.parametrize("missing", ["entry", "handler"])
def test_what_a_function_needs(missing: str) -> None:
    function = {"entry": "src", "handler": "a.b"}
    VALIDATOR.validate({"functions": {"api": function}})
    del function[missing]
    assert not VALIDATOR.is_valid({"functions": {"api": function}})
