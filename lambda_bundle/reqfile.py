"""requirements.txt, with everything that pip allows in it, as plain values for one target.

The rules are those of pip's page "Requirements File Format"
(https://pip.pypa.io/en/stable/reference/requirements-file-format/) and of PEP 508. What comes out is free
of markers, variables, nesting and relative paths, so that every installer reads the same in it.
"""

from __future__ import annotations

import os
import posixpath
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote

from packaging.utils import canonicalize_name

from lambda_bundle.errors import BundleError, Code, Problem, Where
from lambda_bundle.indexes import secret_values
from lambda_bundle.lock import Source
from lambda_bundle.reqlines import (
    ADDRESS_HINT,
    OF_ONE,
    Line,
    address_faults,
    checked_hash,
    error_at,
    hash_options,
    logical_lines,
    loose_passwords,
    mask_url,
    split_options,
)
from lambda_bundle.reqspec import (
    UNNAMED,
    URL,
    VCS,
    holds,
    no_requirement,
    parse,
    split_marker,
    wheel_at,
    wheel_name,
)
from lambda_bundle.wanted import Options, Requirement, Requirements, file_path


def read(
    path: Path,
    *,
    markers: Mapping[str, str],
    environ: Mapping[str, str],
    shown: Callable[[Path], str],
    resolve: Callable[[Path, str], Path],
    mixed: bool = False,
) -> Requirements:
    """Read a requirements file, and the files that it names, for the target with this marker environment.

    `environ` fills `${VARIABLES}`; `shown` turns a path into what the user knows it by; `resolve` turns the
    folder of a file and a relative path in that file into an absolute path. `mixed`: some requirements may
    have hashes and others none, as in what is exported from a lock.

    Folders, source archives and git repositories become `sources`, editable ones too: what is installed is
    a wheel of them. Raises `BundleError` with every problem at once: `REQUIREMENTS_MISSING` for a file or
    folder that is not there, `SOURCE_REQUIREMENT` for what nothing here can build, `HASH_MISSING` where
    hashes are asked for (pip's page "Secure installs"), `INVALID_REQUIREMENT` for all else.
    """
    reader = _Reader(markers=markers, environ=environ, shown=shown, resolve=resolve)
    try:
        reader.include(path, at=Where(file=shown(path)))
    except BundleError as error:
        reader.problems += error.problems
    found = Requirements(
        requirements=_unique(reader.requirements),
        constraints=_unique(reader.constraints),
        options=_merge(reader.options),
        files=_unique(reader.files),
        secrets=frozenset(reader.secrets),
        sources=_unique(reader.sources),
    )
    if mixed:
        found = replace(found, options=replace(found.options, require_hashes=False))
    problems = _unique((*reader.problems, *_unhashed(found)))
    if problems:
        raise BundleError(*problems)
    return found


_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_DRIVE = re.compile(r"[a-z]:/", re.IGNORECASE)
_EDITABLE = re.compile(r"(?:-e\s*|--editable(?:\s*=\s*|\s+))(?P<place>[^\s-].*)", re.DOTALL)
_ARCHIVE = re.compile(r".*\.(zip|tar|tgz|tbz|tbz2|txz|tar\.(gz|bz2|xz))", re.IGNORECASE | re.DOTALL)
_REPOSITORY = re.compile(r"git\+(?:https?|ssh|git|file)://[^\s]+", re.IGNORECASE)
_SCP = re.compile(r"(?:git\+)?(?:ssh://)?(?P<host>[\w.-]+@[\w.-]+):(?P<path>(?!\d+/)[^/\s].*)")
_FRAGMENT = re.compile(r"#([^#]*=[^#]*)$")
_EGG = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[(?P<extras>[^\]]*)\])?")
_URL_HASH = re.compile(r"[#&](sha256|sha384|sha512)=([^&]*)")
_PIN = re.compile(r"={2,3}[^,*]+")
_OF_INDEXES = ("--index-url", "--extra-index-url", "--find-links")
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s]+)@")

_GIT_HINT = "write git+ssh://git@host/path@reference"
_CONSTRAINT_HINT = "a constraint says which versions may be taken: write the project itself as a requirement"
_NAMED_HINT = 'take it out; what has no wheels can be named in `sdists` of bundles.toml: sdists = ["name"]'
_HASH_HINT = "add --hash=sha256:… (`pip hash` prints it), or compile the file anew with hashes for all"


