"""A step whose answer is looked up (a model, a file) in a thread; the screen says so, and ignores an outdated result.

What is highlighted is looked up and shown; Enter makes it the answer.
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
"""Pause after the last key before anything is looked up."""
_SAID_AFTER_SECONDS = 0.1
"""An answer that comes sooner replaces the previous one directly, without a message or a layout in between."""


class LookingStep(WizardStep):
    """`look` asks; `found` or `failed` is called with the answer to the latest question only."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: object = None
        self._call: Callable[[], Any] | None = None
        self._timer: Timer | None = None
        self._says: Timer | None = None
        self._goes_on = False
        self._found: Any = None
        self.is_looking = False
        self.error: UserError | None = None

    def looking(self) -> None:
        """Show that the look-up is running."""
        raise NotImplementedError

    def found(self, value: Any) -> None:
        """Show the answer."""
        raise NotImplementedError

    def take(self, value: Any) -> None:
        """Store the answer, as Enter was pressed."""
        raise NotImplementedError

    def failed(self, error: UserError) -> None:
        """Show what is wrong."""
        raise NotImplementedError

    def look(self, key: object, call: Callable[[], Any], delay: float = 0.0) -> None:
        """Ask `call` in a thread, after `delay` seconds without another question."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._wanted not in (None, key):  # Enter was pressed for what was highlighted before
            self._goes_on = False
        self._wanted, self._call = key, call
        self.is_looking, self.error = True, None
        self._be_silent()
        self._says = self.set_timer(_SAID_AFTER_SECONDS, self.looking)
        if delay:
            self._timer = self.set_timer(delay, self._start)
        else:
            self._start()

    def proceed(self) -> None:
        """Enter: to the next step, at once or when the answer is there; if it is wrong, show the error and stay."""
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
        """Show an answer, unless something else has been asked since."""
        event.stop()
        if event.key != self._wanted:
            return
        self.is_looking, self.error = False, event.error
        self._be_silent()
        if event.error is not None:
            self._goes_on = False
            self.failed(event.error)
            return
        self._found = event.value
        self.found(event.value)
        if self._goes_on and self.is_current:
            self._go_on()

    def _go_on(self) -> None:
        """Store the answer and go to the next step."""
        self.take(self._found)
        self.query_one(Picker).keep()
        self.update_rail()
        self.wizard.go_on()

    def _be_silent(self) -> None:
        if self._says is not None:
            self._says.stop()
            self._says = None

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
