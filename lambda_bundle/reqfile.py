"""requirements.txt, with everything that pip allows in it, as plain values for one target.

The rules are those of pip's page "Requirements File Format"
(https://pip.pypa.io/en/stable/reference/requirements-file-format/) and of PEP 508. What comes out is free
of markers, variables, nesting and relative paths, so that every installer reads the same in it.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from packaging import requirements as pep508
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.indexes import secret_values
from lambda_bundle.lock import Candidates, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement or constraint that applies to the target."""

    name: str
    """Normalized (PEP 503)."""
    specifier: str
    """As `packaging` orders it, such as `<3,>=2`; empty for a URL and where any version will do."""
    extras: tuple[str, ...]
    """Normalized (PEP 685) and sorted."""
    url: str | None
    """Of a wheel; http, https or file. Keeps its fragment: installers check a hash that stands in there."""
    hashes: tuple[str, ...]
    """`sha256:…`, `sha384:…` or `sha512:…`, from `--hash` options and the URL's fragment."""
    where: Where

    @property
    def line(self) -> str:
        """For an installer's own requirements file; without marker and `--hash` options."""
        named = f"{self.name}[{','.join(self.extras)}]" if self.extras else self.name
        return f"{named} @ {self.url}" if self.url else f"{named}{self.specifier}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options for all requirements, of all files together; lists in order and without repetition."""

    index_url: str | None
    """The last one wins, as in pip."""
    extra_index_urls: tuple[str, ...]
    find_links: tuple[str, ...]
    """URLs as they were written, and absolute paths."""
    no_index: bool
    pre: bool
    trusted_hosts: tuple[str, ...]
    require_hashes: bool
    """Asked for, or switched on by any `--hash`, even in a line whose marker does not hold; not by the hash
    in a URL (pip's rule)."""
    uv: tuple[str, ...] = ()
    """Lines for uv below its `[tool.uv]`: the indexes of the project's own configuration."""
    pins: tuple[tuple[str, str], ...] = ()
    """Packages that must come from an index in these lines: their names, normalized, and the index's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a requirements file, and all that it names, says for one target."""

    requirements: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...]
    options: Options
    files: tuple[Path, ...]
    """Every file that was read, in order."""
    secrets: frozenset[str] = field(repr=False)
    """Passwords in URLs, and values of variables that hold some: to be masked in all output."""
    sources: tuple[Source, ...] = ()
    """What has to be built to wheels before anything can be resolved."""
    candidates: tuple[Candidates, ...] = ()
    """What a lock has chosen, with the wheels that it lists: of these packages nothing is resolved."""
    exact: bool = False
    """Whether this is all that there is to install: what packages require is not followed."""
    skip: tuple[str, ...] = ()
    """Names of packages to leave out, with what only they need; normalized."""
    roots: tuple[str, ...] | None = None
    """The packages that are asked for by themselves; None where a lock does not tell them from the others."""
    warnings: tuple[Problem, ...] = ()

    @property
    def is_pinned(self) -> bool:
        """Whether nothing in it is left to a resolver."""
        return self.exact or not (self.requirements or self.sources)

    @property
    def wheels(self) -> tuple[Path, ...]:
        """The wheels on this machine that it names."""
        urls = (one.url for one in (*self.requirements, *self.constraints) if one.url)
        local = (urlsplit(url).path for url in urls if url.startswith("file:"))
        return tuple(Path(file_path(f"file:{path}")) for path in local)


NO_REQUIREMENTS = Requirements(
    requirements=(),
    constraints=(),
    options=Options(
        index_url=None,
        extra_index_urls=(),
        find_links=(),
        no_index=False,
        pre=False,
        trusted_hosts=(),
        require_hashes=False,
    ),
    files=(),
    secrets=frozenset(),
)
"""What there is to read where no file is."""


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


