"""Which of several files are the training data: one format, the training split, no configuration files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TypeVar

from backend.data.readers import FORMATS, suffix
from backend.errors import UserError

P = TypeVar("P", bound=PurePath)
NOT_DATA = re.compile(
    r"(readme|license|licence|notice|changelog|contributing|requirements.*|constraints.*|robots|merges|vocab|package(-lock)?"
    r"|tsconfig|composer|manifest|config|.*_config|.*tokenizer|special_tokens_map|added_tokens|dataset_infos?|dataset_dict"
    r"|state|adapter_model|.*\.index|trainer_state|all_results|.*_results|plan|events|commands)",
    re.IGNORECASE,
)
OTHER_SPLIT = re.compile(r"(^|[^a-z])(test|tests|valid|validation|val|dev|eval)([^a-z]|$)", re.IGNORECASE)
TRAIN_SPLIT = re.compile(r"(^|[^a-z])train(ing)?([^a-z]|$)", re.IGNORECASE)


def looks_like_data(path: PurePath) -> bool:
    """A data file by its name alone: a known ending, and not a well-known configuration or licence file."""
    return suffix(path) in FORMATS and not NOT_DATA.fullmatch(path.name.split(".")[0]) and path.name[0] != "."


def training_files(paths: Sequence[P], where: str) -> list[P]:
    """The training split of `paths` in one format, sorted. UserError where there is none, or several formats."""
    data = sorted(path for path in paths if looks_like_data(path))
    tables = [path for path in data if FORMATS[suffix(path)].name != "text"]
    data = tables or data
    if not data:
        known = ", ".join(sorted({fmt.name for fmt in FORMATS.values()}))
        raise UserError(f"{where} holds no data files ({known}); name another folder, or the file itself", "data")
    train = [path for path in data if TRAIN_SPLIT.search(str(path))]
    data = train or [path for path in data if not OTHER_SPLIT.search(str(path))] or data
    names = sorted({FORMATS[suffix(path)].name for path in data})
    if len(names) > 1:
        examples = ", ".join(next(p.name for p in data if FORMATS[suffix(p)].name == name) for name in names)
        raise UserError(f"{where} holds {' and '.join(names)} files ({examples}); name one file", "data")
    return data
