"""Why imports fail: what is missing, what a version of Python does not have, and what hides what."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module

from lambda_bundle import stdlib
from lambda_bundle.errors import Code, did_you_mean
from lambda_bundle.modules import RUNTIME_MODULES, Found, parents
from lambda_bundle.scope import LOADED, Scope
from lambda_bundle.source import Import
from lambda_bundle.syntax import HOST

_ATTRIBUTES = frozenset(
    {"os.path", "typing.io", "typing.re", "xml.parsers.expat.errors", "xml.parsers.expat.model"}
)
"""Modules of the standard library that have no file."""
_ADD = (
    "add it to the requirements or the sources; where it may be missing, import it under `try`; "
    "where a layer from elsewhere brings it, name it in `verify.ignore`"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an import fails, or, with the code of a note, what is to say of it."""

    module: str
    """What is imported, for `ignore`."""
    message: str
    hint: str | None = None
    code: Code = Code.IMPORT_MISSING
    foreign: bool = False
    """It would be a dependency's."""
    uncertain: bool = False
    """It may be there all the same: a warning at most."""


class Failures:
    """Tells of the imports of one function or layer."""

    def __init__(self, scope: Scope, *, installed: Collection[str], foreign: Callable[[Found], bool]) -> None:
        """`installed` needs no file to be imported; `foreign` says whether a distribution has brought one."""
        self._scope, self._installed, self._foreign = scope, installed, foreign

    def of(self, file: str, one: Import) -> Failure | None:
        """Why an import of a file fails; None where it does not."""
        module = self._scope.absolute(file, one)
        if module is None:
            dots = "." * one.level
            message = f'"{dots}{one.module}" leads out of the package that this file is in'
            return Failure(f"{dots}{one.module}", message, "import it by its full name")
        failure = self._missing(module)
        if failure is None and one.name not in {None, "*"}:
            failure = self._missing_name(module, str(one.name))
        return failure

    def _missing(self, module: str) -> Failure | None:
        """Why a module cannot be imported."""
        top = module.partition(".")[0]
        if top in self._installed or module == "__main__":
            return None
        if self._scope.find(top) is None:
            return self._outside(module)
        for name in parents(module):
            if self._scope.find(name) is None:
                above = self._scope.find(name.rpartition(".")[0])
                source = None if above is None else self._scope.source(above)
                made = source is None or source.moves or source.patches or source.reaches
                if above is not None and above.kind != "namespace" and made:
                    return None  # such as six.moves, which is made at run time
                holder = name.rpartition(".")[0]
                message = f'"{name}" is imported and is not there: {holder} has no such module'
                return Failure(name, message, self._scope.near(name) or _ADD)
        return None

    def _outside(self, module: str) -> Failure | None:
        """The same for what is neither in the artifact nor in a layer."""
        target, top = self._scope.target, module.partition(".")[0]
        runtime, version = target.runtime, target.version
        for name in parents(module):
            span = stdlib.module(name)
            if span is not None and not span.holds(version):
                message = f'"{name}" is imported, and {runtime} has no such module: {span.told(version)}'
                return Failure(name, message, "import what took its place, or add a distribution that has it")
        if stdlib.has(top, version):
            return self._unknown(module)
        if top in RUNTIME_MODULES:
            message = (
                f'"{top}" is not in the artifact: the one of the runtime is used, whose version AWS chooses'
            )
            return Failure(top, message, code=Code.IMPORT_FROM_RUNTIME)
        message = (
            f'"{module}" is imported and is not there: neither the artifact nor a layer nor the standard '
            f"library of {runtime} has it"
        )
        below = self._scope.path.find(f"src.{top}")
        hint = "it is in src/, where Python does not look: let `entry` be that folder" if below else None
        return Failure(module, message, hint or self._scope.near(module) or _ADD, foreign=below is None)

    def _unknown(self, module: str) -> Failure | None:
        """Why a module of a package of the standard library cannot be imported, if no Python has it."""
        holder, _, last = module.rpartition(".")
        if not holder or stdlib.module(module) is not None or module in _ATTRIBUTES:
            return None
        if (hidden := self._scope.path.hidden(module)) is not None:
            return self._given_way(module, hidden)
        if stdlib.module(holder) is None:
            return self._unknown(holder)
        message = f'"{module}" is imported, and {holder} has no module {last} in any Python'
        return Failure(module, message, "correct the name", uncertain=True)

    def _missing_name(self, module: str, name: str) -> Failure | None:
        """Why `from MODULE import NAME` fails although there is the module."""
        found = self._scope.find(module)
        if found is None:
            return self._outside_name(module, name)
        elsewhere = self._scope.is_beside(found)
        if elsewhere if found.kind == "namespace" else not self._scope.is_own(found) and self._foreign(found):
            return None  # what a dependency defines is its own business
        if self._scope.defines(module, name) is False and self._scope.find(f"{module}.{name}") is None:
            source = self._scope.source(found)
            near = did_you_mean(name, source.names) if source else None
            message = f'"{name}" is imported from {module}, which does not define it'
            # What other modules of a layer give it is not looked for.
            return Failure(f"{module}.{name}", message, near, uncertain=elsewhere)
        return None

    def _outside_name(self, module: str, name: str) -> Failure | None:
        """The same for a module of the standard library."""
        span, version, full = stdlib.member(module, name), self._scope.target.version, f"{module}.{name}"
        if span is None:
            hidden = self._scope.path.hidden(full) if stdlib.module(full) is None else None
            return self._shadowed(module, name) if hidden is None else self._given_way(full, hidden)
        if span.holds(version):
            return None
        message = f'{module} has no "{name}" on {self._scope.target.runtime}: {span.told(version)}'
        return Failure(full, message, "import what took its place, or choose another runtime")

    def _given_way(self, module: str, hidden: Found) -> Failure:
        top = module.partition(".")[0]
        message = f'"{module}" is imported, and {hidden.path} is not where Python looks: "{top}" is its own'
        return Failure(module, message, f"rename {top}/: without __init__.py it gives way to Python's module")

    def _shadowed(self, module: str, name: str) -> Failure | None:
        """Why a name of a module is not there that has the name of one which Python has loaded before."""
        hidden = self._scope.path.find(module) if module in LOADED else None
        if hidden is None or hasattr(import_module(module), name) or stdlib.module(f"{module}.{name}"):
            return None
        message = (
            f'"{name}" is imported from {module}, and that is the standard library\'s, not {hidden.path}'
        )
        hint = "rename the file: Python has loaded its own before"
        # What a newer Python than this one has besides, the table need not know.
        return Failure(f"{module}.{name}", message, hint, uncertain=self._scope.target.version > HOST)


def passes(failure: Failure | None) -> bool:
    """Whether an import works, if only by what the runtime has."""
    return failure is None or failure.code is Code.IMPORT_FROM_RUNTIME
