"""What a run returns for each job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lambda_bundle.archive import Archived
from lambda_bundle.errors import Problem
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel

Status = Literal["built", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a job has published."""

    archived: Archived
    wheels: tuple[Wheel, ...]
    """Each file once, also where it is for several runtimes."""
    digest: str
    """Of everything that went in: the settings, the sources, the wheels, and those of its layers."""
    runtimes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For a layer with several runtimes: those that each wheel file is for."""
    left_out: tuple[Wheel, ...] = ()
    """What a function needs as well, and its layers carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one job ended."""

    job: Job
    status: Status
    seconds: float = 0.0
    artifact: Artifact | None = None
    """Set exactly when the status is "built"."""
    problems: tuple[Problem, ...] = ()
    """Errors and warnings."""
