"""Many jobs at once: order, bounds, failures, and what is in the output folder afterwards."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from wheelhouse import Wheelhouse
from workshop import Workshop, content, modes, snapshot

from lambda_bundle import BundleError, Code, Job, Progress, Result, bundle, load, plan
from lambda_bundle.errors import Stage

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")

STAGES: list[Stage] = ["stage", "requirements", "install", "verify", "archive", "publish"]
ALL_STAGES: list[Stage] = [
    "stage",
    "before hooks",
    "requirements",
    "install",
    "after hooks",
    "verify",
    "archive",
    "publish",
]


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": "def handler(event, context): ...\n"})
    return made


class Heard(Progress):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, Stage]] = []
        self.ended: list[tuple[str, str]] = []

    def entered(self, job: Job, stage: Stage) -> None:
        self.stages.append((job.name, stage))

    def finished(self, result: Result) -> None:
        self.ended.append((result.job.name, result.status))

    def of(self, name: str) -> list[Stage]:
        return [stage for one, stage in self.stages if one == name]


# --- one job


def test_function_with_nothing_but_sources(workshop: Workshop) -> None:
    workshop.write({"src/pkg/data.json": "{}", "src/__pycache__/x.pyc": "", "src/run.sh": "#!/bin/sh\n"})
    (workshop.root / "src" / "run.sh").chmod(0o755)
    workshop.declare({"api": {}})
    before = snapshot(workshop.root)
    result = workshop.bundle()["api"]
    assert snapshot(workshop.root, without=["dist"]) == before
    assert result.status == "built"
    assert list(content(result.job.artifact)) == ["app.py", "pkg/data.json", "run.sh"]
    assert modes(result.job.artifact)["run.sh"] == 0o755
    assert result.artifact is not None
    assert result.artifact.wheels == ()
    assert 0 < result.seconds < 60
    assert workshop.left == ["api.zip", "manifest.json"]
    assert list(workshop.manifest) == ["api"]


@pytest.mark.parametrize("backend", ["uv", "pip"])
def test_dependencies(workshop: Workshop, wheelhouse: Wheelhouse, backend: str) -> None:
    wheelhouse.wheel("six", files={"six.py": "1\n"})
    workshop.write({"src/requirements.txt": "six\n"})
    workshop.declare({"api": {}}, defaults={"backend": backend})
    result = workshop.bundle()["api"]
    assert result.artifact is not None
    assert [(wheel.name, wheel.version) for wheel in result.artifact.wheels] == [("six", "1.0")]
    assert list(content(result.job.artifact)) == [
        *("six-1.0.dist-info/METADATA", "six-1.0.dist-info/RECORD", "six-1.0.dist-info/WHEEL", "six.py"),
        *("app.py", "requirements.txt"),
    ]


def test_layer(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("six", files={"six.py": "1\n"})
    workshop.write({"src/requirements.txt": "six\n"})
    hook = {"hooks.after": ["ls > seen.txt"]}
    workshop.declare({}, {"common": hook, "folder": {**hook, "format": "dir"}})
    made = workshop.build()
    assert {path.partition("/")[0] for path in made["common"]} == {"python"}
    assert {"python/app.py", "python/six.py", "python/six-1.0.dist-info/RECORD"} <= made["common"].keys()
    assert b"six.py\n" in made["common"]["python/seen.txt"]
    assert made["common"] == made["folder"]


def test_entry_is_the_whole_repository(workshop: Workshop) -> None:
    workshop.write({".git/config": "", ".venv/bin/x": "", "tasks.py": "", "requirements.txt": ""})
    workshop.declare(
        {
            "api": {"entry": ".", "exclude": ["/bundles.toml", "tasks.py"], "handler": "src.app.handler"},
            "other": {"entry": ".", "handler": "src.app.handler"},
        }
    )
    first = workshop.build()
    assert list(first["api"]) == ["requirements.txt", "src/app.py"]
    assert list(first["other"]) == ["bundles.toml", "requirements.txt", "src/app.py", "tasks.py"]
    assert workshop.build() == first


def test_requirements_that_are_left_out_of_the_bundle_count(
    workshop: Workshop, wheelhouse: Wheelhouse
) -> None:
    wheelhouse.wheel("six", files={"six.py": "1\n"})
    wheelhouse.wheel("idna", files={"idna.py": "1\n"})
    workshop.write({"src/requirements.txt": "six\n-r ../common.txt\n", "common.txt": "idna\n"})
    workshop.declare(
        {"api": {"exclude": ["*.txt"]}, "hooked": {"exclude": ["*.txt"], "hooks.before": ["true"]}}
    )
    made = workshop.build()
    assert made["api"] == made["hooked"]
    assert {"six.py", "idna.py"} < made["api"].keys()
    assert not any(path.endswith(".txt") for path in made["api"])


@pytest.mark.parametrize("hooks", [{}, {"hooks.before": ["true"]}, {"hooks.after": ["true"]}])
def test_collision(workshop: Workshop, wheelhouse: Wheelhouse, hooks: dict[str, list[str]]) -> None:
    wheelhouse.wheel("six", files={"six.py": "1\n", "same.py": "same\n", "pkg/x.py": "x\n"})
    workshop.write(
        {"src/requirements.txt": "six\n", "src/six.py": "2\n", "src/same.py": "same\n", "src/pkg": ""}
    )
    workshop.declare({"api": hooks})
    problems = workshop.fail()
    assert [(one.code, one.where.file) for one in problems] == [
        (Code.FILE_COLLISION, "pkg"),
        (Code.FILE_COLLISION, "six.py"),
    ]
    assert all("six 1.0" in one.message and "sources" in one.message for one in problems)
    assert {(one.where.name, one.where.stage) for one in problems} == {("api", "install")}


def test_problems_of_the_sources(workshop: Workshop) -> None:
    (workshop.root / "src" / "gone").symlink_to("nowhere")
    (workshop.root / "src" / "loop").symlink_to(".")
    workshop.declare({"api": {}})
    problems = workshop.fail()
    assert [one.code for one in problems] == [Code.BROKEN_LINK, Code.LINK_LOOP]
    assert {str(one.where) for one in problems} == {"api, stage: gone", "api, stage: loop"}
    workshop.declare({"api": {"exclude": ["gone", "loop"]}})
    assert list(workshop.build()["api"]) == ["app.py"]


def test_problem_of_the_requirements(workshop: Workshop) -> None:
    workshop.write({"src/requirements.txt": "six\n./no wheel\n"})
    workshop.declare({"api": {}})
    (problem,) = workshop.fail()
    assert (problem.where.stage, problem.where.line) == ("requirements", 2)
    assert problem.where.file == "src/requirements.txt"


def test_problem_of_the_installation(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.sdist("six")
    workshop.write({"src/requirements.txt": "six\n"})
    workshop.declare({"api": {}})
    (problem,) = workshop.fail()
    assert problem.code is Code.SOURCE_ONLY
    assert problem.where.stage == "install"


# --- what is in the output folder


def test_folder(workshop: Workshop) -> None:
    workshop.write({"src/sub/x.txt": "x"})
    workshop.declare({"api": {"format": "dir"}})
    before = os.umask(0o077)
    try:
        made = workshop.build()["api"]
    finally:
        os.umask(before)
    assert list(made) == ["app.py", "sub/x.txt"]
    assert modes(workshop.output / "api") == {".": 0o755, "app.py": 0o644, "sub": 0o755, "sub/x.txt": 0o644}
    assert workshop.left == ["api", "manifest.json"]


def test_change_of_format_removes_the_other(workshop: Workshop) -> None:
    for form, left in (("zip", "api.zip"), ("dir", "api"), ("zip", "api.zip"), ("dir", "api")):
        workshop.declare({"api": {"format": form}})
        workshop.build()
        assert workshop.left == [left, "manifest.json"]


def test_folder_that_is_not_ours_stays(workshop: Workshop) -> None:
    workshop.write({"dist/api/of/theirs.txt": "theirs"})
    workshop.declare({"api": {}})
    workshop.build()
    workshop.declare({"api": {"hooks.before": ["false"]}})
    workshop.fail()
    assert workshop.left == ["api", "manifest.json"]
    assert (workshop.output / "api" / "of" / "theirs.txt").read_text() == "theirs"


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_failed_job_leaves_nothing_to_deploy(workshop: Workshop, form: str) -> None:
    workshop.declare({"api": {"format": form}, "other": {}})
    workshop.build()
    workshop.declare({"api": {"format": form, "hooks.before": ["false"]}, "other": {}})
    results = workshop.bundle()
    assert {name: result.status for name, result in results.items()} == {"api": "failed", "other": "built"}
    assert results["api"].artifact is None
    assert workshop.left == ["manifest.json", "other.zip"]
    assert list(workshop.manifest) == ["other"]


def test_failed_job_leaves_nothing_in_the_other_format_either(workshop: Workshop) -> None:
    workshop.declare({"a": {"format": "dir"}, "b": {"format": "zip"}})
    workshop.build()
    workshop.declare(
        {"a": {"format": "zip", "hooks.before": ["false"]}, "b": {"format": "dir", "hooks.before": ["false"]}}
    )
    workshop.fail()
    assert workshop.left == ["manifest.json"]


def test_manifest_keeps_what_was_not_selected_and_drops_what_is_gone(workshop: Workshop) -> None:
    workshop.declare({"c": {}, "a": {}, "b": {}})
    workshop.build()
    rows = workshop.manifest
    assert list(rows) == ["c", "a", "b"]
    workshop.declare({"a": {}, "c": {}})
    workshop.build("c")
    assert list(workshop.manifest) == ["a", "c"]
    assert workshop.manifest == {name: rows[name] for name in ("a", "c")}


def test_manifest_that_cannot_be_read_is_told_before_the_work(workshop: Workshop) -> None:
    workshop.write({"dist/manifest.json": "not ours"})
    workshop.declare({"api": {"hooks.before": ["touch $LAMBDA_BUNDLE_ENTRY/../ran"]}})
    with pytest.raises(BundleError) as error:
        workshop.bundle()
    assert [one.code for one in error.value.problems] == [Code.MANIFEST_UNREADABLE]
    assert not (workshop.root / "ran").exists()
    assert workshop.left == ["manifest.json"]


def test_several_output_folders_in_one_run(workshop: Workshop, tmp_path: Path) -> None:
    workshop.declare({"a": {}, "b": {}})
    jobs = plan(load(workshop.root / "bundles.toml"))
    elsewhere = [replace(job, output=tmp_path / "other") for job in jobs]  # and the same names again
    results = bundle([*jobs, *elsewhere], environ=workshop.environ)
    assert [(result.job.output, result.job.name) for result in results] == [
        *(
            (workshop.output, "a"),
            (workshop.output, "b"),
            (tmp_path / "other", "a"),
            (tmp_path / "other", "b"),
        )
    ]
    for folder in (workshop.output, tmp_path / "other"):
        assert sorted(path.name for path in folder.iterdir()) == ["a.zip", "b.zip", "manifest.json"]
        assert list(json.loads((folder / "manifest.json").read_bytes())["artifacts"]) == ["a", "b"]


def test_nothing_to_do(workshop: Workshop) -> None:
    assert bundle([]) == ()
    assert not workshop.output.exists()


# --- many jobs


def test_results_in_the_order_of_the_file(workshop: Workshop) -> None:
    delays = {"slow": 0.6, "middle": 0.3, "fast": 0.0}
    workshop.declare({name: {"hooks.before": [f"sleep {delay}"]} for name, delay in delays.items()})
    heard = Heard()
    results = workshop.bundle(workers=3, progress=heard)
    assert list(results) == ["slow", "middle", "fast"]
    assert heard.ended == [("fast", "built"), ("middle", "built"), ("slow", "built")]
    assert list(workshop.manifest) == ["slow", "middle", "fast"]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_at_once_than_allowed(workshop: Workshop, wheelhouse: Wheelhouse, workers: int) -> None:
    wheelhouse.wheel("six")
    workshop.write({"src/requirements.txt": "six\n"})
    hook = 'echo start >> "$LOG"; sleep 0.15; echo end >> "$LOG"'
    workshop.declare({f"f{n}": {"hooks.before": [hook], "hooks.after": [hook]} for n in range(6)})
    log = workshop.root / "log"
    workshop.build(workers=workers, environ={"LOG": str(log)})
    running, most = 0, 0
    for line in log.read_text().split():
        running += 1 if line == "start" else -1
        most = max(most, running)
    assert running == 0
    assert most == workers


def test_failing_one_does_not_stop_the_others(workshop: Workshop) -> None:
    workshop.declare(
        {"a": {}, "bad": {"hooks.before": ["exit 3"]}, "worse": {"hooks.after": ["exit 4"]}, "b": {}}
    )
    results = workshop.bundle()
    assert [result.status for result in results.values()] == ["built", "failed", "failed", "built"]
    assert workshop.left == ["a.zip", "b.zip", "manifest.json"]


def test_fail_fast(workshop: Workshop) -> None:
    hooks = {
        "done": "true",
        "running": 'touch "$FLAG"; sleep 1000',
        "bad": 'while ! test -e "$FLAG"; do sleep 0.01; done; exit 3',
        "late": "true",
    }
    workshop.declare({name: {"hooks.before": [hook]} for name, hook in hooks.items()})
    heard = Heard()
    began = time.monotonic()
    flag = workshop.root / "flag"
    results = workshop.bundle(fail_fast=True, progress=heard, environ={"FLAG": str(flag)})
    assert time.monotonic() - began < 10
    assert {name: result.status for name, result in results.items()} == {
        "done": "built",
        "running": "cancelled",
        "bad": "failed",
        "late": results["late"].status,  # it may have begun when "bad" ended
    }
    assert results["late"].status in {"cancelled", "built"}
    assert results["running"].artifact is None
    assert results["running"].problems == ()
    assert [status for name, status in heard.ended if name == "bad"] == ["failed"]
    assert sorted(name for name, _ in heard.ended) == sorted(hooks)
    built = [f"{name}.zip" for name, result in results.items() if result.status == "built"]
    assert workshop.left == sorted([*built, "manifest.json"])


def test_fail_fast_begins_nothing_new(workshop: Workshop) -> None:
    workshop.declare({"bad": {"hooks.before": ["exit 3"]}, **{f"f{n}": {} for n in range(20)}})
    results = workshop.bundle(fail_fast=True, workers=1)
    assert results["bad"].status == "failed"
    assert {result.status for name, result in results.items() if name != "bad"} == {"cancelled"}


def test_cancelled_job_keeps_its_earlier_artifact(workshop: Workshop) -> None:
    functions = {"bad": {"hooks.before": ["true"]}, **{f"f{n}": {} for n in range(20)}}
    workshop.declare(functions)
    workshop.build()
    workshop.declare({**functions, "bad": {"hooks.before": ["exit 3"]}})
    results = workshop.bundle(fail_fast=True, workers=1)
    assert results["f19"].status == "cancelled"
    assert workshop.left == sorted([*(f"f{n}.zip" for n in range(20)), "manifest.json"])
    assert list(workshop.manifest) == [f"f{n}" for n in range(20)]


def test_progress(workshop: Workshop) -> None:
    workshop.declare(
        {
            "plain": {},
            "hooked": {"hooks.before": ["true"], "hooks.after": ["true"]},
            "bad": {"hooks.after": ["false"]},
        }
    )
    heard = Heard()
    workshop.bundle(progress=heard)
    assert heard.of("plain") == STAGES
    assert heard.of("hooked") == ALL_STAGES
    assert heard.of("bad") == ["stage", "requirements", "install", "after hooks"]
    assert sorted(heard.ended) == [("bad", "failed"), ("hooked", "built"), ("plain", "built")]


def test_progress_that_breaks_ends_everything(workshop: Workshop) -> None:
    class Broken(Progress):
        def finished(self, result: Result) -> None:
            raise ZeroDivisionError(result)

    workshop.declare({"a": {}, "b": {"hooks.before": ["sleep 1000"]}})
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        workshop.bundle(progress=Broken())
    assert time.monotonic() - began < 10
    assert workshop.left == ["a.zip", "manifest.json"]
    assert list(workshop.manifest) == ["a"]


def test_warnings_come_with_the_result(workshop: Workshop) -> None:
    workshop.declare(
        {"a": {"runtime": "python3.8"}, "b": {"runtime": "python3.8", "hooks.before": ["false"]}}
    )
    results = workshop.bundle()
    assert [one.code for one in results["a"].problems] == [Code.DEPRECATED_RUNTIME]
    assert [one.code for one in results["b"].problems] == [Code.DEPRECATED_RUNTIME, Code.COMMAND_FAILED]


def test_default_number_of_workers(workshop: Workshop) -> None:
    workshop.declare({"a": {}, "b": {}, "c": {}})
    assert list(workshop.build(workers=None)) == ["a", "b", "c"]


def test_works_outside_the_main_thread(workshop: Workshop) -> None:
    workshop.declare({"a": {}})
    built: list[str] = []
    thread = threading.Thread(target=lambda: built.extend(workshop.build()))
    thread.start()
    thread.join()
    assert built == ["a"]


# --- what the system refuses


@pytest.mark.parametrize("there", ["file", "dangling link"])
def test_output_that_is_no_folder(workshop: Workshop, there: str) -> None:
    workshop.write({"blocked": ""})
    if there == "dangling link":
        (workshop.root / "blocked").unlink()
        (workshop.root / "blocked").symlink_to("/proc/no/where")
    workshop.declare({"a": {}})
    with pytest.raises(BundleError) as error:
        workshop.bundle(output=workshop.root / "blocked" / "deeper")
    (problem,) = error.value.problems
    assert problem.code is Code.OUTPUT_UNWRITABLE
    assert not (workshop.root / "dist").exists()


CHILD = """
import resource, sys
from pathlib import Path
from lambda_bundle import bundle, load, plan
sys.dont_write_bytecode = True  # Python would keep half of it, and trip over that for ever after
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for result in bundle(plan(load(Path(sys.argv[1]))), workers=2):
    print(result.job.name, result.status)
    for problem in result.problems:
        print(problem.code, problem.where, problem.message, sep="|")
