"""Remove from an output folder what this tool has put there, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lambda_bundle import manifest
from lambda_bundle.archive import remove
from lambda_bundle.entries import MANIFEST, artifact_name
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.working import is_at_work


def sweep(output: Path, names: Iterable[str], left: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Remove what the manifest lists, zips of these names, the manifest, and what a killed run left.

    `left` are artifacts of former builds: of functions, mostly, that are not declared any more.

    A folder that the manifest does not list stays, whatever it is called: it may be the user's. The output
    folder itself goes when nothing else is in it. Returns what was removed. Raises `BundleError` while a run
    is at work there.
    """
    if not output.is_dir():
        return ()
    working = [*output.glob(f"{manifest.PASSING}*")]
    if any(is_at_work(path) for path in working if path.is_dir() and not path.is_symlink()):
        raise _busy(output)
    try:
        listed = manifest.paths(manifest.read(output))
    except BundleError:  # unreadable: it goes, and the zips are known by their names
        listed = frozenset()
    files = {artifact_name(name, "zip") for name in names} | {MANIFEST}
    ours = {output / name for name in listed} | {output / name for name in files if _is_file(output / name)}
    ours |= {*working, *left}
    removed = sorted(path for path in ours if os.path.lexists(path))
    for path in removed:
        remove(path)
    if not any(output.iterdir()) and not output.is_symlink():
        output.rmdir()
    return tuple(removed)


def _busy(output: Path) -> BundleError:
    message = "a run is at work in this folder"
    hint = "wait until it has ended, or end it, and clean then"
    where = Where(file=str(output))
    return BundleError(Problem(code=Code.OUTPUT_UNWRITABLE, message=message, where=where, hint=hint))


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()
