"""A monorepo of Lambda functions to measure with: `python -m benchmarks.generate OUT -n 50`.

The same arguments give the same bytes, on any machine and with any Python.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNTIME = "python3.11"
"""Of every function; each pin below has a wheel for it, on both architectures, that Amazon Linux 2 loads."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""AWS's word for an architecture, and that of wheels."""
FILES = 10
"""How many files a function has, requirements.txt included."""
_FEWEST = 4  # handler.py, requirements.txt, svc/__init__.py and one module


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySet:
    """What some of the functions import, and the distributions that this takes, each pinned."""

    imports: tuple[str, ...]
    pins: tuple[str, ...]


SETS = {
    "small": DependencySet(
        imports=("requests",),
        pins=(
            "certifi==2026.10.18",
            "charset-normalizer==3.5.2",
            "idna==3.20",
            "requests==2.34.2",
            "urllib3==2.8.0",
        ),
    ),
    "medium": DependencySet(
        imports=("boto3", "pydantic"),
        pins=(
            "annotated-types==0.8.0",
            "boto3==1.44.5",
            "botocore==1.44.5",
            "jmespath==1.1.0",
            "pydantic==2.14.3",
            "pydantic-core==2.50.4",
            "python-dateutil==2.9.0.post0",
            "s3transfer==0.19.3",
            "six==1.17.0",
            "typing-extensions==4.16.0",
            "typing-inspection==0.4.5",
            "urllib3==2.8.0",
        ),
    ),
    "large": DependencySet(
        imports=("pandas", "numpy"),
        pins=(
            "numpy==2.2.6",
            "pandas==2.3.2",
            "python-dateutil==2.9.0.post0",
            "pytz==2026.6",
            "six==1.17.0",
            "tzdata==2026.6",
        ),
    ),
    "web": DependencySet(
        imports=("fastapi", "mangum"),
        pins=(
            "annotated-doc==0.0.7",
            "annotated-types==0.8.0",
            "anyio==4.16.0",
            "fastapi==0.165.0",
            "idna==3.20",
            "mangum==0.22.0",
            "opentelemetry-api==1.45.2",
            "pydantic==2.14.3",
            "pydantic-core==2.50.4",
            "starlette==1.10.0",
            "typing-extensions==4.16.0",
            "typing-inspection==0.4.5",
        ),
    ),
    "crypto": DependencySet(
        imports=("cryptography", "jwt"),
        pins=("cffi==2.1.1", "cryptography==50.0.2", "pycparser==3.12", "pyjwt==2.15.1"),
    ),
}
"""By name. No two of them pin the same distribution differently, so that their union can be installed."""

_WORDS = ("account", "batch", "cursor", "event", "invoice", "metric", "order", "region", "session", "tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One of the functions."""

    name: str
    deps: str
    """The name of its dependency set."""
    arch: str

    @property
    def entry(self) -> str:
        """Its folder, relative to the monorepo."""
        return f"functions/{self.name}"

    @property
    def machine(self) -> str:
        """Its architecture in the words of wheels."""
        return MACHINES[self.arch]


def functions(n: int) -> tuple[Function, ...]:
    """The functions of a monorepo of `n`.

    The dependency sets take turns, and with each turn of theirs the architectures.
    """
    names, archs = list(SETS), list(MACHINES)
    width = max(3, len(str(n - 1)))
    return tuple(
        Function(
            name=f"fn-{index:0{width}d}",
            deps=names[index % len(names)],
            arch=archs[index // len(names) % len(archs)],
        )
        for index in range(n)
    )


def generate(out: Path, n: int, *, files: int = FILES) -> None:
    """Write a monorepo of `n` functions of `files` files each to `out`, an empty folder or none yet."""
    every = functions(n)
    _write(out / "bundles.toml", _bundles(every))
    _write(out / "tasks.py", 'from lambda_bundle.tasks import ns\n\n__all__ = ["ns"]\n')
    for function in every:
        modules = [f"mod_{number}" for number in range(files - _FEWEST + 1)]
        folder = out / function.entry
        _write(folder / "requirements.txt", "".join(f"{pin}\n" for pin in SETS[function.deps].pins))
        _write(folder / "handler.py", _handler(function))
        _write(folder / "svc/__init__.py", "".join(f"from svc import {module}\n" for module in modules))
        for module in modules:
            _write(folder / f"svc/{module}.py", _module(function.name, module))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _bundles(every: Sequence[Function]) -> str:
    entries = (
        f'\n[functions.{one.name}]\nentry = "{one.entry}"\nhandler = "handler.handler"\narch = "{one.arch}"\n'
        for one in every
    )
    return f'[defaults]\nruntime = "{RUNTIME}"\n' + "".join(entries)


def _handler(function: Function) -> str:
    imports = SETS[function.deps].imports
    versions = ", ".join(f"{name}.__name__" for name in imports)
    return (
        "".join(f"import {name}\n" for name in (*imports, "svc"))
        + "\n\ndef handler(event, context):\n"
        + f'    return {{"function": "{function.name}", "modules": dir(svc), "imports": [{versions}]}}\n'
    )


def _module(function: str, module: str) -> str:
    """Between two and four KB of Python that no other module repeats."""
    seed = _digest(function, module)
    parts = [f'"""{module} of {function}."""\n']
    for number in range(8 + seed[0] % 9):
        bits = _digest(function, module, str(number))
        one, two, three = (_WORDS[byte % len(_WORDS)] for byte in bits[:3])
        parts.append(
            f'def {one}_{two}_{number}({one}: dict, key: str = "{three}") -> dict:\n'
            f'    """The {one} of one {two}, by {three}."""\n'
            f"    value = {one}.get(key, {int.from_bytes(bits[3:6], 'big')})\n"
            f'    return {{"{three}": value, "n": {bits[6]}, "key": "{bits[8:16].hex()}"}}\n'
        )
    return "\n\n".join(parts)


def _digest(*parts: str) -> bytes:
    """Bytes that look random and never change, which `random` does not promise between Python versions."""
    return hashlib.sha256("/".join(parts).encode()).digest()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write; it must not exist or be empty")
    parser.add_argument("-n", type=int, default=50, help="how many functions (default: %(default)s)")
    parser.add_argument(
        "--files", type=int, default=FILES, help="how many files each of them has (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    if arguments.n < 1:
        parser.error("-n: give at least 1")
    if arguments.files < _FEWEST:
        parser.error(f"--files: give at least {_FEWEST}")
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out} is not empty")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """What the command does."""
    arguments = _arguments(argv)
    generate(arguments.out, arguments.n, files=arguments.files)


if __name__ == "__main__":
    main()
