"""Images and the like besides the text: they can't be trained on, and their marks alone teach nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from backend.data.layout.head import Head, holds
from backend.data.layout.names import MEDIA, MEDIA_WORDS, words
from backend.data.row import Value
from backend.data.turns.faults import RowError
from backend.errors import UserError

_NAME = r"<\|?(?:image|video|audio|img|image_pad|video_pad)(?:[_ ]?\d+)?\|?>"
MARK = re.compile(rf"(?:\A|\n)\s*{_NAME}|{_NAME}\s*(?:\n|\Z)")
"""A mark that stands for an image: at the start or the end of a line."""
MARKED_ROWS = 50
ENCODED = 200
"""A longer text without spaces is an encoded file."""
MARK_ANYWHERE = re.compile(_NAME)
_FILE = re.compile(
    r"\.(?:png|jpe?g|gif|webp|bmp|tiff?|mp4|webm|avi|mov|mp3|wav|flac|ogg)$|^data:|^https?://", re.IGNORECASE
)


def media_columns(head: Head) -> tuple[str, ...]:
    """Columns whose names and cells say that they hold images, videos or sounds."""
    named_so = [x for x in head.columns if x.lower() in MEDIA or not MEDIA_WORDS.isdisjoint(words(x))]
    return tuple(x for x in named_so if _may_be_media(head, x))


def _may_be_media(head: Head, column: str) -> bool:
    values = head[column].values
    if column.lower() in MEDIA:
        return not values or any(is_media(x) or _is_word(x) for x in values)
    return any(is_media(x) for x in values)


def refuse_media(row: Value, number: int, media: Iterable[str]) -> None:
    """UserError (field `data`) if the row has an image."""
    for column in media:
        if _says_media(column, row.get(column)):
            what = f"row {number} has an image or the like in {column!r}; only text can be trained on"
            fix = "remove such rows, or name the columns of text with --mapping to train without it"
            raise UserError(f"{what}: {fix}", "data")


def refuse_media_of_turn(turn: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    """UserError (field `data`) if one of the turn's `keys` holds an image."""
    for key in keys:
        if (key.lower() in MEDIA or not MEDIA_WORDS.isdisjoint(words(key))) and _says_media(key, turn[key]):
            what = f"{where} has an image or the like in {key!r}; only text can be trained on"
            raise UserError(f"{what}: remove such rows, or that key to train without it", "data")


def has_media_marks(head: Head) -> bool:
    """Most rows have the mark of an image somewhere: it is meant as one within a sentence too."""
    rows = head.rows[:MARKED_ROWS]
    return 2 * sum(MARK_ANYWHERE.search(str(row)) is not None for row in rows) > len(rows)


def refuse_mark(text: str, where: str, anywhere: bool = False) -> None:
    """RowError if the text has the mark of an image, at the start or the end of a line or `anywhere`."""
    if "<" in text and (mark := (MARK_ANYWHERE if anywhere else MARK).search(text)):
        name = mark.group().strip()
        raise RowError(
            f"{where} has the mark {name} of an image or the like; only text can be trained on: remove such rows"
        )


def _says_media(name: str, value: Any) -> bool:
    return holds(value) and (is_media(value) or (name.lower() in MEDIA and _is_word(value)))


def _is_word(value: Any) -> bool:
    """A text without spaces, or several: the name of a file rather than a caption."""
    if isinstance(value, list):
        return any(map(_is_word, value))
    return isinstance(value, str) and not re.search(r"\s", value.strip())


def is_media(value: Any) -> bool:
    """The cell holds an image, or says where one is."""
    if isinstance(value, bytes):
        return True
    if isinstance(value, str):
        return _FILE.search(value.strip()) is not None or (len(value) > ENCODED and _is_word(value))
    if isinstance(value, Mapping):
        return any(value.get(key) is not None for key in ("bytes", "path", "url"))
    return isinstance(value, list) and any(is_media(x) for x in value)
