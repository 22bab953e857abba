"""Which artifacts are to be run, and how: from jobs and their manifest, or from the command line alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lambda_bundle import manifest
from lambda_bundle.entries import MANIFEST
from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.jobs import Job
from lambda_bundle.smoke import Subject
from lambda_bundle.targets import MACHINES, RUNTIMES, Target

_ENV = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.ASCII | re.DOTALL)


def of_jobs(jobs: Sequence[Job]) -> tuple[Subject, ...]:
    """The functions among the jobs, with the layers that they are deployed with; a layer has nothing to call.

    Raises `BundleError` when there is no function, and when none was bundled.
    """
    functions = [job for job in jobs if job.handler is not None]
    if not functions:
        hint = "select a function; a layer is run with the functions that use it"
        message = "layers have no handler, and nothing else is selected"
        raise BundleError(Problem(code=Code.NOTHING_SELECTED, message=message, hint=hint))
    needed = dict.fromkeys(one for job in functions for one in (job, *job.layers))
    rows = {output: manifest.read(output) for output in dict.fromkeys(job.output for job in needed)}
    missing = {job: _missing(job) for job in needed if job.name not in rows[job.output]}
    if all(job in missing for job in functions):
        raise BundleError(*missing.values())

    def artifact(job: Job) -> Path:
        return job.artifact if job in missing else job.output / str(rows[job.output][job.name]["path"])

    return tuple(
        Subject(
            name=job.name,
            artifact=artifact(job),
            handler=job.handler,
            target=job.target,
            layers=tuple(artifact(layer) for layer in job.layers),
            problems=tuple(missing[one] for one in (job, *job.layers) if one in missing),
        )
        for job in functions
        if job.handler is not None
    )


def _missing(job: Job) -> Problem:
    return Problem(
        code=Code.ARTIFACT_MISSING,
        message=f"{MANIFEST} lists no artifact of this name",
        where=Where(file=str(job.output), name=job.name),
        hint=f"bundle it first: invoke bundle --only {job.name}",
    )


def foreign(
    path: str, *, runtime: str | None, arch: str | None, handler: str | None, layers: Iterable[str] = ()
) -> Subject:
    """A zip or folder that somebody else has built. Raises `BundleError` for what is missing or unknown."""
    given = {"runtime": runtime, "arch": arch, "handler": handler}
    problems = [
        _invalid(f"--path needs --{name} too", name, None) for name, value in given.items() if not value
    ]
    for name, value, known in (("runtime", runtime, RUNTIMES), ("arch", arch, MACHINES)):
        if value and value not in known:
            hint = did_you_mean(value, known) or f"it can be {', '.join(known)}"
            problems.append(_invalid(f'"{value}" is not known', name, hint))
    if problems or not (runtime and arch and handler):
        raise BundleError(*problems)
    artifact = Path(path).absolute()
    return Subject(
        name=artifact.stem if artifact.is_file() else artifact.name,
        artifact=artifact,
        handler=handler,
        target=Target(runtime, arch),
        layers=tuple(Path(layer).absolute() for layer in layers),
    )


def parse_event(path: str) -> bytes:
    """The event in a file. Raises `BundleError` when it cannot be read or is no JSON."""
    try:
        content = Path(path).read_bytes()
        json.loads(content, parse_constant=_refuse)
    except OSError as error:
        message, hint = f"{path} cannot be read: {error.strerror}", "give a file that holds the event as JSON"
    except (ValueError, RecursionError) as error:
        message, hint = f"{path} is not JSON", f"Python's parser says: {error}"
    else:
        return content
    raise BundleError(_invalid(message, "event", hint))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value of JSON")


def parse_timeout(text: str) -> float:
    """Seconds. Raises `BundleError` for what is no positive number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BundleError(_invalid(f'"{text}" is not a number of seconds', "timeout", "give one above 0"))
    return seconds


def parse_variables(texts: Iterable[str]) -> dict[str, str]:
    """Variables written as NAME=VALUE. Raises `BundleError` for what is not."""
    matches = [(text, _ENV.fullmatch(text)) for text in texts]
    wrong = [text for text, match in matches if match is None]
    if wrong:
        hint = "write --env NAME=VALUE"
        raise BundleError(*(_invalid(f'"{text}" sets no variable', "env", hint) for text in wrong))
    return {match["name"]: match["value"] for _, match in matches if match}


def _invalid(message: str, option: str, hint: str | None) -> Problem:
    return Problem(code=Code.INVALID_OPTION, message=message, where=Where(key=f"--{option}"), hint=hint)
