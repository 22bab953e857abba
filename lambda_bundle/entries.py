"""The functions and layers that a `bundles.toml` declares, with every value that holds for them.

Works on parsed TOML. What has been found faulty is passed over, and what follows from it is not told: one run
finds everything that there is to mend, and nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from lambda_bundle.checks import check_table, tag_fault
from lambda_bundle.errors import Code, did_you_mean
from lambda_bundle.findings import Findings, Table, quoted
from lambda_bundle.positions import KeyPath
from lambda_bundle.targets import MACHINES, RUNTIMES

Kind = Literal["functions", "layers"]
Packaging = Literal["uv", "poetry", "pipenv", "pdm", "pylock", "requirements", "project"]
FILE_NAME = "bundles.toml"
DEFAULT_TIMEOUT = 600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = {"manifest.json": "the manifest"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One function or layer with every value that holds for it: function > overrides > defaults."""

    kind: Kind
    name: str
    entry: str
    handler: str | None
    runtimes: tuple[str, ...]
    """One, and for a layer one or more."""
    arch: str
    tags: tuple[str, ...]
    backend: Literal["uv", "pip"]
    packaging: Packaging | None
    requirements: str | None
    groups: tuple[str, ...]
    extras: tuple[str, ...]
    package: str | None
    skip: tuple[str, ...]
    sdists: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    exclude: tuple[str, ...]
    include: tuple[str, ...]
    env: Mapping[str, str]
    format: Literal["zip", "dir"]
    timeout: float
    """Seconds that one command may take."""
    layers: tuple[str, ...] = ()
    """The names of the layers that a function is deployed with."""
    ignore: tuple[str, ...] = ()
    """Findings of the verification to pass over, as "code:pattern"."""
    written: Mapping[str, KeyPath]
    """Where in the file the value of each key comes from."""

    @property
    def place(self) -> KeyPath:
        """Where the entry itself is in the file."""
        return (self.kind, self.name)

    @property
    def places(self) -> Iterator[KeyPath]:
        """Where the entry, its values and its runtimes are in the file."""
        yield self.place
        yield from self.written.values()
        yield from (self.runtime_place(runtime) for runtime in self.runtimes)
        yield from (self.ignore_place(number) for number in range(len(self.ignore)))

    def runtime_place(self, runtime: str) -> KeyPath:
        """Where one of its runtimes is written."""
        several = self.written.get("runtimes")
        return (*several, self.runtimes.index(runtime)) if several else self.written["runtime"]

    def ignore_place(self, number: int) -> KeyPath:
        """Where one of the findings to pass over is written."""
        return (*self.written["verify"], "ignore", number)


MANIFEST = "manifest.json"
"""What lies beside artifacts, and lists them."""


def artifact_name(name: str, form: str) -> str:
    """The name of an entry's artifact."""
    return f"{name}.zip" if form == "zip" else name


def lock_name(name: str) -> str:
    """The name of the lock for the entry called `name` (PEP 751)."""
    return f"pylock.{name}.toml"


def gather(data: Table, root: Path, findings: Findings) -> tuple[Entry, ...]:
    """The entries in the order of the file; none when anything in it is wrong, which `findings` knows then.

    `root` is the folder that paths are relative to.
    """
    for place, table in _tables(data):
        check_table(place, table, root, findings)
    declared = sorted(_declared(data), key=lambda entry: findings.position(entry[0]))
    _check_names([place for place, _ in declared], findings)
    effective = [_Effective(place, own, data, findings) for place, own in declared]
    for one in effective:
        one.check(findings)
    _check_attached(effective, findings)
    if not declared and not findings:
        findings.add((), Code.MISSING_KEY, "there is no [functions.NAME] and no [layers.NAME]")
    return () if findings else tuple(one.entry() for one in effective)


