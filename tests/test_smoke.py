"""Artifacts run through the real awslambdaric, in the Python that runs the tests and in others at hand."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from invoke.program import Program
from processes import all_gone, pids
from projects import TASKS, Project, Ran

from lambda_bundle.errors import Code
from lambda_bundle.exports import find_uv
from lambda_bundle.interpreters import Interpreter, Interpreters
from lambda_bundle.process import Children
from lambda_bundle.smoke import Subject, Terms, Trial, smoke
from lambda_bundle.targets import MACHINES, RUNTIMES, Target
from lambda_bundle.tasks import ns

HERE = f"python3.{sys.version_info[1]}"
ARCH = next((arch for arch, machine in MACHINES.items() if machine == platform.machine()), "x86_64")
OTHER = next(arch for arch in MACHINES if arch != ARCH)
PROBE = "import os, sys\n\n\ndef handler(event, context):\n    return {expression}\n"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric runs on Linux only"),
    pytest.mark.skipif(HERE not in RUNTIMES, reason=f"Lambda has no {HERE}"),
]


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pack(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


class Bench:
    """Runs what a test writes."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder, self.environ = folder, dict(environ)

    def run(
        self,
        artifact: Path,
        *,
        event: object = None,
        handler: str = "app.handler",
        target: Target | None = None,
        layers: Sequence[Path] = (),
        terms: Mapping[str, object] | None = None,
    ) -> Trial:
        subject = Subject(
            name="api",
            artifact=artifact,
            handler=handler,
            target=target or Target(HERE, ARCH),
            layers=tuple(layers),
        )
        document = None if event is None else json.dumps(event).encode()
        chosen = Terms(event=document, pythons=(Path(sys.executable),))
        (trial,) = smoke([subject], Terms(**{**_fields(chosen), **(terms or {})}), environ=self.environ)  # type: ignore[arg-type]
        return trial

    def ask(self, expression: str, **options: object) -> object:
        """What an expression is inside a function."""
        root = write(self.folder / "asked", {"app.py": PROBE.format(expression=expression)})
        trial = self.run(root, event={}, **options)  # type: ignore[arg-type]
        assert trial.status == "passed", trial.problems
        assert trial.response is not None
        return json.loads(trial.response)


def _fields(terms: Terms) -> dict[str, object]:
    return {name: getattr(terms, name) for name in ("event", "timeout", "pythons", "variables")}


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str]) -> Bench:
    return Bench(tmp_path, environ)


def codes(trial: Trial) -> list[Code]:
    return [problem.code for problem in trial.problems]


# --- what passes


def test_a_zip_is_initialised(bench: Bench) -> None:
    path = pack(bench.folder / "api.zip", {"app.py": "print('hello')\ndef handler(e, c): ...\n"})
    trial = bench.run(path)
    assert (trial.status, trial.output, trial.problems) == ("passed", "hello\n", ())
    assert trial.init is not None
    assert trial.init > 0
    assert (trial.duration, trial.response) == (None, None)
    assert trial.interpreter is not None
    assert trial.interpreter.version == platform.python_version()
    assert trial.client
    assert trial.memory is not None
    assert 4 << 20 < trial.memory < 400 << 20


def test_a_folder_is_called_with_the_event(bench: Bench) -> None:
    files = {"pkg/__init__.py": "", "pkg/app.py": "def handler(event, context):\n    return event\n"}
    event = {"text": "Grüße", "list": [1, None, True]}
    trial = bench.run(write(bench.folder / "api", files), event=event, handler="pkg.app.handler")
    assert trial.status == "passed"
    assert trial.response is not None
    assert json.loads(trial.response) == event
    assert trial.duration is not None


def test_the_context_is_lambda_s(bench: Bench) -> None:
    source = (
        "def handler(event, context):\n"
        "    return [context.function_name, context.memory_limit_in_mb, context.invoked_function_arn,\n"
        "            len(context.aws_request_id), context.get_remaining_time_in_millis()]\n"
    )
    trial = bench.run(write(bench.folder / "api", {"app.py": source}), event={}, terms={"timeout": 20.0})
    name, memory, arn, identity, remaining = json.loads(trial.response or "")
    assert (name, memory, identity) == ("api", "128", 36)
    assert arn == "arn:aws:lambda:us-east-1:123456789012:function:api"
    assert 0 < remaining <= 20_000


