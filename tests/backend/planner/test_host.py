"""Host memory and disk: predicted from what is written and copied, checked only if the plan is for this box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.answers import Answers
from backend.model import adapter
from backend.planner import host, memory
from backend.planner.box import Box
from backend.planner.compare import compare
from backend.planner.device import Device
from backend.planner.estimates import Comparison
from tests.backend.adapter_files import make_adapter
from tests.shapes import A100_80, CPU, GIB, LLAMA_8B, RTX_4090, model, rows

GB = 10**9
ROOMY = Box(256 * GIB, "/runs", 2000 * GB, "/models", 2000 * GB, True)


def here(device: Device = A100_80, **changes: Any) -> Device:
    return replace(device, here=True, box=replace(ROOMY, **changes))


def seen(device: Device, answers: Answers = Answers(), **changes: Any) -> Comparison:  # noqa: B008
    return compare(answers, device, model(LLAMA_8B, **changes), rows(5000))


def test_disk_is_the_download_the_checkpoints_and_the_result() -> None:
    parts = seen(A100_80, download_bytes=16 * GB).methods["lora"].host.disk_by_part
    adapter = 41_943_040 * 4
    assert parts["download"] == 16 * GB
    assert parts["checkpoints"] == 4 * 3 * adapter  # two kept, the best, the one being written: weights and two moments
    assert parts["result"] == adapter
    assert parts["data"] == 5000 * (400 * 5 + 8)
    assert parts["merged"] == 2 * LLAMA_8B.parameters
    assert seen(A100_80).methods["lora"].host.disk_bytes == sum(parts.values()) - 16 * GB - parts["merged"]


def test_every_setting_that_moves_disk_or_ram_does() -> None:
    base = seen(A100_80).methods["full"].host
    fewer = seen(A100_80, Answers(set=("keep_checkpoints=1",))).methods["full"].host
    assert fewer.disk_by_part["checkpoints"] * 4 == base.disk_by_part["checkpoints"] * 3
    twice = seen(A100_80, Answers(output="/elsewhere")).methods["full"].host
    assert twice.disk_bytes - base.disk_bytes == base.disk_by_part["result"]
    paged = seen(A100_80, Answers(set=("optimizer=paged_adamw_8bit",))).methods["full"].host
    assert paged.ram_by_phase["train"] - base.ram_by_phase["train"] == int(LLAMA_8B.parameters * 2.03125)
    offloaded = seen(A100_80, Answers(set=("checkpointing=true", "activation_offload=true", "micro_batch=1")))
    plain = seen(A100_80, Answers(set=("checkpointing=true", "micro_batch=1")))
    moved = offloaded.methods["lora"].host.ram_by_phase["train"] - plain.methods["lora"].host.ram_by_phase["train"]
    assert moved == 32 * 512 * 4096 * 2  # layers x tokens x width x 16 bit


def test_pinned_memory_is_rounded_up_to_a_power_of_two() -> None:
    """Torch pins 16 MiB for each block's input of 12 MiB: 3 x 512 tokens x 4,096 x 16 bit."""
    settings = ("checkpointing=true", "micro_batch=3", "packing=false", "effective_batch=3")
    moved = [
        seen(A100_80, Answers(set=(*settings, f"activation_offload={x}"))).methods["lora"].host.ram_by_phase["train"]
        for x in ("true", "false")
    ]
    assert moved[0] - moved[1] == 32 * 16 * 2**20


def test_a_checkpoint_of_a_whole_model_passes_through_host_memory() -> None:
    full, lora = seen(A100_80).methods["full"].host, seen(A100_80).methods["lora"].host
    assert full.ram_bytes == full.ram_by_phase["save"] > full.ram_by_phase["train"] + 2 * LLAMA_8B.parameters
    assert lora.ram_bytes == lora.ram_by_phase["load"]
    assert "merge" in lora.ram_by_phase and "merge" not in full.ram_by_phase


def test_on_a_cpu_the_hosts_memory_is_the_devices() -> None:
    lora = seen(CPU).methods["lora"]
    assert lora.host.ram_bytes == lora.memory.peak_bytes


def test_too_little_disk_is_an_obstacle_with_the_smallest_fix_first() -> None:
    full = seen(A100_80).methods["full"].host
    one_less = full.disk_bytes - full.disk_by_part["checkpoints"] // 4
    comparison = seen(here(run_free_bytes=one_less + GB))
    (sentence,) = comparison.methods["full"].obstacles
    assert sentence.startswith("The run writes ") and "to /runs, where" in sentence
    assert "(--set keep_checkpoints=1: " in sentence
    fixed = seen(here(run_free_bytes=one_less + GB), Answers(set=("keep_checkpoints=1",)))
    assert not fixed.methods["full"].obstacles
    (hopeless,) = seen(here(run_free_bytes=20 * GB)).methods["full"].obstacles
    assert "keep_checkpoints" not in hopeless and "set FTTUI_HOME to another disk, or free " in hopeless


