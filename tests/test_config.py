from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled import VALID, paths, spoil, toml, wrong_values

from lambda_bundle.config import Config, find, load
from lambda_bundle.entries import Entry
from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.findings import dotted, quoted
from lambda_bundle.positions import KeyPath, locate
from lambda_bundle.targets import MACHINES, RUNTIMES
from lambda_bundle.toml_errors import explain

SOURCES = ["src", "services/api", "services/worker"]
DEFAULTS = '[defaults]\nruntime = "python3.13"\narch = "arm64"\n'
API = '[functions.api]\nentry = "src"\nhandler = "app.handler"\n'

# Each problem is noted where it must be reported: "#! CODE key; words that must be said; more words".
FAULTY = {
    # unknown keys, at every level
    "unknown table": f"""
        [function.api] #! UNKNOWN_KEY function; unknown key "function"; did you mean "functions"?
        entry = "src"
        {DEFAULTS}{API}""",
    "unknown table that is near to nothing": f"""
        [tool] #! UNKNOWN_KEY tool; known keys are defaults, functions, layers, overrides, index
        {DEFAULTS}{API}""",
    "what a misspelt table holds is not missing": f"""
        [default] #! UNKNOWN_KEY default; did you mean "defaults"?
        runtime = "python3.13"
        {API}
        [[override]] #! UNKNOWN_KEY override; did you mean "overrides"?
        select = ["*"]""",
    "unknown top-level key": f"""
        version = 1 #! UNKNOWN_KEY version
        {DEFAULTS}{API}""",
    "unknown key of defaults": f"""
        [defaults]
        runtime = "python3.13"
        arch = "arm64"
        timout = 3 #! UNKNOWN_KEY defaults.timout; did you mean "timeout"?
        {API}""",
    "unknown key of a function": f"""{DEFAULTS}{API}
        excludes = ["x"] #! UNKNOWN_KEY functions.api.excludes; did you mean "exclude"?
        memory = 128 #! UNKNOWN_KEY functions.api.memory; known keys are runtime, arch, tags""",
    "unknown key of a layer": f"""{DEFAULTS}
        [layers.common]
        entry = "src"
        handler = "a.b" #! UNKNOWN_KEY layers.common.handler; a layer has no handler
        entri = "src" #! UNKNOWN_KEY layers.common.entri; did you mean "entry"?""",
    "unknown key of an override": f"""{DEFAULTS}{API}
        [[overrides]]
        select = ["api"]
        [[overrides]]
        select = ["api"]
        backand = "pip" #! UNKNOWN_KEY overrides[1].backand; did you mean "backend"?""",
    "entry and handler belong to functions": f"""
        [defaults]
        runtime = "python3.13"
        arch = "arm64"
        entry = "src" #! UNKNOWN_KEY defaults.entry; write it in [functions.NAME]
        {API}
        [[overrides]]
        select = ["*"]
        handler = "a.b" #! UNKNOWN_KEY overrides[0].handler; write it in [functions.NAME]""",
    "unknown hooks": f"""
        [defaults]
        runtime = "python3.13"
        arch = "arm64"
        hooks.post = [] #! UNKNOWN_KEY defaults.hooks.post; known keys are before, after
        {API}
        [functions.api.hooks]
        befor = ["x"] #! UNKNOWN_KEY functions.api.hooks.befor; did you mean "before"?
        [[overrides]]
        select = ["*"]
        hooks = {{ afters = [] }} #! UNKNOWN_KEY overrides[0].hooks.afters; did you mean "after"?""",
    "a function called hooks": f"""{DEFAULTS}
        [functions.hooks]
        entry = "src"
        handler = "a.b"
        runtme = "python3.12" #! UNKNOWN_KEY functions.hooks.runtme; did you mean "runtime"?""",
    "what a typo means is not missing": """
        [functions.api]
        entri = "src" #! UNKNOWN_KEY functions.api.entri; did you mean "entry"?
        hanlder = "a.b" #! UNKNOWN_KEY functions.api.hanlder; did you mean "handler"?
        Runtime = "python3.13" #! UNKNOWN_KEY functions.api.Runtime; did you mean "runtime"?
        archs = "arm64" #! UNKNOWN_KEY functions.api.archs; did you mean "arch"?""",
    # what is missing
    "nothing at all": "#! MISSING_KEY; there is no [functions.NAME] and no [layers.NAME]",
    "only defaults": "#! MISSING_KEY; there is no [functions.NAME]\n" + DEFAULTS,
    "nothing for a function": """
        [functions.api] #! MISSING_KEY functions.api.entry; `entry` is missing #! MISSING_KEY \
functions.api.handler #! MISSING_KEY functions.api.runtime; set it here or in [defaults] #! MISSING_KEY \
functions.api.arch""",
    "nothing for a layer": f"""{DEFAULTS}
        [layers.common] #! MISSING_KEY layers.common.entry; `entry` is missing""",
    "an override for others": f"""
        [defaults]
        arch = "arm64"
        {API} #! MISSING_KEY@-3 functions.api.runtime; `runtime` is missing
        [[overrides]]
        select = ["b*"]
        runtime = "python3.12"
        """,
    "select of an override": f"""{DEFAULTS}{API}
        [[overrides]] #! MISSING_KEY overrides[0].select; `select` is missing
        runtime = "python3.12" """,
    "an empty select": f"""{DEFAULTS}{API}
        [[overrides]]
        select = [] #! INVALID_VALUE overrides[0].select; must not be empty""",
    "empty tags": f"""{DEFAULTS}{API}
        tags = [] #! INVALID_VALUE functions.api.tags; must not be empty""",
    # wrong types
    "strings": """
        [functions.api]
        entry = 1 #! INVALID_VALUE functions.api.entry; must be a string, not 1; write "1"
        handler = true #! INVALID_VALUE functions.api.handler; must be a string, not true
        runtime = 3.13 #! INVALID_VALUE functions.api.runtime; must be a string, not 3.13; write "python3.13"
        arch = ["arm64"] #! INVALID_VALUE functions.api.arch; must be a string, not an array
        backend = 1979-05-27 #! INVALID_VALUE functions.api.backend; not a date or time
        format = {} #! INVALID_VALUE functions.api.format; must be "zip" or "dir", not a table""",
    "arrays": f"""{DEFAULTS}{API}
        tags = "manylinux_2_28_aarch64" #! INVALID_VALUE functions.api.tags; write ["manyl
        exclude = "*.md" #! INVALID_VALUE functions.api.exclude; must be an array, not "*.md"
        include = {{ a = 1 }} #! INVALID_VALUE functions.api.include; must be an array, not a table
        hooks.before = "make" #! INVALID_VALUE functions.api.hooks.before; write ["make"]
        hooks.after = 3 #! INVALID_VALUE functions.api.hooks.after; must be an array, not 3""",
    "elements": f"""{DEFAULTS}{API}
        tags = [
          "manylinux_2_28_aarch64",
          1, #! INVALID_VALUE functions.api.tags[1]; must be a string, not 1
          "manylinux_2_28", #! INVALID_TAG functions.api.tags[2]
        ]
        exclude = [["x"]] #! INVALID_VALUE functions.api.exclude[0]; must be a string, not an array
        env = {{ A = 1 }} #! INVALID_VALUE functions.api.env.A; must be a string, not 1; write "1"
        [functions.api.hooks]
        before = ["x",
          false] #! INVALID_VALUE functions.api.hooks.before[1]; must be a string, not false""",
    "tables": """
        defaults = 1 #! INVALID_VALUE defaults; must be a table, not 1
        functions = ["api"] #! INVALID_VALUE functions; must be a table, not an array
        layers.common = "src" #! INVALID_VALUE layers.common; must be a table, not "src"
        [overrides] #! INVALID_VALUE overrides; must be an array, not a table; write [[overrides]]
        select = ["x"]""",
    "tables of a function": f"""{DEFAULTS}{API}
        hooks = ["make"] #! INVALID_VALUE functions.api.hooks; must be a table, not an array
        env = "A=1" #! INVALID_VALUE functions.api.env; must be a table, not "A=1" """,
    "elements of overrides": f"""{DEFAULTS}{API}
        [[overrides]]
        select = "api" #! INVALID_VALUE overrides[0].select; must be an array; write ["api"]
        arch = "sparc" #! UNSUPPORTED_ARCHITECTURE overrides[0].arch
        [[overrides]]
        select = [1] #! INVALID_VALUE overrides[1].select[0]; must be a string""",
    "what an override holds may not be missing": f"""
        defaults.arch = "arm64"
        {API}
        [[overrides]]
        select = "api" #! INVALID_VALUE overrides[0].select
        runtime = "python3.13" """,
    "overrides that are no tables": f"""
        overrides = [1] #! INVALID_VALUE overrides[0]; must be a table, not 1
        {DEFAULTS}{API}""",
    "timeouts": f"""{DEFAULTS}{API}
        timeout = "60" #! INVALID_VALUE functions.api.timeout; must be a number, not "60"
        [functions.b]
        entry = "src"
        handler = "a.b"
        timeout = true #! INVALID_VALUE functions.b.timeout; must be a number, not true
        [functions.c]
        entry = "src"
        handler = "a.b"
        timeout = 0 #! INVALID_VALUE functions.c.timeout; must be more than 0, not 0
        [layers.d]
        entry = "src"
        timeout = -1.5 #! INVALID_VALUE layers.d.timeout; must be more than 0, not -1.5
        [layers.e]
        entry = "src"
        timeout = inf #! INVALID_VALUE layers.e.timeout; must be a finite number, not inf
        [layers.f]
        entry = "src"
        timeout = nan #! INVALID_VALUE layers.f.timeout; must be a finite number, not nan""",
    "choices": f"""{DEFAULTS}{API}
        backend = "PIP" #! INVALID_VALUE functions.api.backend; must be "uv" or "pip"; did you mean "pip"?
        format = "tar" #! INVALID_VALUE functions.api.format; must be "zip" or "dir", not "tar" """,
    # runtimes and architectures
    "unknown runtime": f"""
        [defaults]
        runtime = "python3.99" #! UNSUPPORTED_RUNTIME defaults.runtime; python3.7, python3.8
        arch = "arm64"
        {API}""",
    "no Python runtime": f"""{DEFAULTS}{API}
        runtime = "nodejs20.x" #! UNPARSEABLE_RUNTIME functions.api.runtime; write it as one of
        [functions.b]
        entry = "src"
        handler = "a.b"
        runtime = "3.12" #! UNPARSEABLE_RUNTIME functions.b.runtime; did you mean "python3.12"?
        [functions.c]
        entry = "src"
        handler = "a.b"
        runtime = "Python 3.12" #! UNPARSEABLE_RUNTIME functions.c.runtime; did you mean "python3.12"?
        [functions.d]
        entry = "src"
        handler = "a.b"
        runtime = "py311" #! UNPARSEABLE_RUNTIME functions.d.runtime; did you mean "python3.11"?
        [functions.e]
        entry = "src"
        handler = "a.b"
        runtime = "" #! UNPARSEABLE_RUNTIME functions.e.runtime; "" is not""",
    "unknown architecture": f"""
        [defaults]
        runtime = "python3.13"
        arch = "aarch64" #! UNSUPPORTED_ARCHITECTURE defaults.arch; called "aarch64"; did you mean "arm64"?
        {API}
        [[overrides]]
        select = ["*"]
        arch = "AMD64" #! UNSUPPORTED_ARCHITECTURE overrides[0].arch; did you mean "x86_64"?
        [functions.b]
        entry = "src"
        handler = "a.b"
        arch = "amr64" #! UNSUPPORTED_ARCHITECTURE functions.b.arch; did you mean "arm64"?
        [functions.c]
        entry = "src"
        handler = "a.b"
        arch = "s390" #! UNSUPPORTED_ARCHITECTURE functions.c.arch; choose one of x86_64, arm64""",
    "a runtime that an architecture has not": f"""
        [defaults]
        runtime = "python3.7"
        arch = "x86_64"
        {API}
        arch = "arm64" #! UNSUPPORTED_ARCHITECTURE functions.api.arch; it exists on x86_64""",
    "the same from elsewhere": f"""
        [defaults]
        arch = "arm64" #! UNSUPPORTED_ARCHITECTURE defaults.arch; python3.7 does not exist on arm64
        {API}
        [functions.b]
        entry = "src"
        handler = "a.b"
        [[overrides]]
        select = ["*"]
        runtime = "python3.7" """,
    "wrong values that nothing uses": f"""
        [defaults]
        runtime = "python3.99" #! UNSUPPORTED_RUNTIME defaults.runtime
        arch = "aarch64" #! UNSUPPORTED_ARCHITECTURE defaults.arch
        tags = ["manylinux_2_28"] #! INVALID_TAG defaults.tags[0]
        {API}
        runtime = "python3.13"
        arch = "arm64"
        tags = ["manylinux_2_28_aarch64"]
        [[overrides]]
        select = ["nobody"]
        runtime = "python2.7" #! UNSUPPORTED_RUNTIME overrides[0].runtime; called python2.7""",
    # entries
    "entries": f"""{DEFAULTS}
        [functions.a]
        entry = "srcs" #! ENTRY_MISSING functions.a.entry; there is no folder "srcs"; did you mean "src"?
        handler = "a.b"
        [functions.b]
        entry = "services/wroker" #! ENTRY_MISSING functions.b.entry; did you mean "worker"?
        handler = "a.b"
        [functions.c]
        entry = "nowhere/x" #! ENTRY_MISSING functions.c.entry; relative to the folder of bundles.toml
        handler = "a.b"
        [functions.d]
        entry = "file.py" #! ENTRY_MISSING functions.d.entry; "file.py" is no folder
        handler = "a.b"
        [functions.e]
        entry = "dangling" #! ENTRY_MISSING functions.e.entry; "dangling" is no folder
        handler = "a.b"
        [layers.f]
        entry = "a\\u0000b" #! ENTRY_MISSING layers.f.entry; there is no folder "a\\U00000000b"
        [layers.g]
        entry = "file.py/below" #! ENTRY_MISSING layers.g.entry; there is no folder "file.py/below"
        [layers.h]
        entry = "{"long" * 100}" #! ENTRY_MISSING layers.h.entry; there is no folder
        [layers.i]
        entry = "" #! INVALID_VALUE layers.i.entry; must not be empty; write "." for the folder""",
    # layers
    "runtimes": f"""{DEFAULTS}
        [layers.a]
        entry = "src"
        runtimes = [
          "python3.12",
          "python3.99", #! UNSUPPORTED_RUNTIME layers.a.runtimes[1]; known runtimes are
          3.13, #! INVALID_VALUE layers.a.runtimes[2]; must be a string; write "python3.13"
          "python3.12", #! INVALID_VALUE layers.a.runtimes[3]; "python3.12" is listed twice
        ]
        [layers.b]
        entry = "src"
        runtimes = [] #! INVALID_VALUE layers.b.runtimes; must not be empty
        [layers.c]
        entry = "src"
        runtime = "python3.12"
        runtimes = ["python3.12"] #! INVALID_VALUE layers.c.runtimes; contradict each other; write one
        [layers.d]
        entry = "src"
        runtime = ["python3.12"] #! INVALID_VALUE layers.d.runtime; for several runtimes write `runtimes`
        [layers.e]
        entry = "src"
        runtimes = "python3.12" #! INVALID_VALUE layers.e.runtimes; write ["python3.12"]
        [layers.f]
        entry = "src"
        runtimes = ["python3.8", "python3.7"]
        arch = "arm64" #! UNSUPPORTED_ARCHITECTURE layers.f.arch; python3.7 does not exist on arm64""",
    "runtimes belong to layers": f"""{DEFAULTS}{API}
        runtimes = ["python3.12"] #! UNKNOWN_KEY functions.api.runtimes; a layer can be for several""",
    "layers of layers": f"""{DEFAULTS}
        [layers.a]
        entry = "src"
        layers = ["b"] #! UNKNOWN_KEY layers.a.layers; a layer has no layers; functions do""",
    "layers that are not there": f"""
        [defaults]
        runtime = "python3.13"
        arch = "arm64"
        layers = ["comon"] #! UNKNOWN_NAME defaults.layers[0]; no layer called "comon"; mean "common"?
        {API}
        [functions.b]
        entry = "src"
        handler = "a.b"
        layers = [
          "common",
          "api", #! UNKNOWN_NAME functions.b.layers[1]; api is a function
          "zzz", #! UNKNOWN_NAME functions.b.layers[2]; the layers are common
          "common", #! INVALID_VALUE functions.b.layers[3]; "common" is listed twice
          7, #! INVALID_VALUE functions.b.layers[4]; must be a string
        ]
        [layers.common]
        entry = "src" """,
    "layers where none is": f"""{DEFAULTS}{API}
        layers = ["zzz"] #! UNKNOWN_NAME functions.api.layers[0]; declare it: [layers.NAME]""",
    "too many layers": f"""{DEFAULTS}{API}
        layers = ["a", "b", "c", "d", "e", "f"] #! INVALID_VALUE functions.api.layers; at most 5, not 6""",
    "layers that do not fit": f"""{DEFAULTS}{API}
        layers = [
          "old", #! LAYER_MISMATCH functions.api.layers[0]; layer old is for python3.12, and functions.api \
runs on python3.13; `runtimes = ["python3.12", "python3.13"]` in [layers.old]
          "other", #! LAYER_MISMATCH functions.api.layers[1]; layer other is for x86_64, and functions.api \
runs on arm64; another layer
          "both", #! LAYER_MISMATCH functions.api.layers[2]; for python3.11 and python3.12, and \
#! LAYER_MISMATCH functions.api.layers[2]; layer both is for x86_64
          "good",
        ]
        [layers.old]
        entry = "src"
        runtime = "python3.12"
        [layers.other]
        entry = "src"
        arch = "x86_64"
        [layers.both]
        entry = "src"
        runtimes = ["python3.11", "python3.12"]
        arch = "x86_64"
        [layers.good]
        entry = "src"
        runtimes = ["python3.12", "python3.13"]""",
    # tags
    "tags": f"""{DEFAULTS}{API}
        tags = [
          "musllinux_1_2_aarch64",
          "manylinux_2_28_x86_64", #! INVALID_TAG functions.api.tags[1]; its machine is x86_64
          "win_amd64", #! INVALID_TAG functions.api.tags[2]; cannot be a platform tag: not
          "manylinux_2_28_ppc64le", #! INVALID_TAG functions.api.tags[3]; must be x86_64 or aarch64
          "manylinux2014_aarch64",
          "", #! INVALID_TAG functions.api.tags[5]; "" cannot
        ]""",
    "tags from defaults": f"""
        [defaults]
        runtime = "python3.13"
        tags = ["manylinux_2_28_x86_64"] #! INVALID_TAG defaults.tags[0]; of functions.api: its machine
        arch = "x86_64"
        {API}
        arch = "arm64"
        [functions.b]
        entry = "src"
        handler = "a.b"
        arch = "arm64"
        [functions.c]
        entry = "src"
        handler = "a.b" """,
    "tags of an unknown architecture": f"""{DEFAULTS}{API}
        arch = "arm" #! UNSUPPORTED_ARCHITECTURE functions.api.arch
        tags = ["manylinux_2_28_x86_64", "any"] #! INVALID_TAG functions.api.tags[1]; "any" cannot""",
    # commands and variables
    "hooks": f"""{DEFAULTS}{API}
        [functions.api.hooks]
        before = [" "] #! INVALID_VALUE functions.api.hooks.before[0]; a command must not be empty
        after = ["a", "b\\u0000"] #! INVALID_VALUE functions.api.hooks.after[1]; NUL""",
    "variables": f"""{DEFAULTS}{API}
        [functions.api.env]
        A = "\\u0000" #! INVALID_VALUE functions.api.env.A; NUL
        "" = "x" #! INVALID_VALUE functions.api.env.""; "" cannot be the name of an environment variable
        "A=B" = "x" #! INVALID_VALUE functions.api.env."A=B"; "A=B" cannot be the name""",
    "packages and files": f"""{DEFAULTS}{API}
        skip = ["fine", "a b"] #! INVALID_VALUE functions.api.skip[1]; "a b" cannot be the name of a package
        sdists = ["six==1"] #! INVALID_VALUE functions.api.sdists[0]; "six==1" cannot be the name of a package
        package = "x y" #! INVALID_VALUE functions.api.package; "x y" cannot be the name of a package
        groups = ["a b"] #! INVALID_VALUE functions.api.groups[0]; cannot be the name of a dependency group
        extras = ["-x"] #! INVALID_VALUE functions.api.extras[0]; "-x" cannot be the name of an extra
        requirements = " " #! INVALID_VALUE functions.api.requirements; " " cannot be the path of a file""",
    # names
    "names": f"""{DEFAULTS}
        [functions."my func"] #! INVALID_VALUE functions."my func"; cannot be the name; use letters
        entry = "src"
        handler = "a.b"
        [functions."../x"] #! INVALID_VALUE functions."../x"
        entry = "src"
        handler = "a.b"
        [functions.""] #! INVALID_VALUE functions.""; "" cannot be
        entry = "src"
        handler = "a.b"
        [layers.-x] #! INVALID_VALUE layers.-x
        entry = "src"
        [layers."käse"] #! INVALID_VALUE layers."käse"
        entry = "src" """,
    "a function and a layer of one name": f"""{DEFAULTS}{API}
        [layers.api] #! ARTIFACT_COLLISION layers.api; api.zip would be; of this and of functions.api; rename
        entry = "src" """,
    "names that differ in case": f"""{DEFAULTS}{API}
        [functions.API] #! ARTIFACT_COLLISION functions.API; API.zip would be; functions.api
        entry = "src"
        handler = "a.b" """,
    "the folder of one is the zip of another": f"""{DEFAULTS}
        [functions.a]
        entry = "src"
        handler = "a.b"
        [functions."a.zip"] #! ARTIFACT_COLLISION functions."a.zip"; a.zip would be; functions.a
        entry = "src"
        handler = "a.b"
        format = "dir" """,
    "the manifest": f"""{DEFAULTS}
        [functions."manifest.json"] #! ARTIFACT_COLLISION functions."manifest.json"; is the manifest
        entry = "src"
        handler = "a.b" """,
    "collisions of what is faulty": f"""{DEFAULTS}
        [functions.a] #! MISSING_KEY functions.a.handler
        entry = "src"
        [layers.a] #! ARTIFACT_COLLISION layers.a
        entry = "nowhere" #! ENTRY_MISSING layers.a.entry""",
    # all at once
    "everything in the order of the file": """
        [[overrides]]
        select = ["x"]
        arch = 1 #! INVALID_VALUE overrides[0].arch
        [layers.z]
        entry = "nowhere" #! ENTRY_MISSING layers.z.entry
        runtime = "python3.13"
        arch = "ARM" #! UNSUPPORTED_ARCHITECTURE layers.z.arch
        [functions.a] #! MISSING_KEY functions.a.handler
        runtime = "python3.99" #! UNSUPPORTED_RUNTIME functions.a.runtime
        tags = ["x", 1] #! INVALID_TAG functions.a.tags[0] #! INVALID_VALUE functions.a.tags[1]
        entry = "src"
        colour = "red" #! UNKNOWN_KEY functions.a.colour
        [defaults]
        timeout = 0 #! INVALID_VALUE defaults.timeout
        arch = "arm64"
        [functions.b]
        runtime = "java21" #! UNPARSEABLE_RUNTIME functions.b.runtime
        handler = "no" #! INVALID_HANDLER functions.b.handler
        entry = "file.py" #! ENTRY_MISSING functions.b.entry""",
}

