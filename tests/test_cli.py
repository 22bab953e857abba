"""The commands as a user runs them: `invoke …` beside a tasks.py, and `lambda-bundle …`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit
from projects import HANDLER, TASKS, Project, functions

from lambda_bundle.edge import edge
from lambda_bundle.errors import BundleError, Code, Problem

ROOT = Path(__file__).resolve().parents[1]
LAYER = '[layers.common]\nentry = "src"\n'
FAILING = (
    '[functions.broken]\nentry = "src"\nhandler = "main.handler"\nhooks.before = ["echo so", "exit 7"]\n'
)


@pytest.fixture
def project(tmp_path: Path, environ: Mapping[str, str]) -> Project:
    """Functions api and worker and a layer, in a folder whose name makes trouble."""
    root = tmp_path / "Größe & [b]mehr 日本"
    root.mkdir()
    made = Project(root.resolve(), environ)
    made.write(
        {
            "bundles.toml": functions("api", "worker", extra=LAYER),
            "tasks.py": TASKS,
            "src/main.py": HANDLER,
            "elsewhere/deep/.keep": "",
        }
    )
    return made


def artifacts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# --- bundle


def test_bundle_all(project: Project) -> None:
    ran = project.invoke("bundle", "--all")
    assert ran.code == 0, ran.err
    assert artifacts(project.root / "dist") == ["api.zip", "common.zip", "manifest.json", "worker.zip"]
    header, *rows = ran.out.splitlines()
    assert header.split() == ["name", "runtime", "arch", "size", "unzipped", "wheels", "time", "path"]
    assert [row.split()[1] for row in rows] == ["api", "worker", "common"]
    assert rows[0].split()[0] == "✓"
    assert rows[0].endswith(str(Path("dist", "api.zip")))
    *progress, blank, last = ran.err.splitlines()
    assert [line[:5] for line in progress] == ["[1/3]", "[2/3]", "[3/3]"]
    assert {line.split()[2] for line in progress} == {"api", "worker", "common"}
    assert (blank, last) == ("", "3 of 3 built in dist")
    with zipfile.ZipFile(project.root / "dist" / "common.zip") as archive:
        assert archive.namelist() == ["python/main.py"]


def test_only_is_repeatable_and_takes_patterns(project: Project) -> None:
    ran = project.script("bundle", "--only", "work*", "--only", "api", "--jobs", "1")
    assert ran.code == 0, ran.err
    assert artifacts(project.root / "dist") == ["api.zip", "manifest.json", "worker.zip"]
    assert [row.split()[1] for row in ran.out.splitlines()[1:]] == ["api", "worker"]


def test_without_a_selection_the_names_are_told(project: Project) -> None:
    ran = project.here("bundle")
    assert (ran.code, ran.out) == (2, "")
    assert "error[PythonLocalBundlingNothingSelected]: nothing is selected\n" in ran.err
    assert "   |\n   | api\n   | worker\n   | common\n" in ran.err
    assert "hint: give --all, or --only NAME" in ran.err
    assert artifacts(project.root / "dist") == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--only", "aip"], ['"aip" matches no function and no layer', 'did you mean "api"?']),
        (["--all", "--only", "api"], ["--all and --only contradict each other"]),
        (["--all", "--jobs", "0"], ['"0" is not a number of jobs', "--> --jobs", "from 1 upwards"]),
        (["--all", "--jobs", "two"], ['"two" is not a number of jobs']),
        (["--all", "--jobs", "9" * 5000], ["is not a number of jobs"]),
        (["--all", "--format", "tar"], ['"tar" is not a format', "--> --format", 'give "zip" or "dir"']),
        (["--all", "--output", "."], ["cannot be the output folder", "--> --output"]),
    ],
)
def test_usage(project: Project, args: list[str], words: list[str]) -> None:
    ran = project.here("bundle", *args)
    assert (ran.code, ran.out) == (2, "")
    for word in words:
        assert word in ran.err
    assert artifacts(project.root / "dist") == []


def test_format_and_output(project: Project) -> None:
    ran = project.here(
        "bundle", "--only", "api", "--format", "dir", "--output", "../out", cwd="elsewhere/deep"
    )
    assert ran.code == 0, ran.err
    assert (project.root / "elsewhere" / "out" / "api" / "main.py").read_text() == HANDLER
    assert ran.out.splitlines()[1].endswith(str(project.root / "elsewhere" / "out" / "api"))
    assert artifacts(project.root / "dist") == []


def test_json_is_alone_on_stdout(project: Project) -> None:
    ran = project.invoke("bundle", "--all", "--json")
    assert ran.code == 0, ran.err
    results = ran.data["results"]
    assert [(one["name"], one["status"], one["problems"]) for one in results] == [
        ("api", "built", []),
        ("worker", "built", []),
        ("common", "built", []),
    ]
    assert results[0]["path"] == str(project.root / "dist" / "api.zip")
    manifest = json.loads((project.root / "dist" / "manifest.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["artifact"] for one in results} == manifest["artifacts"]
    assert "[3/3] built" in ran.err


def test_a_failing_function_does_not_stop_the_others(project: Project) -> None:
    project.write({"bundles.toml": functions("api", "worker", extra=FAILING)})
    (project.root / "dist").mkdir()
    (project.root / "dist" / "broken.zip").touch()
    ran = project.script("bundle", "--all", "--json")
    assert ran.code == 1
    assert [one["status"] for one in ran.data["results"]] == ["built", "built", "failed"]
    failed = ran.data["results"][2]
    assert (failed["path"], failed["artifact"]) == (None, None)
    (problem,) = failed["problems"]
    assert problem["code"] == "PythonLocalBundlingCommandFailed"
    assert (problem["name"], problem["stage"]) == ("broken", "before hooks")
    assert problem["detail"].splitlines()[-1] == "so"
    assert "  --> broken, before hooks\n   |\n   | $ " in ran.err
    assert "   | so\n\nhint: " in ran.err
    assert artifacts(project.root / "dist") == ["api.zip", "manifest.json", "worker.zip"]


def test_fail_fast_stops_at_the_first(project: Project) -> None:
    slow = '[[overrides]]\nselect = ["api", "worker"]\nhooks.before = ["sleep 60"]\n'
    project.write({"bundles.toml": FAILING + functions("api", "worker", extra=slow)})
    ran = project.here("bundle", "--all", "--fail-fast", "--jobs", "1")
    assert ran.code == 1
    assert [row.split()[:2] for row in ran.out.splitlines()[1:]] == [
        ["✗", "broken"],
        ["•", "api"],
        ["•", "worker"],
    ]
    assert ran.err.endswith("0 of 3 built in dist, 1 failed\n")
    assert not {"api.zip", "worker.zip"} & set(artifacts(project.root / "dist"))


def test_errors_are_told_in_json_too(project: Project) -> None:
    project.write({"bundles.toml": functions("api").replace("python3.13", "python3.99")})
    ran = project.here("bundle", "--all", "--json")
    assert ran.code == 2
    (problem,) = ran.data["problems"]
    assert problem["code"] == "PythonLocalBundlingUnsupportedRuntime"
    assert (problem["file"], problem["line"], problem["key"]) == ("bundles.toml", 2, "defaults.runtime")
    assert problem["hint"].startswith("known runtimes are python3.7")
    assert "error[PythonLocalBundlingUnsupportedRuntime]: no Lambda runtime is called python3.99" in ran.err


def test_warnings_do_not_fail(project: Project) -> None:
    text = functions("api", extra='[[overrides]]\nselect = ["aip"]\n').replace("python3.13", "python3.8")
    project.write({"bundles.toml": text})
    ran = project.here("bundle", "--all", "--json")
    assert ran.code == 0
    assert [one["severity"] for one in ran.data["results"][0]["problems"]] == ["warning"]
    assert "warning[PythonLocalBundlingDeprecatedRuntime]: AWS deprecated python3.8 on 2024-10-14" in ran.err
    assert "warning[PythonLocalBundlingOverrideUnused]" in ran.err


@pytest.mark.parametrize("way", ["--output", "dist"])
def test_a_file_where_the_output_folder_should_be(project: Project, way: str) -> None:
    project.write({"dist": "mine"})
    args = ["--output", "dist/deeper"] if way == "--output" else []
    ran = project.here("bundle", "--all", *args)
    assert (ran.code, ran.out) == (2, "")
    assert "error[PythonLocalBundlingOutputUnwritable]: cannot be a folder" in ran.err
    assert "--output" in ran.err
    assert (project.root / "dist").read_text() == "mine"


def test_an_unreadable_manifest(project: Project) -> None:
    project.write({"dist/manifest.json": "{"})
    ran = project.here("bundle", "--all")
    assert ran.code == 2
    assert "error[PythonLocalBundlingManifestUnreadable]" in ran.err
    assert "`lambda-bundle clean`" in ran.err  # which was called so
    assert project.here("clean").code == 0
    assert project.here("bundle", "--all").code == 0


# --- where bundles.toml is


def test_from_a_folder_below(project: Project) -> None:
    ran = project.invoke("bundle", "--only", "api", cwd="elsewhere/deep")
    assert ran.code == 0, ran.err
    assert artifacts(project.root / "dist") == ["api.zip", "manifest.json"]
    assert ran.out.splitlines()[1].endswith(str(project.root / "dist" / "api.zip"))


def test_another_file(project: Project) -> None:
    project.write({"elsewhere/other.toml": functions("other"), "elsewhere/src/main.py": HANDLER})
    ran = project.here("bundle", "--all", "--file", "../other.toml", cwd="elsewhere/deep")
    assert ran.code == 0, ran.err
    assert artifacts(project.root / "elsewhere" / "dist") == ["manifest.json", "other.zip"]


def test_no_file(project: Project) -> None:
    (project.root / "bundles.toml").unlink()
    ran = project.here("validate", cwd="elsewhere")
    assert (ran.code, ran.out) == (2, "")
    assert f"there is no bundles.toml in {project.root / 'elsewhere'} or any folder above it" in ran.err
    ran = project.here("plan", "--file", "nothing.toml", "--json")
    assert ran.code == 2
    assert [one["code"] for one in ran.data["problems"]] == ["PythonLocalBundlingConfigMissing"]


# --- validate, plan, clean


def test_validate(project: Project) -> None:
    ran = project.here("validate")
    assert (ran.code, ran.out, ran.err) == (0, "", "bundles.toml is valid: 2 functions, 1 layer\n")
    project.write({"bundles.toml": functions("api")})
    assert project.here("validate").err == "bundles.toml is valid: 1 function, 0 layers\n"


def test_validate_tells_everything_at_once(project: Project) -> None:
    project.write({"bundles.toml": '[functions.api]\nentry = "scr"\nruntime = 3\nfoo = 1\n'})
    ran = project.here("validate")
    assert (ran.code, ran.out) == (2, "")
    assert [line.strip() for line in ran.err.splitlines() if "-->" in line] == [
        "--> bundles.toml:1: functions.api.handler",
        "--> bundles.toml:1: functions.api.arch",
        "--> bundles.toml:2: functions.api.entry",
        "--> bundles.toml:3: functions.api.runtime",
        "--> bundles.toml:4: functions.api.foo",
    ]


def test_plan_builds_nothing(project: Project) -> None:
    project.write({"src/requirements.txt": "idna==3.20\n", "layer/x.py": ""})
    text = functions("api") + (
        '[layers.common]\nentry = "layer"\nruntime = "python3.11"\narch = "x86_64"\nbackend = "pip"\n'
        'tags = ["manylinux2014_x86_64"]\nformat = "dir"\n'
    )
    project.write({"bundles.toml": text})
    ran = project.here("plan")
    assert ran.code == 0, ran.err
    header, api, common = ran.out.splitlines()
    assert header.split() == [
        *("name", "kind", "runtime", "arch", "backend", "format", "requirements", "tags", "why")
    ]
    assert api.split()[:7] == ["api", "function", "python3.13", "arm64", "uv", "zip", "src/requirements.txt"]
    assert " manylinux_2_34_aarch64 and " in api
    assert common.split()[:7] == ["common", "layer", "python3.11", "x86_64", "pip", "dir", "none"]
    assert artifacts(project.root) == ["bundles.toml", "elsewhere", "layer", "src", "tasks.py"]


def test_plan_as_json(project: Project) -> None:
    ran = project.here("plan", "--only", "a*", "--only", "common", "--json")
    assert ran.code == 0, ran.err
    api, common = ran.data["plan"]
    assert api == {
        "name": "api",
        "kind": "function",
        "entry": "src",
        "handler": "main.handler",
        "runtime": "python3.13",
        "runtimes": ["python3.13"],
        "arch": "arm64",
        "layers": [],
        "tags": api["tags"],
        "backend": "uv",
        "format": "zip",
        "requirements": None,
        "before": [],
        "after": [],
        "reasons": ["it was not built before"],
    }
    assert api["tags"][0] == "manylinux_2_34_aarch64"
    assert (common["name"], common["kind"], common["handler"]) == ("common", "layer", None)
    assert artifacts(project.root / "dist") == []


def test_plan_shows_everything_with_all_or_nothing_given(project: Project) -> None:
    assert project.here("plan", "--all", "--json").data == project.here("plan", "--json").data
    ran = project.here("plan", "--all", "--only", "api")
    assert (ran.code, ran.out) == (2, "")


def test_plan_shows_layers_and_every_runtime(project: Project) -> None:
    text = functions("api", extra='layers = ["common"]\n[layers.common]\nentry = "src"\n')
    project.write({"bundles.toml": f'{text}runtimes = ["python3.12", "python3.13"]\n'})
    ran = project.here("plan")
    assert ran.code == 0, ran.err
    header, api, common = (" ".join(line.split()) for line in ran.out.splitlines())
    assert "requirements layers tags" in header
    assert "none common manylinux" in api
    assert "layer python3.12, python3.13 arm64" in common
    rows = project.here("plan", "--json").data["plan"]
    assert [row["runtimes"] for row in rows] == [["python3.13"], ["python3.12", "python3.13"]]
    assert [row["layers"] for row in rows] == [["common"], []]


def test_plan_of_a_name_that_is_none(project: Project) -> None:
    ran = project.here("plan", "--only", "x")
    assert ran.code == 2
    assert "the names are api, worker, common" in ran.err


def test_last_line_where_something_failed(project: Project) -> None:
    """That the others are up to date is no good news then."""
    assert project.here("bundle", "--all").code == 0
    config = project.root / "bundles.toml"
    config.write_text(config.read_text() + '[functions.api.hooks]\nbefore = ["exit 1"]\n')
    ran = project.here("bundle", "--all")
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == "0 of 3 built, 2 up to date in dist, 1 failed"


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed in another way there")
def test_help_that_nobody_reads_to_its_end(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from lambda_bundle.cli import main; main()", "bundle", "--help"]
    try:
        done = subprocess.run(
            command, cwd=project.root, stdout=writing, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_clean(project: Project) -> None:
    assert project.here("bundle", "--all").code == 0
    (project.root / "dist" / "notes.txt").touch()
    ran = project.here("clean", cwd="elsewhere")
    assert (ran.code, ran.out, ran.err) == (0, "", f"removed 4 from {project.root / 'dist'}\n")
    assert artifacts(project.root / "dist") == ["notes.txt"]
    ran = project.here("clean", "--output", "dist")
    assert (ran.code, ran.err) == (0, f"nothing to remove in {project.root / 'dist'}\n")


def test_clean_knows_what_it_has_built_before(project: Project) -> None:
    """A function that is called otherwise now, or no longer declared: no manifest lists it any more."""
    assert project.here("bundle", "--all").code == 0
    config = project.root / "bundles.toml"
    config.write_text(config.read_text().replace("[functions.worker]", "[functions.other]"))
    assert project.here("bundle", "--all").code == 0
    assert "worker.zip" in artifacts(project.root / "dist")
    assert project.here("clean").code == 0
    assert not (project.root / "dist").exists()


def test_clean_leaves_what_has_changed_since(project: Project) -> None:
    assert project.here("bundle", "--all").code == 0
    config = project.root / "bundles.toml"
    config.write_text(config.read_text().replace("[functions.worker]", "[functions.other]"))
    assert project.here("bundle", "--all").code == 0
    (project.root / "dist" / "worker.zip").write_text("mine")
    assert project.here("clean").code == 0
    assert artifacts(project.root / "dist") == ["worker.zip"]


# --- the command line itself


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["bundel"], "no idea what 'bundel' is", 'did you mean "bundle"?'),
        (["bundle", "--al"], "no idea what '--al' is", 'did you mean "--all"?'),
        (["validate", "--all"], "no idea what '--all' is", "lambda-bundle --help shows"),
        (["validate", "api"], "no idea what 'api' is", "lambda-bundle --help shows"),
        (["bundle", "--prun"], "no idea what '--prun' is", "lambda-bundle --help shows"),
        (["--dry", "bundle", "--all"], "--dry means nothing here", "`lambda-bundle plan` shows"),
        (["bundle", "--output", "a", "--output", "b"], "no idea what 'b' is", "--output is there twice"),
        (["bundle", "--jobs"], "flag --jobs needed value", "lambda-bundle --help"),
        (["--list", "nothing"], "sub-collection 'nothing' not found", "lambda-bundle --help"),
        (["-T", "soon", "validate"], "not a number: 'soon'", "lambda-bundle --help"),
        (["-f", "x.txt", "validate"], "config files of type 'txt'", "lambda-bundle --help"),
    ],
)
def test_the_script_exits_with_2_for_what_it_cannot_parse(
    project: Project, args: list[str], message: str, hint: str
) -> None:
    ran = project.here(*args)
    assert (ran.code, ran.out) == (2, "")
    assert f"error[PythonLocalBundlingInvalidOption]: {message}" in ran.err
    assert f"hint: {hint}" in ran.err


def test_what_cannot_be_parsed_is_told_in_json_too(project: Project) -> None:
    ran = project.script("bundle", "--json", "--al")
    assert ran.code == 2
    assert [one["code"] for one in ran.data["problems"]] == ["PythonLocalBundlingInvalidOption"]


def test_invoke_keeps_its_own_way(project: Project) -> None:
    assert project.invoke("bundel").code == 1


def test_help(project: Project) -> None:
    ran = project.script("--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: lambda-bundle " in ran.out
    ran = project.script("bundle", "--help")
    assert ran.code == 0
    for option in ("all", "only", "jobs", "fail-fast", "output", "format", "json", "file"):
        assert f"--{option}" in ran.out
    assert project.script("--version").out.startswith("lambda-bundle ")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_encoding_will_do(project: Project, encoding: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "invoke", "bundle", "--only", "api", "--output", "größe"],
        cwd=project.root,
        env={**project.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"+  api" in ran.stdout
    assert ran.stdout.decode(encoding).rstrip().endswith("api.zip")


def test_a_reader_who_leaves_changes_nothing(project: Project) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", "plan", "--json"],
        cwd=project.root,
        env=dict(project.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes them")
@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_nobody_has_to_listen(project: Project, closed: str, code: int) -> None:
    command = f"{shlex.quote(sys.executable)} -m invoke plan {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=project.root,
        env=dict(project.environ),
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


# --- a tasks.py with tasks of its own, in the two ways that are documented

BESIDE = """
from invoke.collection import Collection
from invoke.tasks import task

