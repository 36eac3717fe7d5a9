"""Each pinned dependency has the hashes of its files, and pip would refuse another file."""

from __future__ import annotations

from tests import hashes


def test_every_pin_has_hashes_of_the_same_version() -> None:
    pinned, locked = (hashes.pins(path.read_text()) for path in (hashes.CONSTRAINTS, hashes.HASHED))
    assert len(pinned) > 80
    assert pinned.items() - locked.items() == set(), "run python -m tests.hashes"


def test_nothing_is_without_a_hash() -> None:
    found = hashes.hashed(hashes.HASHED.read_text())
    assert found.keys() >= hashes.pins(hashes.CONSTRAINTS.read_text()).keys()
    assert [name for name, count in found.items() if not count] == []


def test_an_entry_is_told_from_the_next() -> None:
    one, two = (
        "a.B_c==1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:11\n",
        "d==2 ; python < '4' \\\n  --hash=sha256:22\n",
    )
    text = f"{one}{two}e==3\n"
    assert hashes.hashed(text) == {"a-b-c": 2, "d": 1, "e": 0}
