"""Commands: how they run, how they end, and that what they print holds no credentials."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from processes import FAMILY, STUBBORN, all_gone, pids

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.process import GRACE, KEPT, Children, Completed, Stopped, held_back, mask

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these are POSIX shells and signals")

Run = Callable[..., Completed]
ENDLESS = 1000.0
"""Seconds: what runs this long was not ended by us."""


@pytest.fixture
def run(children: Children, tmp_path: Path) -> Run:
    """Run a command in an empty folder, with nothing but PATH in its environment."""

    def run_one(command: list[str] | str, **options: Any) -> Completed:
        options = {"timeout": 60.0, "cwd": tmp_path, "environ": {"PATH": os.environ["PATH"]}, **options}
        return children.run(command, **options)

    return run_one


def problem(error: pytest.ExceptionInfo[BundleError]) -> Problem:
    assert len(error.value.problems) == 1
    return error.value.problems[0]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# --- ordinary commands


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("echo out; echo err >&2; echo out", 0, "out\nerr\nout\n"),
        ("exit 3", 3, ""),
        ("cd / && X=1 && pwd && echo $X", 0, "/\n1\n"),
        ("kill -9 $$", -9, ""),
        ("cat", 0, ""),  # standard input is closed, so that what reads it ends
        ("printf 'caf\\303\\251 \\377'", 0, "café �"),
        ("printf 'a\\r\\nb'", 0, "a\nb"),
        ("echo one; echo two > /dev/stderr; echo three", 0, "one\ntwo\nthree\n"),
        ("echo one; echo two | tee /dev/stderr > /dev/null", 0, "one\ntwo\n"),
        (["printf", "%s|", "a b", "$HOME", "'", ""], 0, "a b|$HOME|'||"),
        (python("import sys; print(sys.stdin.read() == '')"), 0, "True\n"),
    ],
)
def test_ordinary_command(run: Run, command: list[str] | str, code: int, output: str) -> None:
    completed = run(command)
    assert (completed.code, completed.output) == (code, output)


def test_environment_and_folder_are_exactly_those_given(run: Run, tmp_path: Path) -> None:
    completed = run("pwd; env", environ={"PATH": os.environ["PATH"], "FRUIT": "drei äpfel"})
    folder, *variables = completed.output.splitlines()
    assert folder == str(tmp_path)
    assert {line.partition("=")[0] for line in variables} <= {"PATH", "FRUIT", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "FRUIT=drei äpfel" in variables


def test_is_shown_as_a_shell_would_take_it(run: Run) -> None:
    command = ["echo", "a b", "it's", "https://user:secret@host/"]
    shown = run(command).command
    assert shlex.split(shown) == ["echo", "a b", "it's", "https://****@host/"]
    assert run("true", shown="a word for it").command == "a word for it"


def test_huge_output_is_read_to_its_end_and_its_tail_is_kept(run: Run) -> None:
    lines = KEPT // 8 * 2
    completed = run(python(f"for n in range({lines}): print(f'{{n:07}}')"))
    kept = completed.output.splitlines()
    assert kept[-1] == f"{lines - 1:07}"
    assert len(completed.output) <= KEPT
    assert len(completed.output) > KEPT - 100
    assert all(len(line) == 7 for line in kept)


def test_cut_output_never_begins_inside_a_password(run: Run) -> None:
    code = f"print('https://user:' + 'secret' * {KEPT // 6} + '@host/'); print('the end')"
    assert run(python(code)).output == "the end\n"
    code = f"print('https://user:' + 'secret' * {KEPT // 6} + '@host/', end='')"
    assert run(python(code)).output == ""


@pytest.mark.parametrize(
    ("code", "message"),
    [(3, "a hook ended with exit code 3"), (-9, "a hook was ended by signal 9")],
)
def test_failure(code: int, message: str) -> None:
    completed = Completed(command="make", code=code, output="\nno rule\n\n")
    error = completed.failure("a hook", hint="write one").problems[0]
    assert error == Problem(
        code=Code.COMMAND_FAILED, message=message, detail="$ make\nno rule", hint="write one"
    )


# --- commands that cannot be started


def test_missing_command(run: Run) -> None:
    with pytest.raises(BundleError) as error:
        run(["no-such-command", "--token=x"])
    assert problem(error).code is Code.COMMAND_FAILED
    assert "No such file or directory" in problem(error).message
    assert "no-such-command" in problem(error).message
    assert "PATH" in (problem(error).hint or "")


def test_missing_command_of_the_shell(run: Run) -> None:
    completed = run("no-such-command")
    assert completed.code == 127
    assert "no-such-command" in completed.output


def test_command_that_is_not_executable(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    with pytest.raises(BundleError) as error:
        run([str(tmp_path / "plain")])
    assert problem(error).code is Code.COMMAND_FAILED
    assert "Permission denied" in problem(error).message


def test_folder_that_is_gone(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as error:
        run(["true"], cwd=tmp_path / "gone")
    assert problem(error).code is Code.COMMAND_FAILED
    assert str(tmp_path / "gone") in problem(error).message
    assert "PATH" not in (problem(error).hint or "")


@pytest.mark.parametrize(
    "options",
    [
        {"command": ["true", "a\0b"]},
        {"command": "echo a\0b"},
        {"command": ["true"], "environ": {"A": "b\0"}},
        {"command": ["true"], "environ": {"A=B": "c"}},
        {"command": ["true", "x" * 200_000]},
        {"command": ["true"], "environ": {"A": "x" * 3_000_000}},
    ],
    ids=[
        "null in argument",
        "null in script",
        "null in variable",
        "name with =",
        "long argument",
        "long variable",
    ],
)
def test_what_no_system_takes(run: Run, options: dict[str, Any]) -> None:
    with pytest.raises(BundleError) as error:
        run(**options)
    assert problem(error).code is Code.COMMAND_FAILED


def test_secrets_are_masked_in_what_could_not_be_started(run: Run) -> None:
    with pytest.raises(BundleError) as error:
        run(["no-such-command", "--password", "hunter2"], secrets=["hunter2"])
    assert "hunter2" not in str(error.value)
    assert "****" in str(error.value)


# --- commands that take too long, or leave something behind


def test_timeout_ends_the_whole_family(run: Run, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BundleError) as error:
        run(f"echo so far https://me:pw@host; {FAMILY}", timeout=1.0, shown="the script")
    assert time.monotonic() - began < 5
    assert problem(error).code is Code.COMMAND_TIMED_OUT
    assert "longer than 1 s" in problem(error).message
    assert problem(error).detail == "$ the script\nso far https://****@host"
    assert all_gone(pids(tmp_path / "pids", 3))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="sessions are found through /proc")
def test_timeout_reaches_other_process_groups_of_the_session(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        run("timeout 900 sh -c 'echo $$ >> pids; sleep 1000; true'", timeout=0.5)
    assert all_gone(pids(tmp_path / "pids", 1))


def test_any_timeout_that_toml_can_write(run: Run) -> None:
    assert run("true", timeout=float("inf")).code == 0
    assert run("true", timeout=1e300).code == 0


def test_leftover_in_the_background_neither_blocks_nor_survives(run: Run, tmp_path: Path) -> None:
    began = time.monotonic()
    completed = run("sleep 1000 & echo $! >> pids; echo done")
    assert time.monotonic() - began < 5
    assert (completed.code, completed.output) == (0, "done\n")
    assert all_gone(pids(tmp_path / "pids", 1))


def test_daemon_that_holds_the_output_does_not_block(run: Run) -> None:
    daemon = python("import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(1000)")
    began = time.monotonic()
    completed = run(f"{shlex.join(daemon)} & sleep 0.5; echo done")
    assert time.monotonic() - began < 10
    assert completed.code == 0
    number, said = completed.output.split()
    assert said == "done"
    os.kill(int(number), 9)  # a daemon on purpose is left alone


# --- stopping


def in_background(run: Run, command: list[str] | str) -> tuple[threading.Thread, list[object]]:
    """Run a command in a thread; what comes of it is put into the list."""
    outcome: list[object] = []

    def target() -> None:
        try:
            outcome.append(run(command, timeout=ENDLESS))
        except (BundleError, Stopped) as error:
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    return thread, outcome


def test_stop_ends_everything_and_nothing_starts_after_it(
    run: Run, children: Children, tmp_path: Path
) -> None:
    began = [in_background(run, FAMILY) for _ in range(3)]
    numbers = pids(tmp_path / "pids", 9)
    since = time.monotonic()
    children.stop()
    for thread, outcome in began:
        thread.join(10)
        assert [type(one) for one in outcome] == [Stopped]
    assert time.monotonic() - since < GRACE
    assert all_gone(numbers)
    assert children.stopped
    with pytest.raises(Stopped):
        children.check()
    with pytest.raises(Stopped):
        run("touch started")
    assert not (tmp_path / "started").exists()


def test_stop_asks_first(run: Run, children: Children, tmp_path: Path) -> None:
    thread, _ = in_background(
        run, "trap 'echo ended > trapped; exit' TERM; echo $$ >> pids; sleep 1000 & wait"
    )
    pids(tmp_path / "pids", 1)
    children.stop()
    thread.join(10)
    assert (tmp_path / "trapped").read_text() == "ended\n"


def test_stop_ends_what_does_not_listen_all_at_the_same_time(
    run: Run, children: Children, tmp_path: Path
) -> None:
    began = [in_background(run, STUBBORN) for _ in range(3)]
    numbers = pids(tmp_path / "pids", 3)
    since = time.monotonic()
    children.stop()
    for thread, _ in began:
        thread.join(10)
    assert GRACE - 0.1 < time.monotonic() - since < GRACE + 2
    assert all_gone(numbers)


def test_second_stop_ends_at_once(run: Run, children: Children, tmp_path: Path) -> None:
    thread, _ = in_background(run, STUBBORN)
    numbers = pids(tmp_path / "pids", 1)
    since = time.monotonic()
    children.stop()
    children.stop()
    thread.join(10)
    assert time.monotonic() - since < GRACE - 1
    assert all_gone(numbers)


def test_stop_before_anything_runs(run: Run, children: Children) -> None:
    children.stop()
    children.stop()
    with pytest.raises(Stopped):
        run("true")


# --- signals


def test_signals_are_held_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    came_within: list[int] = []

    def interrupted() -> None:
        with held_back() as came:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            came_within.extend(came)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert came_within == [signal.SIGINT, signal.SIGINT]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_first_of_the_signals_has_its_effect_in_the_end() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with held_back() as came:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert seen == []
            assert list(came) == [signal.SIGTERM, signal.SIGINT]
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_are_restored_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), held_back():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_the_business_of_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGINT)
    during: list[object] = []

    def look() -> None:
        with held_back():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert during == [before]


# --- masking

MASKED = [
    ("https://user:pw@host/simple", "https://****@host/simple"),
    ("https://ghp_token@github.com/o/r", "https://****@github.com/o/r"),
    ("https://:pw@host", "https://****@host"),
    ("https://user:@host", "https://****@host"),
    ("HTTPS://user:pw@host", "HTTPS://****@host"),
    ("htps://user:pw@host", "htps://****@host"),
    ("https:/user:pw@host", "https:/****@host"),
    ("https:///user:pw@host", "https:///****@host"),
    ("https//user:pw@host", "https//****@host"),
    ("//user:pw@host", "//****@host"),
    ("https:\\\\user:pw@host", "https:\\\\****@host"),
    ("http://DOMAIN\\user:pw@proxy:8080", "http://****@proxy:8080"),
    ("git+https://user:pw@host/r.git@v1.0#egg=x", "git+https://****@host/r.git@v1.0#egg=x"),
    ("ssh://git:pw@host/r", "ssh://****@host/r"),
    ("https://user:p@ss@host/x", "https://****@host/x"),
    ("https://user:pa/ss@host/x", "https://****@host/x"),
    ("https://user:p#a?s@host/x", "https://****@host/x"),
    ("https://user:12@host/x", "https://****@host/x"),
    ("socks5h://u:p@proxy:1080", "socks5h://****@proxy:1080"),
    (
        "x @ https://a:b@h/x.whl, y @ https://c:d@i/y.whl",
        "x @ https://****@h/x.whl, y @ https://****@i/y.whl",
    ),
    ("<https://a:b@h>", "<https://****@h>"),
    ('"https://a:b@h"', '"https://****@h"'),
    ("https://h/simple?token=abc&x=1", "https://h/simple?token=****&x=1"),
    ("https://h/?x=1&api_key=abc", "https://h/?x=1&api_key=****"),
    ("https://h/?X-Amz-Signature=abc&X-Amz-Expires=60", "https://h/?X-Amz-Signature=****&X-Amz-Expires=60"),
    ("https://h/?AWSAccessKeyId=abc", "https://h/?AWSAccessKeyId=****"),
    ("https://h/?sv=2024&sig=a%2Bb#frag", "https://h/?sv=2024&sig=****#frag"),
    ("https://h/?a=b&amp;password=abc", "https://h/?a=b&amp;password=****"),
    ("> Authorization: Bearer abc.def", "> Authorization: Bearer ****"),
    ("authorization:basic dXNlcjpwdw==", "authorization:basic ****"),
]

UNTOUCHED = [
    "mail me@example.com or <you@example.com>",
    "@scope/package@1.0 and scope@1.0",
    "requests @ https://host/requests-1.0.whl",
    "git@github.com:org/repo.git",
    "ssh://git@github.com/org/repo.git",
    "git+ssh://git@github.com/org/repo.git@v1",
    "git+https://github.com/org/repo.git@v1.0",
    "https://host:8080/a@b",
    "https://host:8080?mail=me@example.com",
    "https://host/@scope/package/-/package-1.0.tgz",
    "https://host/path:with@sign",
    "http://localhost:4873/@scope/x@1.0",
    "http://[::1]:8080/a@b",
    "image name:tag@sha256:abcdef",
    "https://example.com?mail=me@example.com",
    "file:///home/me@work/x",
    "file:///C:/Users/me@work/x",
    "C:\\Users\\me@work",
    "// comment @decorator //x@y",
    "12:30 user@host: a//b",
    "key=value token=abc (not in a URL)",
    "",
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize("text", UNTOUCHED)
def test_left_as_it_is(text: str) -> None:
    assert mask(text) == text


def test_given_secrets_are_masked_wherever_they_stand() -> None:
    assert mask("ab abc a", ["a.c", "abc", "", "ab"]) == "**** **** a"
    assert mask("two\nlines", ["two\nlines"]) == "****"


def test_output_is_masked(run: Run) -> None:
    completed = run("echo https://u:p@h hunter2; echo '?token=abc'", secrets=iter(["hunter2"]))
    assert completed.output == "https://****@h ****\n?token=****\n"
    assert "hunter2" not in completed.command
    assert "u:p" not in completed.command


SCHEMES = st.sampled_from(
    ["https://", "http://", "ftp://", "git+https://", "htps://", "https:/", "https:///"]
)
USERS = st.text("abcXYZ019._~-%+", max_size=8)
RAW = st.text(
    st.characters(min_codepoint=0x21, exclude_categories=["Z", "C"], exclude_characters='"<>'), max_size=20
)


def unambiguous(password: str) -> bool:
    """Not what reads as a port with something behind it, nor as a host behind an @."""
    return not re.match(r"\d*(?:[/\\?#]|$)", password) and not re.search(r"@[^@]*/", password)


@given(SCHEMES, USERS, st.text(min_size=1, max_size=20))
def test_no_escaped_password_survives(scheme: str, user: str, password: str) -> None:
    text = f"see {scheme}{user}:{quote(password, safe='')}@host.example/a/b for it"
    assert mask(text) == f"see {scheme}****@host.example/a/b for it"


@given(SCHEMES, USERS, RAW.filter(unambiguous))
@example("https://", "me", "a@b/c"[::-1])
def test_no_unescaped_password_survives(scheme: str, user: str, password: str) -> None:
    assert mask(f"{scheme}{user}:{password}@host.example/") == f"{scheme}****@host.example/"


@given(st.text(), st.lists(st.text(min_size=1, max_size=5)))
def test_no_given_secret_survives(text: str, secrets: list[str]) -> None:
    masked = mask("".join([text, *secrets]), secrets)
    assert all(secret not in masked or set(secret) <= {"*"} for secret in secrets if "*" not in secret)


@pytest.mark.parametrize("text", ["x", "a:/", "https://", "u:p@", "?a", "&token", "a.b-c:", "\\", "@", ":"])
def test_masking_takes_no_time_whatever_the_line(text: str) -> None:
    began = time.monotonic()
    mask(text * 100_000)
    assert time.monotonic() - began < 5


@given(st.text("aA1@:/?#&=. \n<>\"'\\-_+tokenhps", max_size=60))
def test_masking_is_done_after_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)
