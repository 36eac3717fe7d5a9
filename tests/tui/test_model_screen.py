"""The model step: known models are filtered while typing, Tab completes a path and takes a suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult

from backend import suggest
from backend.errors import UserError
from backend.planner import devices, known_fits
from tests.tui import box
from tests.tui.stage import Stage
from tui import complete
from tui.screens.model import ModelScreen, fit_words
from tui.widgets.entry import Entry
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice, PickList

SIZE = (80, 24)


def lines(app: Any) -> list[str]:
    return [choice.value for choice in app.screen.query_one(PickList)._choices]


async def test_known_models_are_filtered_as_one_types_with_what_fits() -> None:
    app = box.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await box.to_step(pilot, "model")
        await box.settled(pilot)
        assert lines(app)[:2] == ["meta-llama/Llama-3.1-8B-Instruct", "demo"] and len(lines(app)) > 60
        await pilot.press(*"qwen3-8")
        await box.settled(pilot)
        assert lines(app)[0] == "Qwen/Qwen3-8B"
        assert "8.19 B  ✓ LoRA " in app.screen.query_one(PickList).render().plain
        assert app.screen.query_one(Picker).value == "Qwen/Qwen3-8B"


async def test_what_was_typed_and_highlighted_stays_when_the_fits_are_known() -> None:
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        await pilot.press(*"gemma", "down", "down")
        await box.settled(pilot)
        before = app.screen.query_one(Picker).value
        app.screen.query_one(Picker).describe({before: "other words"})
        assert app.screen.query_one(Picker).value == before


async def test_tab_completes_a_path_and_then_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("my-model-a", "my-model-b", "other", ".hidden"):
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "my-file.txt").touch()
    monkeypatch.chdir(tmp_path)
    app = box.app()
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        entry = app.screen.query_one(Entry)
        await pilot.press(*"./m", "tab")
        await box.settled(pilot)
        assert entry.value == "./my-model-" and entry.has_focus
        assert {"./my-model-a/", "./my-model-b/"} <= set(lines(app))
        await pilot.press("a", "tab")
        assert entry.value == "./my-model-a/"
        await pilot.press("tab")
        assert entry.value == "./my-model-a/inner/"
        await pilot.press("tab")
        assert not entry.has_focus, "nothing is left to complete: Tab is the next field again"


async def test_tab_takes_what_an_error_suggests() -> None:
    def find(reference: str) -> Any:
        if reference != "Qwen/Qwen3-8B":
            raise UserError(f"{reference} is not on the hub; did you mean Qwen/Qwen3-8B or Qwen/Qwen3-4B?", "model")
        return box.model("Qwen/Qwen3-8B")

    app = box.app(find_model=find)
    async with app.run_test(size=SIZE) as pilot:
        await box.to_step(pilot, "model")
        await pilot.press(*"Qwen/Qwen3-8", "enter")
        await box.settled(pilot)
        assert isinstance(app.screen, ModelScreen)
        assert "Tab takes it" in str(app.screen.query_one("#picker-model > .error").render())
        await pilot.press("tab", "enter")
        await box.settled(pilot)
        assert app.journey.answers.model == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("no 'x'; did you mean 'rank'?", "rank"),
        ("did you mean a/b or a/c or a/d?", "a/b"),
        ("did you mean /home/me/my model?", "/home/me/my model"),
        ("check its spelling", ""),
    ],
)
def test_a_suggestion_is_read_out_of_its_sentence(sentence: str, name: str) -> None:
    assert suggest.offered(sentence) == name


def test_paths_complete_as_in_a_shell(tmp_path: Path) -> None:
    for name in ("alpha", "alpine"):
        (tmp_path / name).mkdir()
    (tmp_path / "alp.jsonl").touch()
    root = f"{tmp_path}/"
    assert complete.complete(f"{root}a", folders_only=True) == (f"{root}alp", (f"{root}alpha/", f"{root}alpine/"))
    assert complete.complete(f"{root}alp.", folders_only=False) == (f"{root}alp.jsonl", (f"{root}alp.jsonl",))
    for nothing in (f"{root}x", "/no/such/folder/x", "~nobody-of-that-name/x", "a\0b/"):
        assert complete.complete(nothing, folders_only=False) == (nothing, ())


def test_fits_are_those_of_the_planner() -> None:
    found = {one.name: one.fits for one in known_fits.of_all(devices.named("4090"))}
    assert found["Qwen3-8B"] == {"lora": "fits", "qlora": "fits", "full": "no"}
    assert set(found["Llama-3.1-70B"].values()) == {"no"} and set(found["SmolLM2-135M"].values()) == {"fits"}
    assert fit_words(found["Llama-3.1-70B"]).strip() == "✗ too big"
    assert [fit_words(found[name]).strip() for name in ("SmolLM2-135M", "Qwen3-8B", "Qwen3-32B")] == [
        "✓ Full",
        "✓ LoRA",
        "✓ QLoRA",
    ]
    assert fit_words({"lora": "tight", "qlora": "no", "full": "no"}).strip() == "! LoRA"


async def test_a_long_name_is_cut_and_never_whether_it_fits() -> None:
    name = "meta-llama/Meta-Llama-3.1-8B-Instruct"
    long = PickList(
        [Choice(name, name, "8.03 B  ! QLoRA  "), Choice("d", "demo", "ships with fttui and is never downloaded")]
    )

    class Shown(Stage):
        def compose(self) -> ComposeResult:
            yield long

    async with Shown(None).run_test(size=(52, 5)):
        first, second = long.render().plain.splitlines()
    assert first.startswith("❯ …ma/Meta-Llama-3.1-8B-Instruct") and first.rstrip().endswith("! QLoRA")
    assert second.startswith("  demo") and second.rstrip().endswith("downloaded")
