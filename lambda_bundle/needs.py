"""What is wanted of distributions: extras that they may not have, and what is left when some are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambda_bundle.errors import Code, Problem, Where, nearest_or_all
from lambda_bundle.installed import Distribution
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

_Needs = Mapping[str, tuple[Requirement, ...]]
Wanted = tuple[str, frozenset[str] | None]
"""A distribution with the extras that are asked for; None: nobody knows which."""


def kept(found: Iterable[Distribution], wanted: Requirements, target: Target) -> frozenset[str]:
    """The names that remain of a set when `wanted.skip` and what only that needs is left out."""
    needs = {one.name: tuple(_parsed(one.requires)) for one in found}
    skip = frozenset(wanted.skip)
    roots = _roots(needs, wanted)
    if roots is None:
        # A complete list does not say what was asked for: what the skipped ones do not need, stays.
        theirs = _reached(needs, [(name, None) for name in skip], frozenset(), target)
        roots = [(name, None) for name in needs.keys() - theirs - skip]
    return _reached(needs, roots, skip, target)


def skip_unused(name: str, where: Where | None = None) -> Problem:
    """The warning for a package that is to be skipped and is not there."""
    return Problem(
        code=Code.SKIP_UNUSED,
        message=f"{name} is to be skipped, and is not among the dependencies",
        where=where or Where(key="skip"),
        hint="correct the name in `skip`, or leave it out",
        severity="warning",
    )


def unknown_extras(found: Iterable[Distribution], wanted: Requirements) -> Iterator[Problem]:
    """The warnings for extras that are asked for, and that the distributions do not have."""
    there = {one.name: one for one in found}
    for asked in wanted.requirements:
        if asked.name not in there:  # but in a layer
            continue
        one = there[asked.name]
        for extra in asked.extras:
            if extra not in one.extras:
                yield Problem(
                    code=Code.EXTRA_UNKNOWN,
                    message=f"{one.name} {one.version} has no extra {extra}: nothing more is installed",
                    where=asked.where,
                    hint=nearest_or_all(extra, sorted(one.extras)),
                    severity="warning",
                )


def _roots(needs: _Needs, wanted: Requirements) -> list[Wanted] | None:
    """What was asked for by itself; None where nobody can tell."""
    extras: dict[str, frozenset[str]] = {}
    for one in wanted.requirements:
        extras[one.name] = extras.get(one.name, frozenset()) | frozenset(one.extras)
    if wanted.roots is not None:
        told = any(extras.values())  # Poetry lists what they bring, and not them
        return [(name, extras.get(name) if told else None) for name in wanted.roots]
    pinned = {one.name for one in wanted.requirements if one.url or one.specifier.startswith("==")}
    if wanted.exact or pinned >= needs.keys():
        return None
    return list(extras.items())


def _reached(
    needs: _Needs, start: Iterable[Wanted], without: frozenset[str], target: Target
) -> frozenset[str]:
    """Everything that can be reached by requirements that hold on the target."""
    seen: set[Wanted] = set()
    queue = [one for one in start if one[0] not in without]
    while queue:
        one = queue.pop()
        name, extras = one
        if one in seen or name not in needs:
            continue
        seen.add(one)
        for requirement in needs[name]:
            other = canonicalize_name(requirement.name)
            if other not in without and _holds(requirement, extras, target):
                queue.append((other, frozenset(map(canonicalize_name, requirement.extras))))
    return frozenset(name for name, _ in seen)


def _holds(requirement: Requirement, extras: frozenset[str] | None, target: Target) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    if extras is None:  # every extra that it names, then
        extras = frozenset(canonicalize_name(one) for one in _extras(str(marker)))
    return any(marker.evaluate({**target.markers, "extra": extra}) for extra in ("", *extras))


def _extras(marker: str) -> Iterator[str]:
    words = marker.replace("(", " ").replace(")", " ").split()
    for left, comparison, right in zip(words, words[1:], words[2:], strict=False):
        if comparison == "==" and "extra" in {left, right}:
            yield (right if left == "extra" else left).strip("'\"")


def _parsed(requires: Iterable[str]) -> Iterator[Requirement]:
    for text in requires:
        with suppress(InvalidRequirement):  # older metadata; whoever resolved it has told
            yield Requirement(text)
