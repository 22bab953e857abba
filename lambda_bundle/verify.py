"""Would a tree load on its target? What is judged, and the judgement.

Nothing is executed. What is known of dependencies (files, metadata, binaries) comes with them and is only
judged here; what is read are the function's own files. What a dependency set is by itself is worked out once
for all that have it: a `Part` knows that.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name

from lambda_bundle import binaries, bytecode, closure, hygiene, reading
from lambda_bundle.contents import Contents, Share
from lambda_bundle.elf import Binary
from lambda_bundle.errors import Problem
from lambda_bundle.imports import Judge
from lambda_bundle.installed import Distribution, read
from lambda_bundle.modules import Found, Root
from lambda_bundle.modules import Path as ImportPath
from lambda_bundle.reading import Desk, Reading, readings
from lambda_bundle.scope import Scope
from lambda_bundle.sets import DependencySet
from lambda_bundle.stage import folders_of
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files that come together, and what is to say of them whatever lies beside them."""

    files: Collection[str]
    """Every path in the artifact or below python/, with "/" between folders."""
    folders: Collection[str]
    names: tuple[Problem, ...]
    """What Lambda cannot unpack of them."""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    is_sound: bool = False
    """Whether nothing is to say of the binaries even when the part is alone."""
    distributions: tuple[Distribution, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined(Collection[str]):
    """Several collections of paths as one, and no copy of them."""

    parts: tuple[Collection[str], ...]

    def __contains__(self, path: object) -> bool:
        for part in self.parts:  # noqa: SIM110 - imports are looked up here, and `any` takes twice as long
            if path in part:
                return True
        return False

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is unpacked into one folder of Lambda's: the files of a function, or of a layer below python/."""

    parts: tuple[Part, ...]
    """No file is in two of them."""
    owner: Callable[[str], str | None] = field(default=lambda _: None)
    """The distribution that brought a path, as in "numpy 2.3.5"; None: nobody knows, or none did."""
    read: Callable[[str], Reading | None] = field(default=lambda _: None)
    """What a source file defines and imports, where it is at hand; it is asked once for each."""

    @property
    def files(self) -> Collection[str]:
        """Every path."""
        return Joined(tuple(part.files for part in self.parts))

    @property
    def folders(self) -> Collection[str]:
        """Every folder; one that several parts have may come several times."""
        return Joined(tuple(part.folders for part in self.parts))

    @property
    def binaries(self) -> Mapping[str, Binary]:
        """Those of all parts."""
        return {path: one for part in self.parts for path, one in part.binaries.items()}

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        """Those of all parts."""
        return tuple(one for part in self.parts for one in part.distributions)

    @property
    def is_sound(self) -> bool:
        """Whether nothing can be to say of its binaries.

        More files that are no binaries only add to what a binary finds of what it needs; other binaries may
        need what was never looked at.
        """
        bringing = [part for part in self.parts if part.binaries]
        return not bringing or (len(bringing) == 1 and bringing[0].is_sound)


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
    roots = [root for one in subject.contents for root in _roots(one, target)]
    added, moved = _path_files(subject)
    path = ImportPath([*roots, *added], target)
    code = {file: place for file, place in subject.own.items() if file.endswith(".py")}
    scope = Scope(
        readings(code, target, desk),
        path,
        target,
        roots=[root.prefix for root in _roots(content, target)],
        others=_reader(subject),
    )
    judge = Judge(
        scope,
        handler=subject.handler,
        skips=bool(subject.skipped),
        moved=moved,
        provided={"distutils"} if any(f"{root.prefix}{_DISTUTILS}" in root.files for root in roots) else (),
        foreign=lambda found: subject.owner(found.path) is not None,
    )
    yield from judge.problems()
    yield from bytecode.judge(subject.own, content.files, target)
    yield from closure.judge(
        content.distributions,
        target,
        provided=[one for layer in subject.layers for one in layer.distributions],
        skipped=subject.skipped,
        importable=lambda name: path.find(name) is not None,
        optional=subject.handler is None,
    )
    if not content.is_sound:
        yield from binaries.judge(
            content.binaries,
            target=target,
            files=Joined(tuple(one.files for one in subject.contents)),
            owner=content.owner,
        )
    yield from sorted(
        (problem for part in content.parts for problem in part.names),
        key=lambda problem: problem.where.file or "",
    )
    yield from hygiene.secrets(subject.own)


def _roots(content: Content, target: Target) -> tuple[Root, ...]:
    """Where Python looks: in layers, the folder of the version comes before python/ itself."""
    root, versioned = Root(content.files, content.folders), target.site
    if versioned.rstrip("/") in content.folders:
        return (Root(content.files, content.folders, prefix=versioned), root)
    return (root,)


def _path_files(subject: Subject) -> tuple[list[Root], bool]:
    """The folders that the user's own .pth files add to the path, and whether they run code for it.

    Lambda heeds them as `site` does (https://docs.python.org/3/library/site.html).
    """
    content, found, runs = subject.content, list[Root](), False
    for root in _roots(content, subject.target):
        for path, file in subject.own.items():
            if not path.endswith(".pth") or posixpath.dirname(path) != root.prefix.rstrip("/"):
                continue
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                runs = runs or line.startswith(("import ", "import\t"))
                if line.strip() and not line.startswith(("#", "import ", "import\t", "/")):
                    folder = posixpath.normpath(posixpath.join(root.prefix, line.strip()))
                    found.append(Root(content.files, content.folders, prefix=f"{folder}/"))
    return found, runs


_DISTUTILS = "distutils-precedence.pth"
"""With this file, setuptools has `distutils` found in itself."""


def _reader(subject: Subject) -> Callable[[Found], Reading | None]:
    """Reads single files of dependencies and layers, each once."""

    @cache
    def of(path: str) -> Reading | None:
        return next((content.read(path) for content in subject.contents if path in content.files), None)

    return lambda found: of(found.path) if found.path.endswith(".py") else None


# --- what a run is about to archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """How to get at what many artifacts have in common."""

    part: Callable[[Share, Target], Part]
    """What a dependency set that is whole is by itself, as `part_of` says."""
    read: Callable[[Share, str, Target], Reading]
    """What a source file of a dependency set says, by its path in the set."""


def subject(contents: Contents, target: Target, shelf: Shelf) -> Subject:
    """What is judged of an artifact for one of its targets.

    What hooks have changed of the dependencies is looked at anew, and is still theirs.
    """
    return Subject(
        target=target,
        handler=contents.job.handler,
        content=_content(contents, target, shelf),
        own={
            path: file
            for path, file in contents.own.items()
            if not any(share.brought(path) for share in contents.shares) and not target.passes_over(path)
        },
        layers=tuple(_content(layer, target, shelf) for layer in contents.layers),
        skipped=frozenset(map(canonicalize_name, contents.job.selection.skip)),
    )


def _content(contents: Contents, target: Target, shelf: Shelf) -> Content:
    mine, own = contents.share(target), contents.own
    others = tuple(one.site for one in contents.shares if one.site != mine.site)
    parts = [
        shelf.part(share, target) if share.is_whole else part_of(share, target, own)
        for share in contents.shares
    ]

    def read_one(path: str) -> Reading | None:
        if path in own:
            return reading.read_one(own[path].read_bytes(), target)
        holder = next(share for share in contents.shares if share.holds(path))
        return shelf.read(holder, path[len(holder.site) :], target)

    return Content(parts=(_part(own, others), *parts), owner=mine.owner, read=read_one)


def _part(own: Mapping[str, Path], others: tuple[str, ...]) -> Part:
    """The files that are not as a dependency brought them; those in folders of `others` never load here."""
    return Part(
        files=own.keys(),
        folders=folders_of(own).keys(),
        names=tuple(hygiene.names(own)),
        binaries=binaries.inspect({path: file for path, file in own.items() if not path.startswith(others)}),
    )


def part_of(share: Share, target: Target, own: Mapping[str, Path] = MappingProxyType({})) -> Part:
    """The dependencies that are kept, at their place.

    `own` holds the files besides them: what is left of a distribution may be among these alone. Of what is
    for another target, only names count.
    """
    site, found = share.site, share.found
    plain = not site and share.is_whole
    files = found.files.keys() if plain else frozenset(path for path, _ in share.files)
    folders = found.folders.keys() if plain else folders_of(files).keys()
    names = tuple(hygiene.names(files))
    if share.target.runtime != target.runtime:
        return Part(files=files, folders=folders, names=names)
    theirs = {f"{site}{path}": one for path, one in found.binaries.items() if path in share.kept}
    changed = {path[len(site) :]: file for path, file in own.items() if path.startswith(site)}
    return Part(
        files=files,
        folders=folders,
        names=names,
        binaries=theirs,
        is_sound=not any(binaries.judge(theirs, target=target, files=files, owner=share.owner)),
        distributions=tuple(_left(found, {**dict.fromkeys(share.kept), **changed})),
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
