"""Compress every file of some folders once, and keep nothing: `python -m benchmarks.compress FOLDER …`.

What cold bundling is compared with, so the library and the level are those of `lambda_bundle.deflation`;
every file is compressed, whatever it is. With `--compare` that library is compared with others, as far as
they are installed (`pip install isal zlib-ng`).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from deflate import deflate_compress

from lambda_bundle.deflation import LEVEL, compressor

_BATCH = 16  # files that are handed to a process at once
_RAW = -15  # window bits that stand for a deflate stream without header


def compressed_size(path: Path) -> int:
    """How many bytes a file has when it is compressed."""
    content = path.read_bytes()
    return len(_deflated(content))


def _deflated(content: bytes) -> bytes:
    return bytes(deflate_compress(content, LEVEL)) if content else b""


def files(folders: Sequence[Path]) -> list[Path]:
    """The files of some folders, large ones first, so that no worker is left alone with one at the end."""
    found = (Path(root, name) for folder in folders for root, _, names in os.walk(folder) for name in names)
    return sorted((path for path in found if path.is_file()), key=lambda path: (-path.stat().st_size, path))


def libraries() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """What can compress here: a name with the level, and the function."""
    yield compressor().partition(",")[0], _deflated
    for name, module, level in (
        (f"zlib {zlib.ZLIB_RUNTIME_VERSION}", "zlib", 6),
        ("zlib-ng", "zlib_ng.zlib_ng", 6),
        ("isal", "isal.isal_zlib", 3),
        ("isal", "isal.isal_zlib", 1),
    ):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        yield f"{name} {level}", _function(found, level)


def _function(module: ModuleType, level: int) -> Callable[[bytes], bytes]:
    def compress(content: bytes) -> bytes:
        made = module.compressobj(level, zlib.DEFLATED, _RAW)
        return bytes(made.compress(content) + made.flush())

    return compress


def compare(folders: Sequence[Path]) -> Iterator[str]:
    """A Markdown table: bytes, a digest of them, and seconds (wall and CPU) with one thread and with several.

    The contents are in memory before a clock starts. The digest tells whether two machines make the same.
    """
    workers = os.cpu_count() or 1
    yield f"| folder | library | MB | digest | 1 thread, s (CPU) | {workers} threads, s (CPU) |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for folder in folders:
        contents = [path.read_bytes() for path in files([folder])]
        for name, function in libraries():
            alone, made = _timed(function, contents, 1)
            several, _ = _timed(function, contents, workers)
            digest = hashlib.sha256(b"".join(made)).hexdigest()[:8]
            size = sum(map(len, made)) / 1e6
            yield f"| {folder.name} | {name} | {size:.2f} | {digest} | {alone} | {several} |"


def _timed(
    function: Callable[[bytes], bytes], contents: Sequence[bytes], workers: int
) -> tuple[str, list[bytes]]:
    with ThreadPoolExecutor(workers) as threads:
        began, used = time.perf_counter(), time.process_time()
        made = list(threads.map(function, contents))
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return f"{seconds:.2f} ({cpu:.2f})", made


def main(argv: Sequence[str] | None = None) -> None:
    """What the command does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--processes", action="store_true", help="one process for each CPU, not one thread in a single one"
    )
    how.add_argument("--compare", action="store_true", help="a table of libraries, for each folder")
    arguments = parser.parse_args(argv)
    if arguments.compare:
        for line in compare(arguments.folders):
            sys.stdout.write(f"{line}\n")
        return
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
