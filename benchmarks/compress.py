"""Compress every file of some folders once, and keep nothing: `python -m benchmarks.compress FOLDER …`.

What cold bundling is compared with, so the library and the level are those of `lambda_bundle.archive`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from deflate import deflate_compress

LEVEL = 6
"""`lambda_bundle.archive.LEVEL`."""
_BATCH = 16  # files that are handed to a process at once


def compressed_size(path: Path) -> int:
    """How many bytes a file has when it is compressed."""
    content = path.read_bytes()
    return len(deflate_compress(content, LEVEL)) if content else 0


def files(folders: Sequence[Path]) -> list[Path]:
    """The files of some folders, large ones first, so that no worker is left alone with one at the end."""
    found = (Path(root, name) for folder in folders for root, _, names in os.walk(folder) for name in names)
    return sorted((path for path in found if path.is_file()), key=lambda path: -path.stat().st_size)


def main(argv: Sequence[str] | None = None) -> None:
    """What the command does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--processes", action="store_true", help="one process for each CPU, not one thread in a single one"
    )
    arguments = parser.parse_args(argv)
    every = files(arguments.folders)
    workers = os.cpu_count() or 1
    if arguments.processes:
        with ProcessPoolExecutor(workers) as processes:
            sum(processes.map(compressed_size, every, chunksize=_BATCH))
    else:
        with ThreadPoolExecutor(workers) as threads:
            sum(threads.map(compressed_size, every))


if __name__ == "__main__":
    main()
