"""Strings that have broken terminals, and readers of what is written from them, with what each would do."""

from __future__ import annotations

NASTY = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;PWNED\x07",
    "title of another kind": "\x1b]2;PWNED\x1b\\",
    "title in C1": "\x9d0;PWNED\x9c",
    "clear": "\x1b[2J\x1b[H",
    "clear in C1": "\x9b2J",
    "alternate screen off": "\x1b[?1049l",
    "scroll region": "\x1b[1;2r\x1b[?6h",
    "answer back": "\x1b[6n\x05",
    "answer with the title": "\x1b[21t",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cHduZWQ=\x07",
    "end of a paste": "\x1b[201~whoami\r",
    "progress": "4;3;99",
    "notification": "\x1b]777;notify;PWNED;PWNED\x07",
    "file of iTerm": "\x1b]1337;File=inline=1:cHduZWQ=\x07",
    "device control": "\x1bP+q544e\x1b\\",
    "through tmux": "\x1bPtmux;\x1b\x1b]0;PWNED\x07\x1b\\",
    "picture of kitty": "\x1b_Gf=24;cHdu\x1b\\",
    "full reset": "\x1bc",
    "backspace over": "safe\b\b\b\bevil",
    "carriage return over": "safe\revil",
    "bell": "\x07\x07",
    "nul and delete": "a\x00b\x7fc",
    "shift out": "\x0e lqqk \x0f",
    "bidi override": "\u202egnp.exe\u202c",
    "bidi isolate": "\u2066x\u2069\u200f",
    "zero width": "pass\u200bword\u2060\ufeff",
    "tags": "\U000e0041\U000e0042",
    "surrogate": "\ud800\udfff",
    "not UTF-8": "caf\udce9",
    "combining heap": "Z" + "\u0300\u0489\u20dd" * 20,
    "invisible letters": "\u3164\u115f\uffa0",
    "private and unassigned": "\ue000\U000f0000\uffff\u0378",
    "line separators": "one\u2028two\u2029three",
    "markup": "[red]x[/] [@click=app.quit]q[/] [/nonsense] [",
    "link in markup": "[link=http://evil.example]click[/link]",
    "variation": "\u2764\ufe0f a\U000e0100",
    "HTML": "</text><script>alert(1)</script>&lt;&#x1b;]]>",
    "Markdown": "`![x](http://evil.example) |~~~ $x$ www.evil.example",
    "shell": "$(touch PWNED)`touch PWNED`;'\"",
    "braces": "{0} {title} %s %(x)s",
}


def utf8(text: str) -> str:
    """`text` as JSON, TOML or a file can hold it: lone surrogates as `?`."""
    return text.encode("utf-8", "replace").decode()


def file_name(text: str) -> str:
    """`text` as the name of a file: what no file system takes is left out."""
    return utf8(text).replace("\x00", "").replace("/", "")


ALL = " ".join(utf8(text) for text in NASTY.values())
"""One after the other."""
NAMES = {name: file_name(text) for name, text in NASTY.items()}
"""Names that files can have."""
