"""The uv backend.

`uv pip compile` knows markers and versions, but its list of platforms is short (there is no glibc 2.26) and
holds one family at a time. It is therefore asked for a little too much, and the wheels are chosen here, by
the target's own ordered tags; a version without a fitting wheel is excluded and the question asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.version import Version

from lambda_bundle.errors import BundleError
from lambda_bundle.installed import empty
from lambda_bundle.installers import (
    ODD_FILE,
    Asked,
    Work,
    allowed_hashes,
    archive_line,
    conflict,
    exclusions,
    hash_missing,
    hash_unclear,
    index_lines,
    no_fit,
    not_found,
    refuse_misfits,
    source_only,
    unnamed,
    unusable,
)
from lambda_bundle.lock import Candidates, Source, Unfit, Wheel, pick, promised
from lambda_bundle.process import Completed
from lambda_bundle.targets import Target
from lambda_bundle.uv_commands import (
    BUILD,
    PERMISSIVE,
    build_arguments,
    by_family,
    compile_arguments,
    environment,
    fetch_arguments,
    from_sources,
    install_arguments,
    listing_arguments,
    lock_lines,
    pinned_lines,
    reach,
)
from lambda_bundle.uv_output import (
    NO_SUCH_VERSION,
    NO_WHEEL,
    UNKNOWN,
    blame,
    candidates,
    failure,
    has_no_wheels,
    is_for_the_host,
    is_offline,
    is_unsolvable,
    newest_version,
    oldest_python,
    one_line,
    without_warnings,
    yanked,
)
from lambda_bundle.wanted import NO_REQUIREMENTS, Requirements

_FIRST = "--index-strategy"
"""uv's hint at versions in another index than the first that has the package."""
_ANYWHERE = ["--index-strategy", "unsafe-best-match"]
"""Which lets a package come from any of the indexes, not only from the first that has it."""
_CHOICE = ("UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_OVERRIDE")
"""Variables that uv refuses beside a lock; what they say was heard when the wheels were chosen."""


