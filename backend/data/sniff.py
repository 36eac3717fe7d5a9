"""From bytes to text: byte-order marks, binary files and wrong encodings, each said in one sentence."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from backend.errors import UserError

MAGIC = {
    b"PAR1": "a Parquet file; rename it to .parquet",
    b"PK\x03\x04": "a ZIP archive (or an Office file); unpack it, or save it as CSV",
    b"\x1f\x8b": "a gzip file; give it the name ending .gz",
    b"%PDF": "a PDF; convert it to text",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; unpack it with `unzstd`",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"GGUF": "a model's weights",
    b"SQLite format 3": "an SQLite database; export a table as CSV",
}


def read_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked where it ends in .gz. UserError where it can't be read or is empty."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path", "data") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}", "data") from None
    if path.suffix.lower() == ".gz" and raw:
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise UserError(f"{path} is no complete gzip file; copy or download it again", "data") from None
    if not raw.strip():
        raise UserError(f"{path} is empty; choose a file that holds rows", "data")
    return raw


def read_text(path: Path) -> str:
    """The file as text with plain line feeds: UTF-8 with or without a mark, or UTF-16 with one.

    UserError where the file is binary, or in another encoding (with the line of the first wrong byte).
    """
    raw = read_bytes(path)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _decoded(path, raw, "utf-16")
    else:
        _refuse_binary(path, raw)
        text = _decoded(path, raw, "utf-8-sig")
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    if not text.strip():
        raise UserError(f"{path} is empty; choose a file that holds rows", "data")
    return text


def _refuse_binary(path: Path, raw: bytes) -> None:
    for magic, what in MAGIC.items():
        if raw.startswith(magic):
            raise UserError(f"{path} is not text but {what}", "data")
    head = raw[:8192]
    if b"\0" not in head:
        return
    if head[1::2].count(0) > len(head) // 4 or head[0::2].count(0) > len(head) // 4:
        raise UserError(f"{path} looks like UTF-16 without a byte-order mark; save it as UTF-8", "data")
    raise UserError(f"{path} is a binary file; JSON, JSONL, CSV, Parquet or plain text was expected", "data")


def _decoded(path: Path, raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        wrong = raw[error.start : error.start + 1].hex()
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        what = f"{path.name} line {line} is not {name} (byte 0x{wrong})"
        raise UserError(f"{what}; save the file as UTF-8", "data") from None
