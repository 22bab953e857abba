from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from results import built, ended, job, wheel

from lambda_bundle import report
from lambda_bundle.console import Cell, Printer, problem_document
from lambda_bundle.errors import Code, Problem, Where

TESTS = Path(__file__).parent
PLACE = Where(file="bundles.toml", line=3, key="functions.api.runtime")


def problem(message: str = "it is broken", **values: Any) -> Problem:
    return Problem(**{"code": Code.NO_WHEEL, "message": message, **values})


# --- problems, off a terminal


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (problem(), ["error[PythonLocalBundlingNoWheel]: it is broken"]),
        (
            problem(where=PLACE, hint="mend it", severity="warning"),
            [
                "warning[PythonLocalBundlingNoWheel]: it is broken",
                "  --> bundles.toml:3: functions.api.runtime",
                "",
                "hint: mend it",
            ],
        ),
        (
            problem(
                where=Where(name="api", stage="install"), detail="$ uv\n\n  ^^^ [bold]here[/]\n", hint="h"
            ),
            [
                "error[PythonLocalBundlingNoWheel]: it is broken",
                "  --> api, install",
                "   |",
                "   | $ uv",
                "   |",
                "   |   ^^^ [bold]here[/]",
                "",
                "hint: h",
            ],
        ),
        (
            problem("[functions.api] " + "long " * 60 + "end", where=Where(file="/a/" * 60)),
            [
                f"error[PythonLocalBundlingNoWheel]: [functions.api] {'long ' * 60}end",
                f"  --> {'/a/' * 60}",
            ],
        ),
        (
            problem("\x1b[31mred\x07\x9b", detail="\x1b[31mred\x1b[0m \x1b[2Jgone\ttab"),
            [
                "error[PythonLocalBundlingNoWheel]: \\x1b[31mred\\x07\\x9b",
                "   |",
                "   | red gone        tab",
            ],
        ),
        (
            problem("p", where=Where(file="a\nb\u2028c.py")),
            ["error[PythonLocalBundlingNoWheel]: p", "  --> a\\nb\\u2028c.py"],
        ),
    ],
)
def test_a_problem(capsys: pytest.CaptureFixture[str], given: Problem, lines: list[str]) -> None:
    Printer().problems([given])
    captured = capsys.readouterr()
    assert captured.err.split("\n") == [*lines, "", ""]
    assert captured.out == ""


def test_warnings_come_first_and_each_block_ends_with_one_blank_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = [problem("one"), problem("two", severity="warning", hint="h"), problem("three")]
    Printer().problems(told)
    text = capsys.readouterr().err
    assert re.findall(r": (one|two|three)\n", text) == ["two", "one", "three"]
    assert text.count("\n\n") == 4
    assert "\n\n\n" not in text


@pytest.mark.parametrize(("severity", "told"), [("error", 11), ("warning", 8)])
def test_the_same_in_several_places_is_told_once(
    capsys: pytest.CaptureFixture[str], severity: str, told: int
) -> None:
    lines = [*range(1, 12), 1]
    Printer().problems(problem(where=Where(file="a.toml", line=line), severity=severity) for line in lines)
    text = capsys.readouterr().err
    places = [f"a.toml:{line}" for line in range(1, told + 1)]
    assert re.findall(r"  --> (.*)\n", text) == places + (["and 3 more"] if told == 8 else [])
    assert text.count(f"{severity}[") == 1


def test_long_output_is_cut_at_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().problems([problem(detail="\n".join(str(number) for number in range(100)))])
    lines = re.findall(r"   \| (.*)\n", capsys.readouterr().err)
    assert lines == ["(40 lines before)", *(str(number) for number in range(40, 100))]


