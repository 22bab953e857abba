"""The Invoke tasks. A repository's own `tasks.py` gets them with `from lambda_bundle.tasks import ns`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from lambda_bundle.edge import FAILED, edge, invalid
from lambda_bundle.options import loaded, wanted_jobs, workers_of

if TYPE_CHECKING:
    from lambda_bundle.cache import Cache, Usage
    from lambda_bundle.config import Config
    from lambda_bundle.console import Printer
    from lambda_bundle.freshness import Verdict
    from lambda_bundle.jobs import Job
    from lambda_bundle.smoke import Subject, Terms

# Everything heavy is imported where it is used: `invoke --list` reads this module and nothing else.

_FILE = "The bundles.toml to use (default: the nearest one, in this folder or above it)."


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "all": "Bundle every function and layer.",
        "only": "Bundle the ones with this name; repeatable, and * and ? match as in a shell.",
        "jobs": "How many to work on at once (default: one for each CPU).",
        "fail-fast": "Stop at the first one that fails.",
        "offline": "Fetch nothing: use what is in the caches and in folders of wheels.",
        "force": "Build what is up to date, too.",
        "upgrade": "Resolve requirements anew that are not pinned.",
        "strict": "Let warnings fail a function or layer too.",
        "locked": "Fail what no lock pins.",
        "output": "The folder for the artifacts (default: dist beside bundles.toml).",
        "format": "zip or dir, whatever bundles.toml says.",
        "json": "Print the results as JSON on stdout.",
        "file": _FILE,
    },
)
def bundle(  # noqa: PLR0917 - the command line's options
    context: Context,
    all_: bool = False,
    only: Any = None,
    jobs: Any = None,
    fail_fast: bool = False,
    offline: bool = False,
    force: bool = False,
    upgrade: bool = False,
    strict: bool = False,
    locked: bool = False,
    output: Any = None,
    format: Any = None,  # noqa: A002 - the option's name
    json: bool = False,
    file: Any = None,
) -> None:
    """Turn sources into artifacts that Lambda can load."""
    with edge(as_json=json) as printer:
        _check_dry(context)
        workers = workers_of(jobs)
        config, selected = wanted_jobs(file, everything=all_, only=only, output=output, form=format)
        if upgrade and offline:
            raise invalid("--upgrade and --offline contradict each other", hint="give one of them")
        how = {"workers": workers, "fail_fast": fail_fast, "force": force, "upgrade": upgrade}
        how |= {"offline": offline, "strict": strict, "locked": locked}
        code = _bundle(printer, config, selected, as_json=json, how=how)
    if code:
        raise Exit(code=code)


def _bundle(
    printer: Printer,
    config: Config,
    selected: tuple[Job, ...],
    *,
    as_json: bool,
    how: Mapping[str, Any],
) -> int:
    from lambda_bundle import report  # noqa: PLC0415
    from lambda_bundle.pipeline import bundle as run  # noqa: PLC0415

    printer.problems(config.warnings)
    with report.progress(printer, len(selected)) as progress:
        names = [entry.name for entry in config.entries]
        ended = run(selected, progress=progress, known=names, **how)
    printer.note()
    report.problems(printer, [problem for result in ended for problem in result.problems])
    if as_json:
        printer.json(report.document(ended))
    else:
        report.results(printer, ended)
    return 0 if all(result.artifact is not None for result in ended) else FAILED


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "all": "Lock every function and layer.",
        "only": "Lock the ones with this name; repeatable, and * and ? match as in a shell.",
        "upgrade": "Resolve everything anew, whatever the locks say now.",
        "jobs": "How many to work on at once (default: one for each CPU).",
        "offline": "Fetch nothing: use what is in the caches and in folders of wheels.",
        "json": "Print what became of each lock as JSON on stdout.",
        "file": _FILE,
    },
)
def lock(  # noqa: PLR0917 - the command line's options
    context: Context,
    all_: bool = False,
    only: Any = None,
    upgrade: bool = False,
    jobs: Any = None,
    offline: bool = False,
    json: bool = False,
    file: Any = None,
) -> None:
    """Write down which versions and files unpinned requirements stand for."""
    with edge(as_json=json) as printer:
        _check_dry(context)
        from lambda_bundle import report  # noqa: PLC0415
        from lambda_bundle.pool import lock as run  # noqa: PLC0415

        workers = workers_of(jobs)
        config, selected = wanted_jobs(file, everything=all_, only=only)
        if upgrade and offline:
            raise invalid("--upgrade and --offline contradict each other", hint="give one of them")
        printer.problems(config.warnings)
        with report.progress(printer, len(selected)) as progress:
            ended = run(selected, workers=workers, upgrade=upgrade, offline=offline, progress=progress)
        printer.note()
        printer.problems(problem for one in ended for problem in one.problems)
        if json:
            printer.json(report.lock_document(ended))
        else:
            report.locks(printer, ended)
        code = 0 if all(one.status in {"locked", "kept", "skipped"} for one in ended) else FAILED
    if code:
        raise Exit(code=code)


def _check_dry(context: Context) -> None:
    """Invoke's `--dry` is for the commands that tasks run: ours would do their work all the same."""
    if context.config.run.dry:
        raise invalid(
            "--dry means nothing here", option="dry", hint="`invoke plan` shows what would be built"
        )


