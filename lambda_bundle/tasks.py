"""The Invoke tasks. A repository's own `tasks.py` gets them with `from lambda_bundle.tasks import ns`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

if TYPE_CHECKING:
    from lambda_bundle.config import Config
    from lambda_bundle.console import Printer
    from lambda_bundle.jobs import Format, Job

# Everything heavy is imported where it is used: `invoke --list` reads this module and nothing else.

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_FILE = "The bundles.toml to use (default: the nearest one, in this folder or above it)."


@contextmanager
def _edge(*, as_json: bool = False) -> Iterator[Printer]:
    """The one place where problems become output and exit codes."""
    from lambda_bundle.console import Printer, problem_document  # noqa: PLC0415
    from lambda_bundle.errors import BundleError  # noqa: PLC0415

    printer = Printer()
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield printer
    except BundleError as error:
        if as_json:
            printer.json({"problems": [problem_document(problem) for problem in error.problems]})
        printer.problems(error.problems)
        raise Exit(code=USAGE) from None
    except KeyboardInterrupt:
        printer.note("interrupted: every command was ended, and no artifact was half-written")
        raise Exit(code=INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: object) -> None:
    """CI systems end a job with SIGTERM; it is to leave as little behind as Ctrl-C."""
    raise KeyboardInterrupt


def _load(file: str | None) -> Config:
    from lambda_bundle.config import find, load  # noqa: PLC0415

    return load(Path(file).absolute() if file else find(Path.cwd()))


def _option(name: str, value: str, message: str) -> Exception:
    from lambda_bundle.errors import BundleError, Code, Problem, Where  # noqa: PLC0415

    text = f'"{value}" is not {message}'
    return BundleError(Problem(code=Code.INVALID_OPTION, message=text, where=Where(key=f"--{name}")))


def _workers(jobs: str | None) -> int | None:
    if jobs is None:
        return None
    if not jobs.isdecimal() or int(jobs) < 1:
        raise _option("jobs", jobs, "a number of jobs: give one from 1 upwards")
    return int(jobs)


def _format(value: str | None) -> Format | None:
    if value is None or value == "zip" or value == "dir":  # noqa: PLR1714 - narrows the type
        return value
    raise _option("format", value, 'a format: give "zip" or "dir"')


def _selection(config: Config, *, everything: bool, only: list[str] | None) -> list[str]:
    from lambda_bundle.errors import BundleError, Code, Problem  # noqa: PLC0415

    if everything and only:
        raise BundleError(
            Problem(
                code=Code.INVALID_OPTION,
                message="--all and --only contradict each other",
                hint="give one of them",
            )
        )
    if not everything and not only:
        names = "\n".join(entry.name for entry in config.entries)
        raise BundleError(
            Problem(
                code=Code.NOTHING_SELECTED,
                message="nothing is selected",
                hint="give --all, or --only NAME (again for more; * and ? match as in a shell)",
                detail=names,
            )
        )
    return ["*"] if everything else list(only or ())


def _jobs(
    file: str | None,
    *,
    everything: bool,
    only: list[str] | None,
    output: str | None = None,
    form: str | None = None,
) -> tuple[Config, tuple[Job, ...]]:
    from lambda_bundle.jobs import plan as make  # noqa: PLC0415

    config = _load(file)
    selection = _selection(config, everything=everything, only=only)
    folder = Path(output) if output else None
    return config, make(config, selection, output=folder, format=_format(form))


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "all": "Bundle every function and layer.",
        "only": "Bundle the ones with this name; repeatable, and * and ? match as in a shell.",
        "jobs": "How many to work on at once (default: one for each CPU).",
        "fail-fast": "Stop at the first one that fails.",
        "output": "The folder for the artifacts (default: dist beside bundles.toml).",
        "format": "zip or dir, whatever bundles.toml says.",
        "json": "Print the results as JSON on stdout.",
        "file": _FILE,
    },
)
def bundle(  # noqa: PLR0917 - the command line's options
    _: Context,
    all_: bool = False,
    only: Any = None,
    jobs: Any = None,
    fail_fast: bool = False,
    output: Any = None,
    format: Any = None,  # noqa: A002 - the option's name
    json: bool = False,
    file: Any = None,
) -> None:
    """Turn sources into artifacts that Lambda can load."""
    with _edge(as_json=json) as printer:
        workers = _workers(jobs)
        config, selected = _jobs(file, everything=all_, only=only, output=output, form=format)
        code = _bundle(printer, config, selected, workers=workers, fail_fast=fail_fast, as_json=json)
    if code:
        raise Exit(code=code)


def _bundle(
    printer: Printer,
    config: Config,
    selected: tuple[Job, ...],
    *,
    workers: int | None,
    fail_fast: bool,
    as_json: bool,
) -> int:
    from contextlib import nullcontext  # noqa: PLC0415

    from lambda_bundle.console import LiveProgress, PlainProgress, document  # noqa: PLC0415
    from lambda_bundle.pipeline import bundle as run  # noqa: PLC0415

    printer.problems(config.warnings)
    total = len(selected)
    live = LiveProgress(printer, total) if printer.err.is_terminal else None
    with live or nullcontext(PlainProgress(printer, total)) as progress:
        names = [entry.name for entry in config.entries]
        results = run(selected, workers=workers, fail_fast=fail_fast, progress=progress, known=names)
    printer.problems(problem for result in results for problem in result.problems)
    if as_json:
        printer.json(document(results))
    else:
        printer.results(results)
    unfinished = [result for result in results if result.status != "built"]
    if unfinished:
        printer.note(f"{total - len(unfinished)} of {total} were built")
    return FAILED if unfinished else 0


@task(auto_shortflags=False, help={"file": _FILE})
def validate(_: Context, file: Any = None) -> None:
    """Check bundles.toml and nothing else."""
    with _edge() as printer:
        from lambda_bundle.jobs import plan as make  # noqa: PLC0415

        config = _load(file)
        jobs = make(config)
        printer.problems([*config.warnings, *(warning for job in jobs for warning in job.warnings)])
        functions = sum(job.kind == "function" for job in jobs)
        printer.note(f"{config.file.name} is valid: {functions} functions, {len(jobs) - functions} layers")


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "only": "Show only these; repeatable, and * and ? match as in a shell.",
        "json": "As JSON.",
        "file": _FILE,
    },
)
def plan(_: Context, only: Any = None, json: bool = False, file: Any = None) -> None:
    """Show what would be built, and build nothing."""
    with _edge(as_json=json) as printer:
        config, jobs = _jobs(file, everything=not only, only=only)
        printer.problems([*config.warnings, *(warning for job in jobs for warning in job.warnings)])
        rows = [_plan_row(job) for job in jobs]
        if json:
            printer.json({"plan": rows})
        else:
            printer.plan(rows)


def _plan_row(job: Job) -> dict[str, Any]:
    from lambda_bundle.requirements import Place, find  # noqa: PLC0415

    place = Place(root=job.root, entry=job.sources)
    source = find(place, excluded=False)
    return {
        "name": job.name,
        "kind": job.kind,
        "entry": job.entry,
        "handler": job.handler,
        "runtime": job.target.runtime,
        "arch": job.target.arch,
        "tags": list(job.target.platforms),
        "backend": job.backend,
        "format": job.format,
        "requirements": None if source is None else place.shown(source),
        "before": list(job.before),
        "after": list(job.after),
    }


@task(
    auto_shortflags=False,
    help={"output": "The folder to clean (default: dist beside bundles.toml).", "file": _FILE},
)
def clean(_: Context, output: Any = None, file: Any = None) -> None:
    """Remove the artifacts, the manifest, and what an interrupted run left in the output folder."""
    with _edge() as printer:
        from lambda_bundle.clean import sweep  # noqa: PLC0415
        from lambda_bundle.jobs import DEFAULT_OUTPUT  # noqa: PLC0415

        config = _load(file)
        folder = Path(output).absolute() if output else config.root / DEFAULT_OUTPUT
        removed = sweep(folder, [entry.name for entry in config.entries])
        printer.note(f"removed {len(removed)} from {folder}" if removed else f"nothing to remove in {folder}")


def collection(*tasks: Callable[..., Any]) -> Collection:
    """A collection of tasks, for `ns`."""
    gathered = Collection()
    for one in tasks:
        gathered.add_task(one)  # type: ignore[arg-type]
    return gathered


ns = collection(bundle, validate, plan, clean)
