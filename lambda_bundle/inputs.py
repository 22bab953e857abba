"""What went into an artifact, for its record: whatever the next run has to look at before it leaves it alone.

Files are read while the work goes on, and somebody may change them meanwhile. What has changed since the run
began is written down as something that nobody knows: it may have been read before or after.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lambda_bundle import registries
from lambda_bundle.contents import Contents, Share
from lambda_bundle.members import Pack
from lambda_bundle.projects import Place, places
from lambda_bundle.records import Inputs, Listing
from lambda_bundle.shared import Run
from lambda_bundle.stamps import NEVER, Seen, changed_since, look, stamp
from lambda_bundle.variables import files, rooted
from lambda_bundle.wanted import file_path


def inputs_of(
    run: Run, contents: Contents, packs: Sequence[Pack], *, stands: list[int] | str | None
) -> Inputs:
    """What to look at; what hooks have made in the copy comes from the sources.

    `stands` tells how the artifact stood when it was published.
    """
    job, every = contents.job, (contents, *contents.layers)
    shares = [share for one in every for share in one.shares]
    sources = {f"{job.sources}/{path}" for path in contents.seen}
    read = {path for one in every for path in _read(run, one)}
    read |= {f"{layer.job.sources}/{path}" for layer in contents.layers for path in layer.seen}
    configuring = dict.fromkeys(path for one in every for path in _configuring(one))
    looked = {**dict.fromkeys(path for one in every for path in _laws(one)), **configuring}
    wheels = dict.fromkeys(path for share in shares for path in _wheels(run, share))
    return Inputs(
        sources={path: _as_used(f"{job.sources}/{path}", seen) for path, seen in contents.seen.items()},
        folders=contents.folders,
        others={path: _as_read(run, path) for path in sorted(read - sources)},
        found={path: _as_read(run, path) for path in wheels if path not in read},
        projects={
            str(folder): digest for share in shares for folder, digest in share.found.local.projects.items()
        },
        configurations={
            path: (stamp(path), run.configurations.said(path))
            for path in configuring
            if path not in read and path not in sources and not _is_new(run, path)
        },
        absent=tuple(path for path in looked if path not in read and _is_new(run, path)),
        layers={layer.job.name: layer.wheels for layer in contents.layers},
        beside={
            layer.job.name: Listing(sources=tuple(layer.seen), folders=layer.folders)
            for layer in contents.layers
        },
        pinned=all(share.order.wanted.is_pinned for share in shares),
        packs=tuple(pack.folder.name for pack in packs) if _is_plain(contents) else None,
        kept=(*_kept(contents), *(f"packs/{pack.folder.name}" for pack in packs)),
        stands=stands,
    )


def _read(run: Run, contents: Contents) -> Iterator[str]:
    """What was read besides the sources."""
    job = contents.job
    environ = {**run.environ, **rooted(dict(job.env), str(job.root))}
    yield from files(environ, pip=job.backend == "pip")
    for share in contents.shares:
        wanted, local = share.order.wanted, share.found.local
        for path in (*wanted.files, *wanted.wheels, *local.files):
            if not any(output.folder in path.parents for output in run.outputs.values()):  # ours alone
                yield str(path)


def _laws(contents: Contents) -> Iterator[str]:
    """Where something would have come first that says what to install."""
    job = contents.job
    return map(str, places(Place(root=job.root, entry=job.sources), job.name, job.selection))


def _configuring(contents: Contents) -> Iterator[str]:
    """Where uv's configuration is looked for, if anything is installed."""
    if any(share.found.wheels or share.found.left_out for share in contents.shares):
        yield from map(str, registries.places(contents.job.sources))


def _wheels(run: Run, share: Share) -> Iterator[str]:
    """The wheels on this machine that were installed, whatever named them."""
    for wheel in (*share.found.wheels, *share.found.left_out):
        if wheel.url.startswith("file:"):
            path = file_path(wheel.url.partition("#")[0])
            if not run.cache.holds(path):
                yield str(Path(path))


def _kept(contents: Contents) -> Iterator[str]:
    """What a build would find in the cache again, besides packs."""
    for share in contents.shares:
        if share.found.key:
            yield f"sets/{share.found.key}.json"
            yield f"resolutions/{share.found.resolution}.json"


def _is_plain(contents: Contents) -> bool:
    """Whether an artifact is a zip of packs and sources, and its wheels are known by their hashes."""
    job = contents.job
    if job.format == "dir" or job.before or job.after:
        return False
    known = all(wheel.sha256 for share in contents.shares for wheel in share.found.wheels)
    return known and contents.own == {path: job.sources / path for path in contents.seen}


# --- what has changed meanwhile


def _as_used(path: str, seen: Seen) -> Seen:
    """A source as it was when the work began; one that has changed since is none that was built."""
    with suppress(OSError):
        if stamp(path) == seen.stamp:
            return seen
    return seen.unknown


def _as_read(run: Run, path: str) -> Seen:
    """The same for what was read on the way, nobody knows when."""
    try:
        seen = look(path)
    except OSError:
        return NEVER
    return seen.unknown if changed_since(seen.stamp, run.freshness.began) else seen


def _is_new(run: Run, path: str) -> bool:
    """Whether a file was not there when the run began."""
    try:
        return changed_since(stamp(path), run.freshness.began)
    except OSError:
        return not os.path.lexists(path)
