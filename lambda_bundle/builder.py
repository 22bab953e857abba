"""Wheels of local projects, source archives and git repositories, built once for each content.

What is resolved and installed afterwards is the wheel, as if it had been asked for by its URL. It must be
pure: what is compiled on this host would not load on the target. Archives are made anew in one fixed form, so
that the same files are the same bytes, whatever built them and when.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name

from lambda_bundle import __version__, localwheel
from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.git import Repository
from lambda_bundle.local import Project, links, look, placed
from lambda_bundle.localwheel import Built, Prepare, Setting
from lambda_bundle.lock import Candidates, Origin, Source, Wheel
from lambda_bundle.once import Once
from lambda_bundle.process import mask
from lambda_bundle.projects import refreshing
from lambda_bundle.sdist import checked
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Local, Requirement, Requirements, file_path

_TAIL = 40
"""Lines of a failed build's output that an error shows."""
_TOLD = ("SETUPTOOLS_", "HATCH_", "PDM_BUILD_", "POETRY_", "PBR_", "VERSIONEER_", "FLIT_", "UV_DYNAMIC_")
"""How the variables begin that are known to change what a build gives: a version, most often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was read so far."""

    projects: dict[Path, str] = field(default_factory=dict)
    files: dict[Path, None] = field(default_factory=dict)


