"""Writes `lambda_bundle/stdlib.json`: the standard library of each Python, as its interpreters tell.

    python tests/stdlib_table.py PYTHON [PYTHON …]

asks every interpreter that is given, one for each version; they must run on Linux. The version after the
newest of them is derived from it by what typeshed says (which comes with mypy).
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "lambda_bundle" / "stdlib.json"
ELSEWHERE = {
    "_msi",
    "_overlapped",
    "_scproxy",
    "_winapi",
    "_wmi",
    "msilib",
    "msvcrt",
    "nt",
    "winreg",
    "winsound",
}
"""Modules of Windows and macOS: no Linux has them."""

PROBE = """
import importlib, io, json, os, sys, types, warnings
warnings.simplefilter("ignore")
SKIPPED = {"antigravity", "this", "idlelib", "turtledemo", "tkinter", "turtle", "ensurepip", "lib2to3",
           "distutils", "encodings", "pydoc_data", "test", "ssl", "__main__"}
TESTS = {"site-packages", "__pycache__", "test", "tests", "idle_test", "lib-dynload", "_bundled"}
folder = os.path.dirname(os.__file__)
names = set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))

def walk(folder, prefix):
    for one in os.listdir(folder):
        path = os.path.join(folder, one)
        if os.path.isdir(path):
            if one not in TESTS and os.path.exists(os.path.join(path, "__init__.py")):
                names.add(prefix + one)
                walk(path, prefix + one + ".")
        elif one.endswith(".py") and one != "__init__.py" and one[:-3].isidentifier():
            names.add(prefix + one[:-3])

walk(folder, "")
names |= {one.split(".")[0] for one in os.listdir(os.path.join(folder, "lib-dynload")) if one.endswith(".so")}
names = sorted(
    one for one in names
    if "_sysconfigdata" not in one and "__main__" not in one and "test" not in one.split("_")
)
members = {}
for name in names:
    if name.startswith("_") or "._" in name or name.split(".")[0] in SKIPPED:
        continue
    try:
        module = importlib.import_module(name)
    except BaseException:
        continue
    members[name] = sorted(
        one for one in dir(module)
        if not one.startswith("_") and not isinstance(getattr(module, one, None), types.ModuleType)
    )
for name, asked in json.loads(sys.argv[1]).items():  # what a module makes when it is asked, dir does not tell
    if name in members:
        module = sys.modules[name]
        made = {one for one in asked if not isinstance(getattr(module, one, types), types.ModuleType)}
        members[name] = sorted(made.union(members[name]))
builtin = sorted(sys.builtin_module_names)
print(json.dumps({"minor": sys.version_info[1], "modules": names, "builtin": builtin, "members": members}))
"""


def asked(python: str, names: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """What an interpreter says of its standard library, and whether its modules have these names too."""
    command = [python, "-I", "-c", PROBE, json.dumps(names or {})]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["modules"] = [name for name in found["modules"] if name not in ELSEWHERE]
    return found


def doubtful(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The names that some versions of a module have and others may make when they are asked for them."""
    members: dict[str, list[set[str]]] = {}
    for one in found:
        for module, names in one["members"].items():
            members.setdefault(module, []).append(set(names))
    some = {
        module: each[0].union(*each) - each[0].intersection(*each[1:]) for module, each in members.items()
    }
    some["collections"].update(*members["collections.abc"])  # where they were until Python 3.9
    return {module: sorted(names) for module, names in some.items() if names}


def derived(before: dict[str, Any]) -> dict[str, Any]:
    """What typeshed says of the version after one that an interpreter has told of."""
    minor = before["minor"] + 1
    modules, members = set(before["modules"]), dict(before["members"])
    for line in (_typeshed() / "VERSIONS").read_text(encoding="utf-8").splitlines():
        name, _, versions = line.partition("#")[0].strip().partition(": ")
        if versions == f"3.{minor}-" and "__" not in name:
            modules |= {name, *_below(name)}
        elif versions.endswith(f"-3.{minor - 1}"):
            modules = {one for one in modules if one != name and not one.startswith(f"{name}.")}
    for name in sorted(members):
        old, new = (_stub_names(name, version) for version in (minor - 1, minor))
        members[name] = sorted({*members[name], *(new - old)} - (old - new))
    members = {name: names for name, names in members.items() if name in modules}
    return {**before, "minor": minor, "modules": sorted(modules), "members": members}


def _typeshed() -> Path:
    spec = find_spec("mypy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "typeshed" / "stdlib"


def _below(module: str) -> Iterator[str]:
    folder = _typeshed().joinpath(*module.split("."))
    for path in folder.rglob("*.pyi"):
        inside = path.relative_to(folder).with_suffix("").parts
        yield ".".join((module, *(part for part in inside if part != "__init__")))


def _stub_names(module: str, minor: int) -> set[str]:
    base = _typeshed().joinpath(*module.split("."))
    for path in (base / "__init__.pyi", base.with_suffix(".pyi")):
        if path.is_file():
            return set(_names(ast.parse(path.read_text(encoding="utf-8")).body, minor))
    return set()


def _names(body: list[ast.stmt], minor: int) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If):
            holds = _holds(node.test, minor)
            yield from _names(node.body if holds else [], minor)
            yield from _names([] if holds is True else node.orelse, minor)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (one.asname or one.name for one in node.names if one.asname == one.name)


def _holds(test: ast.expr, minor: int) -> bool | None:
    text = ast.unparse(test)
    if "sys.version_info" in text or "sys.platform" in text:
        known = {"sys": type("sys", (), {"version_info": (3, minor), "platform": "linux"})}
        return bool(eval(text, known))  # noqa: S307 - typeshed's conditions, which mypy trusts too
    return True


def table(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The first and the last minor version (null: the newest too) of each module, and of each name that not
    every version of its module has."""
    found = sorted(found, key=lambda one: one["minor"])
    modules = _spans({one["minor"]: one["modules"] for one in found})
    names = {}
    for module in modules:
        having = {one["minor"]: one["members"][module] for one in found if module in one["members"]}
        spans = _spans(having, newest=max((one["minor"] for one in found), default=0))
        first = min(having, default=0)
        last = None if first and max(having) == found[-1]["minor"] else max(having, default=0)
        partial = {name: span for name, span in spans.items() if span != [first, last]}
        if partial:
            names[module] = partial
    return {
        "versions": [found[0]["minor"], found[-1]["minor"]],
        "builtin": {str(one["minor"]): one["builtin"] for one in found},
        "modules": modules,
        "names": names,
    }


def _spans(having: Mapping[int, list[str]], newest: int | None = None) -> dict[str, list[int | None]]:
    newest = max(having, default=0) if newest is None else newest
    versions: dict[str, list[int]] = {}
    for minor, names in sorted(having.items()):
        for name in names:
            versions.setdefault(name, []).append(minor)
    return {
        name: [minors[0], None if minors[-1] == newest else minors[-1]]
        for name, minors in sorted(versions.items())
    }


def text(document: dict[str, Any]) -> str:
    """One line for each module."""
    lines = [f'"versions": {json.dumps(document["versions"])}']
    for part in ("builtin", "modules", "names"):
        inner = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document[part].items())
        lines.append(f'"{part}": {{\n{inner}\n}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(pythons: list[str]) -> None:
    """Write the table."""
    alone = [asked(python) for python in pythons]
    found = [asked(python, doubtful(alone)) for python in pythons]
    newest = max(found, key=lambda one: one["minor"])
    found.append(derived(newest))
    TABLE.write_text(text(table(found)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
