from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_bundle.positions import KeyPath, Position, locate, nearest

ROWS: dict[str, tuple[str, dict[KeyPath, Position]]] = {
    "nothing": ("", {}),
    "blanks and comments": (" \n# [a]\n\t# b = 1", {}),
    "a key": ("a = 1", {("a",): (1, 1)}),
    "no blanks": ("a=1\nb=2", {("a",): (1, 1), ("b",): (2, 1)}),
    "indented": ("\n  a = 1 # b = 2\n\tc = 3\n", {("a",): (2, 3), ("c",): (3, 2)}),
    "CRLF": ("# x\r\na = 1\r\n[t]\r\nb = [\r\n2]\r\n", {
        ("a",): (2, 1), ("t",): (3, 2), ("t", "b"): (4, 1), ("t", "b", 0): (5, 1),
    }),
    "header": ("[functions.api]\nruntime = 'x'", {
        ("functions",): (1, 2), ("functions", "api"): (1, 12), ("functions", "api", "runtime"): (2, 1),
    }),
    "blanks in a header": ("[ a .\t'b' ] # ]\nc = 1", {
        ("a",): (1, 3), ("a", "b"): (1, 7), ("a", "b", "c"): (2, 1),
    }),
    "first mention wins": ("[a.b]\n[a.c]\n[a]\nd = 1", {
        ("a",): (1, 2), ("a", "b"): (1, 4), ("a", "c"): (2, 4), ("a", "d"): (4, 1),
    }),
    "headers out of order": ("[a.x]\n[b]\ny = 1\n[a.z]\nw = 2", {
        ("a",): (1, 2), ("a", "x"): (1, 4), ("b",): (2, 2), ("b", "y"): (3, 1), ("a", "z"): (4, 4),
        ("a", "z", "w"): (5, 1),
    }),
    "dotted keys": ("hooks.before = 1\nhooks . after = 2", {
        ("hooks",): (1, 1), ("hooks", "before"): (1, 7), ("hooks", "after"): (2, 9),
    }),
    "header below a dotted key": ("[a]\nb.c = 1\n[a.b.d]\ne = 2", {
        ("a",): (1, 2), ("a", "b"): (2, 1), ("a", "b", "c"): (2, 3), ("a", "b", "d"): (3, 6),
        ("a", "b", "d", "e"): (4, 1),
    }),
    "keys that look like numbers": ("3.14 = 1\n1979-05-27 = 2", {
        ("3",): (1, 1), ("3", "14"): (1, 3), ("1979-05-27",): (2, 1),
    }),
    "quoted keys": ('"a.b".\'x"\'."]" = 1\n"\\u00e9\\"" = 2\n\'\\\' = 3\n"" = 4', {
        ("a.b",): (1, 1), ("a.b", 'x"'): (1, 7), ("a.b", 'x"', "]"): (1, 12), ('é"',): (2, 1),
        ("\\",): (3, 1), ("",): (4, 1),
    }),
    "one key in three spellings": ("[b.x]\n['b'.y]\n[\"\\u0062\"]\nz = 1", {
        ("b",): (1, 2), ("b", "x"): (1, 4), ("b", "y"): (2, 6), ("b", "z"): (4, 1),
    }),
    "keys of TOML 1.1": ('"\\e" = 1\n"\\x41" = 2', {("\x1b",): (1, 1), ("A",): (2, 1)}),
    "columns are characters": ("'é🐍' = {a = 1}", {("é🐍",): (1, 1), ("é🐍", "a"): (1, 9)}),
    "array": ('tags = ["a",\n "b"]', {("tags",): (1, 1), ("tags", 0): (1, 9), ("tags", 1): (2, 2)}),
    "array with comments": ("a = [ # ]\n1 # , 2\n, # 3\n 4, # ]\n] # 5\nb = []", {
        ("a",): (1, 1), ("a", 0): (2, 1), ("a", 1): (4, 2), ("b",): (6, 1),
    }),
    "array of arrays": ("a = [[1],[[ ], 2]]\n[b]", {
        ("a",): (1, 1), ("a", 0): (1, 6), ("a", 0, 0): (1, 7), ("a", 1): (1, 10), ("a", 1, 0): (1, 11),
        ("a", 1, 1): (1, 16), ("b",): (2, 2),
    }),
    "inline table": ('hooks = { before = ["x"], a.b = {} }\nc = 1', {
        ("hooks",): (1, 1), ("hooks", "before"): (1, 11), ("hooks", "before", 0): (1, 21),
        ("hooks", "a"): (1, 27), ("hooks", "a", "b"): (1, 29), ("c",): (2, 1),
    }),
    "inline table of TOML 1.1": ("a = { # }\n b = 1, # c = 2\n\n d.e = 3,\n}\nf = 4", {
        ("a",): (1, 1), ("a", "b"): (2, 2), ("a", "d"): (4, 2), ("a", "d", "e"): (4, 4), ("f",): (6, 1),
    }),
    "inline tables in an array": ("a = [{b = 1}, {b = 2}]", {
        ("a",): (1, 1), ("a", 0): (1, 6), ("a", 0, "b"): (1, 7), ("a", 1): (1, 15), ("a", 1, "b"): (1, 16),
    }),
    "array of tables": ("[[o]]\na = 1\n[o.h]\nb = 2\n [[o]]\n[o.h]\n[[o]]", {
        ("o",): (1, 3), ("o", 0): (1, 1), ("o", 0, "a"): (2, 1), ("o", 0, "h"): (3, 4),
        ("o", 0, "h", "b"): (4, 1), ("o", 1): (5, 2), ("o", 1, "h"): (6, 4), ("o", 2): (7, 1),
    }),
    "nested arrays of tables": ("[[a.b]]\n[[a.b.c]]\n[[a.b.c]]\n[a.b.c.d]\n[[a.b]]\n[[a.b.c]]\ne = 1", {
        ("a",): (1, 3), ("a", "b"): (1, 5), ("a", "b", 0): (1, 1), ("a", "b", 0, "c"): (2, 7),
        ("a", "b", 0, "c", 0): (2, 1), ("a", "b", 0, "c", 1): (3, 1), ("a", "b", 0, "c", 1, "d"): (4, 8),
        ("a", "b", 1): (5, 1), ("a", "b", 1, "c"): (6, 7), ("a", "b", 1, "c", 0): (6, 1),
        ("a", "b", 1, "c", 0, "e"): (7, 1),
    }),
}  # fmt: skip

