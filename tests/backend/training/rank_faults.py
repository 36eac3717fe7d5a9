"""A rank that fails on purpose: `fault.json` in its run's folder says which rank, in which step, and how."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import torch

from backend.launch import rank
from backend.training import session

UPDATE = session.Session._update


def failing(self: session.Session, number: int, *rest: Any) -> Any:
    """The update of a step; or the fault, once, whose file is then deleted."""
    file = self.folder.path / "fault.json"
    fault = json.loads(file.read_text()) if file.exists() else {}
    if fault and self.ranks.rank == fault["rank"] and number + 1 == fault["step"]:
        file.unlink()
        if fault["of"] == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        os.kill(os.getpid(), signal.SIGKILL)
    return UPDATE(self, number, *rest)


def ask(folder: Path, which: int, step: int, of: str) -> None:
    """Let a rank of the next start fail."""
    (folder / "fault.json").write_text(json.dumps({"rank": which, "step": step, "of": of}))


if __name__ == "__main__":
    session.Session._update = failing  # type: ignore[method-assign,assignment]
    rank.main()
