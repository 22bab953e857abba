"""`Config` + selection → `Job`s: every default filled in, every path absolute, the target resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lambda_bundle.config import Config
from lambda_bundle.entries import Entry, Packaging, artifact_name
from lambda_bundle.errors import BundleError, Code, Ignore, Problem, Where, did_you_mean
from lambda_bundle.indexes import NO_INDEX, Index
from lambda_bundle.positions import KeyPath
from lambda_bundle.targets import RUNTIMES, Target, lifecycle, newest

Format = Literal["zip", "dir"]
DEFAULT_OUTPUT = "dist"
_NAMES = 10
"""How many entries are named where something holds for many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dependencies an entry gets, as far as bundles.toml says."""

    packaging: Packaging | None = None
    requirements: str | None = None
    """The file to read, relative to bundles.toml or to the entry."""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    package: str | None = None
    skip: tuple[str, ...] = ()
    sdists: tuple[str, ...] = ()
    """What may be built from source, where it has no wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One artifact to build, independent of all others; picklable."""

    name: str
    kind: Literal["function", "layer"]
    root: Path
    """The folder of `bundles.toml`."""
    entry: str
    """The source folder as the user wrote it, relative to `root`."""
    handler: str | None
    target: Target
    """The only one, or the first of a layer with several runtimes."""
    backend: Literal["uv", "pip"]
    before: tuple[str, ...]
    after: tuple[str, ...]
    exclude: tuple[str, ...]
    include: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    format: Format
    timeout: float
    """Seconds that one command may take."""
    output: Path
    """The folder that the artifact goes into."""
    further: tuple[Target, ...] = ()
    """The targets for the other runtimes of a layer."""
    layers: tuple[Job, ...] = ()
    """The layers that a function is deployed with, in Lambda's order; whether or not they are built too."""
    selection: Selection = Selection()
    """Which dependencies, and what says so."""
    index: Index = NO_INDEX
    """Where packages come from, besides what requirements and the backend's own configuration say."""
    ignore: tuple[Ignore, ...] = ()
    """Findings to pass over."""
    warnings: tuple[Problem, ...] = ()
    """What the configuration gives rise to; without what is to be passed over."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target: the same architecture, and a runtime each."""
        return (self.target, *self.further)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes of the targets."""
        return tuple(target.runtime for target in self.targets)

    @property
    def sources(self) -> Path:
        """The source folder."""
        return self.root / self.entry

    @property
    def artifact(self) -> Path:
        """Where the artifact goes."""
        return self.output / artifact_name(self.name, self.format)

    @property
    def prefix(self) -> str:
        """What comes before every path in the artifact.

        Layers are unpacked to /opt, and Python looks into /opt/python
        (https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html).
        """
        return "python/" if self.kind == "layer" else ""

    def site(self, target: Target) -> str:
        """Where below the prefix the dependencies of a target go.

        With several runtimes each has its own folder; a runtime looks into its own and into python/
        (https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html).
        """
        return target.site if self.further else ""

    def serving(self, target: Target) -> Target:
        """The target of a layer for the runtime of a function's target."""
        return next(one for one in self.targets if one.runtime == target.runtime)


def plan(
    config: Config,
    only: Iterable[str] = ("*",),
    *,
    output: Path | None = None,
    format: Format | None = None,  # noqa: A002 - the key's and the option's name
    today: date | None = None,
) -> tuple[Job, ...]:
    """The jobs for the entries whose names match one of the patterns, in the order of the file.

    `output` is the folder for artifacts (default: dist beside the file); `format` overrides that of every
    entry; `today` decides which runtimes are deprecated. Raises `BundleError` for a pattern that matches
    nothing, and for an output folder in which artifacts could replace sources.
    """
    chosen = _select(config, list(only))
    folder = config.root / DEFAULT_OUTPUT if output is None else output.resolve()
    _check_output(config, folder)
    states = _states(config, today or date.today())  # noqa: DTZ011
    jobs = {
        entry.name: _job(config, entry, folder, format, states)
        for entry in config.entries
        if entry.kind == "layers"
    }
    return tuple(
        jobs.get(entry.name)
        or _job(config, entry, folder, format, states, layers=tuple(jobs[name] for name in entry.layers))
        for entry in chosen
    )


def _check_output(config: Config, folder: Path) -> None:
    """An artifact takes the place of what has its name: that must not be the user's own."""
    root, above = str(config.root), os.path.join(os.path.normcase(folder), "")  # noqa: PTH118 - as below
    known: dict[str, str] = {}
    sources = (os.path.join(root, entry.entry) for entry in config.entries)  # noqa: PTH118 - as below
    held = next(
        (one for one in (str(config.file), *sources) if _resolved(one, known).startswith(above)), None
    )
    if held is not None:
        message = f"{folder} cannot be the output folder: it holds {held}, which an artifact might replace"
        hint = "give a folder that holds artifacts and nothing else"
        raise BundleError(
            Problem(code=Code.INVALID_OPTION, message=message, where=Where(key="--output"), hint=hint)
        )