SCALARS = [
    *("true", "-1_000", "0xdead_beef", "0o17", "0b01", "+1.5e-3", "inf", "-inf", "nan", "+nan"),
    *("1979-05-27T07:32:00Z", "1979-05-27 07:32:00.5-07:00", "1979-05-27", "07:32:00", "07:32"),
    *('""', r'"\""', r'"\\"', r'"\e\x41\u00e9\U0001F40D"', '"# [x] = "', '"],}"', "\"'''\""),
    *("''", r"'\'", "'# [x] = '", "'],}'", '\'"""\''),
    *('""""""', '"""""two"""""', '""""one""""', '""""""""', '"""# [x] = "" \n[y]\nz = """'),
    *(r'"""\""""', r'"""\\"""', r'"""a"\""""""', '"""a\\\r\n  \\\n"""', '"""\'\'\'"""'),
    *("''''''", "'''''two'''''", "''''one''''", "''''''''", "'''# [x] = '' \n[y]\nz = '''"),
    *(r"'''\'''", "'''\"\"\"'''", "'''\r\n'''"),
]
AROUND = ["{}", "{} # ']", "[{},7]", "[7,{}\r\n,]", "[[7],[{}] ]", "{{x={}}}", "{{x={} }}"]


@pytest.mark.parametrize(("text", "expected"), ROWS.values(), ids=ROWS)
def test_rows(text: str, expected: dict[KeyPath, Position]) -> None:
    assert locate(text) == expected
    assert set(expected) == paths(tomli.loads(text))


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("around", AROUND)
def test_every_kind_of_value_ends_where_it_ends(scalar: str, around: str) -> None:
    text = f"a = {around.format(scalar)}\nend = 1"
    positions = locate(text)
    assert set(positions) == paths(tomli.loads(text))
    assert positions["end",] == position(text[: text.rindex("end")])


