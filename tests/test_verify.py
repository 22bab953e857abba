"""The stage that judges what is built, and the command that judges what is there already."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from elffiles import Elf
from projects import HANDLER, TASKS, Project, functions
from wheelhouse import Wheelhouse
from workbench import uv_and_at_length_pip
from workshop import Workshop

from lambda_bundle import BundleError, Code, Problem, bundle, load, plan
from lambda_bundle.inspection import declared, inspect
from lambda_bundle.process import Children
from lambda_bundle.processes import Processes
from lambda_bundle.reading import Desk, readings
from lambda_bundle.targets import Target

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these hooks are for POSIX shells")


@pytest.fixture
def workshop(tmp_path: Path, environ: dict[str, str]) -> Workshop:
    made = Workshop(tmp_path / "repo", environ)
    made.write({"src/app.py": HANDLER})
    return made


def codes(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(one.severity, one.code.value.removeprefix("PythonLocalBundling")) for one in problems]


def found(workshop: Workshop, **values: object) -> list[tuple[str, str]]:
    workshop.declare({"api": values})
    return codes(workshop.bundle()["api"].problems)


# --- in a bundle


def test_an_error_fails_the_function_and_leaves_nothing(workshop: Workshop) -> None:
    workshop.declare({"api": {"handler": "app.main"}, "other": {}})
    results = workshop.bundle()
    assert {name: one.status for name, one in results.items()} == {"api": "failed", "other": "built"}
    (problem,) = results["api"].problems
    assert (problem.where.name, problem.where.stage) == ("api", "verify")
    assert problem.where.file == "app.py"
    assert workshop.left == ["manifest.json", "other.zip"]


def test_a_warning_fails_it_only_where_one_is_strict(workshop: Workshop) -> None:
    workshop.write({"src/id_rsa": ""})
    assert found(workshop) == [("warning", "SecretFile")]
    config = load(workshop.root / "bundles.toml")
    (result,) = bundle(plan(config), environ=workshop.environ, strict=True)
    assert result.status == "failed"
    assert codes(result.problems) == [("error", "SecretFile")]


def test_strict_counts_what_the_configuration_gives_rise_to(workshop: Workshop) -> None:
    workshop.declare({"api": {"runtime": "python3.9"}})
    config = load(workshop.root / "bundles.toml")
    (result,) = bundle(plan(config), environ=workshop.environ, strict=True)
    assert result.status == "failed"
    assert codes(result.problems) == [("error", "DeprecatedRuntime")]


def test_notes_never_fail(workshop: Workshop) -> None:
    workshop.write({"src/app.py": f"import boto3\n{HANDLER}"})
    workshop.declare({"api": {}})
    (result,) = bundle(plan(load(workshop.root / "bundles.toml")), environ=workshop.environ, strict=True)
    assert result.status == "built"
    assert codes(result.problems) == [("note", "ImportFromRuntime")]


@uv_and_at_length_pip
def test_requirements_of_requirements(workshop: Workshop, wheelhouse: Wheelhouse, backend: str) -> None:
    wheelhouse.wheel("top", requires=['low>=2; sys_platform == "linux"', 'never; sys_platform == "win32"'])
    wheelhouse.wheel("low", "2.0")
    workshop.write({"src/requirements.txt": "top\n"})
    assert found(workshop, backend=backend) == []
    assert found(workshop, backend=backend, **{"hooks.after": ["rm -r low*"]}) == [
        ("error", "DependencyMissing")
    ]
    assert found(workshop, backend=backend, **{"hooks.after": ["rm -r *.dist-info"]}) == []
    other = ["printf 'Name: low\nVersion: 1.9\n' > low-2.0.dist-info/METADATA"]
    assert found(workshop, backend=backend, **{"hooks.after": other}) == [("error", "DependencyVersion")]


def test_what_nobody_can_read_of_metadata_is_no_reproach(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("top", requires=["low>=2"])
    wheelhouse.wheel("low", "2.0")
    workshop.write({"src/requirements.txt": "top\n"})
    odd = ["printf 'Name: low\nVersion: of the day\n' > low-2.0.dist-info/METADATA"]
    assert found(workshop, **{"hooks.after": odd}) == []
    more = ["printf 'Requires-Dist: high (is it?)\n' >> top-1.0.dist-info/METADATA"]
    assert found(workshop, **{"hooks.after": more}) == []


@pytest.mark.parametrize(
    "text",
    ["def handler(e, c):\n\tif 1:\n        return 1\n", f"{HANDLER}\ndef f():\n    from os import *\n"],
)
@pytest.mark.parametrize("runtime", ["python3.8", "python3.14"])
def test_what_no_python_parses(workshop: Workshop, runtime: str, text: str) -> None:
    """Whatever the target is, and the Python that this runs on."""
    workshop.write({"src/app.py": text})
    assert ("error", "SyntaxUnsupported") in found(workshop, runtime=runtime)


@pytest.mark.parametrize("key", ["groups", "extras", "skip", "sdists"])
def test_a_selection_among_nothing(workshop: Workshop, key: str) -> None:
    """Somebody has forgotten the file that it is about."""
    assert found(workshop, **{key: ["one"]}) == [("note", "SelectionUnused")]


def test_sources_in_no_encoding(workshop: Workshop) -> None:
    workshop.write({"src/app.py": HANDLER.encode() + b"\n\n\ny = '\xe9'\n"})
    workshop.declare({"api": {}})
    (problem,) = workshop.bundle()["api"].problems
    assert (problem.severity, problem.code) == ("error", Code.SYNTAX_UNSUPPORTED)
    assert problem.where.file == "app.py"
    assert "not valid utf-8: byte" in f"{problem.detail}"


@pytest.mark.parametrize(
    ("minor", "expected"),
    [(13, []), (12, [("error", "ExtensionMisfit")]), (None, [("error", "ExtensionMisfit")])],
)
def test_modules_without_sources(
    workshop: Workshop, wheelhouse: Wheelhouse, minor: int | None, expected: list[tuple[str, str]]
) -> None:
    """Another Python does not import what this one has compiled, in dependencies as in sources."""
    number = {13: 3571, 12: 3531, None: 0}[minor]
    compiled = number.to_bytes(2, "little") + b"\r\n" + bytes(12)
    wheelhouse.wheel("low", files={"low/__init__.py": "", "low/data.py": ""})
    workshop.write({"src/requirements.txt": "low\n", "src/there.bin": compiled})
    workshop.write({"src/app.py": f"import low.data\n{HANDLER}"})
    beside = ["mv there.bin low/data.pyc"]
    assert found(workshop, **{"hooks.after": beside}) == []
    assert found(workshop, **{"hooks.after": [*beside, "rm low/data.py"]}) == expected


def test_skipped_requirements(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("top", requires=["low"])
    wheelhouse.wheel("low")
    workshop.write({"src/requirements.txt": "top\n", "src/app.py": f"import top, low\n{HANDLER}"})
    assert found(workshop) == []
    assert found(workshop, skip=["low"]) == [("warning", "ImportMissing")]


def test_layers_count(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    wheelhouse.wheel("top", requires=["low"])
    wheelhouse.wheel("low")
    workshop.write({"src/app.py": f"import top, low, shared\n{HANDLER}", "layer/requirements.txt": "low\n"})
    workshop.write({"src/requirements.txt": "top\n", "layer/shared.py": ""})
    workshop.declare(
        {"api": {"layers": ["common"]}, "old": {"layers": ["common"], "runtime": "python3.12"}, "alone": {}},
        {"common": {"entry": "layer", "runtimes": ["python3.12", "python3.13"]}},
    )
    results = workshop.bundle()
    assert {name: codes(one.problems) for name, one in results.items()} == {
        "api": [],
        "old": [],
        "alone": [("error", "ImportMissing")],
        "common": [],
    }


def test_names_of_a_layer_s_own_modules(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """Those of its dependencies are not looked at, as everywhere."""
    wheelhouse.wheel("low")
    workshop.write({"layer/shared.py": "from low import *\nZ = 1\n", "layer/requirements.txt": "low\n"})
    workshop.write({"src/app.py": f"from low import anything\nfrom shared import Z, VERSION, Y\n{HANDLER}"})
    workshop.declare({"api": {"layers": ["common"]}}, {"common": {"entry": "layer"}})
    (problem,) = workshop.bundle()["api"].problems
    assert (problem.severity, problem.code) == ("warning", Code.IMPORT_MISSING)
    assert problem.message == '"Y" is imported from shared, which does not define it'


@pytest.mark.parametrize("form", ["zip", "dir"])
def test_binaries(workshop: Workshop, wheelhouse: Wheelhouse, form: str) -> None:
    files: dict[str, str | bytes] = {"ext/__init__.py": "", "ext/core.abi3.so": Elf(machine="x86_64").write()}
    wheelhouse.wheel("ext", tag="cp313-cp313-manylinux_2_17_aarch64", files=files)
    workshop.write({"src/requirements.txt": "ext\n"})
    assert found(workshop, format=form) == [("error", "WrongMachine")]
    assert found(workshop, format=form) == [("error", "WrongMachine")], "from what is kept"
    mended = ["cp good.so ext/core.abi3.so; rm good.so"]
    workshop.write({"src/good.so": Elf(machine="aarch64").write()})
    assert found(workshop, format=form, **{"hooks.after": mended}) == []


def test_what_a_hook_adds_is_judged(workshop: Workshop) -> None:
    workshop.write({"src/tools/bad.py": "def f(:\n"})
    assert found(workshop, **{"hooks.before": ["rm -r tools; echo 'x = (' > app.py"]}) == [
        ("error", "SyntaxUnsupported")
    ]
    assert found(workshop, **{"hooks.after": ["mv tools/bad.py tools/other.py"]}) == [
        ("warning", "SyntaxUnsupported")
    ]


def test_path_files_are_heeded(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """Lambda takes the folder of the function for one of `site`; setuptools has distutils that way."""
    workshop.write({"src/app.py": f"import inner\n{HANDLER}", "src/deep/er/inner.py": "x = 1\n"})
    assert found(workshop) == [("error", "ImportMissing")]
    workshop.write({"src/x.pth": "# where it is\n\ndeep/er\n../outside\n"})
    assert found(workshop) == []
    workshop.write({"src/x.pth": "import os; os.environ\n", "src/app.py": f"import anything\n{HANDLER}"})
    assert ("warning", "ImportMissing") in found(workshop)
    assert [one for one in found(workshop) if one[0] == "error"] == []
    workshop.write({"src/x.pth": "", "src/app.py": f"from distutils.util import strtobool\n{HANDLER}"})
    assert ("error", "ImportMissing") in found(workshop)
    wheelhouse.wheel(
        "setuptools", files={"distutils-precedence.pth": "import os\n", "setuptools/__init__.py": ""}
    )
    workshop.write({"src/requirements.txt": "setuptools\n"})
    assert [one for one in found(workshop) if one[0] == "error"] == []


def test_ruff_is_not_started_for_nothing(tmp_path: Path) -> None:
    """It would need the folder for temporary files."""
    children, nowhere = Children(), tmp_path / "nowhere"
    processes = Processes(children, {}, nowhere, 1)
    desk = Desk(children=children, environ={}, scratch=nowhere, processes=processes)
    target = Target("python3.13", "arm64")
    assert readings({}, target, desk) == {}
    (tmp_path / "a.py").write_bytes(b"\0")
    assert readings({"a.py": tmp_path / "a.py"}, target, desk)["a.py"].fault is not None
    processes.close()


def test_too_large_a_zip_for_a_request_is_a_note(workshop: Workshop) -> None:
    (workshop.root / "src" / "noise").write_bytes(os.urandom(53_000_000))
    assert found(workshop) == [("note", "LargeUpload")]
    assert found(workshop, format="dir") == []
    assert found(workshop, **{"verify.ignore": ["LargeUpload:*"]}) == []


# --- what is passed over


@pytest.mark.parametrize(
    "entry",
    [
        "SecretFile:certs/server.key",
        "SecretFile:certs/*",
        "SecretFile:*.key",
        "SecretFile:server.key",
        "PythonLocalBundlingSecretFile:*",
    ],
)
def test_ignored(workshop: Workshop, entry: str) -> None:
    workshop.write({"src/certs/server.key": ""})
    assert found(workshop, **{"verify.ignore": [entry]}) == []


@pytest.mark.parametrize("entry", ["SecretFile:other", "SecretFile:certs", "ImportMissing:*"])
def test_ignored_in_vain(workshop: Workshop, entry: str) -> None:
    workshop.write({"src/certs/server.key": ""})
    assert found(workshop, **{"verify.ignore": [entry]}) == [
        ("warning", "SecretFile"),
        ("warning", "IgnoreUnused"),
    ]


def test_ignored_for_several_functions_need_not_be_used_by_each(workshop: Workshop) -> None:
    workshop.declare({"api": {}}, defaults={"verify.ignore": ["SecretFile:*"]})
    assert workshop.bundle()["api"].problems == ()


def test_ignored_by_module_and_by_distribution(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    bad = Elf(machine="x86_64").write()
    wheelhouse.wheel(
        "ext", tag="cp313-cp313-manylinux_2_17_aarch64", files={"core.abi3.so": bad}, requires=["low"]
    )
    wheelhouse.wheel("low")
    workshop.write({"src/requirements.txt": "ext\n", "src/app.py": f"import gone\n{HANDLER}"})
    ignore = ["ImportMissing:gone", "WrongMachine:ext", "DependencyMissing:ext"]
    assert found(workshop, **{"verify.ignore": ignore, "hooks.after": ["rm -r low*"]}) == []


def test_warnings_of_the_configuration_can_be_ignored(workshop: Workshop) -> None:
    values = {"runtime": "python3.9", "verify.ignore": ["DeprecatedRuntime:*"]}
    assert found(workshop, **values) == []


@pytest.mark.parametrize(
    ("entry", "said", "hint"),
    [
        ("ImportMising:x", 'no finding called "ImportMising"', 'did you mean "ImportMissing"?'),
        ("ImportMissing", 'not of the form "code:pattern"', "ImportMissing:*"),
        ("ImportMissing:", 'not of the form "code:pattern"', "ImportMissing:*"),
        ("", 'no finding called ""', "docs/errors.md"),
    ],
)
def test_what_cannot_be_ignored(workshop: Workshop, entry: str, said: str, hint: str) -> None:
    workshop.declare({"api": {"verify.ignore": [entry]}})
    with pytest.raises(BundleError) as caught:
        load(workshop.root / "bundles.toml")
    (problem,) = caught.value.problems
    assert problem.where.key == "functions.api.verify.ignore[0]"
    assert said in problem.message
    assert hint in (problem.hint or "")


# --- files and names


@pytest.mark.parametrize(
    ("path", "content", "severity"),
    [
        (".aws/credentials", "", "warning"),
        ("deploy.pem", "-----BEGIN RSA PRIVATE KEY-----", "warning"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----", None),
        ("prod.env", "", "warning"),
        ("env.example", "", None),
        ("keys.py", "", None),
        ("id_rsa.pub", "", None),
        ("terraform.tfstate", "", "warning"),
        ("a\\b.txt", "", "error"),
        ("x" * 120 + ".py", "", None),
        ("tab\there.txt", "", "error"),
        ("ünï.txt", "", None),
    ],
)
def test_files(workshop: Workshop, path: str, content: str, severity: str | None) -> None:
    workshop.write({f"src/{path}": content})
    assert [one[0] for one in found(workshop)] == ([severity] if severity else [])


# --- the command


def test_what_is_left_in_the_zip_is_read_where_it_counts(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """A name that a dependency's module gives, and the checksums of all that is in there."""
    wheelhouse.wheel("dep", files={"dep/__init__.py": "def thing(event, context): ...\n", "dep/a.json": "{}"})
    workshop.write({"src/requirements.txt": "dep\n", "src/app.py": "from dep import *\nhandler = thing\n"})
    workshop.write({"src/main.py": "from dep import *\n", "src/data.json": "{}"})
    workshop.declare({"api": {"handler": "main.thing"}, "bad": {"handler": "main.nothing"}})
    results = workshop.bundle()
    assert (results["api"].status, results["bad"].status) == ("built", "failed")
    jobs = plan(load(workshop.root / "bundles.toml"), ["api"])
    (verdict,) = inspect(declared(jobs), strict=True, environ=workshop.environ)
    assert (verdict.problems, verdict.files) == ((), len(zipfile.ZipFile(jobs[0].artifact).namelist()))
    bad = replace(declared(jobs)[0], handler="main.nothing")
    (verdict,) = inspect([bad], strict=False, environ=workshop.environ)
    assert codes(verdict.problems) == [("error", "HandlerUndefined")]
    content = bytearray(jobs[0].artifact.read_bytes())
    content[content.index(b"{}")] ^= 1  # in a.json of the dependency
    jobs[0].artifact.write_bytes(content)
    (verdict,) = inspect(declared(jobs), strict=False, environ=workshop.environ)
    assert codes(verdict.problems) == [("error", "ArtifactUnreadable")]