GOOD_HANDLERS = [
    *("app.handler", "app.main.handler", "app/main.handler", "my-mod.handler", "a/b/c.d", "_a._b", "a1.b2"),
    *("0app.handler", "größe.händler", "a/b.c.handler"),
]
BAD_HANDLERS = [
    *("handler", "app.", ".handler", "app..handler", "app.main handler", " app.handler", "app.handler "),
    *("", ".", "app:handler", "app/main.py:handler", "app.1handler", "/app.handler", "app/.handler", "a.b-c"),
    *("../app.handler", "app\\\\main.handler", "app.handler\\n", "a//b.c"),
]

EXPECTED = re.compile(r"#! (?P<code>[A-Z_]+)(?:@(?P<lines>-\d+))?(?P<key>[^;#]*)(?P<words>[^#]*)")
WORDS_OF_PYDANTIC = re.compile(
    r"Input should|Field required|Extra inputs|should be a valid|Value error|\btype=|pydantic",
    re.IGNORECASE,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_sources(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that hypothesis runs many times."""
    folder = tmp_path_factory.mktemp("root")
    make_sources(folder)
    return folder


def make_sources(root: Path) -> None:
    for folder in SOURCES:
        (root / folder).mkdir(parents=True)
    (root / "file.py").touch()
    (root / "dangling").symlink_to("nothing")


def loaded(root: Path, text: str) -> Config:
    path = root / "bundles.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def faults(root: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(BundleError) as caught:
        loaded(root, text)
    return caught.value.problems


def only(config: Config) -> Entry:
    (entry,) = config.entries
    return entry


def expected(text: str) -> list[tuple[int, str, str, list[str]]]:
    """Line, code, key and words of each problem that the text itself announces."""
    return [
        (
            number + int(note["lines"] or 0),
            note["code"],
            note["key"].strip(),
            [words.strip() for words in note["words"].split(";") if words.strip()],
        )
        for number, line in enumerate(text.splitlines(), 1)
        for note in EXPECTED.finditer(line)
    ]


@pytest.mark.parametrize("text", FAULTY.values(), ids=FAULTY)
def test_every_problem_is_told_with_its_place(root: Path, text: str) -> None:
    problems = faults(root, text)
    told = [(one.where.line, one.code.name, one.where.key or "") for one in problems]
    assert told == [(line, code, key) for line, code, key, _ in expected(text)]
    for problem, (_, _, _, said) in zip(problems, expected(text), strict=True):
        assert problem.where.file == "bundles.toml"
        assert problem.severity == "error"
        for words in said:
            assert words in f"{problem.message}; {problem.hint}"


def test_the_rows_have_every_code_of_configuration() -> None:
    told = {code for text in FAULTY.values() for _, code, _, _ in expected(text)}
    codes = list(Code)
    of_configuration = codes[codes.index(Code.UNKNOWN_KEY) : codes.index(Code.NOTHING_SELECTED)]
    of_usage_too = {"UNKNOWN_NAME"}
    assert {code.name for code in of_configuration} == told - of_usage_too | {"INVALID_HANDLER"}


@pytest.mark.parametrize("handler", GOOD_HANDLERS)
def test_good_handlers(root: Path, handler: str) -> None:
    assert (
        only(loaded(root, f'{DEFAULTS}[functions.a]\nentry = "src"\nhandler = "{handler}"')).handler
        == handler
    )


@pytest.mark.parametrize("handler", BAD_HANDLERS)
def test_bad_handlers(root: Path, handler: str) -> None:
    (problem,) = faults(root, f'{DEFAULTS}[functions.a]\nentry = "src"\nhandler = "{handler}"')
    assert (problem.code, problem.where.line) == (Code.INVALID_HANDLER, 6)
    assert 'is not of the form "module.name"' in problem.message
    assert problem.hint == 'for `def handler` in app/main.py write "app.main.handler"'


# --- the file itself


def test_invalid_toml_has_line_and_column(root: Path) -> None:
    (problem,) = faults(root, '[defaults]\nruntime = "python3.13\n')
    assert problem.code is Code.CONFIG_SYNTAX
    assert problem.where == Where(file="bundles.toml", line=2, column=22)
    assert problem.message.startswith("not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "place", "why", "hint"),
    [
        ("entry = app", (2, 9), "this is no value", 'strings need quotes: "…"; true'),
        ('entry = "app\n', (2, 13), "the string does not end in its line", 'close it with a "'),
        ("entry = 'app", (2, 13), "the string is not closed", "end it as it begins"),
        ('entry = """app', (2, 15), "the string is not closed", "end it as it begins"),
        ('entry = "a\0"', (2, 11), "no string can hold '\\x00'", "write it as an escape"),
        ('entry = "C:\\src"', (2, 14), "no escape begins like this", "write two backslashes"),
        (r'entry = "\ud800"', (2, 16), "this escape stands for no character", None),
        ("a = 1\na = 2", (3, 6), "this has a value already", "keep one of the two"),
        ("a = 1\n[functions.a.a]", (3, 15), "this has a value already", "keep one of the two"),
        ("[functions.a]", (2, 13), "[functions.a] is there already", "keep one of the two"),
        ("[functions]\na.b = 1", (3, 8), "[functions.a] is there already", "keep one of the two"),
        ("a = {b = 1}\na.c = 2", (3, 8), "a table in braces, or a list in brackets, is", "write all"),
        ("a = {b = 1, b = 2}", (2, 18), "this has a value already", "keep one of the two"),
        ("a = {b = 1", (2, 11), "the table in braces is not closed", "write { key = value, "),
        ("a = [1 2]", (2, 8), "the list is not closed", "separate its values with commas"),
        ("a = [1,", (2, 8), "this is no value", "strings need quotes"),
        ("[functions.b", (2, 13), "the header is not closed", "a header stands alone in its line"),
        ("[[functions.b]", (2, 14), "the header is not closed", "a header stands alone in its line"),
        ("functions.b", (2, 12), "no = follows the key", "write key = value"),
        ('entry = "a" "b"', (2, 13), "something follows the value", "write one key in a line"),
        ("@entry = 1", (2, 1), "this is neither key nor header", "write key = value"),
        ("entry.@a = 1", (2, 7), "no key begins like this", "names with signs besides"),
        ("# \x01", (2, 3), "a comment holds a control character", "remove it"),
        ("a = 2026-02-30", (2, 5), "there is no such date", "strings need quotes"),
    ],
)
def test_invalid_toml_is_told_in_our_words(
    root: Path, text: str, place: tuple[int, int], why: str, hint: str | None
) -> None:
    (problem,) = faults(root, f"[functions.a]\n{text}")
    assert problem.message.startswith(f"not valid TOML: {why}"), problem.message
    assert (problem.where.line, problem.where.column) == place
    assert (problem.hint or "").startswith(hint or "")
    assert (problem.hint is None) == (hint is None)


