"""The progress of an export, reported now and then."""

from __future__ import annotations

import pytest

from backend.export import paced


def test_what_takes_less_than_the_time_between_lines_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = [100.0]
    monkeypatch.setattr("backend.export.paced.time.monotonic", lambda: now[0])
    tell = paced.paced(said.append, "merged {done:,} of {total:,} matrices")
    for done in range(1, 6):
        now[0] += 0.8
        tell(done * 1000, 9000)
    assert said == ["merged 3,000 of 9,000 matrices"]
