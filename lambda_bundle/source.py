"""What a source file defines at its top level, and what it imports. Nothing is executed.

A condition on the version or the system is answered for the target: what stands in the branch that it does
not take is not there.
"""

from __future__ import annotations

import ast
import builtins
import re
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lambda_bundle.conditions import answer, dotted
from lambda_bundle.targets import Target

When = Literal["import", "maybe", "guarded", "call", "never"]
"""When an import runs: with the module; under a condition that nobody can answer; with its failure foreseen
(`try … except ImportError`); when a function is called; not at run time (`TYPE_CHECKING`)."""
_FORESEEN = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_EXCEPTIONS = frozenset(name for name, one in vars(builtins).items() if isinstance(one, type))
_ENDING = frozenset({"sys.exit", "exit", "quit", "os._exit", "os.abort"})
_TRICKS = frozenset({"globals", "vars", "locals", "exec", "setattr"})
_CHANGING = re.compile(
    r"\b(?:globals|vars|locals|exec|setattr|addsitedir|global|__path__)\b|\bsys\s*\.\s*(?:path|modules)\b"
    r"|\binstall_as_|\b__all__\s*[.\[]|\bfrom\s+sys\s+import\b|\bimport\s+sys\s+as\b"
)
"""What a function that changes modules, or the path, has in its text."""
_INSTALLING = "install_as_"
"""How the name of a function begins that puts its module there under another name (PyMySQL's does)."""
_ADDING = frozenset({"append", "insert", "extend", "setdefault", "update", "__setitem__"})
"""Methods that add to a path, or to `sys.modules`; what is removed makes nothing importable."""
_REFUSED = re.compile(r"^\s+from\b.*\*|\bexcept\s*\*|^\s*\*", re.MULTILINE)
"""What the compiler may refuse and neither the parser nor ruff does, such as `import *` in a function."""
_ALWAYS = ("import * only allowed at module level",)
"""How the compiler's messages begin that mean the same in every version; besides those about indentation."""
_LOCK = threading.Lock()
_SETTLED = (3, 10)
"""The first version of Python whose syntax all later ones have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`import MODULE` (`name` is None), or `from MODULE import NAME`."""

    module: str
    """Empty for `from . import NAME`."""
    name: str | None = None
    level: int = 0
    """The dots of a relative import."""
    line: int
    when: When
    instead: tuple[tuple[int, ...], ...] = ()
    """It runs where of each of these groups of imports of the same file one fails."""
    after: tuple[int, ...] = ()
    """It runs only where none of these fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source file as a module."""

    names: frozenset[str] = frozenset()
    """Defined at its top level."""
    exports: frozenset[str] | None = None
    """`__all__`, where it is written out; None: every name without a leading underscore."""
    dynamic: bool = False
    """It can have other names: it has `__getattr__` or changes its namespace in a way that cannot be read."""
    moves: bool = False
    """It changes `sys.path`, or the path of a package."""
    patches: bool = False
    """It puts modules into `sys.modules`, or names into what it finds there."""
    reaches: bool = False
    """It has `sys.modules` in its hands, whatever it does with it."""
    installs: frozenset[str] = frozenset()
    """Modules that it has put there by a function of this name, as in `install_as_MySQLdb()`."""
    sets: tuple[Import, ...] = ()
    """Names that it gives to modules which it has imported, at its top level: `module.name = …`."""
    imports: tuple[Import, ...] = ()


class Unread(Exception):  # noqa: N818 - what became of it is for the caller to say
    """The Python that this runs on cannot parse it."""

    def __init__(self, message: str, line: int | None = None, *, always: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.always = always
        """Whether no Python 3 can, however new."""


def read(text: str, target: Target, host: tuple[int, int]) -> Source:
    """Read a module. Raises `Unread` where the host's Python, of this version, does not accept it."""
    try:
        # The parser warns of escapes and comparisons: that is not what we were asked.
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, feature_version=min(target.version, host))
            if is_certain(target, host) or _REFUSED.search(text):
                compile(tree, "<source>", "exec", dont_inherit=True)
    except SyntaxError as error:
        always = isinstance(error, IndentationError) or error.msg.startswith(_ALWAYS)
        raise Unread(error.msg, error.lineno, always=always) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unread(str(error) or "it is nested too deeply") from None
    reader = _Reader(target, changing=_CHANGING.search(text) is not None)
    reader.body(tree.body, "import")
    return reader.source()