def test_a_layer_for_several_runtimes_is_judged_for_each(workshop: Workshop, wheelhouse: Wheelhouse) -> None:
    """What is for one of them is no business of the others, with a function and alone."""
    for minor in (12, 13):
        files: dict[str, str | bytes] = {
            "fast/__init__.py": "from fast import _core, only\n",
            "fast/only.py": "type Number = int\n",
            f"fast/_core.cpython-3{minor}-aarch64-linux-gnu.so": Elf(machine="aarch64").write(),
        }
        wheelhouse.wheel("fast", tag=f"cp3{minor}-cp3{minor}-manylinux_2_17_aarch64", files=files)
    workshop.write({"layer/requirements.txt": "fast\n", "src/app.py": f"import fast\n{HANDLER}"})
    site = "lib/python3.13/site-packages"
    workshop.write({f"layer/{site}/mine.py": "import nowhere\n"})
    layer = {"entry": "layer", "runtimes": ["python3.12", "python3.13"]}
    workshop.declare({"api": {"layers": ["common"], "runtime": "python3.12"}}, {"common": layer})
    results = workshop.bundle()
    assert {name: codes(one.problems) for name, one in results.items()} == {
        "api": [],
        "common": [("warning", "ImportMissing")],
    }
    jobs = plan(load(workshop.root / "bundles.toml"))
    expected: dict[tuple[str, str], list[tuple[str, str]]] = {
        ("api", "python3.12"): [],
        ("common", "python3.12"): [],
        ("common", "python3.13"): [("warning", "ImportMissing")],
    }

    def told() -> dict[tuple[str, str], list[tuple[str, str]]]:
        verdicts = inspect(declared(jobs), strict=False, environ=workshop.environ)
        return {(one.case.name, one.case.target.runtime): codes(one.problems) for one in verdicts}

    assert told() == expected
    with zipfile.ZipFile(workshop.output / "common.zip", "a") as archive:
        info = zipfile.ZipInfo(f"python/{site}/fast/_more.cpython-313-x86_64-linux-gnu.so")
        info.external_attr = 0o644 << 16
        archive.writestr(info, Elf().write())
    expected["common", "python3.13"].append(("error", "ExtensionMisfit"))
    assert told() == expected


