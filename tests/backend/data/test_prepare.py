from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.data.browse import RowBrowser
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.prepare import Prepared, prepare
from backend.data.probes import own_probes
from backend.data.split import held_out
from backend.data.tokenizing import Tokenizing, chosen
from backend.errors import UserError
from backend.model import find
from tests.backend.data.rows import jsonl, pairs
from tests.tiny import CHATML, make_model

Preparer = Callable[..., Prepared]


@pytest.fixture
def prepared(tmp_path: Path, tiny_model: Path) -> Preparer:
    def run(rows: list[dict[str, Any]], max_length: int = 256, fraction: float = 0.1, seed: int = 0) -> Prepared:
        path = jsonl(tmp_path / "rows.jsonl", rows)
        return prepare(path, (), tiny_model, max_length, fraction, seed)

    return run


def texts(prepared: Prepared, side: str, tiny_model: Path) -> list[str]:
    tokenizer = TextTokenizer.load(tiny_model)
    rows = getattr(prepared, side)
    return [tokenizer.decode(rows[at][0].tolist()) for at in range(len(rows))]


def test_rows_come_back_as_they_were_tokenised(prepared: Preparer, tiny_model: Path) -> None:
    made = prepared(pairs(40))
    assert (len(made.train), len(made.held_out), made.dropped, made.truncated) == (36, 4, 0, 0)
    ids, scored = made.train[0]
    assert ids.dtype == np.int32
    assert scored.dtype == np.bool_
    assert len(ids) == len(scored) == made.train.lengths[0]
    assert int(scored.sum()) == made.train.scored_counts[0]
    tokenizer = TextTokenizer.load(tiny_model)
    assert tokenizer.decode(ids[scored].tolist()).endswith(", I think.<|im_end|>")
    assert len(made.train.lengths) == len(made.train.scored_counts) == 36
    together = texts(made, "train", tiny_model) + texts(made, "held_out", tiny_model)
    assert len(set(together)) == 40


def test_the_split_hangs_on_seed_and_content_alone(prepared: Preparer, tiny_model: Path) -> None:
    rows = pairs(40)
    first = set(texts(prepared(rows), "held_out", tiny_model))
    assert set(texts(prepared(rows[::-1]), "held_out", tiny_model)) == first
    assert set(texts(prepared(rows, seed=1), "held_out", tiny_model)) != first
    assert set(texts(prepared(rows, max_length=128), "held_out", tiny_model)) == first


def test_copies_of_a_row_stay_on_one_side(prepared: Preparer, tiny_model: Path) -> None:
    made = prepared(pairs(20) * 5, fraction=0.2)
    train, out = (set(texts(made, side, tiny_model)) for side in ("train", "held_out"))
    assert train
    assert out
    assert not train & out


@pytest.mark.parametrize(
    ("rows", "fraction", "count"), [(20, 0.01, 1), (19, 0.01, 0), (40, 0.0, 0), (40, 0.25, 10), (100_000, 0.1, 200)]
)
def test_how_many_are_held_out(rows: int, fraction: float, count: int) -> None:
    assert len(held_out([str(n) for n in range(rows)], fraction, 0)) == count


def test_one_row_many_times_is_not_held_out() -> None:
    assert held_out(["same"] * 50, 0.5, 0) == []
    assert held_out([], 0.5, 0) == []