def test_memory_is_the_peak(bench: Bench) -> None:
    source = "def handler(event, context):\n    return len(bytearray(event))\n"
    root = write(bench.folder / "api", {"app.py": source})
    small, large = bench.run(root, event=1), bench.run(root, event=100 << 20)
    assert small.memory is not None
    assert large.memory is not None
    assert large.memory - small.memory > 90 << 20


# --- the world that a function finds


def test_the_search_path_is_lambda_s(bench: Bench) -> None:
    path = bench.ask("sys.path")
    assert isinstance(path, list)
    root = path[0].removesuffix("/var/task")
    site = f"{root}/opt/python/lib/{HERE}/site-packages"
    assert path[:3] == [f"{root}/var/task", site, f"{root}/opt/python"]
    assert path[3] == bench.ask("os.environ['LAMBDA_RUNTIME_DIR']") or path[3].startswith(root[:5])
    assert not [one for one in path[4:] if one.endswith("site-packages") and not one.startswith(root)]


def test_what_is_installed_for_the_interpreter_is_not_there(bench: Bench) -> None:
    trial = bench.run(write(bench.folder / "api", {"app.py": "import pydantic\n"}))
    assert codes(trial) == [Code.INIT_FAILED]
    assert "No module named 'pydantic'" in trial.problems[0].message


def test_what_the_runtime_brings_is_there(bench: Bench) -> None:
    root = write(bench.folder / "api", {"app.py": "import boto3\ndef handler(e, c): return boto3.__name__\n"})
    assert bench.run(root, event={}).response == '"boto3"'


def test_the_function_comes_before_its_layers_and_they_before_the_runtime(bench: Bench) -> None:
    source = "import a, b, six\ndef handler(e, c): return [a.x, b.x, six.x]\n"
    root = write(bench.folder / "api", {"app.py": source, "a.py": "x = 'task'\n"})
    first = pack(
        bench.folder / "1.zip",
        {"python/a.py": "x = 'layer'\n", "python/b.py": "x = 'first'\n", "python/six.py": "x = 'layer'\n"},
    )
    second = write(bench.folder / "2", {"python/b.py": "x = 'second'\n"})
    trial = bench.run(root, event={}, layers=[first, second])
    assert trial.response == '["task", "second", "layer"]'
    trial = bench.run(root, event={}, layers=[second, first])
    assert trial.response == '["task", "first", "layer"]'


def test_path_files_are_heeded(bench: Bench) -> None:
    files = {"app.py": "import inner\ndef handler(e, c): ...\n", "x.pth": "deep\n", "deep/inner.py": ""}
    assert bench.run(write(bench.folder / "api", files)).status == "passed"


def test_nothing_of_our_environment_reaches_it(bench: Bench) -> None:
    bench.environ |= {
        "AWS_SECRET_ACCESS_KEY": "mine",
        "AWS_PROFILE": "mine",
        "AWS_SESSION_TOKEN": "mine",
        "API_TOKEN": "mine",
        "PYTHONPATH": "/mine",
    }
    found = bench.ask("dict(os.environ)")
    assert isinstance(found, dict)
    assert "mine" not in found.values()
    assert not found.keys() & {"AWS_PROFILE", "API_TOKEN"}
    assert found["AWS_ACCESS_KEY_ID"] == "AKIAIOSFODNN7EXAMPLE"


def test_no_credentials_of_the_user_are_found_in_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write(
        bench.folder / "home",
        {".aws/credentials": "[default]\naws_access_key_id = mine\naws_secret_access_key = mine\n"},
    )
    monkeypatch.setenv("HOME", str(home))
    bench.environ["HOME"] = str(home)
    assert bench.ask("os.path.exists(os.path.expanduser('~/.aws/credentials'))") is False
    source = "import boto3\ndef handler(e, c):\n    return boto3.Session().get_credentials().access_key\n"
    root = write(bench.folder / "api", {"app.py": source})
    assert bench.run(root, event={}).response == '"AKIAIOSFODNN7EXAMPLE"'