def test_invalid_toml_that_tomli_tells_in_other_words() -> None:
    assert explain("Something that it did not say before") == ("this is not TOML", None)


def test_a_key_that_is_there_twice(root: Path) -> None:
    (problem,) = faults(root, "[functions.a]\n[functions.b]\n[functions.a]\n")
    assert (problem.code, problem.where.line) == (Code.CONFIG_SYNTAX, 3)


def test_nested_too_deeply(root: Path) -> None:
    (problem,) = faults(root, f"a = {'[' * 100_000}")
    assert (problem.code, problem.message) == (Code.CONFIG_SYNTAX, "arrays or tables are nested too deeply")


def test_not_utf8_has_a_line(root: Path) -> None:
    (root / "bundles.toml").write_bytes(b"[defaults]\n# \xe4\n")
    with pytest.raises(BundleError) as caught:
        load(root / "bundles.toml")
    (problem,) = caught.value.problems
    assert problem.code is Code.CONFIG_SYNTAX
    assert problem.where == Where(file="bundles.toml", line=2)
    assert "UTF-8" in problem.message


@pytest.mark.parametrize("text", [f"\ufeff{DEFAULTS}{API}", f"{DEFAULTS}{API}".replace("\n", "\r\n")])
def test_byte_order_mark_and_line_ends(root: Path, text: str) -> None:
    assert only(loaded(root, text)).name == "api"


