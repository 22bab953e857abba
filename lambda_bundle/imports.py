"""Would the function's own code load: its syntax, its handler, and what it imports.

Only what the function's own files say is judged; of a dependency it is known which modules it has, by the
names of its files. How a handler is found is told by `awslambdaric`, which every Python runtime has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Literal

from lambda_bundle import stdlib
from lambda_bundle.errors import Code, Problem, Where, did_you_mean
from lambda_bundle.failures import Failures, passes
from lambda_bundle.modules import Found, parents
from lambda_bundle.reading import Reading
from lambda_bundle.scope import LOADED, Scope
from lambda_bundle.source import When
from lambda_bundle.syntax import HOST

_BEFORE = frozenset({"awslambdaric", "simplejson"})
"""The same of what is no part of the standard library."""
_UNUSED = frozenset(
    {"antigravity", "ensurepip", "idlelib", "lib2to3", "pydoc_data"}
    | {"test", "this", "tkinter", "turtledemo", "venv"}
)
"""Modules of the standard library that nothing needs on Lambda."""
Severity = Literal["error", "warning", "note"]


class Judge:
    """The code of one function, or of one layer when there is no handler."""

    def __init__(
        self,
        scope: Scope,
        *,
        handler: str | None,
        skips: bool = False,
        moved: bool = False,
        provided: Collection[str] = (),
        foreign: Callable[[Found], bool] = lambda _: True,
    ) -> None:
        """With `skips`, dependencies were left out on purpose; where the path was `moved`, all may be found.

        What is `provided` can be imported though it has no file; `foreign` tells whether a distribution has
        brought a file.
        """
        self._scope, self._handler, self._skips = scope, handler, skips
        self._loading, self._reaching = self._reached()
        sources = {file: source for file in self._reaching if (source := scope.own[file].source) is not None}
        installed = {*provided, *(name for source in sources.values() for name in source.installs)}
        self._failures = Failures(scope, installed=installed, foreign=foreign)
        scope.give(
            (scope.absolute(file, one), one.name) for file, source in sources.items() for one in source.sets
        )
        self._patched = any(source.patches for source in sources.values())
        self._moved = moved or self._patched or any(source.moves for source in sources.values())

    def problems(self) -> Iterator[Problem]:
        """Everything there is to say."""
        if self._handler is not None:
            yield from self._judge_handler(self._handler)
        yield from self._judge_names()
        for file, reading in self._scope.own.items():
            yield from self._judge_syntax(file, reading, reached=file in self._reaching)
        seen: set[tuple[Code, str]] = set()
        for file, reading in self._scope.own.items():
            for problem in self._judge_imports(file, reading, loaded=file in self._loading):
                key = (problem.code, problem.message if problem.severity == "note" else str(problem.where))
                if key not in seen:
                    seen.add(key)
                    yield problem

    # --- the handler

    def _judge_handler(self, handler: str) -> Iterator[Problem]:
        dotted, _, name = handler.replace("/", ".").rpartition(".")
        runtime, top = self._scope.target.runtime, dotted.partition(".")[0]
        found = self._scope.path.find(dotted)
        if top in stdlib.builtin(self._scope.target.version):
            message = (
                f'"{top}" is a module that is built into Python, and Lambda takes no handler from such a one'
            )
            yield _problem(Code.HANDLER_SHADOWED, message, hint="rename the module", where=Where(key=handler))
            return
        hidden = self._scope.path.hidden(dotted)
        if hidden is not None:
            message = f'"{dotted}" is in a folder without __init__.py, and "{top}" is a module of {runtime}'
            where = Where(file=hidden.path)
            yield _problem(Code.HANDLER_SHADOWED, message, hint=f"rename {top}/", where=where)
        elif found is None:
            message = f'there is no module "{dotted}" for the handler {handler}'
            near = did_you_mean(dotted, self._scope.modules)
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
        python = stdlib.has(top, self._scope.target.version)
        if found is not None and not self._scope.is_beside(found) and (python or top in _BEFORE):
            taken = top in LOADED or not python
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
        defined = self._scope.defines(dotted, name, found=found)
        if defined is None:
            reading = self._scope.read(found)
            if reading is None or (reading.fault is None and reading.unread is None):
                message = f'whether "{name}" is there only shows when the module is imported'
                yield _problem(Code.NOT_CHECKED, message, where=where, severity="note")
        elif not defined:
            source = self._scope.source(found)
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
        version = self._scope.target.version
        told = None if self._handler is None else self._handler.replace("/", ".").partition(".")[0]
        tops = {name.partition(".")[0] for name in self._scope.modules}
        for top in sorted(tops - LOADED - stdlib.builtin(version) - _UNUSED - {told}):
            found = self._scope.path.find(top)
            if stdlib.has(top, version) and found is not None and self._scope.is_own(found):
                message = (
                    f'"{top}" is also a module of the standard library: whatever imports that gets this file'
                )
                hint = "rename it: boto3 and others need the modules of Python"
                where = Where(file=found.path)
                yield _problem(Code.MODULE_SHADOWING, message, hint=hint, where=where, severity="warning")

    # --- syntax

    def _judge_syntax(self, file: str, reading: Reading, *, reached: bool) -> Iterator[Problem]:
        runtime, fault = self._scope.target.runtime, reading.fault
        if fault is not None:
            since = f": this came with Python {fault.version}" if fault.version else ""
            severity: Severity = "error" if reached else "warning"
            if not reached and not all(part.isidentifier() for part in self._scope.name(file).split(".")):
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
                hint=f"run it with Python {'.'.join(map(str, self._scope.target.version))} or newer",
                detail=reading.unread,
                severity="warning" if reached else "note",
            )

    # --- the files that count

    def _reached(self) -> tuple[set[str], set[str]]:
        """The own files that are imported with the handler for certain, and all that may ever be.

        What is imported under `try` may fail for what it imports itself; a fault in its syntax fails both.
        """
        if self._handler is None:
            return set(self._scope.own), set(self._scope.own)
        start = self._handler.replace("/", ".").rpartition(".")[0]
        return self._follow({start}, {"import"}), self._follow(
            {start}, {"import", "maybe", "guarded", "call"}
        )

    def _follow(self, names: set[str], when: Collection[When]) -> set[str]:
        files: set[str] = set()
        waiting = sorted(names)
        while waiting:
            for name in parents(waiting.pop()):
                found = self._scope.find(name)
                if found is None or found.path in files or not self._scope.is_own(found):
                    continue
                files.add(found.path)
                source = self._scope.own[found.path].source
                for one in source.imports if source else ():
                    module = self._scope.absolute(found.path, one)
                    if module is not None and one.when in when:
                        waiting += [module, f"{module}.{one.name}"] if one.name else [module]
        return files

    # --- what they import

    def _judge_imports(self, file: str, reading: Reading, *, loaded: bool) -> Iterator[Problem]:
        imports = () if reading.source is None else reading.source.imports
        failures = [self._failures.of(file, one) for one in imports]
        for one, failure in zip(imports, failures, strict=True):
            fallback = any(
                all(passes(failures[number]) for number in group) for group in one.instead if group
            )
            if failure is None or fallback:
                continue
            severity, hint = self._severity(one.when, loaded=loaded), failure.hint
            if any(not passes(failures[number]) for number in one.after):
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


def _problem(
    code: Code, message: str, *, where: Where, hint: str | None = None, severity: Severity = "error"
) -> Problem:
    return replace(Problem(code=code, message=message, where=where, hint=hint), severity=severity)
