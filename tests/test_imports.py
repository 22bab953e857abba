"""Would code load: its handler, its syntax, its imports, judged for a target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import pytest

from lambda_bundle.errors import Code, Problem
from lambda_bundle.imports import Judge
from lambda_bundle.modules import Found, Path, Root
from lambda_bundle.reading import Reading
from lambda_bundle.scope import Scope
from lambda_bundle.source import read
from lambda_bundle.syntax import HOST, Fault
from lambda_bundle.targets import Target

PY310, PY313 = (Target(f"python{version}", "arm64") for version in ("3.10", "3.13"))
HANDLER = "def handler(event, context): ...\n"
EXTENSION = "cpython-313-aarch64-linux-gnu.so"


def folders(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(str(parent) for path in paths for parent in PurePosixPath(path).parents)


def judged(
    own: Mapping[str, str | Reading],
    *,
    handler: str | None = "app.handler",
    target: Target = PY313,
    others: Mapping[str, str] | None = None,
    layer: Iterable[str] = (),
    skips: bool = False,
) -> list[Problem]:
    """The findings for sources, beside the files of dependencies and of a layer."""
    others = others or {}
    files = [*own, *others]
    path = Path([Root(frozenset(files), folders(files)), Root(frozenset(layer), folders(layer))], target)
    readings = {
        name: text if isinstance(text, Reading) else Reading(source=read(text, target, HOST))
        for name, text in own.items()
        if name.endswith(".py")
    }

    def other(found: Found) -> Reading | None:
        return Reading(source=read(others[found.path], target, HOST)) if found.path in others else None

    scope = Scope(readings, path, target, roots=("",), others=other)
    return list(Judge(scope, handler=handler, skips=skips).problems())


def told(*args: object, **options: object) -> list[tuple[str, str, str | None]]:
    """The findings, as severity, code without its prefix, and file with line."""
    found = judged(*args, **options)  # type: ignore[arg-type]
    return [
        (one.severity, one.code.value.removeprefix("PythonLocalBundling"), one.where.file) for one in found
    ]


def missing(text: str, severity: str = "error", **options: object) -> str:
    """What is said of the one import that is missing in a module with a handler."""
    (problem,) = judged({"app.py": f"{text}\n{HANDLER}"}, **options)  # type: ignore[arg-type]
    assert (problem.severity, problem.code) == (severity, Code.IMPORT_MISSING)
    return problem.message


def fine(text: str, **options: object) -> None:
    """Nothing at all is said of a module."""
    assert judged({"app.py": f"{text}\n{HANDLER}"}, **options) == []  # type: ignore[arg-type]


# --- the handler


@pytest.mark.parametrize(
    ("handler", "files"),
    [
        ("app.handler", ["app.py"]),
        ("app.handler", ["app/__init__.py"]),
        ("app.main.handler", ["app/main.py"]),
        ("app.main.handler", ["app/__init__.py", "app/main.py"]),
        ("app/main.handler", ["app/main.py"]),
        ("my-app.handler", ["my-app.py"]),
        ("a.b.c.d.handler", ["a/b/c/d.py"]),
    ],
)
def test_handler_that_is_found(handler: str, files: list[str]) -> None:
    assert judged({file: HANDLER if file == files[-1] else "" for file in files}, handler=handler) == []


@pytest.mark.parametrize(
    ("handler", "file", "code"),
    [
        ("main.handler", "app.py", "HandlerMissing"),
        ("app.main.handler", "app.py", "HandlerMissing"),
        ("app.handler", "src/app.py", "HandlerMissing"),
        ("app.handler", "App.py", "HandlerMissing"),
        ("app.handler", "app/main.py", "HandlerMissing"),
        ("app.handler", "app.pyi", "HandlerMissing"),
        ("app.handler", "app.cpython-312-aarch64-linux-gnu.so", "HandlerMissing"),
        ("app.lambda_handler", "app.py", "HandlerUndefined"),
        ("time.handler", "time.py", "HandlerShadowed"),
        ("json.handler", "json.py", "HandlerShadowed"),
        ("types.handler", "types.py", "HandlerShadowed"),
        ("collections.handler", "collections/__init__.py", "HandlerShadowed"),
        ("simplejson.handler", "simplejson.py", "HandlerShadowed"),
        ("awslambdaric.handler", "awslambdaric/__init__.py", "HandlerShadowed"),
    ],
)
def test_handler_that_lambda_would_not_find(handler: str, file: str, code: str) -> None:
    assert [one[:2] for one in told({file: HANDLER}, handler=handler)] == [("error", code)]


def test_handler_in_a_namespace_package_needs_a_module() -> None:
    (problem,) = judged({"app/main.py": HANDLER})
    assert "__init__.py" in problem.message
    assert problem.where.file == "app"


def test_near_names_are_told() -> None:
    (problem,) = judged({"app.py": "def lambda_handler(event, context): ..."}, handler="app.lamda_handler")
    assert problem.hint == 'did you mean "lambda_handler"?'
    (problem,) = judged({"main.py": HANDLER}, handler="mian.handler")
    assert problem.hint == 'did you mean "main"?'
    (problem,) = judged({"app.py": "def main(): ...\nx = 1"})
    assert problem.hint == "it defines main, x"


def test_handler_that_another_module_of_the_standard_library_may_hide() -> None:
    assert told({"calendar.py": HANDLER}, handler="calendar.handler") == [
        ("warning", "HandlerShadowed", "calendar.py")
    ]


def test_handler_of_a_dependency_or_a_layer() -> None:
    wrapped = {"datadog_lambda/__init__.py": "", "datadog_lambda/handler.py": HANDLER}
    assert judged({"app.py": ""}, handler="datadog_lambda.handler.handler", others=wrapped) == []
    assert told({"app.py": ""}, handler="datadog_lambda.handler.other", others=wrapped) == [
        ("error", "HandlerUndefined", "datadog_lambda/handler.py")
    ]
    assert told({"app.py": ""}, handler="wrapper.handler", layer=["wrapper.py"]) == [
        ("note", "NotChecked", "wrapper.py")
    ]


@pytest.mark.parametrize("suffix", [EXTENSION, "abi3.so", "so"])
def test_handler_that_is_compiled(suffix: str) -> None:
    assert told({f"app.{suffix}": ""}) == [("note", "NotChecked", f"app.{suffix}")]


def test_handler_that_comes_from_elsewhere() -> None:
    main = "from app.main import *\n"
    assert judged({"app/__init__.py": main, "app/main.py": HANDLER}) == []
    assert judged({"app/__init__.py": "from .main import handler\n", "app/main.py": HANDLER}) == []
    deep = {"app.py": "from b import *", "b.py": "from c import *", "c.py": HANDLER}
    assert judged(deep) == []
    loop = {"app.py": "from b import *", "b.py": "from app import *"}
    assert told(loop) == [("error", "HandlerUndefined", "app.py")]
    chosen = {"app.py": "from b import *", "b.py": f"__all__ = ['other']\nother = 1\n{HANDLER}"}
    assert told(chosen) == [("error", "HandlerUndefined", "app.py")]
    hidden = {"app.py": "from b import *", "b.py": "_handler = 1"}
    assert told(hidden, handler="app._handler") == [("error", "HandlerUndefined", "app.py")]
    theirs = {"dep.py": HANDLER}
    assert judged({"app.py": "from dep import *"}, others=theirs) == []
    assert told({"app.py": "from json import *"}) == [("note", "NotChecked", "app.py")]


def test_handler_that_is_made_at_run_time() -> None:
    assert told({"app.py": "globals()['handler'] = print"}) == [("note", "NotChecked", "app.py")]


# --- syntax


def test_faults_weigh_what_they_reach() -> None:
    fault = Reading(fault=Fault(said="cannot use `match` statement", version="3.10", line=3, text="match x:"))
    main = f"import near\ndef f():\n    import late\n{HANDLER}"
    found = told({"app.py": main, "near.py": fault, "late.py": fault, "other.py": fault, "{{x}}/t.py": fault})
    assert found == [
        ("error", "SyntaxUnsupported", "near.py"),
        ("error", "SyntaxUnsupported", "late.py"),
        ("warning", "SyntaxUnsupported", "other.py"),
        ("note", "SyntaxUnsupported", "{{x}}/t.py"),
    ]
    (problem,) = judged({"app.py": fault}, target=Target("python3.9", "arm64"))
    assert problem.message == "python3.9 cannot parse this file: this came with Python 3.10"
    assert (problem.where.line, problem.detail) == (3, "match x:\ncannot use `match` statement")
    assert "python3.10" in (problem.hint or "")


def test_what_the_host_cannot_read_is_told_and_neither_right_nor_wrong() -> None:
    unread = Reading(unread="invalid syntax")
    (problem,) = judged({"app.py": unread})
    assert (problem.severity, problem.code) == ("warning", Code.NOT_CHECKED)
    assert f"Python {HOST[0]}.{HOST[1]}" in problem.message
    assert told({"app.py": HANDLER, "other.py": unread}) == [("note", "NotChecked", "other.py")]


# --- what it imports


@pytest.mark.parametrize(
    "text",
    [
        "import json, os.path, collections.abc, xml.etree.ElementTree, concurrent.futures",
        "from os import path",
        "import tomllib\nfrom typing import Self, override\nfrom datetime import UTC",
        "from __future__ import annotations",
    ],
)
def test_standard_library(text: str) -> None:
    fine(text)


@pytest.mark.parametrize(
    ("text", "runtime", "said"),
    [
        ("import cgi", "python3.13", "Python 3.13 removed it"),
        ("import distutils.core", "python3.12", "Python 3.12 removed it"),
        ("import imp", "python3.12", "Python 3.12 removed it"),
        ("import asyncore", "python3.12", "Python 3.12 removed it"),
        ("import tomllib", "python3.10", "it came with Python 3.11"),
        ("import zoneinfo", "python3.8", "it came with Python 3.9"),
        ("from importlib.metadata import version", "python3.7", "it came with Python 3.8"),
        ("from compression import zstd", "python3.13", "it came with Python 3.14"),
        ("from typing import Self", "python3.10", "it came with Python 3.11"),
        ("from datetime import UTC", "python3.10", "it came with Python 3.11"),
        ("from itertools import batched", "python3.11", "it came with Python 3.12"),
        ("from collections import Mapping", "python3.10", "Python 3.10 removed it"),
        ("from annotationlib import Format", "python3.13", "it came with Python 3.14"),
    ],
)
def test_standard_library_of_another_version(text: str, runtime: str, said: str) -> None:
    message = missing(text, target=Target(runtime, "x86_64"))
    assert said in message
    assert runtime in message


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        ("import cgi", "python3.12"),
        ("import distutils.core", "python3.11"),
        ("from collections import Mapping", "python3.9"),
        ("from collections.abc import Mapping", "python3.13"),
        ("from typing import Self", "python3.11"),
        ("from compression import zstd", "python3.14"),
        ("from typing import List, ContextManager", "python3.13"),
    ],
)
def test_standard_library_that_just_has_it(text: str, runtime: str) -> None:
    fine(text, target=Target(runtime, "x86_64"))


def test_modules_of_other_systems() -> None:
    assert "winreg" in missing("import winreg")
    missing("import sys\nif sys.platform == 'win32':\n    import other", severity="note")


def test_missing() -> None:
    assert '"requests"' in missing("import requests")
    assert '"requests.adapters"' in missing("import requests.adapters")
    assert '"requests"' in missing("from requests import get")
    assert "leads out" in missing("from . import x")
    missing("import x", severity="warning", skips=True)
    missing("import sys\nsys.path.insert(0, 'vendor')\nimport x", severity="warning")
    missing("if y:\n    import x", severity="warning")
    missing("try:\n    import x\nexcept ImportError: ...", severity="note")
    missing("def f():\n    import x", severity="note")
    missing("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import x", severity="note")


@pytest.mark.parametrize(
    "files",
    [
        ["dep.py"],
        ["dep/__init__.py"],
        ["dep/sub.py"],
        [f"dep.{EXTENSION}"],
        ["dep.abi3.so"],
        ["dep.so"],
        [f"dep/__init__.{EXTENSION}"],
        ["dep.pyc"],
    ],
)
def test_found(files: list[str]) -> None:
    fine("import dep", others=dict.fromkeys(files, ""))
    fine("import dep", layer=files)


@pytest.mark.parametrize(
    "files",
    [
        ["dep.pyi"],
        ["Dep.py"],
        ["dep.cpython-312-aarch64-linux-gnu.so"],
        ["dep.cpython-313-x86_64-linux-gnu.so"],
        ["dep.cpython-313-aarch64-linux-musl.so"],
        ["dep-1.0.dist-info/METADATA"],
        ["src/dep.py"],
    ],
)
def test_not_found(files: list[str]) -> None:
    missing("import dep", others=dict.fromkeys(files, ""))


def test_extension_modules_of_python37_have_a_letter_more() -> None:
    target = Target("python3.7", "x86_64")
    fine("import dep", target=target, others={"dep.cpython-37m-x86_64-linux-gnu.so": ""})
    missing("import dep", target=target, others={"dep.cpython-37-x86_64-linux-gnu.so": ""})


def test_modules_below_others() -> None:
    there = {"dep/__init__.py": "", "dep/sub/__init__.py": "", "ns/one/mod.py": ""}
    fine(
        "import dep.sub\nfrom dep import whatever\nfrom dep.sub import thing\nimport ns.one.mod", others=there
    )
    fine("import ns.one.mod, ns.two", others=there, layer=["ns/two.py"])
    assert "dep has no such module" in missing("import dep.other", others=there)
    assert "ns.one has no such module" in missing("import ns.one.other", others=there)
    assert "dep.sub has no such module" in missing("from dep.sub.deep import x", others=there)
    # a package with its __init__.py hides what other folders of the path have below its name
    missing("import dep.more", others=there, layer=["dep/more.py"])


def test_modules_that_a_dependency_makes_at_run_time() -> None:
    made = {"six.py": "import sys\nsys.modules[__name__ + '.moves'] = x\n"}
    fine("from six.moves import urllib\nimport six.moves.urllib", others=made)
    fine("import dep.fast", others={f"dep.{EXTENSION}": ""})


def test_what_the_runtime_has_is_a_note() -> None:
    (problem,) = judged({"app.py": f"import boto3\nfrom botocore.config import Config\n{HANDLER}"})[:1]
    assert (problem.severity, problem.code) == ("note", Code.IMPORT_FROM_RUNTIME)
    fine("import boto3", others={"boto3/__init__.py": ""})
    guarded = f"try:\n    import boto3\nexcept ImportError:\n    import x\n{HANDLER}"
    assert [one.severity for one in judged({"app.py": guarded})] == ["note"]


def test_fallbacks_count_where_the_first_choice_is_missing() -> None:
    text = "try:\n    import orjson as json\nexcept ImportError:\n    import {}"
    fine(text.format("other"), others={"orjson.py": ""})
    assert [one[0] for one in told({"app.py": f"{text.format('json')}\n{HANDLER}"})] == ["note"]
    assert [one[0] for one in told({"app.py": f"{text.format('other')}\n{HANDLER}"})] == ["note", "error"]


def test_only_what_the_handler_imports_is_an_error() -> None:
    files = {"app.py": f"import near\n{HANDLER}", "near.py": "import x", "far.py": "import x"}
    assert told(files) == [("error", "ImportMissing", "near.py"), ("warning", "ImportMissing", "far.py")]
    package = {"app/__init__.py": "import x", "app/main.py": HANDLER}
    assert told(package, handler="app.main.handler") == [("error", "ImportMissing", "app/__init__.py")]


def test_layers_may_lack_what_functions_bring() -> None:
    assert told({"shared.py": "import x"}, handler=None) == [("warning", "ImportMissing", "shared.py")]


def test_relative_imports() -> None:
    package = {"app/__init__.py": "", "app/b.py": "y = 1", "app/sub/__init__.py": "", "app/sub/c.py": "z = 1"}
    main = "from . import b, sub\nfrom .b import y\nfrom .sub.c import z\nfrom .sub import c\n"
    assert judged({**package, "app/main.py": main + HANDLER}, handler="app.main.handler") == []
    bad = f"from .b import nothing\nfrom . import nowhere\nfrom .. import b\nfrom .gone import x\n{HANDLER}"
    found = judged({**package, "app/main.py": bad}, handler="app.main.handler")
    assert [one.where.line for one in found] == [1, 2, 3, 4]
    assert {one.code for one in found} == {Code.IMPORT_MISSING}
    inside = "from .c import z\nfrom ..b import y\nfrom .. import b\n"
    assert (
        judged(
            {**package, "app/sub/__init__.py": inside, "app/main.py": f"from . import sub\n{HANDLER}"},
            handler="app.main.handler",
        )
        == []
    )


def test_names_of_own_modules() -> None:
    near = {"near.py": "def there(): ...", "lazy.py": "def __getattr__(name): ..."}
    assert judged({"app.py": f"from near import there\nfrom lazy import anything\n{HANDLER}", **near}) == []
    (problem,) = judged({"app.py": f"from near import their\n{HANDLER}", **near})
    assert (problem.code, problem.where.key) == (Code.IMPORT_MISSING, "near.their")
    assert problem.hint == 'did you mean "there"?'
    star = {"near.py": "from deep import *", "deep.py": "there = 1"}
    assert judged({"app.py": f"from near import there\n{HANDLER}", **star}) == []


def test_near_modules_are_told() -> None:
    (problem,) = judged({"app.py": f"import untils\n{HANDLER}", "utils.py": ""})
    assert problem.hint == 'did you mean "utils"?'


def test_what_only_a_guarded_import_reaches_may_fail() -> None:
    """As in requests, which tries urllib3's module for pyOpenSSL."""
    app = f"try:\n    import extra\nexcept ImportError: ...\n{HANDLER}"
    files = {"app.py": app, "extra.py": "import OpenSSL"}
    assert told(files) == [("warning", "ImportMissing", "extra.py")]
    broken = {**files, "extra.py": Reading(fault=Fault(said="invalid", line=1))}
    assert told(broken) == [("error", "SyntaxUnsupported", "extra.py")]


