"""What an import finds from within a function's own code, and what the modules that it finds define.

Of a dependency it is known which modules it has, by the names of its files; what is in them is read where it
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from lambda_bundle import stdlib
from lambda_bundle.errors import did_you_mean
from lambda_bundle.modules import Found, Path, module_name
from lambda_bundle.reading import Reading
from lambda_bundle.source import Import, Source
from lambda_bundle.targets import Target

LOADED = frozenset(
    {"decimal", "json", "logging", "math", "os", "re", "time", "traceback"}
    | {"abc", "codecs", "collections", "copyreg", "encodings", "enum", "functools", "genericpath"}
    | {"importlib", "io", "keyword", "linecache", "numbers", "operator", "posixpath", "reprlib", "site"}
    | {"stat", "string", "threading", "types", "warnings", "weakref"}
)
"""Modules that are there before the handler is looked for: the runtime interface client has imported them, or
Python itself (`sys.modules` after `import awslambdaric.bootstrap`, in each Python from 3.8 to 3.13)."""
_CROWD = 300
"""Modules beyond which none is suggested for one that is missing."""
_OF_EVERY_MODULE = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__dict__", "__doc__", "__file__"}
    | {"__loader__", "__name__", "__package__", "__path__", "__spec__"}
)


class Scope:
    """The code of one function or layer, with all that is beside it."""

    def __init__(
        self,
        own: Mapping[str, Reading],
        path: Path,
        target: Target,
        *,
        roots: Sequence[str],
        others: Callable[[Found], Reading | None],
    ) -> None:
        """What is known of each source file of the function or layer itself, by its path in the artifact.

        `roots` are the folders in there that Python looks into: the first of the import path. `others` reads
        a file of a dependency or a layer.
        """
        self.own, self.path, self.target = own, path, target
        self._roots, self._others = roots, others
        self.modules = {self.name(file): file for file in own}
        """The files by the dotted names of their modules."""
        self._given: frozenset[tuple[str | None, str | None]] = frozenset()

    def give(self, names: Iterable[tuple[str | None, str | None]]) -> None:
        """Say which names modules get from others, each with the module."""
        self._given = frozenset(names)

    def name(self, file: str) -> str:
        """The dotted name of one of its own files."""
        root = next((root for root in self._roots if root and file.startswith(root)), "")
        return module_name(file.removeprefix(root))

    def near(self, module: str) -> str | None:
        """A hint to a module of its own that has nearly this name; in a crowd, some name always is near."""
        return did_you_mean(module, self.modules, 0.8) if len(self.modules) <= _CROWD else None

    def find(self, name: str) -> Found | None:
        """What `import NAME` finds, once Python runs: what it has loaded before is not looked for."""
        top, version = name.partition(".")[0], self.target.version
        loaded = top in stdlib.builtin(version) or (top in LOADED and stdlib.has(top, version))
        return None if loaded else self.path.find(name)

    def is_own(self, found: Found) -> bool:
        """Whether it is a file of the function or layer itself."""
        return found.root < len(self._roots) and found.path in self.own

    def is_beside(self, found: Found) -> bool:
        """Whether it lies in a layer, or where a .pth file leads."""
        return found.root >= len(self._roots)

    def absolute(self, file: str, one: Import) -> str | None:
        """The absolute name of the module of an import; None where the dots lead out of the package."""
        if not one.level:
            return one.module
        parts = self.name(file).split(".")
        package = parts if file.endswith("/__init__.py") else parts[:-1]
        if one.level > len(package):
            return None
        base = package[: len(package) - one.level + 1]
        return ".".join((*base, one.module) if one.module else base)

    def defines(
        self, module: str, name: str, seen: frozenset[str] = frozenset(), *, found: Found | None = None
    ) -> bool | None:
        """Whether a module has a name at its top level; None where only an import can tell."""
        found = found or self.find(module)
        if found is None or module in seen:
            return None if found is None else False
        if found.kind == "namespace":
            return False
        source = self.source(found)
        if source is None:
            return None
        known = name in source.names or name in _OF_EVERY_MODULE or (module, name) in self._given
        if known or any(self._binds(found, one, f"{module}.{name}") for one in source.imports):
            return True
        answers = {
            self._exports(star, name, seen | {module})
            for one in source.imports
            if one.name == "*" and one.when != "never" and (star := self.absolute(found.path, one))
        }
        if True in answers:
            return True
        return None if source.dynamic or None in answers else False

    def _binds(self, found: Found, one: Import, module: str) -> bool:
        """Whether an import of a package makes one of its own modules an attribute of it."""
        imported = None if one.when == "never" else self.absolute(found.path, one)
        return imported is not None and f"{imported}.".startswith(f"{module}.")

    def _exports(self, module: str, name: str, seen: frozenset[str]) -> bool | None:
        """Whether `from MODULE import *` brings a name."""
        found = self.find(module)
        source = None if found is None else self.source(found)
        if source is not None and source.exports is not None:
            return True if name in source.exports else None if source.dynamic else False
        return False if name.startswith("_") else self.defines(module, name, seen)

    def read(self, found: Found) -> Reading | None:
        if found.kind != "source":
            return None
        if self.is_own(found):
            return self.own[found.path]
        return self._others(found)

    def source(self, found: Found) -> Source | None:
        reading = self.read(found)
        return None if reading is None else reading.source