@pytest.fixture
def project(tmp_path: Path, environ: dict[str, str], wheelhouse: Wheelhouse) -> Project:
    wheelhouse.wheel("top", requires=["low"])
    wheelhouse.wheel("low")
    made = Project(tmp_path / "repo", environ)
    made.write(
        {"bundles.toml": functions("api", "other"), "tasks.py": TASKS, "src/requirements.txt": "top\n"}
    )
    made.write({"src/main.py": f"import top\n{HANDLER}"})
    return made


def archive(path: Path, files: Mapping[str, str | bytes], mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16 | 0x20  # 0 would become 600
            made.writestr(entry, content)
    return path


def verified(project: Project, *options: str, code: int) -> list[tuple[str, str]]:
    ran = project.here("verify", *options, "--json")
    assert ran.code == code, ran.err
    (verdict,) = ran.data["verdicts"]
    assert verdict["passed"] is (code == 0)
    return [(one["severity"], one["code"].removeprefix("PythonLocalBundling")) for one in verdict["problems"]]


TARGET = ("--runtime", "python3.13", "--arch", "arm64")


def test_what_was_bundled_is_verified(project: Project) -> None:
    ran = project.here("verify")
    assert ran.code == 1
    assert ran.err.count(str(Code.ARTIFACT_MISSING)) == 1, "the same in two places"
    assert project.here("bundle", "--all").code == 0
    ran = project.here("verify")
    assert ran.code == 0, ran.err
    assert [line.split()[1:4] for line in ran.out.splitlines()[1:]] == [
        ["api", "python3.13", "arm64"],
        ["other", "python3.13", "arm64"],
    ]
    assert "2 of 2 would load" in ran.err
    assert len(project.here("verify", "--only", "api", "--json").data["verdicts"]) == 1


def test_artifact_of_somebody_else(project: Project, tmp_path: Path) -> None:
    good = archive(tmp_path / "good.zip", {"app.py": HANDLER, "low/__init__.py": ""})
    options = ("--path", str(good), *TARGET, "--handler", "app.handler")
    assert verified(project, *options, code=0) == []
    metadata = (
        "Name: top\nVersion: 1.0\nRequires-Python: >=3.14\nRequires-Dist: missing>=2\nRequires-Dist: low\n"
    )
    files: dict[str, str | bytes] = {
        "app.py": "import top\nmatch = 1\n",
        "top/__init__.py": "import whatever_it_wants\n",
        "top/core.abi3.so": Elf(machine="x86_64").write(),
        "low/__init__.py": "",
        "top-1.0.dist-info/METADATA": metadata,
        "top-1.0.dist-info/RECORD": "top/__init__.py,,\ntop/core.abi3.so,,\ntop-1.0.dist-info/METADATA,,\n",
    }
    bad = archive(tmp_path / "bad.zip", files)
    assert verified(project, "--path", str(bad), *TARGET, "--handler", "app.handler", code=1) == [
        ("error", "HandlerUndefined"),
        ("error", "PythonUnsupported"),
        ("error", "DependencyMissing"),
        ("note", "NotChecked"),
        ("error", "WrongMachine"),
    ]
    with zipfile.ZipFile(bad) as packed:
        packed.extractall(tmp_path / "folder")
    assert len(verified(project, "--path", str(tmp_path / "folder"), *TARGET, code=1)) == 4


def test_layers_of_somebody_else(project: Project, tmp_path: Path) -> None:
    function = archive(tmp_path / "f.zip", {"app.py": f"import one, two\n{HANDLER}"})
    layer = archive(
        tmp_path / "l.zip",
        {"python/one.py": "", "python/lib/python3.13/site-packages/two.py": "", "lib/libx.so": "x"},
    )
    options = ("--path", str(function), *TARGET, "--handler", "app.handler")
    assert verified(project, *options, code=1) == [("error", "ImportMissing"), ("error", "ImportMissing")]
    assert verified(project, *options, "--layer", str(layer), code=0) == []
    assert verified(project, "--path", str(layer), *TARGET, code=0) == []
    assert verified(project, "--path", str(layer), "--runtime", "python3.12", "--arch", "arm64", code=0) == []
    many = [part for _ in range(6) for part in ("--layer", str(layer))]
    assert verified(project, *options, *many, code=1) == [("error", "ArtifactTooLarge")]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/etc/passwd", "UnusableName"),
        ("../up.py", "UnusableName"),
        ("src\\app.py", "UnusableName"),
        ("app.py/x.py", "UnusableName"),
    ],
)
def test_names_in_an_archive_of_somebody_else(project: Project, tmp_path: Path, name: str, code: str) -> None:
    bad = archive(tmp_path / "bad.zip", {"app.py": HANDLER, name: "x = 1\n"})
    assert ("error", code) in verified(project, "--path", str(bad), *TARGET, code=1)


