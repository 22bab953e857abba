"""Would a tree load on its target? What is judged, and the judgement.

Nothing is executed. What is known of dependencies (files, metadata, binaries) comes with them and is only
judged here; what is read are the function's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from packaging.utils import canonicalize_name

from lambda_bundle import binaries, closure, hygiene
from lambda_bundle.contents import Contents
from lambda_bundle.elf import Binary
from lambda_bundle.errors import Code, Ignore, Problem
from lambda_bundle.imports import Judge
from lambda_bundle.installed import Distribution, read
from lambda_bundle.modules import Found, Root
from lambda_bundle.modules import Path as ImportPath
from lambda_bundle.reading import Desk, Reading, read_one, readings
from lambda_bundle.sets import DependencySet
from lambda_bundle.stage import folders_of
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is unpacked into one folder of Lambda's: the files of a function, or of a layer below python/."""

    name: str
    """Of the function or the layer."""
    files: frozenset[str]
    """Every path, with "/" between folders."""
    folders: frozenset[str]
    size: int
    """Bytes of all files."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    distributions: tuple[Distribution, ...] = ()
    owner: Callable[[str], str | None] = field(default=lambda _: None)
    """The distribution that brought a path, as in "numpy 2.3.5"; None: nobody knows, or none did."""
    locate: Callable[[str], Path | None] = field(default=lambda _: None)
    """Where a file is on disk, where that is at hand."""
    fetch: Callable[[str], bytes | None] = field(default=lambda _: None)
    """What is in any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is judged: a function with its layers, or a layer."""

    target: Target
    handler: str | None
    """None for a layer."""
    content: Content
    own: Mapping[str, Path]
    """The files that no distribution brought, and where they are on disk."""
    layers: tuple[Content, ...] = ()
    skipped: frozenset[str] = frozenset()
    """The names of distributions that the user leaves out."""

    @property
    def contents(self) -> tuple[Content, ...]:
        """In the order in which Python looks through them."""
        return (self.content, *self.layers)

    def owner(self, path: str) -> str | None:
        """The distribution that brought a path."""
        return next(
            (owner for one in self.contents if path in one.files and (owner := one.owner(path))), None
        )


def verify(subject: Subject, desk: Desk) -> tuple[Problem, ...]:
    """Everything that is to say of a function or a layer, in an order that does not change."""
    return tuple(_problems(subject, desk))


def _problems(subject: Subject, desk: Desk) -> Iterator[Problem]:
    content, target = subject.content, subject.target
    path = ImportPath([root for one in subject.contents for root in _roots(one, target)], target)
    code = {file: place for file, place in subject.own.items() if file.endswith(".py")}
    own = readings(code, target, desk, name=content.name)
    roots = [root.prefix for root in _roots(content, target)]
    judge = Judge(
        own,
        path,
        target,
        handler=subject.handler,
        roots=roots,
        skips=bool(subject.skipped),
        others=_reader(subject),
    )
    yield from judge.problems()
    yield from closure.judge(
        content.distributions,
        target,
        provided=[one for layer in subject.layers for one in layer.distributions],
        skipped=subject.skipped,
        importable=lambda name: path.find(name) is not None,
        optional=subject.handler is None,
    )
    yield from binaries.judge(
        content.binaries,
        target=target,
        files=frozenset().union(*(one.files for one in subject.contents)),
        owner=content.owner,
    )
    yield from hygiene.names(sorted(content.files))
    yield from hygiene.secrets(subject.own)


def site(target: Target) -> str:
    """The folder of a layer that only one version of Python looks into."""
    major, minor = target.version
    return f"lib/python{major}.{minor}/site-packages/"


def _roots(content: Content, target: Target) -> tuple[Root, ...]:
    """Where Python looks: in layers, the folder of the version comes before python/ itself."""
    root, versioned = Root(content.files, content.folders), site(target)
    if versioned.rstrip("/") in content.folders:
        return (Root(content.files, content.folders, prefix=versioned), root)
    return (root,)


def _reader(subject: Subject) -> Callable[[Found], Reading | None]:
    """Reads single files of dependencies and layers, each once."""

    @cache
    def of(path: str) -> Reading | None:
        for content in subject.contents:
            if path in content.files:
                file = content.locate(path)
                found = content.fetch(path) if file is None else file.read_bytes()
                return None if found is None else read_one(found, subject.target)
        return None

    return lambda found: of(found.path) if found.path.endswith(".py") else None


# --- what the user does not want to hear


def silence(
    problems: Iterable[Problem], ignore: Sequence[Ignore], owner: Callable[[str], str | None]
) -> tuple[Problem, ...]:
    """The problems without those that are to be ignored, and a warning for each entry that silences none.

    How large a zip is only shows when it is written, so that an entry about that is never in vain.
    """
    used = {entry for entry in ignore if entry.used}
    kept = []
    for problem in problems:
        file = problem.where.file
        hits = [entry for entry in ignore if entry.silences(problem, file and owner(file))]
        used.update(hits)
        if not hits:
            kept.append(problem)
    unused = (entry for entry in ignore if entry.own and entry not in used)
    return (*kept, *(_unused(entry) for entry in unused if entry.code is not Code.LARGE_UPLOAD))


def _unused(entry: Ignore) -> Problem:
    return Problem(
        code=Code.IGNORE_UNUSED,
        message=f'"{entry}" silences nothing',
        where=entry.where,
        hint="remove it: what it was for is gone, or it is spelled otherwise",
        severity="warning",
    )


# --- what a run is about to archive


def subject(contents: Contents, target: Target) -> Subject:
    """What is judged of an artifact for one of its targets.

    What hooks have changed of the dependencies is looked at anew, and is still theirs.
    """
    theirs = {f"{share.site}{path}" for share in contents.shares for path in share.found.files}
    return Subject(
        target=target,
        handler=contents.job.handler,
        content=_content(contents, target),
        own={path: file for path, file in contents.own.items() if path not in theirs},
        layers=tuple(_content(layer, target) for layer in contents.layers),
        skipped=frozenset(map(canonicalize_name, contents.job.selection.skip)),
    )


def _content(contents: Contents, target: Target) -> Content:
    share, own = contents.share(target), contents.own
    site, found = share.site, share.found
    kept = {path: file for one in contents.shares for path, file in one.files}
    files = frozenset({*kept, *own})
    others = tuple(one.site for one in contents.shares if one.site != site)
    mine = {path: file for path, file in own.items() if not path.startswith(others)} if others else own

    def owner(path: str) -> str | None:
        one = found.distribution(path.removeprefix(site))
        return None if one is None else f"{one.name} {one.version}"

    return Content(
        name=contents.job.name,
        files=files,
        folders=frozenset(folders_of(files)),
        size=sum(file.size for file in kept.values()) + sum(file.stat().st_size for file in own.values()),
        binaries={
            **{f"{site}{path}": one for path, one in found.binaries.items() if path in share.kept},
            **binaries.inspect(mine),
        },
        distributions=tuple(_left(found, {path.removeprefix(site): own.get(path) for path in files})),
        owner=owner,
        locate=own.get,
        fetch=lambda path: share.read(path.removeprefix(site)),
    )


def _left(found: DependencySet, files: Mapping[str, Path | None]) -> Iterator[Distribution]:
    """The distributions of which hooks have left something besides the metadata.

    One that has nothing else is there as long as its metadata is. `files` says where what they have changed
    is on disk.
    """
    infos = [f"{one.info}/" for one in found.distributions]
    code = {path: number for path, number in found.owners.items() if not path.startswith(infos[number])}
    left = {number for path, number in code.items() if path in files}
    bare = set(range(len(infos))) - set(code.values())
    for number, one in enumerate(found.distributions):
        metadata = f"{one.info}/METADATA"
        if number in left or (number in bare and metadata in files):
            changed = files.get(metadata)
            yield one if changed is None else read(one.info, changed, None)