_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"file:|(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # one letter is a drive
_VCS = re.compile(r"[a-z]+\+[a-z]+:", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:/", re.IGNORECASE)
_NAMED = re.compile(r"[a-z0-9][a-z0-9._-]*\s*(\[[^\]]*\])?\s*@", re.IGNORECASE)
_BARE = re.compile(r"[./\\~]|[^<>=!~]*[/\\]|.*\.(whl|zip|tar|tar\.\w+|tgz|tbz|txz|tlz|txt)$", re.IGNORECASE)
_WHEEL = re.compile(r"(?P<base>.*?(?P<file>[^/\\]*\.whl))(\?[^#]*)?(?P<fragment>#.*)?", re.IGNORECASE)
_EDITABLE = re.compile(r"(?:-e\s*|--editable(?:\s*=\s*|\s+))(?P<place>[^\s-].*)", re.DOTALL)
_ARCHIVE = re.compile(r".*\.(zip|tar|tgz|tbz|tbz2|txz|tar\.(gz|bz2|xz))", re.IGNORECASE | re.DOTALL)
_REPOSITORY = re.compile(r"git\+(?:https?|ssh|git|file)://[^\s]+", re.IGNORECASE)
_SCP = re.compile(r"(?:git\+)?(?:ssh://)?(?P<host>[\w.-]+@[\w.-]+):(?P<path>(?!\d+/)[^/\s].*)")
_FRAGMENT = re.compile(r"#([^#]*=[^#]*)$")
_URL_HASH = re.compile(r"[#&](sha256|sha384|sha512)=([^&]*)")
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_PIN = re.compile(r"={2,3}[^,*]+")
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s]+)@")
# User and password (the second way, with a slash in the password), and a query, where signed URLs have a key.
_SECRET = re.compile(r"(?<=://)(?:[^/\s]*|[^/\s:]*:(?!\d+/)\S*)(?=@)|(?<=\?)[^\s#]+")

_ALIASES = {
    "-i": "--index-url",
    "--pypi-url": "--index-url",
    "-f": "--find-links",
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-C": "--config-settings",
    "--config-setting": "--config-settings",
}
_OF_ONE = ("--hash", "--config-settings", "--global-option", "--install-option")
_OF_ALL = (
    *("--index-url", "--extra-index-url", "--find-links", "--trusted-host"),
    *("--requirement", "--constraint", "--editable"),
    *("--no-binary", "--only-binary", "--use-feature"),
)
_FLAGS = ("--no-index", "--pre", "--require-hashes", "--prefer-binary")
_REFUSED = {
    "--no-require-hashes": "remove the hashes, or give every requirement some",
    "--all-releases": "use --pre, or ask for the pre-release itself, as in name>=2.0a1",
    "--only-final": "leave it out: without --pre, a pre-release is taken only where it is asked for",
}

_UNNAMED = "unnamed"
"""Stands for the name of a project that has none in the line."""
_EGG = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[(?P<extras>[^\]]*)\])?")

