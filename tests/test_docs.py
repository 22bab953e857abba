"""The documentation says what is there, and its examples do what they show.

A fenced block after `<!-- file: PATH -->` is that file of a repository that grows from the top of a page to
its end, with the folders of `<!-- folders: PATH … -->` in it; a ```console block holds commands that are run
there, with their output. `<!-- run: by hand -->` keeps a block from being run. The examples in errors.md are
what the repositories in `EXAMPLES` give.

With REFRESH_DOCS=1 in the environment, what does not match is not told but written into the page.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tomli
from elffiles import Elf
from invoke.program import Program
from localcode import project
from loopback import Index, serving
from packaging.requirements import Requirement
from projects import within
from test_architecture import ORDER
from wheelhouse import Wheelhouse

from lambda_bundle import Code, Problem, load
from lambda_bundle.binaries import inspect, judge
from lambda_bundle.console import Printer
from lambda_bundle.errors import BundleError, Where
from lambda_bundle.foreign import refuse_on
from lambda_bundle.lock import Wheel
from lambda_bundle.lockfile import Paper, Resolved, render
from lambda_bundle.models import schema
from lambda_bundle.stage import DEFAULT_EXCLUDES
from lambda_bundle.targets import RUNTIMES, Target
from lambda_bundle.tasks import ns

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")))
HOSTS = {
    *("docs.aws.amazon.com", "peps.python.org", "packaging.python.org", "pip.pypa.io", "docs.astral.sh"),
    *("www.pyinvoke.org", "toml.io", "git-scm.com", "keepachangelog.com", "semver.org"),
    *("python-poetry.org", "api.example.com", "packages.example.com"),
}
"""The hosts that the documentation may name: those of standards and manuals, and ones that do not exist."""
WIDTH = 140
"""Columns of a command's output that an example shows."""
REFRESH = bool(os.environ.get("REFRESH_DOCS"))
FUNCTION = """\
[functions.api]
entry = "api"
handler = "app.handler"
runtime = "python3.13"
arch = "arm64"
"""
TASKS = 'from lambda_bundle.tasks import ns\n\n__all__ = ["ns"]\n'

# --- pages


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    file: str | None
    by_hand: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


_BLOCK = re.compile(
    r"(?:<!-- (?:file: (?P<file>\S+)|(?P<run>run: [^>]*)) -->\n)?"
    r"^```(?P<language>[\w{}-]+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")),
            language=match["language"],
            text=match["text"],
            file=match["file"],
            by_hand=match["run"] is not None,
        )
        for match in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of_language(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path, level: int | None = None) -> list[str]:
    found = _HEADING.findall(prose(page))
    return [text for marks, text in found if level is None or len(marks) == level]


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    text = page.read_text(encoding="utf-8")
    match = re.search(rf"^(?P<marks>#+) {re.escape(heading)}\n", text, re.MULTILINE)
    assert match is not None, f"{page.name} has no heading {heading!r}"
    rest = text[match.end() :]
    return re.split(rf"^#{{1,{len(match['marks'])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of the first table in a text, without its head."""
    lines = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert lines is not None, "there is no table"
    table = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()]
    return [[cell.strip("| ") for cell in row] for row in table[2:]]


def anchors(page: Path) -> set[str]:
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if urlsplit(link).scheme:
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_no_other_hosts(page: Path) -> None:
    found = re.findall(r"\bhttps?://(?:[^/\s@]*@)?([\w.-]+)", page.read_text(encoding="utf-8"))
    assert set(found) <= HOSTS


# --- what is said of the code


def test_every_code_has_its_heading() -> None:
    assert sorted(headings(DOCS / "errors.md", 3)) == sorted(map(str, Code))


def test_every_key_of_the_configuration_has_its_section() -> None:
    tables = schema()["$defs"]
    inside = {"hooks": "Hooks", "verify": "Verify", "index": "Indexes"}
    below = {f"{key}.{one}" for key, name in inside.items() for one in tables[name]["properties"]}
    keys = {
        key for name, table in tables.items() if name not in inside.values() for key in table["properties"]
    }
    described = keys - inside.keys() | below
    page = DOCS / "configuration.md"
    assert {row[0].split("]")[0].strip("[`") for row in rows(section(page, "Keys"))} == described
    assert described <= set(headings(page, 3))
    for table in schema()["properties"]:
        assert any(re.match(rf"`\[+{table}\b", row[0]) for row in rows(section(page, "Tables"))), table


