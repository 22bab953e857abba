from __future__ import annotations

import hashlib
import json
import os
import pickle
import string
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.reqfile import read
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Options, Requirements

MARKERS = Target("python3.13", "arm64").markers
DIGEST, OTHER = "a" * 64, "b" * 64
HASH, OTHER_HASH = f"--hash=sha256:{DIGEST}", f"--hash=sha256:{OTHER}"
WHEEL = "Six_Pack-1.0-py3-none-any.whl"
EVERY_OPTION = Options(
    index_url="https://example.com/simple",
    extra_index_urls=("https://example.org/a", "https://example.org/b"),
    find_links=("https://example.com/links", "{folder}/wheels", "/srv/wheels", "file:///srv/wheels"),
    no_index=True,
    pre=True,
    trusted_hosts=("example.com", "example.org:8080"),
    require_hashes=True,
)


def read_in(folder: Path, environ: Mapping[str, str] | None = None) -> Requirements:
    return read(
        folder / "requirements.txt",
        markers=MARKERS,
        environ=environ or {},
        shown=lambda path: path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path),
        resolve=lambda base, text: Path(os.path.normpath(base / text)),
    )


def read_text(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> Requirements:
    data = text.encode() if isinstance(text, str) else text
    (folder / "requirements.txt").write_bytes(data)
    return read_in(folder, environ)


def problems_in(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> list[Problem]:
    with pytest.raises(BundleError) as caught:
        read_text(folder, text, environ)
    return list(caught.value.problems)


def said(problem: Problem) -> str:
    return f"{problem.message} {problem.hint} {problem.where}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a wheel, whose content does not matter, in several places."""
    for name in (WHEEL, f"wheels/{WHEEL}", f"my wheels/{WHEEL}", "c#/b-1+local-py3-none-any.whl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lib").mkdir()
    return tmp_path


LINES = {
    "name": ("requests", "requests"),
    "normalized": ("Ruamel_YAML.clib", "ruamel-yaml-clib"),
    "specifier": ("requests >= 2, < 3", "requests<3,>=2"),
    "parentheses": ("requests (>=2)", "requests>=2"),
    "arbitrary equality": ("requests===2.0", "requests===2.0"),
    "extras": ("requests[Socks, use_chardet]~=2.1", "requests[socks,use-chardet]~=2.1"),
    "no extras": ("requests[]", "requests"),
    "comment": ("requests # as always", "requests"),
    "comment line": ("# requests", None),
    "blank": ("  \t", None),
    "marker that holds": ('requests==2; python_version >= "3.9" and sys_platform == "linux"', "requests==2"),
    "marker that does not": ('requests==2 ; platform_machine == "x86_64"', None),
    "marker of an extra": ('requests ; extra == "test"', None),
    "empty marker": ("requests ;", "requests"),
    "option of a build": ('requests -C a=b --global-option="x y" --config-setting c=d', "requests"),
    "hash in a URL": (
        f"a @ https://example.com/a-1-py3-none-any.whl#sha256={DIGEST} # why",
        f"a @ https://example.com/a-1-py3-none-any.whl#sha256={DIGEST}",
    ),
    "named URL": (
        "Six-Pack[x] @ https://example.com/six_pack-1-py3-none-any.whl",
        "six-pack[x] @ https://example.com/six_pack-1-py3-none-any.whl",
    ),
    "URL with a marker": (
        'a @ https://example.com/a-1-py3-none-any.whl; sys_platform == "linux"',
        "a @ https://example.com/a-1-py3-none-any.whl",
    ),
    "URL with a semicolon": (
        "https://example.com/a;b/a-1-py3-none-any.whl ;",
        "a @ https://example.com/a;b/a-1-py3-none-any.whl",
    ),
    "URL with a query": (
        "HTTPS://example.com/a-1-py3-none-any.whl?key=1;2#egg=a",
        "a @ HTTPS://example.com/a-1-py3-none-any.whl?key=1;2#egg=a",
    ),
    "URL with extras": (
        "https://example.com/a-1-py3-none-any.whl[x]",
        "a[x] @ https://example.com/a-1-py3-none-any.whl",
    ),
    "URL with escapes": (
        "https://example.com/a-1%2Blocal-py3-none-any.whl",
        "a @ https://example.com/a-1%2Blocal-py3-none-any.whl",
    ),
    "URL of no name and a false marker": ('git+https://example.com/a ; sys_platform == "win32"', None),
    "folder with a false marker": ('./lib; sys_platform == "win32"', None),
    "missing wheel with a false marker": ('./gone-1-py3-none-any.whl; os_name == "nt"', None),
    "wheel beside": (WHEEL, "six-pack @ {folder}/Six_Pack-1.0-py3-none-any.whl"),
    "wheel below": (f"wheels/{WHEEL}", f"six-pack @ {{folder}}/wheels/{WHEEL}"),
    "wheel with extras": (f"./wheels/{WHEEL} [b,a]", f"six-pack[a,b] @ {{folder}}/wheels/{WHEEL}"),
    "wheel from Windows": (f".\\wheels\\{WHEEL}", f"six-pack @ {{folder}}/wheels/{WHEEL}"),
    "wheel and marker": (f"./{WHEEL};os_name=='posix'", f"six-pack @ {{folder}}/{WHEEL}"),
    "wheel with a fragment": (
        f"./{WHEEL}#sha256={DIGEST}",
        f"six-pack @ {{folder}}/{WHEEL}#sha256={DIGEST}",
    ),
    "wheel in odd folders": (
        "c#/b-1+local-py3-none-any.whl",
        "b @ {folder}/c%23/b-1%2Blocal-py3-none-any.whl",
    ),
    "wheel behind a space": (f"./my wheels/{WHEEL}", f"six-pack @ {{folder}}/my%20wheels/{WHEEL}"),
    "wheel behind a name": (f"six.pack @ wheels/{WHEEL}", f"six-pack @ {{folder}}/wheels/{WHEEL}"),
    "absolute wheel": (f"{{path}}/{WHEEL}", f"six-pack @ {{folder}}/{WHEEL}"),
    "file URL": (f"{{folder}}/my%20wheels/{WHEEL}", f"six-pack @ {{folder}}/my%20wheels/{WHEEL}"),
    "file URL with a host": (
        f"six-pack @ file://localhost{{path}}/{WHEEL}",
        f"six-pack @ {{folder}}/{WHEEL}",
    ),
    "relative file URL": (f"file:wheels/{WHEEL}", f"six-pack @ {{folder}}/wheels/{WHEEL}"),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES.keys())
def test_a_line(folder: Path, text: str, expected: str | None) -> None:
    text = text.replace("{folder}", folder.as_uri()).replace("{path}", str(folder))
    found = read_text(folder, text)
    wanted = [expected.replace("{folder}", folder.as_uri())] if expected else []
    assert [requirement.line for requirement in found.requirements] == wanted
    assert found.constraints == ()


SOURCES: dict[str, tuple[str, dict[str, object]]] = {
    "folder": ("./lib", {"folder": "lib"}),
    "this folder": (".", {"folder": ""}),
    "folder without a dot": ("lib/", {"folder": "lib"}),
    "folder from Windows": (".\\lib", {"folder": "lib"}),
    "folder with extras": ("./lib[B,a]", {"folder": "lib", "extras": ("a", "b")}),
    "folder and marker": ("./lib ; os_name == 'posix'", {"folder": "lib"}),
    "folder with a space": ("./my wheels", {"folder": "my wheels"}),
    "folder with a hash sign": ("./c#", {"folder": "c#"}),
    "folder in a folder": ("./c#/..#subdirectory=./lib/", {"folder": "lib"}),
    "folder behind a name": ("My.Lib @ file:lib", {"name": "my-lib", "folder": "lib"}),
    "folder at a URL": (
        "my-lib[x] @ {folder}/my%20wheels",
        {"name": "my-lib", "folder": "my wheels", "extras": ("x",)},
    ),
    "folder of that name": ("./lib#egg=My.Lib[x]", {"name": "my-lib", "folder": "lib", "extras": ("x",)}),
    "editable": ("-e ./lib", {"folder": "lib"}),
    "editable that looks like a name": ("-e lib", {"folder": "lib"}),
    "editable that looks like a name with extras": (
        "--editable lib[test]",
        {"folder": "lib", "extras": ("test",)},
    ),
    "editable at a URL of its own": ("-e file:lib", {"folder": "lib"}),
    "folder at a URL of its own": ("file:lib", {"folder": "lib"}),
    "editable with extras": ("-e./lib[test]", {"folder": "lib", "extras": ("test",)}),
    "editable in quotation marks": ("-e './my wheels' # why", {"folder": "my wheels"}),
    "editable with a marker": ("--editable=./lib ; os_name == 'posix'", {"folder": "lib"}),
    "editable behind an option": ("--pre -e ./lib", {"folder": "lib"}),
    "editable at a URL": ("-e {folder}/lib#egg=a", {"folder": "lib", "name": "a"}),
    "sdist": ("./a-1.tar.gz", {"url": "{folder}/a-1.tar.gz"}),
    "sdist behind a name": ("a @ file:a-1.tar.gz", {"name": "a", "url": "{folder}/a-1.tar.gz"}),
    "sdist at a URL": ("https://example.com/a-1.ZIP?x=1", {"url": "https://example.com/a-1.ZIP?x=1"}),
    "sdist with everything": (
        f"a[x] @ https://example.com/a.tar.gz#egg=b&subdirectory=s/a&sha256={DIGEST}",
        {
            "name": "a",
            "url": "https://example.com/a.tar.gz",
            "extras": ("x",),
            "subdirectory": "s/a",
            "hashes": (f"sha256:{DIGEST}",),
        },
    ),
    "git": ("git+https://example.com/a@v1", {"url": "git+https://example.com/a@v1"}),
    "git behind a name": (
        "A @ git+ssh://git@example.com:22/a.git@main#subdirectory=lib",
        {"name": "a", "url": "git+ssh://git@example.com:22/a.git@main", "subdirectory": "lib"},
    ),
    "git that is editable": (
        "-e git+https://example.com/a@x/y#egg=a[b]&subdirectory=.",
        {"name": "a", "url": "git+https://example.com/a@x/y", "extras": ("b",)},
    ),
    "git that looks like a wheel": (
        "git+https://example.com/a-1-py3-none-any.whl",
        {"url": "git+https://example.com/a-1-py3-none-any.whl"},
    ),
}


@pytest.mark.parametrize(("text", "expected"), SOURCES.values(), ids=SOURCES.keys())
def test_what_has_to_be_built(folder: Path, text: str, expected: dict[str, object]) -> None:
    (folder / "a-1.tar.gz").touch()
    found = read_text(folder, text.replace("{folder}", folder.as_uri()))
    (source,) = found.sources
    wanted: dict[str, object] = {"name": None, "extras": (), "hashes": (), "subdirectory": None, **expected}
    if "folder" in wanted:
        wanted["folder"] = Path(folder, str(wanted["folder"]))
        wanted.pop("subdirectory")
    if "url" in wanted:
        wanted["url"] = str(wanted["url"]).replace("{folder}", folder.as_uri())
    assert {key: getattr(source, key) for key in wanted} == wanted
    assert (source.folder is None) != (source.url is None)
    assert source.where.line == 1
    assert found.requirements == ()


def test_sources_whose_marker_does_not_hold(folder: Path) -> None:
    found = read_text(folder, "./lib; os_name == 'nt'\n-e ./gone ; os_name == 'nt'\n-e ./lib\n./lib")
    assert [(source.folder, source.where.line) for source in found.sources] == [
        (folder / "lib", 3),
        (folder / "lib", 4),
    ]


JOINED = {
    "carriage returns": ("a\r\n\r\nb\r\n", {"a": 1, "b": 3}),
    "byte order mark": ("\ufeffa\nb", {"a": 1, "b": 2}),
    "coding line": ("# -*- coding: utf-8 -*-\na  # über", {"a": 2}),
    "continued": ("a\\\n>=1\\\n,<2\nb", {"a<2,>=1": 1, "b": 4}),
    "continued to the end": ("a\\\n", {"a": 1}),
    "comment ends a continued line": ("a \\\n  # why \\\nb", {"a": 1, "b": 3}),
    "comment swallows a continued line": ("a # why \\\nb\nc", {"a": 1, "c": 3}),
    "blank ends a continued line": ("a \\\n\nb", {"a": 1, "b": 3}),
}


@pytest.mark.parametrize(("text", "expected"), JOINED.values(), ids=JOINED.keys())
def test_lines_are_joined_and_counted(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    found = read_text(tmp_path, text).requirements
    assert {requirement.line: requirement.where.line for requirement in found} == expected
    assert {requirement.where.file for requirement in found} == {"requirements.txt"}


HASHES = {
    "each way to write one": (
        f"a==1 {HASH} \\\n    --hash sha256:{OTHER.upper()}\nb === 2.0 {HASH}",
        {"a": (f"sha256:{DIGEST}", f"sha256:{OTHER}"), "b": (f"sha256:{DIGEST}",)},
    ),
    "stronger": (f"a==1 --hash=sha512:{'0' * 128}", {"a": (f"sha512:{'0' * 128}",)}),
    "in a URL and behind it": (
        f"a @ https://example.com/a-1-py3-none-any.whl#egg=a&sha256={OTHER} {HASH} {HASH}",
        {"a": (f"sha256:{DIGEST}", f"sha256:{OTHER}")},
    ),
    "asked for": (
        f"--require-hashes\nhttps://example.com/a-1-py3-none-any.whl#sha256={DIGEST}",
        {"a": (f"sha256:{DIGEST}",)},
    ),
    "on a line that is dropped": (f"a==1 {HASH}\nb; os_name == 'nt'", {"a": (f"sha256:{DIGEST}",)}),
}


@pytest.mark.parametrize(("text", "expected"), HASHES.values(), ids=HASHES.keys())
def test_hashes(tmp_path: Path, text: str, expected: dict[str, tuple[str, ...]]) -> None:
    found = read_text(tmp_path, text)
    assert {requirement.name: requirement.hashes for requirement in found.requirements} == expected
    assert found.options.require_hashes


def test_a_hash_in_a_url_asks_nothing_of_others(tmp_path: Path) -> None:
    found = read_text(tmp_path, f"a @ https://example.com/a-1-py3-none-any.whl#sha256={DIGEST}\nb")
    assert [requirement.hashes for requirement in found.requirements] == [(f"sha256:{DIGEST}",), ()]
    assert not found.options.require_hashes


def test_options(tmp_path: Path) -> None:
    text = f"""
        -i https://example.com/first
        --pypi-url=https://example.com/second
        --index-url https://example.com/simple
        --extra-index-url https://example.org/a --extra-index-url=https://example.org/b
        --extra-index-url https://example.org/a
        -fhttps://example.com/links
        -f wheels
        --find-links="/srv/wheels" --find-links file:///srv/wheels
        --no-index
        --pre
        --trusted-host example.com --trusted-host example.org:8080
        --require-hashes
        --prefer-binary --only-binary :all: --use-feature fast-deps --no-binary :none:
        a==1 {HASH}
    """
    found = read_text(tmp_path, text)
    assert found.options.find_links[1] == str(tmp_path / "wheels")
    links = tuple(link.replace("{folder}", str(tmp_path)) for link in EVERY_OPTION.find_links)
    assert {field: getattr(found.options, field) for field in Options.__slots__} == {
        **{field: getattr(EVERY_OPTION, field) for field in Options.__slots__},
        "find_links": links,
    }


def test_no_options(tmp_path: Path) -> None:
    assert read_text(tmp_path, "").options == Options(
        index_url=None,
        extra_index_urls=(),
        find_links=(),
        no_index=False,
        pre=False,
        trusted_hosts=(),
        require_hashes=False,
    )


def test_nested_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = {
        "sub/base.txt": "b\n-r more.txt\n-f links\n--constraint=../limits.txt",
        "sub/more.txt": "c\n--pre",
        "limits.txt": "z<3\n-r 'sub/of a limit.txt'",
        "sub/of a limit.txt": "d",
        "last.txt": "e",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    top = f"a\n-r sub/base.txt\n-rsub/more.txt\n--requirement={(tmp_path / 'last.txt').as_uri()}\nf"
    found = read_text(tmp_path, top)
    # pip: what a constraints file requires with -r is required; the same line of the same file counts once.
    places = [(one.line, one.where.file, one.where.line) for one in found.requirements]
    assert places == [
        ("a", "requirements.txt", 1),
        ("b", "sub/base.txt", 1),
        ("c", "sub/more.txt", 1),
        ("d", "sub/of a limit.txt", 1),
        ("e", "last.txt", 1),
        ("f", "requirements.txt", 5),
    ]
    assert [(one.line, one.where.file) for one in found.constraints] == [("z<3", "limits.txt")]
    assert found.options.find_links == (str(tmp_path / "sub/links"),)
    assert found.options.pre
    names = [
        "requirements.txt",
        "sub/base.txt",
        "sub/more.txt",
        "limits.txt",
        "sub/of a limit.txt",
        "last.txt",
    ]
    assert [path.resolve() for path in found.files] == [tmp_path / name for name in names]


def test_constraints(folder: Path) -> None:
    (folder / "c.txt").write_text(
        f"a>1 ; os_name == 'nt'\na<2\n./{WHEEL}\nb @ https://example.com/b-1-py3-none-any.whl"
    )
    found = read_text(folder, "a\n-c c.txt")
    assert [one.line for one in found.requirements] == ["a"]
    assert [one.line for one in found.constraints] == [
        "a<2",
        f"six-pack @ {folder.as_uri()}/{WHEEL}",
        "b @ https://example.com/b-1-py3-none-any.whl",
    ]


def test_variables(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("${NAME}==${VERSION}")
    environ = {"NAME": "a", "VERSION": "1", "FILE": "base", "lower": "no", "EMPTY": ""}
    environ |= {"PASS_1": "p%40ss", "HOST": "example.com", "LINK": "https://me:hidden@example.org/w"}
    text = "-r ${FILE}.txt\n-i https://me:${PASS_1}@${HOST}/${lower}/$HOST\n-f ${LINK}"
    found = read_text(tmp_path, text, environ)
    assert [one.line for one in found.requirements] == ["a==1"]
    assert found.options.index_url == "https://me:p%40ss@example.com/${lower}/$HOST"
    assert found.options.find_links == (environ["LINK"],)
    assert found.secrets == {"p%40ss", "p@ss", "hidden"}
    assert "p@ss" not in repr(found)


def test_variables_of_what_does_not_count_need_not_be_set(tmp_path: Path) -> None:
    found = read_text(tmp_path, "a @ https://${NOBODY}/a-1-py3-none-any.whl ; sys_platform == 'win32'\nb")
    assert [one.line for one in found.requirements] == ["b"]


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://example.com/simple", set()),
        ("https://me@example.com/simple", set()),
        ("https://me:@example.com/simple", set()),
        ("https://example.com:8080/simple", set()),
        ("https://:token@example.com/simple", {"token"}),
        ("https://me:a@b@example.com/simple", {"a@b"}),
    ],
)
def test_passwords_are_secrets(tmp_path: Path, url: str, secrets: set[str]) -> None:
    found = read_text(tmp_path, f"--extra-index-url {url}")
    assert found.options.extra_index_urls == (url,)
    assert found.secrets == secrets


INVALID, SOURCE = Code.INVALID_REQUIREMENT, Code.SOURCE_REQUIREMENT
MISSING, UNHASHED = Code.REQUIREMENTS_MISSING, Code.HASH_MISSING
ERRORS: dict[str, tuple[str, Code, int, str]] = {
    # not a requirement
    "one equals sign": ("a\nrequests=2.0", INVALID, 2, "== pins a version: requests==2.0"),
    "no operator": ("requests 2.0", INVALID, 1, "== pins a version: requests==2.0"),
    "swapped operator": ("requests =>2.0", INVALID, 1, "did you mean requests>=2.0?"),
    "no comma": ("requests>=2.0 <3", INVALID, 1, "a comma joins"),
    "caret": ('requests = "^2.0"', INVALID, 1, "no operators here"),
    "command": ("pip install requests", INVALID, 1, "belongs here: requests"),
    "prose": ("!!", INVALID, 1, "a requirement looks like"),
    "slashes as a comment": ("requests>=2 // why", INVALID, 1, "is not a requirement"),
    "only a marker": ("; os_name == 'posix'", INVALID, 1, "is not a requirement"),
    "file without -r": ("a\nsub/base.txt", INVALID, 2, "write -r"),
    "marker": ("requests; python_version > 3", INVALID, 1, "marker"),
    "marker that cannot be compared": ("requests; sys_platform ~= 'linux'", INVALID, 1, "marker"),
    "marker of another kind": ("requests; 'x' in extras", INVALID, 1, "marker"),
    "marker behind an option": (f"a==1 {HASH} ; os_name == 'nt'", INVALID, 1, "before them"),
    # options
    "address with a port that is none": ("-i https://host:port/simple", INVALID, 1, "a port is a number"),
    "address with half of a number": ("-i https://[::1/simple", INVALID, 1, "cannot be understood"),
    "index of another kind": ("\n--extra-index-url git://host/x", INVALID, 2, "it begins with https://"),
    "variables of an address that are not set": (
        "\n--extra-index-url https://me:${NOBODY}@${NOWHERE}/simple",
        Code.VARIABLE_MISSING,
        2,
        "NOBODY, NOWHERE are not set, or empty",
    ),
    "variable of a URL that is not set": (
        "a @ https://${NOBODY}/a.whl",
        Code.VARIABLE_MISSING,
        1,
        "NOBODY is not set",
    ),
    "variable that is not set": ("a==${NOBODY} # x", INVALID, 1, "NOBODY is empty or not set"),
    "unknown option": ("\n--find-link x", INVALID, 2, 'did you mean "--find-links"?'),
    "one dash": ("-no-index", INVALID, 1, 'did you mean "--no-index"?'),
    "option of the command line": ("--quiet", INVALID, 1, "--quiet"),
    "option that would undo hashes": ("--no-require-hashes", INVALID, 1, "give every requirement"),
    "flag with a value": ("--pre=yes", INVALID, 1, "takes none"),
    "no value": ("-i", INVALID, 1, "-i"),
    "empty value": ("--index-url=", INVALID, 1, "--index-url"),
    "open quotation mark": ("-f 'wheels", INVALID, 1, "quotation"),
    "words behind options": ("-r x.txt\n--pre yes", INVALID, 2, "goes on"),
    "option behind a requirement": ("a --no-index", INVALID, 1, "--no-index"),
    "hash on a line of its own": (f"a==1\n  {HASH}", INVALID, 2, "backslash"),
    "short hash": ("a==1 --hash=sha256:abc", INVALID, 1, "digest"),
    "weak hash": ("a==1 --hash=md5:" + "0" * 32, INVALID, 1, "sha512"),
    "bad hash in a URL": ("https://example.com/a-1-py3-none-any.whl#sha256=1", INVALID, 1, "digest"),
    # files
    "missing file": ("a\n-r base.txt", MISSING, 2, "base.txt does not exist"),
    "missing constraints": ("a\n\n-c base.txt", MISSING, 3, "base.txt does not exist"),
    "folder for a file": ("-r lib", MISSING, 1, "lib is a folder"),
    "file that includes itself": ("-r ./requirements.txt", INVALID, 1, "includes itself"),
    "file at a URL": ("-r https://example.com/base.txt", INVALID, 1, "download it"),
    # wheels
    "missing wheel": ("./gone-1-py3-none-any.whl", MISSING, 1, "gone-1-py3-none-any.whl does not exist"),
    "missing wheel by name": ("a @ file:///a-1-py3-none-any.whl", MISSING, 1, "does not exist"),
    "wheel on a drive": ("C:\\w\\a-1-py3-none-any.whl", MISSING, 1, "C:/w/a-1-py3-none-any.whl"),
    "wheel on a share": ("file://nas/w/a-1-py3-none-any.whl", MISSING, 1, "//nas/w/a-1-py3-none-any.whl"),
    "wheel with a long name": (f"./a-{'1' * 300}-py3-none-any.whl", MISSING, 1, "does not exist"),
    "bad wheel name": ("./a-1.whl", INVALID, 1, "name-version-"),
    "bad wheel name in a URL": ("a @ https://example.com/a.whl", INVALID, 1, "name-version-"),
    "wheel of something else": ("a @ https://example.com/b-1-py3-none-any.whl", INVALID, 1, "a wheel of b"),
    "scheme": ("s3://example/a-1-py3-none-any.whl", INVALID, 1, "neither http"),
    # sources
    "missing folder": ("./gone", MISSING, 1, "gone does not exist"),
    "missing editable that looks like a name": ("a\n-e gone", MISSING, 2, "gone does not exist"),
    "missing editable": ("a\n-e ./gone", MISSING, 2, "gone does not exist"),
    "missing folder above": ("../gone[x] ; os_name == 'posix'", MISSING, 1, "gone does not exist"),
    "missing folder from Windows": ("gone\\a", MISSING, 1, "gone/a does not exist"),
    "missing folder behind a name": ("a @ file:///gone/lib", MISSING, 1, "/gone/lib does not exist"),
    "home": ("~/gone", MISSING, 1, "~/gone does not exist"),
    "missing sdist": ("a-1.tar.gz", MISSING, 1, "a-1.tar.gz does not exist"),
    "file of another kind": ("./x.txt2", SOURCE, 1, "neither a wheel nor a source archive"),
    "page": ("https://example.com/a", SOURCE, 1, "neither a wheel nor a source archive"),
    "other version control": ("hg+https://example.com/a@v1", SOURCE, 1, "only git"),
    "git as people copy it": ("git@example.com:a/b", INVALID, 1, "git+ssh://git@host/path"),
    "git with two colons": ("git+ssh://git@example.com:a/b", INVALID, 1, "git+ssh://git@host/path"),
    "subdirectory outside": ("git+https://example.com/a#subdirectory=../b", INVALID, 1, "outside"),
    "archive with another scheme": ("s3://example/a-1.tar.gz", INVALID, 1, "neither http"),
    "no wheels": ("--no-binary :all:", SOURCE, 1, 'sdists = ["name"]'),
    "no wheels of one": ("--no-binary=a,b", SOURCE, 1, "--no-binary=a,b"),
    # hash mode
    "no hash": (f"a==1 {HASH}\nb==1", UNHASHED, 2, "b has no hash"),
    "no hash for a URL": (
        f"a==1 {HASH}\nhttps://example.com/b-1-py3-none-any.whl",
        UNHASHED,
        2,
        "b has no hash",
    ),
    "hash of a range": (f"a>=1 {HASH}", UNHASHED, 1, "a is not pinned"),
    "hash of a series": (f"a==1.* {HASH}", UNHASHED, 1, "a is not pinned"),
    "hash of two conditions": (f"a==1,!=2 {HASH}", UNHASHED, 1, "a is not pinned"),
    "no hash of an archive": (f"a==1 {HASH}\nb @ https://example.com/b-1.zip", UNHASHED, 2, "b has no hash"),
    "hashes asked for": ("a==1\n--require-hashes", UNHASHED, 1, "a has no hash"),
    "hash on a line that is dropped": (f"a==1\nb==1; os_name == 'nt' {HASH}", UNHASHED, 1, "a has no hash"),
}


@pytest.mark.parametrize(("text", "code", "line", "word"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error(folder: Path, text: str, code: Code, line: int, word: str) -> None:
    for name in ("x.txt", "x.txt2"):
        (folder / name).touch()
    (problem,) = problems_in(folder, text)
    assert (problem.code, problem.where.file, problem.where.line) == (code, "requirements.txt", line)
    assert word in f"{problem.message} {problem.hint}"


CONSTRAINT_ERRORS = {
    "extras": ("a[x]<2", INVALID, "extras"),
    "editable": ("-e .", SOURCE, "source"),
    "no name": (".", SOURCE, "source"),
    "git": ("a @ git+https://example.com/a", SOURCE, "source"),
}


@pytest.mark.parametrize(("text", "code", "word"), CONSTRAINT_ERRORS.values(), ids=CONSTRAINT_ERRORS.keys())
def test_an_error_in_constraints(tmp_path: Path, text: str, code: Code, word: str) -> None:
    (tmp_path / "c.txt").write_text(f"b\n{text}")
    (problem,) = problems_in(tmp_path, "a\n-c c.txt")
    assert (problem.code, problem.where.file, problem.where.line) == (code, "c.txt", 2)
    assert word in problem.message


def test_a_loop_of_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_text("\n-r ../b.txt")
    (tmp_path / "b.txt").write_text("b\n-r sub/a.txt")
    (problem,) = problems_in(tmp_path, "-r b.txt\n-r b.txt")
    assert problem.code is INVALID
    assert (problem.where.file, problem.where.line) == ("sub/a.txt", 2)


def test_a_missing_first_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_in(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where.file, problem.where.line) == (MISSING, "requirements.txt", None)


@pytest.mark.parametrize("data", [b"a\nb\xe4", b"\xef\xbb\xbfa\n\xe4", "a\nb".encode("utf-16"), b"a\n\0b\0"])
def test_other_encodings(tmp_path: Path, data: bytes) -> None:
    (problem,) = problems_in(tmp_path, data)
    assert problem.code is INVALID
    assert problem.where.line == (1 if data.startswith(b"\xff") else 2)
    assert problem.message.endswith(
        "holds a zero byte" if data.endswith(b"b\0") and data[0] == 97 else "is not UTF-8"
    )


def test_every_problem_at_once(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("b=1\n-c gone.txt")
    found = problems_in(
        tmp_path, f"a=1\n-r base.txt\n-e hg+https://example.com/a\nc==1 {HASH}\nd\n-r base.txt"
    )
    assert [(problem.code, problem.where.file, problem.where.line) for problem in found] == [
        (INVALID, "requirements.txt", 1),
        (INVALID, "base.txt", 1),
        (MISSING, "base.txt", 2),
        (SOURCE, "requirements.txt", 3),
        (UNHASHED, "requirements.txt", 5),
    ]


def test_values_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    found = read_text(tmp_path, f"-i https://me:secret@example.com\na[x]==1 {HASH}")
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own bytes


WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=6)
SPECIFIERS = st.sampled_from(["", "==1.0", ">=2", "<3,>=2", "~=1.4", "===1.0"])
NAMES = st.builds("{}{}".format, WORDS, st.sampled_from(["", "[x]", "[x,y]"]))
REQUIREMENTS = st.builds("{}{}".format, NAMES, SPECIFIERS)
ABOVE = st.sampled_from(["", "\n", "# why\n", "   # b==1 \\\n", "\t\n\n"])
BREAKS = st.sampled_from(["", "\\\n", " \\\n  "])
BEHIND = st.sampled_from(["", "  ", " # why", "\t# b", " ; sys_platform == 'linux'", ";os_name=='posix' # x"])


@st.composite
def rendered(draw: st.DrawFn) -> tuple[dict[str, str], list[tuple[str, str, int]]]:
    """Two files, the second with the first in its first line, and each requirement with its place."""
    texts, expected = {}, []
    for file, text in (("more.txt", ""), ("requirements.txt", "-r more.txt\n")):
        for name, specifier in draw(st.lists(st.tuples(NAMES, SPECIFIERS), max_size=4)):
            text += draw(ABOVE)  # noqa: PLW2901 - it grows
            expected.append((name + specifier, file, text.count("\n") + 1))
            text += f"{name}{draw(BREAKS)}{specifier}{draw(BEHIND)}\n"  # noqa: PLW2901
        texts[file] = text
    return texts, expected


@given(rendered())
def test_comments_continuations_and_nesting_change_nothing(
    case: tuple[dict[str, str], list[tuple[str, str, int]]],
) -> None:
    texts, expected = case
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "more.txt").write_text(texts["more.txt"])
        found = read_text(Path(name), texts["requirements.txt"])
    assert [(one.line, one.where.file, one.where.line) for one in found.requirements] == expected


@given(st.lists(st.tuples(REQUIREMENTS, st.booleans())))
def test_only_lines_whose_marker_holds_appear(lines: list[tuple[str, bool]]) -> None:
    text = "\n".join(f"{line}; platform_machine {'=' if on else '!'}= 'aarch64'" for line, on in lines)
    with tempfile.TemporaryDirectory() as name:
        found = read_text(Path(name), text)
    assert [one.line for one in found.requirements] == [line for line, on in lines if on]


SPOILED = st.sampled_from([text for text, _, line, _ in ERRORS.values() if line == 1 and "\n" not in text])


@given(st.lists(REQUIREMENTS, max_size=6), st.data())
def test_a_spoiled_line_is_reported_with_its_number(lines: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(lines)))
    spoiled = data.draw(SPOILED.filter(lambda text: "--hash" not in text))
    with tempfile.TemporaryDirectory() as name:
        (problem,) = problems_in(Path(name), "\n".join([*lines[:index], spoiled, *lines[index:]]))
    assert (problem.where.file, problem.where.line) == ("requirements.txt", index + 1)


WITH_CREDENTIALS = st.sampled_from(
    [
        "hg+https://me:{}@example.com/a",
        "a @ hg+https://{}@example.com/a@v1",
        "git+https://me:{}@example.com/a#subdirectory=..",
        "https://me:{}@example.com/a.whl",
        "https://me:x/{}@example.com/a",
        "https://example.com/a?key={}#egg=a",
        "--require-hashes\nhttps://me:{}@example.com/a.zip",
        "--require-hashes\nhttps://example.com/a.zip?key={}",
        "-e hg+https://me:{}@example.com/a#egg=a",
        "-r https://me:{}@example.com/a.txt",
        "-xhttps://me:{}@example.com/a",
        "--indexurl=https://me:{}@example.com/a",
        "--pre https://me:{}@example.com/a",
        "a @ https://me:{}@example.com/a-1-py3-none-any.whl --hash=sha256:x",
        "a @ https://me:{}@example.com/b-1-py3-none-any.whl; x",
        "pip install ://me:{}@example.com a",
        "git+me:{}@example.com/a.git",
        "a @ git+me:{}@example.com/a.git",
        "git+https:/me:{}@example.com/a.git",
        "git+https//me:{}@example.com/a.git",
        "a@me:{}@example.com",
        "me:{}@example.com/a",
        "https//me:{}@example.com/a.whl",
        "https//me:{}@example.com/a-1-py3-none-any.whl",
        "-r https//me:{}@example.com/a.txt",
    ]
)


@given(WITH_CREDENTIALS, st.text(string.ascii_letters + string.digits, min_size=1, max_size=9), st.booleans())
def test_no_error_shows_credentials(template: str, password: str, by_variable: bool) -> None:
    password = f"Qx0{password}"  # what no message of ours has in it
    text = template.format("${TOKEN}" if by_variable else password)
    with tempfile.TemporaryDirectory() as name:
        problems = problems_in(Path(name), text, {"TOKEN": password})
    assert not any(password in said(problem) for problem in problems)


@pytest.mark.parametrize("text", ["=a:", "a:b", "+a:@", "/x:y@", "(a:b)", "?a", "://a"])
def test_hiding_credentials_takes_no_time_whatever_the_line(text: str, tmp_path: Path) -> None:
    began = time.monotonic()
    problems_in(tmp_path, text * 100_000)
    assert time.monotonic() - began < 5


PIECES = st.sampled_from(
    [
        *"ab1 \\/.;#@[]<=~'\"-\n\t:%?&\u2028",
        "==",
        " @ ",
        "https://",
        "file:",
        ".whl",
        "-r ",
        "-e ",
        " --hash=",
        "${A}",
    ]
)


@given(st.lists(PIECES).map("".join))
def test_any_text_is_read_or_refused_with_places(text: str) -> None:
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory() as name:
        try:
            read_text(Path(name), text, {"A": "a"})
        except BundleError as error:
            problems = list(error.problems)
    assert all(problem.where.file and problem.where.line for problem in problems)


def make_wheel(folder: Path, name: str, version: str) -> str:
    """A wheel of three files, and its digest."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pip_takes(folder: Path) -> set[str]:
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--quiet"]
    arguments = ["--dry-run", "--ignore-installed", "--no-index", "-f", "wheels", "-r", "requirements.txt"]
    done = subprocess.run(
        [*command, *arguments, "--report", "-"], cwd=folder, capture_output=True, text=True, check=True
    )
    return {item["metadata"]["name"] for item in json.loads(done.stdout)["install"]}


FOR_PIP = {
    "everything": "\ufeff# -*- coding: utf-8 -*-\r\n"
    "--pre\r\n"
    "alpha == 1.0  # why\r\n"
    "bravo \\\r\n  >=1, \\\r\n  <3 ; python_version >= '3'\r\n"
    "charlie (<2)\r\n"
    "-r sub/more.txt\r\n"
    "-c limits.txt\r\n"
    "./wheels/golf-1.0-py3-none-any.whl\r\n"
    "hotel ; python_version < '3'\r\n",
    "comments": "alpha # x \\\nbravo\ncharlie \\\n # y \\\necho\n  \\\n\ngolf\n",
    "hashes": "alpha==1.0 \\\n  --hash=sha256:{alpha} \\\n  --hash sha256:{golf}\n"
    "golf==1.0 --hash=sha256:{golf}",
}


@pytest.mark.parametrize("text", FOR_PIP.values(), ids=FOR_PIP.keys())
def test_pip_reads_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "sub").mkdir()
    names = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
    digests = {name: make_wheel(tmp_path / "wheels", name, "1.0") for name in names}
    (tmp_path / "sub/more.txt").write_text("delta[x]\n-r ../again.txt\n")
    (tmp_path / "again.txt").write_text("echo~=1.0; os_name != 'none'\n")
    (tmp_path / "limits.txt").write_text("alpha<2\nfoxtrot<2\n")
    for name, digest in digests.items():
        text = text.replace(f"{{{name}}}", digest)
    found = read_text(tmp_path, text)
    assert {one.name for one in found.requirements} == pip_takes(tmp_path)


def test_a_trusted_host_has_no_credentials(tmp_path: Path) -> None:
    """`poetry export --with-credentials` writes some."""
    found = read_text(tmp_path, "--trusted-host me:s3cret@host:80\n--trusted-host host:80\n")
    assert found.options.trusted_hosts == ("host:80",)
