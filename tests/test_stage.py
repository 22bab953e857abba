"""Which files go into a bundle, their copies for hooks, and how sources and dependencies come together."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workshop import snapshot

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.stage import (
    DEFAULT_EXCLUDES,
    HOOK_LEFTOVERS,
    check_collisions,
    copy,
    detach,
    file_mode,
    folders_of,
    scan,
)

GIT = shutil.which("git") or ""


def plant(folder: Path, *paths: str, **contents: str) -> Path:
    """Write files below a folder; each holds its own path."""
    for path, content in {**{path: path for path in paths}, **contents}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return folder


def names(folder: Path, exclude: Iterable[str] = (), **options: Any) -> list[str]:
    return list(scan(folder, exclude=exclude, **options))


def problems(folder: Path, exclude: Iterable[str] = (), **options: Any) -> list[tuple[Code, str]]:
    """The codes and places of what is wrong."""
    with pytest.raises(BundleError) as error:
        scan(folder, exclude=exclude, **options)
    return [(one.code, one.where.file or "") for one in error.value.problems]


# --- what is found


def test_files_in_sorted_order_with_their_places(tmp_path: Path) -> None:
    plant(tmp_path, "b.py", "a/z.py", "a.py", "a/b/c.txt", "B.py")
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    found = scan(tmp_path, exclude=())
    assert list(found) == ["B.py", "a.py", "a/b/c.txt", "a/z.py", "b.py"]
    assert all(found[path] == tmp_path / path for path in found)


def test_nothing(tmp_path: Path) -> None:
    assert scan(tmp_path, exclude=()) == {}


STRANGE = [
    "with space.py",
    " lead",
    "trail ",
    "ünï/cödé 💥.txt",
    "two\nlines",
    "-dash",
    "$x",
    "a\\b",
    "#",
    "!x",
]


@pytest.mark.skipif(os.name == "nt", reason="these are no names there")
def test_strange_names(tmp_path: Path) -> None:
    plant(tmp_path, *STRANGE, "README", "readme", "x" * 255)
    assert names(tmp_path, ["x"]) == sorted([*STRANGE, "README", "readme", "x" * 255])
    assert names(tmp_path, ["two\nlines", "\\#", "\\!x", "trail\\ ", "README", "x*"]) == sorted(
        [*set(STRANGE) - {"two\nlines", "#", "!x", "trail "}, "readme"]
    )


def test_very_deep_tree(tmp_path: Path) -> None:
    depth = 1500
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):  # no system call takes the whole path
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    try:
        assert names(tmp_path) == [f"{'d/' * depth}file"]
        assert names(tmp_path, ["d"]) == []
    finally:  # not even rmtree can remove it
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # noqa: S607 - part of every POSIX system


def test_tree_deeper_than_a_path_can_be_long(tmp_path: Path) -> None:
    name = "d" * 200
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    try:
        found = problems(tmp_path)
        assert [code for code, _ in found] == [Code.UNUSABLE_FILE]
        assert found[0][1].startswith(f"{name}/{name}/")
    finally:
        subprocess.run(["rm", "-rf", tmp_path / name], check=True)  # noqa: S607 - part of every POSIX system


# --- what is left out

LEFT_OUT = [
    *(".git/config", "sub/.git", ".hg/x", ".svn/x", ".gitignore", "sub/.gitattributes"),
    *(".venv/lib/x.py", "venv/x.py", "sub/.venv", "sub/__pycache__/x.pyc", "x.pyc", "x.pyo", "x.pyd"),
    *(".mypy_cache/x", ".pytest_cache/x", ".ruff_cache/x", ".hypothesis/x", ".tox/x", ".nox/x", ".coverage"),
    *(".coverage.host.1", "x.egg-info/PKG-INFO", "node_modules/x/y.js", ".DS_Store", "sub/.DS_Store"),
    *(".env", ".env.production", "sub/.env", ".idea/x", ".vscode/x", ".#x.py", "x.py~", ".x.py.swp"),
    *(".aws-sam/x", ".serverless/x", ".terraform/x", "cdk.out/x"),
]
KEPT = [
    *("x.py", "environment.py", ".envrc", "env/x.py", "git/x", "dist/x", "build/x", "lib/x", "bin/x", "x.so"),
    *("sub/requirements.txt", "x-1.0.dist-info/METADATA", "coverage", "venv.py", "#x#", ".x"),
]


def test_default_excludes(tmp_path: Path) -> None:
    plant(tmp_path, *LEFT_OUT, *KEPT)
    assert names(tmp_path, DEFAULT_EXCLUDES) == sorted(KEPT)
    assert names(tmp_path, (*DEFAULT_EXCLUDES, "!.env.production", "env/")) == sorted(
        {*KEPT, ".env.production"} - {"env/x.py"}
    )


def test_hook_leftovers(tmp_path: Path) -> None:
    plant(tmp_path, "a.py", "__pycache__/a.pyc", "b/__pycache__/x", "b/c.pyc", ".git/x")
    assert names(tmp_path, HOOK_LEFTOVERS) == [".git/x", "a.py", "b/c.pyc"]


def test_git_file_of_a_worktree(tmp_path: Path) -> None:
    plant(tmp_path, ".git", "x.py")
    assert names(tmp_path, DEFAULT_EXCLUDES) == ["x.py"]


def test_virtual_environments_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    plant(tmp_path, "x.py", "tools/pyvenv.cfg", "tools/bin/activate", "tools/lib/y.py")
    plant(tmp_path, "sub/windows/pyvenv.cfg", "sub/windows/Scripts/activate", "sub/x.py")
    plant(tmp_path, "data/pyvenv.cfg", "data/x", "tests/pyvenv.cfg/x", "tests/bin/x")
    kept = ["data/pyvenv.cfg", "data/x", "sub/x.py", "tests/bin/x", "tests/pyvenv.cfg/x", "x.py"]
    assert names(tmp_path, environments=False) == kept
    brought_back = names(tmp_path, include=["tools/lib/*"], environments=False)
    assert brought_back == sorted([*kept, "tools/lib/y.py"])
    assert "tools/lib/y.py" in names(tmp_path, include=["tools/"], environments=False)
    assert "tools/bin/activate" in names(tmp_path)
    assert names(tmp_path / "tools", environments=False) == ["bin/activate", "lib/y.py", "pyvenv.cfg"]


def test_output_folder_inside_the_entry(tmp_path: Path) -> None:
    plant(tmp_path, "x.py", "dist/a.zip", "dist/.lambda-bundle-1/y", "sub/dist/z")
    (tmp_path / "link").symlink_to("dist")
    assert names(tmp_path, skip=tmp_path / "dist") == ["sub/dist/z", "x.py"]
    assert names(tmp_path, skip=tmp_path / "link") == ["sub/dist/z", "x.py"]
    assert names(tmp_path, include=["*.zip"], skip=tmp_path / "dist") == ["sub/dist/z", "x.py"]
    assert "dist/a.zip" in names(tmp_path, skip=tmp_path / "not-there")
    assert "dist/a.zip" in names(tmp_path, skip=tmp_path.parent)


# --- the dialect of .gitignore, as a whole tree shows it

FOREST = [
    "a.py",
    "a.md",
    "doc/a.md",
    "doc/b.py",
    "doc/sub/a.md",
    "src/a.py",
    "src/doc/a.md",
    "src/a/b/c.md",
    "log",
]
DIALECT = [
    ([], FOREST),
    (["*.md"], ["a.py", "doc/b.py", "log", "src/a.py"]),
    (["/*.md"], [path for path in FOREST if path != "a.md"]),
    (["doc"], ["a.md", "a.py", "log", "src/a.py", "src/a/b/c.md"]),
    (["/doc/"], ["a.md", "a.py", "log", "src/a.py", "src/a/b/c.md", "src/doc/a.md"]),
    (["log/"], FOREST),
    (["doc/*.md"], [path for path in FOREST if path != "doc/a.md"]),
    (["**/doc/*.md"], [path for path in FOREST if path not in {"doc/a.md", "src/doc/a.md"}]),
    (["src/**/*.md"], ["a.md", "a.py", "doc/a.md", "doc/b.py", "doc/sub/a.md", "log", "src/a.py"]),
    (["*.md", "!/a.md"], ["a.md", "a.py", "doc/b.py", "log", "src/a.py"]),
    (["!/a.md", "*.md"], ["a.py", "doc/b.py", "log", "src/a.py"]),
    (["doc/", "!doc/a.md"], ["a.md", "a.py", "log", "src/a.py", "src/a/b/c.md"]),  # its folder is out
    (["doc/*", "!doc/a.md"], ["a.md", "a.py", "doc/a.md", "log", "src/a.py", "src/a/b/c.md", "src/doc/a.md"]),
    (["*", "!*/", "!*.py"], ["a.py", "doc/b.py", "src/a.py"]),
    (["/*", "!/src"], ["src/a.py", "src/a/b/c.md", "src/doc/a.md"]),
    (["# *", "", "\\#"], FOREST),
]


@pytest.mark.parametrize(("exclude", "left"), DIALECT, ids=[" ".join(row[0]) for row in DIALECT])
def test_exclude(tmp_path: Path, exclude: list[str], left: list[str]) -> None:
    plant(tmp_path, *FOREST)
    assert names(tmp_path, exclude) == sorted(left)


@pytest.mark.parametrize(
    "pattern", ["!", "a\\", "[z-a]", "[[:alpha:]]", "[a[b]", "[a--b]", "[a&&b]", "[]|||]", "[!~~]"]
)
@pytest.mark.parametrize("key", ["exclude", "include"])
def test_pattern_that_cannot_be_understood(tmp_path: Path, key: str, pattern: str) -> None:
    with pytest.raises(BundleError) as error:
        names(tmp_path, **{key: ["a", pattern]})
    (problem,) = error.value.problems
    assert (problem.code, problem.where.key) == (Code.INVALID_VALUE, key)
    assert f'"{pattern}"' in problem.message


@given(st.text("ab/[]!^-\\*?&|~: #", max_size=10) | st.text(max_size=10))
def test_no_pattern_breaks_anything(pattern: str) -> None:
    with suppress(BundleError):
        scan(Path(__file__).parent, exclude=[pattern])


INCLUDE = [
    # exclude, include, what is left of FOREST
    (["doc/"], ["doc/a.md"], ["doc/a.md"]),
    (["doc/"], ["doc/sub/a.md"], ["doc/sub/a.md"]),
    (["doc/"], ["*.py"], ["doc/b.py"]),
    (["doc/"], ["doc/"], ["doc/a.md", "doc/b.py", "doc/sub/a.md"]),
    (["doc/", "*.md"], ["doc/"], ["doc/b.py"]),  # the other patterns still hold
    (["doc/", "*.md"], ["doc/", "doc/*.md"], ["doc/a.md", "doc/b.py"]),
    (["doc/"], ["doc/sub"], ["doc/sub/a.md"]),
    (["doc/"], ["doc/*", "!doc/b.py"], ["doc/a.md", "doc/sub/a.md"]),
    (["*"], ["doc/**"], ["doc/a.md", "doc/b.py", "doc/sub/a.md"]),
    (["*"], [], []),
    (["*"], ["nothing"], []),
]


@pytest.mark.parametrize(("exclude", "include", "left"), INCLUDE)
def test_include(tmp_path: Path, exclude: list[str], include: list[str], left: list[str]) -> None:
    plant(tmp_path, *(path for path in FOREST if path.startswith("doc/")))
    assert names(tmp_path, exclude, include=include) == left


def test_include_brings_secrets_and_bytecode_back_only_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "config/.env", "config/x", "config/__pycache__/x.pyc", ".env.example")
    assert names(tmp_path, DEFAULT_EXCLUDES, include=["config/"]) == ["config/x"]
    assert names(tmp_path, DEFAULT_EXCLUDES, include=[".env.example"]) == [".env.example", "config/x"]


@pytest.mark.parametrize("line", ["*<b>*", "[(?P<ps_d>)]x"])
def test_patterns_that_look_like_ours(tmp_path: Path, line: str) -> None:
    plant(tmp_path, "a<b>c", "c", "a/c", "P", "?x", "sx", "s")
    left = ["?x", "P", "a/c", "c", "s", "sx"] if "b" in line else ["P", "a/c", "a<b>c", "c", "s"]
    assert names(tmp_path, [line, "a.py"]) == left


PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["", "", "!"]),
        st.sampled_from(["", "", "/"]),
        st.lists(
            st.sampled_from(["a", "b", "c", "*", "**", "?", "a*", "*.b", "[ab]", "[!a]", "c.b"]),
            min_size=1,
            max_size=3,
        ),
        st.sampled_from(["", "", "/"]),
    )
    .filter(lambda parts: parts[2][-1] != "**")  # pathspec reads "a/**" and "a/**/" otherwise than git
    .map(lambda parts: parts[0] + parts[1] + "/".join(parts[2]) + parts[3]),
    max_size=4,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    chance = random.Random(2)  # noqa: S311 - the same tree each time
    for _ in range(60):
        path = root.joinpath(*chance.choices(["a", "b", "c", "ab", "a.b", "c.b"], k=chance.randint(1, 4)))
        if not path.is_dir() and not any(parent.is_file() for parent in path.parents):
            plant(root, str(path.relative_to(root)))
    subprocess.run([GIT, "init", "--quiet", root], check=True)
    return root


@pytest.mark.skipif(not GIT, reason="there is no git")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATTERNS)
def test_leaves_out_what_git_ignores(repository: Path, exclude: list[str]) -> None:
    patterns = repository / ".git" / "patterns"
    patterns.write_text("".join(f"{line}\n" for line in exclude))
    command = [GIT, "-c", f"core.excludesFile={os.devnull}", "ls-files", "-z", "--others", "--cached"]
    command.append(f"--exclude-from={patterns}")
    listed = subprocess.run(command, cwd=repository, capture_output=True, check=True).stdout
    by_git = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    assert names(repository, [*exclude, ".git"]) == sorted(by_git)


# --- links, and what cannot be read


def test_links_are_followed(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "shared/x.py", "shared/sub/y.py", "one.py")
    entry = plant(tmp_path / "entry", "real/z.py", "a.py")
    (entry / "shared").symlink_to(outside / "shared")
    (entry / "one.py").symlink_to("../outside/one.py")
    (entry / "again").symlink_to("real")
    (entry / "chain").symlink_to("again")
    found = scan(entry, exclude=())
    assert list(found) == [
        *("a.py", "again/z.py", "chain/z.py", "one.py", "real/z.py", "shared/sub/y.py", "shared/x.py")
    ]
    assert found["one.py"].read_text() == "one.py"
    assert names(entry, ["again/", "shared/sub"]) == [
        "a.py",
        "chain/z.py",
        "one.py",
        "real/z.py",
        "shared/x.py",
    ]


def test_entry_may_be_a_link(tmp_path: Path) -> None:
    plant(tmp_path / "real", "a.py")
    (tmp_path / "entry").symlink_to("real")
    assert names(tmp_path / "entry") == ["a.py"]


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes and sockets in folders")
def test_everything_unusable_is_told_at_once(tmp_path: Path) -> None:
    entry = plant(tmp_path / "entry", "fine.py", "sub/fine.py")
    (entry / "sub" / "up").symlink_to("..")
    (entry / "self").symlink_to("self")
    (entry / "ping").symlink_to("pong")
    (entry / "pong").symlink_to("ping")
    (entry / "here").symlink_to(".")
    (entry / "gone").symlink_to("nowhere/at/all")
    (entry / "sub" / "broken").symlink_to(tmp_path / "missing")
    os.mkfifo(entry / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(entry / "socket"))
    Path(os.fsdecode(bytes(entry) + b"/bad-\xff")).touch()
    bad = Path(os.fsdecode(bytes(entry) + b"/folder-\xff"))
    plant(bad, "x", "y")
    assert problems(entry) == [
        (Code.UNUSABLE_FILE, "bad-\\udcff"),
        (Code.UNUSABLE_FILE, "folder-\\udcff"),
        (Code.BROKEN_LINK, "gone"),
        (Code.LINK_LOOP, "here"),
        (Code.LINK_LOOP, "ping"),
        (Code.UNUSABLE_FILE, "pipe"),
        (Code.LINK_LOOP, "pong"),
        (Code.LINK_LOOP, "self"),
        (Code.UNUSABLE_FILE, "socket"),
        (Code.BROKEN_LINK, "sub/broken"),
        (Code.LINK_LOOP, "sub/up"),
    ]
    everything = ["bad-*", "folder-*", "gone", "here", "p?ng", "pipe", "self", "socket", "broken", "up"]
    assert names(entry, everything) == ["fine.py", "sub/fine.py"]
    # What is left out is no problem either where something else is brought back.
    assert names(entry, everything, include=["sub/fine.py"]) == ["fine.py", "sub/fine.py"]


def test_broken_link_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("no/where")
    with pytest.raises(BundleError) as error:
        scan(tmp_path, exclude=(), hint="mend it like this")
    (problem,) = error.value.problems
    assert "no/where" in problem.message
    assert problem.hint == "mend it like this"


def test_loop_through_a_folder_outside(tmp_path: Path) -> None:
    entry = plant(tmp_path / "entry", "a.py")
    plant(tmp_path / "outside", "b.py")
    (entry / "out").symlink_to("../outside")
    (tmp_path / "outside" / "back").symlink_to("../entry")
    assert problems(entry) == [(Code.LINK_LOOP, "out/back")]
    assert names(entry, ["back"]) == ["a.py", "out/b.py"]


def test_loop_inside_what_is_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "vendor/keep.py", "vendor/drop.py")
    (tmp_path / "vendor" / "self").symlink_to(".")
    (tmp_path / "vendor" / "gone").symlink_to("nowhere")
    assert names(tmp_path, ["vendor/"], include=["vendor/keep.py"]) == ["vendor/keep.py"]


def test_entry_that_is_gone(tmp_path: Path) -> None:
    assert problems(tmp_path / "gone") == [(Code.UNUSABLE_FILE, ".")]


def test_without_permission(tmp_path: Path) -> None:
    plant(tmp_path, "fine", "secret", "closed/x", "listed/x")
    (tmp_path / "to-closed").symlink_to("closed/x")
    (tmp_path / "secret").chmod(0)
    if os.access(tmp_path / "secret", os.R_OK):
        pytest.skip("we may read everything: we are root")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "listed").chmod(0o444)
    try:
        expected = ["closed", "listed/x", "secret", "to-closed"]
        assert problems(tmp_path) == [(Code.UNUSABLE_FILE, path) for path in expected]
        left = ["secret", "closed", "listed", "to-closed"]
        assert names(tmp_path, left) == ["fine"]
        assert names(tmp_path, left, include=["closed/*.py"]) == ["fine"]
    finally:
        (tmp_path / "closed").chmod(0o755)
        (tmp_path / "listed").chmod(0o755)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    entry = plant(tmp_path / "entry", *FOREST)
    (entry / "link").symlink_to("doc")
    before = snapshot(entry)
    copy(scan(entry, exclude=DEFAULT_EXCLUDES, include=["x"]), tmp_path / "copy")
    assert snapshot(entry) == before


# --- copies


def test_copies_are_real_and_have_the_permissions_of_lambda(tmp_path: Path) -> None:
    entry = plant(tmp_path / "entry", "a.py", "bin/run", "sub/b.py")
    (entry / "bin" / "run").chmod(0o700)
    (entry / "a.py").chmod(0o600)
    (entry / "link").symlink_to("sub")
    copy(scan(entry, exclude=()), tmp_path / "copy")
    copied = tmp_path / "copy"
    assert names(copied) == ["a.py", "bin/run", "link/b.py", "sub/b.py"]
    assert not (copied / "link").is_symlink()
    modes = {path: (copied / path).stat().st_mode & 0o777 for path in names(copied)}
    assert modes == {"a.py": 0o644, "bin/run": 0o755, "link/b.py": 0o644, "sub/b.py": 0o644}
    (copied / "a.py").write_text("changed")
    assert (entry / "a.py").read_text() == "a.py"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (0o644, 0o644),
        (0o600, 0o644),
        (0o755, 0o755),
        (0o700, 0o755),
        (0o655, 0o644),
        (0o444, 0o644),
        (0o500, 0o755),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_file_mode(tmp_path: Path, given: int, wanted: int) -> None:
    file = tmp_path / "x"
    file.touch()
    file.chmod(given)
    assert file_mode(file) == wanted


def test_links_that_hooks_make_become_copies(tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", "a.py", "sub/b.py", "sub/__pycache__/b.pyc", "one.py")
    staged = plant(tmp_path / "staged", "x.py", "real/y.py")
    (staged / "package").symlink_to(outside)
    (staged / "one.py").symlink_to(outside / "one.py")
    (staged / "real" / "again").symlink_to("../package/sub")
    left = scan(staged, exclude=HOOK_LEFTOVERS)
    contents = {path: source.read_text() for path, source in left.items()}
    before = snapshot(outside)
    detach(left, staged)
    assert {path: (staged / path).read_text() for path in left} == contents
    assert list(contents) == [
        *(
            "one.py",
            "package/a.py",
            "package/one.py",
            "package/sub/b.py",
            "real/again/b.py",
            "real/y.py",
            "x.py",
        )
    ]
    assert not [path for path in staged.rglob("*") if path.is_symlink()]
    (staged / "package" / "sub" / "b.py").write_text("changed")
    assert snapshot(outside) == before


# --- sources and dependencies


def owner(path: str) -> str:
    return f"the distribution of {path}"


def together(tmp_path: Path, sources: Mapping[str, str], dependencies: Mapping[str, str]) -> None:
    ours = plant(tmp_path / "sources", **sources)
    hashes = {path: sha256(content.encode()).hexdigest() for path, content in dependencies.items()}
    check_collisions(scan(ours, exclude=()), hashes, folders_of(dependencies), owner)


def collisions(
    tmp_path: Path, sources: Mapping[str, str], dependencies: Mapping[str, str]
) -> list[tuple[str, str]]:
    with pytest.raises(BundleError) as error:
        together(tmp_path, sources, dependencies)
    assert {problem.code for problem in error.value.problems} == {Code.FILE_COLLISION}
    return [(problem.where.file or "", problem.message) for problem in error.value.problems]


def test_what_can_share_a_folder(tmp_path: Path) -> None:
    together(tmp_path, {"b": "1", "ns/__init__.py": "same"}, {"a": "2", "ns/__init__.py": "same", "ns/x": ""})


def test_nothing_is_in_the_way_of_nothing(tmp_path: Path) -> None:
    check_collisions(scan(plant(tmp_path, "a"), exclude=()), {}, {}, owner)
    check_collisions({}, {"a": "0" * 64, "b/c": "1" * 64}, folders_of(["b/c"]), owner)


def test_every_folder_above_a_file() -> None:
    assert folders_of(["a", "b/c", "b/d/e/f"]).keys() == {"b", "b/d", "b/d/e"}
    assert folders_of(["b/d/e/f"]) == dict.fromkeys(["b", "b/d", "b/d/e"], "b/d/e/f")


def test_files_that_differ(tmp_path: Path) -> None:
    assert collisions(tmp_path, {"a": "1", "b/c": "xx", "d": ""}, {"a": "2", "b/c": "x", "d": ""}) == [
        ("a", "the sources and the distribution of a both bring this file, and they differ"),
        ("b/c", "the sources and the distribution of b/c both bring this file, and they differ"),
    ]


def test_file_against_folder(tmp_path: Path) -> None:
    assert collisions(tmp_path, {"a": "1", "b/c": "2", "d": "3"}, {"a/x/y": "1", "b": "2", "dd": "3"}) == [
        ("a", "this is a file of the sources, and a folder that the distribution of a/x/y brings"),
        ("b", "this is a folder of the sources, and a file that the distribution of b brings"),
    ]
