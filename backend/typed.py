"""Converts outside data to our own types, by msgspec; all faults in it raise one kind of error.

Every file that is read back goes through here: any of them may have been cut off, overwritten or edited by hand.
Bytes that are not UTF-8, extremely deep nesting, numbers of thousands of digits and fields of another type raise
`Damaged`.

msgspec collects information about a type when it first converts to it. A second thread that converts to the type at the
same time finds it incomplete, and the whole process crashes (msgspec 0.22 on Python 3.11): a lock makes it wait.
"""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

Wanted = TypeVar("Wanted")
_lock = threading.Lock()
_LONG_NUMBER = re.compile(r"[\da-fA-F_]{16}")
_LARGEST = 2**63
_MOST_PARTS = 50
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")


class Damaged(msgspec.ValidationError):
    """Data that is not what it should be; `str()` says what is wrong in half a sentence.

    It is a msgspec error, so that callers that also decode with msgspec handle one kind.
    """


class Missing(Damaged):
    """There is no such file."""


_FAULTS = (
    *(msgspec.MsgspecError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError),
    OSError,
)
"""What parsers raise about bytes: tomllib and tomlkit also raise errors of their own code about odd input."""


@contextmanager
def faults() -> Iterator[None]:
    """A context in which any fault of the data that is read is raised as Damaged."""
    try:
        yield
    except Damaged:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("there is no such file") from None
    except RecursionError:
        raise Damaged("it is nested too deeply") from None
    except UnicodeError:
        raise Damaged("it is not UTF-8") from None
    except OSError as error:
        raise Damaged((error.strerror or type(error).__name__).lower()) from None
    except _FAULTS as error:
        raise Damaged(str(error).split("\n")[0][:300]) from None


def read_text(path: Path) -> str:
    """The text of a file. Raises Damaged, also if it is no regular file: reading a pipe would wait for ever."""
    return read_bytes(path, check_utf8=True).decode("utf-8")


def read_bytes(path: Path, *, check_utf8: bool = False) -> bytes:
    """The bytes of a file. Raises as `read_text`."""
    with faults():
        if path.exists() and not path.is_file():
            raise Damaged("it is not a file")
        content = path.read_bytes()
        if check_utf8:
            content.decode("utf-8")
        return content


def read_json(path: Path, kind: type[Wanted]) -> Wanted:
    """A JSON file as `kind`. Raises Damaged; Missing, which is one, if there is no such file."""
    return from_json(read_bytes(path), kind)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain values. Raises as `read_json`."""
    return plain_toml(read_text(path))


def plain_toml(text: str) -> dict[str, Any]:
    """TOML as plain values. Raises Damaged, also for a whole number of more than 64 bits, which TOML does not have."""
    with faults():
        refuse_long_keys(text)
        values = tomllib.loads(text)
        if _LONG_NUMBER.search(text):
            _refuse_long_numbers(values)
        return values


def refuse_long_keys(toml: str) -> None:
    """Raises Damaged for a key of so many parts that a parser would take seconds and a hundred megabytes."""
    if _LONG_KEY.search(toml):
        raise Damaged(f"a key has more than {_MOST_PARTS} parts")


@overload
def convert(value: Any, kind: type[Wanted], *, strict: bool = True) -> Wanted: ...
@overload
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any: ...
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """`value` as `kind`; unless `strict`, text is converted too. Raises Damaged."""
    with faults(), _lock:
        return msgspec.convert(value, kind, strict=strict)


def from_json(content: bytes | str, kind: type[Wanted]) -> Wanted:
    """JSON as `kind`. Raises Damaged."""
    with faults(), _lock:
        return msgspec.json.decode(content, type=kind)


def from_toml(content: bytes, kind: type[Wanted]) -> Wanted:
    """TOML as `kind`. Raises Damaged."""
    with faults(), _lock:
        return msgspec.toml.decode(content, type=kind)


def _refuse_long_numbers(value: Any) -> None:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_long_numbers(item)
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise Damaged("a number has more than 64 bits")
