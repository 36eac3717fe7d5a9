"""Outside data into our own types, by msgspec, in one thread at a time.

msgspec collects what it needs to know of a type when it first converts to it. A second thread that converts to the type
meanwhile gets half of that, and the whole process dies (msgspec 0.22 on Python 3.11): a lock makes it wait.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

Wanted = TypeVar("Wanted")
_lock = threading.Lock()


@overload
def convert(value: Any, kind: type[Wanted], *, strict: bool = True) -> Wanted: ...
@overload
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any: ...
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """`value` as `kind`; unless `strict`, text is converted too. Raises msgspec.ValidationError."""
    with _lock:
        return msgspec.convert(value, kind, strict=strict)


def from_json(content: bytes | str, kind: type[Wanted]) -> Wanted:
    """JSON as `kind`. Raises msgspec.DecodeError, of which ValidationError is one."""
    with _lock:
        return msgspec.json.decode(content, type=kind)


def from_toml(content: bytes, kind: type[Wanted]) -> Wanted:
    """TOML as `kind`. Raises as `from_json`."""
    with _lock:
        return msgspec.toml.decode(content, type=kind)
