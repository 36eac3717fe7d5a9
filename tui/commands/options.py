"""The options that `plan` and `train` share: the fields of `Answers`, named as on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from backend.answers import Answers


def _option(field: str) -> str:
    """`budget_usd` is `--budget` on the command line, where help says the unit."""
    for unit in ("_usd_per_hour", "_usd", "_hours"):
        field = field.removesuffix(unit)
    return field.replace("_", "-")


Shared = Annotated[Answers, Parameter(name="*", name_transform=_option, negative=())]
"""All fields of `Answers` as options of a command."""