def test_the_defaults_of_keys_are_those_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "bundles.toml").write_text(FUNCTION, encoding="utf-8")
    (tmp_path / "api").mkdir()
    entry = load(tmp_path / "bundles.toml").entries[0]
    for key, _, default, _ in rows(section(DOCS / "configuration.md", "Keys")):
        name = key.split("]")[0].strip("[`").removeprefix("hooks.").removeprefix("verify.")
        if default.startswith("`"):
            (value,) = tomli.loads(f"value = {default.strip('`')}").values()
            actual = getattr(entry, name)
            assert (list(actual) if isinstance(actual, tuple) else actual) == value, key


def test_the_default_excludes_are_those_of_the_code() -> None:
    (text,) = re.findall(
        r"```text\n(.*?)```", section(DOCS / "configuration.md", "Default excludes"), re.DOTALL
    )
    assert tuple(text.splitlines()) == DEFAULT_EXCLUDES


def test_the_table_of_runtimes_is_that_of_the_code() -> None:
    table = [
        [
            *(row.name, row.system, f"2.{row.glibc}", ", ".join(row.archs), str(row.deprecated)),
            *(str(row.create_blocked), str(row.update_blocked)),
        ]
        for row in RUNTIMES.values()
    ]
    assert rows(section(DOCS / "targets.md", "Runtimes")) == table


def test_the_tags_of_the_example_are_those_of_the_code() -> None:
    (text,) = re.findall(r"```text\n(.*?)```", section(DOCS / "targets.md", "Which wheels fit"), re.DOTALL)
    assert tuple(text.split()) == Target("python3.11", "arm64").platforms


def test_every_marker_is_described() -> None:
    table = rows(section(DOCS / "targets.md", "Markers and Requires-Python"))
    assert {row[0].strip("`") for row in table} == set(Target("python3.13", "arm64").markers)


def test_every_dependency_has_its_row() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    groups = {
        "At run time": project["project"]["dependencies"],
        **{f"Extra `{extra}`": lines for extra, lines in extras.items()},
        "To build the package": project["build-system"]["requires"],
    }
    for heading, lines in groups.items():
        table = rows(section(DOCS / "dependencies.md", heading))
        assert [row[0].strip("`") for row in table] == sorted(Requirement(line).name for line in lines), (
            heading
        )


def test_every_module_has_its_row_in_import_order() -> None:
    assert [row[0].strip("`") for row in rows(section(DOCS / "architecture.md", "Modules"))] == ORDER


def test_every_option_is_described() -> None:
    for name, task in ns.tasks.items():
        options = {f"--{argument.name.rstrip('_').replace('_', '-')}" for argument in task.get_arguments()}
        described = section(DOCS / "commands.md", name)
        table = rows(described) if options else []
        assert {row[0].strip("`").split(" ")[0].rstrip("`") for row in table} == options, name


