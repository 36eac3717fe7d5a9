"""General text for measuring forgetting: the data set that ships with the package or the user's own, as token rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend import constants, paths
from backend.data.chat.tokens import Ids, Mask
from backend.data.formats import examples_of
from backend.data.prepare import Rows, prepare
from backend.data.reading.load import load
from backend.data.tokenizing import Tokenizing
from backend.errors import UserError

OWN = "general"
"""The name of the user's own set, which is one part."""


@dataclass(frozen=True)
class Part:
    """One kind of text."""

    name: str
    rows: tuple[tuple[Ids, Mask], ...]
    """Token ids, and which of them are target tokens."""
    examples: tuple[int, ...]
    """The example that each row comes from: a long text is cut into several rows."""

    def slice(self) -> tuple[int, ...]:
        """Numbers of the rows that are measured at each evaluation, spread evenly."""
        table = constants.forgetting().measure
        count = min(len(self.rows), max(table.slice_rows, round(table.slice * len(self.rows))))
        return tuple(int(at) for at in np.unique(np.linspace(0, len(self.rows) - 1, count).astype(int)))


def references(reference: str) -> Iterator[tuple[str, str]]:
    """Name and file of each part."""
    if reference:
        yield OWN, reference
        return
    for part in constants.general().part:
        yield part.name, str(paths.SHIPPED / "general" / part.file)


def refuse_unreadable(reference: str) -> None:
    """Raise UserError if the set that the user names can't be read; it is not tokenised."""
    with _named(reference):
        examples_of(load(reference, samples=True))


@contextmanager
def _named(reference: str) -> Iterator[None]:
    """Give errors about a set that the user names the field `general_data`."""
    try:
        yield
    except UserError as error:
        text = str(error)
        if "--mapping" in text:  # general text has no such option
            text = f"the columns of {reference} are not known; name them prompt and completion, messages, or text"
        raise UserError(f"general_data: {text}", "general_data") from None


def parts(reference: str, tokenizer_folder: Path, max_length: int) -> tuple[Part, ...]:
    """The parts of the general text, tokenised. Raises UserError if it can't be read or has nothing to measure on."""
    length = min(max_length, constants.forgetting().measure.length)
    with _named(reference) if reference else nullcontext():
        made = [
            _part(name, file, tokenizer_folder, length, own=bool(reference)) for name, file in references(reference)
        ]
    return tuple(part for part in made if part.rows)


def _part(name: str, file: str, tokenizer_folder: Path, length: int, *, own: bool) -> Part:
    rows: Rows = prepare(file, (), tokenizer_folder, length, 0.0, 0, how=Tokenizing()).train
    chosen = range(len(rows))
    if own and len(rows) > (most := constants.forgetting().measure.most_rows):
        chosen = np.unique(np.linspace(0, len(rows) - 1, most).astype(int)).tolist()
    places = rows.places
    return Part(
        name=name,
        rows=tuple((np.array(ids), np.array(scored)) for ids, scored in (rows[i] for i in chosen)),
        examples=tuple(int(places[i]) for i in chosen),
    )
