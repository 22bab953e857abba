"""What is judged of binaries, on hand-written ELF files: for each finding what has it, and a near miss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from elffiles import Elf
from hypothesis import given
from hypothesis import strategies as st

from lambda_bundle.binaries import inspect, judge
from lambda_bundle.elf import Binary
from lambda_bundle.errors import Code, Problem
from lambda_bundle.systems import system
from lambda_bundle.targets import MACHINES, RUNTIMES, Target

X86 = Target("python3.13", "x86_64")
OLD = Target("python3.11", "x86_64")
ARM = Target("python3.13", "arm64")
MODULE = "pkg/_core.cpython-313-x86_64-linux-gnu.so"
PE = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0"
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(28)
FAT = b"\xca\xfe\xba\xbe" + (2).to_bytes(4, "big") + bytes(24)
JAVA = b"\xca\xfe\xba\xbe" + (61).to_bytes(4, "big") + bytes(24)
Content = Elf | bytes | str


def problems(
    folder: Path, files: Mapping[str, Content], target: Target = X86, *, layers: Iterable[str] = ()
) -> list[Problem]:
    """What is said of an artifact; the owner of a file is its first folder."""
    tree = {}
    for number, (path, content) in enumerate(files.items()):
        # Flat, and named as in the artifact: reading looks at the name alone.
        tree[path] = folder / f"{number}" / Path(path).name
        tree[path].parent.mkdir(exist_ok=True)
        written = content.write() if isinstance(content, Elf) else content
        tree[path].write_bytes(written.encode() if isinstance(written, str) else written)
    found = inspect(tree)
    judged = judge(found, target=target, files=[*tree, *layers], owner=lambda path: path.partition("/")[0])
    return list(judged)


def told(found: list[Problem]) -> list[tuple[str, str, str | None]]:
    return [(problem.severity, problem.code.name, problem.where.file) for problem in found]


def test_only_binaries_are_found(tmp_path: Path) -> None:
    for name, content in {
        "a.so": Elf().write(),
        "b.txt": b"\x7fEL",
        "c.so": b"/* GNU ld script */",
        "d.class": JAVA,
        "e": PE,
        "f": b"MZ, a text",
        "g": FAT,
        "h": b"",
        "i": MACH_O,
    }.items():
        (tmp_path / name).write_bytes(content)
    found = inspect({path.name: path for path in tmp_path.iterdir()})
    types = {name: binary.type for name, binary in sorted(found.items())}
    assert types == {"a.so": "shared", "e": "pe", "g": "mach-o", "i": "mach-o"}


def test_what_loads_is_not_mentioned(tmp_path: Path) -> None:
    needs = Elf(
        needed=[
            "libstdc++.so.6",
            "libm.so.6",
            "libgcc_s.so.1",
            "libc.so.6",
            "ld-linux-x86-64.so.2",
            "libz.so.1",
        ],
        versions={
            "libstdc++.so.6": ["GLIBCXX_3.4.29", "CXXABI_1.3.13", "CXXABI_TM_1", "CXXABI_FLOAT128"],
            "libgcc_s.so.1": ["GCC_7.0.0"],
            "libc.so.6": ["GLIBC_2.34", "GLIBC_PRIVATE"],
        },
        weak={"libc.so.6": ["GLIBC_2.38"]},
    )
    assert not problems(tmp_path, {MODULE: needs, "pkg/other.abi3.so": needs, "pkg/plain.so": needs})


# --- the machine


@pytest.mark.parametrize(
    ("elf", "said"),
    [
        (Elf(machine="aarch64"), "aarch64 with 64 bits"),
        (Elf(bits=32), "x86_64 with 32 bits"),
        (Elf(machine="i386", bits=32), "i386 with 32 bits"),
        (Elf(order=">"), "x86_64 with 64 bits, big-endian"),
    ],
)
def test_another_machine(elf: Elf, said: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {MODULE: elf})
    assert (problem.code, problem.severity) == (Code.WRONG_MACHINE, "error")
    assert problem.message.startswith(f"pkg: it is for {said}; python3.13 on x86_64 is x86_64")


def test_a_choice_of_machines_is_no_error(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {"debug/attach_amd64.so": Elf(), "debug/attach_x86.so": Elf(machine="i386", bits=32)},
    )
    assert told(found) == [("warning", "WRONG_MACHINE", "debug/attach_x86.so")]
    found = problems(
        tmp_path,
        {"debug/attach_amd64.so": Elf(), "debug/attach_x86.so": Elf(machine="i386", bits=32)},
        ARM,
    )
    assert [problem.severity for problem in found] == ["warning", "warning"]
    found = problems(tmp_path, {"debug/attach_amd64.so": Elf()}, ARM)
    assert [problem.severity for problem in found] == ["error"]
    # The same for one that nobody has a choice about: what is imported by name, or needed by that.
    found = problems(
        tmp_path,
        {MODULE: Elf(needed=["libown.so"]), "pkg/libown.so": Elf(machine="aarch64"), "pkg/libfine.so": Elf()},
    )
    assert told(found) == [("error", "WRONG_MACHINE", "pkg/libown.so")]


def test_a_wheel_for_every_platform_does_without(tmp_path: Path) -> None:
    library = "debug/attach_linux_amd64.so"
    files: dict[str, Content] = {
        library: Elf(needed=["libnowhere.so"], versions={"libc.so.6": ["GLIBC_2.38"]}),
        "debug-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n",
        "debug-1.0.dist-info/RECORD": f"{library},sha256=abc,12\n",
    }
    assert told(problems(tmp_path, files, ARM)) == [("warning", "WRONG_MACHINE", library)]
    assert told(problems(tmp_path, files)) == [
        ("warning", "LIBRARY_MISSING", library),
        ("warning", "SYMBOL_TOO_NEW", library),
    ]
    layer = {f"python/{path}": content for path, content in files.items()}
    assert told(problems(tmp_path, layer, ARM)) == [("warning", "WRONG_MACHINE", f"python/{library}")]
    others: dict[str, Content] = {
        "debug/a.cp313-win_amd64.pyd": PE,
        "debug/a.cpython-312-x86_64-linux-gnu.so": Elf(),
    }
    record = f"{library},,\n" + "".join(f"{path},,\n" for path in others)
    spared = problems(tmp_path, {**files, **others, "debug-1.0.dist-info/RECORD": record}, ARM)
    assert [problem.severity for problem in spared] == ["warning"] * 3
    # A module is imported all the same, and what another wheel brought is another matter.
    files["debug/_core.so"] = Elf(symbols=["PyInit__core"])
    files["debug-1.0.dist-info/RECORD"] = f"{library},,\ndebug/_core.so,,\n"
    assert ("error", "WRONG_MACHINE", "debug/_core.so") in told(problems(tmp_path, files, ARM))
    files["debug-1.0.dist-info/WHEEL"] = "Tag: py3-none-manylinux_2_17_x86_64\n"
    assert {problem.severity for problem in problems(tmp_path, files, ARM)} == {"error"}


def test_a_program_for_another_machine_only(tmp_path: Path) -> None:
    program = Elf(machine="aarch64", type="executable", static=True)
    assert told(problems(tmp_path, {"bin/tool": program})) == [("error", "WRONG_MACHINE", "bin/tool")]


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    assert not problems(tmp_path, {"pkg/probe.o": Elf(machine="bpf", type="object", static=True)})


# --- symbol versions


@pytest.mark.parametrize(
    ("library", "version", "runtime", "arch", "severity"),
    [
        ("libc.so.6", "GLIBC_2.26", "python3.11", "x86_64", None),
        ("libc.so.6", "GLIBC_2.27", "python3.11", "x86_64", "error"),
        ("libm.so.6", "GLIBC_2.27", "python3.12", "x86_64", None),
        ("libc.so.6", "GLIBC_2.34", "python3.12", "arm64", None),
        ("libc.so.6", "GLIBC_2.35", "python3.14", "arm64", "error"),
        ("libc.so.6", "GLIBC_2.18", "python3.7", "x86_64", "error"),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", "python3.13", "x86_64", "error"),
        ("libstdc++.so.6", "GLIBCXX_3.4.24", "python3.11", "x86_64", None),
        ("libstdc++.so.6", "GLIBCXX_3.4.25", "python3.11", "x86_64", "error"),
        ("libstdc++.so.6", "GLIBCXX_3.4.9", "python3.11", "x86_64", None),
        ("libstdc++.so.6", "CXXABI_1.3.12", "python3.11", "arm64", "error"),
        ("libstdc++.so.6", "GLIBCXX_3.4.30", "python3.13", "x86_64", "warning"),
        ("libstdc++.so.6", "GLIBCXX_3.4.34", "python3.13", "x86_64", "error"),
        ("libgcc_s.so.1", "GCC_7.0.0", "python3.11", "x86_64", None),
        ("libgcc_s.so.1", "GCC_11.0", "python3.13", "arm64", None),
        ("libgcc_s.so.1", "GCC_12.0.0", "python3.13", "x86_64", "warning"),
        ("libgcc_s.so.1", "GCC_15.0.0", "python3.13", "x86_64", "error"),
        ("libgcc_s.so.1", "GCC_11.0", "python3.11", "arm64", "error"),
    ],
)
def test_versions_at_their_borders(
    library: str, version: str, runtime: str, arch: str, severity: str | None, tmp_path: Path
) -> None:
    elf = Elf(machine=MACHINES[arch], versions={library: [version]})
    found = problems(tmp_path, {"pkg/_core.abi3.so": elf}, Target(runtime, arch))
    assert [problem.severity for problem in found] == ([severity] if severity else [])
    for problem in found:
        assert problem.code is Code.SYMBOL_TOO_NEW
        assert f"it needs {version} of {library}, and {runtime} " in problem.message


def test_the_newest_version_of_a_family_is_told(tmp_path: Path) -> None:
    needs = {"libc.so.6": ["GLIBC_2.28", "GLIBC_2.32"], "libm.so.6": ["GLIBC_2.29"]}
    (problem,) = problems(tmp_path, {"pkg/_core.abi3.so": Elf(versions=needs)}, OLD)
    assert "GLIBC_2.32 of libc.so.6, and python3.11 ends at GLIBC_2.26" in problem.message
    assert problem.hint is not None
    assert "python3.12" in problem.hint


@pytest.mark.parametrize(
    ("library", "bundled"), [("libstdc++-8f3a2b1c.so.6", True), ("libstdc++.so.6", False)]
)
def test_a_library_of_its_own_decides_itself(library: str, bundled: bool, tmp_path: Path) -> None:
    module = Elf(needed=[library], versions={library: ["GLIBCXX_3.4.30"]})
    files: dict[str, Content] = {"pkg/_core.abi3.so": module, f"pkg.libs/{library}": Elf(soname=library)}
    assert not problems(tmp_path, files, OLD)
    del files[f"pkg.libs/{library}"]
    found = problems(tmp_path, files, OLD)
    assert {problem.code for problem in found} == {Code.LIBRARY_MISSING if bundled else Code.SYMBOL_TOO_NEW}


def test_glibc_cannot_be_brought_along(tmp_path: Path) -> None:
    module = Elf(needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.38"]})
    found = problems(tmp_path, {MODULE: module, "pkg.libs/libc.so.6": Elf()})
    assert told(found) == [("error", "SYMBOL_TOO_NEW", MODULE)]


def test_a_program_with_newer_symbols_is_a_warning(tmp_path: Path) -> None:
    program = Elf(interpreter="/lib64/ld-linux-x86-64.so.2", versions={"libc.so.6": ["GLIBC_2.38"]})
    assert told(problems(tmp_path, {"bin/tool": program})) == [("warning", "SYMBOL_TOO_NEW", "bin/tool")]


# --- libraries


def test_a_few_modules_that_lack_a_library_are_left_aside(tmp_path: Path) -> None:
    """numba has threads of OpenMP and TBB beside its own, and does without."""
    whole = {f"numba/{name}.cpython-313-x86_64-linux-gnu.so": Elf() for name in ("one", "two")}
    lacking = {"numba/omppool.cpython-313-x86_64-linux-gnu.so": Elf(needed=["libgomp.so.1"])}
    assert told(problems(tmp_path, {**whole, **lacking})) == [
        ("warning", "LIBRARY_MISSING", next(iter(lacking)))
    ]
    (half,) = problems(tmp_path, {**dict(list(whole.items())[:1]), **lacking})
    assert half.severity == "error"
    needing = {**whole, "numba/lib.so.1": Elf(soname="lib.so.1", needed=["libgomp.so.1"])}
    needing["numba/one.cpython-313-x86_64-linux-gnu.so"] = Elf(needed=["lib.so.1"])
    (library,) = problems(tmp_path, needing)
    assert (library.severity, library.where.file) == ("error", "numba/lib.so.1")


def test_libraries_that_are_nowhere(tmp_path: Path) -> None:
    module = Elf(needed=["libGL.so.1", "libown.so.3", "libc.so.6"])
    (problem,) = problems(tmp_path, {MODULE: module})
    assert told([problem]) == [("error", "LIBRARY_MISSING", MODULE)]
    assert problem.message.startswith("pkg: it needs libGL.so.1, libown.so.3, and neither")


@pytest.mark.parametrize(
    ("files", "layers"),
    [
        ({"pkg.libs/libown.so.3": Elf()}, ()),
        ({"elsewhere/libown.so": Elf(soname="libown.so.3")}, ()),
        ({}, ("lib/libown.so.3",)),
    ],
)
def test_libraries_count_wherever_they_are(
    files: dict[str, Content], layers: tuple[str, ...], tmp_path: Path
) -> None:
    assert not problems(tmp_path, {MODULE: Elf(needed=["libown.so.3"]), **files}, layers=layers)


def test_what_a_library_of_a_module_needs_counts_too(tmp_path: Path) -> None:
    chain = {
        MODULE: Elf(needed=["liba.so"]),
        "pkg.libs/liba.so": Elf(needed=["libb.so"]),
        "pkg.libs/libb.so": Elf(needed=["liba.so", "libcuda.so.1"]),
    }
    assert told(problems(tmp_path, chain)) == [("error", "LIBRARY_MISSING", "pkg.libs/libb.so")]


def test_a_plugin_is_a_warning_where_something_else_loads(tmp_path: Path) -> None:
    plugin = Elf(needed=["libmlx5.so.1"])
    found = problems(tmp_path, {"cufile/libcufile.so": Elf(), "cufile/libcufile_rdma.so": plugin})
    assert told(found) == [("warning", "LIBRARY_MISSING", "cufile/libcufile_rdma.so")]
    found = problems(
        tmp_path, {"lightgbm/lib_lightgbm.so": Elf(needed=["libgomp.so.1"]), "other/fine.so": Elf()}
    )
    assert told(found) == [("error", "LIBRARY_MISSING", "lightgbm/lib_lightgbm.so")]


def test_what_aws_does_not_promise_is_a_warning(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {MODULE: Elf(needed=["libssl.so.3"])})
    assert (problem.code, problem.severity) == (Code.LIBRARY_MISSING, "warning")
    assert not problems(tmp_path, {MODULE: Elf(needed=["libssl.so.3"]), "pkg/libssl.so.3": Elf()})


# --- names of extension modules


@pytest.mark.parametrize(
    "tag",
    [
        "cpython-312-x86_64-linux-gnu",
        "cpython-313-aarch64-linux-gnu",
        "cpython-313t-x86_64-linux-gnu",
        "cpython-37m-x86_64-linux-gnu",
        "cpython-313",
        "pypy310-pp73-x86_64-linux-gnu",
        "graalpy242-311-native-x86_64-linux",
        "abi3t",
    ],
)
def test_a_module_for_another_python(tag: str, tmp_path: Path) -> None:
    path = f"pkg/_core.{tag}.so"
    (problem,) = problems(tmp_path, {path: Elf()})
    assert told([problem]) == [("error", "EXTENSION_MISFIT", path)]
    assert tag in problem.message
    assert "_core.cpython-313-x86_64-linux-gnu.so, _core.abi3.so, _core.so" in problem.message
    (problem,) = problems(tmp_path, {path: Elf(), "pkg/_core.py": ""})
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("runtime", "tag"),
    [("python3.7", "cpython-37m-x86_64-linux-gnu"), ("python3.8", "cpython-38-x86_64-linux-gnu")],
)
def test_tags_of_old_runtimes(runtime: str, tag: str, tmp_path: Path) -> None:
    assert not problems(tmp_path, {f"pkg/_core.{tag}.so": Elf()}, Target(runtime, "x86_64"))


@pytest.mark.parametrize("other", [MODULE, "pkg/_core.abi3.so", "pkg/_core.so", "pkg/_core/__init__.py"])
def test_modules_for_several_pythons(other: str, tmp_path: Path) -> None:
    odd = "pkg/_core.cpython-312-x86_64-linux-gnu.so"
    content = "" if other.endswith(".py") else Elf(symbols=["PyInit__core"])
    found = problems(tmp_path, {odd: Elf(needed=["libnowhere.so"]), other: content})
    assert told(found) == [("warning", "EXTENSION_MISFIT", odd)]
    assert f"{other} is imported instead" in found[0].message


def test_the_binary_decides_and_not_the_name(tmp_path: Path) -> None:
    assert told(problems(tmp_path, {MODULE: Elf(machine="aarch64")})) == [("error", "WRONG_MACHINE", MODULE)]


# --- musl


MUSL = "pkg/_core.cpython-313-x86_64-linux-musl.so"
NEEDS_MUSL = Elf(needed=["libown-1.so", "libc.musl-x86_64.so.1"])


def test_a_module_for_musl(tmp_path: Path) -> None:
    files: dict[str, Content] = {MUSL: NEEDS_MUSL, "pkg.libs/libown-1.so": NEEDS_MUSL}
    assert told(problems(tmp_path, files)) == [("error", "MUSL_BINARY", MUSL)]
    assert told(problems(tmp_path, {**files, "pkg/_core.py": ""})) == [("warning", "MUSL_BINARY", MUSL)]


def test_a_stable_module_for_musl_is_found_and_does_not_load(tmp_path: Path) -> None:
    path = "pkg/_core.abi3.so"
    found = problems(tmp_path, {path: NEEDS_MUSL, "pkg/_core.py": "", "pkg.libs/libown-1.so": Elf()})
    assert told(found) == [("error", "MUSL_BINARY", path)]
    assert "libc.musl-x86_64.so.1" in found[0].message


def test_what_mypyc_compiles_together(tmp_path: Path) -> None:
    shared, shim = "a1b2__mypyc.cpython-313-x86_64-linux-musl.so", "md.cpython-313-x86_64-linux-musl.so"
    files: dict[str, Content] = {
        f"pkg/{shared}": NEEDS_MUSL,
        f"pkg/{shim}": NEEDS_MUSL,
        "pkg/libown-1.so": Elf(),
    }
    found = problems(tmp_path, files)
    assert told(found) == [("error", "MUSL_BINARY", f"pkg/{shared}"), ("error", "MUSL_BINARY", f"pkg/{shim}")]
    found = problems(tmp_path, {**files, "pkg/md.py": ""})
    assert {problem.severity for problem in found} == {"warning"}


# --- other files


def test_damage(tmp_path: Path) -> None:
    cut = Elf(needed=["libc.so.6"]).write()[:150]
    found = problems(tmp_path, {MODULE: cut, "tests/damaged.bin": cut, "pkg/libalone.so": cut})
    assert told(found) == [
        ("error", "DAMAGED_BINARY", MODULE),
        ("error", "DAMAGED_BINARY", "pkg/libalone.so"),
        ("warning", "DAMAGED_BINARY", "tests/damaged.bin"),
    ]
    assert told(problems(tmp_path, {"pkg/libfine.so": Elf(), "pkg/libodd.so": cut}))[0][0] == "warning"


@pytest.mark.parametrize(
    ("path", "content", "severity"),
    [
        ("pkg/_core.cp313-win_amd64.pyd", PE, "error"),
        ("pkg/zlib1.dll", PE, "warning"),
        ("pkg/launcher.exe", PE, None),
        ("pkg/_core.cpython-313-darwin.so", MACH_O, "error"),
        ("pkg/_core.abi3.so", FAT, "error"),
        ("pkg/libown.dylib", MACH_O, "warning"),
    ],
)
def test_binaries_for_other_systems(path: str, content: bytes, severity: str | None, tmp_path: Path) -> None:
    expected = [(severity, "FOREIGN_BINARY", path)] if severity else []
    assert told(problems(tmp_path, {path: content})) == expected
    # With another binary that loads, it is one of several to choose from, unless it is found in its place.
    found = told(problems(tmp_path, {path: content, "pkg/libfine.so": Elf()}))
    assert found == [("error" if "abi3" in path else "warning", *rest) for _, *rest in expected]


def test_the_user_s_own_files_have_no_owner(tmp_path: Path) -> None:
    (tmp_path / "own.so").write_bytes(Elf(machine="aarch64").write())
    found = inspect({"own.so": tmp_path / "own.so"})
    (problem,) = judge(found, target=X86, files=["own.so"], owner=lambda _: None)
    assert problem.message.startswith("it is for aarch64")


# --- systems and laws


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_has_a_system(runtime: str) -> None:
    for arch in RUNTIMES[runtime].archs:
        known = system(Target(runtime, arch))
        assert known.newest["GLIBC"] == (2, RUNTIMES[runtime].glibc)
        assert known.newest.keys() == {"GLIBC", "GLIBCXX", "CXXABI", "GCC"}
        assert not known.libraries & known.maybe
        for family, version in known.lately.items():
            assert version > known.newest[family]


@given(
    minor=st.integers(0, 60),
    runtime=st.sampled_from(sorted(RUNTIMES)),
    name=st.sampled_from(["_core.abi3.so", "libplain.so", "_core.so"]),
)
def test_glibc_decides_alone(minor: int, runtime: str, name: str) -> None:
    binary = Binary(
        machine="x86_64",
        bits=64,
        type="shared",
        needed=("libc.so.6",),
        versions={"libc.so.6": (f"GLIBC_2.{minor}",)},
    )
    found = list(judge({name: binary}, target=Target(runtime, "x86_64"), files=[name], owner=lambda _: None))
    assert [problem.code for problem in found] == [Code.SYMBOL_TOO_NEW] * (minor > RUNTIMES[runtime].glibc)
