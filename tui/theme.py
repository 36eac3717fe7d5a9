"""Colours and signs, the same on every screen. Colour never carries meaning alone: a sign goes with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from textual.theme import Theme

DARK = "fttui-dark"
DARK_256 = "fttui-dark-256"
"""For terminals with 256 colours, such as most SSH sessions: only colours that they have, so that none is rounded."""
LIGHT = "fttui-light"
CONTRAST = "fttui-contrast"
SIXTEEN = "ansi-dark"


class Sign(NamedTuple):
    """How one memory category is drawn: a glyph that differs without colour, the same for `--ascii`, and a colour."""

    glyph: str
    ascii: str
    variable: str


MEMORY: Mapping[str, Sign] = {
    "weights": Sign("█", "#", "$memory-weights"),
    "adapters": Sign("◆", "@", "$memory-adapters"),
    "gradients": Sign("▚", "G", "$memory-gradients"),
    "optimizer": Sign("▓", "O", "$memory-optimizer"),
    "activations": Sign("▒", "a", "$memory-activations"),
    "logits": Sign("╱", "/", "$memory-logits"),
    "workspace": Sign("∙", ".", "$memory-workspace"),
    "reserve": Sign("░", ":", "$memory-reserve"),
}
"""Memory categories in the order they are stacked, from the axis outwards."""

CARD_LINE = "┊"
"""Marks the card's memory in a bar."""

FIT_SIGNS: Mapping[str, tuple[str, str]] = {
    "fits": ("✓", "$success"),
    "tight": ("!", "$warning"),
    "no": ("✗", "$error"),
}
METHOD_NAMES: Mapping[str, str] = {"lora": "LoRA", "qlora": "QLoRA", "full": "Full"}

_TRUE_COLOUR = {
    "memory-weights": "#5b8def",
    "memory-adapters": "#4fd1b5",
    "memory-gradients": "#e8b35a",
    "memory-optimizer": "#d9804f",
    "memory-activations": "#b687e8",
    "memory-logits": "#e56b9f",
    "memory-workspace": "#8b94a7",
    "memory-reserve": "#6b7385",
    "faint": "#7c869b",
}
_COLOUR_256 = {
    "memory-weights": "#5f87ff",
    "memory-adapters": "#5fd7af",
    "memory-gradients": "#d7af5f",
    "memory-optimizer": "#d7875f",
    "memory-activations": "#af87ff",
    "memory-logits": "#d75faf",
    "memory-workspace": "#9e9e9e",
    "memory-reserve": "#767676",
    "faint": "#8a8a8a",
}
_LIGHT_COLOUR = {
    "memory-weights": "#2f5fc4",
    "memory-adapters": "#0f8f76",
    "memory-gradients": "#a86a00",
    "memory-optimizer": "#b3501b",
    "memory-activations": "#7b45bd",
    "memory-logits": "#b8326d",
    "memory-workspace": "#5d6678",
    "memory-reserve": "#7f8899",
    "faint": "#667085",
}
_ANSI_COLOUR = {
    "memory-weights": "ansi_blue",
    "memory-adapters": "ansi_cyan",
    "memory-gradients": "ansi_yellow",
    "memory-optimizer": "ansi_green",
    "memory-activations": "ansi_magenta",
    "memory-logits": "ansi_bright_magenta",
    "memory-workspace": "ansi_white",
    "memory-reserve": "ansi_bright_black",
    "faint": "ansi_bright_black",
}

_ALL_COLOURS = ("direct", "kitty", "alacritty", "ghostty")
"""Parts of TERM of terminals that show all colours; sshd passes TERM on, but not COLORTERM."""