def test_names_that_every_module_has() -> None:
    fine("from near import __doc__, __name__, __file__", others={"near.py": ""})
    near = {"near.py": ""}
    assert judged({"app.py": f"from near import __doc__, __file__\n{HANDLER}", **near}) == []


# --- what is there only once something has run


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("import pymysql\npymysql.install_as_MySQLdb()\nimport MySQLdb.cursors", {}),
        ("import pkg\npkg.x = 1\nfrom pkg import x", {"pkg/__init__.py": ""}),
        ("import setter\nfrom pkg import x", {"pkg/__init__.py": "", "setter.py": "import pkg\npkg.x = 1"}),
        ("import pkg.b\nfrom pkg import x", {"pkg/__init__.py": "", "pkg/b.py": "import pkg\npkg.x = 1"}),
        (
            "from pkg import x",
            {"pkg/__init__.py": "from . import b", "pkg/b.py": "import pkg\nsetattr(pkg, 'x', 1)"},
        ),
        ("import pkg.extra\nfrom pkg import more", {"pkg/__init__.py": "__path__.append('x')"}),
        ("from util import __annotations__", {"util.py": ""}),
        (
            "from colors import RED",
            {"colors.py": "import enum\n@enum.global_enum\nclass C(enum.Enum): RED = 1"},
        ),
    ],
)
def test_names_that_others_put_there(text: str, own: Mapping[str, str]) -> None:
    others = {"pymysql/__init__.py": ""}
    assert judged({"app.py": f"{text}\n{HANDLER}", **own}, others=others) == []


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.modules['old'] = sys\nfrom old import x",
        "from sys import path\npath.append('/opt/vendor')\nimport old",
        "import sys as s\ns.path.append('/opt/vendor')\nimport old",
    ],
)
def test_modules_that_may_be_put_there_are_a_warning(text: str) -> None:
    (problem,) = judged({"app.py": f"{text}\n{HANDLER}"})
    assert (problem.severity, problem.code) == ("warning", Code.IMPORT_MISSING)
    assert "`sys.modules`" in (problem.hint or "")


