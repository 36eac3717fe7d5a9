"""Damaged bytes for files that fttui reads, made from good ones."""

from __future__ import annotations

from hypothesis import strategies as st

NASTY: dict[str, bytes] = {
    "empty": b"",
    "zeros": b"\0" * 300,
    "not UTF-8": b"\xff\xfe\x00 = \x80",
    "not UTF-8 in a string": b'["{\xff"]',
    "half a character": '{"a": "\u00e9'.encode()[:-1],
    "nested lists": b"[" * 50_000,
    "nested lists in a key": b"a = " + b"[" * 50_000,
    "nested objects": b'{"a":' * 50_000,
    "nested tables": b"a = " + b"{a=" * 2_000 + b"1" + b"}" * 2_000,
    "nested, not too deep to parse": b'{"a":' * 400 + b"1" + b"}" * 400,
    "dotted keys": b".".join([b"a"] * 3_000) + b" = 1",
    "5,000 digits": b"model = " + b"9" * 5_000,
    "5,000 digits as JSON": b'{"step": ' + b"9" * 5_000 + b"}",
    "5,000 hexadecimal digits": b"rank = 0x" + b"f" * 5_000,
    "an exponent": b'{"step": 1e999, "t": 1e400}',
    "infinite": b"rank = inf\nhours = nan",
    "a list": b"[]",
    "a list of objects": b"[{}]",
    "an empty object": b"{}",
    "null": b"null",
    "true": b"true",
    "a NUL in a string": b'["a\\u0000b"]',
    "a lone surrogate": b'["\\ud800"]',
    "a date": b"model = 1979-05-27T07:32:00Z",
    "a key twice": b'[job]\ndata = "demo"\ndata = "demo"',
    "a table twice": b"[job]\n[job]",
    "a table as a value": b"[description]\na = 1\n[[job]]",
    "another type everywhere": b'{"step": "x", "sha256": [], "ranks": -1, "t": {}, "runs": 3}',
}

_PIECES = st.sampled_from(
    [
        b"9" * 5_000,
        b"\xff",
        b"\0",
        b"null",
        b"[" * 2_000,
        b"-1",
        b"1e400",
        b'"',
        b"\\ud800",
        b"{}",
        b"inf",
        b"\n",
        b"0x" + b"f" * 99,
    ]
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with one to three pieces cut out, each replaced by a few bytes, something nasty, or nothing."""
    content = good
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(0, 12)))
        content = content[:at] + draw(st.binary(max_size=4) | _PIECES) + content[end:]
    return content