@dataclass(slots=True, kw_only=True)
class _Reader:
    """What has been read so far."""

    markers: Mapping[str, str]
    environ: Mapping[str, str]
    shown: Callable[[Path], str]
    resolve: Callable[[Path, str], Path]
    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def include(
        self, path: Path, *, at: Where, constraint: bool = False, chain: tuple[str, ...] = ()
    ) -> None:
        """Read one file. Keeps what is wrong with its lines, and raises what is wrong with the file."""
        real = os.path.realpath(path)
        if real in chain:
            raise error_at(Code.INVALID_REQUIREMENT, f"{self.shown(path)} includes itself", at)
        lines = logical_lines(self._load(path, at))
        self.files.append(path)
        shown = self.shown(path)
        for number, written in lines:
            line = Line(
                written=written,
                text=self._expand(written),
                where=Where(file=shown, line=number),
                folder=path.parent,
                constraint=constraint,
                chain=(*chain, real),
            )
            try:
                self._line(line)
            except BundleError as error:
                self.problems += (_unset(problem, line) for problem in error.problems)

    def _load(self, path: Path, at: Where) -> str:
        content = self._bytes(path, at)
        try:
            # Zero bytes are UTF-16 without a byte order mark, and would pass for UTF-8.
            return content.replace(b"\0", b"\xff").decode()
        except UnicodeDecodeError as error:
            where = Where(file=self.shown(path), line=error.object.count(b"\n", 0, error.start) + 1)
            what = "holds a zero byte" if content[error.start] == 0 else "is not UTF-8"
            hint = "save it as UTF-8 (the > of Windows PowerShell writes UTF-16)"
            raise error_at(Code.INVALID_REQUIREMENT, f"{self.shown(path)} {what}", where, hint) from None

    def _bytes(self, path: Path, at: Where) -> bytes:
        try:
            return path.read_bytes().removeprefix(BOM_UTF8)
        except FileNotFoundError:
            raise self._missing(path, at) from None
        except OSError as error:
            if path.is_dir():
                hint = f"name the file in it: {self.shown(path)}/requirements.txt"
                raise self._missing(path, at, "is a folder", hint) from None
            raise self._missing(path, at, f"cannot be read: {error.strerror}") from None

    def _missing(
        self, path: Path, at: Where, why: str = "does not exist", hint: str | None = None
    ) -> BundleError:
        return error_at(Code.REQUIREMENTS_MISSING, f"{mask_url(self.shown(path))} {why}", at, hint)

    def _expand(self, written: str) -> str:
        """Fill in variables, by pip's rule: unset and empty ones stay as they are."""
        text = _VARIABLE.sub(lambda match: self.environ.get(match[1]) or match[0], written)
        if "://" in text:
            passwords = _PASSWORD.findall(text)
            self.secrets.update(filter(None, (*passwords, *map(unquote, passwords))))
            self.secrets.update(secret_values(written, self.environ))
        elif "@" in text:
            self.secrets.update(loose_passwords(text))
        return text

    def _line(self, line: Line) -> None:
        editable = _EDITABLE.fullmatch(line.text)
        if editable:  # uv writes a marker behind it, which pip would not see
            self._requirement(line, _unquoted(editable["place"]), (), editable=True)
            return
        # pip's rule: options begin at the first word with a dash, and only they are split as by a shell.
        text, *rest = re.split(r"(?:^|\s)(?=-)", line.text, maxsplit=1)
        options = split_options(line, "".join(rest))
        if text:
            self._requirement(line, text, hash_options(line, options))
            return
        for name, value in options:
            self._option(line, name, value)

    def _check_address(self, line: Line, address: str) -> None:
        """Raise `BundleError` where variables in it are not set: pip would ask for it as it stands."""
        unset = dict.fromkeys(_VARIABLE.findall(address)) if "://" in address else {}
        if unset:
            verb = "is" if len(unset) == 1 else "are"
            message = f"{', '.join(unset)} {verb} not set, or empty: {mask_url(line.written)}"
            hint = "give it a value, in `env` or the environment"
            raise error_at(Code.VARIABLE_MISSING, message, line.where, hint)

    def _option(self, line: Line, name: str, value: str) -> None:
        self._check_address(line, value)
        if name in OF_ONE:
            raise line.invalid("belongs to a requirement", "end the line of the requirement with a backslash")
        if name == "--editable":
            self._requirement(line, value, (), editable=True)
            return
        if name == "--no-binary" and value != ":none:":
            raise line.source("asks for builds, and only wheels are installed", _NAMED_HINT)
        if name in {"--requirement", "--constraint"}:
            self._nested(line, value, constraint=name == "--constraint")
        if name == "--find-links" and not URL.match(value):
            value = str(self._path(line, value))
        elif name in _OF_INDEXES and "://" in value:
            for fault, hint in address_faults(value):
                raise line.invalid(fault, hint)
        self.options.append((name, value))

    def _nested(self, line: Line, value: str, *, constraint: bool) -> None:
        url = URL.match(value)
        if url and url["scheme"]:
            raise line.invalid(
                "names a file at a URL, which is not supported", "download it and name the copy"
            )
        self.include(self._path(line, value), at=line.where, constraint=constraint, chain=line.chain)

    def _path(self, line: Line, text: str) -> Path:
        if text.lower().startswith("file:"):
            text = file_path(text)
        text = text.replace("\\", "/")  # a file that was written on Windows means the same elsewhere
        absolute = _DRIVE.match(text) or Path(text).is_absolute()
        return Path(text) if absolute else self.resolve(line.folder, text)

    def _requirement(self, line: Line, text: str, hashes: tuple[str, ...], *, editable: bool = False) -> None:
        if hashes:
            self.options.append(("--require-hashes", ""))
        head, marker = split_marker(text)
        if _SCP.fullmatch(head):
            raise line.invalid("is how git alone writes it", _GIT_HINT)
        parsed, place = parse(line, head, editable=editable)
        if not holds(line, marker, self.markers):
            return
        self._check_address(line, place)
        if line.constraint and parsed.extras:
            raise line.invalid("has extras, which a constraint cannot have")
        extras = tuple(sorted(map(canonicalize_name, parsed.extras)))
        hashes = _unique(
            (*hashes, *(checked_hash(line, ":".join(pair)) for pair in _URL_HASH.findall(place)))
        )
        wheel = wheel_at(place)
        if place and wheel is None:
            name = None if parsed.name == UNNAMED else canonicalize_name(parsed.name)
            source = self._source(line, place, name)
            if line.constraint:
                raise line.source("would be built from source, and a constraint cannot be", _CONSTRAINT_HINT)
            self.sources.append(replace(source, extras=_unique((*extras, *source.extras)), hashes=hashes))
            return
        requirement = Requirement(
            name=canonicalize_name(parsed.name),
            specifier=str(parsed.specifier),
            extras=extras,
            url=self._url(line, parsed.name, wheel) if wheel else None,
            hashes=hashes,
            where=line.where,
        )
        (self.constraints if line.constraint else self.requirements).append(requirement)

    def _url(self, line: Line, name: str, wheel: re.Match[str]) -> str:
        place = wheel[0]
        told, url = wheel_name(line, place), URL.match(place)
        if told != canonicalize_name(name):
            raise line.invalid(f"names a wheel of {told}")
        if url and url["scheme"]:
            if url["scheme"].lower() in {"http", "https"}:
                return place
            raise line.invalid("has a URL that is neither http, https nor file")
        path = self._path(line, wheel["base"])
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a name is too long
            raise self._missing(path, line.where)
        return path.as_uri() + (wheel["fragment"] or "")

    def _source(self, line: Line, place: str, name: str | None) -> Source:
        """What has to be built, at a place that is no wheel."""
        bare, *fragment = _FRAGMENT.split(place)
        told = parse_qs("".join(fragment))
        egg = _EGG.fullmatch(told.get("egg", [""])[-1])
        extras = re.findall(r"[\w.-]+", egg["extras"] or "") if egg else ()
        source = Source(
            name=name or (canonicalize_name(egg["name"]) if egg else None),
            where=line.where,
            subdirectory=_inside(line, told.get("subdirectory", [""])[-1]),
            extras=tuple(sorted(map(canonicalize_name, extras))),
        )
        url = URL.match(bare)
        if VCS.match(bare):
            return replace(source, url=_repository(line, bare))
        if url and url["scheme"]:
            if url["scheme"].lower() not in {"http", "https"}:
                raise line.invalid("has a URL that is neither http, https, file nor git")
            if not _ARCHIVE.fullmatch(unquote(bare.partition("?")[0])):
                raise line.source("names neither a wheel nor a source archive")
            return replace(source, url=bare)
        if "://" in place and not url:
            raise no_requirement(line)
        path = self._path(line, bare)
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
            return replace(source, folder=path / source.subdirectory if source.subdirectory else path)
        if not os.path.isfile(path):  # noqa: PTH113 - see above
            raise self._missing(path, line.where)
        if not _ARCHIVE.fullmatch(path.name):
            raise line.source("names a file that is neither a wheel nor a source archive")
        return replace(source, url=path.as_uri())


