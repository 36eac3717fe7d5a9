"""Files that 0.1 wrote are read, and what is written keeps their names."""

from __future__ import annotations

from pathlib import Path

from backend.plan.job import Job, PeakParts, Prediction, Uncorrected
from backend.plan.plan import Plan
from backend.run import plan_file

OF_0_1 = """
model = "m"
model_folder = "/m"
data = "rows.jsonl"
device = "cpu"
device_name = "CPU"

[plan]
method = "lora"

[foreseen]
peak_bytes = 10
peak_allocated_bytes = 9
device_bytes = 100
tokens_per_second = 250.0

[foreseen.phases]
load = 7

[foreseen.uncorrected]
parameters = 5
tokens_per_second = 240.0
overhead_seconds = 3.0

[foreseen.uncorrected.memory]
rest_bytes = 1
states_bytes = 2
passing_bytes = 3
slack_bytes = 4
fixed_bytes = 5
load_bytes = 6
"""


def test_a_plan_of_0_1_is_read_and_written_back_with_its_names(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(OF_0_1)
    job = plan_file.read(file)
    parts = PeakParts(1, 2, 3, 4, 5, 6)
    prediction = Prediction(
        10, 9, 100, None, None, None, 250.0, phases={"load": 7}, uncorrected=Uncorrected(5, parts, 240.0, 3.0)
    )
    assert job == Job("m", "/m", "rows.jsonl", Plan(method="lora"), "cpu", "CPU", predicted=prediction)
    plan_file.write(file, job)
    assert plan_file.read(file) == job
    written = file.read_text()
    assert "[foreseen.uncorrected.memory]" in written
    assert "passing_bytes = 3" in written