_MISTAKES = (
    (r"pip3? +install +(.+)", r"only what follows belongs here: \1"),
    (r"([\w.-]+) *=([<>]) *([\w.]+)", r"did you mean \1\2=\3?"),
    (r"[\w.-]+[ =<>\"']*(?:\^|~(?!=))", "^ and ~ are no operators here: write name>=2.1,<3 or name~=2.1"),
    (r"([\w.-]+?)(?: *= *| +)[\"']?v?(\d[\w.*+!]*)", r"== pins a version: \1==\2"),
    (r"[^;]*[\w*] +[<>=!~]=? *\d", "a comma joins two conditions, as in name>=2,<3"),
    ("", "a requirement looks like name, name[extra]>=2,<3 or name @ URL of a wheel"),
)
_MARKER_HINT = 'a marker looks like this: name; python_version < "3.13" and sys_platform == "linux"'
_SOURCE_HINT = "name a folder, a source archive or a git repository (git+https://…), or a wheel of it"
_GIT_HINT = "write git+ssh://git@host/path@reference"
_CONSTRAINT_HINT = "a constraint says which versions may be taken: write the project itself as a requirement"
_NAMED_HINT = 'name what has no wheels in `sdists` of bundles.toml: sdists = ["name"]'
_HASH_HINT = "add --hash=sha256:… (`pip hash` prints it), or compile the file anew with hashes for all"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One logical line, and what matters of the file it stands in."""

    written: str
    text: str
    """With variables filled in, and for that reason never shown."""
    where: Where
    folder: Path
    constraint: bool
    chain: tuple[str, ...]
    """The files that led here."""

    @property
    def quoted(self) -> str:
        """The line for messages: without the options of a requirement, and without credentials."""
        return f'"{_mask_url(" ".join(self.written.split())).split(" -")[0]}"'

    def invalid(self, why: str, hint: str | None = None) -> BundleError:
        return _error(Code.INVALID_REQUIREMENT, f"{self.quoted} {why}", self.where, hint)

    def source(self, why: str, hint: str = _SOURCE_HINT) -> BundleError:
        return _error(Code.SOURCE_REQUIREMENT, f"{self.quoted} {why}", self.where, hint)


def _error(code: Code, message: str, where: Where, hint: str | None = None) -> BundleError:
    return BundleError(Problem(code=code, message=message, where=where, hint=hint))


def _mask_url(text: str) -> str:
    return _SECRET.sub("****", text)


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
            raise _error(Code.INVALID_REQUIREMENT, f"{self.shown(path)} includes itself", at)
        lines = _logical_lines(self._load(path, at))
        self.files.append(path)
        for number, written in lines:
            line = _Line(
                written=written,
                text=self._expand(written),
                where=Where(file=self.shown(path), line=number),
                folder=path.parent,
                constraint=constraint,
                chain=(*chain, real),
            )
            try:
                self._line(line)
            except BundleError as error:
                self.problems += error.problems

    def _load(self, path: Path, at: Where) -> str:
        try:
            # Zero bytes are UTF-16 without a byte order mark, and would pass for UTF-8.
            return path.read_bytes().replace(b"\0", b"\xff").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            where = Where(file=self.shown(path), line=error.object.count(b"\n", 0, error.start) + 1)
            hint = "save it as UTF-8 (the > of Windows PowerShell writes UTF-16)"
            raise _error(Code.INVALID_REQUIREMENT, f"{self.shown(path)} is not UTF-8", where, hint) from None
        except FileNotFoundError:
            raise self._missing(path, at) from None
        except OSError as error:
            raise self._missing(path, at, f"cannot be read: {error.strerror}") from None

    def _missing(self, path: Path, at: Where, why: str = "does not exist") -> BundleError:
        return _error(Code.REQUIREMENTS_MISSING, f"{self.shown(path)} {why}", at)

    def _expand(self, written: str) -> str:
        """Fill in variables, by pip's rule: unset and empty ones stay as they are."""
        text = _VARIABLE.sub(lambda match: self.environ.get(match[1]) or match[0], written)
        if "://" in text:
            passwords = _PASSWORD.findall(text)
            self.secrets.update(filter(None, (*passwords, *map(unquote, passwords))))
            self.secrets.update(secret_values(written, self.environ))
        return text

    def _line(self, line: _Line) -> None:
        editable = _EDITABLE.fullmatch(line.text)
        if editable:  # uv writes a marker behind it, which pip would not see
            self._requirement(line, _unquoted(editable["place"]), ())
            return
        # pip's rule: options begin at the first word with a dash, and only they are split as by a shell.
        text, *rest = re.split(r"(?:^|\s)(?=-)", line.text, maxsplit=1)
        options = _options(line, "".join(rest))
        if text:
            self._requirement(line, text, _hashes(line, options))
            return
        for name, value in options:
            self._option(line, name, value)

    def _option(self, line: _Line, name: str, value: str) -> None:
        if name in _OF_ONE:
            raise line.invalid("belongs to a requirement", "end the line of the requirement with a backslash")
        if name == "--editable":
            self._requirement(line, value, ())
            return
        if name == "--no-binary" and value != ":none:":
            raise line.source("asks for builds, and only wheels are installed", _NAMED_HINT)
        if name in {"--requirement", "--constraint"}:
            self._nested(line, value, constraint=name == "--constraint")
        if name == "--find-links" and not _URL.match(value):
            value = str(self._path(line, value))
        self.options.append((name, value))

    def _nested(self, line: _Line, value: str, *, constraint: bool) -> None:
        url = _URL.match(value)
        if url and url["scheme"]:
            raise line.invalid(
                "names a file at a URL, which is not supported", "download it and name the copy"
            )
        self.include(self._path(line, value), at=line.where, constraint=constraint, chain=line.chain)

    def _path(self, line: _Line, text: str) -> Path:
        if text.lower().startswith("file:"):
            text = file_path(text)
        text = text.replace("\\", "/")  # a file that was written on Windows means the same elsewhere
        absolute = _DRIVE.match(text) or Path(text).is_absolute()
        return Path(text) if absolute else self.resolve(line.folder, text)

    def _requirement(self, line: _Line, text: str, hashes: tuple[str, ...]) -> None:
        if hashes:
            self.options.append(("--require-hashes", ""))
        head, marker = _split_marker(text)
        if _SCP.fullmatch(head):
            raise line.invalid("is how git alone writes it", _GIT_HINT)
        parsed, place = _parse(line, head)
        if not _holds(line, marker, self.markers):
            return
        if line.constraint and parsed.extras:
            raise line.invalid("has extras, which a constraint cannot have")
        extras = tuple(sorted(map(canonicalize_name, parsed.extras)))
        hashes = _unique((*hashes, *(_hash(line, ":".join(pair)) for pair in _URL_HASH.findall(place))))
        wheel = None if _VCS.match(place) else _WHEEL.fullmatch(place)
        if place and wheel is None:
            name = None if parsed.name == _UNNAMED else canonicalize_name(parsed.name)
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

    def _url(self, line: _Line, name: str, wheel: re.Match[str]) -> str:
        place = wheel[0]
        told, url = _wheel_name(line, place), _URL.match(place)
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

    def _source(self, line: _Line, place: str, name: str | None) -> Source:
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
        url = _URL.match(bare)
        if _VCS.match(bare):
            return replace(source, url=_repository(line, bare))
        if url and url["scheme"]:
            if url["scheme"].lower() not in {"http", "https"}:
                raise line.invalid("has a URL that is neither http, https, file nor git")
            if not _ARCHIVE.fullmatch(unquote(bare.partition("?")[0])):
                raise line.source("names neither a wheel nor a source archive")
            return replace(source, url=bare)
        if "://" in place and not url:
            raise line.invalid("is not a requirement", _mistake(_mask_url(line.written)))
        path = self._path(line, bare)
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
            return replace(source, folder=path / source.subdirectory if source.subdirectory else path)
        if not os.path.isfile(path):  # noqa: PTH113 - see above
            raise self._missing(path, line.where)
        if not _ARCHIVE.fullmatch(path.name):
            raise line.source("names a file that is neither a wheel nor a source archive")
        return replace(source, url=path.as_uri())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, each with the number of its first; joined by pip's rules."""
    first, parts = 0, list[str]()
    for number, line in enumerate((*text.splitlines(), ""), start=1):
        first = first or number
        comment = _COMMENT.match(line)  # a whole line; it ends a continued one, even with a backslash
        if line.endswith("\\") and not comment:
            parts.append(line.rstrip("\\"))
            continue
        whole = _COMMENT.sub("", "".join((*parts, " " if comment else "", line))).strip()
        if whole:
            yield first, whole
        first, parts = 0, []