def test_variables_are_given(bench: Bench) -> None:
    terms = {"variables": {"TABLE": "orders", "AWS_REGION": "eu-central-1"}}
    asked = "[os.environ[name] for name in ('TABLE', 'AWS_REGION', '_HANDLER', 'AWS_EXECUTION_ENV')]"
    expected = ["orders", "eu-central-1", "app.handler", f"AWS_Lambda_{HERE}"]
    assert bench.ask(asked, terms=terms) == expected


def test_a_python_path_of_the_user_s_own_replaces_the_layers(bench: Bench) -> None:
    layer = write(bench.folder / "layer", {"python/deep/a.py": ""})
    path = bench.ask("[os.path.basename(one) for one in sys.path]", layers=[layer])
    assert isinstance(path, list)
    assert "python" in path
    terms = {"variables": {"PYTHONPATH": "/nowhere"}}
    path = bench.ask("[os.path.basename(one) for one in sys.path]", layers=[layer], terms=terms)
    assert isinstance(path, list)
    assert "python" not in path
    assert "nowhere" in path


def test_temporary_files_can_be_written(bench: Bench) -> None:
    asked = "__import__('tempfile').NamedTemporaryFile().write(b'x')"
    assert bench.ask(asked) == 1


SEMAPHORES = """\
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def handler(event, context):
    here, there = multiprocessing.Pipe()
    child = multiprocessing.Process(target=there.send, args=("by a pipe",))
    child.start()
    told = [here.recv()]
    child.join()
    for make in (multiprocessing.Lock, multiprocessing.Queue, multiprocessing.Pool, ProcessPoolExecutor):
        try:
            make()
        except OSError as error:
            told.append(str(error))
    return told
"""


def test_there_is_no_shared_memory(bench: Bench) -> None:
    """Unless the user has brought a library that stands in for it."""
    root = write(bench.folder / "api", {"app.py": SEMAPHORES})
    refused = f"[Errno {errno.ENOSYS}] {os.strerror(errno.ENOSYS)}"
    response = bench.run(root, event={}).response
    assert response is not None
    assert json.loads(response) == ["by a pipe", *[refused] * 4]
    terms = {"variables": {"LD_PRELOAD": ""}}
    response = bench.run(root, event={}, terms=terms).response
    assert response is not None
    assert json.loads(response) == ["by a pipe"]


def test_nothing_is_left_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = bench.folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    root = write(bench.folder / "api", {"app.py": "def handler(e, c): ...\n", "deep/er/x.txt": "x"})
    before = sorted(root.rglob("*"))
    assert bench.run(root, event={}).status == "passed"
    assert sorted(root.rglob("*")) == before
    assert list(temporary.iterdir()) == []


# --- what fails


