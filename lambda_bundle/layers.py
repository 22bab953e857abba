"""What the layers of a function carry: left out of the function at the same version, an error at another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambda_bundle.contents import Contents, Share
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.installers import where_asked
from lambda_bundle.lock import Release, Wheel
from lambda_bundle.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried:
    layer: str
    share: Share
    wheel: Wheel


def carried(layers: Iterable[Contents], target: Target) -> frozenset[Release]:
    """What layers carry for the runtime of a function's target."""
    return frozenset(one.wheel.release for one in _carried(layers, target))


def check(name: str, share: Share, layers: Sequence[Contents]) -> None:
    """Raise `BundleError` for what a function and its layers cannot have together.

    That is a package at several versions (of two layers, which one Python finds would depend on their layouts
    and their order), and one that is split. `share` holds what is left of the function's own dependencies.
    """
    there = list(_carried(layers, share.target))
    shares = [layer.share(share.target) for layer in layers]
    first: dict[str, _Carried] = {}
    for one in there:
        first.setdefault(one.wheel.name, one)
    problems = [
        _between_layers(first[one.wheel.name], one)
        for one in there
        if one.wheel.release != first[one.wheel.name].wheel.release
    ]
    problems += [
        _conflict(name, wheel, [share, *shares], first[wheel.name])
        for wheel in share.found.wheels
        if wheel.name in first
    ]
    if not problems:  # a package at two versions looks split as well
        halves = ((folder, layer) for layer in layers for folder in _halves(share, layer))
        problems = [_split(name, folder, share, layer) for folder, layer in halves]
    if problems:
        raise BundleError(*problems)


def _carried(layers: Iterable[Contents], target: Target) -> Iterator[_Carried]:
    for layer in layers:
        share = layer.share(target)
        for wheel in share.found.wheels:
            yield _Carried(layer=layer.job.name, share=share, wheel=wheel)


_SPREADS = re.compile(rb"\b(extend_path|declare_namespace)\b")
"""What an __init__.py says that makes Python look for the rest of the package elsewhere too."""


def _halves(share: Share, layer: Contents) -> Iterator[str]:
    """The packages with files in a function and in a layer, where Python finds only those of one place.

    A folder with an __init__.py, wherever that lies, is one place; without one, it is a namespace in all of
    them (PEP 420).
    """
    other = layer.share(share.target)
    mine, theirs = share.found, other.found
    told: tuple[str, ...] = ()
    for folder in sorted(mine.folders.keys() & theirs.folders.keys()):
        init = f"{folder}/__init__.py"
        first = next((one for one in (share, other) if init in one.found.files), None)
        if first is None or folder.startswith(told) or _SPREADS.search(first.read(init)):
            continue
        told = (*told, f"{folder}/")
        yield folder


def _split(name: str, folder: str, share: Share, layer: Contents) -> Problem:
    mine, theirs = share.found, layer.share(share.target).found
    here, there = mine.owner(mine.folders[folder]), theirs.owner(theirs.folders[folder])
    package = folder.replace("/", ".")
    return Problem(
        code=Code.SPLIT_PACKAGE,
        message=(
            f"the package {package} is split: {here} brings one part into {name}, "
            f"and {there} another into its layer {layer.job.name}; Python finds one of them"
        ),
        hint=f"add {here.partition(' ')[0]} to {layer.job.name}, or take {there.partition(' ')[0]} out of it",
    )


def _conflict(name: str, wheel: Wheel, shares: Sequence[Share], theirs: _Carried) -> Problem:
    package, mine, other = wheel.name, wheel.version, theirs.wheel.version
    return Problem(
        code=Code.LAYER_CONFLICT,
        message=f"{name} needs {package} {mine}, and its layer {theirs.layer} carries {package} {other}",
        where=where_asked(package, shares[0].order.wanted),
        hint=f"pin {package}=={other} in {name}, or {package}=={mine} in {theirs.layer}; "
        "or take the layer out of `layers`",
        detail="\n".join(
            [
                f"{package} {mine} in {name}: {_reason(package, shares)}",
                f"{package} {other} in {theirs.layer}: {_reason(package, [theirs.share])}",
            ]
        ),
    )


def _between_layers(one: _Carried, other: _Carried) -> Problem:
    package = one.wheel.name
    return Problem(
        code=Code.LAYER_CONFLICT,
        message=(
            f"layer {one.layer} carries {package} {one.wheel.version}, "
            f"and layer {other.layer} {package} {other.wheel.version}"
        ),
        hint=f"pin the same version of {package} in both, or take one of them out of `layers`",
        detail="\n".join(
            f"{package} {each.wheel.version} in {each.layer}: {_reason(package, [each.share])}"
            for each in (one, other)
        ),
    )


def _reason(package: str, shares: Sequence[Share]) -> str:
    """Who wants a package in the first share; the others hold what was left out of that."""
    asked = where_asked(package, shares[0].order.wanted)
    if asked != Where():
        return f"asked for in {asked}"
    needed = {wheel.name for wheel in (*shares[0].found.wheels, *shares[0].found.left_out)}
    wanting = {
        f"{one.name} {one.version} ({requirement.removeprefix(package).strip() or 'any version'})"
        for share in shares
        if share.found.key
        for one in share.found.distributions
        if one.name in needed
        for requirement in _requirements(one.requires, package, share.target)
    }
    return f"needed by {', '.join(sorted(wanting))}" if wanting else "needed by what it depends on"


def _requirements(lines: Iterable[str], package: str, target: Target) -> Iterator[str]:
    """What a distribution says of a package that it requires on the target, as name and versions."""
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if canonicalize_name(requirement.name) == package and (
            marker is None or "extra" in str(marker) or marker.evaluate(dict(target.markers))
        ):
            yield f"{package} {requirement.specifier}"
