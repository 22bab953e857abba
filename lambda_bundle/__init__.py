"""Bundle Python AWS Lambda functions without Docker.

>>> from pathlib import Path
>>> from lambda_bundle import bundle, load, plan
>>> results = bundle(plan(load(Path("bundles.toml"))))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_bundle.config import Config, find, load
    from lambda_bundle.errors import BundleError, Code, Problem, Where
    from lambda_bundle.jobs import Job, plan
    from lambda_bundle.pipeline import bundle
    from lambda_bundle.result import Artifact, Progress, Result

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "BundleError",
    "Code",
    "Config",
    "Job",
    "Problem",
    "Progress",
    "Result",
    "Where",
    "bundle",
    "find",
    "load",
    "plan",
]

_ROOMS = {
    "config": ("Config", "find", "load"),
    "errors": ("BundleError", "Code", "Problem", "Where"),
    "jobs": ("Job", "plan"),
    "pipeline": ("bundle",),
    "result": ("Artifact", "Progress", "Result"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then (PEP 562): `invoke --list` needs none of it."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"lambda_bundle.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
