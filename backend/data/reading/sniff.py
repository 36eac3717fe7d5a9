"""A file opened by its content: unpacked if it is compressed, its kind told by its first bytes, its text in UTF-8."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from backend.data.reading.excerpt import Excerpt
from backend.errors import UserError

HEAD_BYTES = 64 * 1024
BUFFER_BYTES = 1 << 20
COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2", ".zip")
LONGEST_LINE = 64 << 20
LONGEST_ROW = 16 << 20
"""Bytes of a row. A longer one would take the memory of thousands, and no model reads it."""
SUSPICIOUS_BYTES, SUSPICIOUS_RATIO = 256 << 20, 100
"""A file that unpacks to more bytes than this, and to more times its size, is refused as a decompression bomb: text
has a ratio of 3 to 30."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
MAGIC = {
    b"%PDF": "a PDF; convert it to text",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GGUF": "a model's weights",
    b"SQLite format 3": "an SQLite database; export a table as CSV",
    b"PK\x03\x04": "a ZIP archive within another; unpack it",
    b"version https://git-lfs": "the pointer that Git LFS left for it; fetch the file itself with `git lfs pull`",
    b"<!DOCTYPE": "an HTML page; download the file itself (on the hub from /resolve/, not from /blob/)",
    b"<!doctype": "an HTML page; download the file itself (on the hub from /resolve/, not from /blob/)",
    b"<html": "an HTML page; download the file itself (on the hub from /resolve/, not from /blob/)",
}


@dataclass
class Opened:
    """An open file, unpacked."""

    path: Path
    name: str
    """What messages call it: its own name, or that of the one file in a ZIP archive."""
    stream: io.BufferedReader
    """At the first byte after a byte-order mark of UTF-8."""
    head: bytes
    """The first bytes, not taken from `stream`."""
    unpacked: bool
    """`stream` is not the file's own bytes."""
    progress: Callable[[], float]
    """The part of the file that was read so far, from 0 to 1."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what a reader chose within the file."""
    _taken: int = 0

    @property
    def suffix(self) -> str:
        """The name's ending that says the format, in lower case and without one that says the compression."""
        return suffix(PurePath(self.name))

    @property
    def start(self) -> bytes:
        """The head in UTF-8, without white space before it."""
        if self.head.startswith(UTF16):
            return self.head[: len(self.head) // 2 * 2].decode("utf-16", "ignore").encode("utf-8", "ignore").lstrip()
        return self.head.lstrip()

    def refuse(self, what: str) -> UserError:
        """The error (field `data`) of something wrong in this file; `what` goes on after its name."""
        return UserError(f"{self.name} {what}", "data")

    def lines(self) -> Iterator[bytes]:
        """Lines in UTF-8, whatever the file's encoding and line ends; the line's end is part of it.

        UserError if one is longer than LONGEST_LINE.
        """
        for number, line in enumerate(self._read(LONGEST_LINE), 1):
            if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
                what = f"line {number} is longer than {LONGEST_LINE >> 20} MB; divide it, or remove it"
                raise self.refuse(what)
            yield line.removeprefix(codecs.BOM_UTF8)  # of a file that was put behind another one

    def pieces(self, size: int) -> Iterator[bytes]:
        """The same without a limit: a line of more than `size` bytes comes in pieces, cut between characters."""
        rest = b""
        for read in self._read(size):
            piece = rest + read
            whole = len(piece) if piece.endswith(b"\n") else _whole_characters(piece)
            rest = piece[whole:]
            yield piece[:whole]
        if rest:
            yield rest

    def _read(self, size: int) -> Iterator[bytes]:
        """Lines, or the first `size` bytes of one and then its other bytes. UserError if packing hides too much."""
        if self.head.startswith(UTF16):
            pieces = self._transcoded("utf-16", size)
        elif b"\r" in self.head and b"\n" not in self.head:  # the line ends of old Macs
            pieces = self._transcoded("utf-8", size)
        else:
            pieces = iter(lambda: self.stream.readline(size), b"")
        if not self.unpacked:
            yield from pieces
            return
        for piece in pieces:
            self.count(len(piece))
            yield piece

    def count(self, size: int) -> None:
        """Count `size` more unpacked bytes. UserError if far more come out of the file than it has."""
        self._taken += size
        if self._taken < SUSPICIOUS_BYTES:
            return
        if self._taken > SUSPICIOUS_RATIO * self.path.stat().st_size * self.progress():
            what = f"unpacks to more than {SUSPICIOUS_RATIO} times its size, {self._taken >> 20} MB so far"
            raise self.refuse(f"{what}; unpack it and look what it holds, then give what is in it")

    def text_lines(self) -> Iterator[str]:
        """Lines as text that end in a plain line feed. UserError if one is not UTF-8."""
        for number, line in enumerate(self.lines(), 1):
            text = self.decoded(line, number)
            if "\r" not in text:
                yield text
                continue
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            yield from io.StringIO(text)  # splitlines would divide at other characters too

    def decoded(self, line: bytes, number: int) -> str:
        """Line `number` as text. UserError if it is not UTF-8."""
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = line[error.start : error.start + 1].hex()
            what = f"line {number} is not UTF-8 (byte 0x{wrong}); save the file as UTF-8"
            raise self.refuse(what) from None

    def _transcoded(self, encoding: str, size: int) -> Iterator[bytes]:
        number = 0
        text = io.TextIOWrapper(self.stream, encoding)
        try:
            for number, line in enumerate(iter(lambda: text.readline(size), ""), 1):  # noqa: B007 - for the message
                yield line.encode("utf-8", "replace")
        except UnicodeDecodeError:
            name = encoding.upper()
            raise self.refuse(f"line {number + 1} is not {name}; save the file as UTF-8") from None


def _whole_characters(piece: bytes) -> int:
    """Bytes of `piece` without the beginning of a character that it ends with."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte & 0xC0 != 0x80:  # no byte within a character
            size = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(piece) - back if size > back else len(piece)
    return len(piece)


def suffix(path: PurePath) -> str:
    """The name's ending that says the format, in lower case and without one that says the compression."""
    name = path.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return PurePath(name).suffix


@contextmanager
def opened(path: Path, excerpt_bytes: int | None = None) -> Iterator[Opened]:
    """The file, unpacked. UserError if it can't be read, is empty, or is of a kind that holds no rows.

    With `excerpt_bytes`, a file of JSON lines is read in parts of about so many bytes together.
    """
    try:
        with path.open("rb") as raw, _faults_said(path, _packing(raw)):
            stream, name = _unpacked(path, cast(BinaryIO, raw))
            head = _read_head(stream)
            if not head.strip():
                raise UserError(f"{path} is empty; choose a file that holds rows", "data")
            while head.startswith(codecs.BOM_UTF8):
                stream.read(len(codecs.BOM_UTF8))
                head = head[len(codecs.BOM_UTF8) :]
            _refuse_foreign(path, head)
            size = path.stat().st_size
            if excerpt_bytes and excerpt_bytes < size and stream.raw is raw and _is_json_lines(head):
                part = Excerpt(raw, size, excerpt_bytes)
                excerpt = _buffered(part)
                yield Opened(path, name, excerpt, head, False, lambda: part.taken / size)
            else:
                packed = stream.raw is not raw
                yield Opened(path, name, stream, head, packed, lambda: (raw if packed else stream).tell() / size)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path", "data") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}", "data") from None