def _unset(problem: Problem, line: Line) -> Problem:
    """The problem of a line; where a variable is left in it, that is what to do something about."""
    names = ", ".join(dict.fromkeys(_VARIABLE.findall(line.text)))
    if not names or " option " in problem.message:
        return problem
    hint = f"{names} is empty or not set: give it a value, in `env` or the environment"
    return replace(problem, hint=hint)


def _repository(line: Line, text: str) -> str:
    """The URL of a git repository with its reference, as PEP 440 writes it."""
    if _SCP.fullmatch(text):
        raise line.invalid("is how git alone writes it", _GIT_HINT)
    if _REPOSITORY.fullmatch(text):
        return f"git{text[3:]}"
    if text.lower().startswith("git+") and "://" not in text:
        raise line.invalid("is not the address of a git repository", ADDRESS_HINT)
    raise line.source("is of a kind that cannot be fetched: of version control systems, only git")


def _inside(line: Line, subdirectory: str) -> str | None:
    """A folder of the archive or the repository; None where the project is at the root."""
    path = posixpath.normpath(subdirectory.replace("\\", "/"))
    if path.startswith(("/", "..")):
        raise line.invalid("has a subdirectory that is outside")
    return None if path == "." else path


def _unquoted(text: str) -> str:
    """The place of an editable project: quoted as a shell wants it, or not."""
    match = re.match(r"""(["'])(?P<place>.*?)\1(?P<rest>.*)""", text, re.DOTALL)
    return match["place"] + match["rest"] if match else text


