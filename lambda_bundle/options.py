"""What the options of a command line say: the configuration, and the jobs that are wanted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_bundle.edge import invalid

if TYPE_CHECKING:
    from lambda_bundle.config import Config
    from lambda_bundle.jobs import Format, Job

# Everything heavy is imported where it is used: `invoke --list` reads this module too.

_FORMATS: dict[str, Format] = {"zip": "zip", "dir": "dir"}


def loaded(file: str | None) -> Config:
    """The configuration in a file; None: the nearest bundles.toml. Raises `BundleError` with all problems."""
    from lambda_bundle.cache import Cache  # noqa: PLC0415
    from lambda_bundle.config import find, load  # noqa: PLC0415

    return load(Path(file).absolute() if file else find(Path.cwd()), Cache.of(os.environ))


def workers_of(jobs: str | None) -> int | None:
    """The number that --jobs gives; None without. Raises `BundleError` for what is none."""
    if jobs is None:
        return None
    if not re.fullmatch("[1-9][0-9]{0,3}", jobs):
        hint = "give one from 1 upwards"
        raise invalid(f'"{jobs}" is not a number of jobs', option="jobs", hint=hint)
    return int(jobs)


def _format(value: str | None) -> Format | None:
    if value is None:
        return None
    if value in _FORMATS:
        return _FORMATS[value]
    raise invalid(f'"{value}" is not a format', option="format", hint='give "zip" or "dir"')


def _selection(config: Config, *, everything: bool, only: list[str] | None) -> list[str]:
    if everything and only:
        raise invalid("--all and --only contradict each other", hint="give one of them")
    if everything:
        return ["*"]
    if only:
        return only
    from lambda_bundle.errors import BundleError, Code, Problem  # noqa: PLC0415

    raise BundleError(
        Problem(
            code=Code.NOTHING_SELECTED,
            message="nothing is selected",
            hint="give --all, or --only NAME (again for more; * and ? match as in a shell)",
            detail="\n".join(entry.name for entry in config.entries),
        )
    )


def wanted_jobs(
    file: str | None,
    *,
    everything: bool,
    only: list[str] | None,
    output: str | None = None,
    form: str | None = None,
) -> tuple[Config, tuple[Job, ...]]:
    """The configuration in a file, and what --all or --only selects of it.

    Raises `BundleError` where that is nothing, or cannot be planned.
    """
    from lambda_bundle.jobs import plan as make  # noqa: PLC0415

    config = loaded(file)
    selection = _selection(config, everything=everything, only=only)
    folder = Path(output) if output else None
    return config, make(config, selection, output=folder, format=_format(form))
