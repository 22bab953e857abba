"""`bundles.toml` → `Config`.

The only module that knows pydantic. Every problem of a file is found in one go and reported with its line
and key; nothing of pydantic's own wording reaches a user.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.positions import locate, nearest
from lambda_bundle.targets import MACHINES, RUNTIMES, PlatformTag, TagError

FILE_NAME = "bundles.toml"
Key = tuple[str | int, ...]
Kind = Literal["functions", "layers"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RUNTIME = re.compile(r"python(?P<major>\d+)\.(?P<minor>\d+)")
_HANDLER = re.compile(r"(?P<module>[\w-]+(?:[./][\w-]+)*)\.(?P<name>[^\W\d]\w*)")
_RESERVED = frozenset({"manifest.json"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hooks(_Model):
    """Shell commands that run in the staged copy of the sources."""

    before: list[str] | None = Field(None, description="Run before the dependencies are installed.")
    after: list[str] | None = Field(None, description="Run when the dependencies are in place.")


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
    backend: Literal["uv", "pip"] | None = Field(None, description="What resolves and installs.")
    hooks: Hooks | None = Field(None, description="Commands before and after the installation.")
    exclude: list[str] | None = Field(
        None, description="Sources to leave out, in the dialect of .gitignore; adds to the default excludes."
    )
    include: list[str] | None = Field(
        None, description="Sources to bring back that an exclude leaves out, in the dialect of .gitignore."
    )
    env: dict[str, str] | None = Field(None, description="Environment variables for hooks and installers.")
    format: Literal["zip", "dir"] | None = Field(None, description="What the artifact is.")
    timeout: Annotated[float, Field(gt=0, strict=False)] | None = Field(
        None, description="Seconds that one command, a hook or an installation, may take."
    )


class Layer(Common):
    """A layer: its sources and dependencies land under python/."""

    entry: str | None = Field(None, description="Source folder, relative to bundles.toml.")


class Function(Layer):
    """A function."""

    handler: str | None = Field(None, description='What Lambda calls: "module.name".')


class Override(Common):
    """Values for every entry whose name matches; later overrides win."""

    select: list[str] = Field(
        description="Names of functions and layers; * and ? match as in a shell.", min_length=1
    )


class Document(_Model):
    """The whole file."""

    defaults: Common = Field(Common(), description="Values for every function and layer.")
    functions: dict[str, Function] = Field({}, description="Functions by name.")
    layers: dict[str, Layer] = Field({}, description="Layers by name.")
    overrides: list[Override] = Field([], description="Values for groups of entries.")


class Entry(_Model):
    """One function or layer with every value that holds for it: function > overrides > defaults."""

    kind: Kind
    name: str
    entry: str
    handler: str | None
    runtime: str
    arch: str
    tags: tuple[str, ...] = ()
    backend: Literal["uv", "pip"] = "uv"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    env: dict[str, str] = {}
    format: Literal["zip", "dir"] = "zip"
    timeout: float = 600.0
    line: int
    """Where the entry begins in the file."""

    @property
    def artifact(self) -> str:
        """The name of its file or folder in the output folder."""
        return artifact_name(self.name, self.format)


class Config(_Model):
    """A validated `bundles.toml`."""

    file: Path
    """Absolute."""
    entries: tuple[Entry, ...]
    """Functions and layers in the order of the file."""
    warnings: tuple[Any, ...] = ()
    """`Problem`s of severity "warning"."""

    @property
    def root(self) -> Path:
        """The folder of the file, which its paths are relative to."""
        return self.file.parent


def artifact_name(name: str, form: str) -> str:
    """The name of an entry's artifact."""
    return f"{name}.zip" if form == "zip" else name