def _resolved(path: str, known: dict[str, str]) -> str:
    """Where a file or folder is, with a separator at the end; `known` has the folders that were looked at.

    With strings, and a look at each folder but once: for 1,000 entries `Path.resolve` takes a while.
    """
    folder, name = os.path.split(path)
    if name in {"", os.curdir, os.pardir} or os.path.islink(path):  # noqa: PTH114 - see above
        found = os.path.realpath(path)
    else:
        if folder not in known:
            known[folder] = os.path.realpath(folder)
        found = os.path.join(known[folder], name)  # noqa: PTH118 - see above
    return os.path.join(os.path.normcase(found), "")  # noqa: PTH118 - see above


def _select(config: Config, patterns: Sequence[str]) -> list[Entry]:
    names = [entry.name for entry in config.entries]
    problems = [
        Problem(
            code=Code.UNKNOWN_NAME,
            message=f'"{pattern}" matches no function and no layer',
            where=Where(file=config.file.name),
            hint="--only takes one name; give it once for each"
            if "," in pattern
            else did_you_mean(pattern, names) or f"the names are {', '.join(names)}",
        )
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    if problems:
        raise BundleError(*problems)
    return [
        entry for entry in config.entries if any(fnmatchcase(entry.name, pattern) for pattern in patterns)
    ]


def _job(
    config: Config,
    entry: Entry,
    output: Path,
    form: Format | None,
    states: Mapping[KeyPath, str],
    *,
    layers: tuple[Job, ...] = (),
) -> Job:
    targets = [_target(runtime, entry.arch, entry.tags) for runtime in entry.runtimes]
    found = dict.fromkeys(one for target in targets for one in _warnings(config, entry, target, states))
    ignore = [
        replace(one, used=any(one.silences(warning) for warning in found)) for one in _ignored(config, entry)
    ]
    return Job(
        name=entry.name,
        kind="function" if entry.kind == "functions" else "layer",
        root=config.root,
        entry=entry.entry,
        handler=entry.handler,
        target=targets[0],
        further=tuple(targets[1:]),
        layers=layers,
        backend=entry.backend,
        selection=Selection(
            packaging=entry.packaging,
            requirements=entry.requirements,
            groups=entry.groups,
            extras=entry.extras,
            package=entry.package,
            skip=entry.skip,
            sdists=entry.sdists,
        ),
        before=entry.before,
        after=entry.after,
        exclude=entry.exclude,
        include=entry.include,
        env=tuple(sorted(entry.env.items())),
        format=form or entry.format,
        timeout=entry.timeout,
        output=output,
        index=config.index,
        ignore=tuple(ignore),
        warnings=tuple(one for one in found if not any(entry.silences(one) for entry in ignore)),
    )


@lru_cache(256)
def _target(runtime: str, arch: str, tags: tuple[str, ...]) -> Target:
    """Jobs share their targets, and what follows from them is worked out once."""
    return Target(runtime, arch, tags)


def _ignored(config: Config, entry: Entry) -> Iterator[Ignore]:
    for number, text in enumerate(entry.ignore):
        place = entry.ignore_place(number)
        yield Ignore.parse(text, where=config.places[place], own=place[: len(entry.place)] == entry.place)


def _states(config: Config, today: date) -> dict[KeyPath, str]:
    """What AWS says of deprecated runtimes, by the places where they are written."""
    told: dict[KeyPath, str] = {}
    names: dict[KeyPath, list[str]] = {}
    for entry in config.entries:
        for runtime in entry.runtimes:
            state = lifecycle(runtime, today)
            if state is not None:
                place = entry.runtime_place(runtime)
                told[place] = str(state)
                if place[: len(entry.place)] != entry.place:  # it holds for several
                    names.setdefault(place, []).append(entry.name)
    for place, those in names.items():
        more = f" and {len(those) - _NAMES} more" if len(those) > _NAMES else ""
        told[place] += f"; it is that of {', '.join(those[:_NAMES])}{more}"
    return told


def _warnings(
    config: Config, entry: Entry, target: Target, states: Mapping[KeyPath, str]
) -> Iterator[Problem]:
    place = entry.runtime_place(target.runtime)
    if place in states:
        hint = f"move to a newer runtime; the newest is {newest()}"
        yield _warning(Code.DEPRECATED_RUNTIME, states[place], config.places[place], hint)
    if not entry.tags:
        return
    where = config.places[entry.written["tags"]]
    if any(tag.family == "musllinux" for tag in target.given):
        message = (
            "Lambda's CPython uses glibc: it never imports *-linux-musl.so, "
            "and an .abi3.so for musl fails to load"
        )
        hint = (
            "musllinux wheels serve there only where a package falls back to pure Python; "
            "prefer manylinux tags"
        )
        yield _warning(Code.MUSL_TAGS, message, where, hint)
    glibc = RUNTIMES[target.runtime].glibc
    beyond = [
        f"{tag.family}_{tag.major}_{tag.minor}"
        for tag in target.given
        if tag.family == "manylinux" and (tag.major, tag.minor) > (2, glibc)
    ]
    if beyond:
        message = f"{', '.join(beyond)} wheels may need a newer glibc than the 2.{glibc} of {target.runtime}"
        hint = "leave out `tags` to use those of the runtime"
        yield _warning(Code.TAGS_BEYOND_RUNTIME, message, where, hint)


def _warning(code: Code, message: str, where: Where, hint: str) -> Problem:
    return Problem(code=code, message=message, where=where, hint=hint, severity="warning")