def test_deep_nesting() -> None:
    depth = 200
    arrays, tables, dots = "[" * depth + "]" * depth, "{a=" * depth + "1" + "}" * depth, "a." * depth + "a"
    assert len(locate(f"x = {arrays}\ny = {tables}\n{dots} = 1")) == depth + depth + 1 + depth + 1


def test_what_is_not_toml_is_refused() -> None:
    with pytest.raises(tomli.TOMLDecodeError):
        locate("a = [")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), (1, 2)),
        (("a", "b"), (2, 1)),
        (("a", "b", 1), (2, 9)),
        (("a", "b", 2), (2, 1)),
        (("a", "c"), (1, 2)),
        (("a", "c", 0, "d"), (1, 2)),
        (("x", "a"), None),
        ((), None),
    ],
)
def test_nearest(path: KeyPath, expected: Position | None) -> None:
    assert nearest(locate("[a]\nb = [1, 2]"), path) == expected


def paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Every path of the parsed data, without the root's."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    children = {(*path, part): child for part, child in items}
    return set(children).union(*(paths(child, here) for here, child in children.items()))


def position(before: str) -> Position:
    """The place right behind a text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def spellings(text: str, *, key: bool) -> list[str]:
    """Every way to write the text as a key, or as a value."""
    ways = [basic(text)]
    if not set("'\r\n") & set(text):
        ways.append(f"'{text}'")
    if key:
        return [*ways, *re.findall(r"\A[A-Za-z0-9_-]+\Z", text)]
    if not ("'''" in text or "\r" in text):
        ways.append(f"'''\n{text}'''")
    long = text.replace("\\", r"\\").replace("\r", r"\r").replace('"""', r'""\"')
    return [*ways, f'"""{long}"""']


TRICKY = st.text(st.sampled_from("\"\"''\\#[]{}=,. \t\r\nab1-é🐍"), max_size=6)
NAMES = st.sampled_from("ab") | TRICKY
BLANKS = ["", "", " ", "\t"]
LINE_ENDS = ["\n", "\r\n", " # [x] = '''\n", '\t#"""\r\n\n']


