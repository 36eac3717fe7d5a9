"""What the user says of columns: entries `role=column`."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence

from backend.data.layout.names import ROLES
from backend.errors import UserError

SHELL_WORD = re.compile(r"[\w@%+=:,./-]+")


def option(role: str, column: str) -> str:
    """`--mapping role=column` as a shell takes it: quoted if the name has spaces and the like."""
    entry = f"{role}={column}"
    return f"--mapping {entry if SHELL_WORD.fullmatch(entry) else shlex.quote(entry)}"


def parse(mapping: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Role -> column. UserError (field `mapping`) for a role or a column that is not there."""
    said: dict[str, str] = {}
    for entry in mapping:
        role, equals, column = (part.strip() for part in entry.partition("="))
        if not equals or not role or not column:
            raise UserError(f"{entry!r} is no mapping; write role=column, such as prompt={columns[0]}", "mapping")
        if role not in ROLES:
            raise UserError(f"{role!r} is no role{_near(role, ROLES)}; roles are {', '.join(ROLES)}", "mapping")
        if column not in columns:
            listed = ", ".join(columns[:12])
            raise UserError(f"the data has no column {column!r}{_near(column, columns)}; it has {listed}", "mapping")
        said[role] = column
    return said


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
