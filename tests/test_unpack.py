from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path

import pytest
from wheelhouse import Wheelhouse, elf

from lambda_bundle.errors import BundleError, Code
from lambda_bundle.installed import distributions
from lambda_bundle.unpack import unpack

INFO = "pkg-1.0.dist-info"
PLACES = {
    "pkg/__init__.py": "pkg/__init__.py",
    "pkg-1.0.data/purelib/pkg/pure.py": "pkg/pure.py",
    "pkg-1.0.data/platlib/pkg/plat.py": "pkg/plat.py",
    "pkg-1.0.data/data/etc/pkg, and more.ini": "etc/pkg, and more.ini",
    "pkg-1.0.data/data/lib/libpkg.so": "lib/libpkg.so",
    "pkg-1.0.data/scripts/tool": "bin/tool",
    "pkg-1.0.data/headers/pkg.h": "include/pkg/pkg.h",
    "pkg.data.py": "pkg.data.py",
    f"{INFO}/licenses/LICENSE": f"{INFO}/licenses/LICENSE",
}


def unpacked(wheel: Path, folder: Path) -> set[str]:
    unpack(wheel, folder)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def house(tmp_path: Path) -> Wheelhouse:
    (tmp_path / "house").mkdir()
    return Wheelhouse(tmp_path / "house")


def test_places(house: Wheelhouse, tmp_path: Path) -> None:
    wheel = house.wheel("pkg", files={member: f"content of {member}" for member in PLACES})
    found = unpacked(wheel, tmp_path / "into")
    assert found == {*PLACES.values(), *(f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD"))}
    for member, path in PLACES.items():
        assert (tmp_path / "into" / path).read_text() == f"content of {member}"


def test_record_says_where_the_files_are(house: Wheelhouse, tmp_path: Path) -> None:
    unpack(house.wheel("pkg", files=dict.fromkeys(PLACES, "x")), tmp_path)
    (found,) = distributions(tmp_path)
    assert set(found.files) == {
        *PLACES.values(),
        *(f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
    }
    with (tmp_path / INFO / "RECORD").open(newline="") as file:
        sizes = {row[0]: row[2] for row in csv.reader(file)}
    assert (sizes["bin/tool"], sizes[f"{INFO}/RECORD"]) == ("1", "")


def test_permissions(house: Wheelhouse, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "pkg/run": elf("x86_64"),
        "pkg/data": "",
        "pkg-1.0.data/scripts/run": elf("x86_64"),
    }
    wheel = house.wheel("pkg", files=files, executable=["pkg/run"])
    unpack(wheel, tmp_path)
    modes = {path: (tmp_path / path).stat().st_mode & 0o777 for path in ("pkg/run", "pkg/data", "bin/run")}
    assert modes == {"pkg/run": 0o755, "pkg/data": 0o644, "bin/run": 0o644}


def test_link_is_no_program(house: Wheelhouse, tmp_path: Path) -> None:
    wheel = house.wheel("pkg")
    with zipfile.ZipFile(wheel, "a") as archive:
        link = zipfile.ZipInfo("pkg/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("pkg/folder/", "")
    unpack(wheel, tmp_path)
    assert (tmp_path / "pkg" / "link").read_text() == "/etc/passwd"
    assert not (tmp_path / "pkg" / "link").is_symlink()
    assert not (tmp_path / "pkg" / "link").stat().st_mode & 0o100


def test_later_wheel_replaces_the_files_of_an_earlier(house: Wheelhouse, tmp_path: Path) -> None:
    for name in ("a", "b"):
        wheel = house.wheel(
            name, files={"shared.py": name, f"{name}.py": ""}, executable=["shared.py"] if name == "a" else []
        )
        unpack(wheel, tmp_path)
    assert (tmp_path / "shared.py").read_text() == "b"
    assert not (tmp_path / "shared.py").stat().st_mode & 0o100
    assert {one.name for one in distributions(tmp_path) if "shared.py" in one.files} == {"a", "b"}


BROKEN = {
    "../outside.py": "it has a file called '../outside.py'",
    "pkg/../../outside.py": "it has a file called",
    "/outside.py": "it has a file called '/outside.py'",
    "pkg-1.0.data/data//outside.py": "it has a file called",
    "pkg-1.0.data/data/../outside.py": "it has a file called",
    "pkg-1.0.data/stdlib/x.py": "it has files for 'stdlib', and nobody knows where that is",
}


@pytest.mark.parametrize("member", BROKEN)
def test_wheel_that_cannot_be_unpacked(house: Wheelhouse, tmp_path: Path, member: str) -> None:
    wheel = house.wheel("pkg", files={member: ""})
    with pytest.raises(BundleError, match=re.escape(BROKEN[member])) as caught:
        unpack(wheel, tmp_path / "into")
    (problem,) = caught.value.problems
    assert problem.code is Code.COMMAND_FAILED
    assert problem.message.startswith(f"{wheel.name} cannot be unpacked: ")
    assert not list(tmp_path.rglob("outside.py"))


def test_not_a_zip_file(tmp_path: Path) -> None:
    wheel = tmp_path / "pkg-1.0-py3-none-any.whl"
    wheel.write_text("<html>")
    with pytest.raises(BundleError, match="it is not a zip file"):
        unpack(wheel, tmp_path / "into")


def test_zip_file_that_is_no_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pkg/vendored-1.0.dist-info/RECORD", "")
    with pytest.raises(BundleError, match="it has no RECORD"):
        unpack(wheel, tmp_path / "into")
