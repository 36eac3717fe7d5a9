"""What every table of constants has in common."""

from __future__ import annotations

import msgspec


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of a TOML file; its fields are the table's keys."""