def test_permissions_in_an_archive_of_somebody_else(project: Project, tmp_path: Path) -> None:
    for mode, code in ((0o600, 1), (0o640, 1), (0o644, 0), (0o755, 0), (0, 0)):
        made = archive(tmp_path / "x.zip", {"app.py": HANDLER}, mode)
        expected = [("error", "UnreadableFile")] if code else []
        assert verified(project, "--path", str(made), *TARGET, code=code) == expected


def test_links_in_an_archive_of_somebody_else(project: Project, tmp_path: Path) -> None:
    """As `zip -y` writes them: to a file, to a folder, to another link, and to nothing."""
    made = archive(
        tmp_path / "x.zip", {"real.py": f"import pkg.x, lib.other.x\n{HANDLER}", "lib/pkg/x.py": ""}
    )

    def link(links: Mapping[str, str]) -> None:
        with zipfile.ZipFile(made, "a") as more:
            for name, target in links.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = 0o120777 << 16
                more.writestr(entry, target)

    link({"app.py": "real.py", "pkg": "lib/pkg", "lib/other": "../pkg"})
    assert verified(project, "--path", str(made), *TARGET, code=0) == []
    link({"gone.py": "nowhere.py", "loop": "loop", "above": "../etc"})
    assert verified(project, "--path", str(made), *TARGET, code=1) == [("error", "BrokenLink")] * 3