def test_a_problem_as_json() -> None:
    given = problem(where=Where(file="a", line=1, column=2, key="k", name="n", stage="install"), hint="h")
    assert problem_document(given) == {
        "severity": "error",
        "code": "PythonLocalBundlingNoWheel",
        "message": "it is broken",
        "file": "a",
        "line": 1,
        "column": 2,
        "key": "k",
        "name": "n",
        "stage": "install",
        "hint": "h",
        "detail": None,
    }


# --- tables and notes, off a terminal


def test_a_table_has_no_trailing_blanks_and_no_limit(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[Cell]] = [
        [("a", ""), ("1", "red"), ("x" * 300, "")],
        [("日本", ""), ("22", ""), ("", "")],
    ]
    Printer().table(("name", "no", "path"), rows, right=("no",), spare=("no",))
    assert capsys.readouterr().out.split("\n") == [
        "name  no  path",
        f"a      1  {'x' * 300}",
        "日本  22",
        "",
    ]


def test_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer()
    printer.note(("[functions.api] ", "bold red"), (":smile:", ""))
    printer.note()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "[functions.api] :smile:\n\n")
    assert not printer.is_live


def test_any_stream_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.StringIO() for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    Printer().note(("✓", ""))
    assert streams["stderr"].getvalue() == "✓\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().json({"path": "käse/\udcff"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"path": "käse/\udcff"}


# --- what is told of a run


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "dist"


