"""Chat templates that loop, allocate or recurse without end: one sentence in bounded time, and the next one works."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from backend.data.chat import renderer, rendering
from backend.data.chat.template import Endless, Refusal, Template
from backend.data.inspect import inspect
from backend.errors import UserError
from backend.model import find
from tests.backend.data.rows import jsonl
from tests.tiny import CHATML, make_model

ASKED = [{"role": "user", "content": "q"}]
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
HUGE = {
    "a product": "{% set x = 'x' * 10**10 %}",
    "a width": "{{ 'x'.center(10**11) }}",
    "doubled": "{% set n = namespace(x='x') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "written": "{{ 'x' * 99999999 }}{{ 'x' * 99999999 }}{{ 'x' * 99999999 }}",
}


@pytest.fixture
def a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process that allows each rendering a second of processor time."""
    code = "import sys; sys.path[:] = sys.argv[1:]; import backend.data.chat.rendering as m; m.SECONDS = 1; m.main()"
    monkeypatch.setattr(renderer, "_CODE", code)
    monkeypatch.setattr(renderer, "_child", None)
    monkeypatch.setattr(renderer, "SECONDS", 1)


@pytest.mark.parametrize("start", HUGE.values(), ids=HUGE)
def test_a_template_that_allocates_without_end(start: str) -> None:
    with pytest.raises(Endless, match="takes more than 256 MB of memory on a question"):
        Template(start + CHATML, {}).render(ASKED)
    assert Template(CHATML, {}).render(ASKED) == "<|im_start|>user\nq<|im_end|>\n"


@pytest.mark.usefixtures("a_second")
def test_a_template_that_loops_on_one_row_names_it(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    looping = f"{{% if 'number 7' in messages[0]['content'] %}}{LOOP}{{% endif %}}"
    (model / "chat_template.jinja").write_text(looping + CHATML)
    data = jsonl(tmp_path / "rows.jsonl", [{"prompt": f"number {n}", "completion": "a"} for n in range(20)])
    began = time.monotonic()
    with pytest.raises(UserError, match="the model's chat template takes more than 1 s on row 8; fix chat_template"):
        inspect(data, model=find.find(str(model)))
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("a_second")
def test_a_template_that_takes_long_each_time_is_stopped_by_the_mean() -> None:
    template = Template("{% for a in range(30000) %}{% for b in range(20) %}{% endfor %}{% endfor %}" + CHATML, {})
    with pytest.raises(Endless, match=r"more than (10 ms on average up to|1 s on) a question"):
        for _ in range(200):
            template.render(ASKED)


def test_a_template_that_calls_itself_is_refused() -> None:
    with pytest.raises(Refusal, match="recursion"):
        Template("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", {}).render(ASKED)


def test_rendered_ahead_is_rendered_the_same() -> None:
    template = Template("{{ messages[0].content }}{{ tools | length if tools else '' }}", {})
    chats = [([{"role": "user", "content": str(n)}], [{"name": "f"}] * (n % 2)) for n in range(5)]
    template.ahead(chats)
    assert [template.render(turns, tools) for turns, tools in chats] == ["0", "11", "2", "31", "4"]
    assert not template._ahead


def test_answers_of_an_interrupted_request_are_not_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    template = Template("{{ messages[0].content }}", {})
    read, seen = rendering.read, list[bytes | None]()

    def interrupted(stream: Any) -> bytes | None:
        seen.append(read(stream))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return seen[-1]

    monkeypatch.setattr(renderer, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        template.ahead([([{"role": "user", "content": str(n)}], []) for n in range(5)])
    assert template.render([{"role": "user", "content": "next"}]) == "next"


def test_a_fork_starts_its_own_renderer() -> None:
    template = Template(CHATML, {})
    text = template.render(ASKED)
    child = os.fork()
    if child == 0:
        os._exit(0 if template.render(ASKED) == text else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert template.render(ASKED) == text


def test_answers_survive_the_pipe() -> None:
    answer = rendering.Answer("text", "a\ud800\n\U0010ffef")
    assert rendering.decoded(rendering.encoded(answer)) == ("text", "a\ufffd\n\U0010ffef")