@task(auto_shortflags=False, help={"file": _FILE})
def validate(_: Context, file: Any = None) -> None:
    """Check bundles.toml and nothing else."""
    with edge() as printer:
        from lambda_bundle.jobs import plan as make  # noqa: PLC0415

        config = loaded(file)
        jobs = make(config)
        printer.problems([*config.warnings, *(warning for job in jobs for warning in job.warnings)])
        functions = sum(job.kind == "function" for job in jobs)
        counted = f"{_counted(functions, 'function')}, {_counted(len(jobs) - functions, 'layer')}"
        printer.note((f"{config.file.name} is valid: {counted}", ""))


def _counted(number: int, word: str, plural: str | None = None) -> str:
    return f"{number} {word if number == 1 else plural or f'{word}s'}"


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "all": "Show every function and layer (so it does without --only, too).",
        "only": "Show only these; repeatable, and * and ? match as in a shell.",
        "json": "As JSON.",
        "file": _FILE,
    },
)
def plan(_: Context, all_: bool = False, only: Any = None, json: bool = False, file: Any = None) -> None:
    """Show what would be built and why, and build nothing."""
    with edge(as_json=json) as printer:
        config, jobs = wanted_jobs(file, everything=all_ or not only, only=only)
        printer.problems([*config.warnings, *(warning for job in jobs for warning in job.warnings)])
        from lambda_bundle.pipeline import examine  # noqa: PLC0415

        verdicts = examine(jobs, os.environ)
        rows = [_plan_row(job, verdict) for job, verdict in zip(jobs, verdicts, strict=True)]
        if json:
            printer.json({"plan": rows})
        else:
            titles = ["name", "kind", "runtime", "arch", "backend", "format", "requirements", "tags"]
            if any(one["layers"] for one in rows):
                titles.insert(-1, "layers")
            titles.append("why")
            shown = [
                {
                    **one,
                    "runtime": ", ".join(one["runtimes"]),
                    "layers": ", ".join(one["layers"]),
                    "tags": _short(one["tags"]),
                    "why": _why(one["reasons"]),
                }
                for one in rows
            ]
            printer.table(titles, [[(one[title] or "none", "") for title in titles] for one in shown])


def _short(tags: list[str]) -> str:
    """The first tag and how many follow: the rest is what the first one implies."""
    return tags[0] if len(tags) == 1 else f"{tags[0]} and {len(tags) - 1} more"


def _why(reasons: list[str]) -> str:
    """The first reason to build and how many more there are."""
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else "up to date"


