"""Whether the target's Python can parse a file: ruff says, which knows the grammar of every version.

The parser of the Python that this runs on knows its own grammar only. Its `feature_version` misses f-strings
as Python 3.12 reads them, parentheses after `with`, decorators and stars; and a newer target's syntax is an
error to it. docs/verify.md has the figures.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruff import find_ruff_bin

from lambda_bundle.process import Children
from lambda_bundle.targets import Target

_RULES = "F404,F407,F621,F622,F701,F702,F704,F706,F707,PLE0100,PLE0115,PLE0116,PLE0117,PLE0118,PLE1142"
"""What Python's compiler refuses, and ruff counts among its rules and not to the syntax."""
_LATER = re.compile(
    r"(?P<what>.+?) on Python 3\.\d+ \(syntax was (?P<how>added|removed) in Python (?P<version>3\.\d+)\)"
)
_BATCH = 500
"""Files for one run of ruff: the command line of Windows has an end."""
_TIMEOUT = 300.0
_SHOWN = 200
"""Characters of a line that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the target's Python cannot parse."""

    said: str
    """What the parser says of it, such as "cannot use `match` statement"."""
    version: str = ""
    """The version of Python that this syntax came with, such as 3.10, where the target's is older."""
    line: int | None = None
    text: str = ""
    """That line."""


def decode(content: bytes) -> str:
    """The text of a source file, as PEP 263 says; raises `SyntaxError` where Python would."""
    if b"\0" in content:
        raise SyntaxError("it holds null bytes")
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SyntaxError(f"it is not valid {encoding}: byte {error.start}") from None


def check(
    texts: Mapping[str, str], target: Target, *, children: Children, environ: Mapping[str, str], folder: Path
) -> dict[str, Fault]:
    """The first fault of each file that has one; `folder` is an empty one for what ruff reads and writes."""
    files = {f"{number}.py": path for number, path in enumerate(texts)}
    for file, path in files.items():
        (folder / file).write_text(texts[path], encoding="utf-8", newline="")
    faults: dict[str, Fault] = {}
    names = list(files)
    for begin in range(0, len(names), _BATCH):
        found = _run(names[begin : begin + _BATCH], target, children=children, environ=environ, folder=folder)
        for one in found:
            path = files[Path(one["filename"]).name]
            fault = _fault(one, texts[path])
            if path not in faults or _rank(fault) < _rank(faults[path]):
                faults[path] = fault
    return faults


def _run(
    files: Sequence[str], target: Target, *, children: Children, environ: Mapping[str, str], folder: Path
) -> list[Any]:
    major, minor = target.version
    report = folder / "report.json"
    command = [
        *(_ruff(), "check", "--isolated", "--no-cache", "--quiet", "--exit-zero", "--ignore-noqa"),
        *("--preview", "--select", _RULES, "--target-version", f"py{major}{minor}"),
        *("--output-format", "json", "--output-file", str(report), *files),
    ]
    plain = {name: value for name, value in environ.items() if not name.startswith("RUFF_")}
    done = children.run(command, cwd=folder, environ=plain, timeout=_TIMEOUT, shown="ruff check")
    if done.code != 0:
        raise done.failure("the check of the syntax (ruff)")
    found: list[Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


@cache
def _ruff() -> str:
    return str(find_ruff_bin())  # it looks through several folders


def _rank(fault: Fault) -> tuple[int, int]:
    """The first line counts; in it, what needs the newest Python."""
    return fault.line or 0, -int(fault.version.partition(".")[2] or 99)


def _fault(found: Any, text: str) -> Fault:
    message, line = found["message"], found["location"]["row"]
    match = _LATER.match(message)
    said = message if match is None else match["what"]
    lines = text.splitlines()
    return Fault(
        said=f"{said[:1].lower()}{said[1:]}",
        version=match["version"] if match and match["how"] == "added" else "",
        line=line,
        text=lines[line - 1].strip()[:_SHOWN] if line <= len(lines) else "",
    )


HOST = sys.version_info[:2]
"""The Python that this runs on."""
