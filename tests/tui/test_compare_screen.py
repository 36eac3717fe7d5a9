"""The compare screen: every figure moves with the what-if keys, the columns are chosen by keys, and all of it fits."""

from __future__ import annotations

import pytest

from backend import answers_file
from backend.planner import rent
from tests.tui import box
from tui.app import WizardApp
from tui.screens.compare import CompareScreen, next_of
from tui.screens.gpu_choice import GpuChoice
from tui.sources import Sources
from tui.widgets.method_card import MethodCard
from tui.widgets.what_if import WhatIf

SIZE = (80, 24)


def figures(screen: CompareScreen) -> list[str]:
    return [card.render().plain for card in screen.query(MethodCard)]


@pytest.mark.parametrize(("key", "moved"), [("e", "epochs"), ("L", "length")])
async def test_a_what_if_key_changes_every_column(key: str, moved: str) -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        before = figures(screen)
        await pilot.press(key)
        await pilot.pause()
        after = figures(screen)
        assert all(a != b for a, b in zip(after, before, strict=True))
        line = str(screen.query_one("#what-if").render())
        assert moved in line and "→" in line and "QLoRA" in line
        await pilot.press("x")
        await pilot.pause()
        assert figures(screen) == before


async def test_rank_changes_the_adapters_only() -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        before = figures(screen)
        await pilot.press("r")
        await pilot.pause()
        after = figures(screen)
        assert after[0] != before[0] and after[1] != before[1] and after[2] == before[2]
        assert app.journey.answers.set == ("rank=32",)


async def test_figures_follow_the_highlighted_gpu_and_esc_undoes_it() -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        before = figures(screen)
        await pilot.press("g", *"H200")
        await box.settled(pilot)
        assert isinstance(app.screen, GpuChoice)
        assert all(a != b for a, b in zip(figures(screen), before, strict=True))
        await pilot.press("escape")
        await box.settled(pilot)
        assert figures(screen) == before
        assert app.journey.answers.gpu is None
        await pilot.press("g", *"H200", "enter")
        await box.settled(pilot)
        assert app.journey.device is not None and app.journey.device.name.startswith("H200")
        await pilot.press("x")
        await pilot.pause()
        assert figures(screen) == before


async def test_arrows_choose_the_method_that_is_reviewed() -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        assert app.journey.chosen() == "qlora"
        await pilot.press("right")
        await pilot.pause()
        why = app.screen.query_one("#why").render().plain  # type: ignore[union-attr]
        assert why.startswith("Why not Full")
        await pilot.press("right", "left", "left", "enter")
        await box.settled(pilot)
        assert app.journey.method == "lora"
        assert "LoRA of" in str(app.screen.query_one("#summary").render())


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_nothing_is_cut_off(size: tuple[int, int]) -> None:
    app = box.at("compare")
    async with app.run_test(size=size) as pilot:
        await box.settled(pilot)
        for card in app.screen.query(MethodCard):
            assert card.region.bottom <= size[1] - 4
            assert card.size.height == card.render().plain.count("\n") + 1
            assert max(map(len, card.render().plain.splitlines())) <= card.content_size.width
            assert "…" not in card.render().plain
        assert app.screen.query_one("#reasons").size.height >= 5


def test_next_of_wraps_around() -> None:
    assert next_of((1, 2, 4), 2, 1) == 4
    assert next_of((1, 2, 4), 4, 1) == 1
    assert next_of((1, 2, 4), 3, -1) == 2
    assert next_of((1, 2, 4), 1, -1) == 4


@pytest.mark.parametrize("gpu", ["", "MI300X", "T4", "H100:8"])
async def test_time_and_cost_have_their_ranges_at_80_columns(gpu: str) -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        app.plan_for(gpu)
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        screen.show()
        for card in screen.query(MethodCard):
            lines = card.render().plain.splitlines()
            place = {line.split()[0]: number for number, line in enumerate(lines) if line.split()}
            assert "–" in "".join(lines[place["time"] : place["cost"]])
            assert "–" in "".join(lines[place["cost"] : place["quality"]])
            assert max(map(len, lines)) <= card.content_size.width


async def test_the_keys_stay_on_one_line_whatever_the_gpu_is_called() -> None:
    app = box.at("compare")
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        app.plan_for("RTX PRO 6000 Blackwell Max-Q:8")
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        screen.show()
        keys = str(screen.query_one("#what-if").render()).splitlines()[0]
        assert len(keys) <= SIZE[0] - 4 and keys.rstrip().endswith("GPU*")


async def test_x_goes_back_to_the_gpu_of_the_first_screen() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press(*"L40S")
        await box.to_step(pilot, "compare")
        before = figures(screen) if isinstance(screen := app.screen, CompareScreen) else []
        await pilot.press("e", "g", *"H200", "enter")
        await box.settled(pilot)
        assert (app.journey.answers.gpu or "").startswith("H200")
        await pilot.press("x")
        await pilot.pause()
        assert app.journey.answers.gpu == "L40S" and app.journey.answers.epochs is None
        assert isinstance(screen, CompareScreen) and figures(screen) == before


