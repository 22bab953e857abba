"""Hand-written wheels and source distributions, for the real uv and the real pip."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MACHINES = {"x86_64": 62, "aarch64": 183}  # ELF e_machine


def elf(machine: str, note: str = "") -> bytes:
    """The smallest thing that is an ELF shared object for a machine."""
    header = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 0, 0, 3, MACHINES[machine], 1, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0),
    )
    return header + note.encode()


@dataclass(frozen=True)
class Wheelhouse:
    """A folder of distributions, as `--find-links` takes it."""

    folder: Path

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        tag: str = "py3-none-any",
        *,
        requires: Iterable[str] = (),
        extras: Iterable[str] = (),
        python: str | None = None,
        files: Mapping[str, str | bytes] | None = None,
        build: str = "",
        executable: Iterable[str] = (),
    ) -> Path:
        """Write a wheel. Without `files` it is one package of its name that says its version and tag."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        default = {f"{module}/__init__.py": f'VERSION = "{version}"\nTAG = "{tag}"\n'}
        content = {path: _bytes(data) for path, data in (default if files is None else files).items()}
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        metadata += [f"Requires-Dist: {one}" for one in requires]
        metadata += [f"Provides-Extra: {one}" for one in extras]
        metadata += [f"Requires-Python: {python}"] if python else []
        content[f"{info}/METADATA"] = ("\n".join(metadata) + "\n").encode()
        content[f"{info}/WHEEL"] = _wheel_metadata(tag).encode()
        record = io.StringIO()
        rows = csv.writer(record, lineterminator="\n")
        rows.writerows((path, _hash(data), len(data)) for path, data in content.items())
        rows.writerow((f"{info}/RECORD", "", ""))
        content[f"{info}/RECORD"] = record.getvalue().encode()
        path = self.folder / f"{module}-{version}{f'-{build}' if build else ''}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in content.items():
                entry = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
                entry.external_attr = (0o100755 if member in set(executable) else 0o100644) << 16
                archive.writestr(entry, data)
        return path

    def sdist(self, name: str, version: str = "1.0", *, tools: bool = False) -> Path:
        """Write a source distribution that leaves a mark as soon as somebody tries to build it.

        It brings its own build backend; with `tools`, it needs one from the wheelhouse instead.
        """
        root = f"{name.replace('-', '_')}-{version}"
        path = self.folder / f"{root}.tar.gz"
        backend = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        if tools:
            backend = 'requires = ["backend"]\nbuild-backend = "backend"\n'
            self.wheel("backend", files={"backend.py": self._marking})
        members = {
            f"{root}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{root}/pyproject.toml": f"[build-system]\n{backend}",
            f"{root}/backend.py": self._marking,
        }
        with tarfile.open(path, "w:gz") as archive:
            for member, text in members.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        return path

    @property
    def _marking(self) -> str:
        return f"open({str(self.mark)!r}, 'w').close()\nraise SystemExit('this must never be built')\n"

    @property
    def mark(self) -> Path:
        """The file that is there when something was built."""
        return self.folder.with_name(f"{self.folder.name}-built-something")


def sha256(path: Path) -> str:
    """The hash of a file in the form of requirements files: sha256:…"""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _hash(data: bytes) -> str:
    return f"sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()}"


def _wheel_metadata(tag: str) -> str:
    python, abi, platforms = tag.rsplit("-", 2)
    tags = [f"Tag: {one}-{abi}-{platform}" for one in python.split(".") for platform in platforms.split(".")]
    pure = "true" if platforms == "any" else "false"
    return "\n".join(["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {pure}", *tags]) + "\n"