import lambda_bundle.tasks


@task
def hello(c):
    print("hello")


ns = Collection.from_module(lambda_bundle.tasks)
ns.add_task(hello)
"""
BELOW = """
from invoke.collection import Collection
from invoke.tasks import task

from lambda_bundle.tasks import ns as bundling


@task
def hello(c):
    print("hello")


ns = Collection(hello)
ns.add_collection(bundling, name="lambda")
"""


@pytest.mark.parametrize(("text", "name"), [(BESIDE, "plan"), (BELOW, "lambda.plan")])
def test_own_tasks(project: Project, text: str, name: str) -> None:
    project.write({"tasks.py": text})
    ran = project.invoke("hello", name, "--only", "api")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("hello\nname ")


def test_the_chores_of_this_repository(environ: Mapping[str, str]) -> None:
    ran = Project(ROOT, environ).invoke("--list")
    assert ran.code == 0, ran.err
    names = [line.split()[0] for line in ran.out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert names == [
        "bundle",
        "cache",
        "check",
        "clean",
        "docs",
        "lock",
        "plan",
        "schema",
        "sizes",
        "smoke",
        "test",
        "validate",
        "verify",
    ]


# --- the edge


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", *(["SIGHUP"] if hasattr(signal, "SIGHUP") else [])])
def test_an_interruption_exits_with_130(capsys: pytest.CaptureFixture[str], name: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Exit) as caught, edge():
        signal.raise_signal(signal.Signals[name])
    assert caught.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "/x/y"), "No space left on device\n  --> /x/y\n"),
        (OSError("a word"), "the operating system says: a word\n\nhint"),
    ],
)
def test_what_the_system_refuses_is_a_problem(
    capsys: pytest.CaptureFixture[str], error: OSError, told: str
) -> None:
    with pytest.raises(Exit) as caught, edge(as_json=True):
        raise error
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert f"error[{Code.SYSTEM_ERROR}]" in captured.err
    assert told in captured.err
    assert [one["code"] for one in json.loads(captured.out)["problems"]] == [Code.SYSTEM_ERROR]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=repr)
def test_no_room_for_threads_is_a_problem(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    with pytest.raises(Exit) as caught, edge():
        raise error
    assert caught.value.code == 2
    assert "there is no room for another thread or process" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a mistake of ours"), edge():
        raise RuntimeError("a mistake of ours")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of POSIX")
def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with edge():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are always Unicode")
def test_a_checkout_that_is_not_unicode(project: Project) -> None:
    root = Path(os.fsdecode(os.fsencode(project.root) + b"\xff"))
    shutil.copytree(project.root, root)
    ran = Project(root, project.environ).invoke("bundle", "--all")
    assert ran.code == 0, ran.err
    assert (root / "dist" / "manifest.json").is_file()


def test_the_edge_works_in_any_thread(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []

    def run(problems: list[Problem]) -> None:
        try:
            with edge():
                if problems:
                    raise BundleError(*problems)
        except Exit as error:
            codes.append(error.code)

    for problems in ([], [Problem(code=Code.CONFLICT, message="no")]):
        thread = threading.Thread(target=run, args=[problems])
        thread.start()
        thread.join()
    assert codes == [2]
    assert "Conflict]: no" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_no_room_for_progress_and_help(project: Project) -> None:
    """Progress is no reason to stop; help that nobody sees is a failure, and no traceback."""
    program = str(Path(sys.executable).with_name("lambda-bundle"))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        common: dict[str, Any] = {"cwd": project.root, "env": dict(project.environ), "encoding": "utf-8"}
        done = subprocess.run(
            [program, "bundle", "--all", "--json"], stdout=subprocess.PIPE, stderr=full, check=False, **common
        )
        assert done.returncode == 0
        assert {one["status"] for one in json.loads(done.stdout)["results"]} == {"built"}
        done = subprocess.run([program, "--help"], stdout=full, stderr=subprocess.PIPE, check=False, **common)
    assert (done.returncode, done.stderr) == (2, "stdout cannot be written: No space left on device\n")


def test_bytecode_is_kept_while_our_modules_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # as Invoke does
    with edge():
        assert sys.dont_write_bytecode == bool(sys.flags.dont_write_bytecode)
    assert sys.dont_write_bytecode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("args", [["plan"], ["plan", "--json"]])
def test_no_room_for_the_output(project: Project, args: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *args],
            cwd=project.root,
            env=dict(project.environ),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error[PythonLocalBundlingSystemError]: the operating system says: No space"
    )
    assert "Traceback" not in done.stderr
