"""Which file an import finds on the target, by the names of the files alone.

The rules are those of importlib's path finder (https://docs.python.org/3/reference/import.html): in each
folder of the path a package comes before an extension module, that before a source file, and folders without
any of them make a namespace package together.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lambda_bundle import stdlib
from lambda_bundle.targets import Target

RUNTIME_MODULES = frozenset(
    {
        *("awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "s3transfer", "simplejson", "six"),
        *("snapshot_restore_py", "urllib3"),
    }
)
"""What the runtimes have beside the standard library: the SDK, the interface client, and what they need."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of the import path, by the files below it."""

    files: Container[str]
    """Paths with "/" between folders."""
    folders: Container[str]
    prefix: str = ""
    """What comes before every path, such as "python/"."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an import of a module finds."""

    kind: Literal["source", "extension", "namespace"]
    root: int
    """The number of the folder of the import path."""
    path: str
    """The file, with the root's prefix; for a namespace package, one of its folders."""
    portions: tuple[tuple[int, str], ...] = ()
    """Where submodules are looked for: folders with the number of their root."""


class Path:
    """The import path of a function: its own folder, then its layers."""

    def __init__(self, roots: Sequence[Root], target: Target) -> None:
        self._roots, self._version = roots, target.version
        major, minor = target.version
        tag = f"cpython-{major}{minor}{'m' if target.version < (3, 8) else ''}-{target.machine}-linux-gnu"
        self._suffixes = (f".{tag}.so", ".abi3.so", ".so", ".py", ".pyc")
        self._found: dict[str, Found | None] = {}

    def find(self, name: str) -> Found | None:
        """What `import NAME` finds; None when there is no such file, whatever the standard library has.

        A folder that is no package gives way to what comes later on the path and is one.
        """
        return None if self._gives_way(name) else self._look(name)

    def hidden(self, name: str) -> Found | None:
        """What `import NAME` would find, if the standard library or the runtime did not have that package."""
        return self._look(name) if self._gives_way(name) else None

    def _gives_way(self, name: str) -> bool:
        top = name.partition(".")[0]
        if not (stdlib.has(top, self._version) or top in RUNTIME_MODULES):
            return False
        found = self._look(top)
        return found is not None and found.kind == "namespace"

    def _look(self, name: str) -> Found | None:
        if name not in self._found:
            parent, _, last = name.rpartition(".")
            portions: Sequence[tuple[int, str]] = [
                (number, root.prefix) for number, root in enumerate(self._roots)
            ]
            if parent:
                above = self._look(parent)
                portions = [] if above is None else above.portions
            self._found[name] = self._in(portions, last) if last else None
        return self._found[name]

    def _in(self, portions: Sequence[tuple[int, str]], name: str) -> Found | None:
        namespace: list[tuple[int, str]] = []
        for number, folder in portions:
            root, base = self._roots[number], f"{folder}{name}"
            is_folder = base in root.folders
            for suffix in self._suffixes if is_folder else ():
                if f"{base}/__init__{suffix}" in root.files:
                    path = f"{base}/__init__{suffix}"
                    return Found(_kind(suffix), number, path, ((number, f"{base}/"),))
            for suffix in self._suffixes:
                if f"{base}{suffix}" in root.files:
                    return Found(_kind(suffix), number, f"{base}{suffix}")
            if is_folder:
                namespace.append((number, f"{base}/"))
        if not namespace:
            return None
        return Found("namespace", namespace[0][0], namespace[0][1], tuple(namespace))


def _kind(suffix: str) -> Literal["source", "extension"]:
    return "extension" if suffix.endswith(".so") else "source"


def module_name(path: str) -> str:
    """The dotted name of a source file: `app/main.py` is app.main, and `app/__init__.py` is app."""
    name = path.removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")


def parents(name: str) -> Iterator[str]:
    """A dotted name and every package above it, the outermost first."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