def test_missing_file(root: Path) -> None:
    with pytest.raises(BundleError) as caught:
        load(root / "other.toml")
    assert [one.code for one in caught.value.problems] == [Code.CONFIG_MISSING]
    assert str(root / "other.toml") in caught.value.problems[0].message


def test_a_folder_in_place_of_the_file(root: Path) -> None:
    (root / "bundles.toml").mkdir()
    with pytest.raises(BundleError) as caught:
        load(find(root))
    (problem,) = caught.value.problems
    assert problem.code is Code.CONFIG_UNREADABLE
    assert problem.where.file == str(root / "bundles.toml")
    assert problem.message.startswith("cannot be read: ")


def test_a_file_that_cannot_be_read(root: Path) -> None:
    (root / "bundles.toml").symlink_to("bundles.toml")  # permissions mean nothing to root
    with pytest.raises(BundleError) as caught:
        load(find(root))
    assert [one.code for one in caught.value.problems] == [Code.CONFIG_UNREADABLE]


def test_find_walks_up(root: Path) -> None:
    (root / "bundles.toml").touch()
    assert find(root / "services" / "api") == root / "bundles.toml"
    (root / "services" / "bundles.toml").touch()
    assert find(root / "services" / "api") == root / "services" / "bundles.toml"


def test_find_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        find(tmp_path)
    (problem,) = caught.value.problems
    assert problem.code is Code.CONFIG_MISSING
    assert str(tmp_path) in problem.message


