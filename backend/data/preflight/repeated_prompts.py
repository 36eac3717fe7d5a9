"""Rows that ask the same and answer differently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from backend.data.conversation import Example, digest
from backend.data.finding import Finding, count_of, finding
from backend.data.preflight.groups import most_together
from backend.data.preflight.texts import question

THEN = {
    False: "those of one prompt are held out or trained on together",
    True: "too many to be kept on one side, so that held-out rows have a prompt that is trained on",
}
"""Keyed by whether a prompt has more rows than groups.py keeps together."""


def repeated_prompts(examples: Sequence[Example]) -> Iterator[Finding]:
    """Copies of a row are left out: they are a finding of their own."""
    by_prompt: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if asked := question(example):
            by_prompt[asked].append(example)
    distinct = [{digest(x): x.row - 1 for x in same} for same in by_prompt.values() if len(same) > 1]
    shared = [rows for rows in distinct if len(rows) > 1]
    if not shared:
        return
    most = most_together(len(examples))
    for are_many in (False, True):
        if groups := [group for group in shared if (len(group) > most) == are_many]:
            rows = sorted(row for group in groups for row in group.values())
            prompts = "one prompt" if len(groups) == 1 else f"{len(groups):,} prompts"
            text = f"{count_of(len(rows))} share {prompts} with different answers: {THEN[are_many]}."
            yield finding("notes", "common-prompts" if are_many else "repeated-prompts", text, "", rows)