def test_handler_that_another_module_puts_there() -> None:
    registering = "import sys\ndef register(name):\n    setattr(sys.modules[name], 'handler', print)\n"
    files = {"app.py": "import reg\nreg.register(__name__)\n", "reg.py": registering}
    assert told(files) == [("warning", "HandlerUndefined", "app.py")]
    files = {"app.py": "import other\n", "other.py": "import app\napp.handler = print\n"}
    assert told(files) == []
    aside = {"app.py": "", "other.py": "class A: ...\na = A()\na.handler = 1\nimport app\napp.handler = 1"}
    assert told(aside) == [("error", "HandlerUndefined", "app.py")]
    assert told({"app.py": "", "six.py": registering}) == [("error", "HandlerUndefined", "app.py")]


def test_own_module_that_python_has_loaded_another_of() -> None:
    """It is never read: what only it defines is missing, and what Python's defines is there."""
    own = {"types.py": "mine = 1\nimport nowhere\n", "logging.py": "x = 1\n"}
    fine("import types\nfrom types import ModuleType\nfrom logging import getLogger\nimport logging.handlers")
    text = f"from types import mine, ModuleType\nfrom logging import getLogger, handlers\n{HANDLER}"
    found = [one for one in judged({"app.py": text, **own}, target=PY310) if one.where.file == "app.py"]
    (problem,) = found
    assert (problem.severity, problem.where.line) == ("error", 1)
    told = '"mine" is imported from types, and that is the standard library\'s, not types.py'
    assert problem.message == told
    newer = {"app.py": f"from types import get_original_bases\n{HANDLER}", "types.py": ""}
    assert judged(newer) == []  # it came with Python 3.12, whatever this one has
    (problem,) = judged({"app.py": f"from types import Nowhere\n{HANDLER}", "types.py": ""})
    assert problem.severity == ("warning" if PY313.version > HOST else "error")


