"""A step after the data: its figures follow the data as a run would read it now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.timer import Timer

from backend.errors import UserError
from tui.screens.step import WizardStep

if TYPE_CHECKING:
    from backend.data.report import DataReport
    from tui.journey import Journey, Reading

POLL_SECONDS = 0.5
_SAID_AFTER_SECONDS = 0.5


class PlannedStep(WizardStep):
    """Reads the data again if a setting changed what is read of it, or once the demo model's tokenizer is there."""

    _says: Timer | None = None

    def on_mount(self) -> None:
        """The demo model becomes ready at any time."""
        self.set_interval(POLL_SECONDS, self.read_again)

    def read_again(self) -> None:
        """Read the data again in a thread, if it would be read differently now."""
        journey, wanted = self.journey, self.journey.reading()
        before, journey.read_as = journey.read_as or wanted, wanted
        if journey.answers.data and wanted != before:
            self._says = self.app.set_timer(_SAID_AFTER_SECONDS, partial(self.app.notify, "Reading the data again …"))
            self.app.run_worker(partial(self._reread, wanted), thread=True, exclusive=True, group="reread")

    def _reread(self, wanted: Reading) -> None:
        answers = self.journey.answers
        try:
            report = read(self.journey, answers.data, answers.mapping, wanted)
        except UserError as error:
            self.app.call_later(self._failed, str(error))
        else:
            self.app.call_later(self._take, wanted, answers.data, report)

    def _take(self, wanted: Reading, data: str, report: DataReport) -> None:
        """Show the report on the current step, unless other data or settings are wanted by now."""
        self._be_silent()
        if (wanted, data) != (self.journey.read_as, self.journey.answers.data):
            return
        self.journey.data = report
        if refused := self.journey.forget_refused():
            self.app.notify(f"An earlier setting is dropped: {refused}", severity="warning")
        if isinstance(self.app.screen, PlannedStep):
            self.app.screen.refreshed()

    def _failed(self, error: str) -> None:
        self._be_silent()
        self.app.notify(f"The data can't be read as set: {error}", severity="warning")

    def _be_silent(self) -> None:
        if self._says is not None:
            self._says.stop()


def read(journey: Journey, data: str, mapping: tuple[str, ...], how: Reading) -> DataReport:
    """In a worker: the report on `data`, counted with the demo model's tokenizer if that has come. Raises UserError."""
    if journey.answers.model == "demo" and journey.model is not None and journey.model.tokenizer_file is None:
        journey.model = journey.sources.find_model("demo")
    model = journey.sources.started(journey.answers, journey.model)
    return journey.sources.inspect_data(data, mapping, model, how[0])