def _options(line: _Line, text: str) -> Iterator[tuple[str, str]]:
    """Each option's full name and value; raises for the first that is wrong once it is reached."""
    try:
        words = iter(shlex.split(text))
    except ValueError:
        raise line.invalid("has a quotation mark that is not closed") from None
    for word in words:
        spelled, equals, value = word.partition("=")
        if not word.startswith("--"):
            spelled, equals, value = word[:2], word[2:], word[2:]
        name = _ALIASES.get(spelled, spelled)
        if name in _FLAGS and not equals:
            yield name, ""
        elif name in (*_OF_ONE, *_OF_ALL):
            value = value if equals else next(words, "")
            if not value:
                raise line.invalid(f"lacks the value of {spelled}")
            yield name, value
        else:
            raise _unknown(line, word)


def _unknown(line: _Line, word: str) -> BundleError:
    match = re.match(r"-+[\w-]*", word)  # not the rest of it, which may be a secret
    if match is None:
        return line.invalid(
            "goes on after its options", "a marker stands before them; quote a path with spaces"
        )
    name = match[0]
    if name in _FLAGS:
        return line.invalid(f"gives a value to {name}, which takes none")
    hint = _REFUSED.get(name) or did_you_mean(name, (*_FLAGS, *_OF_ONE, *_OF_ALL, *_ALIASES))
    return line.invalid(f"has the option {name}, which is not supported in a requirements file", hint)


