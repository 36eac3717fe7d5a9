"""How many weights of a model are loaded, as transformers counts them: this stands in for its progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from functools import partial
from typing import Any

from transformers.utils import logging

Tell = Callable[[int, int], None]
"""Called with how many weights are done, and how many there are."""


class _Counted:
    """A progress bar over something whose length is known, which tells how far it is as it is gone through."""

    def __init__(self, bar: Any, over: Any, tell: Tell) -> None:
        self._bar, self._over, self._tell = bar, over, tell

    def __iter__(self) -> Iterator[Any]:
        total = len(self._over)
        for done, one in enumerate(self._over):
            self._tell(done, total)
            yield one

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)


@contextmanager
def reported_to(tell: Tell) -> Iterator[None]:
    """Within the context, `tell` is called when transformers would move a progress bar, if it has the hook."""
    set_hook = getattr(logging, "set_tqdm_hook", None)
    if set_hook is None:
        yield
        return
    before = set_hook(partial(_bar, tell))
    try:
        yield
    finally:
        set_hook(before)


def _bar(tell: Tell, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bar, over = factory(*args, **kwargs), args[0] if args else None
    return _Counted(bar, over, tell) if isinstance(over, Sized) else bar
