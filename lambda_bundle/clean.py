"""Remove from an output folder what this tool has put there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lambda_bundle import manifest
from lambda_bundle.archive import remove
from lambda_bundle.config import artifact_name
from lambda_bundle.errors import BundleError
from lambda_bundle.pipeline import WORK_PREFIX


def sweep(output: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """Remove the artifacts of these names and those in the manifest, the manifest, and what a killed run left.

    The folder itself goes when nothing else is in it. Returns what was removed.
    """
    if not output.is_dir():
        return ()
    try:
        listed = [row["path"] for row in manifest.read(output).values()]
    except BundleError:  # unreadable: it goes, and the artifacts are known by their names
        listed = []
    candidates = {artifact_name(name, form) for name in names for form in ("zip", "dir")}
    candidates |= {path for path in listed if Path(path).name == path}
    candidates |= {manifest.FILE_NAME, *(path.name for path in output.glob(f"{WORK_PREFIX}*"))}
    removed = sorted(output / name for name in candidates if (output / name).exists())
    for path in removed:
        remove(path)
    if not any(output.iterdir()):
        output.rmdir()
    return tuple(removed)
