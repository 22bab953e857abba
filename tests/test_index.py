"""Bundles of real packages from the real index: what arrives is for the target, whatever the host is."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from projects import Project
from test_examples import find_python, host_arch
from workbench import both, uv_and_at_length_pip

pytestmark = pytest.mark.index

MACHINES = {"x86_64": "EM_X86_64", "arm64": "EM_AARCH64"}
WORDS = {"x86_64": "x86_64", "arm64": "aarch64"}
RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")


@dataclass(frozen=True)
class Cell:
    """One function of the test's repository."""

    runtime: str
    arch: str
    libc: str = "gnu"
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.runtime.replace('.', '-')}-{self.arch}-{self.libc}"

    @property
    def suffixes(self) -> tuple[str, str]:
        """The endings that an extension module for this cell may have."""
        abi = self.runtime.removeprefix("python").replace(".", "")
        return f".cpython-{abi}-{WORDS[self.arch]}-linux-{self.libc}.so", ".abi3.so"


CELLS = (
    *(Cell(runtime, arch) for runtime in RUNTIMES for arch in MACHINES),
    Cell("python3.12", "arm64", "musl", ("musllinux_1_2_aarch64", "manylinux_2_28_aarch64")),
)
QUICK = (CELLS[0], CELLS[-2], CELLS[-1])
"""The oldest and the newest runtime, one of each architecture, and musl: what every run of the suite has."""
every_cell = pytest.mark.parametrize(
    "cell",
    [pytest.param(one, id=one.name, marks=[] if one in QUICK else pytest.mark.campaign) for one in CELLS],
)


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory,
    clean_environ: Mapping[str, str],
    pytestconfig: pytest.Config,
) -> Path:
    """The output of `invoke bundle --all` for the cells with both backends."""
    root = tmp_path_factory.mktemp("index")
    (root / "tasks.py").write_text("from lambda_bundle.tasks import ns\n")
    (root / "app").mkdir()
    (root / "app" / "app.py").write_text(
        "import requests\n\n\ndef handler(event, context):\n    return requests.__version__\n"
    )
    (root / "app" / "requirements.txt").write_text(
        "requests==2.34.2\ncharset-normalizer==3.5.2\nidna==3.20\nurllib3==2.8.0\ncertifi==2026.10.18\n"
    )
    lines = []
    for cell in CELLS if pytestconfig.getoption("--campaign") else QUICK:
        for backend in ("uv", "pip"):
            lines += [f'[functions."{cell.name}-{backend}"]', 'entry = "app"', 'handler = "app.handler"']
            lines += [f'runtime = "{cell.runtime}"', f'arch = "{cell.arch}"', f'backend = "{backend}"']
            lines += [f"tags = {list(cell.tags)}"] if cell.tags else []
    (root / "bundles.toml").write_text("\n".join(lines) + "\n")
    _invoke(root, clean_environ, "bundle", "--all")
    return root / "dist"


@both
@every_cell
def test_extensions_are_for_the_target(bundles: Path, cell: Cell, backend: str) -> None:
    with zipfile.ZipFile(bundles / f"{cell.name}-{backend}.zip") as archive:
        names = archive.namelist()
        extensions = {name: archive.read(name) for name in names if name.endswith(".so")}
    assert "requests/__init__.py" in names
    assert "app.py" in names
    assert extensions, "charset-normalizer has compiled wheels for every cell"
    for name, content in extensions.items():
        assert name.endswith(cell.suffixes), name
        assert ELFFile(BytesIO(content))["e_machine"] == MACHINES[cell.arch], name


@every_cell
def test_backends_agree_to_the_byte(bundles: Path, cell: Cell) -> None:
    ours, theirs = (bundles / f"{cell.name}-{backend}.zip" for backend in ("uv", "pip"))
    assert ours.read_bytes() == theirs.read_bytes()


AGREE = {
    # an older wheel is taken where the newest needs a newer glibc; markers differ from the host's
    "al2": ("python3.10", "arm64", "pandas\naiohttp\n"),
    "al2023": ("python3.12", "x86_64", "cryptography\npyjwt\npydantic\n"),
    "scripts": ("python3.13", "arm64", "fastapi\nmangum\ngreenlet\nuvicorn\n"),
}


