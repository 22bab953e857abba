"""Lambda's limit on what a function and its layers are together, unzipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from lambda_bundle.contents import Contents, Share
from lambda_bundle.errors import Code, Problem
from lambda_bundle.targets import UNZIPPED_LIMIT

_SHOWN = 10
"""How many distributions an error lists."""


def unzipped(contents: Contents) -> int:
    """Bytes of all files of an artifact and of its layers."""
    own = sum(source.stat().st_size for source in contents.own.values())
    theirs = sum(share.size for share in contents.shares)
    return own + theirs + sum(map(unzipped, contents.layers))


def largest(contents: Contents) -> list[tuple[str, int]]:
    """What an artifact and its layers consist of, with the bytes of each, the largest first.

    A name is that of a distribution with its version, or "sources" for all else; where it is not in the
    artifact itself, the layer is named.
    """
    found: Counter[str] = Counter()
    for one in (contents, *contents.layers):
        beside = f" (layer {one.job.name})" if one is not contents else ""
        found[f"sources{beside}"] += sum(source.stat().st_size for source in one.own.values())
        for share in one.shares:
            runtime = f" for {share.target.runtime}" if share.site else ""
            for name, size in _sizes(share):
                found[f"{name}{runtime}{beside}"] += size
    return [
        (name, size) for name, size in sorted(found.items(), key=lambda item: (-item[1], item[0])) if size
    ]


def check(contents: Contents, limit: int = UNZIPPED_LIMIT) -> Problem | None:
    """The problem with an artifact that Lambda refuses: it is empty, or too large with its layers."""
    if not contents.own and not any(share.kept for share in contents.shares):
        return Problem(
            code=Code.ARTIFACT_EMPTY,
            message="there is nothing in it, and Lambda takes no empty artifact",
            hint="put files into its `entry`, or requirements; see whether `exclude` leaves all of them out",
        )
    total = unzipped(contents)
    if total <= limit:
        return None
    parts = largest(contents)
    width = len(f"{parts[0][1]:,}")
    lines = [f"{size:>{width},}  {name}" for name, size in parts[:_SHOWN]]
    rest = sum(size for _, size in parts[_SHOWN:])
    layers = " with its layers" if contents.layers else ""
    return Problem(
        code=Code.ARTIFACT_TOO_LARGE,
        message=f"unzipped, it is {total:,} bytes{layers}, and Lambda accepts {limit:,}",
        hint="do without the largest, remove what is never loaded in an `after` hook, or split the function",
        detail="\n".join([*lines, *([f"{rest:>{width},}  {len(parts) - _SHOWN} more"] if rest else [])]),
    )


def _sizes(share: Share) -> Iterator[tuple[str, int]]:
    """Bytes of each file of the dependencies that is kept, with the distribution that brought it."""
    for path in share.kept:
        one = share.found.distribution(path)
        name = "dependencies" if one is None else f"{one.name} {one.version}"
        yield name, share.found.files[path].size
