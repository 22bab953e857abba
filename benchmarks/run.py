"""Measure what bundling costs: `python -m benchmarks.run --work DIR`. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench, remove
from benchmarks.cases import CASES
from benchmarks.machine import describe, load
from benchmarks.measure import CommandError
from benchmarks.results import Row, dump, markdown, read

_TAIL = 15  # lines of a failed command's output that are shown


def _cases(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CASES]:
        raise argparse.ArgumentTypeError(
            f"no case is called {', '.join(unknown)}; there are {', '.join(CASES)}"
        )
    return names


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 upwards")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--work", type=Path, help="the folder to work in, on the disk to measure")
    what.add_argument(
        "--table", type=Path, metavar="FILE", help="measure nothing; show the table of a --json FILE"
    )
    add = parser.add_argument
    add("--runs", type=_number, default=3, help="runs, of which the fastest counts (default: %(default)s)")
    add("--only", type=_cases, metavar="CASE,…", help=f"only these: {', '.join(CASES)} (default: all)")
    add("--json", type=Path, metavar="FILE", help="write the figures there as JSON lines")
    add("--peers", type=Path, metavar="DIR", help="where the peers are installed, such as DIR/bin/sam")
    add("--keep", action="store_true", help="keep what was written below --work")
    add("-n", type=_number, default=50, help="functions in most cases (default: %(default)s)")
    add("--many", type=_number, default=200, help="functions in noop and edit (default: %(default)s)")
    add("--most", type=_number, default=1000, help="functions that scale goes up to (default: %(default)s)")
    add("--few", type=_number, default=10, help="functions in peers (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """What the command does; its exit code: 0, or 1 when a case failed, or 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    if arguments.table:
        sys.stdout.write(markdown(*read(arguments.table)))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work = arguments.work.absolute() / "lambda-bundle-benchmark"
    remove(work)
    work.mkdir(parents=True)
    try:
        return _measure(arguments, work)
    except KeyboardInterrupt:
        return 130
    finally:
        if not arguments.keep:
            remove(work)


def _measure(arguments: argparse.Namespace, work: Path) -> int:
    bench = Bench(
        work=work,
        runs=arguments.runs,
        n=arguments.n,
        many=arguments.many,
        most=arguments.most,
        few=arguments.few,
        peers=arguments.peers and arguments.peers.absolute(),
    )
    machine = describe(work, bench.environ)
    lines, rows = [dump(machine)], []
    failed = False
    for row in _rows(bench, arguments.only or list(CASES)):
        rows.append(row)
        lines.append(dump(row))
        failed = failed or row.note.startswith(_FAILED)
        if arguments.json:  # what is there survives an interruption
            arguments.json.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(markdown(machine, rows))
    return 1 if failed else 0


_FAILED = "failed: "


def _rows(bench: Bench, names: Sequence[str]) -> Iterator[Row]:
    """The rows of the cases; a case that fails is a row that says so."""
    for name in names:
        before = load()
        sys.stderr.write(f"{name} (load {before})\n")
        try:
            for row in CASES[name](bench):
                yield replace(row, load=before)
        except CommandError as error:
            tail = error.output.splitlines()[-_TAIL:]
            sys.stderr.write("".join(f"    {line}\n" for line in (str(error), *tail)))
            yield Row(case=name, title=name, note=f"{_FAILED}{error}", load=before)


if __name__ == "__main__":
    sys.exit(main())
