"""Which of several files are the training data: one format, the training split, no configuration files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Generic, TypeVar

from backend.data.finding import Finding, finding
from backend.data.reading.card import is_of
from backend.data.reading.readers import FORMATS, suffix
from backend.data.split_names import FOR_FINE_TUNING, OTHER, TRAIN, VALIDATION, purpose
from backend.errors import UserError

P = TypeVar("P", bound=PurePath)
NOT_DATA = re.compile(
    r"(readme|license|licence|notice|changelog|contributing|requirements.*|constraints.*|robots|merges|vocab|package(-lock)?"
    r"|tsconfig|composer|manifest|config|.*_config|.*tokenizer|special_tokens_map|added_tokens|dataset_infos?|dataset_dict"
    r"|state|adapter_model|.*\.index|trainer_state|all_results|.*_results|plan|events|commands)",
    re.IGNORECASE,
)
CACHED = re.compile(r"cache-[0-9a-f]+.*\.arrow")
"""Cache files that `datasets` leaves beside the rows that it saves."""
PART_OF = re.compile(r"(.*?)(\d+)[-_.]?of[-_.]?(\d+)(-[0-9a-f]+)?", re.IGNORECASE)
"""A file's name that says how many parts there are, such as `train-00000-of-00003`."""
MOST_PARTS = 100_000
"""A larger number is not a number of parts."""


@dataclass(frozen=True)
class Selection(Generic[P]):
    """The files of one data set, sorted."""

    train: list[P]
    held_out: list[P]
    """A separate validation split, for evaluation; empty if there is none."""
    findings: tuple[Finding, ...] = ()
    """What was chosen among the files."""


def looks_like_data(path: PurePath) -> bool:
    """A data file by its name alone: a known ending, and not a well-known configuration or licence file."""
    if path.name[0] == "." or CACHED.fullmatch(path.name):
        return False
    return suffix(path) in FORMATS and not NOT_DATA.fullmatch(path.name.split(".")[0])


def select(paths: Sequence[P], where: str) -> Selection[P]:
    """The training split of `paths` in one format, and its validation split.

    UserError if there is none, if there are several formats, or splits of different purpose.
    """
    data = sorted(path for path in paths if looks_like_data(path))
    tables = [path for path in data if FORMATS[suffix(path)].name != "text"]
    data = tables or data
    if not data:
        known = ", ".join(sorted({fmt.name for fmt in FORMATS.values()}))
        raise UserError(f"{where} holds no data files ({known}); name another folder, or the file itself", "data")
    named = [path for path in data if TRAIN.search(str(path)) and not OTHER.search(path.name)]
    plain = [path for path in data if not OTHER.search(str(path))]
    train, findings = _of_one_purpose(named or plain or data, where)
    _refuse_formats(train, where)
    if not named and not plain:
        text = f"{where} holds no training split: a test or validation split would be trained on."
        findings += (finding("warns", "no-training-split", text, "give the training file"),)
    chosen, kind = purpose_of(train[0]), FORMATS[suffix(train[0])]
    held_out = [x for x in data if x not in train and VALIDATION.search(str(x)) and FORMATS[suffix(x)] == kind]
    held_out = [x for x in held_out if purpose_of(x) in ("", chosen)]
    return Selection(train, held_out, (*findings, *_missing_parts([*train, *held_out])))


def _missing_parts(paths: Sequence[PurePath]) -> Iterator[Finding]:
    """Files that the names of others say there are, as after a download that was interrupted."""
    parts: dict[tuple[PurePath, str, int], set[int]] = {}
    for path in paths:
        if (said := PART_OF.fullmatch(path.name.split(".")[0])) and int(said[3]) <= MOST_PARTS:
            parts.setdefault((path.parent, said[1], int(said[3])), set()).add(int(said[2]))
    for (folder, name, count), found in parts.items():
        first = int(0 not in found and count in found)  # some count from 1
        if missing := sorted(set(range(first, first + count)) - found):
            listed = ", ".join(map(str, missing[:6])) + (" and others" if len(missing) > 6 else "")
            which, rows = ("number", "is missing: its") if len(missing) == 1 else ("numbers", "are missing: their")
            text = f"Of {count:,} files {folder / name}*, {which} {listed} {rows} rows are not used."
            yield finding("warns", "missing-files", text, "download them, or rename the others if that is meant")


def without_other_splits(chosen: Selection[P], said: Mapping[str, Sequence[str]]) -> Selection[P]:
    """Without the files that the data set's card gives to other splits than the training one, if some are left."""
    trained = said.get("train", ())
    other = {
        path: split
        for path in chosen.train
        for split, patterns in said.items()
        if is_of(path, patterns) and not is_of(path, trained)
    }
    train = [path for path in chosen.train if path not in other]
    if not other or not any(is_of(path, trained) for path in train):
        return chosen
    listed = ", ".join(f"{path} ({split})" for path, split in [*other.items()][:3])
    more = f" and {len(other) - 3} more" if len(other) > 3 else ""
    text = f"By README.md {listed}{more} belong to other splits and are not trained on."
    found = finding("notes", "splits", text)
    held_out = chosen.held_out or [path for path, split in other.items() if VALIDATION.search(split)]
    return Selection(train, held_out, (*chosen.findings, found))


def purpose_of(path: PurePath) -> str:
    """What a file's rows are for, by the last word of its name or of its folders that says so; empty if none does."""
    words = (purpose(part) for part in (path.name.split(".")[0], *reversed(path.parts[:-1])))
    return next((word for word in words if word), "")


def _of_one_purpose(paths: list[P], where: str) -> tuple[list[P], tuple[Finding, ...]]:
    """Splits of different purpose, such as `train_sft` and `train_gen`, are not mixed."""
    by_purpose: dict[str, list[P]] = {}
    for path in paths:
        by_purpose.setdefault(purpose_of(path), []).append(path)
    if len(by_purpose) == 1:
        return paths, ()
    chosen = next((word for word in (*FOR_FINE_TUNING, "") if word in by_purpose), None)
    shown = ", ".join(str(group[0]) for group in by_purpose.values())
    if chosen is None:
        raise UserError(f"{where} holds splits of different purpose ({shown}); name one of the files", "data")
    left = ", ".join(str(group[0]) for word, group in by_purpose.items() if word != chosen)
    text = f"{where} holds splits of different purpose: {by_purpose[chosen][0]} is used, {left} is not mixed in."
    return by_purpose[chosen], (finding("notes", "splits", text, "name another file to train on that one"),)


def _refuse_formats(paths: Sequence[PurePath], where: str) -> None:
    names = sorted({FORMATS[suffix(path)].name for path in paths})
    if len(names) > 1:
        examples = ", ".join(next(p.name for p in paths if FORMATS[suffix(p)].name == name) for name in names)
        raise UserError(f"{where} holds {' and '.join(names)} files ({examples}); name one file", "data")
