"""The tasks of this repository: the bundling ones, and the chores of the project itself."""

from lambda_bundle.tasks import ns

__all__ = ["ns"]
