"""What the names of files and keys say about a data set's splits."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _word(words: str) -> re.Pattern[str]:
    return re.compile(rf"(^|[^a-z])({words})([^a-z]|$)", re.IGNORECASE)


TRAIN = _word("train(ing)?")
VALIDATION = _word("valid|validation|val|dev|eval|evaluation")
OTHER = _word("test|tests|testing|valid|validation|val|dev|eval|evaluation")
SHARD = re.compile(r"([-_.]?(part|shard|chunk)?[-_.]?\d+([-_.]of[-_.]?\d+)?)+$", re.IGNORECASE)
"""The end of a name that numbers the parts of one split, such as `-00000-of-00001`."""
FOR_PREFERENCES = ("prefs", "preference", "preferences", "ranking", "comparisons", "dpo", "orpo", "kto", "rm", "reward")
FOR_FINE_TUNING = ("sft",)
PURPOSES = (*FOR_FINE_TUNING, *FOR_PREFERENCES, "gen", "rl", "ppo", "grpo", "pretrain")


def training_key(keys: Sequence[str]) -> str | None:
    """The one key that names a training split; None if there is none, or several."""
    named = [key for key in keys if TRAIN.search(key)]
    return named[0] if len(named) == 1 else None


def purpose(stem: str) -> str:
    """The last word of a split's name that says what its rows are for, such as `sft` of `train_sft-00000-of-00002`."""
    words = re.split(r"[^a-z]+", SHARD.sub("", stem).lower())
    return next((word for word in reversed(words) if word in PURPOSES), "")
