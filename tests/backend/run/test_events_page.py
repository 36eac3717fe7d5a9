"""docs/events.md says what the types say."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from backend.run import events
from backend.run.events import AnyEvent
from tests.backend.run import events_page
from tests.backend.run.event_examples import EXAMPLES

PAGE = Path(__file__).parents[3] / "docs" / "events.md"


def test_the_page_is_as_the_types_are() -> None:
    stale = "stale: run `python -m tests.backend.run.events_page > docs/events.md`"
    assert PAGE.read_text("utf-8") == events_page.page(), stale


def test_every_event_has_a_section_with_a_line_that_is_read() -> None:
    text = PAGE.read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith('{"t":')]
    assert events.decoded("\n".join(lines).encode() + b"\n") == list(EXAMPLES)
    assert {type(event) for event in EXAMPLES} == set(get_args(AnyEvent))