def test_folders_that_nobody_may_enter(project: Project, tmp_path: Path) -> None:
    for mode, code in ((0o700, 1), (0o744, 1), (0o755, 0)):
        made = archive(tmp_path / "x.zip", {"app.py": HANDLER, "pkg/x.py": "x = 1\n"})
        with zipfile.ZipFile(made, "a") as more:
            entry = zipfile.ZipInfo("pkg/")
            entry.external_attr = (0o40000 | mode) << 16 | 0x10
            more.writestr(entry, b"")
        expected = [("error", "UnreadableFile")] if code else []
        assert verified(project, "--path", str(made), *TARGET, code=code) == expected


def test_archives_that_are_none(project: Project, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no")
    (tmp_path / "cut.zip").write_bytes(
        archive(tmp_path / "x.zip", {"a.py": "x = 1\n" * 99}).read_bytes()[:200]
    )
    with zipfile.ZipFile(tmp_path / "other.zip", "w", zipfile.ZIP_BZIP2) as made:  # Lambda has no idea of it
        made.writestr("app.py", HANDLER)
    for name in ("text.zip", "cut.zip", "other.zip"):
        options = ("--path", str(tmp_path / name), *TARGET)
        assert verified(project, *options, code=1) == [("error", "ArtifactUnreadable")]
    assert verified(project, "--path", "nowhere.zip", *TARGET, code=1) == [("error", "ArtifactMissing")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--path", "x.zip"], "--runtime is missing"),
        (["--path", "x.zip", "--runtime", "python3.13"], "--arch is missing"),
        (["--path", "x.zip", "--runtime", "python3.99", "--arch", "arm64"], '"python3.99" is not known'),
        (["--path", "x.zip", "--runtime", "python3.13", "--arch", "arm"], 'did you mean "arm64"?'),
        (
            ["--path", "x.zip", "--runtime", "python3.7", "--arch", "arm64"],
            "python3.7 does not exist on arm64",
        ),
        (["--path", "x.zip", "--only", "api"], "contradicts"),
        (["--handler", "app.handler"], "--handler means nothing here"),
    ],
)
def test_options_that_cannot_be_meant(project: Project, options: list[str], said: str) -> None:
    ran = project.here("verify", *options)
    assert ran.code == 2
    assert said in ran.err
    assert json.loads(project.here("verify", *options, "--json").out)["problems"]


def test_notes_are_counted_and_told_as_json(project: Project) -> None:
    project.write({"src/main.py": f"import boto3\n{HANDLER}"})
    ran = project.here("bundle", "--only", "api")
    assert "1 note: --json tells them" in ran.err
    assert "ImportFromRuntime" not in ran.err
    shown = project.here("bundle", "--only", "api", "--json").data
    assert [one["severity"] for one in shown["results"][0]["problems"]] == ["note"]


def test_strict_commands(project: Project) -> None:
    project.write({"src/id_rsa": ""})
    assert project.here("bundle", "--only", "api").code == 0
    assert project.here("verify", "--only", "api").code == 0
    assert project.here("verify", "--only", "api", "--strict").code == 1
    assert project.here("bundle", "--only", "api", "--strict").code == 1
    assert not (project.root / "dist" / "api.zip").exists()