class Uv:
    """Resolve and install with the uv that is our own dependency."""

    name = "uv"

    def __init__(self, command: str) -> None:
        self._command = command

    def resolve(
        self, wanted: Requirements, target: Target, work: Work, unfit: tuple[Unfit, ...]
    ) -> tuple[Wheel, ...]:
        """See `Installer.resolve`."""
        refuse_misfits(wanted, target)
        allowed = allowed_hashes(wanted)
        wheels = self._at_hand(wanted, target, work, unfit, allowed)
        if wheels is None:
            wheels = self._chosen(wanted, target, work, unfit, allowed)
        _check_hashes(wheels, wanted, allowed)
        return wheels

    def _at_hand(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
        allowed: Mapping[str, tuple[str, ...]],
    ) -> tuple[Wheel, ...] | None:
        """What uv's cache alone resolves to, where every package is pinned: no index could say otherwise."""
        pinned = {one.name for one in wanted.requirements}
        if not all(one.is_pinned and one.url is None for one in wanted.requirements):
            return None
        completed, found = self._compile(wanted, target, work, unfit, UV_OFFLINE="1")
        if found is None or not all(one.name in pinned for one in found):
            return None
        wheels, misfits = pick(found, target, allowed)
        return None if misfits else _marked(wheels, completed)

    def _chosen(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
        allowed: Mapping[str, tuple[str, ...]],
    ) -> tuple[Wheel, ...]:
        """What uv resolves to, asked again until all that it chooses fits."""
        while True:
            completed, found = self._compile(wanted, target, work, unfit)
            if found is None:
                raise self._diagnose(completed, wanted, target, work, unfit)
            wheels, misfits = pick(found, target, allowed)
            if not misfits:
                return _marked(wheels, completed)
            unfit = (*unfit, *misfits)
            if any(one.hashes for one in misfits):
                raise no_fit(misfits, wanted, target)

    def install(
        self,
        wheels: tuple[Wheel, ...],
        wanted: Requirements,
        target: Target,
        into: Path,
        work: Work,
        *,
        at_hand: Collection[str] = (),
    ) -> None:
        """See `Installer.install`; one command for each family of platforms.

        Whatever an index says of how long its files are good, a wheel whose hash is known is not fetched
        again when uv has it.
        """
        work = work.without(*_CHOICE)
        reach = self._reach(wanted, work)  # where a wheel is, is known, but not with which credentials
        allowed = allowed_hashes(wanted)

        done: list[tuple[str, Sequence[Wheel], dict[str, str]]] = []

        def run(family: str, some: Sequence[Wheel], environ: Mapping[str, str]) -> Completed:
            place = PERMISSIVE[family].format(machine=target.machine)
            name = work.write(f"pylock.{family}.toml", lock_lines(some, allowed))
            arguments = install_arguments(target, place, into, name, options=wanted.options)
            return self._run(arguments, wanted, work, **reach, **environ)

        def attempt(family: str, some: Sequence[Wheel], **environ: str) -> Completed:
            completed = run(family, some, environ)
            if completed.code:
                # What was begun would pass for installed: nothing of it may stay.
                empty(into)
                for one in done:
                    if (again := run(*one)).code:
                        raise failure(again, wanted)
            else:
                done.append((family, some, environ))
            return completed

        for family, members in by_family(wheels).items():
            certain = all(promised(wheel, allowed) for wheel in members)
            if certain and attempt(family, members, UV_OFFLINE="1").code == 0:
                continue
            there = [wheel for wheel in members if certain and wheel.url in at_hand]
            rest = [wheel for wheel in members if wheel not in there]
            if not there or not rest or attempt(family, there, UV_OFFLINE="1").code:
                rest = members
            completed = attempt(family, rest)
            if completed.code:
                raise failure(completed, wanted)

    def sdist(
        self, name: str, asked: Asked, wanted: Requirements, target: Target, work: Work
    ) -> Source | None:
        """See `Installer.sdist`; uv chooses it with everything else that is required in view."""
        completed, found = self._compile(wanted, target, work, (), sources=asked)
        if found is None:
            if is_unsolvable(completed.output):
                return None
            raise failure(completed, wanted)
        sources = {one.name: one.sdist for one in found}
        source = sources.get(name)
        return source and replace(source, hashes=allowed_hashes(wanted).get(name, source.hashes))

    def fetch(self, source: Source, into: Path, wanted: Requirements, target: Target, work: Work) -> Path:
        """See `Installer.fetch`; it is built on the way, and what is installed is a wheel unpacked."""
        if source.name is None:
            raise unnamed(source)
        reach = self._reach(wanted, work)
        work.write("sdist.txt", [archive_line(source)])
        arguments = fetch_arguments(source.name, into / "tree", options=wanted.options)
        # For `Requires-Python` alone: the Python that builds is this one, and a wheel may be for it alone.
        told = ["--python-version", target.full_version]
        completed = self._run([*arguments, *told], wanted, work, **reach, **BUILD)
        if is_for_the_host(completed.output):  # what is wrong with it is told with more of it in view
            completed = self._run(arguments, wanted, work, **reach, **BUILD)
        if completed.code:
            raise failure(completed, NO_REQUIREMENTS)
        return into / "tree"

    def build(self, project: Path, into: Path, wanted: Requirements, work: Work) -> None:
        """See `Installer.build`."""
        reach = self._reach(wanted, work)
        arguments = build_arguments(project, into, options=wanted.options)
        completed = self._run(arguments, wanted, work, **reach, **BUILD)
        if completed.code:
            raise failure(completed, NO_REQUIREMENTS)

    def _run(self, arguments: list[str], wanted: Requirements, work: Work, **environ: str) -> Completed:
        # As in pip, the --index-url of a requirements file outdoes the environment; it may hold a password.
        if wanted.options.index_url:
            environ["UV_DEFAULT_INDEX"] = wanted.options.index_url
        if any(one.url and "?" in one.url for one in wanted.requirements):
            # A query most often is a secret, and uv notes it in its cache, readable for everyone.
            environ["UV_CACHE_DIR"] = str(work.folder / "uv-cache")
        # One after the other: where two wheels bring the same path, uv's threads race for it.
        return work.run([self._command, *arguments], **environ, UV_CONCURRENT_INSTALLS="1")

    def _reach(self, wanted: Requirements, work: Work) -> dict[str, str]:
        """The variables that name the indexes of the requirements; those of the project are written down."""
        work.write("pyproject.toml", ["[tool.uv]", *wanted.options.uv])
        return reach(wanted.options, work.environ)

    def _compile(
        self,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: Iterable[Unfit],
        *,
        sources: Iterable[str] = (),
        **environ: str,
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        lines = [one.line for one in wanted.requirements]
        constraints = [*(one.line for one in wanted.constraints), *exclusions(unfit)]
        return self._ask(
            lines,
            wanted,
            work,
            constraints=constraints,
            arguments=[
                *compile_arguments(target, wanted.options),
                *(["--no-deps"] if wanted.exact else []),
                *(_ANYWHERE if _is_bound(wanted) and "UV_INDEX_STRATEGY" not in work.environ else []),
                *from_sources(sources),
                # An option outdoes the variable, and constraints of our own there are always.
                *(f"--constraints={path}" for path in work.environ.get("UV_CONSTRAINT", "").split()),
            ],
            environments=[environment(target)],
            markers=target.markers,
            **environ,
        )

    def _list(
        self, asked: str, wanted: Requirements, work: Work
    ) -> tuple[Completed, tuple[Candidates, ...] | None, str]:
        """One package with all its wheels, whatever they are for, and the oldest Python that it admits."""
        tried, python = "", "2.7"
        while True:
            arguments = listing_arguments(wanted.options, python)
            completed, found = self._ask([asked], wanted, work, arguments=arguments)
            # Every Python from this one on must do for the package: else begin with the oldest that does.
            oldest = oldest_python(completed.output)
            if found is not None or oldest is None or oldest in {tried, python}:
                return completed, found, python
            tried, python = python, oldest

    def _ask(
        self,
        lines: Iterable[str],
        wanted: Requirements,
        work: Work,
        *,
        arguments: list[str],
        markers: Mapping[str, str] | None = None,
        constraints: Iterable[str] = (),
        environments: Iterable[str] = (),
        **environ: str,
    ) -> tuple[Completed, tuple[Candidates, ...] | None]:
        lines = tuple(lines)
        work.write("requirements.in", [*index_lines(wanted.options), *lines])
        work.write("constraints.txt", constraints)
        # A project of its own: nothing leaks in from the [tool.uv] of the folder that we are called from, and
        # `environments` makes a universal resolution one for exactly this target.
        settings = ["[tool.uv]", f"environments = {json.dumps(list(environments))}", *wanted.options.uv]
        work.write("pyproject.toml", [*settings, *pinned_lines(lines, wanted.options)])
        (work.folder / "pylock.toml").unlink(missing_ok=True)
        if work.refresh and not work.offline and "UV_OFFLINE" not in environ:
            arguments = [*arguments, "--refresh"]
        completed = self._run(arguments, wanted, work, **environ)
        if completed.code:
            return replace(completed, output=without_warnings(completed.output)), None
        return completed, tuple(candidates(work.folder / "pylock.toml", markers))

    def _diagnose(
        self,
        completed: Completed,
        wanted: Requirements,
        target: Target,
        work: Work,
        unfit: tuple[Unfit, ...],
    ) -> BundleError:
        """The error that a failed resolution means."""
        told = one_line(completed.output)
        if not is_unsolvable(told) or is_offline(told) or ODD_FILE.search(told):
            return failure(completed, wanted)
        if unfit:
            return no_fit(unfit, wanted, target)
        if blamed := blame(NO_WHEEL, told):
            return self._wheelless(blamed, wanted, target, work)
        if blamed := blame(UNKNOWN, told):
            return not_found(blamed["name"] or blamed["same"], wanted)
        if blamed := blame(NO_SUCH_VERSION, told):
            name = blamed["name"]
            offered = self._offered(name, wanted, work)
            asked = f"{name}{blamed['asked']}".rstrip(".,")
            first = _FIRST in told
            return not_found(name, wanted, asked=asked, offered=offered, first=first)
        return conflict(completed.output.strip())

    def _wheelless(
        self, blamed: re.Match[str], wanted: Requirements, target: Target, work: Work
    ) -> BundleError:
        """Tell a package that has only sources from one whose wheels are for other targets."""
        name, version = blamed["name"], blamed["version"]
        completed, listed, oldest = self._list(f"{name}{blamed['range'] or ''}", wanted, work)
        if has_no_wheels(completed.output):
            return source_only(name, version or self._offered(name, wanted, work), wanted, target)
        packages = listed or ()  # nothing, where all are for Python 2
        version = max((one.version for one in packages), key=Version, default=version)
        files = [wheel.filename for one in packages if one.version == version for wheel in one.wheels]
        python = blamed["python"] and blamed["python"].rstrip(",")
        if python is None and Version(oldest) > Version(target.full_version):
            python = f">={oldest}"  # uv blames the tags of the wheels alone
        unfit = unusable(name, version or "", files, python=python, target=target)
        return no_fit([unfit], wanted, target)

    def _offered(self, name: str, wanted: Requirements, work: Work) -> str | None:
        """The newest version that an index has, wheel or not: asking for a newer one makes uv tell."""
        completed, *_ = self._list(f"{name}>=999999", wanted, work)
        return newest_version(name, completed.output)


def _is_bound(wanted: Requirements) -> bool:
    """Whether a lock says which files may come, so that it does not matter which index has them."""
    return wanted.exact and all(one.url or (one.is_pinned and one.hashes) for one in wanted.requirements)


def _marked(wheels: Iterable[Wheel], completed: Completed) -> tuple[Wheel, ...]:
    """The wheels, with what uv says of those that were withdrawn."""
    reasons = yanked(completed.output)
    return tuple(replace(wheel, yanked=reasons.get(wheel.name)) for wheel in wheels)


def _check_hashes(
    wheels: Iterable[Wheel], wanted: Requirements, allowed: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse what is not listed where all must be, and alternatives that uv cannot tell apart.

    A lock has room for one hash of a kind, and with a URL uv wants all that stand behind it to be true.
    """
    missing = [one for one in wheels if one.name not in allowed] if wanted.options.require_hashes else []
    if missing:
        raise hash_missing(f"{one.name}=={one.version}" for one in missing)
    unclear = [one for one in wheels if len(promised(one, allowed)) > 1]
    if unclear:
        raise hash_unclear(unclear, wanted)