def test_the_root_is_absolute(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "bundles.toml").write_text(DEFAULTS + API)
    monkeypatch.chdir(root / "services")
    config = load(Path("../bundles.toml"))
    assert config.file == root.resolve() / "bundles.toml"
    assert config.root == root.resolve()


# --- what holds for an entry


def test_what_is_not_set_has_a_value(root: Path) -> None:
    config = loaded(root, DEFAULTS + API)
    assert only(config) == Entry(
        kind="functions",
        name="api",
        entry="src",
        handler="app.handler",
        runtimes=("python3.13",),
        arch="arm64",
        tags=(),
        backend="uv",
        packaging=None,
        requirements=None,
        groups=(),
        extras=(),
        package=None,
        skip=(),
        sdists=(),
        before=(),
        after=(),
        exclude=(),
        include=(),
        env={},
        format="zip",
        timeout=600.0,
        written={
            "runtime": ("defaults", "runtime"),
            "arch": ("defaults", "arch"),
            "entry": ("functions", "api", "entry"),
            "handler": ("functions", "api", "handler"),
        },
    )
    assert config.places["functions", "api"] == Where(file="bundles.toml", line=4, key="functions.api")
    assert config.places["defaults", "arch"] == Where(file="bundles.toml", line=3, key="defaults.arch")
    assert config.warnings == ()


