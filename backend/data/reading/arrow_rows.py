"""Parquet and Arrow files to rows, through pyarrow: a batch at a time, each cell as JSON would hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backend.data.reading.sniff import ARROW_FILE, Opened
from backend.data.row import Value
from backend.errors import UserError

BATCH_ROWS = 1000
BATCH_BYTES = 16 << 20
KEPT_NULLS = ("content", "value")
"""Fields of a turn that stay when they are null: a turn without text beside its tool calls is written so."""
Convert = Callable[[Any], Any]


def parquet_rows(file: Opened) -> Iterator[Value]:
    """Apache Parquet. UserError if it is damaged, or names a column twice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(_seekable(file))
        meta = parquet.metadata
        row_bytes = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)) // max(1, meta.num_rows)
        size = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))
        yield from _rows(file, parquet.schema_arrow, parquet.iter_batches(batch_size=size), meta.num_rows)
    except (pa.ArrowException, OSError):
        raise UserError(f"{file.path} is no readable Parquet file; write or download it again", "data") from None


def arrow_rows(file: Opened) -> Iterator[Value]:
    """Arrow's own files and streams, as `datasets` saves them."""
    import pyarrow as pa

    try:
        source = _seekable(file)
        if file.head.startswith(ARROW_FILE):
            reader = pa.ipc.open_file(source)
            total = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
            batches: Iterable[Any] = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = reader = pa.ipc.open_stream(source)
            total = sum(batch.num_rows for batch in pa.ipc.open_stream(_seekable(file)))
        parts = (batch.slice(at, BATCH_ROWS) for batch in batches for at in range(0, len(batch), BATCH_ROWS))
        yield from _rows(file, reader.schema, parts, total)
    except (pa.ArrowException, OSError):
        raise UserError(f"{file.path} is no readable Arrow file; write or download it again", "data") from None


def _seekable(file: Opened) -> Any:
    import pyarrow as pa

    if not file.unpacked:
        return pa.memory_map(str(file.path))
    if not file.stream.seekable():
        raise UserError(f"{file.path} is packed a second time; unpack it", "data")
    return pa.PythonFile(file.stream, "r")


def _rows(file: Opened, schema: Any, batches: Iterable[Any], total: int) -> Iterator[Value]:
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice:
        raise file.refuse(f"has two columns named {twice!r}; rename one")
    converts = {field.name: convert for field in schema if (convert := _converter(field)) is not None}
    first = 1
    file.progress = lambda: first / max(1, total)
    for batch in batches:
        for row in _as_python(file, batch, first):
            for name, convert in converts.items():
                row[name] = convert(row[name])
            yield row
        first += len(batch)


def _as_python(file: Opened, batch: Any, first: int) -> list[Value]:
    try:
        rows: list[Value] = batch.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        raise file.refuse(f"{_faulty(batch, first)} can't be read; write it again as text in UTF-8") from None
    return rows


def _faulty(batch: Any, first: int) -> str:
    """Row and column of the first cell that has no Python value."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for at, cell in enumerate(column):
            try:
                cell.as_py()
            except (ValueError, OverflowError):
                return f"row {first + at}, column {name!r}"
    return f"row {first}"


def _converter(field: Any) -> Convert | None:
    """What makes a JSON-like value of a column's cells; None if they are such already."""
    metadata = field.metadata or {}
    if metadata.get(b"ARROW:extension:name") == b"arrow.json":
        return _from_json
    return _by_type(field.type)


def _by_type(kind: Any) -> Convert | None:
    import pyarrow as pa

    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _from_json if kind.extension_name == "arrow.json" else _by_type(kind.storage_type)
    if types.is_dictionary(kind):
        return _by_type(kind.value_type)
    if types.is_struct(kind):
        return _struct([kind.field(i) for i in range(kind.num_fields)])
    if types.is_map(kind):
        return _map(_converter(kind.item_field))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(_converter(kind.value_field))
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _text_of_bytes
    if types.is_temporal(kind):
        return lambda value: value.isoformat() if hasattr(value, "isoformat") else None if value is None else str(value)
    return (lambda value: None if value is None else str(value)) if types.is_decimal(kind) else None


def _struct(fields: list[Any]) -> Convert:
    """Without the fields that are null: Arrow gives every struct of a column the fields of all of them."""
    converts = [(field.name, _converter(field)) for field in fields]
    names = {field.name for field in fields}
    kept = KEPT_NULLS if names & {"role", "from"} else ()

    def convert(value: Any) -> Any:
        if value is None:
            return None
        made = ((name, turn(value[name]) if turn else value[name]) for name, turn in converts)
        return {name: item for name, item in made if item is not None or name in kept}

    return convert


def _list(item: Convert | None) -> Convert | None:
    return None if item is None else lambda value: None if value is None else [item(x) for x in value]


def _map(item: Convert | None) -> Convert:
    return lambda value: None if value is None else {k: item(v) if item else v for k, v in value}


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _text_of_bytes(value: Any) -> Any:
    """Text if it is UTF-8; other bytes (images) stay, and are refused if the column is used."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