def find(start: Path) -> Path:
    """The nearest `bundles.toml` in a folder or above it. Raises `BundleError` when there is none."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise BundleError(
        Problem(
            code=Code.CONFIG_MISSING,
            message=f"there is no {FILE_NAME} in {start} or any folder above it",
            hint=f"write one beside your functions; the README shows the shortest {FILE_NAME} that works",
        )
    )


def load(path: Path) -> Config:
    """Read and validate a `bundles.toml`. Raises `BundleError` with every problem in it."""
    shown = path.name
    text = _read(path, shown)
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        message = f"not valid TOML: {error.msg[:1].lower()}{error.msg[1:]}"
        where = Where(file=shown, line=error.lineno, column=error.colno)
        raise BundleError(Problem(code=Code.CONFIG_SYNTAX, message=message, where=where)) from None
    return _Loader(path, data, locate(text)).load()


def _read(path: Path, shown: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        problem = Problem(
            code=Code.CONFIG_SYNTAX,
            message="not valid UTF-8, which TOML must be",
            where=Where(file=shown, line=line),
        )
    except OSError as error:
        problem = Problem(
            code=Code.CONFIG_UNREADABLE, message=f"cannot be read: {error.strerror}", where=Where(file=shown)
        )
    raise BundleError(problem)


class _Loader:
    """One file on its way from parsed TOML to `Config`, and the problems on that way."""

    def __init__(self, path: Path, data: dict[str, Any], positions: dict[Key, tuple[int, int]]) -> None:
        self._path, self._data, self._positions = path, data, positions
        self._problems: list[tuple[Key, Problem]] = []

    def load(self) -> Config:
        document = self._validate()
        entries = [] if document is None else list(self._entries(document))
        self._check_collisions(entries)
        if not entries and not self._problems:
            self._report((), Code.MISSING_KEY, "there is no [functions.NAME] and no [layers.NAME]")
        if self._problems:
            ordered = sorted(self._problems, key=lambda item: self._line(item[0]))
            raise BundleError(*dict.fromkeys(problem for _, problem in ordered))
        return Config(file=self._path, entries=tuple(entries), warnings=tuple(self._unused(entries)))

    def _line(self, key: Key) -> int:
        return (nearest(self._positions, key) or (1, 1))[0]

    def _where(self, key: Key) -> Where:
        return Where(file=self._path.name, line=self._line(key), key=_dotted(key) or None)

    def _report(self, key: Key, code: Code, message: str, hint: str | None = None) -> None:
        self._problems.append((key, Problem(code=code, message=message, where=self._where(key), hint=hint)))

    def _validate(self) -> Document | None:
        """The document; what is wrong with one entry must not hide what is wrong with the next."""
        try:
            return Document.model_validate(self._data)
        except ValidationError as error:
            faults = error.errors(include_url=False)
        for fault in faults:
            key, code, message, hint = _translate(
                fault["loc"], fault["type"], fault.get("ctx", {}), fault["input"]
            )
            self._report(key, code, message, hint)
            _discard(self._data, key)
        try:
            return Document.model_validate(self._data)
        except ValidationError:  # what is left misses a part; what is known to be wrong was reported
            return None

    def _entries(self, document: Document) -> Iterator[Entry]:
        groups: tuple[tuple[Kind, Mapping[str, Layer]], ...] = (
            ("functions", document.functions),
            ("layers", document.layers),
        )
        found: list[tuple[int, Kind, str, Layer]] = [
            (self._line((kind, name)), kind, name, own)
            for kind, members in groups
            for name, own in members.items()
        ]
        for _, kind, name, own in sorted(found, key=lambda item: item[0]):
            entry = self._entry(kind, name, own, document)
            if entry is not None:
                yield entry

    def _entry(self, kind: Kind, name: str, own: Layer, document: Document) -> Entry | None:
        before = len(self._problems)
        values, sources = _cascade(kind, name, own, document)
        for key in ("runtime", "arch", "entry", *(["handler"] if kind == "functions" else [])):
            broken = any(problem[0][-1:] == (key,) for problem in self._problems)
            if key not in values and not broken:
                hint = "set it here or in [defaults]" if key in {"runtime", "arch"} else None
                self._report((kind, name, key), Code.MISSING_KEY, f"`{key}` is missing", hint)
        checks: dict[str, Callable[[Key, Any], None]] = {
            "runtime": self._check_runtime,
            "arch": partial(self._check_arch, runtime=values.get("runtime")),
            "entry": self._check_entry,
            "handler": self._check_handler,
            "tags": partial(self._check_tags, arch=values.get("arch")),
        }
        for key, check in checks.items():
            if key in values:
                check(sources[key], values[key])
        self._check_name((kind, name), name)
        if len(self._problems) > before:
            return None
        hooks = values.pop("hooks", {})
        tupled = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return Entry.model_validate(
            {
                "kind": kind,
                "name": name,
                "handler": None,
                **{key: tuple(value) for key, value in hooks.items()},
                **tupled,
                "line": self._line((kind, name)),
            }
        )

    def _check_name(self, key: Key, name: str) -> None:
        if not _NAME.fullmatch(name):
            hint = "it names a file: use letters, digits, and -, _ or . between them"
            self._report(key, Code.INVALID_VALUE, f'"{name}" cannot be the name of an artifact', hint)

    def _check_runtime(self, key: Key, value: str) -> None:
        if value in RUNTIMES:
            return
        known = ", ".join(reversed(RUNTIMES))
        if _RUNTIME.fullmatch(value):
            hint = f"known runtimes are {known}"
            self._report(key, Code.UNSUPPORTED_RUNTIME, f"no Lambda runtime is called {value}", hint)
        else:
            hint = did_you_mean(value, RUNTIMES) or f"write it as one of {known}"
            self._report(
                key, Code.UNPARSEABLE_RUNTIME, f'"{value}" is not the name of a Python runtime', hint
            )

    def _check_arch(self, key: Key, value: str, *, runtime: str | None) -> None:
        if value not in MACHINES:
            other = {"aarch64": "arm64", "amd64": "x86_64", "x86-64": "x86_64", "x64": "x86_64"}.get(
                value.lower()
            )
            hint = f'did you mean "{other}"?' if other else f"choose one of {', '.join(MACHINES)}"
            message = f'no Lambda architecture is called "{value}"'
        elif runtime in RUNTIMES and value not in RUNTIMES[runtime].archs:
            message = f"{runtime} does not exist on {value}"
            hint = f"it exists on {', '.join(RUNTIMES[runtime].archs)}"
        else:
            return
        self._report(key, Code.UNSUPPORTED_ARCHITECTURE, message, hint)

    def _check_entry(self, key: Key, value: str) -> None:
        folder = self._path.parent / value
        if folder.is_dir():
            return
        if folder.exists():
            self._report(key, Code.ENTRY_MISSING, f"{value} is a file, and the sources must be a folder")
            return
        parent = folder.parent
        near = [one.name for one in parent.iterdir() if one.is_dir()] if parent.is_dir() else []
        hint = did_you_mean(folder.name, near) or "paths are relative to the folder of bundles.toml"
        self._report(key, Code.ENTRY_MISSING, f"there is no folder {value}", hint)

    def _check_handler(self, key: Key, value: str) -> None:
        if not _HANDLER.fullmatch(value):
            hint = 'for `def handler` in app/main.py write "app.main.handler"'
            self._report(key, Code.INVALID_HANDLER, f'"{value}" is not of the form "module.name"', hint)

    def _check_tags(self, key: Key, value: list[str], *, arch: str | None) -> None:
        if arch not in MACHINES:
            return
        for index, tag in enumerate(value):
            try:
                PlatformTag.parse(tag, arch)
            except TagError as error:
                self._report(
                    (*key, index), Code.INVALID_TAG, f'"{tag}" cannot be a platform tag here: {error}'
                )

    def _check_collisions(self, entries: Iterable[Entry]) -> None:
        """Names that differ only in case or in how Unicode writes them are one file on some systems."""
        taken: dict[str, str] = {name: "the manifest" for name in _RESERVED}
        for entry in entries:
            file = unicodedata.normalize("NFC", entry.artifact).casefold()
            here = f"{entry.kind}.{entry.name}"
            if file in taken:
                message = f"would write {entry.artifact}, which {taken[file]} writes too"
                self._report((entry.kind, entry.name), Code.ARTIFACT_COLLISION, message, "rename one of them")
            taken.setdefault(file, here)

    def _unused(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Patterns of overrides that select nothing."""
        names = [entry.name for entry in entries]
        for number, override in enumerate(self._data.get("overrides", [])):
            for index, pattern in enumerate(override["select"]):
                if not any(fnmatchcase(name, pattern) for name in names):
                    yield Problem(
                        code=Code.OVERRIDE_UNUSED,
                        message=f'"{pattern}" matches no function and no layer',
                        where=self._where(("overrides", number, "select", index)),
                        hint=did_you_mean(pattern, names),
                        severity="warning",
                    )


