"""Small parts of the screens: wrapped text, memory bars, figures in words, the list that filters."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.content import Content

from backend import presets
from backend.answers import METHODS, Answers
from backend.errors import UserError
from backend.planner.estimates import Interval
from tests.tui import box
from tui import command_line, plan_help, starting, theme
from tui.screens import numbers
from tui.widgets import bar, figures
from tui.widgets.cells import cut, cut_middle, fit
from tui.widgets.entry import Entry
from tui.widgets.picker import Picker
from tui.widgets.picklist import Choice, PickList
from tui.widgets.prose import sentences, wrapped
from tui.widgets.rail import Rail

GIB = box.GIB


@pytest.mark.parametrize("width", [8, 11, 20, 79])
@pytest.mark.parametrize(
    "text",
    [
        "a few words that wrap between them",
        "averyveryverylongwordthatnolinecanhold and more",
        "日本語のテキストも 折り返す",
        "",
        "a\n\nb",
    ],
)
def test_wrapped_is_never_wider_and_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(Content(text), width, 2).plain.split("\n")
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_sentences_hang_under_their_sign() -> None:
    assert sentences(["one two three", "four"], 9).plain == "· one two\n  three\n· four"


def test_styles_survive_wrapping() -> None:
    text = wrapped(Content.assemble("plain ", ("bold words here", "bold")), 10)
    assert text.plain == "plain bold\nwords here"
    assert " ".join(text.plain[span.start : span.end].strip() for span in text.spans) == "bold words here"


def test_cells_follow_the_sum_so_that_rounding_does_not_add_up() -> None:
    filled = bar.cells(
        {"weights": 3 * GIB, "adapters": GIB // 3, "gradients": GIB // 3, "reserve": GIB // 3}, 8, 8 * GIB
    )
    assert len(filled) == 4 and filled[:3] == ["weights"] * 3


def test_a_bar_marks_the_card_and_what_runs_off_the_end() -> None:
    scale = bar.scale_for(10 * GIB, [5 * GIB, 40 * GIB])
    small = bar.stacked({"weights": 5 * GIB}, 20, scale, 10 * GIB).plain
    large = bar.stacked({"weights": 40 * GIB}, 20, scale, 10 * GIB).plain
    assert len(small) == len(large) == 20
    assert small.index(theme.CARD_LINE) == large.index("┃")
    assert small.startswith("█" * 8) and large.endswith("▶")


def test_every_category_has_its_own_sign_without_colour() -> None:
    assert len({sign.glyph for sign in theme.MEMORY.values()}) == len(theme.MEMORY)
    assert len({sign.ascii for sign in theme.MEMORY.values()}) == len(theme.MEMORY)


@pytest.mark.parametrize(
    ("hours", "words"),
    [(3.1, "3 h 06 m"), (30.0, "1 d 6 h"), (0.5, "30 m 00 s"), (0.01, "36 s"), (float("nan"), "unknown")],
)
def test_hours_in_the_unit_that_suits(hours: float, words: str) -> None:
    assert figures.hours(hours) == words


def test_a_range_has_units() -> None:
    assert figures.hour_range(Interval(0.6, 1.0, 1.6)) == "36 m 00 s–1 h 36 m"
    assert figures.hour_range(Interval(0.005, 0.0078, 0.01)) == "18 s–36 s"
    assert figures.hour_range(Interval(float("nan"), float("nan"), float("nan"))) == ""
    assert figures.cost_range(Interval(1.0, 2.0, 3.5)) == "1.00–3.50"
    assert figures.cost_range(Interval(9.0, 12.5, 19.2)) == "9.00–19"
    assert figures.cost_range(Interval(2.0, 2.0, 2.0)) == ""


def test_change_names_what_changed() -> None:
    wizard = box.at("compare")
    before = wizard.journey.comparison().methods["qlora"]
    wizard.journey.answer(epochs=before.plan.epochs * 2)
    after = wizard.journey.comparison().methods["qlora"]
    assert figures.change(before, before) == "no change"
    assert figures.change(before, after).startswith("+") and "$" in figures.change(before, after)


@pytest.mark.parametrize(("text", "value"), [("", None), ("$40", 40.0), ("1,000.5", 1000.5), ("0", 0.0), ("3 h", 3.0)])
def test_numbers_may_have_signs_and_spaces(text: str, value: float | None) -> None:
    assert numbers.number(text, "budget", "budget_usd") == value


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "forty", "1e400"])
def test_invalid_numbers_name_the_range(text: str) -> None:
    with pytest.raises(UserError, match="a number of at least 0") as caught:
        numbers.number(text, "budget", "budget_usd")
    assert caught.value.field == "budget_usd"


def test_cut_and_fit_count_cells() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cell_len(fit("日本語", 5)) == 5
    assert fit("ab", 4) == "ab  "


class OnePicker(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(ansi=False)

    def compose(self) -> ComposeResult:
        yield Picker("Which?", "gpu", placeholder="", help="")


async def values(pilot: object, picker: Picker, text: str) -> str:
    picker.query_one("Entry").value = text  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]
    return picker.value


async def test_typing_filters_and_free_text_is_offered() -> None:
    async with (app := OnePicker()).run_test() as pilot:
        picker = app.query_one(Picker)
        picker.offer(
            [Choice("GH200 96GB", "GH200 96GB"), Choice("H200 SXM", "H200 SXM", "$4"), Choice("RTX 4090", "RTX 4090")],
            "RTX 4090",
        )
        assert picker.value == "RTX 4090"
        assert await values(pilot, picker, "h200") == "H200 SXM"
        assert await values(pilot, picker, "rtx4090") == "RTX 4090"
        assert await values(pilot, picker, "nothing like it") == "nothing like it"
        assert await values(pilot, picker, "rtx/mine") == "rtx/mine"
        assert await values(pilot, picker, "$") == "$", "a price is not a name"
        assert await values(pilot, picker, "h200") == "H200 SXM"
        assert await values(pilot, picker, "") == "RTX 4090"


async def test_a_line_that_is_always_there_is_chosen_by_its_name_too() -> None:
    async with (app := OnePicker()).run_test() as pilot:
        picker = app.query_one(Picker)
        picker.offer([Choice("demo", "demo"), Choice("no data yet", "no data yet", always=True)], "demo")
        assert await values(pilot, picker, "no data") == "no data yet"
        assert await values(pilot, picker, "rows.csv") == "rows.csv", (
            "what is typed comes before a line of another name"
        )


async def test_esc_drops_what_was_typed_and_the_answer_is_highlighted_again() -> None:
    async with (app := OnePicker()).run_test() as pilot:
        picker = app.query_one(Picker)
        picker.offer([Choice(x, x) for x in ("GH200 96GB", "H200 SXM", "RTX 4090")], "RTX 4090")
        picker.query_one(Entry).focus()
        for key in ("h", "2", "escape"):  # as in one packet: Esc arrives before the list is updated
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert (picker.value, picker.query_one(Entry).value) == ("RTX 4090", "")
        await pilot.press(*"/mine")
        picker.keep()
        await pilot.press("backspace", "x")
        assert picker.value == "/minx"
        await pilot.press("escape")
        assert (picker.value, picker.query_one(Entry).value) == ("/mine", "/mine")


def test_the_command_line_is_read_back_as_the_same_answers() -> None:
    from tui.commands.app import app_for

    answers = Answers(
        model="./my model",
        data="rows.jsonl",
        budget_usd=40.0,
        shift="domain",
        variants=2,
        max_length=1024,
        epochs=2.0,
        price_usd_per_hour=0.45,
        mapping=("prompt=q", "completion=a"),
        set=("rank=32", "dropout=0.1"),
    )
    import shlex

    words = shlex.split(command_line.train(answers, "lora"))
    _, bound, *_ = app_for("train").parse_args(words[1:], exit_on_error=False, print_error=False)
    assert words[0] == "fttui"
    assert bound.arguments["answers"] == answers
    assert bound.arguments["method"] == "lora"


def test_every_plan_field_of_the_review_is_explained() -> None:
    from tui.widgets.settings import shown_fields

    unexplained = {key for method in METHODS for _, key in shown_fields(method) if not plan_help.texts()[key]}
    assert unexplained == set()


@pytest.mark.parametrize(
    ("gpu", "data", "words"),
    [("L40S", "rows.jsonl", "not in this box"), (None, "", "no data yet"), ("L40S:4", "x", "not in this box")],
)
def test_what_can_only_be_planned_is_not_started(gpu: str | None, data: str, words: str) -> None:
    wizard = box.at("review")
    if gpu:
        wizard.plan_for(gpu)
    wizard.journey.answer(data=data)
    with pytest.raises(UserError, match=words):
        starting.refuse(wizard.journey.comparison())


def test_sixteen_colours_if_the_terminal_has_no_more() -> None:
    assert theme.for_terminal({"TERM": "screen"}) == theme.SIXTEEN
    assert theme.for_terminal({"TERM": "xterm-256color"}) == theme.DARK_256
    assert theme.for_terminal({"TERM": "xterm", "COLORTERM": "truecolor"}) == theme.DARK
    assert theme.for_terminal({"TERM": "xterm-256color", "FTTUI_THEME": theme.LIGHT}) == theme.LIGHT


async def test_signs_show_that_a_list_continues() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        shown = app.screen.query_one(PickList)

        def ends() -> tuple[str, str]:
            lines = shown.render().plain.split("\n")
            assert not any(line.endswith(("▴", "▾")) for line in lines[1:-1])
            return lines[0][-1], lines[-1][-1]

        height = shown.size.height
        assert ends()[0] not in "▴▾" and ends()[1] == "▾"
        shown.move(height)
        assert ends() == ("▴", "▾")
        shown.move(1000)
        assert ends()[0] == "▴" and ends()[1] not in "▴▾"


async def test_arrows_and_pages_in_the_line_move_in_the_list_under_it() -> None:
    app = box.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await box.settled(pilot)
        lines = app.screen.query_one(PickList)
        for key, place in (("down", 1), ("down", 2), ("up", 1)):
            await pilot.press(key)
            assert lines.index == place
        await pilot.press("pagedown")
        assert lines.index > 4
        await pilot.press("pageup")
        assert lines.index == 1


class OneRail(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.defaults(ansi=False)

    def compose(self) -> ComposeResult:
        yield Rail("model", {"preset": "solo-qlora", "hardware": "CPU"})


async def test_the_rail_names_the_preset_that_was_started_from() -> None:
    async with (app := OneRail()).run_test(size=(80, 24)):
        upper, lower = app.query_one(Rail).render().plain.split("\n")
    assert lower.startswith("solo-qlora ") and "CPU" in lower
    assert [word in upper for word in ("✓ box ", "● model ", "○ compare ", "○ review")] == [True] * 4
    assert max(map(cell_len, (upper, lower))) <= 78


def test_a_preset_is_named_and_its_method_is_no_answer_until_the_comparison() -> None:
    wizard = box.at("goal")
    wizard.journey.start_from(presets.load("solo-qlora"))
    assert wizard.answered()["preset"] == "solo-qlora"
    assert "compare" not in wizard.answered()
    wizard.journey.done.add("compare")
    assert wizard.answered()["compare"] == "QLoRA"


def test_what_is_longer_than_a_line_begins_beside_its_sign() -> None:
    assert sentences(["/a/very/long/path/without/spaces is gone"], 12).plain.split("\n")[:2] == [
        "· /a/very/lo",
        "  ng/path/wi",
    ]
    fits_a_line = sentences(["a /word/of/ten fits"], 14).plain.split("\n")
    assert fits_a_line[:2] == ["· a", "  /word/of/ten"]


def test_names_that_differ_only_at_their_end_or_beginning_stay_apart() -> None:
    names = [f"20261130-11150{i}-SmolLM2-135M-Instruct-lora{end}" for i in (0, 1) for end in ("", "-2", "-3")]
    assert len({cut_middle(name, 26) for name in names}) == len(names)
    assert cut_middle(names[1], 26) == "20261130-111500…uct-lora-2"
    assert cut_middle("short", 26) == "short"
    assert all(cell_len(cut_middle("日本語の名前が長い", width)) <= width for width in range(1, 12))
