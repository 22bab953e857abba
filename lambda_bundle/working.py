"""The folders that a run works in. They go when it ends; `clean` removes those of runs that were killed."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from lambda_bundle import manifest

WORK_PREFIX = ".lambda-bundle-"
"""How those begin that are inside an output folder."""


def private_folder(stack: ExitStack, *, prefix: str, parent: Path | None = None) -> Path:
    """A folder that is removed in the end; what somebody is still writing there is no reason to fail then."""
    folder = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def beside_artifacts(stack: ExitStack, output: Path) -> Path:
    """A folder in an output folder: moving from there into place is one step.

    Raises `BundleError` where there can be none.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        return private_folder(stack, prefix=WORK_PREFIX, parent=output)
    except OSError as error:
        raise manifest.unwritable(output, error) from None