def test_downloads_on_another_disk_are_checked_against_it() -> None:
    other = here(one_disk=False, download_free_bytes=5 * GB)
    (sentence,) = seen(other, download_bytes=16 * GB).methods["lora"].obstacles
    assert sentence == (
        "The download of 16.0 GB goes to /models, where 5.0 GB are free: set HF_HOME to another disk, or free 11.0 GB."
    )
    shared = here(run_free_bytes=17 * GB)
    assert seen(shared, download_bytes=16 * GB).methods["lora"].obstacles  # one disk holds both


def test_too_little_host_memory_is_an_obstacle() -> None:
    (sentence,) = seen(here(ram_bytes=20 * GIB)).methods["full"].obstacles
    assert "of host RAM for writing a checkpoint, 20.0 GiB are available: take an adapter method, or free" in sentence
    paged = Answers(set=("optimizer=paged_adamw_8bit",))
    assert any("optimizer=adamw_8bit" in x for x in seen(here(ram_bytes=40 * GIB), paged).methods["full"].obstacles)


def test_what_this_box_lacks_moves_the_choice() -> None:
    deep = Answers(shift="deep")
    assert seen(here(), deep).recommended == "full"
    moved = seen(here(run_free_bytes=20 * GB), deep)
    assert moved.recommended == "lora"
    assert any(sentence.startswith("The run writes") for sentence in moved.methods["full"].why_not)
    nothing = seen(here(run_free_bytes=GB // 10))
    assert nothing.recommended is None and nothing.reasons[0].startswith("The run writes")


def test_another_box_is_not_checked() -> None:
    assert not seen(RTX_4090, download_bytes=10**15).methods["qlora"].obstacles


def test_each_of_several_processes_has_an_interpreter_and_replicas_have_their_states() -> None:
    one, four = seen(A100_80), seen(replace(A100_80, count=4))
    alone, shared = (x.methods["lora"].host.ram_by_phase for x in (one, four))
    assert shared["train"] == 4 * alone["train"]
    assert shared["load"] - shared["train"] == alone["load"] - alone["train"]  # mapped files are shared
    paged = Answers(set=("optimizer=paged_adamw_8bit", "activation_offload=false"))
    full = [seen(replace(A100_80, count=count), paged).methods["full"].host.ram_by_phase["train"] for count in (1, 4)]
    assert full[1] - full[0] == 3 * alone["train"]  # the states are sharded


def test_a_model_that_is_sharded_is_read_whole_by_the_first_process() -> None:
    methods = seen(replace(A100_80, count=4)).methods
    full, lora = methods["full"], methods["lora"]
    added = full.host.ram_by_phase["load"] - lora.host.ram_by_phase["load"]
    assert added == LLAMA_8B.parameters * memory.trained_bytes(full.plan)


def test_an_adapter_that_is_merged_in_memory_first_takes_the_whole_model_in_memory(tmp_path: Path) -> None:
    plain = adapter.read(make_adapter(tmp_path / "plain"))
    odd = adapter.read(make_adapter(tmp_path / "odd", alpha_pattern={"q_proj": 8}))
    known = model(LLAMA_8B)
    merged = {name: replace(known, adapter=found) for name, found in (("plain", plain), ("odd", odd))}
    needs = {
        name: compare(Answers(), here(ram_bytes=4 * GIB), start, rows(1000, 500)).methods["full"]
        for name, start in merged.items()
    }
    assert "base" not in needs["plain"].host.ram_by_phase
    assert needs["odd"].host.ram_by_phase["base"] > 2 * LLAMA_8B.parameters
    said = list(host.obstacles(needs["odd"].host, needs["odd"].plan, here(CPU, ram_bytes=4 * GIB)))
    assert len(said) == 1 and "of host RAM for merging the adapter before it trains" in said[0]
    assert not list(host.obstacles(needs["plain"].host, needs["plain"].plan, here(CPU, ram_bytes=4 * GIB)))


def test_no_more_checkpoints_are_counted_than_a_run_writes() -> None:
    many = seen(A100_80, Answers(set=("keep_checkpoints=1000",))).methods["full"]
    five = seen(A100_80, Answers(set=("keep_checkpoints=5",))).methods["full"]
    assert many.host.disk_by_part == five.host.disk_by_part and many.host.kept_checkpoints == 5
