"""A step whose answer must be looked up (a model, a file): in a thread, visibly, and ignored when it comes too late.

What is highlighted is looked up and shown; it is the answer when Enter takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.timer import Timer
from textual.worker import get_current_worker

from backend.errors import UserError
from tui.messages import Looked
from tui.screens.step import WizardStep
from tui.widgets.picker import Picker

TYPING_PAUSE_SECONDS = 0.4
"""No look-up while keys still come."""


class LookingStep(WizardStep):
    """`look` asks; `found` or `failed` is called with the answer to the latest question only."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: object = None
        self._call: Callable[[], Any] | None = None
        self._timer: Timer | None = None
        self._goes_on = False
        self._found: Any = None
        self.is_looking = False
        self.error: UserError | None = None

    def looking(self) -> None:
        """Show that the answer is on its way."""
        raise NotImplementedError

    def found(self, value: Any) -> None:
        """Show the answer."""
        raise NotImplementedError

    def take(self, value: Any) -> None:
        """Store the answer: Enter took it."""
        raise NotImplementedError

    def failed(self, error: UserError) -> None:
        """Show what is wrong."""
        raise NotImplementedError

    def look(self, key: object, call: Callable[[], Any], delay: float = 0.0) -> None:
        """Ask `call` in a thread, after `delay` seconds without another question."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._wanted, self._call, self._goes_on = key, call, False
        self.is_looking, self.error = True, None
        self.looking()
        if delay:
            self._timer = self.set_timer(delay, self._start)
        else:
            self._start()

    def proceed(self) -> None:
        """Enter: on, or as soon as the answer is there; where it is wrong, say so again and stay."""
        if self.is_looking:
            self._goes_on = True
            if self._timer is not None:
                self._timer.stop()
                self._timer = None
                self._start()
        elif self.error is not None:
            self.failed(self.error)
        else:
            self._go_on()

    def on_looked(self, event: Looked) -> None:
        """An answer; to an older question it is of no interest any more."""
        event.stop()
        if event.key != self._wanted:
            return
        self.is_looking, self.error = False, event.error
        if event.error is not None:
            self._goes_on = False
            self.failed(event.error)
            return
        self._found = event.value
        self.found(event.value)
        if self._goes_on and self.is_current:
            self._go_on()

    def _go_on(self) -> None:
        """Everything is there: to the next step."""
        self.take(self._found)
        self.query_one(Picker).keep()
        self.update_rail()
        self.wizard.go_on()

    def _start(self) -> None:
        self._timer = None
        assert self._call is not None
        self.run_worker(partial(self._ask, self._wanted, self._call), thread=True, exclusive=True, group="look")

    def _ask(self, key: object, call: Callable[[], Any]) -> None:
        worker = get_current_worker()
        try:
            answer = Looked(key, call())
        except UserError as error:
            answer = Looked(key, error=error)
        if not worker.is_cancelled:
            self.post_message(answer)