async def test_settings_of_an_earlier_session_are_said_and_x_clears_them() -> None:
    app = box.at("compare")
    app.journey.answer(epochs=300.0, set=("rank=8",))
    app.journey.restored = frozenset(("epochs", "rank"))
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        line = str(app.screen.query_one("#what-if").render())
        assert "* from your last run: epochs 300, rank 8; x clears them" in line
        await pilot.press("x")
        await pilot.pause()
        assert "last run" not in str(app.screen.query_one("#what-if").render())
        assert app.journey.comparison().methods["lora"].plan.epochs < 300


async def test_a_method_that_the_user_set_is_not_called_recommended() -> None:
    app = box.at("compare")
    app.journey.answer(set=("method=lora",))
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        titles = [str(card.border_title) for card in app.screen.query(MethodCard)]
        assert titles == ["LoRA ● you set it", "QLoRA", "Full"]
        why = app.screen.query_one("#why").render().plain  # type: ignore[union-attr]
        assert why.startswith("LoRA is set") and "recommended" not in why


async def test_a_price_belongs_to_the_gpu_that_it_was_given_for() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.settled(pilot)
        await pilot.press(*"L40S")
        await box.to_step(pilot, "compare")
        app.journey.answer(price_usd_per_hour=9.0)
        nine = app.journey.comparison().methods["lora"].cost_usd
        app.plan_for("H200")
        other = app.journey.comparison().methods["lora"].cost_usd
        assert app.journey.answers.price_usd_per_hour is None
        assert other is not None and other.point / app.journey.comparison().methods["lora"].hours.point < 8
        app.plan_for("L40S")
        assert app.journey.answers.price_usd_per_hour == 9.0
        again = app.journey.comparison().methods["lora"].cost_usd
        assert nine == again
        app.journey.save()
    assert answers_file.prices() == {"L40S": 9.0}
    assert box.app().journey.prices == {"L40S": 9.0}


async def test_what_fits_and_can_not_run_is_not_called_fits() -> None:
    """It fits the card but costs more than the budget: a sign for "fits" would contradict the reasons below it."""
    app = box.at("compare")
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        app.journey.answer(budget_usd=0.01)
        app.screen.refreshed()  # type: ignore[attr-defined]
        await box.settled(pilot)
        seen = app.journey.comparison().methods
        fitting = [method for method, estimate in seen.items() if estimate.fit != "no"]
        assert fitting and all("your budget is" in " ".join(seen[method].obstacles) for method in fitting)
        for card in app.screen.query(MethodCard):
            first = card.render().plain.splitlines()[0]
            assert first.strip().startswith("! blocked" if card.method in fitting else "✗ too big")


@pytest.mark.parametrize(("width", "title"), [(70, "QLoRA ★"), (80, "QLoRA ★ recommended")])
async def test_the_recommended_column_says_so_in_as_much_room_as_there_is(width: int, title: str) -> None:
    app = box.at("compare")
    async with app.run_test(size=(width, 24)) as pilot:
        await box.settled(pilot)
        assert title in [str(card.border_title) for card in app.screen.query(MethodCard)]


def with_a_kernel_of_newer_gpus() -> WizardApp:
    """Planned for a GPU that can take a setting which others can't."""
    app = box.at("compare", named=Sources().named)
    app.plan_for("H100")
    app.journey.answer(set=("attention=flash_attention_2",))
    return app


@pytest.mark.parametrize("kept", [True, False])
async def test_a_setting_that_another_gpu_can_not_take_is_left_to_the_planner_there(kept: bool) -> None:
    app = with_a_kernel_of_newer_gpus()
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        await pilot.press("g")
        await pilot.pause()
        await pilot.press(*"T4")
        await box.settled(pilot)
        assert app.journey.device is not None and app.journey.device.name == "T4"
        await pilot.press("enter" if kept else "escape")
        await box.settled(pilot)
        assert isinstance(app.screen, CompareScreen)
        shown = str(app.screen.query_one(WhatIf).render())
        assert app.journey.answers.set == (() if kept else ("attention=flash_attention_2",))
        assert ("left to the planner again: attention flash_attention_2" in shown) == kept
        assert app.journey.device.name == ("T4" if kept else "H100 SXM")


async def test_a_gpu_to_rent_that_can_not_take_a_setting_says_so_and_is_not_taken() -> None:
    app = with_a_kernel_of_newer_gpus()
    offers = {x.device.name: x for x in rent.offers(app.journey.answers, box.model(), box.report())}
    assert offers["A10"].estimate is not None
    assert offers["T4"].estimate is None and "flash_attention_2 can't be taken" in offers["T4"].out
    async with app.run_test(size=(120, 40)) as pilot:
        await box.settled(pilot)
        assert isinstance(app.screen, CompareScreen)
        app.screen._rented(offers["T4"])
        await box.settled(pilot)
        assert "flash_attention_2 can't be taken" in box.said(app)
        assert app.journey.device is not None and app.journey.device.name == "H100 SXM"