def _hashes(line: _Line, options: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    found = tuple(options)
    for name, _ in found:
        if name not in _OF_ONE:
            raise line.invalid(f"has the option {name} behind it", "give the option a line of its own")
    return tuple(_hash(line, value) for name, value in found if name == "--hash")


def _hash(line: _Line, text: str) -> str:
    if not _HASH.fullmatch(text.lower()):
        hint = "it is sha256, sha384 or sha512, a colon, and the whole digest in hexadecimal digits"
        raise line.invalid("has a hash that is not one", hint)
    return text.lower()


def _split_marker(text: str) -> tuple[str, str]:
    """The requirement and its marker; in a URL, only a semicolon with a space ends it (pip's rule)."""
    semicolon = r";\s+|\s+;|;$" if "://" in text else ";"
    head, *marker = re.split(semicolon, text, maxsplit=1)
    return head.strip(), "".join(marker).strip()


def _holds(line: _Line, marker: str, environment: Mapping[str, str]) -> bool:
    try:
        return not marker or Marker(marker).evaluate(environment)
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
        raise line.invalid("has a marker that means nothing", _MARKER_HINT) from None


def _parse(line: _Line, head: str) -> tuple[pep508.Requirement, str]:
    """The requirement, and the URL or path of what to install where it says one."""
    bare = re.fullmatch(r"(.+?)\s*(\[[^\[\]]*\])?", head)
    place, extras = bare.groups("") if bare else ("", "")
    if _NAMED.match(head) or not _BARE.match(place):
        place = ""
    elif place.lower().endswith(".txt") and not _URL.match(place):
        raise line.invalid("names a file of requirements", "write -r before it")
    else:
        head = f"{_wheel_name(line, place) or _UNNAMED}{extras} @ place"
    try:
        parsed = pep508.Requirement(head)
    except pep508.InvalidRequirement:
        raise line.invalid("is not a requirement", _mistake(_mask_url(line.written))) from None
    return parsed, place or parsed.url or ""


def _mistake(written: str) -> str:
    """A hint for what is probably meant."""
    matches = ((re.match(pattern, written), hint) for pattern, hint in _MISTAKES)
    return next(match.expand(hint) for match, hint in matches if match)


def _wheel_name(line: _Line, place: str) -> str | None:
    """The project of the wheel at this URL or path; None where there is something else."""
    wheel = _WHEEL.fullmatch(place)
    if wheel is None or _VCS.match(place):
        return None
    try:
        return parse_wheel_filename(unquote(wheel["file"]) if _URL.match(place) else wheel["file"])[0]
    except InvalidWheelFilename:
        hint = "a wheel is called name-version-python-abi-platform.whl, as in six-1.17.0-py2.py3-none-any.whl"
        raise line.invalid("does not have the file name of a wheel", hint) from None


def file_path(url: str) -> str:
    """The path in a file URL (RFC 8089), with the host of a Windows share."""
    from urllib.request import url2pathname  # noqa: PLC0415 - it brings all of HTTP along

    path, host = url[len("file:") :], ""
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
    return ("" if host in {"", "localhost"} else f"//{host}") + url2pathname(path)


def _repository(line: _Line, text: str) -> str:
    """The URL of a git repository with its reference, as PEP 440 writes it."""
    if _SCP.fullmatch(text):
        raise line.invalid("is how git alone writes it", _GIT_HINT)
    if _REPOSITORY.fullmatch(text):
        return f"git{text[3:]}"
    raise line.source("is of a kind that cannot be fetched: of version control systems, only git")


def _inside(line: _Line, subdirectory: str) -> str | None:
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
            what = source.name or _mask_url(source.url)
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
