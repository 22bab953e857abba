"""What `bundles.toml` can hold: its tables and keys, their types, and the JSON schema.

The only module that knows pydantic. Nothing of its own wording reaches a user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambda_bundle.entries import DEFAULT_TIMEOUT, FILE_NAME
from lambda_bundle.errors import Code, did_you_mean, nearest_word
from lambda_bundle.findings import Findings, quoted
from lambda_bundle.positions import KeyPath
from lambda_bundle.targets import MACHINES, MAX_LAYERS, RUNTIMES


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Hooks(_Model):
    """Shell commands that run in the staged copy of the sources."""

    before: list[str] | None = Field(None, description="Run before the dependencies are installed.")
    after: list[str] | None = Field(None, description="Run when the dependencies are in place.")


class Verify(_Model):
    """What is looked at before an artifact is written."""

    ignore: list[str] | None = Field(
        None,
        description='Findings to pass over, as "code:pattern"; the pattern is that of a file, a module or a '
        "distribution.",
    )


class Common(_Model):
    """The keys that functions, layers, defaults and overrides share."""

    runtime: str | None = Field(
        None, description="Lambda runtime, such as python3.13.", json_schema_extra={"enum": list(RUNTIMES)}
    )
    arch: str | None = Field(
        None, description="Instruction set, in AWS's words.", json_schema_extra={"enum": list(MACHINES)}
    )
    tags: list[str] | None = Field(
        None,
        description="Platform tags that wheels may carry, best first; replaces those of the runtime's glibc.",
        min_length=1,
    )
    backend: Literal["uv", "pip"] | None = Field(None, description="What resolves and installs: uv if unset.")
    packaging: Literal["uv", "poetry", "pipenv", "pdm", "pylock", "requirements", "project"] | None = Field(
        None,
        description="Whose files say what to install; if unset, the most specific that is there.",
    )
    requirements: str | None = Field(
        None, description="The lock file, requirements.txt or pyproject.toml that says what to install."
    )
    groups: list[str] | None = Field(None, description="Dependency groups to install besides.")
    extras: list[str] | None = Field(None, description="Extras of the project to install besides.")
    package: str | None = Field(
        None, description="The member of a uv workspace whose dependencies these are."
    )
    skip: list[str] | None = Field(
        None, description="Packages to leave out, together with what only they need."
    )
    sdists: list[str] | None = Field(
        None, description="Packages that may be built from source, to pure Python, where no wheel fits."
    )
    hooks: Hooks | None = Field(None, description="Commands before and after the installation.")
    verify: Verify | None = Field(None, description="How the artifact is verified.")
    exclude: list[str] | None = Field(
        None, description="Sources to leave out, in the dialect of .gitignore; adds to the default excludes."
    )
    include: list[str] | None = Field(
        None, description="Sources to bring back that an exclude leaves out, in the dialect of .gitignore."
    )
    env: dict[str, str] | None = Field(None, description="Environment variables for hooks and installers.")
    format: Literal["zip", "dir"] | None = Field(None, description="What the artifact is: zip if unset.")
    timeout: float | None = Field(
        None,
        description=f"Seconds that a hook or an installation may take: {DEFAULT_TIMEOUT:g} if unset.",
        gt=0,
    )


class Layer(Common):
    """A layer: its sources and dependencies land under python/."""

    entry: str = Field(description="Source folder, relative to bundles.toml.")
    runtimes: list[str] | None = Field(
        None,
        description="Every runtime that the layer is for, in place of `runtime`.",
        min_length=1,
        json_schema_extra={"items": {"type": "string", "enum": list(RUNTIMES)}, "uniqueItems": True},
    )


class Attaching(Common):
    """The keys that functions, defaults and overrides share."""

    layers: list[str] | None = Field(
        None,
        description="Layers of this file that the function is deployed with, in Lambda's order.",
        max_length=MAX_LAYERS,
        json_schema_extra={"uniqueItems": True},
    )


class Function(Attaching):
    """A function."""

    entry: str = Field(description="Source folder, relative to bundles.toml.")
    handler: str = Field(description='What Lambda calls: "module.name".')


class Defaults(Attaching):
    """What holds where nothing nearer is set."""


class Override(Attaching):
    """Values for every entry whose name matches; later overrides win."""

    select: list[str] = Field(
        min_length=1, description="Names of functions and layers; * and ? match as in a shell."
    )


class Indexes(_Model):
    """Where packages come from, for every function and layer and with both backends."""

    url: str | None = Field(
        None, description="The index to ask, in place of the backend's own; ${VARIABLES} are filled in."
    )
    extra: list[str] | None = Field(None, description="Indexes to ask besides that one.")
    links: list[str] | None = Field(
        None,
        description="Folders with wheels, relative to bundles.toml, or URLs of pages that link to wheels.",
    )


class Document(_Model):
    """Functions and layers for AWS Lambda, and how to bundle them."""

    defaults: Defaults | None = Field(None, description="Values for every function and layer.")
    functions: dict[str, Function] | None = Field(None, description="Functions by name.")
    layers: dict[str, Layer] | None = Field(None, description="Layers by name.")
    overrides: list[Override] | None = Field(None, description="Values for groups of functions and layers.")
    index: Indexes | None = Field(None, description="The indexes that packages come from.")


_TABLES: dict[str, type[BaseModel]] = {
    "defaults": Defaults,
    "functions": Function,
    "layers": Layer,
    "overrides": Override,
}
_INSIDE: dict[str, type[BaseModel]] = {"hooks": Hooks, "verify": Verify}
"""The tables that are values of a key."""


# --- pydantic's faults in our words


class _Fault(NamedTuple):
    code: Code
    message: str
    hint: str | None = None


def validate(data: Mapping[str, Any], findings: Findings) -> None:
    """Note everything in parsed TOML that the models do not allow."""
    try:
        Document.model_validate(data)
    except ValidationError as error:
        # Unknown keys first: one may be what a missing key was meant to be.
        faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] == "missing")
    else:
        return
    for fault in faults:
        key, kind, value = fault["loc"], fault["type"], fault["input"]
        if kind == "extra_forbidden":
            findings.meant.add((*key[:-1], nearest_word(str(key[-1]), _known(key)) or ""))
            findings.add(key, *_unknown_key(key))
        elif kind != "missing":
            findings.add(key, *_wrong_value(key, kind, fault.get("ctx", {}), value))
        elif key not in findings.meant:
            findings.add(key, Code.MISSING_KEY, f"`{key[-1]}` is missing")


def _known(key: KeyPath) -> list[str]:
    """The keys that a table of the file can have, by the path of any of them."""
    if key[0] == "index" and len(key) > 1:
        return list(Indexes.model_fields)
    inside = key[1:] if key[0] == "defaults" else key[2:]  # of an entry or an override
    if not inside:
        return list(Document.model_fields)
    model = _TABLES[str(key[0])] if len(inside) == 1 else _INSIDE[str(inside[0])]
    return list(model.model_fields)


def _unknown_key(key: KeyPath) -> _Fault:
    word, known = str(key[-1]), _known(key)
    hint = did_you_mean(word, known) or f"known keys are {', '.join(known)}"
    if word == "handler" and key[0] == "layers":
        hint = "a layer has no handler; functions do: [functions.NAME]"
    elif word == "layers" and key[0] == "layers":
        hint = "a layer has no layers; functions do: [functions.NAME]"
    elif word == "runtimes" and key[0] in _TABLES:
        hint = "a function has one `runtime`; a layer can be for several: [layers.NAME]"
    elif word in {"entry", "handler"} and key[0] in {"defaults", "overrides"}:
        hint = "each function has its own: write it in [functions.NAME]"
    elif (
        key[0] == "index"
        and word not in {"index-url", "urls"}
        and re.search("user|pass|token", word, re.IGNORECASE)
    ):
        hint = "credentials come from the environment, netrc or a keyring: https://name:${PASSWORD}@…"
    return _Fault(Code.UNKNOWN_KEY, f"unknown key {quoted(word)}", hint)


_TYPES = {
    "string_type": "a string",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "float_type": "a number",
    "finite_number": "a finite number",
}


def _wrong_value(key: KeyPath, kind: str, context: Mapping[str, Any], value: object) -> _Fault:
    """What is wrong with the value of a key; pydantic's word for it and its context say what."""
    if kind == "literal_error":
        words = re.findall(r"'([^']+)'", str(context["expected"]))
        wanted = " or ".join(map(quoted, words))
        hint = did_you_mean(value, words) if isinstance(value, str) else None
        return _Fault(Code.INVALID_VALUE, f"must be {wanted}, not {_shown(value)}", hint)
    if kind == "greater_than":
        return _Fault(Code.INVALID_VALUE, f"must be more than {context['gt']:g}, not {_shown(value)}")
    if kind == "too_short":
        return _Fault(Code.INVALID_VALUE, "must not be empty")
    if kind == "too_long":
        message = f"must be at most {context['max_length']}, not {context['actual_length']}"
        return _Fault(Code.INVALID_VALUE, message, "Lambda takes no more; put two layers together")
    hint = None
    if key == ("overrides",) and isinstance(value, dict):
        hint = "write [[overrides]], with two brackets"
    elif key[0] == "layers" and key[-1] == "runtime" and isinstance(value, list):
        hint = "for several runtimes write `runtimes`"
    elif kind == "list_type" and isinstance(value, str):
        hint = "write it in brackets" if key[0] == "index" else f"write [{_shown(value)}]"
    elif kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        of_runtime = key[-1] == "runtime" or "runtimes" in key[-2:]
        hint = f'write "{"python" if of_runtime else ""}{value}"'
    wanted = _TYPES.get(kind, "another value")
    shown = (
        "a string" if key[0] == "index" and isinstance(value, str) else _shown(value)
    )  # it may hold a password
    return _Fault(Code.INVALID_VALUE, f"must be {wanted}, not {shown}", hint)


def _shown(value: object) -> str:
    """A value as TOML would write it, or the word for its type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else "a date or time"


def schema() -> dict[str, Any]:
    """The JSON schema of `bundles.toml`, for editors."""
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - only needed here

    class Generator(GenerateJsonSchema):
        """TOML has no null: a key that is not set is not there."""

        def nullable_schema(self, schema: Any) -> dict[str, Any]:
            return self.generate_inner(schema["schema"])

        def default_schema(self, schema: Any) -> dict[str, Any]:
            return self.generate_inner(schema["schema"])

        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - overrides
            return False

    generated = Document.model_json_schema(schema_generator=Generator)
    return {"$schema": Generator.schema_dialect, **generated, "title": FILE_NAME}