class Builder:
    """Builds what requirements name as sources, and keeps the wheels in the cache."""

    def __init__(self, cache: Cache, once: Once) -> None:
        self._cache, self._once = cache, once
        self._run = token_hex(8)
        self.grown = False
        """Whether anything was added to the cache."""

    def wheels(self, wanted: Requirements, setting: Setting) -> tuple[Requirements, Local]:
        """The requirements with wheels in the place of sources, and of the sources that those name in turn.

        Raises `BundleError` with every project that cannot be built.
        """
        found: dict[str, tuple[Source, Built]] = {}
        seen = _Seen()
        queue = list(wanted.sources)
        while queue:
            pairs, queue = self._build_all(queue, setting, seen), []
            for source, built in pairs:
                name = built.wheel.name
                first = found[name][0] if name in found else None
                if first is not None and _origin(first, setting) != _origin(source, setting):
                    raise _twice(name, first, source, setting)
                known = set(first.extras) if first is not None else set()
                merged = replace(first or source, extras=tuple(sorted({*known, *source.extras})))
                found[name] = merged, built
                if wanted.exact or (first is not None and set(source.extras) <= known):
                    continue
                queue += _required(merged, built, setting, seen)
        origins = {name: self._origin(*pair, setting) for name, pair in found.items()}
        _check_requires(origins.values(), setting)
        local = Local(projects=seen.projects, files=tuple(seen.files), origins=origins)
        return _with_wheels(wanted, found), local

    def _origin(self, source: Source, built: Built, setting: Setting) -> Origin:
        url = source.url or ""
        if url.startswith("git+"):
            repository = Repository.parse(url)
            commit = self._once.get("commit", url, lambda: repository.commit(setting.work))
            source = replace(source, url=f"git+{repository.url}@{commit}")
        elif url.startswith("file:"):
            digest = checked(Path(file_path(url)), source.hashes)
            source = replace(source, hashes=(f"sha256:{digest}",))
        return Origin(source=source, requires=tuple(sorted(built.requires)))

    def sdist(self, asked: Source, find: Callable[[], Source | None], setting: Setting) -> Built | None:
        """A wheel of the source distribution that `find` gives; None where that gives none.

        `asked` has its name, and the place that asks for it. Raises `BundleError`. Made in this thread, which
        has nothing else to do meanwhile.
        """
        problems: list[Problem] = []
        with _blaming(asked, setting, problems):
            source = find()
            if source is None:
                return None
            parts, prepare = self._prepared(source, setting, _Seen())
            return _named(asked, self._make(_key(setting, parts), setting, prepare, sdist=source))
        raise BundleError(*problems)

    def sdist_of(self, wheel: Wheel) -> Source | None:
        """The source distribution that a wheel in the cache was built of; None for every other wheel.

        It has no URL where the backend does not say one.
        """
        path = Path(file_path(wheel.url)) if wheel.url.startswith("file:") else None
        if path is None or not self._cache.holds(str(path)):
            return None
        return localwheel.sdist_of(path.parent, wheel.name)

    def _build_all(
        self, sources: Sequence[Source], setting: Setting, seen: _Seen
    ) -> list[tuple[Source, Built]]:
        """A wheel of each, built at once."""
        begun: list[tuple[Source, Future[Built]]] = []
        built: list[tuple[Source, Built]] = []
        problems: list[Problem] = []
        for source in sources:
            with _blaming(source, setting, problems):
                begun.append((source, self._begin(source, setting, seen)))
        for source, future in begun:
            with _blaming(source, setting, problems):
                built.append((source, _named(source, future.result())))
        if problems:
            raise BundleError(*dict.fromkeys(problems))
        return built

    def _begin(self, source: Source, setting: Setting, seen: _Seen) -> Future[Built]:
        parts, prepare = self._prepared(source, setting, seen)
        key = _key(setting, parts)
        return self._once.begin("wheel", key, lambda: self._make(key, setting, prepare))

    def _prepared(self, source: Source, setting: Setting, seen: _Seen) -> tuple[list[object], Prepare]:
        """What makes the content of a project what it is, and how to get at it."""
        if source.folder is not None:
            project = self._look(source.folder, setting)
            self._note(project, setting, seen)
            beside = self._beside(project, setting, seen)
            parts: list[object] = [project.digest, *([path, one.digest] for path, one in beside.items())]
            return parts, lambda folder, _: localwheel.copied(project, beside, folder)
        url = source.url or ""
        if url.startswith("git+"):
            repository = Repository.parse(url)
            commit = self._once.get("commit", url, lambda: repository.commit(setting.work))
            return [commit, source.subdirectory], lambda folder, work: localwheel.checked_out(
                repository, commit, source, folder, work
            )
        if not url.startswith("file:"):
            # Without a hash nobody knows what the address gives next time: the wheel serves this run only.
            known = list(source.hashes) or [mask(url), self._run]
            return [known, source.subdirectory], lambda folder, work: localwheel.fetched(
                source, setting, folder, work
            )
        archive = Path(file_path(url))
        seen.files[archive] = None
        digest = checked(archive, source.hashes)
        return [digest, source.subdirectory], lambda folder, _: localwheel.unpacked(archive, source, folder)

    def _note(self, project: Project, setting: Setting, seen: _Seen) -> None:
        """Remember what a project was like; what hooks have made of it comes from the original."""
        folder = setting.place.original(project.folder)
        with suppress(BundleError):  # it is no project before hooks have worked
            seen.projects[folder] = self._look(folder, setting).digest

    def _look(self, folder: Path, setting: Setting) -> Project:
        return self._once.get("project", str(folder), lambda: look(folder, skip=setting.skip))

    def _beside(self, project: Project, setting: Setting, seen: _Seen) -> dict[str, Project]:
        """The projects that this one names by path: some build backends look whether they are there."""
        found = {}
        for source in links(project.folder, setting.place, setting.target.markers).sources.values():
            if source.folder is not None and source.folder != project.folder and source.folder.is_dir():
                origins = setting.place.original(source.folder), setting.place.original(project.folder)
                path = localwheel.relative(*origins)
                if path is not None:
                    found[path] = self._look(source.folder, setting)
                    self._note(found[path], setting, seen)
        return dict(sorted(found.items()))

    def _make(self, key: str, setting: Setting, prepare: Prepare, *, sdist: Source | None = None) -> Built:
        path = self._cache.path("wheels", key)
        with self._cache.guarding():
            found = localwheel.read(path) if self._cache.use(path) else None
            if found is not None:
                return found
            self.grown = True
            with self._cache.making(path) as made:
                found = localwheel.read(path)  # another process may have been quicker
                if found is None:
                    localwheel.build(setting, prepare, made, sdist)
                    self._cache.keep(made, path)
                    found = localwheel.read(path)
        if found is None:
            raise self._cache.vanished(path)
        return found


def _key(setting: Setting, parts: list[object]) -> str:
    told = sorted(item for item in setting.work.environ.items() if item[0].startswith(_TOLD))
    text = json.dumps([__version__, setting.installer.name, told, parts])
    return hashlib.sha256(text.encode()).hexdigest()


def _required(source: Source, built: Built, setting: Setting, seen: _Seen) -> Iterator[Source]:
    """The sources that a wheel requires on the target."""
    told: Mapping[str, Source] = {}
    if source.folder is not None:
        found = links(source.folder, setting.place, setting.target.markers)
        told = found.sources
        seen.files.update(dict.fromkeys(found.files))
    for text in built.requires:
        try:
            declared = Declared(text)
        except InvalidRequirement:
            continue  # the backend says so, with the name of the wheel
        if not _holds(declared, source, setting.target):
            continue
        name = canonicalize_name(declared.name)
        extras = tuple(sorted(map(canonicalize_name, declared.extras)))
        baked = _baked(name, built, source, setting)
        where = baked if baked is not None else told.get(name)
        if where is not None and not (where.url or "").endswith(".whl"):
            yield replace(where, name=name, extras=extras)