def test_modules_in_a_folder_src() -> None:
    (problem,) = judged({"app.py": f"import mine\n{HANDLER}", "src/mine/__init__.py": ""})
    assert problem.hint == "it is in src/, where Python does not look: let `entry` be that folder"
    (problem,) = judged({"app.py": f"import mine\n{HANDLER}"}, layer=["src/mine.py"], skips=True)
    assert (problem.severity, (problem.hint or "").partition(",")[0]) == ("error", "it is in src/")


def test_modules_that_no_python_has() -> None:
    for module in ("os.nope", "xml.nope.deeper", "concurrent.futures.nope"):
        assert "in any Python" in missing(f"import {module}", "warning")
    fine("import os.path, xml.etree.ElementTree, xml.parsers.expat.errors, concurrent.futures.thread")


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("try:\n    import gone\nexcept ImportError as e:\n    raise RuntimeError('x') from e", "error"),
        ("try:\n    import gone\nexcept ImportError:\n    print('x')\n    raise", "error"),
        ("import sys\ntry:\n    import gone\nexcept ImportError:\n    sys.exit(1)", "error"),
        ("try:\n    import gone\nexcept ImportError:\n    if x: raise\n    gone = None", "note"),
        ("E = (ImportError,)\ntry:\n    import gone\nexcept E:\n    gone = None", "warning"),
        ("try:\n    import gone\nexcept ValueError:\n    gone = None", "error"),
        ("from contextlib import suppress as s\nwith s(ImportError):\n    import gone", "note"),
        ("import contextlib as c\nwith c.suppress(Exception):\n    import gone", "note"),
        ("while False:\n    import gone", "note"),
        (
            (
                "try:\n    try:\n        import gone\n    except ImportError:\n        raise RuntimeError\n"
                "except RuntimeError:\n    gone = None"
            ),
            "note",
        ),
        (
            (
                "from contextlib import suppress\nwith suppress(Exception):\n    try:\n        import gone\n"
                "    except ImportError:\n        raise ValueError"
            ),
            "note",
        ),
        (
            (
                "for x in 'ab':\n    try:\n        import gone\n    except ImportError:\n"
                "        if x: continue\n        raise"
            ),
            "note",
        ),
        ("def exit(): ...\ntry:\n    import gone\nexcept ImportError:\n    exit()", "note"),
    ],
)
def test_failures_that_are_foreseen_in_other_words(text: str, severity: str) -> None:
    missing(text, severity)


