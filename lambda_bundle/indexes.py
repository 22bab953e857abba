"""`[index]` of `bundles.toml`: where packages come from, with credentials only by way of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from lambda_bundle.errors import BundleError, Code, Problem, Where, did_you_mean
from lambda_bundle.findings import Findings, Table
from lambda_bundle.positions import KeyPath

ADDRESSES = ("url", "extra", "links")
"""The keys of `[index]`."""
_SCHEMES = ("https", "http", "file")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
"""As in requirements files: https://pip.pypa.io/en/stable/reference/requirements-file-format/."""
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")  # one letter is a drive
_USERINFO = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]+://)(?P<userinfo>[^/?#]*)@")
_TOKEN = 20
"""Characters from which on a user's name without a password is taken for a secret."""
_TELLING = re.compile("TOKEN|PASS|SECRET|KEY|AUTH|CRED|SIG|PWD")
_ESCAPED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FROM_ENVIRONMENT = "write ${VARIABLE} in its place, and set that; or use netrc or a keyring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address as it is written: variables in it are not filled in, so it holds no secret."""

    text: str
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What `[index]` says; it holds for every function and layer, with both backends."""

    url: Address | None = None
    """In place of the index that the backend would ask."""
    extra: tuple[Address, ...] = ()
    """Indexes besides that one."""
    links: tuple[Address, ...] = ()
    """Folders with wheels, relative to `bundles.toml`, or URLs of pages that link to wheels."""


NO_INDEX = Index()
"""What holds where there is no `[index]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses with their variables filled in: they may hold credentials."""

    url: str | None
    extra: tuple[str, ...]
    links: tuple[str, ...]
    """URLs, and absolute paths."""
    secrets: frozenset[str]
    """What came from variables, in every form in which it stands somewhere."""


def _gather(table: Table, findings: Findings) -> Index:

    def address(*key: str | int) -> Address:
        value = table[str(key[0])]
        text = value[key[1]] if len(key) > 1 else value
        return Address(text=text, where=findings.where(("index", *key)))

    return Index(
        url=address("url") if "url" in table else None,
        extra=tuple(address("extra", number) for number, _ in enumerate(table.get("extra", ()))),
        links=tuple(address("links", number) for number, _ in enumerate(table.get("links", ()))),
    )


def check(table: Table, findings: Findings) -> Index:
    """Look at the addresses of `[index]`, and give them if they are all in order.

    No message shows one: it may hold a password.
    """
    for name in ADDRESSES:
        value = table.get(name)
        elements = enumerate(value) if isinstance(value, list) else ()
        found: Iterable[tuple[KeyPath, object]] = [((name, number), text) for number, text in elements]
        for key, text in [((name,), value)] if isinstance(value, str) else found:
            place = ("index", *key)
            if isinstance(text, str) and not findings.faulty & {place, ("index", name)}:
                for message, hint in _faults(text, path=name == "links"):
                    findings.add(place, Code.INVALID_VALUE, message, hint)
    return NO_INDEX if findings else _gather(table, findings)


def check_variable(name: str, value: str) -> tuple[str, str] | None:
    """What is wrong with a variable of `env` that configures a backend, and the hint; None: nothing."""
    if not name.startswith(("UV_", "PIP_")):
        return None
    if (name.endswith("_PASSWORD") and value) or any(_secret_userinfo(one) for one in _userinfos(value)):
        return "a password must not stand in this file", "set the variable in the environment instead"
    return None


def _faults(text: str, *, path: bool) -> Iterator[tuple[str, str | None]]:
    if not text or any(char.isspace() or not char.isprintable() for char in text if char != " " or not path):
        yield "must not be empty, and must hold no blank and no control character", None
        return
    rest = _VARIABLE.sub("", text)
    if "$" in rest:
        yield "a variable is written ${NAME}, with capital letters, digits and _", None
    if any(map(_secret_userinfo, _userinfos(text))):
        yield "a password must not stand in this file", _FROM_ENVIRONMENT
    elif any("=" in one and one.partition("=")[2] for one in rest.partition("?")[2].split("&")):
        yield "a query must not stand in this file: it may hold a secret", _FROM_ENVIRONMENT
    scheme = _SCHEME.match(text)
    if scheme and scheme["scheme"].lower() not in _SCHEMES:
        near = did_you_mean(scheme["scheme"], _SCHEMES)
        yield "must be an address that begins with https://, http:// or file:", near
    elif not scheme and not path and not _VARIABLE.match(text):
        yield "must be an address that begins with https://, http:// or file:", "folders belong into `links`"


def _userinfos(text: str) -> Iterator[str]:
    """What stands between // and @ of every URL; a password may hold what should have been escaped."""
    for part in re.split(r"[\s,]+", text):
        _, slashes, rest = part.partition("//")
        if slashes and "@" in rest:
            yield rest.rpartition("@")[0]


def _secret_userinfo(userinfo: str) -> bool:
    """Whether anything but a variable stands behind the colon, or before one that nothing follows."""
    user, colon, password = userinfo.partition(":")
    return bool(_VARIABLE.sub("", password)) or bool(colon and not password and _VARIABLE.sub("", user))


def expand(index: Index, root: Path, environ: Mapping[str, str]) -> Addresses:
    """Fill in the variables. Raises `BundleError` for each that is not set or cannot stand in an address."""
    problems: list[Problem] = []
    secrets: set[str] = set()

    def fill(address: Address) -> str:
        secrets.update(secret_values(address.text, environ))
        userinfo = _USERINFO.match(address.text)
        text = address.text
        if userinfo:
            text = text[userinfo.end("userinfo") :]
        filled = _VARIABLE.sub(lambda match: value(match[1], address.where), text)
        if userinfo:
            credentials = _VARIABLE.sub(
                lambda match: _escaped(value(match[1], address.where)), userinfo["userinfo"]
            )
            filled = f"{userinfo['before']}{credentials}{filled}"
        secrets.update(passwords(filled))
        return filled

    def value(name: str, where: Where) -> str:
        found = environ.get(name, "")
        if not found:
            problems.append(_unset(name, where))
        elif any(char.isspace() or not char.isprintable() for char in found):
            problems.append(_unusable(name, where))
        return found

    url = fill(index.url) if index.url else None
    extra = tuple(map(fill, index.extra))
    links = tuple(_place(fill(one), root) for one in index.links)
    if not problems:
        problems += [
            _missing(one.where)
            for one, place in zip(index.links, links, strict=True)
            if os.path.isabs(place) and not os.path.lexists(place)  # noqa: PTH117 - no Path for a URL
        ]
    if problems:
        raise BundleError(*dict.fromkeys(problems))
    return Addresses(url=url, extra=extra, links=links, secrets=frozenset(filter(None, secrets)))


def secret_values(text: str, environ: Mapping[str, str]) -> frozenset[str]:
    """What variables in addresses hold that is secret, in every form in which it may stand somewhere.

    That is everything before an @ and in a query; elsewhere the name of the variable must say it: a host or a
    path tells one index from another, and must not be masked.
    """
    names = set[str]()
    for word in text.split():
        rest = word.partition("//")[2]
        inside = rest.rpartition("@")[0] + word.partition("?")[2]
        names.update(_VARIABLE.findall(inside))
        names.update(name for name in _VARIABLE.findall(word) if _TELLING.search(name))
    values = {environ.get(name, "") for name in names}
    plain = {value for value in values if value and "://" not in value}  # of an address, the password is
    return frozenset(form for value in plain for form in (value, _escaped(value), unquote(value)))


def _escaped(value: str) -> str:
    """A value as it can stand before the @ of a URL; what is escaped already stays as it is."""
    return quote(_ESCAPED.sub("%25", value), safe="%!$&'()*+,;=~")


def passwords(text: str) -> Iterator[str]:
    """The passwords of the URLs in a text, as they stand there and unescaped; a name alone may be a token."""
    for userinfo in _userinfos(text):
        name, colon, password = userinfo.partition(":")
        secret = password or name
        if secret and (password or colon or len(name) >= _TOKEN):
            yield from (secret, unquote(secret))


def _place(text: str, root: Path) -> str:
    """A URL as it is, and a path made absolute."""
    if _SCHEME.match(text):
        return text
    return os.path.normpath(root / text.replace("\\", "/"))


def _unset(name: str, where: Where) -> Problem:
    return Problem(
        code=Code.VARIABLE_MISSING,
        message=f"the environment variable {name} is not set, or empty",
        where=where,
        hint=f"set {name} where the command runs; on CI, see that the job may read the secret",
    )


def _unusable(name: str, where: Where) -> Problem:
    return Problem(
        code=Code.VARIABLE_MISSING,
        message=f"the value of {name} holds a blank, a line break or a control character",
        where=where,
        hint="set it again without: a file that ends with a line break is the usual reason",
    )


def _missing(where: Where) -> Problem:
    return Problem(
        code=Code.REQUIREMENTS_MISSING,
        message="the folder with wheels does not exist",
        where=where,
        hint="paths are relative to the folder of bundles.toml",
    )
