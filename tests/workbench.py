"""The backends at work: the real uv and the real pip on the requirements of a test."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from lambda_bundle.cache import Cache
from lambda_bundle.errors import BundleError, Problem
from lambda_bundle.installer_pip import Pip
from lambda_bundle.installer_uv import Uv
from lambda_bundle.installers import Installer, Work
from lambda_bundle.lock import Wheel
from lambda_bundle.orders import Order
from lambda_bundle.process import Children
from lambda_bundle.reqfile import read
from lambda_bundle.sets import DependencySet
from lambda_bundle.stage import file_mode
from lambda_bundle.store import Store
from lambda_bundle.targets import Target
from lambda_bundle.wanted import Requirements

BACKENDS = ("uv", "pip")
both = pytest.mark.parametrize("backend", BACKENDS)
uv_and_at_length_pip = pytest.mark.parametrize(
    "backend", ["uv", pytest.param("pip", marks=pytest.mark.campaign)]
)
"""For what other tests show of pip, which takes half a second for each of its commands."""
_UV = find_uv_bin()  # once: sysconfig, which it asks, cannot be asked by two threads first


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed(DependencySet):
    """A dependency set, with the folder that it is installed in."""

    folder: Path


@dataclass(frozen=True)
class Workbench:
    """A folder for one test, and the environment that the backends run in."""

    folder: Path
    environ: dict[str, str]

    def __post_init__(self) -> None:
        self.environ["PIP_CACHE_DIR"] = str(self.folder / "pip-cache")
        self.environ["XDG_CONFIG_HOME"] = str(self.folder / "no-config")

    def requirements(self, text: str, target: Target, name: str = "requirements.txt") -> Requirements:
        """What a requirements file with this text says for a target."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return read(
            path,
            markers=target.markers,
            environ=self.environ,
            shown=lambda place: place.name,
            resolve=lambda base, relative: Path(os.path.normpath(base / relative)),
        )

    def backend(self, name: str) -> Installer:
        """A backend of this host, without the look whether it serves."""
        return Uv(_UV) if name == "uv" else Pip(sys.executable)

    def work(self, wanted: Requirements | None = None) -> Work:
        """What a backend needs around it."""
        return Work(
            children=Children(),
            environ=self.environ,
            place=Path(tempfile.mkdtemp(prefix="work-", dir=self.folder)),
            timeout=120,
            secrets=frozenset() if wanted is None else wanted.secrets,
        )

    def resolve(self, backend: str, text: str, target: Target) -> tuple[Wheel, ...]:
        """What a backend resolves a requirements file to."""
        wanted = self.requirements(text, target)
        return self.backend(backend).resolve(wanted, target, self.work(wanted), ())

    def files(self, backend: str, text: str, target: Target) -> list[str]:
        """The file names of what a backend resolves a requirements file to."""
        return [wheel.filename for wheel in self.resolve(backend, text, target)]

    def dependencies(self, backend: str, text: str, target: Target) -> Installed:
        """The installed dependencies, by way of a store of its own."""
        wanted = self.requirements(text, target)
        with ThreadPoolExecutor(1) as pool:
            store = Store(Cache(Path(tempfile.mkdtemp(prefix="store-", dir=self.folder))), pool)
            order = replace(self.order(wanted, target, backend), lasting=True)
            found = store.dependencies(order)
            folder = store.folder(found, order) if found.key else Path()
            return Installed(**{one.name: getattr(found, one.name) for one in fields(found)}, folder=folder)

    def order(
        self, wanted: Requirements, target: Target, backend: str = "uv", work: Work | None = None
    ) -> Order:
        """What a job would ask a store for."""
        work = work or self.work(wanted)
        return Order(wanted=wanted, target=target, installer=self.backend(backend), work=work)

    def problem(self, backend: str, text: str, target: Target) -> Problem:
        """The one problem that keeps the dependencies from being installed."""
        with pytest.raises(BundleError) as caught:
            self.dependencies(backend, text, target)
        assert len(caught.value.problems) == 1
        return caught.value.problems[0]


def tree(dependencies: Installed) -> Mapping[str, tuple[bytes, int]]:
    """Content and permissions of every file."""
    paths = {path: dependencies.folder / path for path in dependencies.files}
    return {path: (file.read_bytes(), file_mode(file)) for path, file in paths.items()}
