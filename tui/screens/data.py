"""Which data: files of this folder first; what the model will see of it, and which tokens are targets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from backend import units
from backend.data.preflight.used import used
from backend.data.report import DataReport
from backend.errors import UserError
from backend.planner import findings
from tui.findings import in_wizard
from tui.journey import Reading
from tui.messages import Listed
from tui.plain import plain
from tui.screens import numbers, planned
from tui.screens.looking import TYPING_PAUSE_SECONDS, LookingStep
from tui.screens.rows import RowsScreen
from tui.widgets.data_preview import preview
from tui.widgets.entry import Entry
from tui.widgets.field import Field
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice
from tui.widgets.preview import Preview

if TYPE_CHECKING:
    from pathlib import Path

DEMO = Choice("demo", "demo", "ships with fttui, school maths")
NO_DATA = Choice("no data yet", "no data yet", "plan with rows x tokens", always=True)
DEMO_POLL_SECONDS = 0.5
_BY_NAME = "found by name"
_FIELDS = ("data", "mapping", "rows", "row_tokens")
_HELP = (
    "A JSON, JSONL, CSV, Parquet or text file, a folder of them, a hub id, or demo. Alpaca, ShareGPT, messages, "
    "prompt/completion and plain text are recognised by their columns. The loss counts answers only; of plain "
    "text it counts everything."
)
_MAPPING_HELP = (
    "Which column plays which part, as role=column with commas between: prompt=question, completion=answer. "
    "Empty lets fttui find it by the usual names."
)


class DataScreen(LookingStep):
    """The training data."""

    STEP: ClassVar[str] = "data"
    HELP_TEXT: ClassVar[str] = _HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+b", "browse", "rows", tooltip="Every row as the model sees it"),
    ]

    def body(self) -> ComposeResult:
        """Question, mapping or sizes; the report beside it."""
        answers = self.journey.answers
        with Container(classes="split"):
            with Vertical(id="question"):
                yield Picker(
                    "What do you train it on?",
                    "data",
                    placeholder="file, folder or hub id; Tab completes",
                    help=_HELP,
                    paths="files",
                )
                yield Field("mapping", "columns", ", ".join(answers.mapping), placeholder=_BY_NAME, help=_MAPPING_HELP)
                yield Field(
                    "rows", "rows", numbers.text(answers.rows or 1000), help="How many examples you expect to have."
                )
                yield Field(
                    "row_tokens",
                    "tokens a row",
                    numbers.text(answers.row_tokens or 500),
                    help="Prompt and answer of one example together; 100 words are about 130 tokens.",
                )
            yield Preview(id="preview")

    def __init__(self) -> None:
        super().__init__()
        self._read_as: Reading = ({}, True)

    def refreshed(self) -> None:
        """Back from a later step: read again what would be read otherwise by now."""
        if isinstance(self._found, DataReport) and not self.is_looking and self._read_as != self.journey.reading():
            self._read(0.0)

    def on_mount(self) -> None:
        """List the folder's files, in a thread."""
        self.query_one(Entry).focus()
        self.query_one(Preview).say("data", "looking at this folder…", "…")
        self.is_looking = True
        self._toggle_fields("")
        self.run_worker(self._list, thread=True, group="list")
        self._demo_timer = self.set_interval(DEMO_POLL_SECONDS, self.when_demo_is_ready, pause=True)

    def on_listed(self, event: Listed) -> None:
        """Offer them; what was answered last is highlighted, else the demo's rows for the demo model."""
        files: list[Path] = event.found
        here = [Choice(str(path), path.name, units.disk(_bytes(path))) for path in files]
        answers = self.journey.answers
        last = answers.data or (NO_DATA.value if answers.rows else "")
        first = DEMO if answers.model == "demo" else [*here, DEMO][0]
        self.query_one(Picker).offer([*here, DEMO, NO_DATA], last or first.value)

    def on_picker_changed(self, event: Picker.Changed) -> None:
        """Read what is highlighted now; the mapping of another file doesn't apply to it."""
        answers = self.journey.answers
        mapping = answers.mapping if event.value == answers.data else ()
        self.query_one("#field-mapping", Entry).value = ", ".join(mapping)
        self._toggle_fields(event.value)
        self._read(TYPING_PAUSE_SECONDS if self.query_one("#field-data", Entry).value else 0.0)

    def on_input_changed(self, event: Entry.Changed) -> None:
        """Another mapping or size: read again after a pause."""
        if event.input.has_focus:
            self._read(TYPING_PAUSE_SECONDS)

    def _go_on(self) -> None:
        """Go on, unless the report has a finding that stops a run: it is shown here, before more is asked."""
        report: DataReport = self._found
        stops = findings.stops(used(report, self._max_length(report)).findings)
        if stops:
            self._complain("data", in_wizard(stops[0]))
        else:
            super()._go_on()

    def action_browse(self) -> None:
        """Row by row, on a screen of its own."""
        report, journey = self._found, self.journey
        if isinstance(report, DataReport):
            length = self._max_length(report)
            model = journey.sources.started(journey.answers, journey.model)
            asked = (self._chosen, self._mapping, model, length, self._read_as[0])
            call = partial(journey.sources.browse_data, *asked)
            self.app.push_screen(RowsScreen(call))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There are rows to browse once data was read."""
        if action == "browse":
            is_read = not self.is_looking and self.error is None and self._found is not None
            return is_read and self._chosen != NO_DATA.value
        return super().check_action(action, parameters)

    def looking(self) -> None:
        """Say so."""
        self.query_one(Preview).say(self._chosen, "reading…", "…")

    def found(self, value: DataReport) -> None:
        """Show the report."""
        for name in _FIELDS:
            self._complain(name, "")
        self._show(value)

    def take(self, value: DataReport) -> None:
        """It is the data."""
        self._demo_timer.pause()
        sizes_only = self._chosen == NO_DATA.value
        self.journey.data, self.journey.read_as = value, self._read_as
        self.journey.answer(
            data="" if sizes_only else self._chosen,
            rows=value.rows if sizes_only else None,
            row_tokens=value.percentile(50) if sizes_only else None,
            mapping=() if sizes_only else self._mapping,
        )

    def failed(self, error: UserError) -> None:
        """Mark the field that is to blame."""
        self.query_one(Preview).say(self._chosen, "nothing that can be trained on")
        self.query_one("#field-mapping", Entry).placeholder = _BY_NAME
        to_blame = error.field if error.field in _FIELDS else "data"
        for name in _FIELDS:
            self._complain(name, in_wizard(str(error)) if name == to_blame else "")
        self.refresh_bindings()

    def when_demo_is_ready(self) -> None:
        """Polled while it is being made: then count with its tokenizer."""
        if not self.journey.waits_for_demo() and not self.is_looking:
            self._demo_timer.pause()
            self._read(0.0)

    @property
    def _chosen(self) -> str:
        return self.query_one(Picker).value

    @property
    def _mapping(self) -> tuple[str, ...]:
        text = self.query_one("#row-mapping", Field).text
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def _max_length(self, report: DataReport) -> int | None:
        """The number of tokens after which rows will be cut: as answered, or as the planner will choose it."""
        answered, model = self.journey.answers.max_length, self.journey.model
        return answered or (
            self.journey.sources.max_length(model, report) if model is not None and report.rows else None
        )

    def _show(self, report: DataReport) -> None:
        panel = self.query_one(Preview)
        waits = self.journey.waits_for_demo()
        self._demo_timer.resume() if waits else self._demo_timer.pause()
        note = "preparing the demo model; token counts are estimates until then" if waits else ""
        max_length = self._max_length(report)
        panel.show(
            self._chosen, lambda width: preview(report, width, note, max_length), units.counted(report.all_rows, "row")
        )
        self.refresh_bindings()
        found = ", ".join(f"{role}={column}" for role, column in report.mapping.items())
        self.query_one("#field-mapping", Entry).placeholder = plain(found, lines=False) or _BY_NAME

    def _read(self, delay: float) -> None:
        chosen, mapping = self._chosen, self._mapping
        if chosen == NO_DATA.value:
            call = partial(
                self._predict, self.query_one("#row-rows", Field).text, self.query_one("#row-row_tokens", Field).text
            )
            self.look((chosen, *call.args), call, delay)
        else:
            self.look((chosen, mapping), partial(self._inspect, chosen, mapping), delay)

    def _inspect(self, chosen: str, mapping: tuple[str, ...]) -> DataReport:
        """In the worker: read the data, with the demo model's tokenizer if it is ready."""
        self._read_as = self.journey.reading()
        return planned.read(self.journey, chosen, mapping, self._read_as)

    def _predict(self, rows: str, row_tokens: str) -> DataReport:
        return self.journey.sources.predict_data(
            numbers.whole(rows, "rows", "rows", least=1),
            numbers.whole(row_tokens, "tokens a row", "row_tokens", least=2),
        )

    def _toggle_fields(self, chosen: str) -> None:
        sizes_only = chosen == NO_DATA.value
        self.query_one("#row-mapping").display = not sizes_only
        self.query_one("#row-rows").display = self.query_one("#row-row_tokens").display = sizes_only

    def _complain(self, name: str | None, message: str) -> None:
        widget = self.query_one(Picker) if name == "data" else self.query_one(f"#row-{name}", Field)
        widget.complain(message)

    def _list(self) -> None:
        self.post_message(Listed(self.journey.sources.data_here()))


def _bytes(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(x.stat().st_size for x in path.rglob("*") if x.is_file())
