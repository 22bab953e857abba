"""Hooks: the user's own commands, before and after the dependencies are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lambda_bundle.process import Children


def variables(*, name: str, entry: str, runtime: str, arch: str) -> dict[str, str]:
    """What a hook is told about the entry that it works for; `entry` is the original folder."""
    return {
        "LAMBDA_BUNDLE_FUNCTION": name,
        "LAMBDA_BUNDLE_ENTRY": entry,
        "LAMBDA_BUNDLE_RUNTIME": runtime,
        "LAMBDA_BUNDLE_ARCH": arch,
    }


def run(
    commands: Sequence[str], *, folder: Path, environ: Mapping[str, str], timeout: float, children: Children
) -> None:
    """Run commands joined with `&&` in one shell, with a folder as the current one.

    Raises `BundleError` with the output when one fails, or when they take longer than `timeout` seconds.
    """
    if not commands:
        return
    completed = children.run(" && ".join(commands), cwd=folder, environ=environ, timeout=timeout)
    if completed.code:
        raise completed.failure(
            "a hook", hint="the command ran in a copy of the sources; run it there by hand to see more"
        )