def _unpacked(path: Path, raw: BinaryIO) -> tuple[io.BufferedReader, str]:
    packing = _packing(raw)
    if packing == "ZIP":
        return _zip_member(path, raw)
    source = UNPACK[packing](raw) if packing else raw
    return _buffered(source), path.name


def _buffered(source: object) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, source), BUFFER_BYTES)


def _zstandard(raw: BinaryIO) -> BinaryIO:
    import pyarrow as pa

    stream: BinaryIO = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
    return stream


PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "ZIP",
}
"""First bytes -> how the file is packed, in words."""
UNPACK: dict[str, Callable[[BinaryIO], object]] = {
    "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "Zstandard": _zstandard,
}


def _packing(raw: BinaryIO) -> str:
    """How the file is packed; empty if it is not."""
    start = raw.read(8)
    raw.seek(0)
    return next((name for magic, name in PACKINGS.items() if start.startswith(magic)), "")


def _zip_member(path: Path, raw: BinaryIO) -> tuple[io.BufferedReader, str]:
    archive = zipfile.ZipFile(raw)
    names = [x.filename for x in archive.infolist() if not x.is_dir() and not x.filename.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise UserError(f"{path} is an Office file; save its table as CSV", "data")
    if len(names) != 1:
        shown = ", ".join(names[:3]) or "none"
        raise UserError(f"{path} holds {len(names)} files ({shown}); unpack it and name one of them", "data")
    try:
        member = archive.open(names[0])
    except (RuntimeError, NotImplementedError):  # a password, or a compression that Python does not know
        raise UserError(f"{path} can't be unpacked here; unpack it with `unzip`", "data") from None
    return _buffered(member), PurePath(names[0]).name


def _read_head(stream: io.BufferedReader) -> bytes:
    """The first HEAD_BYTES, not taken from the stream."""
    head = stream.peek(HEAD_BYTES)
    return head[:HEAD_BYTES]


@contextmanager
def _faults_said(path: Path, packing: str) -> Iterator[None]:
    """Turn what unpackers raise within a damaged or truncated file into a UserError of one sentence."""
    try:
        yield
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if not packing or (isinstance(error, OSError) and error.errno is not None):  # the system's own
            raise
        what = "ZIP archive" if packing == "ZIP" else f"{packing} file"
        raise UserError(f"{path} is no complete {what}; copy or download it again", "data") from None


def _is_json_lines(head: bytes) -> bool:
    """The first line is an object, and others follow it."""
    line, end, _ = head.partition(b"\n")
    return bool(end) and line.startswith(b"{") and line.rstrip().endswith(b"}")


def _refuse_foreign(path: Path, head: bytes) -> None:
    """Refuse files that hold no rows, and text in an unknown encoding."""
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            raise UserError(f"{path} is not text but {what}", "data")
    if head[257:262] == b"ustar":
        raise UserError(f"{path} is a tar archive; unpack it and give the folder", "data")
    known = (PARQUET, ARROW_FILE, ARROW_STREAM, *UTF16)
    start = head[:8192]
    if head.startswith(known) or b"\0" not in start:
        return
    if start[1::2].count(0) > len(start) // 4 or start[0::2].count(0) > len(start) // 4:
        raise UserError(f"{path} looks like UTF-16 without a byte-order mark; save it as UTF-8", "data")
    raise UserError(f"{path} is a binary file; JSON, JSONL, CSV, Parquet or plain text was expected", "data")
