"""How two runs differ."""

from __future__ import annotations

from backend.run.history import read
from tests.tui.story import Story, finish, make_run, tell
from tui.run_diff import differences


def test_the_mean_speed_of_a_run_is_compared_and_not_that_of_a_step() -> None:
    folders = make_run(), make_run()
    story = Story(total_steps=20)
    finish(folders[0], tell(folders[0], story.begin(), story.steps(20)), "done", tokens_per_second=1234.0)
    tell(folders[1], story.begin(), story.steps(9))
    histories = read(folders[0].events_file), read(folders[1].events_file)
    found = dict(differences(folders, histories))
    assert found["tokens/s"] == ("1,234", "-")