FAULTS = {
    "missing module": ("import numpy\n", "Runtime.ImportModuleError", 'app.py", line 1'),
    "deep": ("def f():\n    1 / 0\nf()\n", "ZeroDivisionError", "in f\n    1 / 0"),
    "syntax": ("def handler(:\n", "Runtime.UserCodeSyntaxError", "def handler(:"),
    "no handler": ("def other(e, c): ...\n", "Runtime.HandlerNotFound", None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_init_errors_have_the_user_s_traceback(bench: Bench, fault: str) -> None:
    source, kind, trace = FAULTS[fault]
    trial = bench.run(write(bench.folder / "api", {"app.py": source}), event={})
    assert (trial.status, codes(trial), trial.duration) == ("failed", [Code.INIT_FAILED], None)
    (problem,) = trial.problems
    assert kind in problem.message
    assert problem.where.name == "api"
    if trace is None:
        assert problem.detail is None
    else:
        assert problem.detail is not None
        assert trace in problem.detail
        assert "/var/task/app.py" in problem.detail
        assert str(bench.folder) not in problem.detail
        assert "awslambdaric" not in problem.detail
        assert "importlib" not in problem.detail


@pytest.mark.parametrize(
    ("handler", "kind"),
    [("handler", "Runtime.MalformedHandlerName"), ("sys.exit", "Runtime.BuiltInModuleConflict")],
)
def test_handlers_that_lambda_refuses(bench: Bench, handler: str, kind: str) -> None:
    trial = bench.run(write(bench.folder / "api", {"app.py": ""}), handler=handler)
    assert codes(trial) == [Code.INIT_FAILED]
    assert kind in trial.problems[0].message


def test_errors_of_the_handler(bench: Bench) -> None:
    source = "def handler(event, context):\n    print('working')\n    raise ValueError('no\\ngood')\n"
    trial = bench.run(write(bench.folder / "api", {"app.py": source}), event={})
    assert (trial.status, codes(trial)) == ("failed", [Code.INVOCATION_FAILED])
    (problem,) = trial.problems
    assert problem.message == "the invocation fails: ValueError: no"
    assert problem.detail is not None
    assert 'File "/var/task/app.py", line 3, in handler' in problem.detail
    assert problem.detail.endswith("ValueError: no\ngood\n\nwhat it wrote:\nworking")
    assert trial.duration is not None
    assert trial.init is not None


def test_what_is_no_json_is_an_error(bench: Bench) -> None:
    trial = bench.run(
        write(bench.folder / "api", {"app.py": "def handler(e, c):\n    return object()\n"}), event={}
    )
    assert codes(trial) == [Code.INVOCATION_FAILED]
    assert "Runtime.MarshalError" in trial.problems[0].message


@pytest.mark.parametrize(
    ("source", "event", "told"),
    [
        ("import sys\nsys.exit(3)\n", None, "ended with exit code 3 while it was initialised"),
        (
            "import os\ndef handler(e, c):\n    os._exit(4)\n",
            {},
            "ended with exit code 4 during the invocation",
        ),
        (
            "import os\ndef handler(e, c):\n    os.kill(os.getpid(), 11)\n",
            {},
            f"was ended by signal {signal.SIGSEGV.value} during the invocation",
        ),
    ],
)
def test_a_process_that_dies(bench: Bench, source: str, event: object, told: str) -> None:
    trial = bench.run(write(bench.folder / "api", {"app.py": source}), event=event)
    assert codes(trial) == [Code.FUNCTION_ENDED]
    assert trial.problems[0].message == f"its process {told}"


@pytest.mark.parametrize(
    ("source", "event", "what"),
    [
        ("import time\ntime.sleep(600)\n", None, "initialisation"),
        ("import time\ndef handler(e, c):\n    time.sleep(600)\n", {}, "invocation"),
    ],
)
def test_what_takes_too_long_is_ended(bench: Bench, source: str, event: object, what: str) -> None:
    timeout = 1.0 if event is None else 5.0
    began = time.monotonic()
    root = write(bench.folder / "api", {"app.py": source})
    trial = bench.run(root, event=event, terms={"timeout": timeout})
    assert codes(trial) == [Code.FUNCTION_TIMED_OUT]
    assert what in trial.problems[0].message
    assert time.monotonic() - began < 300


def test_children_of_the_function_are_ended_too(bench: Bench) -> None:
    file = bench.folder / "pids"
    source = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"print(child.pid, file=open({str(file)!r}, 'a'), flush=True)\n"
        "def handler(e, c): ...\n"
    )
    assert bench.run(write(bench.folder / "api", {"app.py": source})).status == "passed"
    assert all_gone(pids(file, 1))


CHANGES = {
    "new": ("open('x.txt', 'w').close()", "/var/task/x.txt"),
    "other content": ("open('data.txt', 'w').write('more')", "/var/task/data.txt"),
    "removed": ("os.remove('data.txt')", "/var/task/data.txt"),
    "folder": ("os.mkdir('made')", "/var/task/made"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_writing_into_the_code_is_an_error(bench: Bench, change: str) -> None:
    statement, path = CHANGES[change]
    source = f"import os\ndef handler(e, c):\n    {statement}\n"
    root = write(bench.folder / "api", {"app.py": source, "data.txt": "data"})
    trial = bench.run(root, event={})
    assert trial.status == "failed"
    if codes(trial) == [Code.INVOCATION_FAILED]:  # anybody but root is refused
        assert "PermissionError" in trial.problems[0].message
    else:
        assert codes(trial) == [Code.CODE_CHANGED]
        assert path in trial.problems[0].message
    assert (root / "data.txt").read_text() == "data"


def test_response_that_lambda_would_not_return(bench: Bench) -> None:
    """It counts the bytes of the JSON, quotation marks included."""
    root = write(bench.folder / "api", {"app.py": "def handler(event, context):\n    return 'x' * event\n"})
    assert bench.run(root, event=6_291_554).status == "passed"
    trial = bench.run(root, event=6_291_555)
    assert (trial.status, codes(trial)) == ("failed", [Code.INVOCATION_FAILED])
    assert trial.problems[0].message.startswith("its response has 6,291,557 bytes")


def test_artifacts_that_are_none(bench: Bench) -> None:
    assert codes(bench.run(bench.folder / "none.zip")) == [Code.ARTIFACT_MISSING]
    broken = pack(bench.folder / "api.zip", {"app.py": "x" * 100})
    broken.write_bytes(broken.read_bytes()[:-10])
    assert codes(bench.run(broken)) == [Code.ARTIFACT_UNREADABLE]
    outside = pack(bench.folder / "out.zip", {"../out.py": ""})
    assert codes(bench.run(outside)) == [Code.ARTIFACT_UNREADABLE]
    for names in (["app", "app/x.py"], ["app/x.py", "app"]):  # what is a file, and the folder of another
        assert codes(bench.run(pack(bench.folder / "both.zip", dict.fromkeys(names, "")))) == [
            Code.ARTIFACT_UNREADABLE
        ]


def test_links_in_a_zip_are_links(bench: Bench) -> None:
    path = pack(bench.folder / "api.zip", {"real.py": "def handler(e, c): return __file__[-8:]\n"})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("app.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "real.py")
    assert bench.run(path, event={}).response == '"k/app.py"'


# --- interpreters


def test_pure_python_for_another_architecture_runs_and_says_so(bench: Bench) -> None:
    root = write(bench.folder / "api", {"app.py": "def handler(e, c): ...\n"})
    target = Target(HERE, OTHER)
    trial = bench.run(root, target=target)
    assert trial.status == "passed"
    assert trial.interpreter is not None
    assert not trial.interpreter.loads(target)
    assert trial.interpreter.loads(Target(HERE, ARCH))


@pytest.mark.parametrize("where", ["function", "layer"])
def test_what_is_compiled_for_another_architecture_is_not_run(bench: Bench, where: str) -> None:
    compiled: dict[str, str | bytes] = {"lib/tool": b"\x7fELF" + bytes(100)}
    root = write(bench.folder / "api", {"app.py": "def handler(e, c): ...\n"})
    layers = []
    if where == "layer":
        layers = [write(bench.folder / "layer", compiled)]
    else:
        write(root, compiled)
    environ = {**bench.environ, "PATH": os.defpath}
    trial = Bench(bench.folder, environ).run(root, target=Target(HERE, OTHER), layers=layers)
    assert (trial.status, codes(trial)) == ("not run", [Code.NOT_RUN])
    (problem,) = trial.problems
    assert problem.severity == "warning"
    assert ("/opt/lib/tool" if where == "layer" else "/var/task/lib/tool") in problem.message
    assert MACHINES[OTHER] in problem.message
    # and the same is run where the machine is right
    assert bench.run(root, layers=layers).status == "passed"


def test_what_is_compiled_for_another_version_is_not_loaded(bench: Bench) -> None:
    root = write(bench.folder / "api", {"app.py": "import x\ndef handler(event, context): return x.y\n"})
    layer: dict[str, str | bytes] = {
        "python/x.py": "y = 1\n",
        "python/lib/python3.99/site-packages/x.so": b"\x7fELF" + bytes(60),
    }
    trial = bench.run(
        root, event={}, target=Target(HERE, OTHER), layers=[pack(bench.folder / "l.zip", layer)]
    )
    assert (trial.status, trial.response) == ("passed", "1")


def test_without_an_interpreter_nothing_is_run(bench: Bench) -> None:
    root = write(bench.folder / "api", {"app.py": "open('ran', 'w')\n"})
    other = next(name for name in RUNTIMES if name != HERE)
    trial = bench.run(root, target=Target(other, ARCH))
    assert (trial.status, codes(trial), trial.interpreter) == ("not run", [Code.NOT_RUN], None)
    assert other.removeprefix("python") in trial.problems[0].message
    nothing = {"HOME": str(bench.folder), "PYENV_ROOT": str(bench.folder), "PATH": str(bench.folder)}
    bare = Bench(bench.folder, {**bench.environ, **nothing})
    trial = bare.run(root, target=Target(other, ARCH), terms={"pythons": ()})
    assert "at hand" in trial.problems[0].message


def test_a_program_that_is_no_python_is_no_interpreter(tmp_path: Path, environ: dict[str, str]) -> None:
    found = Interpreters(Children(), environ, tmp_path)
    for path in ("/bin/true", "/bin/false", "/nowhere", str(tmp_path)):
        assert found.probe(Path(path)) is None, path


def test_pyenv_s_are_found_the_newest_first(tmp_path: Path, environ: dict[str, str]) -> None:
    version, other = f"3.{sys.version_info[1]}", f"3.{sys.version_info[1] - 1}"
    for name in (f"{other}.2", f"{other}.10", f"{other}-dev", f"{version}.1"):
        script = f'#!/bin/sh\necho \'["cpython", "{name}", "m", "linux", "s"]\'\n'
        (tmp_path / "versions" / name / "bin").mkdir(parents=True)
        (tmp_path / "versions" / name / "bin" / "python").write_text(script)
        (tmp_path / "versions" / name / "bin" / "python").chmod(0o755)
    environ |= {"PYENV_ROOT": str(tmp_path)}
    found = Interpreters(Children(), environ, tmp_path).of(Target(f"python{other}", ARCH))
    assert [one.version for one in (next(found), next(found))] == [f"{other}.10", f"{other}.2"]


def test_what_loads_what() -> None:
    def one(suffix: str) -> Interpreter:
        return Interpreter(
            command=("python",), version="3.13.0", machine="x86_64", system="linux", suffix=suffix
        )

    target = Target("python3.13", "x86_64")
    assert one(".cpython-313-x86_64-linux-gnu.so").loads(target)
    for other in ("313t-x86_64-linux-gnu", "312-x86_64-linux-gnu", "313-aarch64-linux-gnu"):
        assert not one(f".cpython-{other}.so").loads(target)
    assert not one(".cpython-313-x86_64-linux-musl.so").loads(target)
    assert not one(".cpython-313-darwin.so").loads(target)
    seven = one(".cpython-37m-x86_64-linux-gnu.so")
    assert seven.loads(Target("python3.7", "x86_64"))


EMULATOR = '#!/bin/sh\n[ "$1" = -L ] && shift 2\nexport EMULATED=1\nexec "$@"\n'
FOREIGN = """\
#!/bin/sh
[ "$EMULATED" ] || exit 126
case "$3" in
import*) echo '["cpython", "%s", "%s", "linux", ".cpython-%s-%s-linux-gnu.so"]' ;;
*) exec %s "$@" ;;
esac
"""


def test_another_architecture_runs_under_qemu(bench: Bench) -> None:
    """The emulator is a script here that sets a variable, and the interpreter one that wants it set."""
    target = Target(HERE, OTHER)
    abi = target.abi.removeprefix("cp")
    filled = (platform.python_version(), target.machine, abi, target.machine, sys.executable)
    root = write(bench.folder, {f"bin/qemu-{target.machine}": EMULATOR, "foreign": FOREIGN % filled})
    for name in (f"bin/qemu-{target.machine}", "foreign"):
        (root / name).chmod(0o755)
    bench.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    found = list(Interpreters(Children(), bench.environ, root, given=[root / "foreign"]).of(target))
    assert [(one.emulated, one.machine, one.loads(target)) for one in found] == [(True, target.machine, True)]
    assert str(found[0]).endswith(f"{target.machine} under qemu")
    without = Interpreters(Children(), {**bench.environ, "PATH": os.defpath}, root, given=[root / "foreign"])
    assert list(without.of(target)) == []


AT_THE_ENDS = ("python3.7", "python3.14")
"""The runtimes that every run of the suite looks for; the examples are run on those between."""


@pytest.mark.index
@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(name, marks=[] if name in AT_THE_ENDS else pytest.mark.campaign)
        for name in RUNTIMES
        if name != HERE
    ],
)
def test_every_runtime_that_is_at_hand(
    runtime: str, tmp_path: Path, clean_environ: Mapping[str, str]
) -> None:
    target = Target(runtime, ARCH)
    found = Interpreters(Children(), clean_environ, tmp_path, uv=find_uv()).of(target)
    if not any(one.loads(target) for one in found):
        pytest.skip(f"this machine has no CPython for {runtime}")
    source = "import boto3, sys\ndef handler(event, context):\n    return [*sys.version_info[:2], event]\n"
    root = write(tmp_path / "api", {"app.py": source})
    bench = Bench(tmp_path, clean_environ)
    trial = bench.run(root, event={"a": 1}, target=target, terms={"pythons": ()})
    assert trial.problems == ()
    assert json.loads(trial.response or "") == [*target.version, {"a": 1}]
    assert trial.interpreter is not None
    assert trial.interpreter.loads(target)
    trial = bench.run(write(root, {"app.py": "import gone\n"}), target=target, terms={"pythons": ()})
    assert trial.problems[0].detail is not None
    assert 'File "/var/task/app.py", line 1' in trial.problems[0].detail


# --- as a command


EMPTY = "def handler(event, context): ...\n"
BUNDLES = f"""\
[defaults]
runtime = "{HERE}"
arch = "{ARCH}"
[functions.good]
entry = "good"
handler = "app.handler"
[functions.bad]
entry = "bad"
handler = "app.handler"
[functions.layered]
entry = "layered"
handler = "app.handler"
layers = ["common"]
[layers.common]
entry = "common"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, clean_environ: Mapping[str, str]) -> Project:
    root = tmp_path_factory.mktemp("smoke")
    project = Project(root, clean_environ)
    project.write(
        {
            "tasks.py": TASKS,
            "bundles.toml": BUNDLES,
            "good/app.py": "import os\ndef handler(event, c):\n    return [event, os.environ.get('A')]\n",
            "bad/app.py": "import importlib\nimportlib.import_module('nothing')\n" + EMPTY,
            "layered/app.py": "import shared\ndef handler(event, context):\n    return shared.NAME\n",
            "common/shared.py": "NAME = 'shared'\n",
            "event.json": '{"n": 1}',
        }
    )
    assert project.invoke("bundle", "--all").code == 0
    return project


def test_the_table(project: Project) -> None:
    ran = project.here("smoke", "--only", "good", "--event", "event.json", "--env", "A=b=c")
    assert ran.code == 0, ran.err
    rows = ran.out.splitlines()
    assert rows[0].split() == ["name", "runtime", "arch", "status", "ran", "on", "init", "duration", "memory"]
    assert rows[1].split()[1:5] == ["good", HERE, ARCH, "passed"]
    assert f"CPython {platform.python_version()} on {platform.machine()} " in rows[1]
    assert rows[2] == 'good: [{"n": 1}, "b=c"]'
    assert ran.err.splitlines()[-1] == "1 passed"


def test_one_that_fails_leaves_the_others_alone(project: Project) -> None:
    ran = quietly(project, "smoke", "--all", "--json")
    assert ran.code == 1
    rows = {row["name"]: row for row in ran.data["smoke"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "passed",
        "bad": "failed",
        "layered": "passed",
    }
    assert rows["good"]["interpreter"]["exact"] is True
    assert rows["good"]["interpreter"]["version"] == platform.python_version()
    assert rows["bad"]["problems"][0]["code"] == Code.INIT_FAILED.value


def test_one_that_is_missing_leaves_the_others_alone(project: Project) -> None:
    here, other = project.root / "dist", project.root / "other"
    shutil.copytree(here, other)
    told = json.loads((other / "manifest.json").read_bytes())
    del told["artifacts"]["common"], told["artifacts"]["bad"]
    (other / "manifest.json").write_text(json.dumps(told))
    ran = project.here("smoke", "--all", "--output", "other", "--json")
    assert ran.code == 1
    rows = {row["name"]: row for row in ran.data["smoke"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "passed",
        "bad": "failed",
        "layered": "failed",
    }
    for name in ("bad", "layered"):
        assert [one["code"] for one in rows[name]["problems"]] == [Code.ARTIFACT_MISSING.value]


def test_layers_come_along(project: Project) -> None:
    ran = project.here("smoke", "--only", "layered", "--event", "event.json")
    assert ran.out.splitlines()[-1] == 'layered: "shared"'


def test_a_layer_alone_is_nothing_to_run(project: Project) -> None:
    ran = project.here("smoke", "--only", "common")
    assert (ran.code, Code.NOTHING_SELECTED.value in ran.err) == (2, True)


def test_what_is_not_run_fails_only_when_required(project: Project) -> None:
    options = ("smoke", "--only", "good", "--python", "/bin/false")
    assert project.here(*options).code == 0
    ran = project.here(*options, "--require", "--json")
    assert ran.code == 1
    assert [row["status"] for row in ran.data["smoke"]] == ["not run"]


def test_an_artifact_of_somebody_else(project: Project) -> None:
    layer = pack(project.root / "layer.zip", {f"python/lib/{HERE}/site-packages/shared.py": "NAME = 'zip'\n"})
    options = ["--path", "layered", "--runtime", HERE, "--arch", ARCH, "--handler", "app.handler"]
    ran = project.here("smoke", *options, "--layer", str(layer), "--event", "event.json")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, 'layered: "zip"')


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "nothing is selected"),
        (("--all", "--event", "none.json"), "none.json cannot be read"),
        (("--all", "--event", "tasks.py"), "tasks.py is not JSON"),
        (("--all", "--event", "nan.json"), "nan.json is not JSON"),
        (("--all", "--timeout", "soon"), '"soon" is not a number of seconds'),
        (("--all", "--timeout", "nan"), '"nan" is not a number of seconds'),
        (("--all", "--timeout", "-1"), '"-1" is not a number of seconds'),
        (("--all", "--env", "TABLE"), '"TABLE" sets no variable'),
        (("--all", "--runtime", "python3.13"), "--runtime means nothing here"),
        (("--all", "--layer", "x.zip"), "--layer means nothing here"),
        (("--all", "--path", "x.zip"), "--path says what to run already"),
        (("--path", "x.zip", "--runtime", "python3.13"), "--path needs --arch too"),
        (("--path", "x", "--runtime", "python3.99", "--arch", "x86_64", "--handler", "a.b"), '"python3.99"'),
        (("--path", "x", "--runtime", HERE, "--arch", "aarch64", "--handler", "a.b"), '"aarch64"'),
        (("--all", "--output", "elsewhere"), "lists no artifact of this name"),
    ],
)
def test_what_cannot_be_meant(
    project: Project,
    options: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project.root)
    project.write({"nan.json": '{"a": NaN}'})
    with pytest.raises(SystemExit) as caught:
        Program(namespace=ns).run(["invoke", "smoke", *options])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def quietly(project: Project, *options: str) -> Ran:
    """Run a command whose output holds the traceback of a function."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *options],
        cwd=project.root,
        env=dict(project.environ),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_ctrl_c_ends_the_function(project: Project, tmp_path: Path) -> None:
    source = (
        "import os, subprocess, sys, time\n"
        f"print(os.getpid(), file=open({str(tmp_path / 'pids')!r}, 'a'), flush=True)\n"
        "time.sleep(600)\n"
    )
    project.write({"slow/app.py": source})
    options = ["--path", "slow", "--runtime", HERE, "--arch", ARCH, "--handler", "app.handler"]
    running = subprocess.Popen(
        [sys.executable, "-m", "invoke", "smoke", *options, "--timeout", "500"],
        cwd=project.root,
        env=dict(project.environ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        numbers = pids(tmp_path / "pids", 1)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 130
    assert b"interrupted" in err
    assert all_gone(numbers)
