"""Hooks: how they run, what they see, what becomes of what they do."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from wheelhouse import Wheelhouse
from workshop import Workshop, content, modes, snapshot

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.hooks import run, variables
from lambda_bundle.process import Children

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": "def handler(event, context): ...\n"})
    return made


def run_in(folder: Path, *commands: str, timeout: float = 60.0) -> None:
    run(commands, folder=folder, environ={"PATH": os.environ["PATH"]}, timeout=timeout, children=Children())


def failure(folder: Path, *commands: str, timeout: float = 60.0) -> tuple[Code, str, str]:
    with pytest.raises(BundleError) as error:
        run_in(folder, *commands, timeout=timeout)
    (problem,) = error.value.problems
    return problem.code, problem.message, problem.detail or ""


# --- one shell

SHELLS = [
    (["echo 1 > out"], "1\n"),
    (["mkdir sub", "cd sub", "pwd | sed 's|.*/||' > ../out"], "sub\n"),
    (["X=1", "export Y=2", "f() { echo f; }", "echo $X $Y `f` > out"], "1 2 f\n"),
    (["echo 1 > out # a comment", "echo 2 >> out"], "1\n2\n"),
    (["# a comment alone", "echo 1 > out", ""], "1\n"),
    (["false || echo 1 > out", "echo 2 >> out"], "1\n2\n"),
    (["cat > out <<END\na && b\nEND", "echo 2 >> out"], "a && b\n2\n"),
    (["(sleep 0.1; echo late) > out &", "wait", "echo 2 >> out"], "late\n2\n"),
    (["echo 1 > out", "exit 0", "echo 2 > out"], "1\n"),
    (["cat > out"], ""),
    (["if true; then", "echo 1 > out; fi"], None),
]


@pytest.mark.parametrize(("commands", "written"), SHELLS, ids=[" && ".join(row[0]) for row in SHELLS])
def test_one_shell(tmp_path: Path, commands: list[str], written: str | None) -> None:
    if written is None:
        assert failure(tmp_path, *commands)[0] is Code.COMMAND_FAILED
    else:
        run_in(tmp_path, *commands)
        assert (tmp_path / "out").read_text() == written


STOPS = [
    ["false", "touch out"],
    ["exit 1", "touch out"],
    ["false # not here", "touch out"],
    ["true; false", "touch out"],
    ["no-such-command", "touch out"],
    ["true && false", "touch out"],
]


@pytest.mark.parametrize("commands", STOPS, ids=[" && ".join(row) for row in STOPS])
def test_failing_one_stops_the_rest(tmp_path: Path, commands: list[str]) -> None:
    assert failure(tmp_path, *commands)[0] is Code.COMMAND_FAILED
    assert list(tmp_path.iterdir()) == []


def test_failure_shows_what_was_said(tmp_path: Path) -> None:
    code, message, detail = failure(
        tmp_path, "echo first", "echo https://me:pw@host >&2; exit 7", "echo never"
    )
    assert (code, message) == (Code.COMMAND_FAILED, "a hook ended with exit code 7")
    command, *output = detail.splitlines()
    assert command == "$ echo first && echo https://****@host >&2; exit 7 && echo never"
    assert output == ["first", "https://****@host"]


def test_failure_shows_no_secrets(workshop: Workshop) -> None:
    """Of what hooks print, whatever is named like a secret is masked."""
    environ = {
        "UV_INDEX_X_PASSWORD": "p4ssw0rd",
        "GITHUB_TOKEN": "ghp_0123",
        "PLAIN": "visible",
        "MY_TOKEN": "no",
    }
    workshop.declare(
        {"api": {"hooks.before": ["echo $UV_INDEX_X_PASSWORD $GITHUB_TOKEN $PLAIN $MY_TOKEN; exit 4"]}}
    )
    (problem,) = workshop.fail(environ=environ)
    assert problem.detail is not None
    said = problem.detail.splitlines()[-1]
    assert said.split()[2:] == ["visible", "no"]
    assert "p4ssw0rd" not in problem.detail
    assert "ghp_0123" not in problem.detail


def test_timeout(tmp_path: Path) -> None:
    code, message, detail = failure(tmp_path, "echo so far", "sleep 1000", timeout=0.3)
    assert code is Code.COMMAND_TIMED_OUT
    assert "0.3 s" in message
    assert detail.endswith("so far")


def test_variables() -> None:
    assert variables(name="api", entry="/repo/src", runtime="python3.13", arch="arm64") == {
        "LAMBDA_BUNDLE_FUNCTION": "api",
        "LAMBDA_BUNDLE_ENTRY": "/repo/src",
        "LAMBDA_BUNDLE_RUNTIME": "python3.13",
        "LAMBDA_BUNDLE_ARCH": "arm64",
    }


# --- in a bundle


def test_environment(workshop: Workshop) -> None:
    hook = "env | grep -E '^(LAMBDA_BUNDLE_|GREETING|OUTER|BOTH)' | sort > env.txt"
    function = {
        "hooks.before": [hook],
        "env.GREETING": "hé llo",
        "env.BOTH": "ours",
        "env.LAMBDA_BUNDLE_ARCH": "x",
    }
    workshop.declare({"api": {**function, "runtime": "python3.12"}, "plain": {"hooks.before": [hook]}})
    made = workshop.build(environ={"OUTER": "outer", "BOTH": "theirs"})
    assert made["api"]["env.txt"].decode().splitlines() == [
        "BOTH=ours",
        "GREETING=hé llo",
        "LAMBDA_BUNDLE_ARCH=arm64",
        f"LAMBDA_BUNDLE_CACHE={workshop.environ['LAMBDA_BUNDLE_CACHE']}",
        f"LAMBDA_BUNDLE_ENTRY={workshop.root / 'src'}",
        "LAMBDA_BUNDLE_FUNCTION=api",
        "LAMBDA_BUNDLE_RUNTIME=python3.12",
        "OUTER=outer",
    ]
    plain = made["plain"]["env.txt"].decode().splitlines()
    assert "BOTH=theirs" in plain
    assert "LAMBDA_BUNDLE_RUNTIME=python3.13" in plain
    assert not any(line.startswith("GREETING") for line in plain)


def test_hooks_work_in_a_copy(workshop: Workshop) -> None:
    workshop.write(
        {"src/data/x.txt": "x", "src/drop.md": "d", "src/.env": "secret", "src/requirements.txt": ""}
    )
    (workshop.root / "src" / "link").symlink_to("data")
    hooks = [
        "find . -type l > links.txt; find . -name '*.md' -o -name .env > out.txt",
        "echo handler = 1 > app.py; rm -r data; chmod -R 700 .; touch requirements.txt",
        "mkdir deep; mv link deep",
    ]
    workshop.declare(
        {"api": {"hooks.before": hooks, "hooks.after": ["echo more = 2 >> app.py"], "exclude": ["*.md"]}}
    )
    before = snapshot(workshop.root)
    made = workshop.build()["api"]
    assert snapshot(workshop.root, without=["dist"]) == before
    assert made == {
        "app.py": b"handler = 1\nmore = 2\n",
        "deep/link/x.txt": b"x",
        "links.txt": b"",
        "out.txt": b"",
        "requirements.txt": b"",
    }


def test_failure_in_a_bundle(workshop: Workshop) -> None:
    hook = "echo to stdout; echo to stderr >&2; exit 5"
    workshop.declare({"api": {"hooks.before": [hook]}, "late": {"hooks.after": ["kill -TERM $$"]}})
    early, late = workshop.fail()
    assert (early.code, early.message) == (Code.COMMAND_FAILED, "a hook ended with exit code 5")
    assert (early.where.name, early.where.stage) == ("api", "before hooks")
    assert early.detail == f"$ {hook}\nto stdout\nto stderr"
    assert (late.code, late.message) == (Code.COMMAND_FAILED, "a hook was ended by signal 15")
    assert (late.where.name, late.where.stage) == ("late", "after hooks")
    assert workshop.left == ["manifest.json"]


def test_timeout_in_a_bundle(workshop: Workshop) -> None:
    workshop.declare({"api": {"hooks.before": ["sleep 1000"], "timeout": 0.3}})
    (problem,) = workshop.fail()
    assert problem.code is Code.COMMAND_TIMED_OUT
    assert (problem.where.name, problem.where.stage) == ("api", "before hooks")


def test_what_hooks_leave(workshop: Workshop) -> None:
    hooks = [
        "mkdir -p __pycache__ pkg/__pycache__ tool/bin empty; touch __pycache__/a.pyc pkg/__pycache__/b.pyc",
        r"printf '\363\r\r\n' > pkg/c.pyc",  # as Python 3.13 begins them
        "touch tool/pyvenv.cfg tool/bin/python .hidden; ln -s app.py linked.py; ln -s pkg linked",
        "touch run && chmod +x run",
    ]
    workshop.declare({"api": {"hooks.before": hooks}, "late": {"hooks.after": hooks}})
    made = workshop.build()
    assert list(made["api"]) == [".hidden", "app.py", "linked.py", "linked/c.pyc", "pkg/c.pyc", "run"]
    assert made["api"] == made["late"]
    assert made["api"]["linked.py"] == made["api"]["app.py"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_hooks_must_not_leave(workshop: Workshop, when: str) -> None:
    workshop.declare({"api": {f"hooks.{when}": ["ln -s nowhere gone; ln -s . loop; mkfifo pipe"]}})
    problems = workshop.fail()
    assert [(one.code, one.where.file) for one in problems] == [
        (Code.BROKEN_LINK, "gone"),
        (Code.LINK_LOOP, "loop"),
        (Code.UNUSABLE_FILE, "pipe"),
    ]
    assert {str(one.where.stage) for one in problems} == {f"{when} hooks"}
    assert all("hook" in (one.hint or "") for one in problems)


def test_before_hook_writes_the_requirements(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("six")
    workshop.declare({"api": {"hooks.before": ["echo six > requirements.txt"]}})
    assert "six/__init__.py" in workshop.build()["api"]


@pytest.mark.parametrize(
    ("exclude", "hook", "installed"),
    [
        ([], "true", ["six"]),
        ([], "rm requirements.txt", []),
        ([], "echo idna > requirements.txt", ["idna"]),
        ([], "echo idna >> requirements.txt", ["idna", "six"]),
        (["requirements.txt"], "true", ["six"]),
        (["requirements.txt"], "test ! -e requirements.txt && echo idna > requirements.txt", ["idna"]),
    ],
)
def test_requirements_after_hooks(
    workshop: Workshop, wheelhouse: Wheelhouse, exclude: list[str], hook: str, installed: list[str]
) -> None:
    wheelhouse.wheel("six")
    wheelhouse.wheel("idna")
    workshop.write({"src/requirements.txt": "six\n"})
    workshop.declare({"api": {"exclude": exclude, "hooks.before": [hook]}})
    made = workshop.build()["api"]
    assert [name for name in ("idna", "six") if f"{name}/__init__.py" in made] == installed


def test_nested_requirements_outside_the_entry(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    for name in ("six", "idna", "certifi"):
        wheelhouse.wheel(name)
    workshop.write(
        {
            "common/base.txt": "six\n-r more.txt\n",
            "common/more.txt": "idna\n",
            "src/requirements.txt": "-r ../common/base.txt\n-r own/extra.txt\n-r generated.txt\n",
            "src/own/extra.txt": "",
        }
    )
    workshop.declare({"api": {"hooks.before": ["echo certifi > generated.txt"]}})
    made = workshop.build()["api"]
    assert {"six/__init__.py", "idna/__init__.py", "certifi/__init__.py", "generated.txt"} <= made.keys()
    assert not any("base.txt" in path for path in made)


def record(made: dict[str, bytes], info: str) -> dict[str, tuple[str, str]]:
    rows = csv.reader(io.StringIO(made[f"{info}/RECORD"].decode()))
    return {path: (digest, size) for path, digest, size in rows}


def digest(data: bytes) -> str:
    return f"sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()}"


def test_after_hooks_change_dependencies_and_nothing_else(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    files = {
        "big/__init__.py": "big = 1\n",
        "big/data/a.json": "{}",
        "big/data/b.json": "{}",
        "big/run.sh": "#!/bin/sh",
    }
    wheelhouse.wheel("big", files=files, executable=["big/run.sh"])
    wheelhouse.wheel("other")
    workshop.write({"src/requirements.txt": "big\nother\n"})
    hooks = [
        "rm -r big/data",
        "echo 'big = 2' > big/__init__.py",  # in place: the file itself may be that of uv's cache
        "chmod 600 big/run.sh && touch -d 2001-01-01 big/run.sh",
        "echo new > big/new.txt",
        "rm -r other-1.0.dist-info",
    ]
    workshop.declare({"plain": {}, "api": {"hooks.after": hooks}})
    plain = workshop.build("plain")["plain"]
    made = workshop.build()["api"]
    assert made["big/__init__.py"] == b"big = 2\n"
    assert plain.keys() - made.keys() == {
        *("big/data/a.json", "big/data/b.json", "other-1.0.dist-info/METADATA"),
        *("other-1.0.dist-info/RECORD", "other-1.0.dist-info/WHEEL"),
    }
    listed = record(made, "big-1.0.dist-info")
    assert listed.keys() == {path for path in made if path.startswith("big")} - {"big/new.txt"}
    for path, (hashed, size) in listed.items():
        if not path.endswith("RECORD"):
            assert (hashed, size) == (digest(made[path]), str(len(made[path])))
    # Neither what other functions get nor what the next run gets is what the hook made of it.
    assert content(workshop.output / "plain.zip") == plain
    assert workshop.build("plain")["plain"] == plain
    workshop.declare({"api": {}})
    assert workshop.build()["api"] == plain
    assert modes(workshop.output / "api.zip")["big/run.sh"] == 0o755


def test_hook_links_never_lead_out_of_the_copy(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("ns", files={"ns/one.py": "1\n", "ns/two.py": "2\n"})
    workshop.write({"shared/one.py": "1\n", "shared/mine.py": "mine\n", "src/requirements.txt": "ns\n"})
    hooks = {
        "hooks.before": ["ln -s $LAMBDA_BUNDLE_ENTRY/../shared ns"],
        "hooks.after": ["echo changed > ns/mine.py", "rm ns/one.py"],
    }
    workshop.declare({"api": hooks})
    before = snapshot(workshop.root)
    made = workshop.build()["api"]
    assert snapshot(workshop.root, without=["dist"]) == before
    assert made["ns/mine.py"] == b"changed\n"
    assert made["ns/two.py"] == b"2\n"
    assert "ns/one.py" not in made


def test_before_and_after_hooks_share_their_folder(workshop: Workshop) -> None:
    hooks = {
        "hooks.before": [
            "mkdir -p empty tool/bin __pycache__ && touch tool/pyvenv.cfg tool/bin/x __pycache__/x"
        ],
        "hooks.after": ["test -d empty && test -e tool/bin/x && test -e __pycache__/x && touch seen"],
    }
    workshop.declare({"api": hooks})
    assert list(workshop.build()["api"]) == ["app.py", "seen"]