"""


@pytest.mark.parametrize(
    ("functions", "stage"),
    [
        ({"big": {}, "small": {"entry": "small"}}, "archive"),
        ({"big": {"format": "dir"}, "small": {"entry": "small"}}, "archive"),
        ({"big": {"hooks.before": ["true"]}, "small": {"entry": "small"}}, "before hooks"),
    ],
)
def test_no_room_for_an_artifact(
    workshop: Workshop, functions: dict[str, dict[str, object]], stage: str
) -> None:
    workshop.write({"src/noise": os.urandom(200_000), "small/app.py": "handler = print\n"})
    workshop.declare(functions)
    command = [sys.executable, "-c", CHILD, str(workshop.root / "bundles.toml")]
    done = subprocess.run(command, env=workshop.environ, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "big failed",
        f"{Code.OUTPUT_UNWRITABLE}|big, {stage}: {workshop.output}|cannot be written: File too large",
        "small built",
    ]
    assert workshop.left == ["manifest.json", "small.zip"]


class Meddler(Progress):
    """Does something to the sources when a job comes to a stage."""

    def __init__(self, stage: Stage, path: Path, content: bytes | None) -> None:
        self._stage, self._path, self._content = stage, path, content

    def entered(self, job: Job, stage: Stage) -> None:
        if (job.name, stage) == ("api", self._stage):
            if self._content is None:
                self._path.unlink()
            else:
                self._path.write_bytes(self._content)


@pytest.mark.parametrize("form", ["zip", "dir"])
@pytest.mark.parametrize(
    ("stage", "hooks"),
    [
        ("archive", {}),
        ("before hooks", {"hooks.before": ["true"]}),
        ("after hooks", {"hooks.after": ["true"]}),
    ],
)
def test_source_that_vanishes_meanwhile(
    workshop: Workshop, stage: Stage, hooks: dict[str, list[str]], form: str
) -> None:
    workshop.write({"src/x.txt": "x"})
    workshop.declare({"api": {**hooks, "format": form}})
    (problem,) = workshop.fail(progress=Meddler(stage, workshop.root / "src" / "x.txt", None))
    assert (problem.code, problem.where.file, problem.where.stage) == (Code.UNUSABLE_FILE, "src/x.txt", stage)
    assert "No such file" in problem.message
    assert workshop.left == ["manifest.json"]


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_source_that_changes_meanwhile(workshop: Workshop, form: str) -> None:
    workshop.write({"src/x.txt": "x"})
    workshop.declare({"api": {"format": form}})
    longer = b"longer " * 1000
    made = workshop.build(progress=Meddler("archive", workshop.root / "src" / "x.txt", longer))
    assert made["api"]["x.txt"] == longer  # whole, whatever it is


def test_output_folder_that_vanishes_meanwhile(workshop: Workshop) -> None:
    class Remover(Progress):
        def entered(self, job: Job, stage: Stage) -> None:
            if stage == "archive":
                shutil.rmtree(job.output)

    workshop.declare({"api": {}})
    (problem,) = workshop.fail(progress=Remover())
    assert (problem.code, problem.where.file) == (Code.OUTPUT_UNWRITABLE, str(workshop.output))
    assert problem.where.stage == "archive"


def test_temporary_folder_that_vanishes_meanwhile(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    class Remover(Progress):
        def entered(self, job: Job, stage: Stage) -> None:
            if (job.name, stage) == ("api", "install"):
                shutil.rmtree(temporary)
                temporary.mkdir()

    workshop.write({"src/requirements.txt": "six\n"})
    workshop.declare({"api": {}})
    (problem,) = workshop.fail(progress=Remover())
    assert problem.code is Code.OUTPUT_UNWRITABLE
    assert str(problem.where.file).startswith(str(temporary))


def test_hook_that_writes_on_while_we_clean_up(workshop: Workshop) -> None:
    daemon = "setsid timeout 3 sh -c 'while true; do mkdir -p d/$((n=n+1)); done' > /dev/null 2>&1 &"
    workshop.declare({"api": {"hooks.before": [f"{daemon} sleep 0.1"]}})
    workshop.bundle()
    assert {"manifest.json"} <= set(workshop.left)


def run_and_measure(workshop: Workshop, **environ: str) -> Sequence[str]:
    """What is left in the system's folder for temporary files."""
    folder = workshop.root / "tmp"
    folder.mkdir(exist_ok=True)
    code = (
        "import sys; from pathlib import Path; from lambda_bundle import bundle, load, plan; "
        "bundle(plan(load(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, str(workshop.root / "bundles.toml")]
    subprocess.run(command, env={**workshop.environ, "TMPDIR": str(folder), **environ}, check=True)
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format_", ["dir", "zip"])
@pytest.mark.parametrize("valid", [True, False])
def test_what_may_be_the_user_s_is_never_replaced(workshop: Workshop, format_: str, *, valid: bool) -> None:
    """In the place of an artifact, or of the one in the other format; whether a build fails or not."""
    place = {"dir": "api", "zip": "api.zip"}[format_]
    workshop.write({f"dist/{place}/mine": "mine", "src/app.py": "def handler(e, c): ...\n" if valid else "("})
    workshop.declare({"api": {"format": format_}})
    for _ in range(2):
        (problem,) = workshop.fail()
        assert problem.code is Code.OUTPUT_UNWRITABLE
        assert problem.where.file == str(workshop.output / place)
        assert problem.message.startswith("a folder stands where the artifact would")
    assert (workshop.output / place / "mine").read_text() == "mine"


def test_what_has_the_name_of_the_other_format_stays(workshop: Workshop) -> None:
    workshop.write({"dist/api.zip": "mine", "dist/other": "mine"})
    workshop.declare({"api": {"format": "dir"}, "other": {"format": "dir"}})
    results = workshop.bundle()
    assert {name: one.status for name, one in results.items()} == {"api": "built", "other": "failed"}
    (problem,) = results["other"].problems
    assert problem.message.startswith("a file stands where the artifact would")
    assert (workshop.output / "api.zip").read_text() == "mine"
    assert (workshop.output / "other").read_text() == "mine"


def test_folders_of_a_run_that_was_killed_are_replaced(workshop: Workshop) -> None:
    """It has left no manifest, but a record; and an empty folder is nothing to lose."""
    (workshop.output / "b").mkdir(parents=True)
    workshop.declare({name: {"format": "dir"} for name in "ab"})
    workshop.build()
    (workshop.output / "manifest.json").unlink()
    assert workshop.build()["a"].keys() == {"app.py"}
    (workshop.output / "manifest.json").unlink()
    (workshop.output / "a" / "mine").touch()
    results = workshop.bundle()
    assert {name: one.status for name, one in results.items()} == {"a": "failed", "b": "built"}
    assert (workshop.output / "a" / "mine").exists()


def test_folder_that_nobody_may_look_into(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It concerns the job whose place it is in, and no other."""
    (workshop.output / "a").mkdir(parents=True)
    (workshop.output / "a").chmod(0)
    if os.access(workshop.output / "a", os.R_OK):  # root may; everybody else is refused as here
        looked = Path.iterdir

        def iterdir(path: Path) -> Iterator[Path]:
            if path.name == "a":
                raise PermissionError(13, "Permission denied", str(path))
            return looked(path)

        monkeypatch.setattr(Path, "iterdir", iterdir)
    workshop.declare({name: {"format": "dir"} for name in "ab"})
    results = workshop.bundle()
    assert {name: one.status for name, one in results.items()} == {"a": "failed", "b": "built"}
    assert [problem.code for problem in results["a"].problems] == [Code.OUTPUT_UNWRITABLE]


def test_other_output_folder_inside_the_entry(workshop: Workshop) -> None:
    """Of an earlier run: what it holds are artifacts, and no sources; anybody else's manifest is one."""
    workshop.write({"src/data/manifest.json": '{"version": 1, "icons": []}'})
    workshop.write({"src/copy/manifest.json": '{"version": 1, "artifacts": {"a": {"path": "a.zip"}}}'})
    workshop.declare({"api": {}, "more": {"include": ["/build/api.zip"]}})
    workshop.bundle(output=workshop.root / "src" / "build")
    found = workshop.build()
    sources = {"app.py", "data/manifest.json", "copy/manifest.json"}
    assert found["api"].keys() == sources
    assert found["more"].keys() == sources | {"build/api.zip"}
    assert [one.status for one in workshop.bundle(force=False).values()] == ["fresh", "fresh"]


def test_zip_is_not_put_together_over_a_folder(workshop: Workshop) -> None:
    workshop.declare({"api": {}})
    workshop.build()
    (workshop.output / "api.zip").unlink()
    workshop.write({"dist/api.zip/mine": "mine"})
    result = workshop.bundle(force=False)["api"]
    assert result.status == "failed"
    assert (workshop.output / "api.zip" / "mine").exists()


def test_locks_that_others_have_left_stop_nobody(workshop: Workshop) -> None:
    """Each user has a folder for them; if that is another's, it is not used."""
    workshop.declare({"api": {}})
    folder = workshop.root / "tmp"
    folder.mkdir()
    locks = folder / f"lambda-bundle-locks-{os.getuid()}"
    locks.symlink_to(workshop.root)
    code = (
        "import sys; from pathlib import Path; from lambda_bundle import bundle, load, plan; "
        "bundle(plan(load(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, str(workshop.root / "bundles.toml")]
    environ = {**workshop.environ, "TMPDIR": str(folder)}
    subprocess.run(command, env=environ, check=True)
    assert locks.is_symlink()
    mine = locks.with_name(f"{locks.name}-1")
    assert mine.stat().st_mode & 0o777 == 0o700
    assert len([*mine.iterdir()]) == 1
    assert workshop.left == ["api.zip", "manifest.json"]


def test_nothing_is_left_in_temporary_folders(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("six")
    workshop.write({"src/requirements.txt": "six\n", "bad/requirements.txt": "nosuch\n", "bad/app.py": ""})
    workshop.declare({"a": {"hooks.before": ["true"]}, "b": {"backend": "pip"}, "c": {"entry": "bad"}})
    left = run_and_measure(workshop)
    assert [name for name in left if "lambda-bundle-locks" not in name] == []
    assert workshop.left == ["a.zip", "b.zip", "manifest.json"]


def test_folder_of_a_job_goes_with_the_job(workshop: Workshop) -> None:
    hook = "ls -A $LAMBDA_BUNDLE_ENTRY/../dist/.lambda-bundle-* | grep -v .lock > seen.txt"
    workshop.declare({f"f{n}": {"hooks.before": [hook]} for n in range(5)})
    made = workshop.build(workers=1)
    for name, files in made.items():
        assert [line.strip(".").partition("-")[0] for line in files["seen.txt"].decode().split()] == [name]


def test_large_files(workshop: Workshop) -> None:
    with (workshop.root / "src" / "large.so").open("wb") as file:
        file.truncate(210_000_000)
    workshop.declare({"api": {}})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = workshop.bundle()["api"]
    assert result.status == "built"
    assert result.artifact is not None
    assert result.artifact.archived.unzipped > 210_000_000
    assert result.artifact.archived.size < 1_000_000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB, on Linux
    assert sys.platform != "linux" or grown < 700_000