def unused(data: Table, names: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    """The patterns of overrides that select nothing, and where they are; `data` has no fault."""
    for number, override in enumerate(data.get("overrides", [])):
        for index, pattern in enumerate(override["select"]):
            if not any(fnmatchcase(name, pattern) for name in names):
                yield ("overrides", number, "select", index), pattern


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def _declared(data: Table) -> Iterator[tuple[tuple[Kind, str], Table]]:
    kinds: tuple[Kind, ...] = ("functions", "layers")
    for kind in kinds:
        for name, own in _table(data.get(kind)).items():
            yield (kind, name), _table(own)


def _overrides(data: Table) -> Iterator[tuple[KeyPath, Table]]:
    overrides = data.get("overrides")
    for number, override in enumerate(overrides if isinstance(overrides, list) else []):
        yield ("overrides", number), _table(override)


def _tables(data: Table) -> Iterator[tuple[KeyPath, Table]]:
    """Every table that can hold values for entries."""
    yield ("defaults",), _table(data.get("defaults"))
    yield from _overrides(data)
    yield from _declared(data)


def _check_names(places: Iterable[tuple[Kind, str]], findings: Findings) -> None:
    """Names that differ only in case are one file on some systems, and `--format` can change every format."""
    taken = dict(_RESERVED)
    for kind, name in places:
        if not _NAME.fullmatch(name):
            hint = "it names a file: use letters, digits, and -, _ or . between them"
            message = f"{quoted(name)} cannot be the name of an artifact"
            findings.add((kind, name), Code.INVALID_VALUE, message, hint)
            continue
        files = [artifact_name(name, form) for form in ("zip", "dir")]
        clash = next((file for file in files if file.casefold() in taken), None)
        if clash:
            message = f"{clash} would be an artifact of this and of {taken[clash.casefold()]}"
            if taken[clash.casefold()] in _RESERVED.values():
                message = f"{clash} is {taken[clash.casefold()]}, and would be an artifact too"
            findings.add((kind, name), Code.ARTIFACT_COLLISION, message, "rename one of them")
        for file in files:
            taken.setdefault(file.casefold(), f"{kind}.{name}")


def _check_attached(effective: Sequence[_Effective], findings: Findings) -> None:
    """The layers of each function: they must be there, and fit it."""
    layers = {one.name: one for one in effective if one.kind == "layers"}
    functions = {one.name: one for one in effective if one.kind == "functions"}
    faulty = findings.faulty.copy()
    for function in functions.values():
        for key, name in function.attached():
            if not isinstance(name, str) or faulty & {key, ("layers",), ("layers", name)}:
                continue
            if name in layers:
                layers[name].check_serves(function, key, findings)
                continue
            hint = did_you_mean(name, layers) or (
                f"the layers are {', '.join(layers)}" if layers else "declare it: [layers.NAME]"
            )
            if name in functions:
                hint = f"{name} is a function; layers are declared in [layers.NAME]"
            findings.add(key, Code.UNKNOWN_NAME, f"there is no layer called {quoted(name)}", hint)


class _Effective:
    """The values that hold for an entry, from defaults, overrides and its own table; the nearest wins."""

    def __init__(self, place: tuple[Kind, str], own: Table, data: Table, findings: Findings) -> None:
        self._place = place
        self._values: dict[str, Any] = {}
        self._written: dict[str, KeyPath] = {}
        self._sources: list[KeyPath] = []
        self._apply(("defaults",), _table(data.get("defaults")), findings)
        for key, override in _overrides(data):
            applies = _selects(override, place[1])
            if applies is not False:
                self._apply(key, override, findings, known=applies is True)
        self._apply(place, own, findings)
        if "runtimes" in own and "runtime" in own:
            message = "`runtime` and `runtimes` contradict each other"
            findings.add((*place, "runtimes"), Code.INVALID_VALUE, message, "write one of them")
        elif "runtimes" in own:  # those of the layer itself come before one from elsewhere
            self._values.pop("runtime", None)
            self._written.pop("runtime", None)

    @property
    def kind(self) -> Kind:
        """Whether it is a function or a layer."""
        return self._place[0]

    @property
    def name(self) -> str:
        """Its name."""
        return self._place[1]

    def attached(self) -> Iterator[tuple[KeyPath, object]]:
        """The names of its layers, and where they are written."""
        for index, name in enumerate(self._values.get("layers", ())):
            yield (*self._written["layers"], index), name

    def _runtimes(self) -> list[tuple[KeyPath, str]]:
        """Its runtimes, as far as they are without fault, and where they are written."""
        written, values = self._written, self._values
        several = [
            ((*written["runtimes"], index), one) for index, one in enumerate(values.get("runtimes", ()))
        ]
        single = [(written["runtime"], values["runtime"])] if "runtime" in values else []
        return [(key, one) for key, one in several or single if isinstance(one, str) and one in RUNTIMES]

    def check_serves(self, function: _Effective, key: KeyPath, findings: Findings) -> None:
        """Whether this layer is for the runtime and architecture of a function, which names it at a key."""
        if any(one.is_doubtful(what, findings) for one in (self, function) for what in ("runtime", "arch")):
            return
        mine = [runtime for _, runtime in self._runtimes()]
        for _, runtime in function._runtimes():
            if mine and runtime not in mine:
                message = (
                    f"layer {self.name} is for {' and '.join(mine)}, "
                    f"and {'.'.join(function._place)} runs on {runtime}"
                )
                hint = (
                    f"write `runtimes = [{', '.join(map(quoted, [*mine, runtime]))}]` in [layers.{self.name}]"
                )
                findings.add(key, Code.LAYER_MISMATCH, message, hint)
        arch, other = self._values.get("arch"), function._values.get("arch")
        if arch in MACHINES and other in MACHINES and arch != other:
            message = f"layer {self.name} is for {arch}, and {'.'.join(function._place)} runs on {other}"
            hint = "a layer is for one architecture: declare another layer for this one"
            findings.add(key, Code.LAYER_MISMATCH, message, hint)

    def _apply(self, place: KeyPath, table: Table, findings: Findings, *, known: bool = True) -> None:
        self._sources.append(place)
        for key, value in table.items():
            if key == "select":
                continue
            self._written[key] = (*place, key)
            below = self._values.pop(key, None)
            if known and (*place, key) not in findings.faulty:  # otherwise nobody can tell what holds
                merge = isinstance(value, dict) and isinstance(below, dict)
                self._values[key] = {**below, **value} if merge else value

    def check(self, findings: Findings) -> None:
        """What only shows when the values come together."""
        for key in ("runtime", "arch"):
            if key == "runtime" and "runtimes" in self._written:
                continue
            if key not in self._written and not self.is_doubtful(key, findings):
                hint = "set it here or in [defaults]"
                findings.add((*self._place, key), Code.MISSING_KEY, f"`{key}` is missing", hint)
        arch = self._values.get("arch")
        if arch in MACHINES:
            self._check_arch(arch, findings)
            self._check_tags(arch, findings)

    def is_doubtful(self, key: str, findings: Findings) -> bool:
        """Whether a fault elsewhere keeps one from telling what holds for a key."""
        doubtful = findings.faulty | findings.meant
        places = [("overrides",), *self._sources, *((*source, key) for source in self._sources)]
        several = (*self._place, "runtimes")
        return any(place in doubtful for place in places) or (
            key == "runtime" and any(one[: len(several)] == several for one in doubtful)
        )

    def _check_arch(self, arch: str, findings: Findings) -> None:
        for _, name in self._runtimes():
            runtime = RUNTIMES[name]
            if arch not in runtime.archs:
                message = f"{runtime.name} does not exist on {arch}"
                hint = f"it exists on {', '.join(runtime.archs)}"
                findings.add(self._written["arch"], Code.UNSUPPORTED_ARCHITECTURE, message, hint)

    def _check_tags(self, arch: str, findings: Findings) -> None:
        for index, tag in enumerate(self._values.get("tags", [])):
            key = (*self._written["tags"], index)
            fault = tag_fault(tag, arch) if isinstance(tag, str) else None
            if fault is not None and key not in findings.faulty:
                message = f"{quoted(tag)} cannot be a platform tag of {'.'.join(self._place)}: {fault}"
                findings.add(key, Code.INVALID_TAG, message)

    def entry(self) -> Entry:
        """The entry; nothing in the file is wrong."""
        kind, name = self._place
        values = self._values
        hooks, verify = values.get("hooks", {}), values.get("verify", {})
        return Entry(
            kind=kind,
            name=name,
            entry=values["entry"],
            handler=values.get("handler"),
            runtimes=tuple(runtime for _, runtime in self._runtimes()),
            arch=values["arch"],
            tags=tuple(values.get("tags", ())),
            backend=values.get("backend", "uv"),
            packaging=values.get("packaging"),
            requirements=values.get("requirements"),
            groups=tuple(values.get("groups", ())),
            extras=tuple(values.get("extras", ())),
            package=values.get("package"),
            skip=tuple(values.get("skip", ())),
            sdists=tuple(values.get("sdists", ())),
            before=tuple(hooks.get("before", ())),
            after=tuple(hooks.get("after", ())),
            exclude=tuple(values.get("exclude", ())),
            include=tuple(values.get("include", ())),
            env=values.get("env", {}),
            format=values.get("format", "zip"),
            timeout=float(values.get("timeout", DEFAULT_TIMEOUT)),
            layers=tuple(values.get("layers", ())) if kind == "functions" else (),
            ignore=tuple(verify.get("ignore", ())),
            written=self._written,
        )


def _selects(override: Table, name: str) -> bool | None:
    """Whether an override is for a name; None when its patterns are faulty, so that nobody can tell."""
    patterns = override.get("select")
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        return None
    return any(fnmatchcase(name, pattern) for pattern in patterns)
