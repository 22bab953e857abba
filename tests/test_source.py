"""What a source file defines and imports, for a target."""

from __future__ import annotations

import sys

import pytest

from lambda_bundle.source import Source, Unread, read
from lambda_bundle.targets import Target

HOST = sys.version_info[:2]
PY313 = Target("python3.13", "arm64")


def source(text: str, target: Target = PY313) -> Source:
    return read(text, target, HOST)


def when(text: str, target: Target = PY313) -> dict[str, str]:
    """When each import runs."""
    return {one.module: one.when for one in source(text, target).imports}


@pytest.mark.parametrize(
    "text",
    [
        "def handler(): ...",
        "async def handler(): ...",
        "class handler: ...",
        "handler = 1",
        "a = handler = 1",
        "(a, [handler, *b]) = x",
        "a, *handler = x",
        "handler: int = 1",
        "print(handler := 1)",
        "[handler := y for y in x]",
        "import handler",
        "import handler.sub",
        "import x as handler",
        "from x import handler",
        "from x import y as handler",
        "from . import handler",
        "if x:\n    handler = 1",
        "if x: ...\nelse:\n    def handler(): ...",
        "try:\n    handler = 1\nfinally: ...",
        "try: ...\nexcept ValueError:\n    handler = 1",
        "with x as handler: ...",
        "with x:\n    handler = 1",
        "for handler in x: ...",
        "while x:\n    handler = 1",
        "match x:\n    case [handler]: ...",
        "match x:\n    case {'a': 1, **handler}: ...",
        "match x:\n    case [*handler]: ...",
        "match x:\n    case 1:\n        handler = 1",
        "def make():\n    global handler\n    handler = 1",
        "import sys\nif sys.version_info >= (3, 12):\n    handler = 1",
    ],
)
def test_defined(text: str) -> None:
    assert "handler" in source(text).names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "handler: int",
        "def f():\n    handler = 1",
        "def f():\n    def handler(): ...",
        "class A:\n    handler = 1",
        "class A:\n    def handler(self): ...",
        "x = [handler for handler in y]",
        "f = lambda handler: 1",
        "def f(handler): ...",
        "handler = 1\ndel handler",
        "import x.handler",
        "import handler as x",
        "from x import handler as y",
        "x.handler = 1",
        "handler[0] = 1",
        "try: ...\nexcept ValueError as handler: ...",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from x import handler",
        "if __name__ == '__main__':\n    handler = 1",
        "import sys\nif sys.version_info < (3, 12):\n    handler = 1",
        "import sys\nif sys.platform == 'win32':\n    def handler(): ...",
        "x = 'def handler(): ...'",
    ],
)
def test_not_defined(text: str) -> None:
    found = source(text)
    assert "handler" not in found.names
    assert not found.dynamic


@pytest.mark.parametrize(
    "text",
    [
        "globals()['handler'] = 1",
        "def __getattr__(name): ...",
        "exec(x)",
        "import sys\nsys.modules[__name__] = x",
        "setattr(x, 'handler', 1)",
        "vars().update(x)",
        "__all__ = [*x]",
        "__path__.append('x')",
        "import enum\n@enum.global_enum\nclass Color(enum.Enum):\n    RED = 1",
    ],
)
def test_dynamic(text: str) -> None:
    assert source(text).dynamic


def test_what_functions_do_to_other_things_is_not_dynamic() -> None:
    assert not source("def f(x):\n    setattr(x, 'y', 1)\n    return vars(x), locals()").dynamic


def test_all() -> None:
    assert source("__all__ = ['a']\n__all__ += ('b',)").exports == frozenset({"a", "b"})
    assert source("a = 1").exports is None


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("import sys\nsys.path.insert(0, 'x')", True),
        ("import sys\nsys.path += ['x']", True),
        ("import sys\nsys.path = ['x']", True),
        ("import site\nsite.addsitedir('x')", True),
        ("import sys\nprint(sys.path)", False),
        ("import sys\nsys.path.remove('x')", False),
        ("from site import addsitedir as add\nadd('x')", True),
        ("from mine import path\npath.append('x')", False),
        ("import sys as s\ns.path.append('x')", True),
        ("from sys import path\npath.append('x')", True),
        ("from sys import path as p\np[:0] = ['x']", True),
        ("def f():\n    from sys import path\n    path.append('x')\nf()", True),
        ("import sys\nsys.meta_path.insert(0, x)", True),
        ("__path__.append('x')", True),
        ("import pkg\npkg.__path__ += ['x']", True),
        ("path.append('x')", False),
        ("class A:\n    def f(self):\n        self.__path__ = 'x'", False),
    ],
)
def test_changing_the_import_path(text: str, moves: bool) -> None:
    assert source(text).moves is moves


@pytest.mark.parametrize(
    ("text", "patches"),
    [
        ("import sys\nsys.modules['old'] = x", True),
        ("import sys\nsys.modules.setdefault('old', x)", True),
        ("from sys import modules as m\nm['old'] = x", True),
        ("import sys\ndel sys.modules['old']", False),
        ("import sys\nsys.modules.pop('old', None)", False),
        ("import sys\nsys.modules[__name__].x = 1", False),
        ("import sys\ndef f(g):\n    setattr(sys.modules[g.__module__], 'x', g)", True),
        ("import sys\nsys.modules['a'].x = 1", True),
        ("import sys\nprint(sys.modules['a'].x, 'a' in sys.modules)", False),
        ("setattr(x, 'y', 1)", False),
    ],
)
def test_changing_what_is_imported(text: str, patches: bool) -> None:
    assert source(text).patches is patches


