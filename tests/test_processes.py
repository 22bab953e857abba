"""Work in other processes: what comes of it is the same, and they end with the run."""

from __future__ import annotations

import io
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from operator import truediv
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from processes import all_gone

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.process import Children, Stopped
from lambda_bundle.processes import Processes, cpus
from lambda_bundle.source import Source, Unread, read_all
from lambda_bundle.spool import take_in
from lambda_bundle.targets import Target
from lambda_bundle.worker import main

Call = Callable[..., Any]


@pytest.fixture
def processes(children: Children, tmp_path: Path) -> Iterator[Processes]:
    with closing(Processes(children, os.environ, tmp_path, 2, worth=0)) as made:
        yield made


def call(processes: Processes, function: Call, *arguments: Any) -> Any:
    """What comes of a call in one of the threads."""
    return processes.threads.submit(processes.call, function, *arguments).result(60)


def test_each_thread_has_a_process(processes: Processes) -> None:
    assert processes.map(abs, range(-100, 0)) == list(range(100, 0, -1))
    pids = {call(processes, os.getpid) for _ in range(20)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    processes.close()
    assert all_gone(sorted(pids))


def test_a_little_is_done_here(children: Children, tmp_path: Path) -> None:
    with closing(Processes(children, os.environ, tmp_path, 1)) as processes:
        assert {call(processes, os.getpid) for _ in range(5)} == {os.getpid()}
        with pytest.raises(ZeroDivisionError):
            call(processes, truediv, 1, 0)
        began = time.monotonic()
        while call(processes, os.getpid) == os.getpid():
            call(processes, sum, range(1_000_000))
            assert time.monotonic() - began < 60, "it is never enough"


def test_who_has_given_least_comes_first(children: Children, tmp_path: Path) -> None:
    """And whatever is raised on the way, nothing is forgotten."""
    begun: list[int] = []
    gate = Event()

    def work(number: int) -> float:
        begun.append(number)
        assert gate.wait(60)
        return 1 / number

    with (
        closing(Processes(children, os.environ, tmp_path, 1, worth=1000)) as processes,
        ThreadPoolExecutor(3) as asking,
    ):
        most = asking.submit(processes.map, work, [1, 2, 0, 4])
        while not begun:
            time.sleep(0.001)
        asked = [asking.submit(processes.map, work, given) for given in ([-1, -2], [])]
        while processes.threads._work_queue.qsize() < 5:  # type: ignore[attr-defined]
            time.sleep(0.001)
        gate.set()
        assert [one.result(60) for one in asked] == [[-1, -0.5], []]
        with pytest.raises(ZeroDivisionError):
            most.result(60)
    assert begun == [1, -1, -2, 2, 0, 4]


def test_without_a_python_to_start_it_is_done_here(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that Python is built into need not have one."""
    monkeypatch.setattr(sys, "executable", "")
    assert call(processes, os.getpid) == os.getpid()


def test_they_import_from_where_we_do(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the standard library comes first, and nothing from where they run."""
    (tmp_path / "here ü").mkdir()
    (tmp_path / "here ü" / "told.py").write_text("def name(): return __file__\n", encoding="utf-8")
    for folder in ("here ü", "."):
        (tmp_path / folder / "pickle.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("here ü")
    import told  # type: ignore[import-not-found] # noqa: PLC0415 - it was written just now

    try:
        assert call(processes, told.name) == str(tmp_path / "here ü" / "told.py")
        assert call(processes, os.getpid) != os.getpid()
    finally:
        del sys.modules["told"]


def test_what_is_raised_there_is_raised_here(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(processes, take_in, [(str(tmp_path / "absent"), False)], None)
    assert caught.value.filename == str(tmp_path / "absent")
    (tmp_path / "present").write_bytes(b"x" * 999)
    wanted = [(str(tmp_path / "present"), False)]
    assert call(processes, take_in, wanted, None) == take_in(wanted, None)


def test_modules_are_read_there_as_here(processes: Processes) -> None:
    target, texts = Target("python3.13", "arm64"), ["import os\n", "def (\n", "x = '\ud800'\n", "é = 1\n"]
    here = read_all(texts, target, (3, 11))
    there = call(processes, read_all, texts, target, (3, 11))
    assert [type(one) for one in there] == [Source, Unread, Unread, Source]
    for mine, theirs in zip(here, there, strict=True):
        if isinstance(mine, Source):
            assert mine == theirs
        else:
            assert isinstance(theirs, Unread)
            assert (str(theirs), theirs.line) == (str(mine), mine.line)


@pytest.mark.skipif(os.name == "nt", reason="a signal of POSIX")
def test_a_process_that_is_killed_is_an_error(processes: Processes) -> None:
    with pytest.raises(BundleError) as caught:
        call(processes, signal.raise_signal, signal.SIGKILL)
    (problem,) = caught.value.problems
    assert problem.code is Code.COMMAND_FAILED
    assert problem.message == "a process that compresses and reads files was ended by signal 9"
    assert problem.hint is not None
    assert "--jobs 1" in problem.hint


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_that_ends_is_an_error(processes: Processes, code: int) -> None:
    for _ in range(3):
        with pytest.raises(BundleError, match=f"exit code {code}"):
            call(processes, os._exit, code)
        assert processes.map(abs, range(-9, 0)) == list(range(9, 0, -1)), "others go on"


def test_what_is_no_answer_is_an_error(processes: Processes) -> None:
    assert call(processes, print, "not for us") is None
    with pytest.raises(BundleError):
        call(processes, os.write, 1, b"neither is this\n")


def test_stopping_the_run_stops_them(processes: Processes, children: Children) -> None:
    pid = call(processes, os.getpid)
    Timer(0.2, children.stop).start()
    with pytest.raises(Stopped):
        call(processes, time.sleep, 1000)
    assert all_gone([pid])
    with pytest.raises(Stopped):
        processes.map(abs, range(4))


def test_a_worker_answers_until_nobody_asks() -> None:
    asked, answers = io.BytesIO(), io.BytesIO()
    for question in ((abs, (-3,)), (truediv, (1, 0)), (abs, (-4,))):
        pickle.dump(question, asked)
    asked.seek(0)
    main(asked, answers)
    answers.seek(0)
    found = [pickle.load(answers) for _ in range(3)]  # noqa: S301 - written just now
    assert found[0] == (True, 3)
    assert (found[1][0], type(found[1][1])) == (False, ZeroDivisionError)
    assert found[2] == (True, 4)
    assert answers.read() == b""


def test_cpus() -> None:
    assert 1 <= cpus() <= (os.cpu_count() or 1)