def test_every_key_is_read(root: Path) -> None:
    config = loaded(root, toml(VALID))
    assert [entry.name for entry in config.entries] == ["api", "worker", "common", "wide"]
    api, worker, common, wide = config.entries
    for entry in (api, common):
        assert entry.before == ("make proto", "make rest")
        assert entry.after == ("rm -rf docs",)
        assert entry.tags == ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
        assert (entry.backend, entry.format, entry.timeout) == ("pip", "dir", 90.0)
        assert entry.env == {"A": "1", "B": "two"}
        assert (entry.exclude, entry.include) == (("tests/",), ("tests/data.json", "*.md"))
    assert (common.kind, common.handler, common.layers) == ("layers", None, ())
    assert (api.layers, worker.layers) == (("common", "wide"), ("common",))
    assert (wide.runtimes, common.runtimes) == (("python3.12", "python3.13"), ("python3.12",))
    assert worker.timeout == 1.5


def test_entries_are_in_the_order_of_the_file(root: Path) -> None:
    text = """
        layers = { z = { entry = "src" }, a = { entry = "src" } }
        [functions.m]
        entry = "src"
        handler = "a.b"
        [functions.c]
        entry = "src"
        handler = "a.b"
        """
    config = loaded(root, text + DEFAULTS)
    assert [entry.name for entry in config.entries] == ["z", "a", "m", "c"]


