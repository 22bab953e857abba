"""The same requirements give the same bundle, or the same error, whichever backend works on them."""

from __future__ import annotations

import csv
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopback import Index, serving
from wheelhouse import Wheelhouse, elf, sha256
from workbench import BACKENDS, Workbench, tree

from lambda_bundle import bundle, load, plan
from lambda_bundle.cache import Cache
from lambda_bundle.errors import Code, Problem, Where
from lambda_bundle.store import Store
from lambda_bundle.targets import Target

both = pytest.mark.parametrize("backend", BACKENDS)
PY37 = Target("python3.7", "x86_64")
PY310 = Target("python3.10", "x86_64")
PY311 = Target("python3.11", "x86_64")
PY312_ARM = Target("python3.12", "arm64")
PY313 = Target("python3.13", "x86_64")
MUSL_FIRST = Target("python3.12", "arm64", ("musllinux_1_2_aarch64", "manylinux_2_28_aarch64"))
OLD_TAGS = Target("python3.12", "x86_64", ("manylinux2010_x86_64",))
OWN_TAGS = Target("python3.13", "x86_64", ("linux_x86_64", "manylinux2014_x86_64"))

# --- which wheel: for each package its wheels, the one to choose first; names are given by number

CHOICES: dict[Target, list[list[str]]] = {
    PY311: [
        ["1-cp311-cp311-manylinux_2_26_x86_64", "1-cp311-cp311-manylinux_2_17_x86_64"],
        ["1-cp311-cp311-manylinux_2_24_x86_64"],
        ["1-cp311-cp311-manylinux_2_17_x86_64", "2-cp311-cp311-manylinux_2_27_x86_64"],
        ["1-cp311-cp311-manylinux_2_17_x86_64", "2-cp311-cp311-manylinux_2_28_x86_64"],
        ["1-cp311-cp311-manylinux_2_5_x86_64", "1-cp311-cp311-manylinux_2_28_x86_64"],
        ["1-cp311-cp311-manylinux2014_x86_64", "1-cp311-cp311-manylinux2010_x86_64"],
        ["1-cp311-cp311-manylinux2010_x86_64", "1-cp311-cp311-manylinux1_x86_64"],
        ["1-cp311-cp311-manylinux1_x86_64", "1-py3-none-any"],
        ["1-cp311-cp311-manylinux_2_12_x86_64.manylinux2010_x86_64", "1-cp311-cp311-manylinux1_x86_64"],
        ["1-cp311-cp311-manylinux_2_17_x86_64", "1-cp38-abi3-manylinux_2_24_x86_64"],
        ["1-cp311-abi3-manylinux_2_17_x86_64", "1-cp38-abi3-manylinux_2_17_x86_64"],
        ["1-cp37-abi3-manylinux_2_17_x86_64", "1-cp312-abi3-manylinux_2_17_x86_64"],
        ["1-10-cp311-cp311-manylinux_2_17_x86_64", "1-9-cp311-cp311-manylinux_2_17_x86_64"],
        ["1-2-py3-none-any", "1-py3-none-any"],
        ["1-py3-none-any", "1-cp311-cp311-manylinux_2_28_x86_64", "1-cp311-cp311-musllinux_1_2_x86_64"],
        ["1-py3-none-any", "1-cp311-cp311-win_amd64", "1-cp311-cp311-macosx_11_0_arm64"],
        ["1-py2.py3-none-any"],
        ["1-cp311-none-any", "1-py3-none-any"],
        ["1-cp311-cp311-linux_x86_64.manylinux_2_17_x86_64", "1-cp311-cp311-linux_x86_64"],
        ["1-py3-none-manylinux_2_17_x86_64", "1-py3-none-any"],
    ],
    PY312_ARM: [
        ["1-cp312-cp312-manylinux_2_34_aarch64", "1-cp312-cp312-manylinux_2_35_aarch64"],
        ["1-cp312-cp312-manylinux_2_17_aarch64", "1-cp312-cp312-manylinux_2_17_x86_64"],
        ["1-cp312-cp312-manylinux2014_aarch64", "1-cp311-cp311-manylinux2014_aarch64"],
        ["1-py3-none-any", "1-cp312-cp312-musllinux_1_2_aarch64"],
    ],
    PY313: [
        ["1-cp313-cp313-manylinux_2_34_x86_64", "1-cp313-cp313-manylinux_2_28_x86_64"],
        ["1-py3-none-any", "1-cp312-cp312-manylinux_2_17_x86_64", "2-cp312-cp312-manylinux_2_17_x86_64"],
        ["1-cp313-cp313-manylinux_2_17_x86_64", "1-cp313-cp313t-manylinux_2_34_x86_64"],
        ["1-py3-none-any", "1-cp313-cp313t-manylinux_2_17_x86_64", "2-cp313-cp313t-manylinux_2_17_x86_64"],
        ["1-cp39-abi3-manylinux_2_17_x86_64", "1-cp314-abi3-manylinux_2_17_x86_64"],
    ],
    MUSL_FIRST: [
        ["1-cp312-cp312-musllinux_1_2_aarch64", "1-cp312-cp312-manylinux_2_28_aarch64"],
        ["1-cp312-cp312-musllinux_1_1_aarch64", "1-cp312-cp312-manylinux_2_17_aarch64"],
        ["1-cp312-cp312-manylinux_2_28_aarch64", "1-cp312-cp312-musllinux_1_2_x86_64"],
        ["1-cp312-cp312-manylinux_2_17_aarch64", "1-cp312-cp312-manylinux_2_34_aarch64"],
        ["1-cp312-cp312-musllinux_1_2_aarch64"],
        ["1-cp312-cp312-manylinux2014_aarch64", "1-cp312-cp312-musllinux_1_3_aarch64"],
        ["1-cp312-cp312-manylinux_2_17_aarch64", "1-cp38-abi3-musllinux_1_2_aarch64"],
        ["1-cp312-cp312-musllinux_1_1_aarch64", "2-cp312-cp312-musllinux_1_3_aarch64"],
        ["1-py3-none-any", "1-cp312-cp312-manylinux_2_34_aarch64"],
    ],
    PY37: [
        ["1-cp37-cp37m-manylinux_2_17_x86_64", "1-cp37-cp37m-manylinux_2_24_x86_64"],
        ["1-cp36-abi3-manylinux2014_x86_64", "1-cp37-cp37-manylinux2014_x86_64"],
        ["1-cp37-cp37m-manylinux1_x86_64", "1-cp37-abi3-manylinux2014_x86_64"],
    ],
    OLD_TAGS: [
        ["1-cp312-cp312-manylinux_2_12_x86_64", "1-cp312-cp312-manylinux_2_17_x86_64"],
        ["1-cp312-cp312-manylinux2010_x86_64", "1-cp312-cp312-manylinux1_x86_64"],
        ["1-cp312-cp312-manylinux1_x86_64", "1-cp312-cp312-manylinux_2_11_x86_64"],
        ["1-cp312-cp312-manylinux_2_5_x86_64", "2-cp312-cp312-manylinux2014_x86_64"],
    ],
    OWN_TAGS: [
        ["1-cp313-cp313-linux_x86_64", "1-cp313-cp313-manylinux_2_17_x86_64"],
        ["1-cp313-cp313-manylinux2014_x86_64", "1-cp313-cp313-manylinux_2_28_x86_64"],
    ],
}


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Workbench:
    assert wheelhouse.folder.is_dir()
    return Workbench(tmp_path, environ)


