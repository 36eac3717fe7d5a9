"""Parquet and Arrow files to rows, through pyarrow: a batch at a time, each cell as JSON would hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backend.data.reading.sniff import ARROW_FILE, LONGEST_ROW, Opened
from backend.data.row import Value
from backend.errors import UserError

BATCH_ROWS = 1000
BATCH_BYTES = 16 << 20
PROBED_ROWS = 16
LARGEST_WHOLE = 2.0**53
"""Above this, a double does not represent every integer."""
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
        if row_bytes > LONGEST_ROW:
            raise file.refuse(f"has rows of more than {LONGEST_ROW >> 20} MB; divide them, or remove them")
        first = next(parquet.iter_batches(batch_size=PROBED_ROWS), None)  # a file stores equal texts once
        row_bytes = max(row_bytes, first.nbytes // max(1, len(first)) if first else 0)
        size = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))
        schema = parquet.schema_arrow
        whole = _whole(schema, lambda names: parquet.iter_batches(columns=names))
        yield from _rows(file, schema, parquet.iter_batches(batch_size=size), meta.num_rows, whole)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise UserError(f"{file.path} is no readable Parquet file; write or download it again", "data") from None


def arrow_rows(file: Opened) -> Iterator[Value]:
    """Arrow's own files and streams, as `datasets` saves them."""
    import pyarrow as pa

    try:
        schema, total = _batches(file)[0], sum(batch.num_rows for batch in _batches(file)[1])
        whole = _whole(schema, lambda names: _batches(file)[1])
        parts = (batch.slice(at, BATCH_ROWS) for batch in _batches(file)[1] for at in range(0, len(batch), BATCH_ROWS))
        yield from _rows(file, schema, parts, total, whole)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise UserError(f"{file.path} is no readable Arrow file; write or download it again", "data") from None


def _batches(file: Opened) -> tuple[Any, Iterable[Any]]:
    """The schema, and the record batches from the first one on."""
    import pyarrow as pa

    source = _seekable(file)
    if not file.head.startswith(ARROW_FILE):
        stream = pa.ipc.open_stream(source)
        return stream.schema, stream
    reader = pa.ipc.open_file(source)
    return reader.schema, map(reader.get_batch, range(reader.num_record_batches))


def _whole(schema: Any, batches: Callable[[list[str]], Iterable[Any]]) -> set[str]:
    """Columns of a floating-point type that hold only integers: tables store them like that if a cell is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = {field.name for field in schema if pa.types.is_float32(field.type) or pa.types.is_float64(field.type)}
    for batch in batches(sorted(names)) if names else ():
        for name in sorted(names):
            column = batch.column(name)
            is_whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), LARGEST_WHOLE))
            if pc.all(pc.or_(is_whole, pc.is_nan(column))).as_py() is False:
                names.discard(name)
    return names


def _seekable(file: Opened) -> Any:
    import pyarrow as pa

    if not file.unpacked:
        return pa.memory_map(str(file.path))
    if not file.stream.seekable():
        raise UserError(f"{file.path} is packed a second time; unpack it", "data")
    return pa.PythonFile(file.stream, "r")


def _rows(file: Opened, schema: Any, batches: Iterable[Any], total: int, whole: set[str]) -> Iterator[Value]:
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice:
        raise file.refuse(f"has two columns named {twice!r}; rename one")
    converts = {field.name: convert for field in schema if (convert := _converter(field)) is not None}
    converts |= dict.fromkeys(whole, _as_whole)
    first = 1
    file.progress = lambda: first / max(1, total)
    for batch in batches:
        file.count(batch.nbytes)
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
    """Structs without the fields that are null: Arrow gives every struct of a column the fields of all of them.

    Integers stay integers: one struct with a fraction makes the field floating-point in all, as in tools' arguments.
    """
    import pyarrow as pa

    converts = [(field.name, _as_whole if pa.types.is_floating(field.type) else _converter(field)) for field in fields]
    names = {field.name for field in fields}
    kept = KEPT_NULLS if names & {"role", "from"} else ()

    def convert(value: Any) -> Any:
        if value is None:
            return None
        made = ((name, turn(value[name]) if turn else value[name]) for name, turn in converts)
        return {name: item for name, item in made if item is not None or name in kept}

    return convert


def _as_whole(value: Any) -> Any:
    """3 for 3.0; None for NaN, which tables have in empty cells."""
    if not isinstance(value, float):
        return value
    if value != value:
        return None
    return int(value) if value.is_integer() and abs(value) < LARGEST_WHOLE else value


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