def test_a_config_survives_pickling(root: Path) -> None:
    config = loaded(root, toml(VALID))
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own


def test_overrides_that_select_nothing_are_warned_of(root: Path) -> None:
    text = f"""{DEFAULTS}{API}
        [[overrides]]
        select = ["api", "wroker"]
        [[overrides]]
        select = ["svc-*", "*", "aip"]
        """
    config = loaded(root, text)
    assert [(one.code, one.where.line, one.where.key) for one in config.warnings] == [
        (Code.OVERRIDE_UNUSED, 9, "overrides[0].select[1]"),
        (Code.OVERRIDE_UNUSED, 11, "overrides[1].select[0]"),
        (Code.OVERRIDE_UNUSED, 11, "overrides[1].select[2]"),
    ]
    assert {one.severity for one in config.warnings} == {"warning"}
    assert config.warnings[0].message == '"wroker" matches no function and no layer'
    assert [one.hint for one in config.warnings] == [None, None, 'did you mean "api"?']


# --- laws

SPOILED = [(path, wrong) for path, value in paths(VALID) for wrong in wrong_values(value)]
RELAXED = settings(deadline=None)


def spoiled(cases: Iterable[tuple[KeyPath, Any]]) -> tuple[str, list[KeyPath]]:
    """A document with some of its keys spoiled, none of them inside another; and which."""
    document = VALID
    done: list[KeyPath] = []
    for path, wrong in cases:
        if not any(path[: len(one)] == one or one[: len(path)] == path for one in done):
            document = spoil(document, path, wrong)
            done.append(path)
    return toml(document), done


