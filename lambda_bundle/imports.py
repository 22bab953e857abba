"""Would the function's own code load: its syntax, its handler, and what it imports.

Only what the function's own files say is judged; of a dependency it is known which modules it has, by the
names of its files. How a handler is found is told by `awslambdaric`, which every Python runtime has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Literal

from lambda_bundle import stdlib
from lambda_bundle.errors import Code, Problem, Where, did_you_mean
from lambda_bundle.modules import RUNTIME_MODULES, Found, Path, module_name, parents
from lambda_bundle.reading import Reading
from lambda_bundle.source import Import, Source, When
from lambda_bundle.syntax import HOST
from lambda_bundle.targets import Target

_LOADED = frozenset(
    {"decimal", "json", "logging", "math", "os", "re", "time", "traceback"}
    | {"abc", "codecs", "collections", "copyreg", "encodings", "enum", "functools", "genericpath"}
    | {"importlib", "io", "keyword", "linecache", "numbers", "operator", "posixpath", "reprlib", "site"}
    | {"stat", "string", "threading", "types", "warnings", "weakref"}
)
"""Modules that are there before the handler is looked for: the runtime interface client has imported them, or
Python itself (`sys.modules` after `import awslambdaric.bootstrap`, in each Python from 3.8 to 3.13)."""
_BEFORE = frozenset({"awslambdaric", "simplejson"})
"""The same of what is no part of the standard library."""
_UNUSED = frozenset(
    {
        "antigravity",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "test",
        "this",
        "tkinter",
        "turtledemo",
        "venv",
    }
)
"""Modules of the standard library that nothing needs on Lambda."""
_ATTRIBUTES = frozenset(
    {"os.path", "typing.io", "typing.re", "xml.parsers.expat.errors", "xml.parsers.expat.model"}
)
"""Modules of the standard library that have no file."""
_CROWD = 300
"""Modules beyond which none is suggested for one that is missing."""
_OF_EVERY_MODULE = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__dict__", "__doc__", "__file__"}
    | {"__loader__", "__name__", "__package__", "__path__", "__spec__"}
)
Severity = Literal["error", "warning", "note"]


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


class Judge:
    """The code of one function, or of one layer when there is no handler."""

    def __init__(
        self,
        own: Mapping[str, Reading],
        path: Path,
        target: Target,
        *,
        handler: str | None,
        roots: Sequence[str] = ("",),
        skips: bool = False,
        moved: bool = False,
        provided: Collection[str] = (),
        others: Callable[[Found], Reading | None] = lambda _: None,
        foreign: Callable[[Found], bool] = lambda _: True,
    ) -> None:
        """Judge what is known of each source file of the function itself, by its path in the artifact.

        `roots` are the folders in there that Python looks into: the first of the import path. With `skips`,
        dependencies were left out on purpose; what is `provided` can be imported though it has no file, and
        where the path was `moved`, so may everything. `others` reads a file of a dependency or a layer, and
        `foreign` tells whether a distribution has brought it.
        """
        self._own, self._path, self._target = own, path, target
        self._handler, self._roots = handler, roots
        self._others, self._foreign = others, foreign
        self._skips = skips
        self._modules = {self._name(file): file for file in own}
        self._loading, self._reaching = self._reached()
        sources = {file: source for file in self._reaching if (source := own[file].source) is not None}
        self._installed = {*provided, *(name for source in sources.values() for name in source.installs)}
        self._set = {
            (self._absolute(file, one), one.name) for file, source in sources.items() for one in source.sets
        }
        self._patched = any(source.patches for source in sources.values())
        self._moved = moved or self._patched or any(source.moves for source in sources.values())

    def _name(self, file: str) -> str:
        """The dotted name of one of its own files."""
        root = next((root for root in self._roots if root and file.startswith(root)), "")
        return module_name(file.removeprefix(root))

    def _near(self, module: str) -> str | None:
        """A hint to a module of its own that has nearly this name; in a crowd, some name always is near."""
        return did_you_mean(module, self._modules, 0.8) if len(self._modules) <= _CROWD else None

    def _find(self, name: str) -> Found | None:
        """What `import NAME` finds, once Python runs: what it has loaded before is not looked for."""
        top, version = name.partition(".")[0], self._target.version
        loaded = top in stdlib.builtin(version) or (top in _LOADED and stdlib.has(top, version))
        return None if loaded else self._path.find(name)

    def _is_own(self, found: Found) -> bool:
        return found.root < len(self._roots) and found.path in self._own

    def problems(self) -> Iterator[Problem]:
        """Everything there is to say."""
        if self._handler is not None:
            yield from self._judge_handler(self._handler)
        yield from self._judge_names()
        for file, reading in self._own.items():
            yield from self._judge_syntax(file, reading, reached=file in self._reaching)
        seen: set[tuple[Code, str]] = set()
        for file, reading in self._own.items():
            for problem in self._judge_imports(file, reading, loaded=file in self._loading):
                key = (problem.code, problem.message if problem.severity == "note" else str(problem.where))
                if key not in seen:
                    seen.add(key)
                    yield problem

    # --- the handler

    def _judge_handler(self, handler: str) -> Iterator[Problem]:
        dotted, _, name = handler.replace("/", ".").rpartition(".")
        runtime, top = self._target.runtime, dotted.partition(".")[0]
        found = self._path.find(dotted)
        if top in stdlib.builtin(self._target.version):
            message = (
                f'"{top}" is a module that is built into Python, and Lambda takes no handler from such a one'
            )
            yield _problem(Code.HANDLER_SHADOWED, message, hint="rename the module", where=Where(key=handler))
            return
        hidden = self._path.hidden(dotted)
        if hidden is not None:
            message = f'"{dotted}" is in a folder without __init__.py, and "{top}" is a module of {runtime}'
            where = Where(file=hidden.path)
            yield _problem(Code.HANDLER_SHADOWED, message, hint=f"rename {top}/", where=where)
        elif found is None:
            message = f'there is no module "{dotted}" for the handler {handler}'
            near = did_you_mean(dotted, self._modules)
            hint = near or f"its file would be {dotted.replace('.', '/')}.py in the artifact"
            yield _problem(Code.HANDLER_MISSING, message, hint=hint, where=Where(key=handler))
        elif found.kind == "namespace":
            message = (
                f'"{dotted}" is a folder without __init__.py, which defines nothing: not "{name}" either'
            )
            hint = f"name the module in it, as in {dotted}.MODULE.{name}"
            yield _problem(Code.HANDLER_MISSING, message, hint=hint, where=Where(file=found.path.rstrip("/")))
        else:
            yield from self._judge_name(found, dotted, name)
        python = stdlib.has(top, self._target.version)
        if found is not None and found.root < len(self._roots) and (python or top in _BEFORE):
            taken = top in _LOADED or not python
            of = f"the standard library of {runtime}" if python else f"{runtime} itself"
            message = f'"{top}" is also a module of {of}'
            message += ", which Lambda has imported before it looks for the handler" if taken else ""
            hint = "rename it: which of the two is meant depends on who imports it first"
            severity: Severity = "error" if taken else "warning"
            yield _problem(
                Code.HANDLER_SHADOWED, message, hint=hint, where=Where(file=found.path), severity=severity
            )

    def _judge_name(self, found: Found, dotted: str, name: str) -> Iterator[Problem]:
        where = Where(file=found.path)
        defined = self._defines(dotted, name, found=found)
        if defined is None:
            reading = self._read(found)
            if reading is None or (reading.fault is None and reading.unread is None):
                message = f'whether "{name}" is there only shows when the module is imported'
                yield _problem(Code.NOT_CHECKED, message, where=where, severity="note")
        elif not defined:
            source = self._source(found)
            names = sorted(one for one in source.names if not one.startswith("_")) if source else []
            hint = did_you_mean(name, names)
            if hint is None and names:
                hint = f"it defines {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
            message = f'"{name}" is not defined at the top level of {dotted}'
            severity: Severity = "warning" if self._patched else "error"
            yield _problem(Code.HANDLER_UNDEFINED, message, hint=hint, where=where, severity=severity)

    # --- names of modules

    def _judge_names(self) -> Iterator[Problem]:
        """Own modules that whoever imports a module of the standard library gets in its place."""
        version = self._target.version
        told = None if self._handler is None else self._handler.replace("/", ".").partition(".")[0]
        tops = {name.partition(".")[0] for name in self._modules}
        for top in sorted(tops - _LOADED - stdlib.builtin(version) - _UNUSED - {told}):
            found = self._path.find(top)
            if stdlib.has(top, version) and found is not None and self._is_own(found):
                message = (
                    f'"{top}" is also a module of the standard library: whatever imports that gets this file'
                )
                hint = "rename it: boto3 and others need the modules of Python"
                where = Where(file=found.path)
                yield _problem(Code.MODULE_SHADOWING, message, hint=hint, where=where, severity="warning")

    # --- syntax

    def _judge_syntax(self, file: str, reading: Reading, *, reached: bool) -> Iterator[Problem]:
        runtime, fault = self._target.runtime, reading.fault
        if fault is not None:
            since = f": this came with Python {fault.version}" if fault.version else ""
            severity: Severity = "error" if reached else "warning"
            if not reached and not all(part.isidentifier() for part in self._name(file).split(".")):
                severity = "note"  # a template, or a script
            hint = f"write it as {runtime} reads it"
            if fault.version:
                hint += f", or choose a runtime from python{fault.version} on"
            elif not reached:
                hint = "mend it, or leave it out with `exclude`: nothing that the handler imports needs it"
            yield Problem(
                code=Code.SYNTAX_UNSUPPORTED,
                message=f"{runtime} cannot parse this file{since}",
                where=Where(file=file, line=fault.line),
                hint=hint,
                detail=f"{fault.text}\n{fault.said}".strip(),
                severity=severity,
            )
        elif reading.unread is not None:
            host = ".".join(map(str, HOST))
            yield Problem(
                code=Code.NOT_CHECKED,
                message=f"what this file defines and imports was not checked: this runs on Python {host}, "
                f"which cannot parse it; {runtime} can",
                where=Where(file=file),
                hint=f"run it with Python {'.'.join(map(str, self._target.version))} or newer",
                detail=reading.unread,
                severity="warning" if reached else "note",
            )

    # --- the files that count

    def _reached(self) -> tuple[set[str], set[str]]:
        """The own files that are imported with the handler for certain, and all that may ever be.

        What is imported under `try` may fail for what it imports itself; a fault in its syntax fails both.
        """
        if self._handler is None:
            return set(self._own), set(self._own)
        start = self._handler.replace("/", ".").rpartition(".")[0]
        return self._follow({start}, {"import"}), self._follow(
            {start}, {"import", "maybe", "guarded", "call"}
        )

    def _follow(self, names: set[str], when: Collection[When]) -> set[str]:
        files: set[str] = set()
        waiting = sorted(names)
        while waiting:
            for name in parents(waiting.pop()):
                found = self._find(name)
                if found is None or found.path in files or not self._is_own(found):
                    continue
                files.add(found.path)
                source = self._own[found.path].source
                for one in source.imports if source else ():
                    module = self._absolute(found.path, one)
                    if module is not None and one.when in when:
                        waiting += [module, f"{module}.{one.name}"] if one.name else [module]
        return files

    # --- what they import

    def _judge_imports(self, file: str, reading: Reading, *, loaded: bool) -> Iterator[Problem]:
        imports = () if reading.source is None else reading.source.imports
        failures = [self._failure(file, one) for one in imports]
        for one, failure in zip(imports, failures, strict=True):
            fallback = any(
                all(_passes(failures[number]) for number in group) for group in one.instead if group
            )
            if failure is None or fallback:
                continue
            severity, hint = self._severity(one.when, loaded=loaded), failure.hint
            if any(not _passes(failures[number]) for number in one.after):
                severity = "note"
            if failure.uncertain and severity == "error":
                severity = "warning"
            if failure.code is Code.IMPORT_FROM_RUNTIME:
                severity = "note"
            elif self._moved and severity == "error":
                severity = "warning"
                hint = (
                    "`sys.path`, `sys.modules` or a `__path__` is changed here: "
                    "if that makes it importable, name it in `verify.ignore`"
                )
            elif self._skips and severity == "error" and failure.foreign:
                severity = "warning"
                hint = "if `skip` leaves it out, whoever deploys the function has to bring it, as in a layer"
            where = Where(file=file, line=one.line, key=failure.module)
            yield _problem(failure.code, failure.message, hint=hint, where=where, severity=severity)

    def _severity(self, when: When, *, loaded: bool) -> Severity:
        if when in {"guarded", "call", "never"}:
            return "note"
        # What a layer lacks, the function that has it may bring.
        return "error" if when == "import" and loaded and self._handler is not None else "warning"

    def _absolute(self, file: str, one: Import) -> str | None:
        """The absolute name of the module of an import; None where the dots lead out of the package."""
        if not one.level:
            return one.module
        parts = self._name(file).split(".")
        package = parts if file.endswith("/__init__.py") else parts[:-1]
        if one.level > len(package):
            return None
        base = package[: len(package) - one.level + 1]
        return ".".join((*base, one.module) if one.module else base)

    def _failure(self, file: str, one: Import) -> Failure | None:
        module = self._absolute(file, one)
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
        if self._find(top) is None:
            return self._outside(module)
        for name in parents(module):
            if self._find(name) is None:
                above = self._find(name.rpartition(".")[0])
                source = None if above is None else self._source(above)
                made = source is None or source.moves or source.patches or source.reaches
                if above is not None and above.kind != "namespace" and made:
                    return None  # such as six.moves, which is made at run time
                holder = name.rpartition(".")[0]
                message = f'"{name}" is imported and is not there: {holder} has no such module'
                return Failure(name, message, self._near(name) or _ADD)
        return None

    def _outside(self, module: str) -> Failure | None:
        """The same for what is neither in the artifact nor in a layer."""
        runtime, version, top = self._target.runtime, self._target.version, module.partition(".")[0]
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
        below = self._path.find(f"src.{top}")
        hint = "it is in src/, where Python does not look: let `entry` be that folder" if below else None
        return Failure(module, message, hint or self._near(module) or _ADD, foreign=below is None)

    def _unknown(self, module: str) -> Failure | None:
        """Why a module of a package of the standard library cannot be imported, if no Python has it."""
        holder, _, last = module.rpartition(".")
        if not holder or stdlib.module(module) is not None or module in _ATTRIBUTES:
            return None
        if (hidden := self._path.hidden(module)) is not None:
            return self._given_way(module, hidden)
        if stdlib.module(holder) is None:
            return self._unknown(holder)
        message = f'"{module}" is imported, and {holder} has no module {last} in any Python'
        return Failure(module, message, "correct the name", uncertain=True)

    def _missing_name(self, module: str, name: str) -> Failure | None:
        """Why `from MODULE import NAME` fails although there is the module."""
        found = self._find(module)
        if found is None:
            return self._outside_name(module, name)
        elsewhere = found.root >= len(self._roots)
        if elsewhere if found.kind == "namespace" else not self._is_own(found) and self._foreign(found):
            return None  # what a dependency defines is its own business
        if self._defines(module, name) is False and self._find(f"{module}.{name}") is None:
            source = self._source(found)
            near = did_you_mean(name, source.names) if source else None
            message = f'"{name}" is imported from {module}, which does not define it'
            # What other modules of a layer give it is not looked for.
            return Failure(f"{module}.{name}", message, near, uncertain=elsewhere)
        return None

    def _outside_name(self, module: str, name: str) -> Failure | None:
        """The same for a module of the standard library."""
        span, version, full = stdlib.member(module, name), self._target.version, f"{module}.{name}"
        if span is None:
            hidden = self._path.hidden(full) if stdlib.module(full) is None else None
            return self._shadowed(module, name) if hidden is None else self._given_way(full, hidden)
        if span.holds(version):
            return None
        message = f'{module} has no "{name}" on {self._target.runtime}: {span.told(version)}'
        return Failure(full, message, "import what took its place, or choose another runtime")

    def _given_way(self, module: str, hidden: Found) -> Failure:
        top = module.partition(".")[0]
        message = f'"{module}" is imported, and {hidden.path} is not where Python looks: "{top}" is its own'
        return Failure(module, message, f"rename {top}/: without __init__.py it gives way to Python's module")

    def _shadowed(self, module: str, name: str) -> Failure | None:
        """Why a name of a module is not there that has the name of one which Python has loaded before."""
        hidden = self._path.find(module) if module in _LOADED else None
        if hidden is None or hasattr(import_module(module), name) or stdlib.module(f"{module}.{name}"):
            return None
        message = (
            f'"{name}" is imported from {module}, and that is the standard library\'s, not {hidden.path}'
        )
        hint = "rename the file: Python has loaded its own before"
        # What a newer Python than this one has besides, the table need not know.
        return Failure(f"{module}.{name}", message, hint, uncertain=self._target.version > HOST)

    # --- what modules define

    def _defines(
        self, module: str, name: str, seen: frozenset[str] = frozenset(), *, found: Found | None = None
    ) -> bool | None:
        """Whether a module has a name at its top level; None where only an import can tell."""
        found = found or self._find(module)
        if found is None or module in seen:
            return None if found is None else False
        if found.kind == "namespace":
            return False
        source = self._source(found)
        if source is None:
            return None
        known = name in source.names or name in _OF_EVERY_MODULE or (module, name) in self._set
        if known or any(self._binds(found, one, f"{module}.{name}") for one in source.imports):
            return True
        answers = {
            self._exports(star, name, seen | {module})
            for one in source.imports
            if one.name == "*" and one.when != "never" and (star := self._absolute(found.path, one))
        }
        if True in answers:
            return True
        return None if source.dynamic or None in answers else False

    def _binds(self, found: Found, one: Import, module: str) -> bool:
        """Whether an import of a package makes one of its own modules an attribute of it."""
        imported = None if one.when == "never" else self._absolute(found.path, one)
        return imported is not None and f"{imported}.".startswith(f"{module}.")

    def _exports(self, module: str, name: str, seen: frozenset[str]) -> bool | None:
        """Whether `from MODULE import *` brings a name."""
        found = self._find(module)
        source = None if found is None else self._source(found)
        if source is not None and source.exports is not None:
            return True if name in source.exports else None if source.dynamic else False
        return False if name.startswith("_") else self._defines(module, name, seen)

    def _read(self, found: Found) -> Reading | None:
        if found.kind != "source":
            return None
        if self._is_own(found):
            return self._own[found.path]
        return self._others(found)

    def _source(self, found: Found) -> Source | None:
        reading = self._read(found)
        return None if reading is None else reading.source


_ADD = (
    "add it to the requirements or the sources; where it may be missing, import it under `try`; "
    "where a layer from elsewhere brings it, name it in `verify.ignore`"
)


def _passes(failure: Failure | None) -> bool:
    return failure is None or failure.code is Code.IMPORT_FROM_RUNTIME


def _problem(
    code: Code, message: str, *, where: Where, hint: str | None = None, severity: Severity = "error"
) -> Problem:
    return replace(Problem(code=code, message=message, where=where, hint=hint), severity=severity)
