"""What each preset would take on this box: beside it in the list, and in a sentence; the hub is never asked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from backend import presets
from backend.errors import UserError
from backend.model.info import ModelInfo
from backend.plan.preset import Preset
from backend.planner.outlook import Outlook
from tests.tui import box
from tests.tui.test_presets_screen import opened, own, text_of
from tui.journey import Journey
from tui.sources import Sources
from tui.widgets import preset_outlook
from tui.widgets.picklist import PickList
from tui.widgets.preset_outlook import Known, in_short, look, sentence


def journey(**changes: Any) -> Journey:
    return box.at("goal", **changes).journey


def preset(plan: dict[str, Any], job: dict[str, Any]) -> Preset:
    return Preset("mine", "", plan, job, Path("mine.toml"), shipped=False)


def test_the_presets_method_and_model_are_planned_for_this_box() -> None:
    it = journey(model_here=lambda name: box.model("Qwen/Qwen2.5-0.5B"))
    found = look(it, Known.of(it), preset({"method": "full"}, {"model": "Qwen/Qwen2.5-0.5B"}))
    assert (found.method, found.model, found.seen.fit) == ("full", "Qwen2.5-0.5B", "fits")
    assert found.data == "support.jsonl" and found.rows == box.ROWS
    assert in_short(found).startswith("✓ fits") and in_short(found)[-1] in "smh"


def test_without_a_method_it_is_the_recommended_one_and_without_data_the_usual_size() -> None:
    it = journey()
    it.data = None
    it.answer(data="")
    found = look(it, Known.of(it), preset({"rank": 64}, {}))
    assert found.method == "qlora" and found.rows == preset_outlook.ROWS
    assert sentence(found).plain.endswith("1,000 rows, as no data is chosen yet.")


def test_a_gpu_that_the_preset_names_is_planned_for_and_said() -> None:
    it = journey()
    assert sentence(look(it, Known.of(it), preset({}, {"gpu": "L40S"}))).plain.startswith("On L40S: ")
    assert it.answers.gpu is None, "the wizard's own answers stay"


def test_the_hub_is_not_asked() -> None:
    it = journey(model_here=Sources().model_here)
    with pytest.raises(UserError, match="some/unknown-model is not on this box"):
        look(it, Known.of(it), preset({}, {"model": "some/unknown-model"}))


async def test_the_list_and_the_preview_say_it_and_it_is_found_out_in_a_worker() -> None:
    own("elsewhere", 'description = "x"\n[job]\nmodel = "some/unknown-model"\n')
    threads: list[str] = []

    def here(name: str) -> ModelInfo | None:
        threads.append(threading.current_thread().name)
        return None if "unknown" in name else box.model("Qwen/Qwen2.5-0.5B", name)

    app = box.at("goal", model_here=here)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, "solo-qlora")
        await box.settled(pilot)
        details = {choice.label: choice.detail for choice in screen.query_one(PickList)._choices}
        assert details["solo-qlora"].startswith("✓ fits ") and details["solo-qlora"].endswith("shipped ")
        assert details["elsewhere"] == "your own"
        assert "On this box: QLoRA ✓ fits, " in " ".join(text_of(screen).split())
        chosen = screen.query_one(PickList).choice
        assert chosen is not None and chosen.label == "solo-qlora", "what comes in does not move the cursor"
        await pilot.press("up", "up", "up", "up", "up")
        await box.settled(pilot)
        assert "some/unknown-model is not on this box" in " ".join(text_of(screen).split())
    assert threads and threading.main_thread().name not in threads


def test_every_shipped_preset_has_an_outlook() -> None:
    it = journey(model_here=lambda name: box.model("Qwen/Qwen2.5-0.5B", name))
    shipped = [one for one in presets.listing() if isinstance(one, Preset) and one.shipped]
    found = [look(it, Known.of(it), one) for one in shipped]
    assert len(found) > 2 and all(isinstance(one, Outlook) for one in found)
