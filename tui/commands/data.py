"""`fttui data`: the data report with its findings, and any row as the model sees it. No torch is loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backend.errors import UserError, wont_do
from backend.plan.fields import LARGEST

if TYPE_CHECKING:
    from backend.data.tokenizing import Tokenizing
    from backend.model.info import ModelInfo

Flag = Annotated[bool, Parameter(negative=())]


def data(
    file: str,
    *,
    model: str | None = None,
    row: Annotated[tuple[int, ...], Parameter(negative=())] = (),
    tokens: Flag = False,
    mapping: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    max_length: int | None = None,
    set: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    add_tokens: str | None = None,
    json: Flag = False,
) -> int:
    """What is in the data: how it is read, what would waste a run and what fixes it, and rows as the model sees them.

    For example:

        fttui data rows.jsonl
        fttui data rows.jsonl --model ./my-model --row 17
        fttui data rows.jsonl --model ./my-model --row 17 --tokens --max-length 2048
        fttui data rows.csv --mapping prompt=question --mapping completion=answer --json
        fttui data chats.jsonl --model ./my-model --row 17 --set train_on_turns=last

    Args:
        file: A file, a folder, a hub id or `demo`.
        model: Count with this model's tokenizer and chat template: a folder, a hub id or `demo`. Without it, tokens are
            estimated and rows are shown as roles and texts.
        row: Show this row, counted from 0 (repeatable).
        tokens: Show those rows token by token, with their ids.
        mapping: Which column plays which part, `role=column` (repeatable); by default found by the usual column names.
        max_length: Rows are cut after this many tokens.
        set: A plan field that changes tokens or targets, as for `train` (repeatable): `train_on_turns`,
            `special_tokens_in_data`.
        add_tokens: Read the rows with these new tokens too: a file, one token a line, or a JSON list; needs --model.
        json: Print one JSON object.
    """
    from backend.data.browse import RowBrowser
    from backend.data.inspect import inspect
    from tui.commands import data_json, data_text

    if max_length is not None and not 2 <= max_length <= LARGEST:
        raise wont_do("max length", max_length, f"a whole number from 2 to {LARGEST:,}", "max_length")
    how = _tokenizing(set)
    known = _model(model, add_tokens)
    report = inspect(file, mapping=mapping, model=known, how=how)
    browser = RowBrowser(file, mapping, known, max_length, how) if row else None
    examples = [browser.row(number) for number in row] if browser else []
    if json:
        text = data_json.encode(report, max_length, examples)
    else:
        shown = [data_text.tokens(one) if tokens else data_text.row(one) for one in examples]
        text = "\n\n".join([data_text.report(report, max_length), *shown])
    sys.stdout.write(text + "\n")
    return 0


def _model(reference: str | None, add_tokens: str | None) -> ModelInfo | None:
    if reference is None:
        if add_tokens:
            raise UserError(
                "add_tokens: new tokens need a tokenizer to be added to; give the model with --model", "model"
            )
        return None
    from backend.data import added_tokens
    from backend.model import find

    found = find.find(reference)
    return added_tokens.extended(found, added_tokens.read(add_tokens)) if add_tokens else found


def _tokenizing(settings: tuple[str, ...]) -> Tokenizing:
    """The plan fields among `set` that choose what is learned. Raises UserError for any other field."""
    from backend.data.tokenizing import FIELDS, chosen
    from backend.plan import fields

    parsed = fields.parse_settings(settings)
    for key in sorted(parsed.keys() - FIELDS):
        raise UserError(f"set: {key} changes no row; here it takes {' and '.join(sorted(FIELDS))}", "set")
    return chosen(parsed)
