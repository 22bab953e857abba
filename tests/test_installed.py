from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheelhouse import elf

from lambda_bundle.installed import (
    contested,
    distributions,
    record_hash,
    refresh_records,
    tidy,
    write_record,
)

INFO = "pkg-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: Pkg.Name\nVersion: 1.0\nRequires-Python: >=3.8\n\nNot: a header\n"
PROGRAM = elf("x86_64", "program")


def hashed(data: bytes) -> str:
    return f"sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()}"


def install(folder: Path, files: Mapping[str, str | bytes], *, info: str = INFO, prefix: str = "") -> None:
    """Write a distribution as a backend leaves it, with its RECORD."""
    content = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    content.setdefault(f"{info}/METADATA", METADATA.encode())
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    with (folder / info / "RECORD").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerows((f"{prefix}{path}", hashed(data), len(data)) for path, data in content.items())
        rows.writerow((f"{info}/RECORD", "", ""))


def record(folder: Path, info: str = INFO) -> list[list[str]]:
    with (folder / info / "RECORD").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- what is installed


def test_distributions(tmp_path: Path) -> None:
    install(tmp_path, {"pkg.py": "1"})
    install(tmp_path, {f"{'a-2.dist-info'}/METADATA": "Name: a\nVersion: 2\n"}, info="a-2.dist-info")
    (tmp_path / "not.dist-info").touch()
    first, second = distributions(tmp_path)
    assert (first.name, first.version, first.requires_python) == ("a", "2", None)
    assert (second.name, second.version, second.requires_python) == ("pkg-name", "1.0", ">=3.8")
    assert (second.info, second.files["pkg.py"]) == (INFO, hashed(b"1"))
    assert second.files[f"{INFO}/RECORD"] == ""


def test_distribution_that_lacks_its_files(tmp_path: Path) -> None:
    (tmp_path / "Some_Name-1.0.dist-info").mkdir()
    (found,) = distributions(tmp_path)
    assert (found.name, found.version, found.requires_python, found.files) == ("some-name", "", None, {})


RECORD_PATHS = {
    "../../bin/tool": "bin/tool",
    "../../../etc/x": "etc/x",
    "pkg\\sub\\x.py": "pkg/sub/x.py",
    "./pkg/x.py": "pkg/x.py",
    "pkg/../x.py": "x.py",
    "/etc/passwd": "etc/passwd",
    ".hidden/x": ".hidden/x",
    "a, b.txt": "a, b.txt",
}


@pytest.mark.parametrize("path", RECORD_PATHS)
def test_paths_of_record_stay_in_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / INFO).mkdir()
    with (tmp_path / INFO / "RECORD").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([(path,), ()])
    (found,) = distributions(tmp_path)
    assert found.files == {RECORD_PATHS[path]: ""}


def test_contested(tmp_path: Path) -> None:
    for name, content in (("b", "2"), ("a", "1"), ("c", "1")):
        own = {f"{name}.py": "", "same.py": "=", "bin/tool": content, "shared/x.py": content}
        metadata = {f"{name}-1.dist-info/METADATA": f"Name: {name}\nVersion: 1\n"}
        install(tmp_path, own | metadata, info=f"{name}-1.dist-info")
    found = contested(distributions(tmp_path))
    assert {path: [one.name for one in claims] for path, claims in found.items()} == {
        "bin/tool": ["a", "b", "c"],
        "shared/x.py": ["a", "b", "c"],
    }


# --- tidying

LEFT = {
    "data beside the package": "share/pkg/data.txt",
    "a program": "bin/program",
    "a script of a shell": "bin/script",
    "a text that speaks of python": "bin/readme",
    "a header in the package": "pkg/include/pkg.h",
    "something else below include": "include/other/readme.txt",
    "a file with the name of metadata": "pkg/INSTALLER",
    "a lock in the package": "pkg/.lock",
    "its licence": f"{INFO}/licenses/LICENSE",
    "its entry points": f"{INFO}/entry_points.txt",
    "a launcher without a script": "Scripts/program.exe",
}
GONE = {
    "a console script of pip": "bin/pip-console",
    "a console script of uv": "bin/uv-console",
    "a script in Python": "bin/python-script.py",
    "a script for env": "bin/env-script",
    "a script on Windows": "Scripts/console.exe",
    "a header of the project": "include/Pkg_Name/pkg.h",
    "anything in the folder for its headers": "include/pkg-name/sub/pkg.inl",
    "a header of another project": "include/other/other.hpp",
    "bytecode": "pkg/__pycache__/pkg.cpython-311.pyc",
    "who installed it": f"{INFO}/INSTALLER",
    "whether it was asked for": f"{INFO}/REQUESTED",
    "where it came from": f"{INFO}/direct_url.json",
    "a cache key of uv": f"{INFO}/uv_cache.json",
    "a build of uv": f"{INFO}/uv_build.json",
}
CONTENT: dict[str, str | bytes] = {
    "bin/program": PROGRAM,
    "bin/script": "#!/bin/sh\necho python\n",
    "bin/readme": "see #!/usr/bin/python\n",
    "bin/pip-console": "#!/home/me/.venv/bin/python3.11\nimport sys\n",
    "bin/uv-console": "#!/bin/sh\n'''exec' '/home/me/a b/bin/python' \"$0\" \"$@\"\n' '''\nimport sys\n",
    "bin/python-script.py": "#!python\n",
    "bin/env-script": "#!/usr/bin/env python3\n",
    "Scripts/console.exe": b"MZ" + b"\0" * 9000 + b"#!C:\\python.exe\nPK...",
    "Scripts/program.exe": b"MZ" + b"\0" * 9000 + b"#!" + b"\0" * 9000,
}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    install(tmp_path, {path: CONTENT.get(path, "") for path in (*LEFT.values(), *GONE.values())})
    (tmp_path / ".lock").touch(0o666)
    return tmp_path