@pytest.mark.parametrize(
    "text",
    [
        (
            "try:\n    import a1\nexcept ImportError:\n    try:\n        import json as b1\n"
            "    except ImportError:\n        import c1"
        ),
        "try:\n    import json\n    def f(): import hiredis\nexcept ImportError:\n    import fallback",
        (
            "try:\n    import json\n    try: import speedups\n    except ImportError: pass\n"
            "except ImportError:\n    import fallback"
        ),
        (
            "from typing import TYPE_CHECKING\ntry:\n    import json\n    if TYPE_CHECKING: import stubs\n"
            "except ImportError:\n    import fallback"
        ),
    ],
)
def test_fallbacks_that_are_not_needed(text: str) -> None:
    assert not [one for one in judged({"app.py": f"{text}\n{HANDLER}"}) if one.severity != "note"]


def test_fallback_that_is_needed_too() -> None:
    text = "try:\n    import a1\nexcept ImportError:\n    try:\n        import b1\n"
    text += "    except ImportError:\n        import c1"
    found = judged({"app.py": f"{text}\n{HANDLER}"})
    assert [(one.severity, one.where.line) for one in found] == [("note", 2), ("note", 5), ("error", 7)]


# --- folders that are no packages, and give way to Python's own


@pytest.mark.parametrize(
    "text", ["from email.mime.text import MIMEText", "from html import escape", "import boto3"]
)
def test_folders_without_a_package_hide_nothing(text: str) -> None:
    """Templates in email/ or html/ are ordinary."""
    own = {"app.py": f"{text}\n{HANDLER}", "email/a.html": "", "html/b.html": "", "boto3/c.json": ""}
    found = [one.code for one in judged(own) if one.severity != "note"]
    assert found == []


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("from queue.worker import work", "queue.worker"),
        ("import queue.worker", "queue.worker"),
        ("from queue import worker", "queue.worker"),
    ],
)
def test_folders_that_give_way(text: str, module: str) -> None:
    own = {"app.py": f"{text}\n{HANDLER}", "queue/worker.py": "work = 1"}
    (problem,) = judged(own)
    assert (problem.severity, problem.code, problem.where.key) == ("error", Code.IMPORT_MISSING, module)
    assert problem.hint is not None
    assert problem.hint.startswith("rename queue/")
    assert [one.code for one in judged({**own, "queue/__init__.py": ""})] == [Code.MODULE_SHADOWING]


