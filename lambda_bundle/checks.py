"""What a single value of a `bundles.toml` can be, wherever it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from lambda_bundle.errors import PREFIX, Code, did_you_mean
from lambda_bundle.findings import Findings, Table, quoted
from lambda_bundle.indexes import check_variable
from lambda_bundle.positions import KeyPath
from lambda_bundle.targets import MACHINES, RUNTIMES, PlatformTag, TagError

_RUNTIME = re.compile(r"python\d+\.\d+")
_RUNTIME_LIKE = re.compile(r"(?:python|py|cp)?[\s_-]*3\.?(\d+)", re.IGNORECASE)
_HANDLER = re.compile(r"[\w-]+(?:[./][\w-]+)*\.[^\W\d]\w*")
_TAG_HINT = "one is like manylinux_2_28_x86_64, musllinux_1_2_aarch64 or linux_x86_64"
_NAMED = {"groups": "a dependency group", "extras": "an extra"}
"""What the names in a list are those of; elsewhere, of packages."""
_OTHER_ARCHS = {"aarch64": "arm64", "armv8": "arm64", "amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64"}


def check_table(place: KeyPath, table: Table, root: Path, findings: Findings) -> None:
    """Look at every value of a table; `root` is the folder that paths are relative to."""
    checks: dict[str, Callable[[KeyPath, Any, Findings], None]] = {
        "runtime": _check_runtime,
        "runtimes": _check_runtimes,
        "layers": _check_layers,
        "arch": _check_arch,
        "tags": _check_tags,
        "entry": partial(_check_entry, root=root),
        "handler": _check_handler,
        "hooks": _check_hooks,
        "verify": _check_verify,
        "env": _check_env,
        "groups": _check_names,
        "extras": _check_names,
        "skip": _check_names,
        "sdists": _check_names,
        "package": _check_name,
        "requirements": _check_path,
    }
    for key, check in checks.items():
        if key in table and (*place, key) not in findings.faulty:
            check((*place, key), table[key], findings)


def _check_runtime(key: KeyPath, value: str, findings: Findings) -> None:
    if value in RUNTIMES:
        return
    known = ", ".join(reversed(RUNTIMES))
    if _RUNTIME.fullmatch(value):
        hint = f"known runtimes are {known}"
        findings.add(key, Code.UNSUPPORTED_RUNTIME, f"no Lambda runtime is called {value}", hint)
        return
    like = _RUNTIME_LIKE.fullmatch(value.strip())
    meant = f"python3.{like[1]}" if like else ""
    hint = f'did you mean "{meant}"?' if meant in RUNTIMES else f"write it as one of {known}"
    message = f"{quoted(value)} is not the name of a Python runtime"
    findings.add(key, Code.UNPARSEABLE_RUNTIME, message, hint)


def _check_runtimes(key: KeyPath, value: Sequence[object], findings: Findings) -> None:
    for index, runtime in enumerate(value):
        if isinstance(runtime, str):
            _check_runtime((*key, index), runtime, findings)
    _check_repeated(key, value, findings)


def _check_layers(key: KeyPath, value: Sequence[object], findings: Findings) -> None:
    _check_repeated(key, value, findings)


def _check_repeated(key: KeyPath, value: Sequence[object], findings: Findings) -> None:
    for index, one in enumerate(value):
        if isinstance(one, str) and one in value[:index]:
            findings.add((*key, index), Code.INVALID_VALUE, f"{quoted(one)} is listed twice")


def _check_arch(key: KeyPath, value: str, findings: Findings) -> None:
    if value not in MACHINES:
        other = _OTHER_ARCHS.get(value.lower())
        hint = f'did you mean "{other}"?' if other else did_you_mean(value, MACHINES)
        hint = hint or f"choose one of {', '.join(MACHINES)}"
        message = f"no Lambda architecture is called {quoted(value)}"
        findings.add(key, Code.UNSUPPORTED_ARCHITECTURE, message, hint)


def _check_tags(key: KeyPath, value: Sequence[object], findings: Findings) -> None:
    for index, tag in enumerate(value):
        faults = {tag_fault(tag, arch) for arch in MACHINES} if isinstance(tag, str) else {None}
        if None not in faults:
            # What is wrong for every architecture in other words is the machine.
            machines = " or ".join(MACHINES.values())
            fault = faults.pop() if len(faults) == 1 else f"its machine must be {machines}"
            message = f"{quoted(str(tag))} cannot be a platform tag: {fault}"
            findings.add((*key, index), Code.INVALID_TAG, message, _TAG_HINT)


def tag_fault(tag: str, arch: str) -> str | None:
    """Why a text cannot be a platform tag for an architecture; None: it can."""
    try:
        PlatformTag.parse(tag, arch)
    except TagError as error:
        return str(error)
    return None


def _check_entry(key: KeyPath, value: str, findings: Findings, *, root: Path) -> None:
    if not value.strip():
        hint = 'write "." for the folder of bundles.toml itself'
        findings.add(key, Code.INVALID_VALUE, "must not be empty", hint)
        return
    folder = root / value
    if os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for names that are too long
        return
    if os.path.lexists(folder):
        message = f"{quoted(value)} is no folder, and the sources must be one"
        findings.add(key, Code.ENTRY_MISSING, message)
        return
    near: list[str] = []
    with suppress(OSError, ValueError):
        near = [one.name for one in folder.parent.iterdir() if one.is_dir()]
    hint = did_you_mean(folder.name, near) or "paths are relative to the folder of bundles.toml"
    findings.add(key, Code.ENTRY_MISSING, f"there is no folder {quoted(value)}", hint)


def handler_fault(value: str) -> tuple[str, str] | None:
    """What is wrong with the form of a handler, and a hint."""
    if _HANDLER.fullmatch(value):
        return None
    hint = 'for `def handler` in app/main.py write "app.main.handler"'
    return f'{quoted(value)} is not of the form "module.name"', hint


def _check_handler(key: KeyPath, value: str, findings: Findings) -> None:
    fault = handler_fault(value)
    if fault is not None:
        findings.add(key, Code.INVALID_HANDLER, *fault)


def _check_hooks(key: KeyPath, value: Table, findings: Findings) -> None:
    for when, commands in value.items():
        for index, command in enumerate(commands if isinstance(commands, list) else []):
            place = (*key, when, index)
            if isinstance(command, str) and not command.strip():
                findings.add(place, Code.INVALID_VALUE, "a command must not be empty")
            elif isinstance(command, str) and "\0" in command:
                findings.add(place, Code.INVALID_VALUE, "a command cannot hold the character NUL")


def _check_names(key: KeyPath, value: Sequence[object], findings: Findings) -> None:
    for index, name in enumerate(value):
        if isinstance(name, str):
            _check_name((*key, index), name, findings)


def _check_name(key: KeyPath, value: str, findings: Findings) -> None:
    from packaging.utils import canonicalize_name, is_normalized_name  # noqa: PLC0415 - few name any

    if not is_normalized_name(canonicalize_name(value)):
        what = next((_NAMED[part] for part in key if part in _NAMED), "a package")
        hint = "letters and digits, with -, _ or . between them"
        hint += "; a version has no place here" if what == "a package" else ""
        findings.add(key, Code.INVALID_VALUE, f"{quoted(value)} cannot be the name of {what}", hint)


def _check_path(key: KeyPath, value: str, findings: Findings) -> None:
    if not value.strip() or "\0" in value:
        findings.add(key, Code.INVALID_VALUE, f"{quoted(value)} cannot be the path of a file")


def _check_verify(key: KeyPath, value: Table, findings: Findings) -> None:
    ignore = value.get("ignore")
    for index, text in enumerate(ignore if isinstance(ignore, list) else []):
        if not isinstance(text, str):
            continue
        word, colon, pattern = text.partition(":")
        place = (*key, "ignore", index)
        codes = [code.value.removeprefix(PREFIX) for code in Code]
        if word.removeprefix(PREFIX) not in codes:
            hint = (
                did_you_mean(word.removeprefix(PREFIX), codes)
                or "the documentation lists them: docs/errors.md"
            )
            findings.add(place, Code.INVALID_VALUE, f"there is no finding called {quoted(word)}", hint)
        elif not colon or not pattern:
            hint = f'write "{word}:*" for all of them, or a file, a module or a distribution behind the colon'
            findings.add(place, Code.INVALID_VALUE, f'{quoted(text)} is not of the form "code:pattern"', hint)


def _check_env(key: KeyPath, value: Table, findings: Findings) -> None:
    for name, content in value.items():
        if not name or set("=\0") & set(name):
            message = f"{quoted(name)} cannot be the name of an environment variable"
            findings.add((*key, name), Code.INVALID_VALUE, message)
        elif isinstance(content, str) and "\0" in content:
            findings.add((*key, name), Code.INVALID_VALUE, "a variable cannot hold the character NUL")
        elif isinstance(content, str) and (fault := check_variable(name, content)):
            findings.add((*key, name), Code.INVALID_VALUE, *fault)