def _plan_row(job: Job, verdict: Verdict) -> dict[str, Any]:
    from lambda_bundle.projects import Place, find  # noqa: PLC0415

    place = Place(root=job.root, entry=job.sources)
    law = find(place, job.selection, job.name)
    return {
        "name": job.name,
        "kind": job.kind,
        "entry": job.entry,
        "handler": job.handler,
        "runtime": job.target.runtime,
        "runtimes": list(job.runtimes),
        "arch": job.target.arch,
        "layers": [layer.name for layer in job.layers],
        "tags": list(job.target.platforms),
        "backend": job.backend,
        "format": job.format,
        "requirements": None if law is None else place.shown(law.path),
        "before": list(job.before),
        "after": list(job.after),
        "reasons": list(verdict.reasons),
    }


@task(
    iterable=["only", "layer", "python", "env"],
    auto_shortflags=False,
    help={
        "all": "Run every function.",
        "only": "Run the ones with this name; repeatable, and * and ? match as in a shell.",
        "event": "A file with the event, as JSON; without it a function is only initialised.",
        "timeout": "Seconds for the initialisation, and again for the invocation (default: 30).",
        "env": "NAME=VALUE: a variable of the function's environment; repeatable.",
        "python": "A CPython to run them in, if its version is right; repeatable (default: what is found).",
        "require": "Fail when something cannot be run on this host.",
        "path": "Run this zip or folder instead; it needs --runtime, --arch and --handler too.",
        "runtime": "The runtime of --path, such as python3.13.",
        "arch": "The architecture of --path: x86_64 or arm64.",
        "handler": 'The handler of --path: "module.name".',
        "layer": "A layer of --path, zip or folder; repeatable, in the order in which Lambda unpacks them.",
        "output": "The folder of the artifacts (default: dist beside bundles.toml).",
        "json": "Print the results as JSON on stdout.",
        "file": _FILE,
    },
)
def smoke(  # noqa: PLR0917 - the command line's options
    context: Context,
    all_: bool = False,
    only: Any = None,
    event: Any = None,
    timeout: Any = None,
    env: Any = None,
    python: Any = None,
    require: bool = False,
    path: Any = None,
    runtime: Any = None,
    arch: Any = None,
    handler: Any = None,
    layer: Any = None,
    output: Any = None,
    json: bool = False,
    file: Any = None,
) -> None:
    """Run artifacts as Lambda does, in a Python of this host: this runs your code."""
    with edge(as_json=json) as printer:
        _check_dry(context)
        from lambda_bundle import subjects  # noqa: PLC0415
        from lambda_bundle.smoke import DEFAULT_TIMEOUT, Terms  # noqa: PLC0415

        terms = Terms(
            event=subjects.parse_event(event) if event else None,
            timeout=subjects.parse_timeout(timeout) if timeout else DEFAULT_TIMEOUT,
            pythons=tuple(map(_program, python or ())),
            variables=subjects.parse_variables(env or ()),
        )
        if path:
            if all_ or only:
                raise invalid(
                    "--path says what to run already", option="path", hint="leave out --all and --only"
                )
            chosen: tuple[Subject, ...] = (
                subjects.foreign(path, runtime=runtime, arch=arch, handler=handler, layers=layer or ()),
            )
        else:
            _only_with_path(runtime=runtime, arch=arch, handler=handler, layer=layer)
            chosen = subjects.of_jobs(wanted_jobs(file, everything=all_, only=only, output=output)[1])
        code = _smoke(printer, chosen, terms, require=require, as_json=json)
    if code:
        raise Exit(code=code)


def _only_with_path(**options: Any) -> None:
    for option, value in options.items():
        if value:
            raise invalid(f"--{option} means nothing here", option=option, hint="it goes with --path")


def _program(path: str) -> Path:
    """A program that an option names. Raises `BundleError` where there is none."""
    if not os.access(path, os.X_OK) or Path(path).is_dir():
        raise invalid(
            f"{path} is no program", option="python", hint="name a CPython, such as .venv/bin/python"
        )
    return Path(path).absolute()