def test_a_handler_in_a_folder_that_gives_way() -> None:
    (problem,) = judged({"platform/app.py": HANDLER}, handler="platform.app.handler")
    assert (problem.severity, problem.code) == ("error", Code.HANDLER_SHADOWED)
    assert problem.hint == "rename platform/"


# --- what a package can have besides


@pytest.mark.parametrize(
    "own", ["def __getattr__(name): ...", "globals().update(a=1)", "__all__ = list('a')"]
)
def test_what_makes_names_makes_no_modules(own: str) -> None:
    (problem,) = judged({"app.py": f"import pkg.nosuch\n{HANDLER}", "pkg/__init__.py": own})
    assert (problem.severity, problem.code) == ("error", Code.IMPORT_MISSING)


@pytest.mark.parametrize(
    "path",
    [
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
        "__path__ += ['x']",
        "__path__ = ['x']",
    ],
)
def test_a_path_of_a_package_may_lead_anywhere(path: str) -> None:
    own = {"app.py": f"from acme.util import x\n{HANDLER}", "acme/__init__.py": path}
    assert told(own) == []
    (problem,) = judged({**own, "app.py": f"import nowhere\n{HANDLER}import acme\n"})
    assert problem.severity == "warning"


def test_modules_are_attributes_of_their_packages() -> None:
    own = {"top.py": "from pkg import *", "pkg/__init__.py": "from .sub import x", "pkg/sub.py": "x = 1"}
    assert judged({**own, "app.py": f"from top import sub\n{HANDLER}"}) == []
    own["pkg/__init__.py"] = "import pkg.sub"
    assert judged({**own, "app.py": f"from top import sub\n{HANDLER}"}) == []
    (problem,) = judged({**own, "app.py": f"from top import other\n{HANDLER}"})
    assert problem.code is Code.IMPORT_MISSING


