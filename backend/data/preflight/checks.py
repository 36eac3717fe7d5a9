"""All checks of the rows' content, in order."""

from __future__ import annotations

from collections.abc import Sequence

from backend.data.conversation import Example
from backend.data.finding import Finding
from backend.data.preflight.encoding import encoding_damage, odd_characters
from backend.data.preflight.escapes import escapes
from backend.data.preflight.near_duplicates import near_duplicates
from backend.data.preflight.repeated_prompts import repeated_prompts
from backend.data.preflight.secrets import secrets

CHECKS = (encoding_damage, odd_characters, escapes, secrets, near_duplicates, repeated_prompts)


def preflight(examples: Sequence[Example]) -> list[Finding]:
    """The findings of all checks; if there are many rows, a sample is checked, and the findings say so."""
    return [found for check in CHECKS for found in check(examples)]