def _smoke(
    printer: Printer, chosen: tuple[Subject, ...], terms: Terms, *, require: bool, as_json: bool
) -> int:
    from lambda_bundle import smoke_report  # noqa: PLC0415
    from lambda_bundle.smoke import smoke as run  # noqa: PLC0415

    ended = run(chosen, terms, heard=lambda trial: smoke_report.heard(printer, trial))
    printer.note()
    printer.problems(problem for trial in ended for problem in trial.problems)
    if as_json:
        printer.json(smoke_report.document(ended))
    else:
        smoke_report.trials(printer, ended)
    failed = any(problem.severity == "error" for trial in ended for problem in trial.problems)
    return FAILED if failed or (require and any(one.status == "not run" for one in ended)) else 0


@task(
    auto_shortflags=False,
    help={"output": "The folder to clean (default: dist beside bundles.toml).", "file": _FILE},
)
def clean(context: Context, output: Any = None, file: Any = None) -> None:
    """Remove the artifacts, the manifest, and what an interrupted run left in the output folder."""
    with edge() as printer:
        _check_dry(context)
        from lambda_bundle.cache import Cache  # noqa: PLC0415
        from lambda_bundle.clean import sweep  # noqa: PLC0415
        from lambda_bundle.freshness import Freshness  # noqa: PLC0415
        from lambda_bundle.jobs import DEFAULT_OUTPUT  # noqa: PLC0415

        config = loaded(file)
        folder = Path(output).resolve() if output else config.root / DEFAULT_OUTPUT
        former = Freshness(Cache.of(os.environ), os.environ).left(config.root, folder)
        removed = sweep(folder, [entry.name for entry in config.entries], former)
        done = f"removed {len(removed)} from" if removed else "nothing to remove in"
        printer.note((f"{done} {folder}", ""))


@task(
    auto_shortflags=False,
    help={
        "prune": "Remove what was used the longest ago, until the rest fits the limit.",
        "limit": "The limit for --prune, such as 500MB or 2.5GB.",
        "clear": "Remove everything.",
        "json": "As JSON.",
    },
)
def cache(
    context: Context, prune: bool = False, limit: Any = None, clear: bool = False, json: bool = False
) -> None:
    """Show what is kept between runs, or remove it."""
    with edge(as_json=json) as printer:
        _check_dry(context)
        from lambda_bundle.cache import Cache, parse_size  # noqa: PLC0415

        if prune and clear:
            raise invalid("--prune and --clear contradict each other", hint="give one of them")
        if limit is not None and not prune:
            raise invalid("--limit means nothing here", option="limit", hint="it goes with --prune")
        kept = Cache.of(os.environ)
        bound = kept.limit if limit is None else parse_size(limit, "--limit")
        with kept.guarding():
            removed = kept.prune(bound, everything=clear) if prune or clear else []
            entries = kept.entries()
        _show_cache(printer, kept, entries, removed, limit=bound, as_json=json)


def _show_cache(
    printer: Printer,
    kept: Cache,
    entries: list[Usage],
    removed: list[Usage],
    *,
    limit: int,
    as_json: bool,
) -> None:
    from lambda_bundle.report import size  # noqa: PLC0415

    total, freed = sum(entry.size for entry in entries), sum(entry.size for entry in removed)
    if removed:
        printer.note((f"removed {_counted(len(removed), 'entry', 'entries')}, {size(freed)}", ""))
    if as_json:
        counts = {"entries": len(entries), "size": total, "limit": limit, "removed": len(removed)}
        printer.json({"folder": str(kept.root), **counts, "freed": freed})
    else:
        row = [(str(len(entries)), ""), (size(total), ""), (size(limit), ""), (str(kept.root), "")]
        printer.table(("entries", "size", "limit", "folder"), [row], right=("entries", "size", "limit"))


