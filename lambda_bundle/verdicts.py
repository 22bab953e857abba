"""Verdicts: what was judged once is not judged again, in this run or in a later one.

A verdict follows from the content of the function's own files, from its dependency sets and layers, from the
target and the few settings that count, and from the versions of what judges. It is kept by a digest of all
that; so a function that has not changed needs neither its files read nor the modules that judge loaded.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from lambda_bundle import __version__
from lambda_bundle.cache import Cache
from lambda_bundle.contents import Contents, Share
from lambda_bundle.errors import Problem
from lambda_bundle.jobs import Job
from lambda_bundle.once import Once
from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.stamps import look, stamp
from lambda_bundle.targets import Target

if TYPE_CHECKING:
    from lambda_bundle.reading import Reading
    from lambda_bundle.verify import Part

KIND = "verdicts"


class Verdicts:
    """What all jobs of a run judge with, and what they and earlier runs know already."""

    def __init__(
        self,
        cache: Cache,
        *,
        children: Children,
        environ: Mapping[str, str],
        scratch: Path,
        processes: Processes,
    ) -> None:
        """`scratch` is a folder for temporary files."""
        self._cache, self._once = cache, Once()
        self._children, self._environ, self._scratch = children, environ, scratch
        self._processes = processes

    def of(self, contents: Contents, target: Target) -> tuple[Problem, ...]:
        """Everything that is to say of an artifact on one of its targets, as `verify` says it."""
        held = [self._once.get("held", one.job, partial(_held, one)) for one in (contents, *contents.layers)]
        key = _key(contents.job, target, held)
        return self._once.get(KIND, key, lambda: self._get(key, contents, target))

    def _get(self, key: str, contents: Contents, target: Target) -> tuple[Problem, ...]:
        path = self._cache.path(KIND, f"{key}.json")
        kept = self._kept(path)
        if kept is None:
            kept = self._judge(contents, target)
            # What was read may be newer than what was seen.
            if all(map(_is_as_seen, (contents, *contents.layers))):
                with suppress(OSError):  # it can be judged again next time
                    self._cache.write(path, [asdict(problem) for problem in kept])
        else:
            with suppress(OSError):
                self._cache.use(path)
        return kept

    def _kept(self, path: Path) -> tuple[Problem, ...] | None:
        """What was judged before; None where there is nothing, or something else."""
        try:
            return tuple(map(Problem.of, self._cache.read(path)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _judge(self, contents: Contents, target: Target) -> tuple[Problem, ...]:
        from lambda_bundle.reading import Desk  # noqa: PLC0415 - a run in which nothing changed goes without
        from lambda_bundle.verify import Shelf, subject, verify  # noqa: PLC0415 - the same

        desk = Desk(
            children=self._children,
            environ=self._environ,
            scratch=self._scratch,
            processes=self._processes,
        )
        shelf = Shelf(part=self._part, read=self._reading)
        return verify(subject(contents, target, shelf), desk)

    def _part(self, share: Share, target: Target) -> Part:
        from lambda_bundle.verify import part_of  # noqa: PLC0415 - see above

        key = (share.found.key, share.site, share.target, target)
        return self._once.get("part", key, lambda: part_of(share, target))

    def _reading(self, share: Share, path: str, target: Target) -> Reading:
        from lambda_bundle.reading import read_one  # noqa: PLC0415 - see above

        key = (share.found.key, path, target)
        return self._once.get("reading", key, lambda: read_one(share.read(path), target))


def _key(job: Job, target: Target, held: list[Any]) -> str:
    """A digest of all that a verdict follows from; no absolute path is in it, and no name of a function.

    `held` says what the artifact and its layers hold.
    """
    parts = [
        [__version__, _ruff(), sys.version_info[:3]],
        [target.runtime, target.full_version, target.arch, target.platforms],
        job.handler,
        sorted(map(canonicalize_name, job.selection.skip)),
        held,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _held(contents: Contents) -> list[Any]:
    """What makes two artifacts hold the same files; sources that no hook has worked on were read already."""
    seen = {} if _is_hooked(contents) else contents.seen
    own = [[path, (seen.get(path) or look(file)).sha256] for path, file in sorted(contents.own.items())]
    shares = [
        [share.target.runtime, share.site, share.found.key, sorted(share.changed)]
        for share in contents.shares
    ]
    return [own, shares]


def _is_hooked(contents: Contents) -> bool:
    return bool(contents.job.before or contents.job.after)


@cache
def _ruff() -> str:
    """The version of ruff; looking for it takes longer than what is asked of it here."""
    return version("ruff")


def _is_as_seen(contents: Contents) -> bool:
    """Whether the sources are still as they were when they were hashed; what hooks leave is ours alone."""
    seen = contents.seen
    try:
        return _is_hooked(contents) or all(
            stamp(file) == seen[path].stamp for path, file in contents.own.items()
        )
    except OSError:
        return False
