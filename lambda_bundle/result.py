"""What a run returns for each job, and who hears of it meanwhile."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lambda_bundle.errors import Problem, Stage
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel

Status = Literal["built", "fresh", "failed", "cancelled"]
"""Fresh: the artifact was up to date, and nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was written."""

    size: int
    """Bytes of the zip file; of the files together for a folder."""
    unzipped: int
    """Bytes of the files together."""
    sha256: str
    """Of the zip file; for a folder, of the names, permissions and hashes of its files."""

    @property
    def code_sha256(self) -> str:
        """The hash as Lambda's API gives it (`CodeSha256`)."""
        return b64encode(bytes.fromhex(self.sha256)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a job has published, now or earlier."""

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
    """Set exactly when the status is "built" or "fresh"."""
    problems: tuple[Problem, ...] = ()
    """Errors and warnings."""
    reasons: tuple[str, ...] = ()
    """Why it was not fresh."""


Change = tuple[str, str | None, str | None]
"""A package, and its version before and after; None where it was not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What became of the lock of one job."""

    job: Job
    status: Literal["locked", "kept", "skipped", "failed", "cancelled"]
    """Kept: it was current; skipped: there is nothing to lock."""
    seconds: float = 0.0
    path: Path | None = None
    """The lock; None where there is none."""
    packages: int = 0
    """How many are in it."""
    note: str = ""
    """Why it was skipped."""
    changes: tuple[Change, ...] = ()
    """What an earlier lock had otherwise."""
    problems: tuple[Problem, ...] = ()
    """Errors and warnings."""


class Progress:
    """Hears what happens, from several threads at once; this one does nothing with it."""

    def entered(self, job: Job, stage: Stage) -> None:
        """A job has come to a stage."""

    def finished(self, result: Result) -> None:
        """A job has ended."""

    def locked(self, lock: Locked) -> None:
        """The lock of a job is written, or is not to be."""
