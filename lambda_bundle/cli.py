"""`lambda-bundle`: the same tasks as a command of its own."""

from __future__ import annotations

from invoke.program import Program

from lambda_bundle import __version__
from lambda_bundle.tasks import ns


def main() -> None:
    """Run the command line."""
    Program(
        name="lambda-bundle",
        binary="lambda-bundle",
        binary_names=["lambda-bundle"],
        namespace=ns,
        version=__version__,
    ).run()