def test_the_closing_table(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = built(job(output, "large"), wheel(), wheel(), size=52_000_000, unzipped=300_000_000, took=61)
    other = job(output / "other", "worker", format="dir")
    told = [built(job(output)), large, ended(other, "failed"), ended(job(output, "late"), "cancelled")]
    report.results(Printer(), told)
    captured = capsys.readouterr()
    assert captured.out.split("\n") == [
        "   name    runtime     arch        size  unzipped  wheels       time  path",
        "✓  api     python3.13  arm64     1.2 kB    3.4 kB       0      1.5 s  dist/api.zip",
        "✓  large   python3.13  arm64    52.0 MB  300.0 MB       2  1 min 1 s  dist/large.zip",
        "✗  worker  python3.13  arm64     failed                        0.2 s",
        "•  late    python3.13  arm64  cancelled                        0.2 s",
        "",
    ]
    assert captured.err == f"2 of 4 built in dist, dist{os.sep}other, 1 failed\n"


def test_the_document(output: Path) -> None:
    told = [built(job(output), wheel()), ended(job(output, "b"), "failed", problem())]
    document = report.document(told)
    assert json.loads(json.dumps(document)) == document
    first, second = document["results"]
    assert (first["name"], first["status"], first["seconds"]) == ("api", "built", 1.5)
    assert first["path"] == str(output / "api.zip")
    assert first["artifact"]["size"] == 1200
    assert first["problems"] == []
    assert (second["status"], second["path"], second["artifact"]) == ("failed", None, None)
    assert second["problems"] == [problem_document(problem())]


def test_progress_in_lines(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with report.progress(Printer(), 2) as progress:
        progress.entered(job(output), "install")
        progress.finished(built(job(output)))
        progress.finished(ended(job(output, "b"), "failed"))
    assert capsys.readouterr().err == "[1/2] built api in 1.5 s\n[2/2] failed b in 0.2 s\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (262_144_000, "262.1 MB"),
        (999_949_999, "999.9 MB"),
        (999_950_000, "1.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert report.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0.0 s"),
        (1.25, "1.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (61, "1 min 1 s"),
    ],
)
def test_durations(count: float, text: str) -> None:
    assert report.seconds(count) == text


def test_paths_are_relative_to_the_current_folder(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.shown(output / "a.zip") == str(Path("dist", "a.zip"))
    (output.parent / "src").mkdir()
    monkeypatch.chdir(output.parent / "src")
    assert report.shown(output / "a.zip") == str(output / "a.zip")


# --- on a terminal, and in encodings of all kinds

SHOW = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from lambda_bundle import report
from lambda_bundle.console import Printer
from lambda_bundle.errors import Code, Problem, Where
from results import built, ended, job, wheel
output = Path("dist").absolute()
printer = Printer()
"""


def python(code: str, environ: Mapping[str, str], cwd: Path, **more: Any) -> tuple[list[str], dict[str, Any]]:
    command = [sys.executable, "-c", SHOW.format(tests=str(TESTS)) + code]
    return command, {"cwd": cwd, "env": {**environ, "TERM": "xterm-256color", **more}}


def on_terminal(code: str, columns: int, environ: Mapping[str, str], cwd: Path, **more: str) -> str:
    """What a script writes to a terminal of so many columns, stdout and stderr together."""
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, columns.to_bytes(2, sys.byteorder).rjust(4, b"\x32") + bytes(4))
    command, options = python(code, environ, cwd, **more)
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, **options)
    os.close(slave)
    chunks: list[bytes] = []
    reader = threading.Thread(target=lambda: chunks.extend(read(master)))
    reader.start()
    assert child.wait(60) == 0, b"".join(chunks).decode()
    reader.join(60)
    os.close(master)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def read(descriptor: int) -> Sequence[bytes]:
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other end is gone
            return chunks
        if not chunk:
            return chunks
        chunks.append(chunk)


def plain(text: str) -> str:
    """The text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


TOLD = """
printer.problems([
    Problem(
        code=Code.COMMAND_FAILED,
        message="a hook ended with exit code 3 after it had done quite a lot of things",
        where=Where(name="thumbnailer", stage="before hooks"),
        detail="$ make everything\\n" + "word " * 30,
        hint="the command ran in a copy of the sources; run it there by hand to see more of it",
    )
])
jobs = [job(output, name) for name in ("api", "thumbnailer-of-pictures")]
report.results(printer, [built(jobs[0], wheel()), ended(jobs[1], "failed")])
"""


def test_80_columns(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    text = on_terminal(TOLD, 80, clean_environ, tmp_path)
    assert "\x1b[1;31merror[PythonLocalBundlingCommandFailed]" in text
    assert plain(text).split("\n") == [
        "error[PythonLocalBundlingCommandFailed]: a hook ended with exit code 3 after it",
        "had done quite a lot of things",
        "  --> thumbnailer, before hooks",
        "   |",
        "   | $ make everything",
        *["   | word word word word word word word word word word word word word word word"] * 2,
        "",
        "hint: the command ran in a copy of the sources; run it there by hand to see more",
        "of it",
        "",
        "   name                       size  unzipped  wheels   time  path",
        "✓  api                      1.2 kB    3.4 kB       1  1.5 s  dist/api.zip",
        "✗  thumbnailer-of-pictures  failed                    0.2 s",
        "1 of 2 built in dist, 1 failed",
        "",
    ]


def test_120_columns(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    text = on_terminal(TOLD, 120, clean_environ, tmp_path)
    assert plain(text).split("\n")[-5:] == [
        "   name                     runtime     arch     size  unzipped  wheels   time  path",
        "✓  api                      python3.13  arm64  1.2 kB    3.4 kB       1  1.5 s  dist/api.zip",
        "✗  thumbnailer-of-pictures  python3.13  arm64  failed                    0.2 s",
        "1 of 2 built in dist, 1 failed",
        "",
    ]


@pytest.mark.parametrize("columns", [4, 20])
def test_no_terminal_is_too_narrow(clean_environ: Mapping[str, str], tmp_path: Path, columns: int) -> None:
    text = plain(on_terminal(TOLD, columns, clean_environ, tmp_path))
    assert re.search(r"^    path +dist/api\.zip$", text, re.MULTILINE)
    assert re.search(r"^    size +failed$", text, re.MULTILINE)
    assert not re.search(r" $", text, re.MULTILINE)


def test_what_has_no_room_comes_below(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    code = """printer.table(("a", "requirements", "c"), [[("1", ""), ("x" * 30, ""), ("y", "")]] * 2)"""
    assert plain(on_terminal(code, 30, clean_environ, tmp_path)).split("\n") == [
        "a",
        *["1", f"    requirements  {'x' * 30}", "    c             y"] * 2,
        "",
    ]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_no_colours_where_nobody_wants_them(
    clean_environ: Mapping[str, str], tmp_path: Path, variable: str
) -> None:
    value = {"NO_COLOR": "1", "TERM": "dumb"}[variable]
    text = on_terminal(TOLD, 80, clean_environ, tmp_path, **{variable: value})
    assert "\x1b" not in text
    assert "✓  api" in text


LIVE = """
with report.progress(printer, 2) as progress:
    progress.entered(job(output), "stage")
    progress.entered(job(output, "other"), "before hooks")
    progress.entered(job(output), "install")
    time.sleep(0.5)
    progress.finished(built(job(output)))
    progress.finished(ended(job(output, "other"), "failed"))
    time.sleep(0.3)
print("end")
"""


def test_progress_is_redrawn_in_place(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    text = on_terminal(LIVE, 80, clean_environ, tmp_path)
    lines = plain(text)
    assert re.search(r"• api    install       0\.\d s\n• other  before hooks  0\.\d s\n  0 of 2 done", lines)
    assert "✓ api 1.5 s\n" in lines
    assert "✗ other 0.2 s\n" in lines
    assert "2 of 2 done" in lines
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is back
    assert text.endswith("end\n")


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_colours_in_a_log_bring_nothing_that_moves(
    clean_environ: Mapping[str, str], tmp_path: Path, variable: str
) -> None:
    command, options = python(TOLD + LIVE, clean_environ, tmp_path, **{variable: "1"})
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, **options)
    text = done.stdout + done.stderr
    assert "\x1b[1;31merror[" in text
    assert "\x1b" not in plain(text)
    assert "[2/2] failed other in 0.2 s\n" in plain(text)
    assert max(map(len, plain(text).split("\n"))) > 120


def test_a_dumb_terminal_gets_lines(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    text = on_terminal(LIVE, 80, clean_environ, tmp_path, TERM="dumb")
    assert text == "[1/2] built api in 1.5 s\n[2/2] failed other in 0.2 s\nend\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_encoding_is_too_small(clean_environ: Mapping[str, str], tmp_path: Path, encoding: str) -> None:
    code = f"""{TOLD}{LIVE}
printer.json({{"a": "日本 ✓"}})
printer.note(("日本 ✓ \\udcff", ""))
printer.table(("日本",), [[("✓ \\udcff", "")]])
"""
    command, options = python(code, clean_environ, tmp_path, PYTHONIOENCODING=encoding)
    done = subprocess.run(command, capture_output=True, check=True, **options)
    text = done.stdout.decode(encoding)
    assert ("✓  api" if encoding == "utf-8" else "+  api") in text
    assert ("✗  thumb" if encoding == "utf-8" else "x  thumb") in text
    assert "\\udcff" in text
    assert "Traceback" not in done.stderr.decode(encoding)


def test_live_progress_in_ascii(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    text = on_terminal(LIVE, 80, clean_environ, tmp_path, PYTHONIOENCODING="ascii")
    assert "* api    install" in plain(text)
    assert "+ api 1.5 s" in plain(text)
    assert text.isascii()


def test_a_reader_who_leaves_ends_nothing(clean_environ: Mapping[str, str], tmp_path: Path) -> None:
    code = f"""
for _ in range(2000):
    printer.json(["x" * 100])
{TOLD}
printer.table(("a",), [[("b", "")]])
Path("done").touch()
"""
    command, options = python(code, clean_environ, tmp_path)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    text = child.stderr.read().decode()
    child.stderr.close()
    assert child.wait(60) == 0
    assert (tmp_path / "done").exists()
    assert "BrokenPipe" not in text
    assert "error[PythonLocalBundlingCommandFailed]" in text
