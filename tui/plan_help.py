"""What each plan field means: the docstrings below the fields of `Plan`."""

from __future__ import annotations

import ast
import functools
import inspect

from backend.plan import plan


@functools.cache
def texts() -> dict[str, str]:
    """Field -> its docstring; empty if it has none."""
    tree = ast.parse(inspect.getsource(plan))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Plan")
    found: dict[str, str] = {}
    last = ""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
            found[last] = ""
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = inspect.cleandoc(str(node.value.value)).replace("\n", " ")
    return found
