"""Secrets and personal data by well-known patterns. They are counted; no more than four characters are ever shown.

`detect-secrets` was tried: its entropy rules report 12,723 secrets in 300 rows of grade-school maths, at 5 ms a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from backend.data.conversation import Example
from backend.data.finding import Finding, Severity, count_of, finding
from backend.data.preflight.texts import among, distinct, everything, sample

SHOWN_CHARACTERS = 4


INVENTED = ("email.com", "domain.com", "company.com", "yourdomain.com", "yourcompany.com", "mydomain.com", "test.com")
"""Domains that written examples use."""


def _passes_luhn(found: re.Match[str]) -> bool:
    digits = [int(x) for x in reversed(found.group()) if x.isdigit()]
    doubled = [x * 2 - 9 * (x > 4) for x in digits[1::2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_real_address(found: re.Match[str]) -> bool:
    """Whether the domain is not one that RFC 2606 reserves, and the address is not part of a URL or a git remote."""
    before = found.string[max(0, found.start() - 200) : found.start()]
    name, _, domain = found.group().lower().rpartition("@")
    if name == "git" or ("://" in (before.split() or [""])[-1] and not before[-1:].isspace()):
        return False
    if domain in INVENTED:
        return False
    reserved = ("example.com", "example.org", "example.net", ".example", ".test", ".invalid", ".localhost")
    return not f".{domain}".endswith(reserved)


def _any(found: re.Match[str]) -> bool:
    return True


DIGITS = re.compile(r"\d(?:[ .()-]{0,2}\d){8}")
"""Nine digits together: one search for all patterns that need them."""


class Pattern(NamedTuple):
    """One kind of secret."""

    kind: str
    severity: Severity
    name: str
    """As in: NAME in 3 rows."""
    hints: tuple[str, ...]
    """One of these is in every match: the pattern is tried only then. Empty: it needs DIGITS."""
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool] = _any
    """Further check of a match."""


PATTERNS = (
    Pattern(
        "secrets",
        "warns",
        "Private keys",
        ("-----BEGIN",),
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ),
    Pattern(
        "secrets",
        "warns",
        "API keys or access tokens",
        # Amazon, GitHub, GitLab, Slack, Stripe, OpenAI and Anthropic, Hugging Face, Google, npm, PyPI, SendGrid
        (
            "AKIA",
            "ASIA",
            *(f"gh{letter}_" for letter in "pousr"),
            "github_pat_",
            "glpat-",
            "xox",
            "k_live_",
            "k_test_",
            "sk-",
            "hf_",
            "AIza",
            "npm_",
            "pypi-",
            "SG.",
        ),
        re.compile(
            r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}\b|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}"
            r"|xox[abeprs]-[\w-]{10,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-(?=[\w-]*\d)[\w-]{20,}"
            r"|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|SG\.[\w-]{22}\.[\w-]{43})"
        ),
    ),
    Pattern(
        "secrets",
        "warns",
        "JSON web tokens",
        ("eyJ",),
        re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    ),
    Pattern(
        "secrets",
        "warns",
        "Passwords in addresses",
        ("://",),
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@<>\"'{}]{1,64}:[^\s:/@<>\"'{}]{3,64}@[\w.-]+"),
    ),
    Pattern(
        "card-numbers",
        "warns",
        "Payment card numbers",
        (),
        re.compile(
            r"(?<![\d.,-])(?:[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})(?![\d.-]*\d)"
        ),
        _passes_luhn,
    ),
    Pattern(
        "social-security-numbers",
        "warns",
        "US social security numbers",
        (),
        re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"),
    ),
    Pattern(
        "email-addresses",
        "notes",
        "E-mail addresses",
        ("@",),
        re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
        _is_real_address,
    ),
    Pattern(
        "phone-numbers",
        "notes",
        "Phone numbers",
        (),
        # international, and North American but for the numbers of films (exchange 555)
        re.compile(
            r"(?<![\w+.-])(?:\+[1-9]\d{0,2}[ .-]?\(?\d{2,4}\)?(?:[ .-]?\d{2,4}){2,4}"
            r"|(?:\([2-9]\d{2}\) ?|[2-9]\d{2}-)(?!555)[2-9]\d{2}-\d{4})(?![\w-])"
        ),
    ),
)
FIXES = {"warns": "remove or replace them before training: the model may repeat them", "notes": ""}


def secrets(examples: Sequence[Example]) -> Iterator[Finding]:
    """A finding for each kind of secret that was found."""
    looked_at = sample(examples)
    texts = [(example.row - 1, everything(example)) for example in looked_at]
    with_digits = [(row, text) for row, text in texts if DIGITS.search(text)]
    for pattern in PATTERNS:
        found = [
            (row, first) for row, text in (texts if pattern.hints else with_digits) if (first := _first(pattern, text))
        ]
        if found:
            rows = distinct(row for row, _ in found)
            where = f"{count_of(len(rows))}{among(len(looked_at), len(examples))}"
            text = f"{pattern.name} stand in {where} (the first begins with {found[0][1][:SHOWN_CHARACTERS]}\u2026)."
            yield finding(pattern.severity, pattern.kind, text, FIXES[pattern.severity], rows)


def _first(pattern: Pattern, text: str) -> str:
    if pattern.hints and not any(hint in text for hint in pattern.hints):
        return ""
    return next((x.group() for x in pattern.pattern.finditer(text) if pattern.holds(x)), "")
