"""What of a conversation is a target, for the chat templates of many model families: `make bench-templates`.

    python -m tests.bench.templates [FAMILY ...] [--masks]

`--masks` prints every target. `tests.bench.data --cases` tokenises files of rows with every template.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from backend.data.chat.fitting import CALLS_AS_TEXT, TOOLS_LEFT_OUT
from backend.data.chat.masking import ARGUMENTS_LEFT_OUT, CALLS_LEFT_OUT, THINKING_LEFT_OUT, TURNS_LEFT_OUT
from backend.data.chat.tally import Tally
from backend.data.chat.tokenizer import TextTokenizer
from backend.data.chat.tokens import EOS_APPENDED, Row, tokenize_all
from backend.data.conversation import Conversation
from backend.data.tokenizing import WHOLE
from backend.data.turns.turns import message
from tests.backend.data.chat.families import FAMILIES, Family, folder_of

ASKED = [{"role": "user", "content": f"Question {n}?"} for n in range(3)]
SAID = [{"role": "assistant", "content": f"Answer {n}."} for n in range(3)]
THOUGHT = [{**SAID[n], "reasoning_content": f"Thought {n}"} for n in range(3)]
INLINE = [{"role": "assistant", "content": f"<think>\nThought {n}\n</think>\n\nAnswer {n}."} for n in range(3)]
TOOLS = [
    {
        "type": "function",
        "function": {"name": f"tool{n}", "description": "d", "parameters": {"type": "object", "properties": {}}},
    }
    for n in (0, 1)
]


def _calls(*numbers: int) -> dict[str, Any]:
    calls = [
        {
            "type": "function",
            "id": f"call{n:05d}",
            "function": {"name": f"tool{n}", "arguments": {"of": f"Ärg {n}", "n": n}},
        }
        for n in numbers
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _result(number: int) -> dict[str, Any]:
    return {
        "role": "tool",
        "content": f'{{"Result": "{number}"}}',
        "name": f"tool{number}",
        "tool_call_id": f"call{number:05d}",
    }


CHATS: dict[str, list[dict[str, Any]]] = {
    "one turn": [ASKED[0], SAID[0]],
    "multi turn": [ASKED[0], SAID[0], ASKED[1], SAID[1], ASKED[2], SAID[2]],
    "system": [{"role": "system", "content": "System words."}, ASKED[0], SAID[0], ASKED[1], SAID[1]],
    "thinking": [ASKED[0], THOUGHT[0], ASKED[1], THOUGHT[1]],
    "inline thinking": [ASKED[0], INLINE[0], ASKED[1], INLINE[1]],
    "call": [ASKED[0], _calls(0), _result(0), SAID[0], ASKED[1], SAID[1]],
    "parallel calls": [ASKED[0], _calls(0, 1), _result(0), _result(1), SAID[0]],
}
FORBIDDEN = ("Question", "System words", "Result")


class Outcome(NamedTuple):
    """One chat with one template."""

    kind: str
    """`right`, `said` (something is left out or written differently, and reported), `refused` or `WRONG`."""
    why: str
    targets: tuple[str, ...]


def outcome(family: Family, tokenizer: TextTokenizer, name: str) -> Outcome:
    """The targets of a chat, compared with what is known independently about the family."""
    chat = CHATS[name]
    tools = TOOLS if "call" in name else []
    example = Conversation(tuple(message(turn, "row 1") for turn in chat), tuple(tools), 1)
    tally = Tally()
    (row,) = tokenize_all([example], tokenizer, WHOLE, tally)
    if row is None:
        return Outcome("refused", tally.refusal, ())
    faults = list(_faults(family, tokenizer, row, chat, tally))
    targets = tuple(text for _, text in _targets(row, tokenizer))
    if faults:
        return Outcome("WRONG", "; ".join(faults), targets)
    return Outcome("said" if tally.rows else "right", ", ".join(tally.rows), targets)


def _targets(row: Row, tokenizer: TextTokenizer) -> Iterator[tuple[str, str]]:
    """What stands before each run of targets, and the run, as text."""
    for is_target, group in groupby(range(len(row.ids)), key=lambda at: bool(row.scored[at])):
        run = list(group)
        if is_target:
            yield tokenizer.decode(row.ids[: run[0]].tolist()), tokenizer.decode(row.ids[run].tolist())


def _faults(
    family: Family, tokenizer: TextTokenizer, row: Row, chat: list[dict[str, Any]], tally: Tally
) -> Iterator[str]:
    runs = list(_targets(row, tokenizer))
    text = tokenizer.decode(row.ids.tolist())
    answers = [turn for turn in chat if turn["role"] == "assistant"]
    if len(runs) != len(answers):
        yield f"{len(runs)} runs of targets for {len(answers)} answers"
        return
    for at, ((before, run), turn) in enumerate(zip(runs, answers, strict=True)):
        yield from (f"{word!r} is a target" for word in FORBIDDEN if word in run)
        yield from (
            _calls_faults(run, turn, tally)
            if turn.get("tool_calls")
            else _text_faults(family, run, before, turn, at == len(answers) - 1, tally)
        )
    thoughts = [f"Thought {at}" for at, turn in enumerate(answers) if "Thought" in str(turn)]
    for at, thought in enumerate(thoughts):
        if (thought in text) != (thought in runs[at][1]):
            yield f"{thought!r} is written and no target, or the other way round"
    if any(thought not in text for thought in thoughts) != bool(tally.notes[THINKING_LEFT_OUT]):
        yield "thinking is left out and not told, or told and not left out"
    results = [turn["content"].split('"')[3] for turn in chat if turn["role"] == "tool"]
    if results and ("Result" not in text) != bool(tally.notes[TURNS_LEFT_OUT]):
        yield "a result is left out and not told, or told and not left out"
    is_target = iter(row.scored.tolist())
    untouched = tokenizer.decode([token for token in row.ids.tolist() if not next(is_target)])
    if results and ("tool0" not in untouched) != bool(tally.notes[TOOLS_LEFT_OUT]):
        yield "the tools are left out and not told, or told and not left out"


def _calls_faults(run: str, turn: dict[str, Any], tally: Tally) -> Iterator[str]:
    for call in turn["tool_calls"]:
        function = call["function"]
        if function["name"] not in run and not tally.notes[CALLS_LEFT_OUT]:
            yield f"the call of {function['name']} is not written, and not told"
        if function["name"] in run and function["arguments"]["of"] not in run and not tally.notes[ARGUMENTS_LEFT_OUT]:
            yield f"the arguments of {function['name']} are not written"
    if '\\"' in run or "{'" in run:
        yield "arguments are quoted twice or written as Python"


def _text_faults(
    family: Family, run: str, before: str, turn: dict[str, Any], is_last: bool, tally: Tally
) -> Iterator[str]:
    answer = turn["content"].split("</think>")[-1].strip()
    end = family.end if is_last else family.end if family.earlier is None else family.earlier
    if is_last and not family.end:
        end = family.appended or family.eos
        if not tally.notes[EOS_APPENDED]:
            yield "EOS is not said to be appended"
    if not run.rstrip().endswith(answer + end) and not run.endswith(answer + end):
        yield f"{run!r} does not end with {answer + end!r}"
    if "Thought" in str(turn) or tally.notes[CALLS_AS_TEXT]:
        return
    lead = family.last_lead if is_last else family.lead
    if not run.startswith(lead + answer):
        yield f"{run!r} does not start with {lead + answer!r}"
    header = family.header if is_last or family.earlier_header is None else family.earlier_header
    if not before.endswith(header) and "Result" not in before[-120:]:
        yield f"{before[-40:]!r} does not end with {header!r}"


def odd_chats() -> Iterator[list[dict[str, Any]]]:
    """Turns in every order, three before an answer: most of them are conversations that nobody planned for."""
    kinds: list[dict[str, Any]] = [
        {"role": "system", "content": "System words."},
        {"role": "user", "content": " Question?\n"},
        {"role": "user", "content": ""},
        {"role": "user", "content": "<tool_response>Question</tool_response>"},
        {"role": "assistant", "content": "Answer."},
        {"role": "assistant", "content": "Answer.", "train": False},
        {"role": "assistant", "content": "Answer.", "reasoning_content": "Thought"},
        {"role": "assistant", "content": "Said beside.", "tool_calls": _calls(0)["tool_calls"]},
        _calls(0, 1),
        _result(0),
    ]
    for count in range(4):
        for turns in itertools.product(kinds, repeat=count):
            yield [*turns, {"role": "assistant", "content": "Answer at last. "}]


def odd(folders: dict[str, Path]) -> Iterator[str]:
    """Every odd chat with every template; yields tracebacks, texts of others among the targets, and lost answers."""
    tried = refused = 0
    for name, folder in folders.items():
        tokenizer = TextTokenizer.load(folder)
        for chat in odd_chats():
            tried += 1
            example = Conversation(tuple(message(turn, "row 1") for turn in chat), (), 1)
            try:
                (row,) = tokenize_all([example], tokenizer, WHOLE, Tally())
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                yield f"{name} with {chat}: {type(error).__name__}: {error}"
                continue
            if row is None:
                refused += 1
                continue
            runs = [run for _, run in _targets(row, tokenizer)]
            if any(word in run for run in runs for word in FORBIDDEN) or "nswer at last." not in (runs or [""])[-1]:
                yield f"{name} with {chat}: targets {runs}"
    print(f"{tried:,} combinations of a template and an odd chat, {refused:,} refused in words")


def _counted(kinds: Counter[str]) -> str:
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("right", "said", "refused", "WRONG"))
    return f"{kinds.total()} chats: {counts}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--masks", action="store_true")
    asked = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as root:
        folders = {name: folder_of(Path(root), name) for name in (asked.families or FAMILIES)}
        print(f"{'family':18s}" + "".join(f"{name:>17s}" for name in CHATS))
        told: list[str] = []
        kinds: Counter[str] = Counter()
        for name, folder in folders.items():
            tokenizer = TextTokenizer.load(folder)
            found = {chat: outcome(FAMILIES[name], tokenizer, chat) for chat in CHATS}
            print(f"{name:18s}" + "".join(f"{x.kind:>17s}" for x in found.values()))
            wrong += sum(x.kind == "WRONG" for x in found.values())
            kinds.update(x.kind for x in found.values())
            for chat, x in found.items():
                told += [f"{name}, {chat}: {x.kind}: {x.why}"] if x.kind in ("WRONG", "refused") or asked.masks else []
                told += [f"    {target!r}" for target in x.targets] if asked.masks or x.kind == "WRONG" else []
        print("\n".join(["", *told, "", _counted(kinds)]))
        faults = list(odd(folders))
        print("\n".join(faults))
    return 1 if wrong or faults else 0


if __name__ == "__main__":
    sys.exit(main())