def _unhashed(found: Requirements) -> Iterator[Problem]:
    """What pip's hash-checking mode asks of every requirement and is not there."""
    for requirement in found.requirements if found.options.require_hashes else ():
        if not requirement.url and not _PIN.fullmatch(requirement.specifier):
            message = f"{requirement.name} is not pinned with ==, and hashes are required"
        elif not requirement.hashes:
            message = f"{requirement.name} has no hash, and where any requirement has one, all need theirs"
        else:
            continue
        yield Problem(code=Code.HASH_MISSING, message=message, where=requirement.where, hint=_HASH_HINT)
    for source in found.sources if found.options.require_hashes else ():
        # Folders are the user's own, and a commit is a hash.
        if source.url and not source.url.startswith("git+") and not source.hashes:
            what = source.name or mask_url(source.url)
            message = f"{what} has no hash, and where any requirement has one, all need theirs"
            yield Problem(code=Code.HASH_MISSING, message=message, where=source.where, hint=_HASH_HINT)


def _merge(found: list[tuple[str, str]]) -> Options:
    def values(option: str) -> tuple[str, ...]:
        return _unique(value for name, value in found if name == option)

    names = dict(found)  # the last value of each
    return Options(
        index_url=names.get("--index-url"),
        extra_index_urls=values("--extra-index-url"),
        find_links=values("--find-links"),
        no_index="--no-index" in names,
        pre="--pre" in names,
        # Poetry writes credentials there; a host has none, and they would end on a command line.
        trusted_hosts=_unique(host.rpartition("@")[2] for host in values("--trusted-host")),
        require_hashes="--require-hashes" in names,
    )


T = TypeVar("T")


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
