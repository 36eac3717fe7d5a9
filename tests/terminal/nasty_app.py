"""The live screen over a run whose every outside text is nasty: `python -m tests.terminal.nasty_app`."""

from __future__ import annotations

from backend.run.event_log import EventLog
from backend.run.events import Logged, PhaseStarted, Sampled
from tests.tui.nasty import NASTY
from tests.tui.stage import Stage
from tests.tui.story import Story, make_run, tell
from tui.plain import safe
from tui.screens.live import LiveScreen


def main() -> None:
    folder, story = make_run(model="m"), Story()
    tell(folder, story.begin(), story.steps(5))
    log = EventLog(folder.events_file)
    for name, text in NASTY.items():
        harmless_in_json = text.encode("utf-8", "replace").decode()
        log.write(Logged(level="error", text=f"{name}: {harmless_in_json}"))
        log.write(Sampled(step=5, prompt=harmless_in_json, text=harmless_in_json))
    log.write(PhaseStarted(name=NASTY["title"]))
    app = Stage(LiveScreen(folder))
    app.call_later(lambda: app.notify(safe("".join(NASTY.values())).plain, title="ALL SHOWN", timeout=60, markup=False))
    with folder.hold():
        app.run()


if __name__ == "__main__":
    main()