@both
@pytest.mark.parametrize("target", CHOICES, ids=lambda target: f"{target} {' '.join(target.tags)}".strip())
def test_wheel(target: Target, backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    packages = {f"p{number:02}": names for number, names in enumerate(CHOICES[target])}
    for package, names in packages.items():
        for name in names:
            version, *build, python, abi, platform = name.split("-")
            wheelhouse.wheel(package, version, f"{python}-{abi}-{platform}", build="".join(build))
    expected = {package: f"{package}-{names[0]}.whl" for package, names in packages.items()}
    text = "\n".join(packages)
    if backend == "pip" and target != PY311:  # what was chosen is fetched as for that one
        assert bench.files(backend, text, target) == list(expected.values())
        return
    dependencies = bench.dependencies(backend, text, target)
    assert {wheel.name: wheel.filename for wheel in dependencies.wheels} == expected
    for package, names in packages.items():
        tag = "-".join(names[0].split("-")[-3:])
        assert f'TAG = "{tag}"' in (dependencies.folder / package / "__init__.py").read_text()


# --- markers: those of the target; the host is another Python on another machine in at least one case

MARKED = {
    "old-python": 'python_version < "3.11"',
    "new-python": 'python_version >= "3.11"',
    "patched-python": 'python_full_version >= "3.10.1"',
    "unpatched-python": 'python_full_version < "3.10.1"',
    "intel": 'platform_machine == "x86_64"',
    "arm": 'platform_machine == "aarch64"',
    "apple-arm": 'platform_machine == "arm64"',
    "linux": 'sys_platform == "linux" and platform_system == "Linux" and os_name == "posix"',
    "windows": 'sys_platform == "win32" or os_name == "nt"',
    "mac": 'sys_platform == "darwin"',
    "cpython": 'platform_python_implementation == "CPython" and implementation_name == "cpython"',
    "pypy": 'platform_python_implementation == "PyPy"',
    "some-kernel": 'platform_release == "6.1"',
}
HOLDING = {
    PY310: {"old-python", "patched-python", "intel", "linux", "cpython"},
    MUSL_FIRST: {"new-python", "patched-python", "arm", "linux", "cpython"},
}


@pytest.mark.parametrize(
    ("target", "backend"),
    [
        (PY310, "uv"),
        pytest.param(
            PY310, "pip", marks=pytest.mark.campaign
        ),  # the next test shows what an old Python needs
        (MUSL_FIRST, "uv"),
        (MUSL_FIRST, "pip"),
    ],
    ids=str,
)
def test_markers(target: Target, backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    for name in MARKED:
        wheelhouse.wheel(name)
        wheelhouse.wheel(f"deep-{name}", requires=[f"{name}-leaf"])
        wheelhouse.wheel(f"{name}-leaf")
    wheelhouse.wheel(
        "top",
        requires=[
            *(f"{name}; {marker}" for name, marker in MARKED.items()),
            *(f"deep-{name}; {marker}" for name, marker in MARKED.items()),
            *(f"{name}; {marker} and extra == 'more'" for name, marker in MARKED.items()),
        ],
        extras=["more"],
    )
    names = {wheel.name for wheel in bench.resolve(backend, "top", target)}
    assert names == {"top"} | {
        variant for name in HOLDING[target] for variant in (name, f"deep-{name}", f"{name}-leaf")
    }


@both
def test_version_that_only_the_target_needs(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """aiohttp's way of asking for async-timeout, and what it asks for in turn."""
    wheelhouse.wheel("aiohttp", requires=['async-timeout>=4,<6; python_version < "3.11"'])
    wheelhouse.wheel("async-timeout", "5.0.1", requires=['typing-extensions; python_version < "3.11"'])
    wheelhouse.wheel("async-timeout", "6.0")
    wheelhouse.wheel("typing-extensions", "4.0")
    assert bench.files(backend, "aiohttp", PY310) == [
        "aiohttp-1.0-py3-none-any.whl",
        "async_timeout-5.0.1-py3-none-any.whl",
        "typing_extensions-4.0-py3-none-any.whl",
    ]
    if backend == "uv":  # of pip, `test_markers` shows that too
        assert bench.files(backend, "aiohttp", PY311) == ["aiohttp-1.0-py3-none-any.whl"]


# What the host asks for and the target does not; the host is none of python3.8 and runs none of these wheels.
HOST_ONLY = {
    "is not there": ["nowhere; python_version >= '3.9'"],
    "has only sources": ["sources; python_version >= '3.9'"],
    "has no wheel for the target": ["windows; python_version >= '3.9'"],
    "wants another Python": ["newer-python; python_version >= '3.9'"],
    "wants another version": [
        "common<2; python_version >= '3.9'",
        "common>=2; python_version < '3.9'",
    ],
    "would have to be built": ["sources @ {sources} ; python_version >= '3.9'"],
}
SAID_BEFORE = {("has only sources", "pip"), ("has no wheel for the target", "pip")}
"""Of these pip says what it says of a package that is not there."""


@pytest.mark.parametrize(
    ("case", "backend"),
    [
        pytest.param(*(case, backend), marks=pytest.mark.campaign if (case, backend) in SAID_BEFORE else [])
        for case in HOST_ONLY
        for backend in BACKENDS
    ],
)
def test_what_only_the_host_needs(case: str, backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    sources = wheelhouse.sdist("sources", tools=True)
    wheelhouse.wheel("windows", "1.0", "cp313-cp313-win_amd64")
    wheelhouse.wheel("newer-python", python=">=3.13")
    wheelhouse.wheel("common", "1.0")
    wheelhouse.wheel("common", "2.0")
    wheelhouse.wheel("leaf")
    wheelhouse.wheel(
        "top", requires=[*(one.format(sources=sources.as_uri()) for one in HOST_ONLY[case]), "leaf"]
    )
    names = {wheel.name for wheel in bench.resolve(backend, "top", Target("python3.8", "x86_64"))}
    assert names - {"common"} == {"leaf", "top"}
    assert not wheelhouse.mark.exists()


# --- extras


@both
def test_extras(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel(
        "requests",
        requires=[
            "always",
            "PySocks>=1.5; extra == 'socks'",
            "requests[socks]; extra == 'all'",
            "unwanted; extra == 'other'",
        ],
        extras=["socks", "all", "other"],
    )
    wheelhouse.wheel("PySocks", "1.7", requires=["nested[Deep.One]"])
    wheelhouse.wheel("nested", requires=["deep; extra == 'deep-one'"], extras=["deep-one"])
    for name in ("always", "unwanted", "deep"):
        wheelhouse.wheel(name)
    cases: list[tuple[str, set[str]]]
    cases = [("[all]", {"pysocks", "nested", "deep"})]
    cases += [("", set()), ("[Socks]", cases[0][1])] if backend == "uv" else []
    for extras, more in cases:
        names = {wheel.name for wheel in bench.resolve(backend, f"requests{extras}", PY313)}
        assert names >= {"requests", "always", *more}
        assert ("deep" in names, "unwanted" in names) == (bool(more), False)


@both
def test_extra_that_another_package_asks_for_too(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    wheelhouse.wheel("lib", requires=["x; extra == 'x'", "y; extra == 'y'"], extras=["x", "y"])
    wheelhouse.wheel("one", requires=["lib[x]"])
    wheelhouse.wheel("two", requires=["lib[y]", "lib"])
    wheelhouse.wheel("x")
    wheelhouse.wheel("y")
    names = [wheel.name for wheel in bench.resolve(backend, "lib\none\ntwo", PY313)]
    assert names == ["lib", "one", "two", "x", "y"]


@both
def test_extra_that_a_package_does_not_have(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Installers leave it out; what comes of that shows when it is called."""
    wheelhouse.wheel("lib", "2.0", extras=["socks", "Use_Chardet"])
    wheelhouse.wheel("bare")
    text = "lib[sock,use.chardet]\nlib[none]\nbare[x]\n"
    told = [
        (one.code, one.severity, one.message.partition(":")[0], one.where.line, one.hint)
        for one in bench.dependencies(backend, text, PY313).warnings
    ]
    assert told == [
        (Code.EXTRA_UNKNOWN, "warning", "lib 2.0 has no extra sock", 1, 'did you mean "socks"?'),
        (Code.EXTRA_UNKNOWN, "warning", "lib 2.0 has no extra none", 2, "there are socks, use-chardet"),
        (Code.EXTRA_UNKNOWN, "warning", "bare 1.0 has no extra x", 3, "there are none"),
    ]


@both
def test_what_an_index_has_withdrawn(backend: str, bench: Workbench) -> None:
    """It is taken where nothing else is asked for (PEP 592), and told, from the cache too."""
    house = Wheelhouse(bench.folder / "served")
    house.folder.mkdir()
    house.wheel("a", "1.0", requires=["b"])
    yanked = {house.wheel("a", "2.0").name: "", house.wheel("b", "1.0").name: 'it says "no"'}
    house.wheel("free", "1.0")
    yanked[house.wheel("free", "2.0").name] = "nobody asks for it"
    del bench.environ["PIP_NO_INDEX"]
    with serving(Index(folder=house.folder, yanked=yanked)) as host:
        text = f"--index-url http://{host}/simple\na==1.0\nb==1.0\nfree\n"
        with ThreadPoolExecutor(1) as pool:
            cache = Cache(bench.folder / "cache")
            orders = [bench.order(bench.requirements(text, PY313), PY313, backend) for _ in "ab"]
            told = [Store(cache, pool).dependencies(order) for order in orders]
        (alone,) = bench.dependencies(backend, text.replace("a==1.0\nb==1.0", "a==2.0"), PY313).warnings
    assert [(wheel.name, wheel.version) for wheel in told[0].wheels] == [
        ("a", "1.0"),
        ("b", "1.0"),
        ("free", "1.0"),
    ]
    assert told[0].warnings == told[1].warnings
    (problem,) = told[0].warnings
    assert (problem.code, problem.severity, problem.where.line) == (Code.YANKED, "warning", 3)
    assert problem.message == 'b 1.0 was withdrawn from its index: it says "no"'
    assert alone.message == "a 2.0 was withdrawn from its index"


# --- which version


@both
def test_versions(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    for name in ("newest", "pinned", "below", "constrained", "unconstrained", "pre"):
        for version in ("1.0", "1.5", "2.0", "3.0a1"):
            wheelhouse.wheel(name, version)
    wheelhouse.wheel("only-early", "1.0b2")
    wheelhouse.wheel("local", "1.0+cpu")
    (bench.folder / "constraints.txt").write_text(
        "constrained<2\nunrelated==9\nunconstrained<2; sys_platform == 'win32'\n"
    )
    text = "newest\nPinned==1.0\nbelow<2\n-c constraints.txt\nconstrained\nunconstrained\n"
    text += "pre==3.0a1\nonly_early\nlocal==1.0\n"
    found = {wheel.name: wheel.version for wheel in bench.resolve(backend, text, PY313)}
    assert found == {
        "newest": "2.0",
        "pinned": "1.0",
        "below": "1.5",
        "constrained": "1.5",
        "unconstrained": "2.0",
        "pre": "3.0a1",
        "only-early": "1.0b2",
        "local": "1.0+cpu",
    }


@both
def test_pre_releases(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel("pkg", "1.0")
    wheelhouse.wheel("pkg", "2.0rc1")
    assert bench.files(backend, "--pre\npkg", PY313) == ["pkg-2.0rc1-py3-none-any.whl"]


@both
def test_older_version_where_the_newest_does_not_admit_the_python(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    """uv ignores upper bounds of Requires-Python."""
    for name, newest in (("upper", "<3.13"), ("lower", ">=3.14"), ("patch", "!=3.13.0"), ("odd", ">=3.6.*")):
        wheelhouse.wheel(name, "1.0", python=">=3.8")
        wheelhouse.wheel(name, "2.0", python=newest)
    wheelhouse.wheel("upper", "1.5", python="<3.12")
    dependencies = bench.dependencies(backend, "upper\nlower\npatch\nodd", PY313)
    versions = {wheel.name: wheel.version for wheel in dependencies.wheels}
    assert versions == {"upper": "1.0", "lower": "1.0", "patch": "1.0", "odd": "2.0"}
    assert dependencies.files.keys() >= {"upper-1.0.dist-info/METADATA", "odd-2.0.dist-info/METADATA"}
    assert not {path for path in dependencies.files if path.startswith(("upper-2", "upper-1.5"))}


# --- what is installed

PROGRAM = elf("aarch64", "a program")
EXTENSION = elf("aarch64", "an extension")
RICH: dict[str, str | bytes] = {
    "rich_one/__init__.py": "one = 1\n",
    "rich_one/run.sh": "#!/bin/sh\n",
    "rich_one/data, with comma.txt": "é".encode("latin-1"),
    "rich_one/_x.cpython-312-aarch64-linux-gnu.so": EXTENSION,
    "rich_one/__pycache__/old.cpython-312.pyc": b"stale",
    "space/first/__init__.py": "",
    "bin/__init__.py": "",
    "bin/module.py": "#!/usr/bin/env python\n",
    "rich_one-1.0.data/purelib/rich_one/pure.py": "",
    "rich_one-1.0.data/platlib/rich_one/plat.py": "",
    "rich_one-1.0.data/data/share/rich/data.txt": "data",
    "rich_one-1.0.data/data/rich_one/from_data.txt": "into the package",
    "rich_one-1.0.data/data/lib/librich.so": EXTENSION,
    "rich_one-1.0.data/data/bin/from-data": PROGRAM,
    "rich_one-1.0.data/data/include/other/other.h": "int other;",
    "rich_one-1.0.data/headers/rich.h": "int rich;",
    "rich_one-1.0.data/headers/sub/rich.inl": "int sub;",
    "rich_one-1.0.data/scripts/native": PROGRAM,
    "rich_one-1.0.data/scripts/shell": "#!/bin/sh\necho\n",
    "rich_one-1.0.data/scripts/script.py": "#!python\nprint()\n",
    "rich_one-1.0.data/scripts/env-script": "#!/usr/bin/env python3\nprint()\n",
    "rich_one-1.0.dist-info/entry_points.txt": (
        "[console_scripts]\nrich = rich_one:main\n[gui_scripts]\nrich-gui = rich_one:main\n"
    ),
    "rich_one-1.0.dist-info/licenses/sub/LICENSE": "do what you like",
}
KEPT = {
    "rich_one/__init__.py",
    "rich_one/run.sh",
    "rich_one/data, with comma.txt",
    "rich_one/_x.cpython-312-aarch64-linux-gnu.so",
    "rich_one/pure.py",
    "rich_one/plat.py",
    "rich_one/from_data.txt",
    "space/first/__init__.py",
    "bin/__init__.py",
    "bin/from-data",
    "bin/native",
    "bin/shell",
    "share/rich/data.txt",
    "lib/librich.so",
    "rich_one-1.0.dist-info/METADATA",
    "rich_one-1.0.dist-info/RECORD",
    "rich_one-1.0.dist-info/WHEEL",
    "rich_one-1.0.dist-info/entry_points.txt",
    "rich_one-1.0.dist-info/licenses/sub/LICENSE",
}
EXECUTABLE = {"rich_one/run.sh", "bin/__init__.py", "bin/native", "bin/shell", "bin/from-data"}


def check_records(files: Mapping[str, tuple[bytes, int]]) -> None:
    """Every file stands in one RECORD at least, with its true hash and size."""
    listed = set()
    for record in (path for path in files if path.endswith(".dist-info/RECORD")):
        for path, said, size in csv.reader(files[record][0].decode().splitlines()):
            listed.add(path)
            if path != record:
                digest = urlsafe_b64encode(hashlib.sha256(files[path][0]).digest()).rstrip(b"=").decode()
                assert (said, size) == (f"sha256={digest}", str(len(files[path][0])))
    assert listed == set(files)


def test_trees_are_equal(wheelhouse: Wheelhouse, bench: Workbench) -> None:
    wheelhouse.wheel(
        "rich-one",
        tag="cp312-cp312-manylinux_2_17_aarch64",
        files=RICH,
        executable=["rich_one/run.sh", "rich_one-1.0.data/scripts/native"],
    )
    musl = {"musl_one.py": "", "space/second/__init__.py": "", "same/shared.txt": "the same"}
    wheelhouse.wheel("musl-one", tag="cp312-cp312-musllinux_1_2_aarch64", files=musl)
    wheelhouse.wheel("Pure.One", files={"pure_one.py": "", "same/shared.txt": "the same"})
    text = "rich-one==1.0\nmusl-one==1.0\npure.one==1.0\n"
    uv, pip = (bench.dependencies(backend, text, MUSL_FIRST) for backend in BACKENDS)
    assert uv.wheels == pip.wheels
    assert [(one.sha256, one.version) for one in uv.wheels] == [
        (sha256(wheelhouse.folder / one.filename).removeprefix("sha256:"), "1.0") for one in uv.wheels
    ]
    assert tree(uv) == tree(pip)
    assert uv.warnings == pip.warnings == ()
    assert uv.infos == pip.infos
    assert {path for path in uv.files if not path.startswith(("musl_one", "Pure.One", "pure_one"))} == (
        KEPT | {"space/second/__init__.py", "same/shared.txt"}
    )
    assert {path for path, (_, mode) in tree(uv).items() if mode == 0o755} == EXECUTABLE
    check_records(tree(uv))


def write_rivals(wheelhouse: Wheelhouse) -> None:
    for number in range(6):
        wheelhouse.wheel(
            f"rival-{number}",
            files={
                f"rival_{number}.py": "",
                "shared/tool.py": f"owner = {number}\n" * 500,
                "shared/same.py": "the same",
                f"rival_{number}-1.0.data/scripts/program": elf("x86_64", f"{number}"),
                f"rival_{number}-1.0.dist-info/entry_points.txt": (
                    f"[console_scripts]\nscript = rival_{number}:main\n"
                ),
            },
        )


@both
def test_path_that_several_distributions_bring(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    write_rivals(wheelhouse)
    text = "\n".join(f"rival-{number}==1.0" for number in (3, 5, 0, 2, 4, 1))
    names = ", ".join(f"rival-{number} 1.0" for number in range(6))
    for _ in range(1 if backend == "pip" else 4):
        dependencies = bench.dependencies(backend, text, PY313)
        files = tree(dependencies)
        assert files["shared/tool.py"][0] == b"owner = 5\n" * 500
        assert files["bin/program"] == (elf("x86_64", "5"), 0o755)
        assert dependencies.warnings == tuple(
            Problem(
                code=Code.SHARED_PATH,
                message=f"{names} bring this file with different content; the one of rival-5 is used",
                where=Where(file=path),
                hint="leave one of them out if they are not meant to live together",
                severity="warning",
            )
            for path in ("bin/program", "shared/tool.py")
        )
        assert "bin/script" not in files
        check_records(files)
        assert dependencies.owner("rival_4.py") == "rival-4 1.0"
        assert dependencies.owner("app.py") == "a dependency"


@both
def test_path_of_distributions_for_several_platforms(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    """uv installs these family by family; the last by name gets the path all the same."""
    for name, family in (("a", "manylinux_2_17"), ("b", "musllinux_1_2"), ("c", "manylinux_2_28")):
        files = {"shared.py": f"owner = '{name}'\n", f"{name}.py": ""}
        wheelhouse.wheel(name, tag=f"cp312-cp312-{family}_aarch64", files=files)
    dependencies = bench.dependencies(backend, "c\nb\na", MUSL_FIRST)
    assert (dependencies.folder / "shared.py").read_text() == "owner = 'c'\n"
    assert [one.where.file for one in dependencies.warnings] == ["shared.py"]
    check_records(tree(dependencies))


@both
def test_no_requirements(backend: str, bench: Workbench) -> None:
    dependencies = bench.dependencies(backend, "# nothing\n", PY313)
    assert (dependencies.wheels, dependencies.files, dependencies.infos) == ((), {}, ())
    assert dependencies.owner("app.py") == "a dependency"


# --- where from


@both
def test_places_in_the_requirements(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """A folder with a space, a wheel by its path, and one by its URL."""
    links, files = Wheelhouse(bench.folder / "my links#1"), Wheelhouse(bench.folder / "my files")
    for house in (links, files):
        house.folder.mkdir()
    links.wheel("linked", requires=["plain"])
    wheelhouse.wheel("plain")
    files.wheel("by-path", requires=["by-url"])
    by_url = files.wheel("by-url", tag="cp313-cp313-manylinux_2_17_x86_64")
    text = f"-f './my links#1'\nlinked\n./my files/by_path-1.0-py3-none-any.whl\nby-url @ {by_url.as_uri()}\n"
    dependencies = bench.dependencies(backend, text, PY313)
    assert {path for path in dependencies.files if path.endswith(".py")} == {
        f"{name}/__init__.py" for name in ("linked", "plain", "by_path", "by_url")
    }
    assert all(wheel.sha256 for wheel in dependencies.wheels)


@both
def test_wheels_of_the_requirements_before_others(
    backend: str, wheelhouse: Wheelhouse, bench: Workbench
) -> None:
    wheelhouse.wheel("pkg", "2.0")
    wheelhouse.wheel("top", requires=["pkg"])
    own = Wheelhouse(bench.folder / "own")
    own.folder.mkdir()
    own.wheel("pkg", "1.0")
    assert bench.files(backend, "top\n./own/pkg-1.0-py3-none-any.whl", PY313) == [
        "pkg-1.0-py3-none-any.whl",
        "top-1.0-py3-none-any.whl",
    ]


# --- hashes


@both
def test_hashes(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    """Of several files, of two kinds, behind markers, and of what another package asks for."""
    top = wheelhouse.wheel("top", requires=["dep>=1", "old; python_version < '3.9'"])
    built = wheelhouse.wheel("dep", tag="cp313-cp313-manylinux_2_17_x86_64")
    pure = wheelhouse.wheel("dep")
    other = wheelhouse.wheel("other")
    wheelhouse.wheel("dep", "2.0")
    sha512 = hashlib.sha512(other.read_bytes()).hexdigest()
    zeros = "0" * 64
    text = f"""
        top==1.0 --hash={sha256(top)}
        dep==1.0 --hash={sha256(pure)} \\
            --hash={sha256(built)}
        other==1.0 --hash=sha512:{sha512}
        old==1.0; python_version < "3.9" --hash=sha256:{zeros}
        windows==1.0 ; sys_platform == "win32" --hash=sha256:{zeros}
    """
    dependencies = bench.dependencies(backend, text, PY313)
    assert [wheel.filename for wheel in dependencies.wheels] == [built.name, other.name, top.name]


@both
def test_hash_in_a_url_asks_for_no_other(backend: str, wheelhouse: Wheelhouse, bench: Workbench) -> None:
    direct = wheelhouse.wheel("direct", requires=["dep"])
    wheelhouse.wheel("dep")
    place = f"direct @ {direct.as_uri()}#{sha256(direct).replace(':', '=')}"
    dependencies = bench.dependencies(backend, f"{place}\n", PY313)
    assert [wheel.name for wheel in dependencies.wheels] == ["dep", "direct"]


def test_artifacts_are_equal(wheelhouse: Wheelhouse, tmp_path: Path, environ: dict[str, str]) -> None:
    """From `bundles.toml` to the zip: the same bytes, whichever backend has installed."""
    wheelhouse.wheel("rich-one", tag="cp312-cp312-manylinux_2_17_aarch64", files=RICH)
    wheelhouse.wheel("plain", requires=["rich-one", 'old; python_version < "3.12"'])
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text("def handler(event, context): ...\n")
    (tmp_path / "app" / "requirements.txt").write_text("plain==1.0\nrich-one==1.0\n")
    (tmp_path / "bundles.toml").write_text(
        '[defaults]\nruntime = "python3.12"\narch = "arm64"\n'
        + "".join(
            f'[functions.{name}]\nentry = "app"\nhandler = "app.handler"\nbackend = "{name}"\n'
            for name in BACKENDS
        )
    )
    uv, pip = bundle(plan(load(tmp_path / "bundles.toml")), environ=environ)
    assert uv.artifact is not None
    assert pip.artifact is not None
    assert uv.artifact.wheels == pip.artifact.wheels
    assert (tmp_path / "dist" / "uv.zip").read_bytes() == (tmp_path / "dist" / "pip.zip").read_bytes()
