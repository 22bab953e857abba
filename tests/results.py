"""Jobs and results written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lambda_bundle.errors import Problem
from lambda_bundle.jobs import Job
from lambda_bundle.lock import Wheel
from lambda_bundle.result import Archived, Artifact, Result, Status
from lambda_bundle.targets import Target


def job(output: Path, name: str = "api", **changes: Any) -> Job:
    values: dict[str, Any] = {
        "name": name,
        "kind": "function",
        "root": output.parent,
        "entry": "src",
        "handler": "app.handler",
        "target": Target("python3.13", "arm64"),
        "backend": "uv",
        "before": (),
        "after": (),
        "exclude": (),
        "include": (),
        "env": (("SECRET", "hunter2"),),
        "format": "zip",
        "timeout": 600.0,
        "output": output,
    }
    return Job(**{**values, **changes})


def wheel(name: str = "idna", *, sha256: str | None = "ab" * 32) -> Wheel:
    filename = f"{name}-3.20-py3-none-any.whl"
    url = f"https://user:hunter2@index.example/{filename}"
    return Wheel(name=name, version="3.20", filename=filename, url=url, sha256=sha256)


def built(made: Job, *wheels: Wheel, size: int = 1200, unzipped: int = 3400, took: float = 1.5) -> Result:
    archived = Archived(size=size, unzipped=unzipped, sha256="0f" * 32)
    artifact = Artifact(archived=archived, wheels=wheels, digest="cd" * 32)
    return Result(job=made, status="built", seconds=took, artifact=artifact, problems=made.warnings)


def ended(made: Job, status: Status, *problems: Problem) -> Result:
    return Result(job=made, status=status, seconds=0.25, problems=problems)
