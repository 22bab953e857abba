"""Run an artifact: unpacked as on Lambda, in an interpreter of its target, through awslambdaric.

What happens is what Lambda does when it starts a function (the init phase) and, with an event, when it calls
it (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). This runs the user's code.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lambda_bundle.bootstrap import FAULT, LIBRARIES
from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.exports import find_uv
from lambda_bundle.interpreters import Interpreter, Interpreters
from lambda_bundle.process import Children, attended
from lambda_bundle.provided import Provided, Provider
from lambda_bundle.runtime_api import TRACE_ID, RuntimeApi, Said
from lambda_bundle.sandbox import Sandbox
from lambda_bundle.targets import Target

Status = Literal["passed", "failed", "not run"]
DEFAULT_TIMEOUT = 30.0
_REGION = "us-east-1"
_LAST_WORDS = 3.0
"""Seconds that a process has to end after it has reported that it cannot start."""
_BOOTSTRAP = "bootstrap.py"
_LARGEST_RESPONSE = 6_291_556
"""Bytes (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An artifact to run."""

    name: str
    artifact: Path
    handler: str
    target: Target
    layers: tuple[Path, ...] = ()
    """Artifacts of layers, in the order in which Lambda unpacks them: later ones win."""
    problems: tuple[Problem, ...] = ()
    """Why it cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of running an artifact. Durations are in seconds, memory in bytes."""

    subject: Subject
    status: Status
    interpreter: Interpreter | None = None
    client: str | None = None
    """The version of awslambdaric."""
    init: float | None = None
    """From the start of the process to its asking for an event."""
    duration: float | None = None
    """From the event to the response, or to the error."""
    memory: int | None = None
    """The largest resident set so far; where the system tells (Linux)."""
    response: str | None = None
    """JSON, as the function returned it."""
    output: str = ""
    """What it wrote to stdout and stderr."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How artifacts are run."""

    event: bytes | None = None
    """JSON; without one, a function is only initialised."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for the initialisation, and again for the invocation."""
    pythons: tuple[Path, ...] = ()
    """Interpreters to choose from; without any, those that are found."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the function."""


def smoke(
    subjects: Sequence[Subject],
    terms: Terms,
    *,
    environ: Mapping[str, str] | None = None,
    heard: Callable[[Trial], None] = lambda _: None,
) -> tuple[Trial, ...]:
    """Run artifacts one after the other, for their durations to mean something; `heard` is told of each.

    `environ` is the environment in which interpreters are looked for and wheels are fetched (default: this
    process's); nothing of it reaches the functions. Raises `KeyboardInterrupt` when interrupted.
    """
    children = Children()
    told = dict(os.environ if environ is None else environ)

    def work() -> tuple[Trial, ...]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-bundle-")))
            run = _Run(
                terms=terms,
                children=children,
                environ=told,
                folder=folder,
                interpreters=Interpreters(children, told, folder, given=terms.pythons, uv=find_uv()),
                provider=Provider(children, told, folder, stack),
            )
            trials = []
            for subject in subjects:
                trials.append(_one(run, subject))
                heard(trials[-1])
            return tuple(trials)

    return attended(children, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What the artifacts of one run share."""

    terms: Terms
    children: Children
    environ: Mapping[str, str]
    folder: Path
    interpreters: Interpreters
    provider: Provider


def _one(run: _Run, subject: Subject) -> Trial:
    if subject.problems:
        return Trial(subject=subject, status="failed", problems=subject.problems)
    try:
        with Sandbox.of(subject.artifact, subject.layers, subject.target, run.folder) as sandbox:
            interpreter = _choose(run.interpreters, subject.target, sandbox.compiled)
            if isinstance(interpreter, Problem):
                return _not_run(subject, interpreter)
            try:
                provided = run.provider.get(interpreter, subject.target)
            except BundleError as error:
                return Trial(
                    subject=subject,
                    status="not run",
                    interpreter=interpreter,
                    problems=tuple(_named(problem, subject) for problem in error.problems),
                )
            trial = _Conversation(run, subject, sandbox, interpreter, provided).held()
            changed = sandbox.changed()
            return _with_problem(trial, _wrote(changed)) if changed else trial
    except BundleError as error:
        problems = tuple(_named(problem, subject) for problem in error.problems)
        return Trial(subject=subject, status="failed", problems=problems)


def _choose(interpreters: Interpreters, target: Target, compiled: str | None) -> Interpreter | Problem:
    """One that loads what the target loads; where nothing is compiled, one of the version will do."""
    version = f"{target.version[0]}.{target.version[1]}"
    others = []
    for one in interpreters.of(target):
        if one.loads(target):
            return one
        others.append(one)
    if not others and interpreters.given:
        named = ", ".join(map(str, interpreters.given))
        return _reason(f"no CPython {version} that runs here was given: {named}", "leave out --python")
    if not others:
        message = f"no CPython {version} is at hand"
        hint = (
            f"install one (`uv python install {version}`, or with pyenv), or name it with --python; "
            "nothing is downloaded unasked"
        )
        return _reason(message, hint)
    serving = [one for one in others if one.system == "linux"]
    if compiled is None and serving:
        return serving[0]
    if not serving:
        message = f"awslambdaric runs on Linux only, and what is at hand is {others[0]}"
        return _reason(message, "run it on Linux, in CI for example")
    message = f"{compiled} is compiled for {target.machine}, and what is at hand is {serving[0]}"
    hint = (
        f"run it on {target.arch}, or install qemu-user and a CPython for it "
        f"(`uv python install cpython-{version}-linux-{target.machine}-gnu`)"
    )
    return _reason(message, hint)


def _reason(message: str, hint: str) -> Problem:
    return Problem(code=Code.NOT_RUN, message=f"not run: {message}", hint=hint, severity="warning")


def _not_run(subject: Subject, problem: Problem) -> Trial:
    return Trial(subject=subject, status="not run", problems=(_named(problem, subject),))


def _named(problem: Problem, subject: Subject) -> Problem:
    return replace(problem, where=replace(problem.where, name=subject.name))


def _with_problem(trial: Trial, problem: Problem) -> Trial:
    problems = (*trial.problems, _named(problem, trial.subject))
    return replace(trial, status="failed", problems=problems)


def _wrote(changed: Sequence[str]) -> Problem:
    return Problem(
        code=Code.CODE_CHANGED,
        message=f"it wrote into its own code, which is read-only on Lambda: {changed[0]}",
        hint="write to /tmp, where tempfile puts everything",
        detail="\n".join(changed) if len(changed) > 1 else None,
    )


class _Conversation:
    """One artifact, from the start of its process to its end."""

    def __init__(
        self, run: _Run, subject: Subject, sandbox: Sandbox, interpreter: Interpreter, provided: Provided
    ) -> None:
        self._terms, self._children, self._environ = run.terms, run.children, run.environ
        self._subject, self._sandbox, self._provided = subject, sandbox, provided
        self._trial = Trial(
            subject=subject, status="passed", interpreter=interpreter, client=provided.version
        )
        self._command = (*interpreter.command, "-S", "-s", "-B", str(sandbox.runtime / _BOOTSTRAP))

    def held(self) -> Trial:
        """Start it, call it if there is an event, and end it."""
        arn = f"arn:aws:lambda:{_REGION}:123456789012:function:{self._subject.name}"
        with RuntimeApi(arn).serving() as api:
            began = time.monotonic()
            with self._children.running(
                self._command,
                cwd=self._sandbox.task,
                environ=self._variables(api.address),
                ended=api.ended,
            ) as process:
                problem = self._initialise(api, began)
                self._measure(process.pid)
                if problem is None and self._terms.event is not None:
                    problem = self._invoke(api, self._terms.event, process.pid)
            self._children.check()
            output = self._shown(process.output())
        trial = replace(self._trial, output=output)
        if problem is None:
            return trial
        detail = "\n\n".join(part for part in (problem.detail, _quoted(output)) if part) or None
        return _with_problem(trial, replace(problem, detail=detail))

    def _initialise(self, api: RuntimeApi, began: float) -> Problem | None:
        said = api.wait(self._terms.timeout)
        if said is None:
            return self._late("initialisation")
        if said.kind == "ready":
            self._trial = replace(self._trial, init=said.at - began)
            return None
        if said.kind == "ended":
            return self._died(said, "while it was initialised")
        api.wait(_LAST_WORDS)  # what it logs on its way out
        return self._fault(said, Code.INIT_FAILED, "its initialisation fails")

    def _invoke(self, api: RuntimeApi, event: bytes, pid: int) -> Problem | None:
        given = time.monotonic()
        api.give(event, self._terms.timeout)
        said = api.wait(self._terms.timeout)
        self._measure(pid)
        if said is None:
            return self._late("invocation")
        if said.kind == "ended":
            return self._died(said, "during the invocation")
        self._trial = replace(self._trial, duration=said.at - given)
        if said.kind == "error":
            return self._fault(said, Code.INVOCATION_FAILED, "the invocation fails")
        size = len(said.body)
        if size > _LARGEST_RESPONSE:
            return Problem(
                code=Code.INVOCATION_FAILED,
                message=f"its response has {size:,} bytes, and Lambda returns {_LARGEST_RESPONSE:,} at most",
                hint="put it somewhere, such as S3, and return where it is",
            )
        self._trial = replace(self._trial, response=said.body.decode(errors="replace"))
        return None

    def _measure(self, pid: int) -> None:
        """The peak of the resident set, from /proc: getrusage counts what our own process had at the fork."""
        with suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
            self._trial = replace(self._trial, memory=peak)

    def _late(self, what: str) -> Problem:
        return Problem(
            code=Code.FUNCTION_TIMED_OUT,
            message=f"its {what} took longer than {self._terms.timeout:g} s and was ended",
            hint="look at what it waits for; --timeout gives it longer (Lambda ends an init after 10 s)",
        )

    def _died(self, said: Said, when: str) -> Problem:
        how = f"was ended by signal {-said.code}" if said.code < 0 else f"ended with exit code {said.code}"
        return Problem(
            code=Code.FUNCTION_ENDED,
            message=f"its process {how} {when}",
            hint="look for sys.exit and os._exit, or for compiled code that crashes",
        )

    def _fault(self, said: Said, code: Code, what: str) -> Problem:
        """The error in the words of awslambdaric, which are Lambda's, with the user's own traceback."""
        fault = said.fault
        kind = str(fault.get("errorType", ""))
        message, *more = str(fault.get("errorMessage", "")).splitlines() or [""]
        trace = ""
        with suppress(FileNotFoundError):
            trace = (self._sandbox.runtime / FAULT).read_text(encoding="utf-8")
        stack = fault.get("stackTrace")
        if not trace and isinstance(stack, list) and stack:
            frames = "".join(f"{str(frame).rstrip()}\n" for frame in stack)
            told = "\n".join([f"{kind}: {message}", *more])
            trace = f"Traceback (most recent call last):\n{frames}{told}"
        return Problem(
            code=code,
            message=self._shown(f"{what}: {kind}: {message}" if message else f"{what}: {kind}"),
            hint=_HINTS.get(kind, _HINT),
            detail=self._shown(trace).rstrip() or None,
        )

    def _shown(self, text: str) -> str:
        """A text of the function's, with the paths that it would have on Lambda."""
        for folder in (self._provided.folder, self._provided.folder.resolve()):
            text = text.replace(str(folder), "/var/runtime")
        for folder in (self._sandbox.root.resolve(), self._sandbox.root):
            text = text.replace(str(folder), "")
        return text

    def _variables(self, address: str) -> dict[str, str]:
        """The environment of a function; of ours, only what a process cannot start without.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        sandbox, subject = self._sandbox, self._subject
        needed = {name: self._environ[name] for name in _PASSED_ON if name in self._environ}
        return {
            **needed,
            "PATH": os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin", str(sandbox.opt / "bin")]),
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, sandbox.libraries)),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "HOME": str(sandbox.temporary),
            "TMPDIR": str(sandbox.temporary),
            "LAMBDA_TASK_ROOT": str(sandbox.task),
            LIBRARIES: str(self._provided.folder),
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": subject.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{subject.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "smoke",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{subject.target.runtime}",
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "_X_AMZN_TRACE_ID": TRACE_ID,
            **_CREDENTIALS,
            **self._terms.variables,
            "_HANDLER": subject.handler,
        }


_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "example",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""AWS's own examples: a function finds credentials, as on Lambda, and AWS refuses them. The SDK looks for no
others, neither in files nor at the machine's."""
_PASSED_ON = ("QEMU_LD_PREFIX", "SYSTEMROOT")
_CLIENT_LINES = re.compile(
    r"^\[WARNING\]\t[^\n]*LAMBDA_WARNING[^\n]*\n?|^\[ERROR\] [\w.]+(?::[^\r]*)?\rTraceback[^\n]*\n?",
    re.MULTILINE,
)
"""What awslambdaric logs of an error; between its lines are carriage returns, so that a log has one entry."""
_HINT = (
    "this is the function's own code; what it expects in its environment can be given with --env NAME=VALUE"
)
_HINTS = {
    "Runtime.ImportModuleError": (
        "add what is missing to its requirements, or to the sources that are bundled; `invoke verify` tells "
        "whether compiled modules fit the target"
    ),
    "Runtime.HandlerNotFound": "define it at the top of the module, or mend `handler`",
    "Runtime.MalformedHandlerName": 'write `handler` as "module.name"',
    "Runtime.BuiltInModuleConflict": "call the module something else: this name is one of Python's own",
    "Runtime.UserCodeSyntaxError": "write what this version of Python understands, or choose a newer runtime",
}


def _quoted(output: str) -> str:
    """What a function wrote, without awslambdaric's own lines about the error, which is told already."""
    text = _CLIENT_LINES.sub("", output).strip()
    return f"what it wrote:\n{text}" if text else ""
