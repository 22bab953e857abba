"""The lines of requirements.txt, and the options in them; what is wrong with a line is worded here.

The rules are those of pip's page "Requirements File Format"
(https://pip.pypa.io/en/stable/reference/requirements-file-format/).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.process import mask

_COMMENT = re.compile(r"(^|\s+)#.*$")
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_QUERY = re.compile(r"(?<=\?)[^\s#]+")
"""The query of a URL: signed ones have a key there, by whatever name."""
_WORD = re.compile(r"""[^\s@/\\"']+""")
"""What stands between the characters at which the parts of a URL end, except those within user:password."""

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
OF_ONE = ("--hash", "--config-settings", "--global-option", "--install-option")
"""The options of a single requirement."""
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

ADDRESS_HINT = "write git+https://host/path@reference"
_SOURCE_HINT = "name a folder, a source archive or a git repository (git+https://…), or a wheel of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
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
        return f'"{mask_url(" ".join(self.written.split())).split(" -")[0]}"'

    def invalid(self, why: str, hint: str | None = None) -> BundleError:
        """The error that says why the line means nothing."""
        return error_at(Code.INVALID_REQUIREMENT, f"{self.quoted} {why}", self.where, hint)

    def source(self, why: str, hint: str = _SOURCE_HINT) -> BundleError:
        """The error that says why what the line names cannot be built."""
        return error_at(Code.SOURCE_REQUIREMENT, f"{self.quoted} {why}", self.where, hint)


def error_at(code: Code, message: str, where: Where, hint: str | None = None) -> BundleError:
    """The error of one problem at this place."""
    return BundleError(Problem(code=code, message=message, where=where, hint=hint))


def mask_url(text: str) -> str:
    """The text without the credentials and queries of its URLs, variables or not, and of what may be one.

    `mask` does for output of commands: there, a name with a colon most often is no user with a password.
    """
    return _WORD.sub(_without_pair, mask(_QUERY.sub("****", text)))


def loose_passwords(text: str) -> Iterator[str]:
    """The passwords in what may be a URL without its scheme, or with half of one."""
    return (pair[1] for word in _WORD.finditer(text) if (pair := _pair(word)) is not None)


def _pair(word: re.Match[str]) -> tuple[str, str] | None:
    """User and password that end here, as in git+me:password@host; None where nothing looks like that."""
    user, _, password = word[0].partition(":")
    return (user, password) if user and password and word.string.startswith("@", word.end()) else None


def _without_pair(word: re.Match[str]) -> str:
    pair = _pair(word)
    if pair is None:
        return word[0]
    return pair[0][: 1 + max(map(pair[0].rfind, "+=("))] + "****"


def address_faults(url: str) -> Iterator[tuple[str, str]]:
    """What no backend could understand of the address of an index, each with a hint; it is not named."""
    if url.partition("://")[0].lower() not in {"https", "http", "file"}:
        yield "is no address of an index", "it begins with https://, http:// or file://"
    try:
        _ = urlsplit(url).port
    except ValueError:  # it may be the beginning of a password with a slash in it
        yield (
            "cannot be understood as an address",
            "a port is a number; passwords have %40 for @, %2F for /, %3A for :, %23 for # and %3F for ?",
        )


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
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


def split_options(line: Line, text: str) -> Iterator[tuple[str, str]]:
    """Each option's full name, and its value or an empty one; `text` begins with the first.

    Raises `BundleError` for the first that is wrong, once it is reached.
    """
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
        elif name in (*OF_ONE, *_OF_ALL):
            value = value if equals else next(words, "")
            if not value:
                raise line.invalid(f"lacks the value of {spelled}")
            yield name, value
        else:
            raise _unknown(line, word)


def _unknown(line: Line, word: str) -> BundleError:
    match = re.match(r"-+[\w-]*", word)  # not the rest of it, which may be a secret
    if match is None:
        return line.invalid(
            "goes on after its options", "a marker stands before them; quote a path with spaces"
        )
    name = match[0]
    if name in _FLAGS:
        return line.invalid(f"gives a value to {name}, which takes none")
    hint = _REFUSED.get(name) or did_you_mean(name, (*_FLAGS, *OF_ONE, *_OF_ALL, *_ALIASES))
    return line.invalid(f"has the option {name}, which is not supported in a requirements file", hint)


def hash_options(line: Line, options: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The hashes among the options of a requirement, as "sha256:…".

    Raises `BundleError` for an option that no requirement has, and for a hash that is none.
    """
    found = tuple(options)
    for name, _ in found:
        if name not in OF_ONE:
            raise line.invalid(f"has the option {name} behind it", "give the option a line of its own")
    return tuple(checked_hash(line, value) for name, value in found if name == "--hash")


def checked_hash(line: Line, text: str) -> str:
    """The hash in lower case, as "sha256:…". Raises `BundleError` where it is none of the three kinds."""
    if not _HASH.fullmatch(text.lower()):
        hint = "it is sha256, sha384 or sha512, a colon, and the whole digest in hexadecimal digits"
        raise line.invalid("has a hash that is not one", hint)
    return text.lower()
