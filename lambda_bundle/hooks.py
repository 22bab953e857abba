"""Hooks: the user's own commands, before and after the dependencies are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
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
    commands: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    timeout: float,
    children: Children,
    secrets: Iterable[str] = (),
) -> None:
    """Run commands joined with `&&` in one shell, with a folder as the current one.

    Raises `BundleError` with the output when one fails, or when they take longer than `timeout` seconds;
    `secrets` are masked in it.
    """
    completed = children.run(
        _script(commands),
        cwd=folder,
        environ=environ,
        timeout=timeout,
        secrets=secrets,
        shown=" && ".join(commands),
    )
    if completed.code:
        raise completed.failure(
            "a hook",
            hint="hooks work in a copy of the sources: what is outside the entry, or left out of the bundle, "
            "is not there; LAMBDA_BUNDLE_ENTRY is the original folder",
        )


def _script(commands: Sequence[str]) -> str:
    """The commands for the system's shell; in POSIX's, each is a group on lines of its own.

    Otherwise a comment at the end of one would swallow the next, and a `;` or `&` in it would tear it apart.
    The colon is there because a group needs a command, and one may be nothing but a comment.
    """
    groups = commands if os.name == "nt" else [f"{{ :\n{command}\n}}" for command in commands]
    return " && ".join(groups)
