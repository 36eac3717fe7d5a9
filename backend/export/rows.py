"""The rows of a run as files that other trainers read: what it trained on, and what it held out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backend.data.chat import template
from backend.data.conversation import Conversation, Example, Text
from backend.data.formats import examples_of
from backend.data.prepare import Rows as TokenRows
from backend.data.prepare import prepare
from backend.data.reading.load import Source as Loaded
from backend.data.reading.load import load
from backend.data.tokenizing import Tokenizing
from backend.export.source import ExportSource, Say
from backend.training import locate

FOLDER = "data"
TRAIN, HELD_OUT = "train.jsonl", "test.jsonl"
"""Names by which `datasets` finds the splits of a folder."""
TRAINED = "train"
"""The field of a turn that says whether it is a target, if not all answers are."""
Form = Literal["pairs", "messages", "text"]


@dataclass(frozen=True)
class ExportedRows:
    """What was written."""

    form: Form
    """`pairs`: one question's turns and the answer; `messages`: conversations; `text`: documents."""
    train: int
    held_out: int
    has_tools: bool
    has_unscored_answers: bool
    """Whether some answers are not targets; turns then have the field `train`."""
    has_own_template: bool
    """Whether the model has its own chat template; otherwise the fallback was used, and saved with the result."""


def write(source: ExportSource, folder: Path, say: Say, *, pairs: bool) -> ExportedRows:
    """Write both files into `folder`/data: the rows that the run used, split as it split them.

    With `pairs`, conversations whose last turn alone is scored become prompt and completion. UserError if the data
    can't be read any more.
    """
    job, plan = source.job, source.plan
    base = locate.on_this_box(job)
    tokenizer = base if (base / "tokenizer.json").is_file() else source.result
    how = Tokenizing(None, plan.train_on_turns, plan.special_tokens_in_data)
    data = prepare(job.data, job.mapping, tokenizer, plan.max_length, plan.eval_fraction, plan.seed, say, how)
    loaded = load(job.data)
    evaluated = loaded.held_out if data.held_out.flat is not data.train.flat and loaded.held_out else loaded
    train = _examples(data.train, loaded, job.mapping)
    held_out = _examples(data.held_out, evaluated, job.mapping)
    form = _form([*train, *held_out], pairs)
    unscored = form == "messages" and any(map(_has_unscored_answers, [*train, *held_out]))
    (folder / FOLDER).mkdir()
    for name, part in ((TRAIN, train), (HELD_OUT, held_out)):
        if part:
            _write(folder / FOLDER / name, (_row(x, form, unscored) for x in part))
    stand_ins = (template.fallback(False), template.fallback(True))
    return ExportedRows(
        form=form,
        train=len(train),
        held_out=len(held_out),
        has_tools=any(isinstance(x, Conversation) and x.tools for x in [*train, *held_out]),
        has_unscored_answers=unscored,
        has_own_template=source.tokenizer.chat_template not in stand_ins,
    )


def _examples(part: TokenRows, loaded: Loaded, mapping: Sequence[str]) -> list[Example]:
    """The examples of one split's token rows; a long document once, though it makes several rows."""
    examples = examples_of(loaded, mapping).examples
    return [examples[place] for place in dict.fromkeys(part.places.tolist())]


def _form(examples: Sequence[Example], pairs: bool) -> Form:
    if isinstance(examples[0], Text):
        return "text"
    return "pairs" if pairs and all(map(_is_pair, examples)) else "messages"


def _is_pair(example: Example) -> bool:
    return isinstance(example, Conversation) and [x.scored for x in example.messages].index(True) + 1 == len(
        example.messages
    )


def _has_unscored_answers(example: Example) -> bool:
    return isinstance(example, Conversation) and any(x.role == "assistant" and not x.scored for x in example.messages)


def _row(example: Example, form: Form, unscored: bool) -> dict[str, Any]:
    if isinstance(example, Text):
        return {"text": example.document}
    turns = [x.as_dict() | ({TRAINED: x.scored} if unscored else {}) for x in example.messages]
    tools = {"tools": list(example.tools)} if example.tools else {}
    if form == "pairs":
        return {"prompt": turns[:-1], "completion": turns[-1:], **tools}
    return {"messages": turns, **tools}


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=dict) + "\n" for row in rows)
