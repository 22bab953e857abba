"""What is told of sizes: a table of artifacts, or of the parts of one, and the document of `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lambda_bundle.console import Cell, Printer
from lambda_bundle.report import size
from lambda_bundle.sizes import Weighed
from lambda_bundle.targets import UNZIPPED_LIMIT

_LARGEST = 3
"""How many parts of each artifact the table of several names."""
_FILES = 10
"""How many files are shown of one."""
_LISTED = 20
"""How many files of each artifact the document has."""


def results(printer: Printer, found: Sequence[Weighed]) -> None:
    """A row for each artifact, the largest first; of a single one, all its parts and its largest files."""
    if len(found) == 1:
        _parts(printer, found[0])
        return
    rows: list[list[Cell]] = []
    for one in sorted(found, key=lambda one: (-one.unzipped - one.beside, one.name)):
        largest = ", ".join(f"{part.name} {size(part.unzipped)}" for part in one.parts[:_LARGEST])
        cells = (one.name, size(one.unzipped), size(one.unzipped + one.beside), _of_limit(one), largest)
        rows.append([(cell, "") for cell in cells])
    titles = ("name", "unzipped", "with layers", "of the limit", "largest")
    printer.table(titles, rows, right=titles[1:4], spare=("with layers", "of the limit"))


def _of_limit(one: Weighed) -> str:
    return f"{(one.unzipped + one.beside) / UNZIPPED_LIMIT:.0%}"


def _parts(printer: Printer, one: Weighed) -> None:
    titles = ("part", "files", "unzipped", "zipped", "share")
    rows: list[list[Cell]] = [
        [
            (part.name, ""),
            (f"{part.files:,}", ""),
            (size(part.unzipped), ""),
            (size(part.zipped) if one.zipped else "none", ""),
            (f"{part.unzipped / (one.unzipped or 1):.0%}", ""),
        ]
        for part in one.parts
    ]
    printer.table(titles, rows, right=titles[1:])
    files: list[list[Cell]] = [[(path, ""), (size(count), "")] for path, count in one.files[:_FILES]]
    printer.table(("largest files", "unzipped"), files, right=("unzipped",))
    layers = f", {size(one.unzipped + one.beside)} with its layers" if one.beside else ""
    printer.note((f"{one.name}: {size(one.unzipped)}{layers}; {_of_limit(one)} of what Lambda unpacks", ""))


def document(found: Sequence[Weighed]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "sizes": [
            {
                "name": one.name,
                "path": str(one.path),
                "unzipped": one.unzipped,
                "zipped": one.zipped,
                "layers": one.beside,
                "limit": UNZIPPED_LIMIT,
                "parts": [
                    {
                        "name": part.name,
                        "files": part.files,
                        "unzipped": part.unzipped,
                        "zipped": part.zipped,
                    }
                    for part in one.parts
                ],
                "files": [{"path": path, "unzipped": count} for path, count in one.files[:_LISTED]],
            }
            for one in found
        ]
    }