def _holds(declared: Declared, source: Source, target: Target) -> bool:
    return declared.marker is None or any(
        declared.marker.evaluate({**target.markers, "extra": extra}) for extra in ("", *source.extras)
    )


def _baked(name: str, built: Built, source: Source, setting: Setting) -> Source | None:
    """What the metadata themselves say of where a dependency is."""
    place = built.links.get(name)
    if place is None:
        return None
    found = Source(name=name, where=source.where)
    if "://" in place:
        return replace(found, url=place)
    if source.folder is None:
        return None
    return placed(found, setting.place.resolve(source.folder, place))


def _origin(source: Source, setting: Setting) -> tuple[str, str | None]:
    """Where a source is, however it was written."""
    if source.folder is not None:
        return str(setting.place.original(source.folder).resolve()), None
    return source.url or "", source.subdirectory


def _named(source: Source, built: Built) -> Built:
    if source.name is not None and source.name != built.wheel.name:
        message = f"it is called {built.wheel.name}, and asked for as {source.name}"
        hint = "write the name that its pyproject.toml has"
        raise BundleError(Problem(code=Code.INVALID_REQUIREMENT, message=message, hint=hint))
    return built


def _check_requires(origins: Iterable[Origin], setting: Setting) -> None:
    """Raise `BundleError` for sources that ask for something else than when they were locked."""
    problems = [
        Problem(
            code=Code.LOCK_STALE,
            message=f"{source.where.file} is older than {_what(source, setting)}, which requires "
            "something else now",
            where=source.where,
            hint=refreshing(source.where.file or ""),
        )
        for source, requires in ((one.source, one.requires) for one in origins)
        if source.requires is not None and source.requires != requires
    ]
    if problems:
        raise BundleError(*problems)


def _with_wheels(wanted: Requirements, found: Mapping[str, tuple[Source, Built]]) -> Requirements:
    wheels = [(source, built.wheel) for source, built in found.values()]
    if wanted.exact:
        candidates = [
            Candidates(name=wheel.name, version=wheel.version, wheels=(wheel,)) for _, wheel in wheels
        ]
        return replace(wanted, sources=(), candidates=(*wanted.candidates, *candidates))
    requirements = [
        Requirement(
            name=wheel.name,
            specifier="",
            extras=source.extras,
            url=wheel.url,
            hashes=(f"sha256:{wheel.sha256}",),
            where=source.where,
        )
        for source, wheel in wheels
    ]
    return replace(wanted, sources=(), requirements=(*wanted.requirements, *requirements))


def _what(source: Source, setting: Setting) -> str:
    """What the user knows a source by."""
    if source.folder is not None:
        return setting.place.shown(source.folder) or "."
    url = source.url or source.name or ""
    return setting.place.shown(Path(file_path(url))) if url.startswith("file:") else mask(url)


@contextmanager
def _blaming(source: Source, setting: Setting, problems: list[Problem]) -> Iterator[None]:
    """Collect what is wrong with a source."""
    try:
        yield
    except BundleError as error:
        problems += _explained(error, source, setting)


def _explained(error: BundleError, source: Source, setting: Setting) -> Iterator[Problem]:
    """The problems with the place of the requirement, and the source that they are about."""
    what = _what(source, setting)
    for problem in error.problems:
        detail = problem.detail and "\n".join(problem.detail.splitlines()[-_TAIL:])
        message, file = problem.message, problem.where.file
        if problem.code is Code.COMMAND_FAILED and problem.hint is None:
            hint = _BUILD_HINT if source.folder is not None else _FOREIGN_HINT
            problem = replace(problem, hint=hint)  # noqa: PLW2901 - it is changed
        message = f"{what} cannot be built: {message if file is None else f'{file}: {message}'}"
        yield replace(problem, message=message, where=source.where, detail=detail)


_FOREIGN_HINT = "take a version that has wheels, or build a wheel of it elsewhere and name the path of that"
_BUILD_HINT = (
    "it is built in a copy, without .git and what is outside its folder; a version that comes from git can "
    "be given in `env`, as SETUPTOOLS_SCM_PRETEND_VERSION for example"
)


def _twice(name: str, first: Source, second: Source, setting: Setting) -> BundleError:
    message = f"{name} is asked for from two places: {_what(first, setting)} and {_what(second, setting)}"
    hint = "a function can have one of them: name the same place everywhere"
    return BundleError(Problem(code=Code.CONFLICT, message=message, where=second.where, hint=hint))