def test_what_is_put_there_from_outside() -> None:
    text = (
        "import pkg, a.b as c\nfrom . import near\npkg.x = pkg.sub.y = c.z = near.w = 1\no = pkg\no.v = 1\n"
    )
    found = source(f"{text}\nsetattr(pkg, 'u', 1)\npymysql.install_as_MySQLdb()\ndef f(o): o.z = 2\n")
    given = [(one.level, one.module, one.name) for one in found.sets]
    assert given == [
        *[(0, "pkg", "x"), (0, "pkg.sub", "y"), (0, "a.b", "z"), (1, "near", "w"), (0, "pkg", "u")],
    ]
    assert "".join(found.installs) == "MySQLdb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import x", "import"),
        ("class A:\n    import x", "import"),
        ("with open('y'):\n    import x", "import"),
        ("try:\n    import x\nfinally: ...", "import"),
        ("try:\n    import x\nexcept ValueError: ...", "import"),
        ("if y:\n    import x", "maybe"),
        ("match y:\n    case 1:\n        import x", "maybe"),
        ("try: ...\nexcept ValueError:\n    import x", "maybe"),
        ("try:\n    import x\nexcept ImportError: ...", "guarded"),
        ("try:\n    import x\nexcept (ValueError, ModuleNotFoundError): ...", "guarded"),
        ("try:\n    import x\nexcept builtins.ImportError: ...", "guarded"),
        ("try:\n    import x\nexcept: ...", "guarded"),
        ("try:\n    import x\nexcept Exception: ...", "guarded"),
        ("try:\n    import y\nexcept ImportError: ...\nelse:\n    import x", "import"),
        ("try:\n    import y\n    y.z()\nexcept ImportError: ...\nelse:\n    import x", "guarded"),
        ("from contextlib import suppress\nwith suppress(ImportError):\n    import x", "guarded"),
        ("from contextlib import suppress\nwith suppress(KeyError):\n    import x", "import"),
        ("def f():\n    import x", "call"),
        ("class A:\n    def f(self):\n        import x", "call"),
        ("if TYPE_CHECKING:\n    import x", "never"),
        ("import typing\nif typing.TYPE_CHECKING:\n    import x", "never"),
        ("if not TYPE_CHECKING:\n    import x", "import"),
        ("if TYPE_CHECKING: ...\nelse:\n    import x", "import"),
        ("if TYPE_CHECKING or y: ...\nelse:\n    import x", "maybe"),
        ("if TYPE_CHECKING and y:\n    import x", "never"),
        ("if __name__ == '__main__':\n    import x", "never"),
        ("if __name__ != '__main__':\n    import x", "import"),
        ("if 1:\n    import x", "import"),
        ("if sys.version_info >= (3, 13):\n    import x", "import"),
        ("if sys.version_info >= (3, 14):\n    import x", "never"),
        ("if sys.version_info > (3,):\n    import x", "import"),
        ("if sys.version_info[:2] == (3, 13):\n    import x", "import"),
        ("if sys.version_info[0] == 2:\n    import x", "never"),
        ("if sys.version_info[1] <= 12:\n    import x", "never"),
        ("if sys.version_info.minor != 13:\n    import x", "never"),
        ("if sys.version_info >= y:\n    import x", "maybe"),
        ("if sys.version_info >= 3:\n    import x", "maybe"),
        ("if sys.version_info[0] >= '3':\n    import x", "maybe"),
        ("if sys.version_info[y] >= 3:\n    import x", "maybe"),
        ("if sys.platform.startswith('linux'):\n    import x", "import"),
        ("if sys.platform.startswith('win'):\n    import x", "never"),
        ("if os.name == 'nt':\n    import x", "never"),
        ("if platform.system() == 'Linux':\n    import x", "import"),
        ("if y() == 1:\n    import x", "maybe"),
        ("if 'x' in y:\n    import x", "maybe"),
        ("if -y:\n    import x", "maybe"),
    ],
)
def test_when_an_import_runs(text: str, expected: str) -> None:
    assert when(text)["x"] == expected


def test_conditions_are_answered_for_the_target_and_not_for_the_host() -> None:
    text = "if sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli"
    assert when(text, Target("python3.10", "arm64")) == {"tomllib": "never", "tomli": "import"}
    assert when(text, Target("python3.11", "arm64")) == {"tomllib": "import", "tomli": "never"}


def test_what_is_imported_instead() -> None:
    text = "import a\ntry:\n    import b, c\nexcept ImportError:\n    import d"
    assert [(one.module, one.when, one.instead) for one in source(text).imports] == [
        ("a", "import", ()),
        ("b", "guarded", ()),
        ("c", "guarded", ()),
        ("d", "import", ((1, 2),)),
    ]


def test_imports_tell_their_place() -> None:
    first, second = source("import a.b\n\nfrom ..c import (\n    d, e as f\n)\n").imports[0:2]
    assert (first.module, first.name, first.level, first.line) == ("a.b", None, 0, 1)
    assert (second.module, second.name, second.level, second.line) == ("c", "d", 2, 3)


@pytest.mark.parametrize("text", ["def f(:", "x = (" * 500, "def f():\n    from x import *", "*a", "x = 1\0"])
def test_what_this_python_cannot_read(text: str) -> None:
    with pytest.raises(Unread):
        source(text)


def test_warnings_of_the_parser_are_not_told() -> None:
    assert source("x = '\\d'; assert (1, 2)").names == {"x"}  # pytest makes errors of warnings
