"""What is wrong with a text that is not TOML (https://toml.io/en/v1.0.0), in words that say what to do."""

from __future__ import annotations

import re
from ast import literal_eval

_TWICE = "keep one of the two"
_SAID = (
    (
        r"Cannot (?:declare|redefine namespace) (?P<key>\(.+\))",
        "[{key}] is there already, or what it is in",
        _TWICE,
    ),
    (r"Cannot overwrite a value|Duplicate inline table key", "this has a value already", _TWICE),
    (
        r"Cannot mutate immutable namespace",
        "a table in braces, or a list in brackets, is complete: nothing can be added to it",
        "write all of it in one place",
    ),
    (r"Invalid value", "this is no value", 'strings need quotes: "…"; true and false have no capitals'),
    (r"Illegal character '\\n'", "the string does not end in its line", 'close it with a "'),
    (r"Illegal character (?P<key>.+)", "no string can hold {key}", "write it as an escape, such as \\u0000"),
    (r"Unescaped", "no escape begins like this", "write two backslashes, or the string in '…'"),
    (r"Invalid hex value|Escaped character", "this escape stands for no character", None),
    (r"Unclosed inline table", "the table in braces is not closed", "write { key = value, other = value }"),
    (r"Unclosed array", "the list is not closed", "separate its values with commas, and end it with ]"),
    (r"Unterminated string|Expected \"'", "the string is not closed", "end it as it begins"),
    (r"Expected '\]", "the header is not closed", "a header stands alone in its line: [functions.NAME]"),
    (r"Expected '='", "no = follows the key", "write key = value; a header stands in [brackets]"),
    (r"Expected newline", "something follows the value", "write one key in a line, and lists in [brackets]"),
    (r"Invalid initial character", "no key begins like this", "names with signs besides - and _ need quotes"),
    (r"Invalid statement", "this is neither key nor header", "write key = value, or [header]"),
    (r"Found invalid character", "a comment holds a control character", "remove it"),
    (r"Invalid date", "there is no such date", 'strings need quotes: "…"'),
)
"""What tomli says, what that means, and what to do about it."""


def explain(said: str) -> tuple[str, str | None]:
    """What a message of tomli means, and a hint."""
    for pattern, message, hint in _SAID:
        if match := re.match(pattern, said):
            return message.format(key=_dotted(match.groupdict().get("key", ""))), hint
    return "this is not TOML", None


def _dotted(key: str) -> str:
    """A key as TOML has it, where tomli shows a tuple."""
    parts = literal_eval(key) if key.startswith("(") else None
    return key if parts is None else ".".join(parts)
