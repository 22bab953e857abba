"""A wheel in one fixed form, made of what a build gave; only if that is pure Python.

The order, times, permissions and compression in a built archive depend on the host and the tools, and so does
what it says of these. Here they do not: the same files are the same bytes. The format is that of PEP 427.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Declared
from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name, canonicalize_version, parse_wheel_filename

from lambda_bundle.errors import BundleError, Code, Problem
from lambda_bundle.installed import Distribution, distributions, tidy, write_record
from lambda_bundle.unpack import unpack

_TIME = (1980, 1, 1, 0, 0, 0)
_MAGIC = (
    b"\x7fELF",
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),  # Mach-O
)
_COMPILED = re.compile(r".*\.(pyd|dylib|dll|so(\.[\d.]+)?)", re.IGNORECASE | re.DOTALL)
_GENERATOR = re.compile(r"^Generator:.*(?:\n[ \t].*)*$", re.MULTILINE | re.IGNORECASE)
_SHOWN = 12
"""How many compiled files an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PureWheel:
    """A wheel that was written, and what its metadata say."""

    path: Path
    name: str
    """Normalized (PEP 503)."""
    version: str
    requires: tuple[str, ...]
    links: dict[str, str]
    """What was at the URLs that are not in `requires` any more, by name."""


def normalize(built: Path, tree: Path, into: Path, link: Callable[[str], str | None]) -> PureWheel:
    """Write what was built into a folder, as a wheel.

    `built` is a wheel, to be unpacked into the empty folder `tree`, or that folder itself, if a wheel is
    installed in there. A dependency at a URL for which `link` gives something keeps its name only: that place
    is on this machine, or of sources. Raises `BundleError` for what is not pure.
    """
    file: str | None = None
    if built != tree:
        unpack(built, tree)
        file = built.name
    tidy(tree)
    found = distributions(tree)
    if len(found) != 1:
        raise _unusable("the build gave no wheel of one project", "see what its build backend makes of it")
    distribution = found[0]
    tags = parse_wheel_filename(file)[3] if file else _tags(tree / distribution.info)
    _check(tags, tree)
    requires, links = _relink(tree / distribution.info / "METADATA", link)
    _sign(tree / distribution.info / "WHEEL")
    _move_scripts(tree, distribution)
    files = {path.relative_to(tree).as_posix(): "" for path in tree.rglob("*") if path.is_file()}
    record = f"{distribution.info}/RECORD"
    write_record(tree, replace(distribution, files={**files, record: ""}))
    path = into / (file or _file_name(distribution, tags))
    _zip(tree, sorted(files, key=lambda one: (".dist-info/" in one, one == record, one)), path)
    return PureWheel(
        path=path, name=distribution.name, version=distribution.version, requires=requires, links=links
    )


def _tags(info: Path) -> frozenset[Tag]:
    metadata = HeaderParser().parsestr((info / "WHEEL").read_text(encoding="utf-8"))
    return frozenset(tag for text in metadata.get_all("Tag", []) for tag in parse_tag(text))


def _file_name(distribution: Distribution, tags: Iterable[Tag]) -> str:
    name = canonicalize_name(distribution.name).replace("-", "_")
    version = canonicalize_version(distribution.version, strip_trailing_zero=False)
    pythons = ".".join(sorted({tag.interpreter for tag in tags}))
    return f"{name}-{version}-{pythons}-none-any.whl"


def _check(tags: Iterable[Tag], tree: Path) -> None:
    """Refuse what was built for this host, by its tags or by what is in it."""
    impure = sorted({str(tag) for tag in tags if (tag.abi, tag.platform) != ("none", "any")})
    compiled = sorted(
        path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file() and _is_compiled(path)
    )
    if not impure and not compiled:
        return
    more = len(compiled) - _SHOWN
    listed = [f"  {path}" for path in compiled[:_SHOWN]] + ([f"  and {more} more"] if more > 0 else [])
    reasons = [f"tag: {', '.join(impure)}"] if impure else []
    reasons += ["compiled files:", *listed] if compiled else []
    raise _unusable(
        f"it is not pure Python: {f'its wheel is for {impure[0]}' if impure else f'{compiled[0]} is in it'}",
        "what is compiled here does not load on Lambda: build its wheels for the target and name those",
        detail="\n".join(reasons),
    )


def _is_compiled(path: Path) -> bool:
    if _COMPILED.fullmatch(path.name):
        return True
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def _unusable(message: str, hint: str, detail: str | None = None) -> BundleError:
    return BundleError(Problem(code=Code.IMPURE_WHEEL, message=message, hint=hint, detail=detail))


def _relink(metadata: Path, link: Callable[[str], str | None]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take the URLs out of the dependencies that `link` knows; all dependencies, and those URLs."""
    head, blank, body = metadata.read_text(encoding="utf-8", errors="surrogateescape").partition("\n\n")
    requires, links, lines = [], {}, []
    for line in head.splitlines():
        field, _, value = line.partition(":")
        if field.lower() == "requires-dist":
            name, place, value = _unlinked(value.strip(), link)
            if place is not None:
                links[name] = place
            requires.append(value)
            line = f"{field}: {value}"  # noqa: PLW2901 - it is changed
        lines.append(line)
    text = "\n".join(lines) + (blank + body if blank else "\n")
    metadata.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
    return tuple(requires), links


def _unlinked(text: str, link: Callable[[str], str | None]) -> tuple[str, str | None, str]:
    """The name of a dependency, what its URL leads to, and the dependency without the URL."""
    try:
        declared = Declared(text)
    except InvalidRequirement:  # setuptools writes paths as they are: name @ ../place
        match = re.fullmatch(
            r"(?P<name>[\w.-]+)\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<url>\S+?)(?P<rest>\s*(?:;.*)?)", text
        )
        if match is None:
            return "", None, text
        place = link(match["url"])
        name = canonicalize_name(match["name"])
        return name, place, f"{match['name']}{match['extras'] or ''}{match['rest']}" if place else text
    place = link(declared.url) if declared.url else None
    if place is not None:
        declared.url = None
    return canonicalize_name(declared.name), place, str(declared) if place is not None else text


def _sign(wheel: Path) -> None:
    """Take the version of the build backend out: a newer one would change every artifact with this code."""
    text = wheel.read_text(encoding="utf-8", errors="surrogateescape")
    signed = _GENERATOR.sub("Generator: lambda-bundle", text)
    wheel.write_text(signed, encoding="utf-8", errors="surrogateescape", newline="\n")


def _move_scripts(tree: Path, distribution: Distribution) -> None:
    """Put programs where a wheel has them."""
    programs = tree / "bin"
    if programs.is_dir():
        data = tree / f"{distribution.info.removesuffix('.dist-info')}.data"
        data.mkdir()
        programs.replace(data / "scripts")


def _zip(tree: Path, names: Iterable[str], path: Path) -> None:
    """Stored, not deflated: nobody ships this file, and each zlib compresses differently."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _TIME)
            executable = (tree / name).stat().st_mode & stat.S_IXUSR
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            archive.writestr(entry, (tree / name).read_bytes())