@pytest.mark.parametrize(
    "exports",
    [
        "__all__ = []\ndef export(f): __all__.append(f.__name__); return f\n@export\ndef thing(): ...",
        "__all__ = []\n__all__.extend(['thing'])\nthing = 1",
        "thing = 1\n__all__ = []\n__all__[:] = ['thing']",
        "thing = 1\nimport os\nif os.name == 'posix':\n    __all__ = ['thing']\nelse:\n    __all__ = []",
        "thing = 1\nimport os\nif os.environ.get('X'):\n    __all__ = []",
        "thing = 1\ntry:\n    import ast\n    __all__ = ['thing']\nexcept ImportError:\n    __all__ = []",
    ],
)
def test_lists_of_names_that_grow(exports: str) -> None:
    own = {"app.py": f"from lib import thing\n{HANDLER}", "lib/__init__.py": "from .impl import *"}
    assert judged({**own, "lib/impl.py": exports}) == []


@pytest.mark.parametrize(("tried", "severity"), [("import json", "error"), ("import absent", "note")])
def test_what_follows_a_try_that_works_runs_for_certain(tried: str, severity: str) -> None:
    text = f"try:\n    {tried}\nexcept ImportError:\n    json = None\nelse:\n    import nothere\n"
    found = {one.where.key: one.severity for one in judged({"app.py": text + HANDLER})}
    assert found["nothere"] == severity


def test_the_main_module_is_there() -> None:
    fine("import __main__\nfrom __main__ import x")


def test_what_is_built_in_always_wins() -> None:
    own = {"app.py": f"import itertools\n{HANDLER}", "itertools.py": "import nothere"}
    assert told(own) == [("warning", "ImportMissing", "itertools.py")]


def test_names_of_os_path() -> None:
    assert "came with Python 3.12" in missing("from os.path import splitroot", target=PY310)
    fine("from os.path import splitroot, join")


def test_modules_that_hide_those_of_python() -> None:
    """boto3 imports queue and random, and finds what lies beside the handler."""
    own = {"app.py": HANDLER, "queue.py": "", "random/__init__.py": "", "deep/socket.py": "", "types.py": ""}
    assert told({**own, "test/__init__.py": "", "calendar/page.html": "", "itertools.py": ""}) == [
        ("warning", "ModuleShadowing", "queue.py"),
        ("warning", "ModuleShadowing", "random/__init__.py"),
    ]
    found = judged({"platform.py": HANDLER}, handler="platform.handler")
    assert [one.code for one in found] == [Code.HANDLER_SHADOWED]
    assert told({"secrets.py": ""}, handler=None) == [("warning", "ModuleShadowing", "secrets.py")]
