"""What a run returns for each job."""

from __future__ import annotations

from dataclasses import dataclass
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
    digest: str
    """Of everything that went in: the settings, the sources and the wheels."""


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
