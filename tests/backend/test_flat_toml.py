"""Fast reading of our own TOML: the same values as a full parser gives, or none at all."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from backend import flat_toml
from backend.run import plan_file
from tests.faults.bad_bytes import NASTY, damaged
from tests.faults.own_files import JOB, plan_text

GOOD = b'a = 1\nb = -2.5e-05\nc = "x, \\u00e9"\nd = true\ne = []\nf = ["g", "h"]\n\n[t]\na = "y"\n\n[t.u]\nz = 0.0\n'
OTHER = [
    b"a = 1\na = 2\n",
    b"[t]\n[t]\n",
    b"t = 1\n[t]\n",
    b"[t.u]\na = 1\n[t]\n",
    b"[a]\nb = 1\n[a.b]\n",
    b"a = 01\n",
    b"a = 1_000\n",
    b"a = 0x1f\n",
    b'a = "\\e"\n',
    b"a = 'x'\n",
    b"a = 1 # why\n",
    b"a.b = 1\n",
    b"a = inf\n",
    b"a = 1\r\nb = 2\r\n",
    b"a = 99999999999999999999\n",
    b'a = """\nb = 1\n"""\n',
]


def both(content: bytes) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return
    found = flat_toml.read(text)
    if found is not None:
        whole = tomllib.loads(text)
        assert found == whole
        assert repr(sorted(found)) == repr(sorted(whole))


def test_a_plan_is_read_without_a_whole_parser(tmp_path: Path) -> None:
    plan_file.write(tmp_path / "plan.toml", JOB)
    text = (tmp_path / "plan.toml").read_text(encoding="utf-8")
    found = flat_toml.read(text)
    assert found is not None and found == tomllib.loads(text)


@pytest.mark.parametrize("content", [*OTHER, *NASTY.values(), GOOD.replace(b"\\u00e9", b"\xc3\xa9")])
def test_it_never_differs(content: bytes) -> None:
    both(content)


def test_it_never_differs_for_damage() -> None:
    @settings(
        max_examples=1000, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(damaged(GOOD.replace(b"\\u00e9", b"\xc3\xa9")))
    def small(content: bytes) -> None:
        both(content)

    @settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(damaged(plan_text()))
    def whole(content: bytes) -> None:
        both(content)

    small()
    whole()
