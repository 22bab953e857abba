"""What a condition is on the target, where the version or the system decides it: nothing is executed."""

from __future__ import annotations

import ast
from typing import Any

from lambda_bundle.targets import Target


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a name with attributes; empty for everything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def answer(test: ast.expr, target: Target) -> bool | None:
    """What a condition is on the target; None when that depends on more than the target."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp | ast.BoolOp):
        return _combined(test, target)
    if dotted(test).rpartition(".")[2] == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compare(test, target)
    if isinstance(test, ast.Call) and dotted(test.func) == "sys.platform.startswith" and len(test.args) == 1:
        prefix = test.args[0]
        return "linux".startswith(str(prefix.value)) if isinstance(prefix, ast.Constant) else None
    return None


def _combined(test: ast.UnaryOp | ast.BoolOp, target: Target) -> bool | None:
    if isinstance(test, ast.UnaryOp):
        found = answer(test.operand, target) if isinstance(test.op, ast.Not) else None
        return None if found is None else not found
    answers = [answer(value, target) for value in test.values]
    decisive = isinstance(test.op, ast.Or)
    if decisive in answers:
        return decisive
    return None if None in answers else not decisive


def _compare(test: ast.Compare, target: Target) -> bool | None:
    try:
        left, right = (_value(side, target) for side in (test.left, test.comparators[0]))
    except LookupError:
        return None
    op = test.ops[0]
    if isinstance(left, tuple) != isinstance(right, tuple):
        return None
    try:
        if isinstance(op, ast.Eq | ast.NotEq):
            return bool((left == right) == isinstance(op, ast.Eq))
        if isinstance(op, ast.GtE | ast.Lt):
            return bool((left >= right) == isinstance(op, ast.GtE))
        if isinstance(op, ast.Gt | ast.LtE):
            return bool((left > right) == isinstance(op, ast.Gt))
    except TypeError:
        pass
    return None


def _value(node: ast.expr, target: Target) -> Any:
    """The value of a side of a comparison. Raises `LookupError` where only a run can tell."""
    version = (*map(int, target.full_version.split(".")), "final", 0)
    known: dict[str, Any] = {
        "sys.version_info": version,
        "sys.version_info.major": version[0],
        "sys.version_info.minor": version[1],
        "sys.platform": "linux",
        "os.name": "posix",
        "platform.system()": "Linux",
        "__name__": "a module",
    }
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_value(one, target) for one in node.elts)
    if isinstance(node, ast.Subscript) and dotted(node.value) == "sys.version_info":
        text = ast.unparse(node.slice)
        parts = {"0": version[0], "1": version[1], ":1": version[:1], ":2": version[:2], ":3": version[:3]}
        return parts[text]
    text = f"{dotted(node.func)}()" if isinstance(node, ast.Call) and not node.args else dotted(node)
    return known[text]
