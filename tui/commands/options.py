"""The options that `plan` and `train` share: the fields of `Answers`, named as on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from backend.answers import Answers
from tui.command_line import option

Shared = Annotated[Answers, Parameter(name="*", name_transform=option, negative=())]
"""All fields of `Answers` as options of a command."""
