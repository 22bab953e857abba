"""One requirement as it is written: its marker, its name, and the URL or path of what to install.

The rules are those of PEP 508 and of pip's page "Requirement Specifiers"
(https://pip.pypa.io/en/stable/reference/requirement-specifiers/). Nothing is looked up: no file, no index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from packaging import requirements as pep508
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from lambda_bundle.errors import BundleError
from lambda_bundle.reqlines import Line, mask_url

URL = re.compile(r"file:|(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # one letter is a drive
"""Where a URL begins; `scheme` is missing in that of a file."""
VCS = re.compile(r"[a-z]+\+[a-z]+:|(?:git|hg|svn|bzr)\+", re.IGNORECASE)
"""Where the URL of a repository begins, such as git+https:, or what was meant to be one."""
_NAMED = re.compile(r"[a-z0-9][a-z0-9._-]*\s*(\[[^\]]*\])?\s*@", re.IGNORECASE)
_BARE = re.compile(
    r"file:|[./\\~]|[^<>=!~]*[/\\]|.*\.(whl|zip|tar|tar\.\w+|tgz|tbz|txz|tlz|txt)$", re.IGNORECASE
)
_WHEEL = re.compile(r"(?P<base>.*?(?P<file>[^/\\]*\.whl))(\?[^#]*)?(?P<fragment>#.*)?", re.IGNORECASE)

UNNAMED = "unnamed"
"""Stands for the name of a project that has none in the line."""

_MISTAKES = (
    (r"pip3? +install +(.+)", r"only what follows belongs here: \1"),
    (r"([\w.-]+) *=([<>]) *([\w.]+)", r"did you mean \1\2=\3?"),
    (r"[\w.-]+[ =<>\"']*(?:\^|~(?!=))", "^ and ~ are no operators here: write name>=2.1,<3 or name~=2.1"),
    (r"([\w.-]+?)(?: *= *| +)[\"']?v?(\d[\w.*+!]*)", r"== pins a version: \1==\2"),
    (r"[^;]*[\w*] +[<>=!~]=? *\d", "a comma joins two conditions, as in name>=2,<3"),
    ("", "a requirement looks like name, name[extra]>=2,<3 or name @ URL of a wheel"),
)
_MARKER_HINT = 'a marker looks like this: name; python_version < "3.13" and sys_platform == "linux"'


def split_marker(text: str) -> tuple[str, str]:
    """The requirement and its marker; in a URL, only a semicolon with a space ends it (pip's rule)."""
    semicolon = r";\s+|\s+;|;$" if "://" in text else ";"
    head, *marker = re.split(semicolon, text, maxsplit=1)
    return head.strip(), "".join(marker).strip()


def holds(line: Line, marker: str, environment: Mapping[str, str]) -> bool:
    """Whether the marker, or none, holds in this environment. Raises `BundleError` where it means nothing."""
    try:
        return not marker or Marker(marker).evaluate(environment)
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
        raise line.invalid("has a marker that means nothing", _MARKER_HINT) from None


def parse(line: Line, head: str, *, editable: bool = False) -> tuple[pep508.Requirement, str]:
    """The requirement, and the URL or path of what to install; empty where it says none.

    `head` is a requirement without marker and options; what is `editable` is a place, and never a name on an
    index. Where nothing says a name, that is `UNNAMED`. Raises `BundleError` for what is no requirement.
    """
    bare = re.fullmatch(r"(.+?)\s*(\[[^\[\]]*\])?", head)
    place, extras = bare.groups("") if bare else ("", "")
    if _NAMED.match(head) or not (editable or _BARE.match(place)):
        place = ""
    elif place.lower().endswith(".txt") and not URL.match(place):
        raise line.invalid("names a file of requirements", "write -r before it")
    else:
        head = f"{wheel_name(line, place) or UNNAMED}{extras} @ place"
    try:
        parsed = _parsed(head)
    except pep508.InvalidRequirement:
        raise no_requirement(line) from None
    return parsed, place or parsed.url or ""


@lru_cache(4096)
def _parsed(head: str) -> pep508.Requirement:
    """Many functions ask for the same; nobody changes it."""
    return pep508.Requirement(head)


def wheel_at(place: str) -> re.Match[str] | None:
    """The URL or path of a wheel as `base` (without query) and `fragment`; None for anything else."""
    return None if VCS.match(place) else _WHEEL.fullmatch(place)


def wheel_name(line: Line, place: str) -> str | None:
    """The project of the wheel at this URL or path, normalized; None where there is something else.

    Raises `BundleError` for a file name that no wheel has.
    """
    wheel = wheel_at(place)
    if wheel is None:
        return None
    try:
        return parse_wheel_filename(unquote(wheel["file"]) if URL.match(place) else wheel["file"])[0]
    except InvalidWheelFilename:
        hint = "a wheel is called name-version-python-abi-platform.whl, as in six-1.17.0-py2.py3-none-any.whl"
        raise line.invalid("does not have the file name of a wheel", hint) from None


def no_requirement(line: Line) -> BundleError:
    """The error for a line that is no requirement, with a hint for what is probably meant."""
    return line.invalid("is not a requirement", _mistake(mask_url(line.written)))


def _mistake(written: str) -> str:
    matches = ((re.match(pattern, written), hint) for pattern, hint in _MISTAKES)
    return next(match.expand(hint) for match, hint in matches if match)