def read_all(texts: Iterable[str], target: Target, host: tuple[int, int]) -> list[Source | Unread]:
    """Read modules; what it raises stands in the place of those that the host's Python does not accept."""
    found: list[Source | Unread] = []
    for text in texts:
        try:
            found.append(read(text, target, host))
        except Unread as error:  # noqa: PERF203 - every module has its own
            found.append(error)
    return found


def is_certain(target: Target, host: tuple[int, int]) -> bool:
    """Whether a module that `read` accepts is one that the target's Python parses.

    Since Python 3.10 nothing that compiled has become an error in a later version. What the host, of this
    version, refuses may be newer than it, and what an older target refuses it does not know.
    """
    return _SETTLED <= host <= target.version


@dataclass
class _Reader:
    """One walk through the statements of a module."""

    target: Target
    changing: bool
    """Whether functions are worth looking into for more than imports."""
    names: set[str] = field(default_factory=set)
    exports: set[str] | None = None
    dynamic: bool = False
    moves: bool = False
    patches: bool = False
    reaches: bool = False
    installs: set[str] = field(default_factory=set)
    sets: list[Import] = field(default_factory=list)
    modules: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What names stand for that were imported: the dots of a relative import, and a dotted name."""
    guards: int = 0
    """How many statements around may catch what is raised."""
    guarded: list[int] = field(default_factory=list)
    """How many there are around each import."""
    imports: list[Import] = field(default_factory=list)
    depth: int = 0
    """Functions and classes around: what is defined in there is none of the module's names."""

    def source(self) -> Source:
        return Source(
            names=frozenset(self.names),
            exports=None if self.exports is None else frozenset(self.exports),
            dynamic=self.dynamic or "__getattr__" in self.names,
            moves=self.moves,
            patches=self.patches,
            reaches=self.reaches,
            installs=frozenset(self.installs),
            sets=tuple(self.sets),
            imports=tuple(self.imports),
        )

    def body(self, body: Iterable[ast.stmt], when: When) -> None:
        for node in body:
            self._statement(node, when)

    def _statement(self, node: ast.stmt, when: When) -> None:  # noqa: C901, PLR0912 - one branch for each statement
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, when)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._define(node.name, when)
            self._expressions([*node.decorator_list, node.args])
            self._inside(node.body, "never" if when == "never" else "call")
        elif isinstance(node, ast.ClassDef):
            self._define(node.name, when)
            self._expressions([*node.decorator_list, *node.bases, *node.keywords])
            if any(dotted(one).rpartition(".")[2] == "global_enum" for one in node.decorator_list):
                self.dynamic = True  # its members become names of the module
            self._inside(node.body, when)
        elif isinstance(node, ast.If):
            self._if(node, when)
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            self._try(node, when)
        elif isinstance(node, ast.With | ast.AsyncWith):
            foreseen = any(self._suppresses(item.context_expr) for item in node.items)
            self._expressions(node.items, when)
            self.guards += foreseen
            self.body(node.body, _weaker(when, "guarded") if foreseen else when)
            self.guards -= foreseen
        elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
            heads = [node.test] if isinstance(node, ast.While) else [node.target, node.iter]
            self._expressions(heads, when)
            idle = isinstance(node, ast.While) and answer(node.test, self.target) is False
            self.body(node.body, "never" if idle else when)
            self.body(node.orelse, when)
        elif isinstance(node, ast.Match):
            self._expressions([node.subject], when)
            for case in node.cases:
                self._expressions([case.pattern, *filter(None, [case.guard])], when)
                self.body(case.body, _weaker(when, "maybe"))
        elif isinstance(node, ast.AnnAssign) and node.value is None:
            pass  # `name: type` alone defines nothing
        elif isinstance(node, ast.Delete):
            self._expressions(node.targets, when)
            if not self.depth:
                self.names -= {one.id for one in node.targets if isinstance(one, ast.Name)}
        else:
            self._all(node, when)
            self._expressions([node], when)

    def _inside(self, body: Iterable[ast.stmt], when: When) -> None:
        self.depth += 1
        self.body(body, when)
        self.depth -= 1

    def _define(self, name: str, when: When) -> None:
        if not self.depth and when != "never":
            self.names.add(name)

    def _expressions(self, nodes: Iterable[ast.AST], when: When = "import") -> None:
        """Names that expressions, targets and patterns bind, and calls that change what a module has."""
        if self.depth and not self.changing:
            return
        for top in nodes:
            inner: set[ast.AST] = set()  # a comprehension's own variables
            for node in ast.walk(top):
                if isinstance(node, ast.comprehension):
                    inner.update(ast.walk(node.target))
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in inner:
                    self._define(node.id, when)
                    if node.id == "__path__" and not self.depth:
                        self._change(node.id)
                elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
                    self._define(
                        (node.rest if isinstance(node, ast.MatchMapping) else node.name) or "_", when
                    )
                elif isinstance(node, ast.Global):
                    self.names.update(node.names)  # as soon as somebody calls the function
                else:
                    self._effect(node)

    def _effect(self, node: ast.AST) -> None:
        """What an expression changes besides names."""
        if isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            self._change(self._named(node.value))
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name) and self._is_modules(node):
            self.dynamic = self.reaches = True

    def _call(self, node: ast.Call) -> None:
        called = self._named(node.func)
        before, _, last = called.rpartition(".")
        if called in _TRICKS and not (self.depth and called in {"vars", "locals", "setattr"}):
            self.dynamic = True
        elif called in {"site.addsitedir", "addsitedir"}:
            self.moves = True
        elif last.startswith(_INSTALLING):
            self.installs.add(last.removeprefix(_INSTALLING))
        elif last in _ADDING:
            self._change(before)
        if called == "setattr" and len(node.args) > 1:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
            self._give(node.args[0], str(name) if name is not None else None, node.lineno)

    def _attribute(self, node: ast.Attribute) -> None:
        if self._is_modules(node):
            self.dynamic = self.reaches = True
        if isinstance(node.ctx, ast.Store):
            self._change(self._named(node))
            self._give(node.value, node.attr, node.lineno)

    def _give(self, holder: ast.expr, name: str | None, line: int) -> None:
        """Something gets a name (None: which one is not written out); it may be another module."""
        if any(map(self._is_modules, ast.walk(holder))):
            # Its own is no other module; that it is dynamic is known.
            self.patches = self.patches or "__name__" not in ast.unparse(holder)
        first, _, rest = dotted(holder).partition(".")
        if first in self.modules and name is not None and not self.depth:
            level, module = self.modules[first]
            module = ".".join(filter(None, (module, rest)))
            self.sets.append(Import(module=module, name=name, level=level, line=line, when="import"))

    def _change(self, what: str) -> None:
        """Something is changed in place, or replaced."""
        before, _, last = what.rpartition(".")
        if what in {"sys.path", "sys.path_hooks", "sys.meta_path"} or (
            last == "__path__" and before != "self"
        ):
            self.moves = True
            self.dynamic = self.dynamic or what == "__path__"
        elif what == "sys.modules":
            self.patches = True
        elif what == "__all__":
            self.dynamic = True

    def _is_modules(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name | ast.Attribute) and self._named(node) == "sys.modules"

    def _named(self, node: ast.AST) -> str:
        """The dotted name of an expression, by what its first name was imported as."""
        first, dot, rest = dotted(node).partition(".")
        level, module = self.modules.get(first, (0, first))
        return f"{'.' * level}{module}{dot}{rest}"

    def _suppresses(self, context: ast.expr) -> bool:
        if not isinstance(context, ast.Call):
            return False
        named = self._named(context.func) in {"suppress", "contextlib.suppress"}
        return named and any(_catches(kind) for kind in context.args)

    def _all(self, node: ast.stmt, when: When) -> None:
        """`__all__`, as long as it is written out; of several lists, all that is in one of them."""
        if when == "never":
            return
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        else:
            return
        if not self.depth and any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets):
            value = node.value
            if isinstance(value, ast.List | ast.Tuple) and all(
                isinstance(one, ast.Constant) for one in value.elts
            ):
                listed = {str(one.value) for one in value.elts if isinstance(one, ast.Constant)}
                self.exports = (self.exports or set()) | listed
                self.dynamic = self.dynamic or when != "import"
            else:
                self.dynamic = True

    def _if(self, node: ast.If, when: When) -> None:
        self._expressions([node.test], when)
        holds = answer(node.test, self.target)
        maybe = _weaker(when, "maybe")
        taken: dict[bool | None, tuple[When, When]] = {
            True: (when, "never"),
            False: ("never", when),
            None: (maybe, maybe),
        }
        first, second = taken[holds]
        self.body(node.body, first)
        self.body(node.orelse, second)

    def _try(self, node: Any, when: When) -> None:
        going_on = [handler for handler in node.handlers if self.guards or not self._gives_up(handler.body)]
        foreseen = any(_catches(handler.type) for handler in going_on)
        unclear = any(_may_catch(handler.type) for handler in going_on)
        inside = _weaker(when, "guarded") if foreseen else _weaker(when, "maybe") if unclear else when
        begin = len(self.imports)
        self.guards += 1
        self.body(node.body, inside)
        tried = tuple(
            number
            for number in range(begin, len(self.imports))
            if self.guarded[number] == self.guards and self.imports[number].when == inside
        )
        self.guards -= 1
        begin = len(self.imports)
        plain = all(isinstance(one, ast.Import | ast.ImportFrom) for one in node.body)
        self.body(node.orelse, when if plain else inside)
        for number in range(begin, len(self.imports)):
            one = self.imports[number]
            self.imports[number] = replace(one, after=(*one.after, *tried))
        for handler in node.handlers:
            begin = len(self.imports)
            self.body(handler.body, when if _catches(handler.type) and tried else _weaker(when, "maybe"))
            for number in range(begin, len(self.imports)):
                one = self.imports[number]
                self.imports[number] = replace(one, instead=(*one.instead, tried))
        self.body(node.finalbody, when)

    def _gives_up(self, body: list[ast.stmt]) -> bool:
        """Whether a handler ends in an exception again, or ends the program, in any case."""
        if any(
            isinstance(one, ast.Continue | ast.Break | ast.Return) for top in body for one in ast.walk(top)
        ):
            return False
        last = body[-1]
        if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
            called = self._named(last.value.func)
            return called in _ENDING and called not in self.names
        return isinstance(last, ast.Raise)

    def _import(self, node: ast.Import | ast.ImportFrom, when: When) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                self.modules[one.asname or top] = 0, one.name if one.asname else top
                self._define(one.asname or top, when)
                self.guarded.append(self.guards)
                self.imports.append(Import(module=one.name, line=node.lineno, when=when))
            return
        for one in node.names:
            if one.name != "*":
                self._define(one.asname or one.name, when)
                inside = ".".join(filter(None, (node.module, one.name)))
                self.modules[one.asname or one.name] = node.level, inside
            module = node.module or ""
            self.guarded.append(self.guards)
            self.imports.append(
                Import(module=module, name=one.name, level=node.level, line=node.lineno, when=when)
            )


_RANK: Mapping[When, int] = {"import": 0, "maybe": 1, "guarded": 2, "call": 3, "never": 4}


def _weaker(one: When, other: When) -> When:
    return max(one, other, key=_RANK.__getitem__)


def _catches(caught: ast.expr | None) -> bool:
    """Whether an `except` foresees that an import fails."""
    if caught is None:
        return True
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(dotted(kind).rpartition(".")[2] in _FORESEEN for kind in kinds)


def _may_catch(caught: ast.expr | None) -> bool:
    """Whether that cannot be told: what it names is no exception of Python's own."""
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(not (isinstance(kind, ast.Name) and kind.id in _EXCEPTIONS) for kind in kinds)