@pytest.mark.parametrize(
    "case", ["al2023", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("al2", "scripts"))]
)
def test_backends_agree_on_what_uv_chose(case: str, tmp_path: Path, clean_environ: Mapping[str, str]) -> None:
    """uv resolves; what it chose, pinned, gives the same files with both."""
    runtime, arch, wanted = AGREE[case]
    common = f'handler = "app.handler"\nruntime = "{runtime}"\narch = "{arch}"\nformat = "dir"\n'
    text = "".join(
        f'[functions.{name}]\nentry = "{entry}"\nbackend = "{backend}"\n{common}'
        for name, entry, backend in (("free", "free", "uv"), ("uv", "pinned", "uv"), ("pip", "pinned", "pip"))
    )
    (tmp_path / "bundles.toml").write_text(text)
    (tmp_path / "tasks.py").write_text("from lambda_bundle.tasks import ns\n")
    for entry in ("free", "pinned"):
        (tmp_path / entry).mkdir()
        (tmp_path / entry / "app.py").write_text("def handler(event, context):\n    return None\n")
    (tmp_path / "free" / "requirements.txt").write_text(wanted)
    _invoke(tmp_path, clean_environ, "bundle", "--only", "free")
    (tmp_path / "pinned" / "requirements.txt").write_text(_pins(tmp_path))
    _invoke(tmp_path, clean_environ, "bundle", "--only", "uv", "--only", "pip")
    assert _content(tmp_path / "dist" / "uv") == _content(tmp_path / "dist" / "pip")


@uv_and_at_length_pip
def test_a_layer_for_two_runtimes_and_its_functions(
    tmp_path: Path, clean_environ: Mapping[str, str], backend: str
) -> None:
    """Nothing is there twice or missing, and it runs where an interpreter of the version is there."""
    text = f"""[defaults]
        arch = "x86_64"
        backend = "{backend}"
        [layers.common]
        entry = "common"
        runtimes = ["python3.11", "python3.13"]
        """
    versions = ("3.11", "3.13")
    for version in versions:
        text += f"""[functions.f{version.replace(".", "")}]
            entry = "app"
            handler = "app.handler"
            runtime = "python{version}"
            layers = ["common"]
            """
    pins = _INDEXED.partition("requests")
    files = {
        "bundles.toml": text,
        "tasks.py": "from lambda_bundle.tasks import ns\n",
        "common/shared.py": "import charset_normalizer\n",
        "common/requirements.txt": pins[0],
        "app/app.py": "import requests, shared\n\n\ndef handler(event, context): ...\n",
        "app/requirements.txt": _INDEXED,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    _invoke(tmp_path, clean_environ, "bundle", "--all")
    rows = json.loads((tmp_path / "dist" / "manifest.json").read_text())["artifacts"]
    carried = {wheel["name"] for wheel in rows["common"]["wheels"]}
    assert carried == {"charset-normalizer", "idna", "urllib3"}
    for version in versions:
        name = f"f{version.replace('.', '')}"
        assert {wheel["name"] for wheel in rows[name]["wheels"]} == {"certifi", "requests"}
        task, opt = tmp_path / name, tmp_path / f"{name}-opt"
        for artifact, folder in ((name, task), ("common", opt)):
            with zipfile.ZipFile(tmp_path / "dist" / f"{artifact}.zip") as archive:
                archive.extractall(folder)
        site = opt / "python" / "lib" / f"python{version}" / "site-packages"
        extensions = [path.name for path in site.rglob("*.so")]
        assert extensions
        assert all(f"cpython-{version.replace('.', '')}-x86_64-linux-gnu" in one for one in extensions)
        python = find_python(f"python{version}") if host_arch() == "x86_64" else None
        if python is not None:
            code = "import sys; sys.path[:0] = sys.argv[1:]; import app; from charset_normalizer import md"
            places = [str(task), str(site), str(opt / "python")]
            subprocess.run([python, "-I", "-S", "-B", "-c", code, *places], check=True)


_INDEXED = "charset-normalizer==3.5.2\nidna==3.20\nurllib3==2.8.0\nrequests==2.34.2\ncertifi==2026.10.18\n"


def _invoke(root: Path, environ: Mapping[str, str], *arguments: str) -> None:
    ran = Project(root, environ).here(*arguments)
    assert ran.code == 0, ran.err


def _pins(root: Path) -> str:
    rows = json.loads((root / "dist" / "manifest.json").read_text())["artifacts"]["free"]["wheels"]
    return "".join(f"{wheel['name']}=={wheel['version']} --hash=sha256:{wheel['sha256']}\n" for wheel in rows)


def _content(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes()) for path in files}