THEMES = (
    Theme(
        name=DARK,
        primary="#4fd1b5",
        secondary="#5b8def",
        accent="#4fd1b5",
        warning="#e8b35a",
        error="#f0787e",
        success="#86d17a",
        foreground="#d9dfea",
        background="#10141b",
        surface="#161c26",
        panel="#202836",
        variables={
            **_TRUE_COLOUR,
            "border": "#4fd1b5",
            "border-blurred": "#38435a",
            "footer-key-foreground": "#4fd1b5",
            "footer-background": "#161c26",
            "input-selection-background": "#2c6f63",
            "block-cursor-background": "#24483f",
            "block-cursor-foreground": "#eafff9",
            "scrollbar": "#38435a",
            "scrollbar-background": "#10141b",
        },
    ),
    Theme(
        name=DARK_256,
        primary="#5fd7af",
        secondary="#5f87ff",
        accent="#5fd7af",
        warning="#d7af5f",
        error="#ff8787",
        success="#87d75f",
        foreground="#dadada",
        background="#121212",
        surface="#1c1c1c",
        panel="#303030",
        variables={
            **_COLOUR_256,
            "border": "#5fd7af",
            "border-blurred": "#585858",
            "footer-key-foreground": "#5fd7af",
            "footer-background": "#1c1c1c",
            "input-selection-background": "#005f5f",
            "block-cursor-background": "#005f5f",
            "block-cursor-foreground": "#ffffff",
            "scrollbar": "#767676",
            "scrollbar-background": "#121212",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#0f7f69",
        secondary="#2f5fc4",
        accent="#0f7f69",
        warning="#946000",
        error="#b3261e",
        success="#2c7a1f",
        foreground="#1d2433",
        background="#fbfcfe",
        surface="#f0f3f8",
        panel="#e2e7f0",
        dark=False,
        variables={
            **_LIGHT_COLOUR,
            "border": "#0f7f69",
            "border-blurred": "#b4bdcc",
            "footer-key-foreground": "#0f7f69",
            "footer-background": "#f0f3f8",
            "input-selection-background": "#a9e3d6",
            "block-cursor-background": "#cfeee6",
            "block-cursor-foreground": "#0b3b32",
            "scrollbar": "#b4bdcc",
            "scrollbar-background": "#fbfcfe",
        },
    ),
    Theme(
        name=CONTRAST,
        primary="#ffff00",
        secondary="#00ffff",
        accent="#ffff00",
        warning="#ffd000",
        error="#ff8080",
        success="#80ff80",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#202020",
        text_alpha=1.0,
        variables={
            **_TRUE_COLOUR,
            "memory-reserve": "#b0b0b0",
            "memory-workspace": "#d0d0d0",
            "faint": "#d0d0d0",
            "border": "#ffff00",
            "border-blurred": "#c0c0c0",
            "footer-key-foreground": "#ffff00",
            "footer-background": "#202020",
            "block-cursor-background": "#ffff00",
            "block-cursor-foreground": "#000000",
        },
    ),
)


def defaults(ansi: bool) -> dict[str, str]:
    """Our own variables, for themes that do not define them."""
    return dict(_ANSI_COLOUR if ansi else _TRUE_COLOUR)


def for_terminal(environ: Mapping[str, str] = os.environ, chosen: str = "") -> str:
    """The theme to start with: `$FTTUI_THEME`, else the one `chosen` in the settings, else one for the terminal.

    The latter is 16 colours if it has no more or `$NO_COLOR` is set, 256 colours if it has 256, else the dark theme.
    """
    if "NO_COLOR" in environ:
        return SIXTEEN
    wanted = environ.get("FTTUI_THEME") or chosen
    if wanted and wanted != DARK:
        return wanted
    if has_all_colours(environ):
        return DARK
    return DARK_256 if wanted or "256" in environ.get("TERM", "") else SIXTEEN


_ABOUT = {
    DARK: "fttui's own",
    DARK_256: "fttui's own, of 256 colours",
    LIGHT: "fttui's own, for a bright room",
    CONTRAST: "high contrast",
    SIXTEEN: "the terminal's own 16 colours",
    "ansi-light": "the terminal's own 16 colours, on white",
}


def choices(available: Iterable[str], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The themes to choose from, ours first, with a few words; of the two dark ones, the one for this terminal."""
    left_out = {DARK_256 if has_all_colours(environ) else DARK, "textual-ansi"}
    ours = [name for name in _ABOUT if name in available]
    others = sorted(name for name in available if name not in _ABOUT)
    return [(name, _ABOUT.get(name, "")) for name in (*ours, *others) if name not in left_out]


def has_all_colours(environ: Mapping[str, str]) -> bool:
    """Whether the terminal shows 16 million colours: it says so, or it is one that always does."""
    term = environ.get("TERM", "")
    return environ.get("COLORTERM", "") in ("truecolor", "24bit") or any(x in term for x in _ALL_COLOURS)
