"""The folders that a run works in. They go when it ends; `clean` removes those of runs that were killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from lambda_bundle import manifest

_LOCK = ".lock"
"""The file in such a folder that is locked as long as its run goes on."""


def private_folder(stack: ExitStack, *, prefix: str, parent: Path | None = None) -> Path:
    """A folder that is removed in the end; what somebody is still writing there is no reason to fail then."""
    folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def beside_artifacts(stack: ExitStack, output: Path) -> Path:
    """A folder in an output folder: moving from there into place is one step.

    Raises `BundleError` where there can be none.
    """
    from filelock import FileLock  # noqa: PLC0415 - where all is up to date, nobody works

    try:
        output.mkdir(parents=True, exist_ok=True)
        folder = private_folder(stack, prefix=manifest.PASSING, parent=output)
        lock = FileLock(folder / _LOCK)
        lock.acquire()
        stack.callback(lock.release)
    except OSError as error:
        raise manifest.unwritable(output, error) from None
    return folder


def is_at_work(folder: Path) -> bool:
    """Whether the run that has this folder, in an output folder, goes on."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - see above

    try:
        with FileLock(folder / _LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # it is none of these folders, or has just gone
        return False


def has_least_room(folder: Path, others: Iterable[Path]) -> bool:
    """Whether a folder is on a disk of its own, with less room than there is anywhere else."""
    places = [place for place in others if place.exists()]
    device, free = folder.stat().st_dev, shutil.disk_usage(folder).free
    return bool(places) and all(
        place.stat().st_dev != device and shutil.disk_usage(place).free > free for place in places
    )
