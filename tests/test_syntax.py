"""Whether a target's Python can parse a file, whatever Python this runs on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambda_bundle.process import Children
from lambda_bundle.syntax import Fault, check, decode
from lambda_bundle.targets import RUNTIMES, Target

VERSIONS = (7, 8, 9, 10, 11, 12, 13, 14)
SINCE: Mapping[str, tuple[int, str]] = {
    "walrus": (8, "if (n := 1): pass"),
    "positional only": (8, "def f(a, /, b): pass"),
    "return with a star": (8, "def f():\n    return 1, *x"),
    "decorator": (9, "@a[0].b\ndef f(): pass"),
    "parenthesised with": (9, "with (open('a') as a, open('b') as b): pass"),
    "match": (10, "match x:\n    case 1: pass"),
    "except star": (11, "try: pass\nexcept* ValueError: pass"),
    "star in index": (11, "x[*a]"),
    "star in annotation": (11, "def f(*args: *Ts): pass"),
    "type parameters": (12, "def f[T](x: T) -> T: return x"),
    "type statement": (12, "type X = int"),
    "same quotes": (12, "x = f'{d['a']}'"),
    "backslash": (12, "x = f\"{'\\n'.join([])}\""),
    "comment": (12, "x = f'''{1 # c\n}'''"),
    "default of a type parameter": (13, "class A[T=int]: pass"),
    "template": (14, "x = t'{1}'"),
    "except without parentheses": (14, "try: pass\nexcept A, B: pass"),
}
"""The first minor version that parses each."""
ALWAYS = {
    "other quotes": "x = f\"{d['a']}\"",
    "match as a name": "match = 1\nmatch.x",
    "type as a name": "type = 1\nprint(type)",
    "with": "with (open('a')) as a, open('b') as b: pass",
    "annotation": "x: int = 1",
    "format": "x = f'{1:{2}}'",
}
NEVER = {
    "statement of Python 2": "print 'a'",
    "parameter twice": "def f(a, a): pass",
    "return outside": "return 1",
    "late future": "x = 1\nfrom __future__ import annotations",
    "indentation": "if x:\npass",
}
EVERY = {**{name: text for name, (_, text) in SINCE.items()}, **ALWAYS, **NEVER}


def faults(texts: Mapping[str, str], target: Target, folder: Path) -> dict[str, Fault]:
    folder.mkdir()
    return check(texts, target, children=Children(), environ=os.environ, folder=folder)


@pytest.mark.parametrize("minor", VERSIONS)
def test_each_version_has_its_syntax(minor: int, tmp_path: Path) -> None:
    found = faults(EVERY, Target(f"python3.{minor}", "x86_64"), tmp_path / "work")
    later = {name for name, (since, _) in SINCE.items() if since > minor}
    assert set(found) == {*later, *NEVER}
    for name in later:
        assert found[name].version == f"3.{SINCE[name][0]}"
        assert found[name].line in {1, 2, 3}
        assert found[name].text in SINCE[name][1]
    assert {found[name].version for name in NEVER} == {""}


def interpreter(minor: int) -> str | None:
    """A Python of this version that runs, wherever it is on this machine."""
    for command in (
        f"python3.{minor}",
        *sorted(map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))),
    ):
        path = shutil.which(command)
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


ASK = """
import json, sys
texts = json.load(sys.stdin)
refused = []
for name, text in texts.items():
    try:
        compile(text, name, "exec", dont_inherit=True)
    except SyntaxError:
        refused.append(name)
print(json.dumps(refused))
"""


@pytest.mark.parametrize("minor", VERSIONS)
def test_the_interpreters_agree(minor: int, tmp_path: Path) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"there is no Python 3.{minor} here")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", ASK],
        input=json.dumps(EVERY),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = faults(EVERY, Target(f"python3.{minor}", "x86_64"), tmp_path / "work")
    assert set(found) == set(json.loads(done.stdout))


def test_every_runtime_is_a_version_that_ruff_knows(tmp_path: Path) -> None:
    for runtime in RUNTIMES:
        assert faults({"x.py": "x = 1"}, Target(runtime, "x86_64"), tmp_path / runtime) == {}


def test_more_files_than_one_command_takes(tmp_path: Path) -> None:
    texts = {f"{number}.py": "x = 1\n" for number in range(1100)} | {"last.py": "x = ("}
    assert list(faults(texts, Target("python3.13", "arm64"), tmp_path / "work")) == ["last.py"]


def test_comments_silence_nothing(tmp_path: Path) -> None:
    texts = {"a.py": "# ruff: noqa\nx = (  # noqa\n", "b.py": "# flake8: noqa\nreturn 1  # noqa\n"}
    assert set(faults(texts, Target("python3.13", "arm64"), tmp_path / "work")) == {"a.py", "b.py"}


def test_settings_of_the_user_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "ruff.toml").write_text('exclude = ["*.py"]\ntarget-version = "py313"\n')
    (tmp_path / "work").mkdir()
    environ = {**os.environ, "RUFF_NO_CACHE": "no", "RUFF_OUTPUT_FORMAT": "text"}
    found = check(
        {"a.py": "match x:\n    case 1: pass\n"},
        Target("python3.9", "arm64"),
        children=Children(),
        environ=environ,
        folder=tmp_path / "work",
    )
    assert found["a.py"].version == "3.10"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x = 1\n", "x = 1\n"),
        (b"\xef\xbb\xbfx = '\xc3\xa9'", "x = 'é'"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'", "# -*- coding: latin-1 -*-\nx = 'é'"),
        (b"", ""),
    ],
)
def test_encodings(content: bytes, text: str) -> None:
    assert decode(content) == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = '\xe9'\n", "encoding"),
        (b"# coding: nonsense\n", "nonsense"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = 1\n\n\ny = '\xe9'\n", "not valid utf-8: byte 13"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "utf-8"),
    ],
)
def test_encodings_that_no_python_reads(content: bytes, said: str) -> None:
    with pytest.raises(SyntaxError, match=said):
        decode(content)