def keys(value: Any) -> Any:
    """What a document is made of: the keys, at each depth, and those of the first item of a list."""
    if isinstance(value, dict):
        return {key: keys(one) for key, one in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


JSON_ROOT = FUNCTION.replace("api", "clock") + FUNCTION
JSON_COMMANDS = {
    "bundle": "bundle --all --json",
    "verify": "verify --json",
    "lock": "lock --all --json",
    "plan": "plan --json",
    "cache": "cache --json",
    "sizes": "sizes --json",
}


@pytest.mark.parametrize("heading", JSON_COMMANDS)
def test_json_has_the_keys_that_are_shown(
    heading: str, tmp_path: Path, clean_environ: dict[str, str]
) -> None:
    """What is printed for a broken link by `bundle`, and otherwise where all is as it should be."""
    (shown,) = _BLOCK.finditer(section(DOCS / "commands.md", heading))
    for name in ("clock", "api"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("handler = print\n", encoding="utf-8")
    if heading == "bundle":
        (tmp_path / "clock" / "shared").symlink_to("../common")
    (tmp_path / "bundles.toml").write_text(JSON_ROOT, encoding="utf-8")
    if heading in {"verify", "sizes"}:
        the_same_here("bundle --all", tmp_path, clean_environ)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    within(tmp_path, clean_environ, shlex.split(JSON_COMMANDS[heading]), out, err)
    assert keys(json.loads(out.buffer.getvalue())) == keys(json.loads(shown["text"]))


# --- the blocks


@pytest.mark.parametrize("block", of_language("toml"), ids=str)
def test_toml_is_toml(block: Block, tmp_path: Path) -> None:
    document = tomli.loads(block.text)
    if block.file == "bundles.toml":
        for table in ("functions", "layers"):
            for entry in document.get(table, {}).values():
                (tmp_path / entry["entry"]).mkdir(parents=True)
        (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        load(tmp_path / block.file)


@pytest.mark.parametrize("block", of_language("python"), ids=str)
def test_python_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.file == "tasks.py"], ids=str)
def test_tasks_are_found(block: Block, tmp_path: Path, clean_environ: dict[str, str]) -> None:
    (tmp_path / "tasks.py").write_text(block.text, encoding="utf-8")
    listed = invoke("--list", tmp_path, clean_environ)
    assert re.search(r"^  (lambda\.)?bundle  ", listed, re.MULTILINE), listed
    assert "deploy" not in block.text or "  deploy " in listed


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown for it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def invoke(arguments: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What `invoke` prints, stdout and stderr together."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *shlex.split(arguments)],
        cwd=folder,
        env={**environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout


def the_same_here(arguments: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What our tasks print, in this process; what Invoke itself prints names another program."""
    told = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    within(folder, environ, shlex.split(arguments), told, told)
    return told.buffer.getvalue().decode()


def settled(text: str) -> str:
    """Output without times, which differ from run to run, and without blanks at the ends of lines."""
    return trimmed(re.sub(r"\b\d+\.\d s\b", "0.0 s", text))


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").split("\n"))


def compare(page: Path, shown: str, actual: str) -> None:
    """Output in a page and in reality must be the same; or become it."""
    if REFRESH and shown != actual:
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(shown, actual), encoding="utf-8", newline="\n")
    else:
        assert shown == actual


@pytest.mark.parametrize(
    "page", dict.fromkeys(block.page for block in of_language("console")), ids=lambda page: page.name
)
def test_console_examples(
    page: Path, tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse
) -> None:
    """The index that they are run with has one package, six."""
    wheelhouse.wheel("six", "1.17.0")
    ran = 0
    for folders in re.findall("<!-- folders: (.*) -->", page.read_text(encoding="utf-8")):
        for folder in folders.split():
            (tmp_path / folder).mkdir(parents=True)
    for block in blocks(page):
        if block.file is not None:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            if block.file == "bundles.toml":
                (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
        if block.language != "console" or block.by_hand:
            continue
        for command, output in commands(block.text):
            assert command.startswith("invoke "), command
            run = invoke if page.name == "README.md" else the_same_here
            actual = settled(run(command.removeprefix("invoke "), tmp_path, environ))
            compare(page, f"$ {command}\n{output}", f"$ {command}\n{actual}")
            ran += 1
    assert ran


def test_the_table_in_the_readme_is_of_our_examples() -> None:
    (shown,) = [block.text for block in blocks(ROOT / "README.md") if block.by_hand]
    listed = [line.split()[1:4] for line in shown.splitlines() if line.startswith("✓")]
    declared = load(ROOT / "bundles.toml").entries
    assert listed == [[entry.name, " ".join(entry.runtimes), entry.arch] for entry in declared]


@pytest.mark.campaign  # CI builds it with `invoke docs`
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="Sphinx is not installed")
def test_sphinx_builds_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-d", tmp_path / "cache", DOCS, tmp_path / "html"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- the examples of errors.md


@dataclass(frozen=True, kw_only=True)
class Example:
    """A repository with one function, `api`, in which something is wrong."""

    toml: str | None = FUNCTION
    requirements: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    wheels: Callable[[Wheelhouse], object] | None = None
    """Writes what both backends find."""
    yanked: Mapping[str, str] = field(default_factory=dict)
    """What the index has withdrawn of it."""
    prepare: Callable[[Path], object] | None = None
    """Does to the repository what a text file cannot."""
    environ: Mapping[str, str] = field(default_factory=dict)
    command: str | Callable[[], object] = "bundle --all"
    homeless: bool = False
    """Whether the current folder is removed before the command begins."""


def on_windows() -> None:
    """The decision that is made there."""
    try:
        refuse_on("win32", "poetry")
    except BundleError as error:
        Printer().problems(one.at(name="api", stage="requirements") for one in error.problems)


def hashless() -> None:
    """A wheel of an index that gives no hashes."""
    url = "https://packages.example.com/six-1.17.0-py3-none-any.whl"
    file = url.rpartition("/")[2]
    wheel = Wheel(name="six", version="1.17.0", filename=file, url=url, sha256=None)
    found = Resolved(target=Target("python3.13", "arm64"), digest="", wheels=(wheel,), origins={})
    try:
        render([found], Paper(name="api", folder=Path("api")))
    except BundleError as error:
        Printer().problems(one.at(name="api", stage="requirements") for one in error.problems)


def locked_twice() -> None:
    """Something comes in that does not go with what is locked."""
    for requirements in ("six", "six\nlegacy"):
        Path("api/requirements.txt").write_text(f"{requirements}\n", encoding="utf-8")
        Program(namespace=ns).run(["invoke", "lock", "--all"], exit=False)


def two_sixes(house: Wheelhouse) -> None:
    house.wheel("six", "1.16.0")
    house.wheel("six", "1.17.0")
    house.wheel("legacy", requires=["six<1.17"])


PROJECT = '[project]\nname = "api"\nversion = "0.1"\nrequires-python = ">=3.10"\ndependencies = ["{}"]\n'
PYLOCK = 'lock-version = "1.0"\ncreated-by = "hand"\npackages = []\n'


def spoiled(old: str, new: str) -> str:
    assert old in FUNCTION
    return FUNCTION.replace(old, new)


def too_large(root: Path) -> None:
    """Files with holes in place of large ones."""
    for name, size in (("model.bin", 240_000_000), ("index.bin", 40_000_000)):
        with (root / "api" / name).open("wb") as file:
            file.truncate(size)


def judged(path: str, content: bytes, runtime: str = "python3.13") -> Callable[[], None]:
    """What is said of one binary in an artifact for arm64."""

    def tell() -> None:
        Path("binary").write_bytes(content)
        found = inspect({path: Path("binary")})
        target = Target(runtime=runtime, arch="arm64")
        Printer().problems(judge(found, target=target, files=[path], owner=lambda _: "tensors 2.5"))

    return tell


def all_of(command: str) -> Callable[[], None]:
    """What a command finds, notes too, which it only counts otherwise."""

    def tell() -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            Program(namespace=ns).run(["invoke", *shlex.split(command)], exit=False)
        for row in json.loads(out.getvalue())["results"][0]["problems"]:
            where = Where(**{part: row[part] for part in ("file", "line", "column", "key", "name", "stage")})
            about = {part: row[part] for part in ("message", "hint", "detail", "severity")}
            Printer().problems([Problem(code=Code(row["code"]), where=where, **about)])

    return tell


def needing_idna(house: Wheelhouse) -> None:
    house.wheel("requests", "2.34.2", requires=['idna>=2.5; sys_platform == "linux"'])
    house.wheel("idna", "3.11", files={"idna/__init__.py": ""})


def two_tensors(house: Wheelhouse) -> None:
    house.wheel("tensors", "2.5", "cp311-cp311-manylinux_2_28_aarch64")
    house.wheel("tensors", "2.5", "cp311-cp311-macosx_14_0_arm64")


def two_owners(house: Wheelhouse) -> None:
    house.wheel("six", "1.17.0", files={"six.py": "1"})
    house.wheel("six-fork", "1.18.0", files={"six.py": "2"})


def conflicting(house: Wheelhouse) -> None:
    house.wheel("requests", "2.34.2", requires=["urllib3<3"])
    house.wheel("urllib3", "3.0.0")


def two_halves(house: Wheelhouse) -> None:
    for name, module in (("tensors", "core"), ("tensors-plot", "plot")):
        house.wheel(name, "2.5", files={"tensors/__init__.py": "", f"tensors/{module}.py": ""})


def needing_older(house: Wheelhouse) -> None:
    conflicting(house)
    house.wheel("urllib3", "2.6.3")


SMOKE = f"smoke --runtime python3.{sys.version_info[1]} --arch x86_64 --handler app.handler"
"""Runs a folder in the Python that runs the tests."""
WRITER = """\
import os

def handler(event, context):
    os.chmod(os.getcwd(), 0o755)
    with open("cache.db", "w") as file:
        file.write("{}")
"""
EXAMPLES = {
    Code.CONFIG_MISSING: Example(toml=None),
    Code.CONFIG_UNREADABLE: Example(toml=None, files={"bundles.toml/one": ""}),
    Code.CONFIG_SYNTAX: Example(toml=spoiled('"arm64"', "arm64")),
    Code.UNKNOWN_KEY: Example(toml=FUNCTION + 'bakend = "pip"\n'),
    Code.MISSING_KEY: Example(toml=spoiled('arch = "arm64"\n', "")),
    Code.INVALID_VALUE: Example(toml=FUNCTION + 'exclude = "tests/"\n'),
    Code.INVALID_HANDLER: Example(toml=spoiled("app.handler", "app:handler")),
    Code.INVALID_TAG: Example(toml=FUNCTION + 'tags = ["manylinux_2_28_x86_64"]\n'),
    Code.ENTRY_MISSING: Example(toml=spoiled('entry = "api"', 'entry = "apy"')),
    Code.ARTIFACT_COLLISION: Example(toml=FUNCTION + spoiled("functions.api", "functions.API")),
    Code.UNSUPPORTED_RUNTIME: Example(toml=spoiled("python3.13", "python3.99")),
    Code.LAYER_MISMATCH: Example(
        toml=FUNCTION + 'layers = ["common"]\n[layers.common]\n'
        'entry = "api"\nruntime = "python3.12"\narch = "arm64"\n'
    ),
    Code.UNPARSEABLE_RUNTIME: Example(toml=spoiled("python3.13", "3.13")),
    Code.UNSUPPORTED_ARCHITECTURE: Example(toml=spoiled("arm64", "aarch64")),
    Code.NOTHING_SELECTED: Example(command="bundle"),
    Code.UNKNOWN_NAME: Example(command="bundle --only apo"),
    Code.INVALID_OPTION: Example(command="bundle --all --jobs many"),
    Code.BROKEN_LINK: Example(prepare=lambda root: (root / "api/shared").symlink_to("../common")),
    Code.LINK_LOOP: Example(prepare=lambda root: (root / "api/again").symlink_to(".")),
    Code.UNUSABLE_FILE: Example(prepare=lambda root: os.mkfifo(root / "api/pipe")),
    Code.FILE_COLLISION: Example(
        requirements="six==1.17.0",
        files={"api/six.py": "a copy, and an old one"},
        wheels=lambda house: house.wheel("six", "1.17.0", files={"six.py": ""}),
    ),
    Code.REQUIREMENTS_MISSING: Example(requirements="-r ../common.txt"),
    Code.INVALID_REQUIREMENT: Example(requirements="requests^2.34"),
    Code.SOURCE_REQUIREMENT: Example(requirements="hg+https://api.example.com/shared"),
    Code.IMPURE_WHEEL: Example(
        requirements="../libs/fast",
        prepare=lambda root: project(
            root / "libs/fast", tag="cp312-cp312-linux_x86_64", files={"fast/_speed.abi3.so": b"x"}
        ),
    ),
    Code.HASH_MISSING: Example(requirements=f"six==1.17.0 --hash=sha256:{'0' * 64}\nidna==3.11"),
    Code.VARIABLE_MISSING: Example(
        toml=FUNCTION + '[index]\nurl = "https://build:${INDEX_TOKEN}@packages.example.com/simple"\n',
        requirements="six==1.17.0",
    ),
    Code.INDEX_UNSUITABLE: Example(
        toml=FUNCTION + 'backend = "pip"\n',
        files={
            "api/pyproject.toml": '[project]\nname = "api"\nversion = "1"\ndependencies = ["torch"]\n'
            '[[tool.uv.index]]\nname = "pytorch"\nurl = "https://packages.example.com/cpu"\nexplicit = true\n'
            '[tool.uv.sources]\ntorch = { index = "pytorch" }\n'
        },
    ),
    Code.OFFLINE: Example(
        command="bundle --all --offline",
        requirements="six==1.17.0",
        environ={"UV_DEFAULT_INDEX": "http://LOOPBACK/simple"},
    ),
    Code.PYTHON_MISSING: Example(
        toml=FUNCTION + 'backend = "pip"\n',
        requirements="six==1.17.0",
        files={"old/pip.py": "print('pip 22.3.1 from /usr/lib/python3/dist-packages/pip (python 3.11)')"},
        environ={"PYTHONPATH": "REPO/old", "PATH": ""},
    ),
    Code.PACKAGE_NOT_FOUND: Example(requirements="six>=2", wheels=lambda house: house.wheel("six", "1.17.0")),
    Code.SOURCE_ONLY: Example(
        requirements="docopt==0.6.2", wheels=lambda house: house.sdist("docopt", "0.6.2")
    ),
    Code.NO_WHEEL: Example(
        toml=spoiled("python3.13", "python3.11"), requirements="tensors==2.5", wheels=two_tensors
    ),
    Code.PYTHON_UNSUPPORTED: Example(
        toml=spoiled("python3.13", "python3.11"),
        requirements="arrays==3.0",
        wheels=lambda house: house.wheel("arrays", "3.0", python=">=3.12"),
    ),
    Code.CONFLICT: Example(requirements="requests==2.34.2\nurllib3==3.0.0", wheels=conflicting),
    Code.SPLIT_PACKAGE: Example(
        toml=FUNCTION + 'layers = ["common"]\n[layers.common]\n'
        'entry = "common"\nruntime = "python3.13"\narch = "arm64"\n',
        requirements="tensors==2.5\ntensors-plot==2.5",
        files={"common/requirements.txt": "tensors==2.5\n"},
        wheels=two_halves,
    ),
    Code.LAYER_CONFLICT: Example(
        toml=FUNCTION + 'layers = ["common"]\n[layers.common]\n'
        'entry = "common"\nruntime = "python3.13"\narch = "arm64"\n',
        requirements="requests==2.34.2",
        files={"common/requirements.txt": "urllib3==3.0.0\n"},
        wheels=needing_older,
    ),
    Code.HASH_MISMATCH: Example(
        requirements=f"six==1.17.0 --hash=sha256:{'0' * 64}",
        wheels=lambda house: house.wheel("six", "1.17.0"),
    ),
    Code.INDEX_UNREACHABLE: Example(
        requirements="six==1.17.0",
        environ={
            "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
            "UV_HTTP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
        },
    ),
    Code.INDEX_UNAUTHORIZED: Example(
        requirements="six==1.17.0",
        environ={"UV_DEFAULT_INDEX": "http://LOOPBACK/simple", "NO_PROXY": "127.0.0.1"},
    ),
    Code.COMMAND_FAILED: Example(toml=FUNCTION + 'hooks.before = ["echo generating", "cat schema.json"]\n'),
    Code.COMMAND_TIMED_OUT: Example(toml=FUNCTION + 'timeout = 0.5\nhooks.before = ["sleep 30"]\n'),
    Code.WRONG_MACHINE: Example(command=judged("tensors/_core.abi3.so", Elf().write())),
    Code.SYMBOL_TOO_NEW: Example(
        command=judged(
            "tensors/_core.abi3.so",
            Elf(machine="aarch64", versions={"libm.so.6": ["GLIBC_2.27"]}).write(),
            "python3.11",
        )
    ),
    Code.LIBRARY_MISSING: Example(
        command=judged("tensors/_core.abi3.so", Elf(machine="aarch64", needed=["libgomp.so.1"]).write())
    ),
    Code.EXTENSION_MISFIT: Example(
        command=judged("tensors/_core.cpython-312-aarch64-linux-gnu.so", Elf(machine="aarch64").write())
    ),
    Code.MUSL_BINARY: Example(
        command=judged("tensors/_core.cpython-313-aarch64-linux-musl.so", Elf(machine="aarch64").write())
    ),
    Code.DAMAGED_BINARY: Example(command=judged("tensors/_core.abi3.so", Elf().write()[:100])),
    Code.FOREIGN_BINARY: Example(
        command=judged("tensors/_core.cpython-313-darwin.so", b"\xcf\xfa\xed\xfe" + bytes(28))
    ),
    Code.HANDLER_MISSING: Example(toml=spoiled("app.handler", "main.handler")),
    Code.HANDLER_UNDEFINED: Example(files={"api/app.py": "def handle(event, context): ...\n"}),
    Code.MODULE_SHADOWING: Example(files={"api/queue.py": "class Queue: ...\n"}),
    Code.HANDLER_SHADOWED: Example(
        toml=spoiled("app.handler", "time.handler"), files={"api/time.py": "handler = print\n"}
    ),
    Code.SYNTAX_UNSUPPORTED: Example(
        toml=spoiled("python3.13", "python3.11"),
        files={"api/app.py": """handler = print\nprint(f'{d['a']}')\n"""},
    ),
    Code.IMPORT_MISSING: Example(files={"api/app.py": "import requests\n\nhandler = print\n"}),
    Code.IMPORT_FROM_RUNTIME: Example(
        files={"api/app.py": "import boto3\n\nhandler = print\n"}, command=all_of("bundle --all --json")
    ),
    Code.NOT_CHECKED: Example(
        files={"api/app.py": "globals()['handler'] = print\n"}, command=all_of("bundle --all --json")
    ),
    Code.DEPENDENCY_MISSING: Example(
        toml=FUNCTION + 'hooks.after = ["rm -r idna idna-3.11.dist-info"]\n',
        requirements="requests==2.34.2",
        wheels=needing_idna,
    ),
    Code.DEPENDENCY_VERSION: Example(
        toml=FUNCTION + 'hooks.after = ["cp old.txt idna-3.11.dist-info/METADATA; rm old.txt"]\n',
        files={"api/old.txt": "Name: idna\nVersion: 1.0\n"},
        requirements="requests==2.34.2",
        wheels=needing_idna,
    ),
    Code.SECRET_FILE: Example(files={"api/certs/server.key": ""}),
    Code.UNUSABLE_NAME: Example(files={"api/app\\data.json": "{}"}),
    Code.UNREADABLE_FILE: Example(
        prepare=lambda root: (root / "api/app.py").chmod(0o600),
        command="verify --path api --runtime python3.13 --arch arm64 --handler app.handler",
    ),
    Code.LARGE_UPLOAD: Example(
        prepare=lambda root: (root / "api/model.bin").write_bytes(random.Random(1).randbytes(53_000_000)),  # noqa: S311
        command=all_of("bundle --all --json"),
    ),
    Code.IGNORE_UNUSED: Example(toml=FUNCTION + 'verify.ignore = ["SecretFile:*.key"]\n'),
    Code.ARTIFACT_MISSING: Example(command="smoke --all"),
    Code.ARTIFACT_UNREADABLE: Example(files={"api.zip": "no zip\n"}, command=f"{SMOKE} --path api.zip"),
    Code.INIT_FAILED: Example(
        files={"api/app.py": "from shop import orders\n", "api/shop/orders.py": "import numpy\n"},
        command=f"{SMOKE} --path api",
    ),
    Code.INVOCATION_FAILED: Example(
        files={
            "api/app.py": "def handler(event, context):\n    return event['item']\n",
            "event.json": "{}",
        },
        command=f"{SMOKE} --path api --event event.json",
    ),
    Code.FUNCTION_ENDED: Example(
        files={"api/app.py": "import sys\n\nprint('no TABLE')\nsys.exit(3)\n"}, command=f"{SMOKE} --path api"
    ),
    Code.FUNCTION_TIMED_OUT: Example(
        files={"api/app.py": "import time\n\ntime.sleep(600)\n"},
        command=f"{SMOKE} --path api --timeout 0.5",
    ),
    Code.CODE_CHANGED: Example(
        files={"api/app.py": WRITER, "event.json": "{}"}, command=f"{SMOKE} --path api --event event.json"
    ),
    Code.NOT_RUN: Example(
        command="smoke --path api --runtime python3.7 --arch arm64 --handler app.handler --python /bin/false"
    ),
    Code.OUTPUT_UNWRITABLE: Example(files={"dist": "a file\n"}),
    Code.MANIFEST_UNREADABLE: Example(files={"dist/manifest.json": "{}"}),
    Code.CACHE_UNUSABLE: Example(
        requirements="six==1.17.0",
        wheels=lambda house: house.wheel("six", "1.17.0"),
        files={"cache": "a file\n"},
        environ={"LAMBDA_BUNDLE_CACHE": "REPO/cache"},
    ),
    Code.ARTIFACT_EMPTY: Example(
        toml=FUNCTION
        + '[layers.common]\nentry = "common"\nruntime = "python3.13"\narch = "arm64"\nexclude = ["*"]\n',
        files={"common/x": ""},
        command="bundle --only common",
    ),
    Code.ARTIFACT_TOO_LARGE: Example(
        requirements="six==1.17.0", wheels=lambda house: house.wheel("six", "1.17.0"), prepare=too_large
    ),
    Code.SYSTEM_ERROR: Example(homeless=True),
    Code.DEPRECATED_RUNTIME: Example(toml=spoiled("python3.13", "python3.9")),
    Code.MUSL_TAGS: Example(toml=FUNCTION + 'tags = ["musllinux_1_2_aarch64", "manylinux_2_28_aarch64"]\n'),
    Code.TAGS_BEYOND_RUNTIME: Example(
        toml=spoiled("python3.13", "python3.11") + 'tags = ["manylinux_2_28_aarch64"]\n'
    ),
    Code.SHARED_PATH: Example(requirements="six\nsix-fork", wheels=two_owners),
    Code.LOCK_MISSING: Example(toml=FUNCTION + 'packaging = "uv"\n'),
    Code.LOCK_STALE: Example(
        files={
            "api/pyproject.toml": PROJECT.format("six"),
            "api/uv.lock": 'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n',
        },
        wheels=lambda house: house.wheel("six", "1.17.0"),
    ),
    Code.LOCK_INVALID: Example(files={"api/pylock.toml": 'lock-version = "1.0"\n<<<<<<< HEAD\n'}),
    Code.LOCK_UNSUITABLE: Example(files={"api/pylock.toml": PYLOCK + 'requires-python = ">=3.14"\n'}),
    Code.UNKNOWN_SELECTION: Example(
        toml=FUNCTION + 'groups = ["asw"]\n',
        files={"api/pylock.toml": PYLOCK + 'dependency-groups = ["aws", "dev"]\n'},
    ),
    Code.WINDOWS_EXPORT_UNSUPPORTED: Example(command=on_windows),
    Code.UNLOCKABLE: Example(command=hashless),
    Code.LOCK_ANEW: Example(command=locked_twice, requirements="six", wheels=two_sixes),
    Code.UNPINNED: Example(
        files={"api/pyproject.toml": PROJECT.format("six")},
        wheels=lambda house: house.wheel("six", "1.17.0"),
    ),
    Code.SEVERAL_LOCKS: Example(files={"api/pylock.toml": PYLOCK}, requirements=""),
    Code.SELECTION_UNUSED: Example(toml=FUNCTION + 'groups = ["aws"]\n', requirements=""),
    Code.SKIP_UNUSED: Example(
        toml=FUNCTION + 'skip = ["botocore"]\n',
        requirements="six==1.17.0",
        wheels=lambda house: house.wheel("six", "1.17.0"),
    ),
    Code.EXTRA_UNKNOWN: Example(
        requirements="requests[sock]==2.32.5",
        wheels=lambda house: house.wheel(
            "requests", "2.32.5", extras=["security", "socks", "use_chardet_on_py3"]
        ),
    ),
    Code.YANKED: Example(
        requirements="requests==2.32.0",
        wheels=lambda house: house.wheel("requests", "2.32.0"),
        yanked={"requests-2.32.0-py3-none-any.whl": "conflicts with the mitigation of CVE-2024-35195"},
        environ={"UV_DEFAULT_INDEX": "http://user:password@LOOPBACK/simple", "UV_FIND_LINKS": ""},
    ),
    Code.OVERRIDE_UNUSED: Example(toml=FUNCTION + '[[overrides]]\nselect = ["svc-*"]\nbackend = "pip"\n'),
}


def problem(told: str, code: Code) -> Iterator[str]:
    """The lines about a problem of this code, up to whatever else is told; long output is cut."""
    lines = iter(told.splitlines())
    first = next((line for line in lines if f"[{code}]" in line), None)
    assert first is not None, told
    yield first
    for line in lines:
        if not re.match(r"  --> |   \||hint: |$", line):
            return
        yield line if not line.startswith("   |") or len(line) <= WIDTH else f"{line[:WIDTH]}…"


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples: in an empty one, uv has to get to know the host's Python first."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.mark.parametrize("code", Code, ids=str)
def test_the_example_of_a_code(
    code: Code,
    tmp_path: Path,
    environ: dict[str, str],
    wheelhouse: Wheelhouse,
    uv_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = EXAMPLES[code]
    root = tmp_path / "repo"
    files = {"api/app.py": "def handler(event, context): ...\n", **example.files}
    files |= {} if example.toml is None else {"bundles.toml": example.toml}
    files |= {} if example.requirements is None else {"api/requirements.txt": f"{example.requirements}\n"}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for write, where in ((example.prepare, root), (example.wheels, wheelhouse)):
        if write is not None:
            write(where)  # type: ignore[arg-type]
    for name in set(os.environ) - set(environ):
        monkeypatch.delenv(name)
    index = Index(folder=wheelhouse.folder, credentials="user:password", yanked=example.yanked)
    with serving(index) as address:
        for name, value in {**environ, "UV_CACHE_DIR": str(uv_cache)}.items():
            monkeypatch.setenv(name, value)
        for name, value in example.environ.items():
            monkeypatch.setenv(name, value.replace("LOOPBACK", address).replace("REPO", str(root)))
        monkeypatch.chdir(root)
        if example.homeless:
            (root / "gone").mkdir()
            monkeypatch.chdir(root / "gone")
            (root / "gone").rmdir()
        if callable(example.command):
            example.command()
        else:
            Program(namespace=ns).run(["invoke", *shlex.split(example.command)], exit=False)
    told = capsys.readouterr().err
    for actual, shown in (
        (str(root), "/repo"),
        (sys.executable, "/usr/bin/python3"),
        (f"http://{address}", "https://packages.example.com"),
        ("http://127.0.0.1:9", "https://packages.example.com"),
    ):
        told = told.replace(actual, shown)
    shown = section(DOCS / "errors.md", str(code))
    match = re.search(r"```text\n(.*?)```", shown, re.DOTALL)
    assert match is not None
    actual = trimmed("\n".join(problem(told, code)))
    compare(DOCS / "errors.md", match[0], f"```text\n{actual}```")
