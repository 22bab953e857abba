"""Source distributions in bundles, named or at an address: real builds by the real uv and pip."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from localcode import archive, project, released
from loopback import Index, serving
from wheelhouse import Wheelhouse, elf, sha256
from workbench import both, uv_and_at_length_pip
from workshop import Workshop, wheels

from lambda_bundle.errors import Code


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workshop:
    """A repository with one function, in a place with a space and a letter beyond ASCII in its name."""
    assert wheelhouse.folder.is_dir()
    environ["PIP_CACHE_DIR"] = str(tmp_path / "pip-cache")
    shop = Workshop(tmp_path / "my repository é", environ)
    shop.write({"src/app.py": "def handler(event, context): ...\n"})
    return shop


# --- packages without wheels


@both
def test_named_sdist(backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path) -> None:
    """Of a package that only another one requires; its own dependencies are followed."""
    released(wheelhouse, tmp_path, "old", "1.5", requires=["dep"])
    released(wheelhouse, tmp_path, "old", "3.0")
    wheelhouse.wheel("dep")
    wheelhouse.wheel("top", requires=["old<2"])
    workshop.write({"src/requirements.txt": "top\n"})
    if backend == "uv":  # what is told is the same, and pip takes its time
        workshop.declare({"api": {}})
        (problem,) = workshop.fail()
        assert problem.code is Code.SOURCE_ONLY
        assert 'sdists = ["old"]' in (problem.hint or "")
    workshop.declare({"api": {"backend": backend, "sdists": ["Old"]}})
    found = workshop.build()["api"]
    assert wheels(workshop) == [("dep", "1.0"), ("old", "1.5"), ("top", "1.0")]
    assert found["old/__init__.py"] == b'VERSION = "1.5"\n'
    rows = workshop.manifest
    assert [len(row["sha256"]) for row in rows["api"]["wheels"]] == [64] * 3
    if backend == "pip":
        return  # what follows is the store's business
    workshop.build()
    assert workshop.manifest == rows
    workshop.declare({"api": {"backend": backend}})
    (problem,) = workshop.fail()
    assert problem.code is Code.SOURCE_ONLY, "what was built once is not allowed for ever"


@uv_and_at_length_pip
def test_named_sdists_that_need_each_other(
    backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    released(wheelhouse, tmp_path, "one", requires=["two"])
    released(wheelhouse, tmp_path, "two")
    workshop.write({"src/requirements.txt": "one\n"})
    workshop.declare({"api": {"backend": backend, "sdists": ["one", "two"]}})
    workshop.build()
    assert wheels(workshop) == [("one", "1.0"), ("two", "1.0")]


@both
def test_named_sdist_with_hashes(
    backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    """That with the right one it is built, `test_named_sdist_of_an_index` shows of pip."""
    packed = released(wheelhouse, tmp_path, "old")
    workshop.write({"src/requirements.txt": f"old==1.0 --hash={sha256(packed)}\n"})
    workshop.declare({"api": {"backend": backend, "sdists": ["old"]}})
    if backend == "uv":
        workshop.build()
        assert wheels(workshop) == [("old", "1.0")]
    workshop.write({"src/requirements.txt": f"old==1.0 --hash=sha256:{'0' * 64}\n"})
    (problem,) = workshop.fail()
    assert problem.code is Code.HASH_MISMATCH


@uv_and_at_length_pip
def test_named_sdist_or_wheel(
    backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    """A wheel comes before newer sources, and sources come before wheels for others."""
    mark = tmp_path / "mark"
    released(wheelhouse, tmp_path, "old", "2.0", mark=mark)
    wheelhouse.wheel("old", "1.0")
    released(wheelhouse, tmp_path, "other")
    wheelhouse.wheel("other", tag="cp313-cp313-win_amd64")
    workshop.write({"src/requirements.txt": "old\nother\n"})
    workshop.declare({"api": {"backend": backend, "sdists": ["old", "other"]}})
    assert workshop.build()["api"]["other/__init__.py"] == b'VERSION = "1.0"\n'
    assert wheels(workshop) == [("old", "1.0"), ("other", "1.0")]
    assert not mark.exists()


@uv_and_at_length_pip
def test_named_sdist_that_is_impure_or_fails(
    backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    released(wheelhouse, tmp_path, "fast", tag="cp311-cp311-linux_x86_64")
    workshop.write({"src/requirements.txt": "\nfast\n"})
    workshop.declare({"api": {"backend": backend, "sdists": ["fast"]}})
    (problem,) = workshop.fail()
    assert (problem.code, problem.where.line) == (Code.IMPURE_WHEEL, 2)
    assert problem.message.startswith("fast cannot be built: it is not pure Python")
    released(wheelhouse, tmp_path, "fast", fail="no compiler today")
    (problem,) = workshop.fail()
    assert (problem.code, problem.where.line) == (Code.COMMAND_FAILED, 2)
    assert problem.message.startswith(f"fast cannot be built: {backend} ended with exit code")
    assert "no compiler today" in (problem.detail or "")


def locked(*packages: str) -> str:
    return 'lock-version = "1.0"\ncreated-by = "tests"\n' + "\n".join(packages)


@both
def test_lock_with_an_sdist(backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path) -> None:
    packed = released(wheelhouse, tmp_path, "old", requires=["not-followed"])
    package = (
        '[[packages]]\nname = "old"\nversion = "1.0"\n'
        f'sdist = {{ url = "{packed.as_uri()}", hashes = {{ sha256 = "{sha256(packed)[7:]}" }} }}\n'
    )
    workshop.write({"src/pylock.toml": locked(package)})
    workshop.declare({"api": {"backend": backend}})
    (problem,) = workshop.fail()
    assert problem.code is Code.SOURCE_ONLY
    workshop.declare(
        {"api": {"backend": backend, "sdists": ["old"], "verify.ignore": ["DependencyMissing:*"]}}
    )
    assert workshop.build()["api"]["old/__init__.py"] == b'VERSION = "1.0"\n'
    assert wheels(workshop) == [("old", "1.0")]


@uv_and_at_length_pip
def test_lock_with_a_folder(backend: str, workshop: Workshop) -> None:
    """Nothing is resolved: what it requires is in the lock, or is not wanted."""
    project(workshop.root / "libs/lib", requires=["not-followed", "near @ ../near"])
    package = '[[packages]]\nname = "lib"\ndirectory = { path = "../libs/lib" }\n'
    workshop.write({"src/pylock.toml": locked(package)})
    workshop.declare({"api": {"backend": backend, "verify.ignore": ["DependencyMissing:*"]}})
    workshop.build()
    assert wheels(workshop) == [("lib", "1.0")]


# --- archives and sdists elsewhere


@pytest.mark.parametrize(
    ("backend", "hashed"),
    [("uv", False), ("uv", True), ("pip", True), pytest.param("pip", False, marks=pytest.mark.campaign)],
)
def test_archive_at_a_url(backend: str, hashed: bool, workshop: Workshop, tmp_path: Path) -> None:
    served = Wheelhouse(tmp_path / "served")
    served.folder.mkdir()
    packed = released(served, tmp_path, "far", files={"far.py": "x = 1\n"})
    with serving(Index(folder=served.folder)) as host:
        proof = f" --hash={sha256(packed)}" if hashed else ""
        line = f"--trusted-host {host}\nfar @ http://{host}/files/{packed.name}{proof}\n"
        workshop.write({"src/requirements.txt": line})
        workshop.declare({"api": {"backend": backend}})
        assert workshop.build()["api"]["far.py"] == b"x = 1\n"
        bare = line.replace(proof, "") if proof else line
        changed = f"{bare.rstrip()} --hash=sha256:{'0' * 64}\n"
        workshop.write({"src/requirements.txt": changed})
        (problem,) = workshop.fail()
        assert problem.code is Code.HASH_MISMATCH


@uv_and_at_length_pip
def test_impure_archive_at_a_url(backend: str, workshop: Workshop, tmp_path: Path) -> None:
    served = Wheelhouse(tmp_path / "served")
    served.folder.mkdir()
    tag = f"cp3{sys.version_info.minor}-cp3{sys.version_info.minor}-linux_x86_64"
    packed = released(served, tmp_path, "far", tag=tag, files={"far/_a.so": elf("x86_64")})
    with serving(Index(folder=served.folder)) as host:
        line = f"--trusted-host {host}\nfar @ http://{host}/files/{packed.name}\n"
        workshop.write({"src/requirements.txt": line})
        workshop.declare({"api": {"backend": backend}})
        (problem,) = workshop.fail()
    assert problem.code is Code.IMPURE_WHEEL
    assert "far/_a.so" in (problem.detail or "")


@both
def test_named_sdist_of_an_index(backend: str, workshop: Workshop, tmp_path: Path) -> None:
    """Behind basic auth, and with a hash; the password appears nowhere."""
    served = Wheelhouse(tmp_path / "served")
    served.folder.mkdir()
    packed = released(served, tmp_path, "old")
    environ = {name: value for name, value in workshop.environ.items() if name != "PIP_NO_INDEX"}
    shop = Workshop(workshop.root, environ)
    with serving(Index(folder=served.folder, credentials="me:Qx0secret")) as host:
        index = f"--index-url http://me:Qx0secret@{host}/simple\n--trusted-host {host}\n"
        proof = f"==1.0 --hash={sha256(packed)}" if backend == "pip" else ""
        shop.write({"src/requirements.txt": f"{index}old{proof}\n"})
        shop.declare({"api": {"backend": backend, "sdists": ["old"]}})
        assert "old/__init__.py" in shop.build()["api"]
    assert "Qx0secret" not in (shop.output / "manifest.json").read_text()


@both
def test_python_of_the_target_and_not_of_the_host(
    backend: str, workshop: Workshop, wheelhouse: Wheelhouse, tmp_path: Path
) -> None:
    """What is for a newer Python than the host's is built all the same, and judged for the target."""
    newer = f">=3.{sys.version_info.minor + 1}"
    served = Wheelhouse(tmp_path / "served")
    served.folder.mkdir()
    for name in ("near", "old", "far"):
        packed = released(served if name == "far" else wheelhouse, tmp_path, name, python=newer)
        toml = tmp_path / f"sources-{name}-1.0/pyproject.toml"
        toml.write_text(
            toml.read_text().replace("[build-system]", f'requires-python = "{newer}"\n[build-system]', 1)
        )
        info = tmp_path / f"sources-{name}-1.0/PKG-INFO"
        info.write_text(info.read_text() + f"Requires-Python: {newer}\n")
        archive(tmp_path / f"sources-{name}-1.0", packed)
    with serving(Index(folder=served.folder)) as host:
        folder = (tmp_path / "sources-near-1.0").as_posix()
        text = f"--trusted-host {host}\nold\nfar @ http://{host}/files/far-1.0.tar.gz\n"
        text += f"{folder}\n" if backend == "uv" else ""  # pip builds it as it builds what it fetches
        workshop.write({"src/requirements.txt": text})
        workshop.declare({"api": {"backend": backend, "sdists": ["old"], "runtime": "python3.14"}})
        workshop.build()
    assert [name for name, _ in wheels(workshop)] == ["far", *(["near"] if backend == "uv" else []), "old"]
