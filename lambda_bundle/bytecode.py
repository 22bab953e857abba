"""Compiled modules without their sources: which Python wrote them, by the first bytes.

Importing one that another version has written fails (`importlib`: "bad magic number"). What lies in
`__pycache__` is written anew instead, and what lies beside its source is not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.targets import Target

_NUMBERS = {3394: 7, 3413: 8, 3425: 9, 3439: 10, 3495: 11, 3531: 12, 3571: 13, 3627: 14}
"""The minor version of Python 3 by the number that its modules begin with (`importlib.util.MAGIC_NUMBER`, and
`Include/internal/pycore_magic_number.h` of CPython)."""
_SIZE = 2
"""Bytes of that number, the lower first."""


def judge(own: Mapping[str, Path], files: Collection[str], target: Target) -> Iterator[Problem]:
    """Those among some files that the target's Python does not take; `files` are all paths that there are."""
    for path, file in own.items():
        if not path.endswith(".pyc") or "/__pycache__/" in f"/{path}" or path.removesuffix("c") in files:
            continue
        with file.open("rb") as stream:
            number = int.from_bytes(stream.read(_SIZE), "little")
        wrote = _NUMBERS.get(number)
        if wrote != target.version[1]:
            by = f"Python 3.{wrote}" if wrote else "no Python that Lambda has"
            yield Problem(
                code=Code.EXTENSION_MISFIT,
                message=f"it was compiled by {by}, and {target.runtime} does not import it",
                where=Where(file=path),
                hint=f"compile it with Python 3.{target.version[1]}, or keep the source beside it",
            )