@dataclass
class Writer:
    """Writes a document of drawn parts, and notes where it first mentions each path."""

    draw: st.DrawFn
    text: str = ""
    mentions: dict[KeyPath, Position] = field(default_factory=dict)

    def write(self, *choices: str) -> None:
        self.text += self.draw(st.sampled_from(choices))

    def mention(self, path: KeyPath) -> None:
        self.mentions.setdefault(path, position(self.text))

    def names(self) -> list[str]:
        return self.draw(st.lists(NAMES, max_size=3, unique=True))

    def key(self, path: KeyPath, start: int) -> None:
        """Write the path's keys from the start-th on, dotted."""
        for end in range(start + 1, len(path) + 1):
            name = path[end - 1]
            if isinstance(name, str):
                self.mention(path[:end])
                self.write(*spellings(name, key=True))
                self.write(*BLANKS)
                self.text += "." if any(isinstance(more, str) for more in path[end:]) else ""
                self.write(*BLANKS)

    def leaves(self, names: list[str], depth: int) -> list[KeyPath]:
        """Keys of one table, some of them dotted."""
        leaves: list[KeyPath] = []
        for name in names:
            deeper = self.leaves(self.names(), depth - 1) if depth and self.draw(st.booleans()) else []
            leaves += [(name, *leaf) for leaf in deeper] or [(name,)]
        return self.draw(st.permutations(leaves))

    def pair(self, table: KeyPath, leaf: KeyPath, depth: int) -> None:
        self.key((*table, *leaf), len(table))
        self.write("=")
        self.write(*BLANKS)
        self.value((*table, *leaf), depth)

    def value(self, path: KeyPath, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar", "text", "array", "table"][: 4 if depth else 2]))
        if kind == "scalar":
            self.write(*SCALARS)
        elif kind == "text":
            self.write(*spellings(self.draw(TRICKY), key=False))
        elif kind == "array":
            self.array(path, depth - 1)
        else:
            self.inline_table(path, depth - 1)

    def array(self, path: KeyPath, depth: int) -> None:
        self.text += "["
        size = self.draw(st.integers(0, 3))
        for index in range(size):
            self.write(*BLANKS, *LINE_ENDS)
            self.mention((*path, index))
            self.value((*path, index), depth)
            self.comma(last=index == size - 1)
        self.write(*BLANKS, *LINE_ENDS)
        self.text += "]"

    def inline_table(self, path: KeyPath, depth: int) -> None:
        self.text += "{"
        leaves = self.leaves(self.names(), depth)
        for index, leaf in enumerate(leaves):
            self.write(*BLANKS, *LINE_ENDS)
            self.pair(path, leaf, depth)
            self.comma(last=index == len(leaves) - 1)
        self.write(*BLANKS, *LINE_ENDS)
        self.text += "}"

    def comma(self, *, last: bool) -> None:
        self.write(*BLANKS, *LINE_ENDS)
        self.write(",", "" if last else ",")

    def header(self, path: KeyPath) -> None:
        """Write `[path]`, or `[[path]]` for an element of an array of tables."""
        element = isinstance(path[-1], int)
        self.write(*BLANKS)
        if element:
            self.mention(path)
        self.text += "[[" if element else "["
        self.write(*BLANKS)
        self.key(path, 0)
        self.text += "]]" if element else "]"
        self.write(*LINE_ENDS)

    def body(self, path: KeyPath, names: list[str], depth: int) -> None:
        for leaf in self.leaves(names, depth):
            self.write(*BLANKS, *LINE_ENDS)
            self.pair(path, leaf, depth)
            self.write(*LINE_ENDS)

    def table(self, path: KeyPath, depth: int) -> None:
        """Write a table: its header, perhaps left out or behind those of its tables, and what is in it."""
        names = self.names()
        split = self.draw(st.integers(0, len(names))) if depth else len(names)
        own, tables = names[:split], names[split:]
        late = path != () and isinstance(path[-1], str) and self.draw(st.booleans())
        if path and not late:
            self.header(path)
        if not late:
            self.body(path, own, depth)
        for name in tables:
            self.tables((*path, name), depth - 1)
        if late and (own or not tables or self.draw(st.booleans())):
            self.header(path)
            self.body(path, own, depth)

    def tables(self, path: KeyPath, depth: int) -> None:
        """Write one table, or an array of them."""
        size = self.draw(st.integers(0, 2))
        for index in range(size):
            self.table((*path, index), depth)
        if not size:
            self.table(path, depth)


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    writer.table((), 3)
    writer.write("", " ", "# the end")
    return writer


@given(documents())
@settings(deadline=None)
def test_every_path_of_the_data_has_a_position_and_no_other(document: Writer) -> None:
    assert set(locate(document.text)) == paths(tomli.loads(document.text))


@given(documents())
@settings(deadline=None)
def test_a_position_is_the_first_mention(document: Writer) -> None:
    assert locate(document.text) == document.mentions


@given(documents())
@settings(deadline=None)
def test_at_the_position_stands_the_key_or_the_element(document: Writer) -> None:
    lines = document.text.split("\n")
    data: Any = tomli.loads(document.text)
    for path, (line, column) in locate(document.text).items():
        here = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert here.startswith(tuple(beginnings(data, path))), path


def beginnings(data: Any, path: KeyPath) -> list[str]:
    """What the text may begin with where the path is written."""
    for part in path:
        data = data[part]
    if isinstance(path[-1], str):
        return spellings(path[-1], key=True)
    if isinstance(data, dict):
        return ["{", "[["]
    if isinstance(data, list):
        return ["["]
    return ['"', "'"] if isinstance(data, str) else [*"+-0123456789", "inf", "nan", "true"]


@given(documents(), NAMES | st.integers(0))
@settings(deadline=None)
def test_what_is_missing_is_nearest_to_its_table(document: Writer, missing: str | int) -> None:
    positions = locate(document.text)
    for path, place in positions.items():
        assert nearest(positions, path) == place
        assert (*path, missing) in positions or nearest(positions, (*path, missing, "x")) == place
