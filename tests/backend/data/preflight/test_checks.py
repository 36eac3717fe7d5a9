"""The checks of the rows' content: each finds what it is for, in the right rows, and nothing in clean ones."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from backend.data.constants import constants
from backend.data.conversation import Conversation, Example, Message, Text
from backend.data.finding import Finding
from backend.data.preflight.checks import preflight

WORDS = (
    *("river", "stone", "window", "garden", "market", "letter", "winter", "bridge", "candle", "engine", "harbour"),
    *("island", "meadow", "orchard", "pepper", "quarry", "ribbon", "saddle", "timber", "valley", "wagon", "yellow"),
)


def chat(row: int, prompt: str, answer: str, system: str = "") -> Conversation:
    turns = (Message("user", prompt), Message("assistant", answer, True))
    return Conversation((Message("system", system), *turns) if system else turns, (), row)


def prose(seed: int, words: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def clean(rows: int) -> list[Example]:
    return [chat(at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at + 10_000)}.") for at in range(rows)]


def kinds(examples: list[Example]) -> dict[str, Finding]:
    found = preflight(examples)
    assert len({x.kind for x in found}) == len(found)
    return {x.kind: x for x in found}


def test_clean_rows_have_no_findings() -> None:
    assert preflight(clean(300)) == []
    assert preflight([]) == []


def test_a_changed_word_is_a_near_duplicate_and_the_same_boilerplate_is_not() -> None:
    rows = clean(100)
    words = prose(10_003).split()
    changed = " ".join([*words[:20], "another", *words[21:]])
    rows[60] = chat(61, f"Tell me about {prose(3, 10)}.", f"{changed}!")
    found = kinds(rows)
    assert set(found) == {"near-duplicates", "repeated-prompts"}
    assert found["near-duplicates"].rows == (60,) and "row 61 of row 4" in found["near-duplicates"].text
    instruction = prose(99_999, 200)
    labels = [chat(at + 1, f"{instruction} {prose(at, 12)}", "good" if at % 2 else "bad") for at in range(100)]
    assert "near-duplicates" not in kinds([*labels])
    assert "near-duplicates" not in kinds([chat(at + 1, prose(at, 8), prose(at, 9), instruction) for at in range(100)])


def test_near_duplicates_of_a_script_without_spaces() -> None:
    letters = [chr(0x4E00 + at) for at in range(400)]
    texts = ["".join(random.Random(at).choices(letters, k=60)) for at in range(50)]
    texts[40] = texts[7][:30] + "好" + texts[7][31:]
    assert kinds([Text(text, at + 1) for at, text in enumerate(texts)])["near-duplicates"].rows == (40,)


def test_pieces_of_one_document_are_no_near_duplicates_of_each_other() -> None:
    words = prose(7, 60).split()
    pieces = [Text(" ".join([*words[:at], "another", *words[at:]]), 1) for at in (20, 40)]
    others = [Text(prose(at), at) for at in range(100, 150)]
    assert preflight([*pieces, *others]) == []
    assert kinds([*pieces, *others, pieces[0]._replace(row=200, document=pieces[0].document + " End.")])


def test_exact_copies_are_no_near_duplicates() -> None:
    assert preflight([*clean(50), *(x._replace(row=x.row + 50) for x in clean(50))]) == []


def test_the_same_prompt_with_different_answers_is_said() -> None:
    rows = clean(50)
    rows[10] = chat(11, "  tell ME about rivers ", prose(1))
    rows[20] = chat(21, "Tell me about rivers", prose(2))
    rows[30] = chat(31, "Tell me about rivers", prose(2))  # a copy of the one before
    found = kinds(rows)["repeated-prompts"]
    assert (found.severity, found.rows[0], len(found.rows)) == ("notes", 10, 2)
    assert found.rows[1] in (20, 30)


def test_a_prompt_of_most_rows_is_said_to_be_on_both_sides() -> None:
    found = kinds([chat(at + 1, "Write something.", prose(at)) for at in range(50)])
    assert set(found) == {"common-prompts"} and "held-out rows have a prompt" in found["common-prompts"].text


@pytest.mark.parametrize(
    ("text", "encoding"), [("Où est la bibliothèque ?", "cp1252"), ("“Привет”", "cp1251"), ("It’s 5 €", "cp1252")]
)
def test_text_decoded_with_the_wrong_encoding_is_found(text: str, encoding: str) -> None:
    rows = clean(50)
    rows[5] = chat(6, text, f"Yes: {text}")
    assert "mojibake" not in kinds(rows)
    rows[6] = chat(7, "Why?", f"Yes: {text}".encode().decode(encoding, "replace"))
    found = kinds(rows)["mojibake"]
    assert (found.severity, found.rows) == ("warns", (6,)) and "ftfy" in found.fix


def test_characters_that_were_lost_are_found() -> None:
    rows = clean(50)
    rows[9] = chat(10, "Caf\ufffd?", "Yes.")
    assert kinds(rows)["lost-characters"].rows == (9,)


@pytest.mark.parametrize(
    ("text", "kind", "severity"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "secrets", "warns"),
        ("ghp_" + "a1B2" * 9, "secrets", "warns"),
        ("sk-proj-" + "a1B2c3D4" * 5, "secrets", "warns"),
        ("hf_" + "aBcD" * 9, "secrets", "warns"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "secrets", "warns"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "secrets", "warns"),
        ("postgres://admin:hunter2@db.internal:5432/app", "secrets", "warns"),
        ("4111 1111 1111 1111", "card-numbers", "warns"),
        ("5500-0055-5555-5559", "card-numbers", "warns"),
        ("378282246310005", "card-numbers", "warns"),
        ("078-05-1120", "social-security-numbers", "warns"),
        ("jane.doe@bigcorp.co.uk", "email-addresses", "notes"),
        ("mailto:jane@bigcorp.com", "email-addresses", "notes"),
        ("+49 30 901820 12", "phone-numbers", "notes"),
        ("(212) 736-5000", "phone-numbers", "notes"),
    ],
)
def test_secrets_and_personal_data_are_counted_and_never_printed(text: str, kind: str, severity: str) -> None:
    rows = clean(50)
    rows[12] = chat(13, f"Use {text} please", "Done.")
    rows[13] = chat(14, "And again", f"It was {text}.")
    found = kinds(rows)
    assert set(found) == {kind}
    assert (found[kind].severity, found[kind].rows, found[kind].row_count) == (severity, (12, 13), 2)
    shown = text.removeprefix("mailto:")
    assert f" {shown[:4]}…" in found[kind].text and shown[:5] not in found[kind].text


@pytest.mark.parametrize(
    "text",
    [
        "write to someone@example.com or me@mail.test",
        "write to yourname@yourdomain.com, alice@email.com or boss@company.com",
        "4111 1111 1111 1112",  # no Luhn number
        "0000 0000 0000 0000",
        "3.14159265358979323846",
        "1234567890123456789012345678",
        "call 555-0123 or (212) 555-0199",
        "from 2001-02-03 to 2004-05-06, pages 100-200-3000",
        "12 + 345 - 678 = 1,234,567,890,123",
        "the risk-management-and-more-long-words handbook",
        "sk-learn-is-a-library-for-python-users",
        "https://user@host/path and http://host:8080/a@b and git@forge.com:some/thing",
        "1699564800000",
        "ISBN 978-3-16-148410-0",
    ],
)
def test_what_only_looks_like_it_is_no_secret(text: str) -> None:
    assert preflight([*clean(50), chat(51, f"See {text} there", "Yes.")]) == []


def test_many_rows_are_sampled_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        x._replace(document="mail a.b@bigcorp.com " + x.document)
        for x in (Text(prose(at), at + 1) for at in range(400))
    ]
    assert "looked at" not in kinds([*rows])["email-addresses"].text
    from dataclasses import replace

    from backend.data.preflight import texts

    monkeypatch.setattr(texts, "constants", lambda: replace(constants(), preflight_rows=100))
    found = kinds([*rows])["email-addresses"]
    assert found.row_count == 100 and "among 100 of 400 rows that were looked at" in found.text
    assert found.rows[:3] == (0, 4, 8)


def test_rows_made_from_one_template_take_no_quadratic_time() -> None:
    rows = [chat(at + 1, f"Where is parcel {at}?", f"Parcel {at} is with your neighbour. " * 4) for at in range(5000)]
    began = time.process_time()
    preflight([*rows])
    assert time.process_time() - began < 10


def test_clean_ascii_rows_import_neither_ftfy_nor_a_sketch_for_nothing() -> None:
    program = (
        "import sys; from backend.data.preflight import checks; assert 'rensa' not in sys.modules;"
        "from backend.data.conversation import Text;"
        "checks.preflight([Text('plain words', 1)]); print('ftfy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_control_characters_and_windows_line_ends_are_said() -> None:
    rows = [*clean(60), chat(61, "Why\0?", prose(1)), chat(62, prose(2), f"{prose(3)}\r\n{prose(4)}")]
    found = kinds(rows)
    assert {kind: one.rows for kind, one in found.items()} == {"control-characters": (60,), "windows-line-ends": (61,)}
    assert found["control-characters"].severity == "warns"


def test_pieces_of_one_document_are_one_row() -> None:
    (one,) = preflight([Text("lost \ufffd here", 1), Text("and \ufffd there", 1), Text("fine", 2)])
    assert (one.rows, one.row_count, one.text[:6]) == ((0,), 1, "1 row ")


def test_line_breaks_that_were_escaped_twice_are_found_and_code_and_latex_are_not() -> None:
    rows = [chat(at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at)}\\n\\n{prose(at + 500)}") for at in range(40)]
    found = kinds([*rows])
    assert found["escaped-line-breaks"].severity == "warns" and found["escaped-line-breaks"].rows == tuple(range(40))
    meant = ("print('a\\n')", "x \\neq y and \\nu = 2", "lines end with `\\n` here", "def f():\n    return a\\n")
    for text in meant:
        rows = [chat(at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at)} {text}") for at in range(40)]
        assert "escaped-line-breaks" not in kinds([*rows]), text
    few = [chat(1, "Tell me.", "one\\ntwo"), *clean(60)[1:]]
    assert "escaped-line-breaks" not in kinds(few), "one row of sixty may mean it"


def test_html_entities_are_noted() -> None:
    rows = [chat(at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at)} &amp; {prose(at + 9)}") for at in range(40)]
    assert kinds([*rows])["html-entities"].severity == "notes"
    rows = [chat(at + 1, f"Tell me about {prose(at, 10)}.", f"{prose(at)} & {prose(at + 9)};") for at in range(40)]
    assert "html-entities" not in kinds([*rows])
