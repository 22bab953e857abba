"""Ctrl-C, and SIGTERM from a CI system: everything ends at once, and nothing half-done stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import FAMILY, STUBBORN, all_gone, pids
from wheelhouse import Wheelhouse
from workshop import Workshop, content

from lambda_bundle import Job, Progress
from lambda_bundle.errors import Stage
from lambda_bundle.process import GRACE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")

INTERRUPTED = 130
PATIENCE = 100.0
"""Seconds: what the hooks wait for takes 1,000, and a busy machine takes its time."""
HANDLER = "def handler(event, context): ...\n"


@dataclass
class Running:
    """`invoke bundle --all` in a repository, started as from a terminal."""

    workshop: Workshop
    process: subprocess.Popen[str]
    temporary: Path

    def interrupt(self, *numbers: int, apart: float = 0.0) -> tuple[float, str]:
        """Send signals; how long it took from the first of them to the end, and what was said on stderr."""
        began = time.monotonic()
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(apart)
        _, said = self.process.communicate(timeout=30)
        return time.monotonic() - began, said

    @property
    def left(self) -> list[str]:
        """What is left in the folder for temporary files; locks stay, so that no two can have one."""
        return sorted(path.name for path in self.temporary.iterdir() if "-locks" not in path.name)


Start = Callable[..., Running]


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": HANDLER, "tasks.py": "from lambda_bundle.tasks import ns\n"})
    return made


@pytest.fixture
def start(workshop: Workshop, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(*options: str, environ: Mapping[str, str] | None = None) -> Running:
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", "bundle", "--all", "--jobs", "4", *options],
            cwd=workshop.root,
            env={
                **workshop.environ,
                "PIDS": str(tmp_path / "pids"),
                "TMPDIR": str(temporary),
                **(environ or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        started.append(process)
        return Running(workshop, process, temporary)

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


FAMILY_HOOK = FAMILY.replace("pids", '"$PIDS"')
STUBBORN_HOOK = STUBBORN.replace("pids", '"$PIDS"')


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_ends(start: Start, workshop: Workshop, tmp_path: Path, number: int) -> None:
    workshop.declare({"earlier": {}, "after": {"format": "dir"}})
    workshop.build()
    workshop.declare(
        {
            "earlier": {},
            "done": {},
            "before": {"hooks.before": [FAMILY_HOOK]},
            "after": {"hooks.after": [FAMILY_HOOK], "format": "dir"},
        }
    )
    workshop.write({"dist/after/from.txt": "an earlier run"})
    running = start()
    numbers = pids(tmp_path / "pids", 6)
    wait_for(workshop.output / "done.zip")
    took, said = running.interrupt(number)
    assert running.process.returncode == INTERRUPTED
    assert took < PATIENCE
    assert all_gone(numbers)
    assert "Traceback" not in said
    assert "interrupted" in said
    assert workshop.left == ["after", "done.zip", "earlier.zip", "manifest.json"]
    assert list(workshop.manifest) == ["earlier", "done", "after"]
    assert content(workshop.output / "done.zip") == {"app.py": HANDLER.encode()}
    assert running.left == []


def test_what_does_not_listen_ends_too(start: Start, workshop: Workshop, tmp_path: Path) -> None:
    workshop.declare({f"f{n}": {"hooks.before": [STUBBORN_HOOK]} for n in range(3)})
    running = start()
    numbers = pids(tmp_path / "pids", 3)
    took, said = running.interrupt(signal.SIGINT)
    assert running.process.returncode == INTERRUPTED
    assert GRACE - 0.5 < took < PATIENCE
    assert all_gone(numbers)
    assert "Traceback" not in said
    assert workshop.left == ["manifest.json"]
    assert running.left == []


@pytest.mark.parametrize(
    ("numbers", "apart"),
    [
        ([signal.SIGINT, signal.SIGINT], 0.5),
        ([signal.SIGINT, signal.SIGTERM], 0.1),
        ([signal.SIGINT] * 10, 0.0),
        ([signal.SIGINT] * 40, 0.01),
    ],
    ids=["impatient", "two kinds", "burst", "hammering"],
)
def test_again_while_it_is_stopping(
    start: Start, workshop: Workshop, tmp_path: Path, numbers: list[int], apart: float
) -> None:
    functions = {"stubborn": {"hooks.before": [STUBBORN_HOOK]}, "family": {"hooks.before": [FAMILY_HOOK]}}
    workshop.declare({"done": {}, **functions})
    running = start()
    children = pids(tmp_path / "pids", 4)
    wait_for(workshop.output / "done.zip")
    took, said = running.interrupt(*numbers, apart=apart)
    assert took < PATIENCE
    assert all_gone(children)
    assert workshop.left == ["done.zip", "manifest.json"]
    assert running.left == []
    if apart != 0.01:  # the interpreter itself can be hit on its way out
        assert running.process.returncode == INTERRUPTED
        assert "Traceback" not in said


def test_backend_that_waits_for_an_index(start: Start, workshop: Workshop) -> None:
    workshop.write({"src/requirements.txt": "six\n"})
    workshop.declare({"uv": {}, "pip": {"backend": "pip"}})
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and never answers
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        running = start(environ={"UV_DEFAULT_INDEX": url, "PIP_NO_INDEX": "0", "PIP_INDEX_URL": url})
        connections = [server.accept() for _ in range(2)]
        took, said = running.interrupt(signal.SIGINT)
        for connection, _ in connections:
            connection.close()
    assert running.process.returncode == INTERRUPTED
    assert took < PATIENCE
    assert "Traceback" not in said
    assert workshop.left == ["manifest.json"]
    assert running.left == []


def test_what_is_at_hand_does_not_wait_for_an_index(
    start: Start, workshop: Workshop, wheelhouse: Wheelhouse
) -> None:
    """However many wait for one that never answers."""
    wheelhouse.wheel("known")
    workshop.write({"known/app.py": HANDLER, "known/requirements.txt": "known==1.0\n"})
    waiting = [f"f{number}" for number in range(20)]
    workshop.write({f"{name}/app.py": HANDLER for name in waiting})
    workshop.write({f"{name}/requirements.txt": f"six=={name[1:]}\n" for name in waiting})
    with socket.create_server(("127.0.0.1", 0)) as server:
        env = {"env.UV_DEFAULT_INDEX": f"http://127.0.0.1:{server.getsockname()[1]}/simple"}
        asking = {name: {"entry": name, **env} for name in waiting}
        workshop.declare({**asking, "known": {"entry": "known"}, "plain": {}})
        workshop.bundle("known", "plain")
        for name in ("known", "plain"):
            (workshop.output / f"{name}.zip").unlink()
        running = start("--force")
        connections = [server.accept()[0] for _ in range(4)]
        for name in ("known", "plain"):
            wait_for(workshop.output / f"{name}.zip")
        running.interrupt(signal.SIGINT)
        for connection in connections:
            connection.close()
    assert running.process.returncode == INTERRUPTED
    assert workshop.left == ["known.zip", "manifest.json", "plain.zip"]


def test_json_is_all_or_nothing(start: Start, workshop: Workshop, tmp_path: Path) -> None:
    workshop.declare({"a": {"hooks.before": [FAMILY_HOOK]}})
    running = start("--json")
    pids(tmp_path / "pids", 3)
    running.process.send_signal(signal.SIGINT)
    out, _ = running.process.communicate(timeout=30)
    assert running.process.returncode == INTERRUPTED
    assert out == ""


# --- through the API


class Pressing(Progress):
    """Presses Ctrl-C when a job comes to a stage."""

    def __init__(self, name: str, number: int = signal.SIGINT) -> None:
        self._name, self._number = name, number

    def entered(self, job: Job, stage: Stage) -> None:
        if (job.name, stage) == (self._name, "before hooks"):
            os.kill(os.getpid(), self._number)


def test_api_raises_when_all_is_cleaned_up(workshop: Workshop) -> None:
    workshop.declare(
        {"done": {}, "a": {"hooks.before": ["sleep 1000"]}, "b": {"hooks.before": ["sleep 1000"]}}
    )
    with pytest.raises(KeyboardInterrupt):
        workshop.bundle(progress=Pressing("b"))
    assert workshop.left == ["done.zip", "manifest.json"]
    assert list(workshop.manifest) == ["done"]


def test_api_leaves_the_effect_to_a_handler_of_the_program(workshop: Workshop) -> None:
    workshop.declare({"a": {"hooks.before": ["sleep 1000"]}, "b": {}})
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        results = workshop.bundle(workers=1, progress=Pressing("a", signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
    assert [result.status for result in results.values()] == ["cancelled", "cancelled"]