def _cascade(kind: Kind, name: str, own: Layer, document: Document) -> tuple[dict[str, Any], dict[str, Key]]:
    """The values that hold for an entry, nearest last, and where each was written. Tables merge by key."""
    layers: list[tuple[Key, _Model]] = [(("defaults",), document.defaults)]
    layers += [
        (("overrides", number), override)
        for number, override in enumerate(document.overrides)
        if any(fnmatchcase(name, pattern) for pattern in override.select)
    ]
    layers.append(((kind, name), own))
    values: dict[str, Any] = {}
    sources: dict[str, Key] = {}
    for place, layer in layers:
        given = layer.model_dump(exclude_unset=True, exclude_none=True)
        given.pop("select", None)
        for key, value in given.items():
            values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
            sources[key] = (*place, key)
    return values, sources


def _discard(data: Any, key: Key) -> None:
    """Remove one key from parsed TOML, so that the rest can be looked at."""
    for part in key[:-1]:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return
    if isinstance(data, dict):
        data.pop(key[-1], None)


_TYPES = {
    "string_type": "a string",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "float_type": "a number",
    "float_parsing": "a number",
}


def _translate(
    loc: tuple[str | int, ...], kind: str, context: Mapping[str, Any], value: object
) -> tuple[Key, Code, str, str | None]:
    """One of pydantic's faults in our words: key, code, message, hint."""
    key = loc
    if kind == "extra_forbidden":
        word = str(key[-1])
        known = list(_model_at(key[:-1]).model_fields)
        if word == "handler" and key[0] == "layers":
            return (
                key,
                Code.UNKNOWN_KEY,
                f"unknown key `{word}`",
                "a layer has no handler; functions do: [functions.NAME]",
            )
        nearest_known = did_you_mean(word, known) or f"known keys are {', '.join(known)}"
        return key, Code.UNKNOWN_KEY, f"unknown key `{word}`", nearest_known
    if kind == "missing":
        return key, Code.MISSING_KEY, f"`{key[-1]}` is missing", None
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", '"')
        words = re.findall(r'"([^"]+)"', expected)
        return (
            key,
            Code.INVALID_VALUE,
            f"must be {expected}, not {_shown(value)}",
            did_you_mean(str(value), words),
        )
    if kind == "greater_than":
        return key, Code.INVALID_VALUE, f"must be more than {context['gt']:g}, not {_shown(value)}", None
    if kind == "too_short":
        return key, Code.INVALID_VALUE, "must not be empty", None
    wanted = _TYPES.get(kind, "another value")
    hint = f"write [{_shown(value)}]" if wanted == "an array" and isinstance(value, str) else None
    return key, Code.INVALID_VALUE, f"must be {wanted}, not {_shown(value)}", hint


def _model_at(key: Key) -> type[BaseModel]:
    """The model that stands at a key of the file."""
    tables: dict[str, type[BaseModel]] = {
        "defaults": Common,
        "functions": Function,
        "layers": Layer,
        "overrides": Override,
    }
    if not key:
        return Document
    if key[-1] == "hooks":
        return Hooks
    return tables[str(key[0])]


def _shown(value: object) -> str:
    """A value as TOML would write it, or the word for its type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else "a date or time"


def _dotted(key: Key) -> str:
    """A key as TOML writes it: `functions.api.tags[0]`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text


def schema() -> dict[str, Any]:
    """The JSON schema of `bundles.toml`, for editors."""
    generated = Document.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bundles.toml",
        **{key: value for key, value in generated.items() if key != "title"},
    }