def test_the_cache_is_used_and_repaired(
    prepared: Preparer, fttui_home: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(pairs(30))
    (folder,) = (fttui_home / "cache").iterdir()
    assert folder.name == first.fingerprint
    (arrow,) = folder.glob("*.arrow")
    arrow.unlink()  # a new file: the old one is mapped
    arrow.write_bytes(b"damaged")
    again = prepared(pairs(30))
    assert texts(again, "train", tiny_model) == texts(first, "train", tiny_model)
    monkeypatch.setattr("backend.data.tokenised.tokenize_all", None)  # a third call does not tokenise
    assert prepared(pairs(30)).fingerprint == first.fingerprint
    assert [path.name for path in (fttui_home / "cache").iterdir()] == [first.fingerprint]


def test_every_input_has_its_own_cache_entry(prepared: Preparer) -> None:
    keys = {prepared(pairs(30)).fingerprint, prepared(pairs(31)).fingerprint, prepared(pairs(30), 64).fingerprint}
    assert len(keys) == 3


def test_what_is_dropped_and_cut_is_counted(prepared: Preparer) -> None:
    long_answer = {"question": "Why?", "answer": "because " * 80}
    long_question = {"question": "why " * 200, "answer": "So."}
    empty = {"question": "Why?", "answer": ""}
    made = prepared([*pairs(25), long_answer, long_question, empty], max_length=64)
    assert (made.dropped, made.truncated) == (2, 1)
    assert len(made.train) + len(made.held_out) == 26
    assert max(made.train.lengths.max(), made.held_out.lengths.max()) <= 64
    assert made.train.scored_counts.min() > 0


def test_nothing_left_to_train_on(prepared: Preparer) -> None:
    with pytest.raises(UserError, match="raise max_length") as raised:
        prepared([{"question": "why " * 99, "answer": "So."}], max_length=16)
    assert raised.value.field == "max_length"


def test_probes_are_held_out_questions(prepared: Preparer, tiny_model: Path) -> None:
    made = prepared(pairs(40))
    tokenizer = TextTokenizer.load(tiny_model)
    out = texts(made, "held_out", tiny_model)
    assert len(made.probes) == 3
    for probe in made.probes:
        prompt = tokenizer.decode(probe.ids.tolist())
        assert prompt.endswith("<|im_start|>assistant\n")
        assert f"{prompt}{probe.answer}<|im_end|>\n" in out
        assert probe.messages == ({"role": "user", "content": probe.prompt},)


def test_own_questions_are_asked_as_those_of_the_data_are(prepared: Preparer, tiny_model: Path) -> None:
    tokenizer = TextTokenizer.load(tiny_model)
    system = {"role": "system", "content": "Be brief."}
    turns = [[system, {"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "Yes"}] for n in range(30)]
    made = prepared([{"messages": each} for each in turns])
    (one,), left_out = own_probes(["How?", "why " * 200], made.probes, tokenizer, 128)
    assert tokenizer.decode(one.ids.tolist()) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (one.prompt, one.answer, left_out) == ("How?", None, ("why " * 200,))
    documents = prepared([{"text": f"Tom has {n} apples and eats them all on the way home."} for n in range(30)])
    ((begun,), _) = own_probes(["Tom has"], documents.probes, tokenizer, 128)
    assert tokenizer.decode(begun.ids.tolist()) == "Tom has"


def test_probes_of_plain_text(prepared: Preparer) -> None:
    made = prepared([{"text": f"Tom has {n} apples and eats them all on the way home."} for n in range(30)])
    assert made.chat_template is None
    assert made.probes[0].messages == ()
    assert f"{made.probes[0].prompt}{made.probes[0].answer}".startswith("Tom has")


def test_a_stand_in_template_is_handed_on(tmp_path: Path) -> None:
    from tests.tiny import make_tokenizer

    make_tokenizer(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(config.read_text().replace("chat_template", "no_template"))
    made = prepare(jsonl(tmp_path / "rows.jsonl", pairs(20)), (), tmp_path, 256, 0.1, 0)
    assert made.chat_template is not None
    assert "Assistant:" in made.chat_template
    assert any("no chat template" in note for note in made.notes)


def test_thinking_that_the_template_leaves_out_is_said(tmp_path: Path, tiny_model: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Q{i}"},
                {"role": "assistant", "content": f"A{i}", "reasoning_content": f"because {i}"},
            ]
        }
        for i in range(6)
    ]
    made = prepare(jsonl(tmp_path / "rows.jsonl", rows), (), tiny_model, 64, 0.0, 0)
    assert made.notes[-1] == "The chat template leaves thinking that you gave out of 6 rows: it will not be learned."


def test_progress_is_said(tmp_path: Path, tiny_model: Path) -> None:
    said: list[str] = []
    prepare(jsonl(tmp_path / "rows.jsonl", pairs(2100)), (), tiny_model, 64, 0.1, 0, said.append)
    assert said == ["tokenised 2,000 of 2,100 rows", "tokenised 2,100 of 2,100 rows"]


def test_the_rows_obey_the_choice_of_turns_and_of_control_tokens(tmp_path: Path, tiny_model: Path) -> None:
    turns = [("user", "Which mark?"), ("assistant", "It is <|im_end|>."), ("user", "Sure?"), ("assistant", "Yes.")]
    rows = [{"messages": [{"role": role, "content": f"{text} {n}"} for role, text in turns]} for n in range(20)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    tokenizer = TextTokenizer.load(tiny_model)
    end = tokenizer.token_id("eos_token")

    def first(how: Tokenizing) -> tuple[str, int, str]:
        made = prepare(path, (), tiny_model, 512, 0.0, 0, how=how)
        ids, targets = made.train[0]
        return tokenizer.decode(ids[targets].tolist()), ids.tolist().count(end), made.fingerprint

    every = first(Tokenizing())
    last = first(Tokenizing(train_on_turns="last"))
    control = first(Tokenizing(special_tokens_in_data=True))
    assert every[:2] == ("It is <|im_end|>. 0<|im_end|>Yes. 0<|im_end|>", 4)
    assert last[:2] == ("Yes. 0<|im_end|>", 4)
    assert control[:2] == ("It is <|im_end|>. 0<|im_end|>Yes. 0<|im_end|>", 5)
    assert len({every[2], last[2], control[2]}) == 3
    assert first(Tokenizing()) == every


def test_rows_are_tokenised_anew_each_day_if_the_template_writes_it(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    path = jsonl(tmp_path / "rows.jsonl", pairs(20))
    found = []
    for source in ("{{ strftime_now('%d %b %Y') }}", ""):
        (folder / "chat_template.jinja").write_text(source + CHATML)
        for day in (1, 2):
            monkeypatch.setattr("backend.data.tokenised.date", _Day(day))
            found.append(prepare(path, (), folder, 256, 0.0, 0).fingerprint)
    assert len(set(found)) == 3
    assert found[2] == found[3]


class _Day:
    def __init__(self, day: int) -> None:
        self.day = day

    def today(self) -> date:
        return date(2026, 1, self.day)


def test_no_token_of_a_long_document_is_lost(tmp_path: Path, tiny_model: Path) -> None:
    words = " ".join(f"word{n}" for n in range(3000))
    path = jsonl(tmp_path / "rows.jsonl", [{"text": words}, {"text": "A short one."}])
    made = prepare(path, (), tiny_model, 100, 0.0, 0)
    tokenizer = TextTokenizer.load(tiny_model)
    assert made.truncated == made.dropped == 0
    assert made.train.lengths.max() <= 100
    text = "".join(tokenizer.decode(made.train[at][0].tolist()) for at in range(len(made.train)))
    kept = text.replace("<|im_end|>", "")
    assert "".join(kept.split()) == "".join(f"{words} A short one.".split())
    assert text.count("<|im_end|>") == 2, "a document ends once"


def test_rows_of_one_question_are_held_out_together(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": f"Answer {n} {m}."} for n in range(20) for m in range(3)]
    made = prepare(jsonl(tmp_path / "rows.jsonl", rows), (), tiny_model, 64, 0.2, 0)
    train, out = ({place // 3 for place in part.places.tolist()} for part in (made.train, made.held_out))
    assert len(made.held_out) == 12
    assert not train & out


def test_rows_that_all_ask_the_same_are_held_out_all_the_same(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"question": "Tell me a story.", "answer": f"Story {n}."} for n in range(40)]
    made = prepare(jsonl(tmp_path / "rows.jsonl", rows), (), tiny_model, 64, 0.1, 0)
    assert len(made.held_out) == 4


def test_rows_are_shown_with_the_targets_that_are_chosen(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    turns = [{"role": role, "content": f"{role} {n}"} for n in (1, 2) for role in ("user", "assistant")]
    path = jsonl(tmp_path / "rows.jsonl", [{"messages": turns}])
    shown = RowBrowser(path, (), find.find(str(model)), how=chosen({"train_on_turns": "last"})).row(0)
    assert "".join(x.text for x in shown.tokens if x.target) == "assistant 2<|im_end|>"


def test_rows_are_shown_as_the_objective_learns_from_them(tmp_path: Path) -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in (1, 2) for role in ("user", "assistant")]
    marked = jsonl(tmp_path / "kto.jsonl", [{"messages": turns, "label": x} for x in (True, False, None)])
    model = find.find(str(make_model(tmp_path / "model")))
    shown = [RowBrowser(marked, (), model, objective="kto").row(at) for at in range(3)]
    assert [x.refused for x in shown] == [None, None, "row 3 has label None"]
    assert "".join(x.text for x in shown[1].tokens if x.target) == "assistant 2<|im_end|>"
    assert RowBrowser(marked, (), model).row(1).refused == "row 2 has label False"
    pairs = jsonl(tmp_path / "dpo.jsonl", [{"prompt": "q", "chosen": "a", "rejected": x} for x in ("b", "a")])
    assert RowBrowser(pairs, (), model, objective="dpo").row(1).refused == "row 2 has the same answer twice"