@task(
    iterable=["only", "layer"],
    auto_shortflags=False,
    help={
        "all": "Verify every artifact that is declared (default).",
        "only": "Verify the artifacts of these; repeatable, and * and ? match as in a shell.",
        "path": "Verify this zip or folder, whoever built it, in place of what bundles.toml declares.",
        "runtime": "The runtime of --path, such as python3.13.",
        "arch": "The architecture of --path: x86_64 or arm64.",
        "handler": "The handler of --path.",
        "layer": "A zip or folder of a layer that --path is deployed with; repeatable.",
        "strict": "Let warnings fail it too.",
        "output": "Where the artifacts are (default: dist beside bundles.toml).",
        "json": "Print the findings as JSON on stdout.",
        "file": _FILE,
    },
)
def verify(  # noqa: PLR0917 - the command line's options
    _: Context,
    all_: bool = False,
    only: Any = None,
    path: Any = None,
    runtime: Any = None,
    arch: Any = None,
    handler: Any = None,
    layer: Any = None,
    strict: bool = False,
    output: Any = None,
    json: bool = False,
    file: Any = None,
) -> None:
    """Say whether artifacts would load on their targets; build nothing."""
    with edge(as_json=json) as printer:
        from lambda_bundle import inspection, report, verify_report  # noqa: PLC0415

        of_path = {"runtime": runtime, "arch": arch, "handler": handler, "layer": layer}
        if path is None:
            for option, value in of_path.items():
                if value:
                    raise invalid(f"--{option} means nothing here", option=option, hint="it goes with --path")
            selected = wanted_jobs(file, everything=all_ or not only, only=only, output=output)[1]
            cases = inspection.declared(selected)
        elif all_ or only or output or file:
            raise invalid("--path contradicts --all, --only, --output and --file", option="path")
        else:
            cases = [inspection.given(path, runtime, arch, handler, layers=layer or [])]
        verdicts = inspection.inspect(cases, strict=strict, environ=os.environ)
        report.problems(printer, [problem for one in verdicts for problem in one.problems])
        if json:
            printer.json(verify_report.document(verdicts))
        else:
            verify_report.results(printer, verdicts)
        code = 0 if all(one.passed for one in verdicts) else FAILED
    if code:
        raise Exit(code=code)


@task(
    iterable=["only"],
    auto_shortflags=False,
    help={
        "all": "Every artifact that is declared (default).",
        "only": "The artifacts of these; repeatable, and * and ? match as in a shell.",
        "path": "This zip or folder, whoever built it, in place of what bundles.toml declares.",
        "output": "Where the artifacts are (default: dist beside bundles.toml).",
        "json": "As JSON on stdout.",
        "file": _FILE,
    },
)
def sizes(  # noqa: PLR0917 - the command line's options
    _: Context,
    all_: bool = False,
    only: Any = None,
    path: Any = None,
    output: Any = None,
    json: bool = False,
    file: Any = None,
) -> None:
    """Show what artifacts consist of, the largest first: why is one so large?"""
    with edge(as_json=json) as printer:
        from lambda_bundle import report, sizes_report  # noqa: PLC0415
        from lambda_bundle.sizes import of_jobs, weigh  # noqa: PLC0415

        if path is None:
            jobs = wanted_jobs(file, everything=all_ or not only, only=only, output=output)[1]
            found, problems = of_jobs(jobs)
        elif all_ or only or output or file:
            raise invalid("--path contradicts --all, --only, --output and --file", option="path")
        else:
            found, problems = [weigh(Path(path).name, Path(path).absolute())], []
        report.problems(printer, problems)
        if json:
            printer.json(sizes_report.document(found))
        elif found:
            sizes_report.results(printer, found)
        code = FAILED if problems else 0
    if code:
        raise Exit(code=code)


@task
def schema(_: Context) -> None:
    """Print the JSON schema of bundles.toml, for editors."""
    with edge(as_json=True) as printer:
        from lambda_bundle.models import schema as current  # noqa: PLC0415

        printer.json(current())


ns = Collection(bundle, lock, verify, validate, plan, smoke, clean, cache, sizes, schema)