@given(st.lists(st.sampled_from(SPOILED), min_size=1, max_size=5))
@RELAXED
def test_every_spoiled_key_is_named_with_its_line(
    shared_root: Path, cases: list[tuple[KeyPath, Any]]
) -> None:
    text, done = spoiled(cases)
    problems = faults(shared_root, text)
    named = {one.where.key: one.where.line for one in problems}
    positions = locate(text)
    for path in done:
        assert named[dotted(path)] == positions[path][0]
    for problem in problems:
        # What follows from a fault is not told.
        assert any(str(problem.where.key).startswith(dotted(path)) for path in done)
        assert not WORDS_OF_PYDANTIC.search(f"{problem.message} {problem.hint}")


def test_no_key_can_be_spoiled_unseen(shared_root: Path) -> None:
    for number, (path, value) in enumerate(paths(VALID)):
        wrong = wrong_values(value)
        text = toml(spoil(VALID, path, wrong[number % len(wrong)]))
        assert dotted(path) in [one.where.key for one in faults(shared_root, text)], path


NAMES = st.text(st.sampled_from("ab"), min_size=1, max_size=1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "runtime": st.sampled_from([name for name in RUNTIMES if name != "python3.7"]),
    "arch": st.sampled_from(list(MACHINES)),
    "backend": st.sampled_from(["uv", "pip"]),
    "format": st.sampled_from(["zip", "dir"]),
    "timeout": st.integers(1, 900) | st.floats(0.5, 900),
    "exclude": st.lists(NAMES, max_size=2),
    "include": st.lists(NAMES, max_size=2),
    "env": st.dictionaries(NAMES, NAMES),
    "layers": st.lists(st.sampled_from(["one", "two"]), unique=True, max_size=2),
    "packaging": st.sampled_from(["uv", "project"]),
    "requirements": NAMES,
    "package": NAMES,
    "groups": st.lists(NAMES, max_size=2),
    "extras": st.lists(NAMES, max_size=2),
    "skip": st.lists(NAMES, max_size=2),
    "sdists": st.lists(NAMES, max_size=2),
    "hooks": st.fixed_dictionaries(
        {}, optional={"before": st.lists(NAMES, max_size=2), "after": st.lists(NAMES, max_size=2)}
    ),
}
DEFAULTS_OF_KEYS: dict[str, Any] = {
    "backend": "uv",
    "format": "zip",
    "timeout": 600,
    "env": {},
    **dict.fromkeys(("packaging", "requirements", "package")),
}
TABLES = st.fixed_dictionaries({}, optional=VALUES)
OVERRIDES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["api", "a*", "*", "b", "?pi", "A*"]), min_size=1, max_size=2), TABLES
    ),
    max_size=3,
)
BASE = {"runtime": "python3.13", "arch": "arm64"}


@given(TABLES, OVERRIDES, TABLES)
@RELAXED
def test_the_nearest_value_wins(
    shared_root: Path, defaults: dict[str, Any], overrides: list[tuple[list[str], Any]], own: dict[str, Any]
) -> None:
    document = {
        "defaults": {**BASE, **defaults},
        "functions": {"api": {"entry": "src", "handler": "a.b", **own}},
        "layers": {},
        "overrides": [{"select": select, **table} for select, table in overrides],
    }
    matching = [table for select, table in overrides if {"api", "a*", "*", "?pi"} & set(select)]
    hold = merged([BASE, defaults, *matching, own])
    serving = {"entry": "src", "runtimes": [hold["runtime"]], "arch": hold["arch"]}
    document["layers"] = {"one": serving, "two": serving}
    entry = next(one for one in loaded(shared_root, toml(document)).entries if one.name == "api")
    for key in ("runtime", "arch", *(key for key in VALUES if key not in {"runtime", "arch", "hooks"})):
        value = getattr(entry, key) if key != "runtime" else entry.runtimes[0]
        default = DEFAULTS_OF_KEYS.get(key, [])
        assert (list(value) if isinstance(value, tuple) else value) == hold.get(key, default)
    hooks = hold.get("hooks", {})
    assert (list(entry.before), list(entry.after)) == (hooks.get("before", []), hooks.get("after", []))


def merged(tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Later tables win; tables in them merge by key, and lists replace."""
    hold: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            hold[key] = {**hold.get(key, {}), **value} if isinstance(value, dict) else value
    return hold


KEYS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=3)


@given(KEYS)
@RELAXED
def test_a_dotted_key_is_that_of_toml(keys: list[str]) -> None:
    data: Any = tomli.loads(f"{dotted(tuple(keys))} = 1")
    for key in keys:
        data = data[key]
    assert data == 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
@RELAXED
def test_a_quoted_text_is_that_of_toml_and_printable(text: str) -> None:
    assert tomli.loads(f"a = {quoted(text)}") == {"a": text}
    assert quoted(text).isprintable()


def test_a_message_holds_no_control_characters(root: Path) -> None:
    (problem,) = faults(root, f'{DEFAULTS}{API}runtime = "\\u001b[31m\\n"\n')
    assert problem.message == '"\\U0000001B[31m\\U0000000A" is not the name of a Python runtime'
