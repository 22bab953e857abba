"""Whether distributions have on the target what their metadata asks for: a Python, and other distributions.

The fields are those of the core metadata (https://packaging.python.org/en/latest/specifications/core-metadata/).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.installed import Distribution
from lambda_bundle.targets import Target

RUNTIME_DISTRIBUTIONS = frozenset(
    {
        *(
            "awslambdaric",
            "boto3",
            "botocore",
            "jmespath",
            "python-dateutil",
            "s3transfer",
            "simplejson",
            "six",
        ),
        *("snapshot-restore-py", "urllib3"),
    }
)
"""What the runtimes have themselves; in which version, only AWS knows."""


def judge(
    found: Iterable[Distribution],
    target: Target,
    *,
    provided: Iterable[Distribution] = (),
    skipped: Collection[str] = (),
    importable: Callable[[str], bool] = lambda _: False,
    optional: bool = False,
) -> Iterator[Problem]:
    """What the distributions of an artifact lack.

    `provided` are those of its layers, `skipped` the names that the user leaves out; `importable` says
    whether a module is there, whatever distribution it is from. With `optional`, what is missing is a
    warning: the function that has a layer may bring it.
    """
    mine = tuple(found)
    there = {one.name: one for one in (*provided, *mine)}
    extras = _extras(there, target)
    for one in mine:
        if not _admitted(target, one.requires_python):
            yield Problem(
                code=Code.PYTHON_UNSUPPORTED,
                message=f"{one.name} {one.version} wants Python {one.requires_python}, and {target.runtime} "
                f"has {target.full_version}",
                where=Where(key=one.name),
                hint="choose a version of it that supports this Python, or another runtime",
            )
        for requirement in _asked(one.requires, target, extras.get(one.name, frozenset())):
            problem = _missing(one, requirement, there, importable, optional=optional)
            if problem is not None and canonicalize_name(requirement.name) not in skipped:
                yield problem


def _missing(
    one: Distribution,
    requirement: Requirement,
    there: Mapping[str, Distribution],
    importable: Callable[[str], bool],
    *,
    optional: bool,
) -> Problem | None:
    """What is to say of one requirement of a distribution."""
    name = canonicalize_name(requirement.name)
    wanted = f"{requirement.name}{requirement.specifier}"
    asks = f"{one.name} {one.version} requires {wanted}"
    if requirement.marker is not None:
        asks += f" ({requirement.marker})"
    where = Where(key=one.name)
    if name in there:
        has = there[name]
        if _fits(has.version, requirement):
            return None
        return Problem(
            code=Code.DEPENDENCY_VERSION,
            message=f"{asks}, and {has.name} {has.version} is there",
            where=where,
            hint=f"install a {has.name} that fits, or versions of both that go together",
        )
    if name in RUNTIME_DISTRIBUTIONS:
        return Problem(
            code=Code.IMPORT_FROM_RUNTIME,
            message=f"{asks}, which is not in the artifact: the one of the runtime is used",
            where=where,
            severity="note",
        )
    if importable(name.replace("-", "_")):
        return Problem(
            code=Code.NOT_CHECKED,
            message=f"{asks}; there is a module of this name, and nothing says in which version",
            where=where,
            severity="note",
        )
    return Problem(
        code=Code.DEPENDENCY_MISSING,
        message=f"{asks}, which is neither in the artifact nor in a layer",
        where=where,
        hint=f"add {requirement.name} to the requirements; "
        f"if {one.name} can do without, name it in `verify.ignore`",
        severity="warning" if optional else "error",
    )


def _fits(version: str, requirement: Requirement) -> bool:
    """Whether a version is one that is asked for; what nobody can compare is taken as it is."""
    try:
        return requirement.url is not None or requirement.specifier.contains(
            Version(version), prereleases=True
        )
    except InvalidVersion:
        return True


def _extras(there: Mapping[str, Distribution], target: Target) -> dict[str, frozenset[str]]:
    """The extras of each distribution that others ask for, by way of their own extras too."""
    extras: dict[str, frozenset[str]] = {}
    waiting = list(there)
    while waiting:
        one = there[waiting.pop()]
        for requirement in _asked(one.requires, target, extras.get(one.name, frozenset())):
            name = canonicalize_name(requirement.name)
            before = extras.get(name, frozenset())
            after = before | {canonicalize_name(extra) for extra in requirement.extras}
            if name in there and after != before:
                extras[name] = after
                waiting.append(name)
    return extras


@lru_cache(maxsize=4096)  # functions share their dependencies
def _asked(lines: tuple[str, ...], target: Target, extras: frozenset[str]) -> tuple[Requirement, ...]:
    """Those of a distribution's requirements that hold on the target."""
    found = []
    for line in lines:
        requirement = _parse(line)
        if requirement is None:
            continue
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**target.markers, "extra": extra}) for extra in ("", *sorted(extras))
        ):
            found.append(requirement)
    return tuple(found)


def _parse(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


_admitted = lru_cache(maxsize=4096)(Target.admitted)