def test_tidy(installed: Path) -> None:
    tidy(installed)
    assert present(installed) == {*LEFT.values(), f"{INFO}/METADATA", f"{INFO}/RECORD"}
    assert [row[0] for row in record(installed)] == sorted(present(installed))


def test_tidy_leaves_no_empty_folder_of_its_own_making(installed: Path) -> None:
    for path in ("bin/program", "bin/script", "bin/readme", "include/other/readme.txt"):
        (installed / path).unlink()
    tidy(installed)
    assert not (installed / "bin").exists()
    assert not (installed / "include").exists()


def test_tidy_twice_is_tidy_once(installed: Path) -> None:
    tidy(installed)
    before = {path: (installed / path).read_bytes() for path in present(installed)}
    tidy(installed)
    assert before == {path: (installed / path).read_bytes() for path in present(installed)}


def test_programs_can_be_executed_and_nothing_else(installed: Path) -> None:
    tidy(installed)
    executable = {path for path in present(installed) if (installed / path).stat().st_mode & 0o100}
    assert executable == {"bin/program", "bin/script", "bin/readme", "Scripts/program.exe"}


def test_tidy_writes_nothing_into_the_cache_of_a_backend(tmp_path: Path) -> None:
    """uv installs by hard links: what is changed in place changes every later installation."""
    target, cache = tmp_path / "target", tmp_path / "cache"
    install(target, {"bin/program": PROGRAM, "pkg.py": "1"})
    (target / "bin" / "program").chmod(0o644)
    cache.mkdir()
    linked = sorted(path for path in target.rglob("*") if path.is_file())
    before = {}
    for number, path in enumerate(linked):
        os.link(path, cache / str(number))
        before[number] = (path.read_bytes(), path.stat().st_mode)
    tidy(target)
    for number, (content, mode) in before.items():
        assert (cache / str(number)).read_bytes() == content
        assert (cache / str(number)).stat().st_mode == mode


# --- RECORD

NAMES = st.text(st.sampled_from("ab,\"'é #-_."), min_size=1, max_size=6).filter(
    lambda name: name.strip(".") == name
)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=20))


def separate(tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without the files that another one has as its folder."""
    folders = {"/".join(path.split("/")[:depth]) for path in tree for depth in range(1, path.count("/") + 1)}
    return {path: data for path, data in tree.items() if path not in folders}


@given(TREES, st.data())
def test_record_lists_what_is_there(tree: Mapping[str, bytes], data: st.DataObject) -> None:
    files = separate(tree)
    gone = data.draw(st.sets(st.sampled_from(sorted(files)))) if files else set()
    changed = data.draw(st.sets(st.sampled_from(sorted(files)))) if files else set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder, files)
        for path in changed:
            (folder / path).write_bytes(b"changed")
        for path in gone:
            (folder / path).unlink()
        write_record(folder, distributions(folder)[0])
        rows = record(folder)
        assert [row[0] for row in rows] == sorted(present(folder))
        for path, said, size in rows:
            if path == f"{INFO}/RECORD":
                assert (said, size) == ("", "")
            else:
                content = (folder / path).read_bytes()
                assert (said, size) == (hashed(content), str(len(content)))
        assert {file: record_hash(folder / file) for file in files if file not in gone} == {
            row[0]: row[1] for row in rows if row[0] in files
        }


def test_record_is_the_same_whoever_wrote_it(tmp_path: Path) -> None:
    for prefix, order in (("", 1), ("../../", -1)):
        files = dict([("b.py", "2"), ("a, b.py", "1"), ("bin/x", "3")][::order])
        install(tmp_path / str(order), files, prefix=prefix)
        write_record(tmp_path / str(order), distributions(tmp_path / str(order))[0])
    first, second = ((tmp_path / order / INFO / "RECORD").read_bytes() for order in ("1", "-1"))
    assert first == second
    assert b"\r" not in first


def test_refresh_records_after_hooks(tmp_path: Path) -> None:
    install(tmp_path, {"pkg.py": "1", "pkg/big.json": "2", "pkg/kept.py": "3"})
    (tmp_path / "pkg.py").write_text("stripped")
    (tmp_path / "pkg" / "big.json").unlink()
    refresh_records(tmp_path, [INFO, "removed-1.0.dist-info"])
    rows = {row[0]: row[1:] for row in record(tmp_path)}
    assert set(rows) == present(tmp_path)
    assert rows["pkg.py"] == [hashed(b"stripped"), "8"]
