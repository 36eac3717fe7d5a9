"""The store over which ranks meet that torch elastic has started."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from torch import distributed as dist

from backend.training.parallel import ranks


def test_a_new_attempt_sees_nothing_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would wait for ever at the address of a rank that was killed."""
    of_agent: Any = getattr(dist, "TCPStore")("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # noqa: B009
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(of_agent.port))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    before, same = ranks.store(), ranks.store()
    before.set("address", "of the killed rank")
    assert same.get("address") == b"of the killed rank"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    after = ranks.store()
    assert not after.check(["address"])
    with pytest.raises(RuntimeError, match="timeout"):
        after.wait(["address"], timedelta(seconds=0.1))
