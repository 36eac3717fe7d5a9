"""`fttui presets`: list, show and find them."""

from __future__ import annotations

from cyclopts import App

from backend import paths, presets
from tui import text_table
from tui.plain import plain

HELP = """Presets: named settings, shipped and your own.

For example:

    fttui presets
    fttui presets show solo-qlora
    fttui presets copy solo-qlora mine    # then edit it: `fttui presets path` says where it is
    fttui presets path                    # a TOML file put there is a preset
"""

app = App(name="presets", help=HELP, help_format="plaintext")


@app.default
@app.command(name="list")
def list_presets() -> int:
    """List all presets; a broken file is listed with its error."""
    rows = []
    for preset in presets.listing():
        if isinstance(preset, presets.Broken):
            rows.append((plain(preset.name, lines=False), "broken", plain(preset.reason, lines=False)))
        else:
            origin = "shipped" if preset.shipped else "own"
            rows.append((plain(preset.name, lines=False), origin, plain(preset.description, lines=False)))
    print("\n".join(text_table.lines(rows, text_table.room())))
    return 0


@app.command
def show(name: str) -> int:
    """Print a preset's TOML.

    Args:
        name: The preset's name.
    """
    text = presets.load(name).path.read_text(encoding="utf-8")
    print(plain(text, limit=len(text)).rstrip())
    return 0


@app.command
def copy(name: str, new: str) -> int:
    """Copy a preset, also a shipped one, to one of your own.

    Args:
        name: The preset to copy.
        new: The name of the copy.
    """
    print(plain(presets.copy(name, new), lines=False))
    return 0


@app.command
def path() -> int:
    """Print the folder of your own presets; a TOML file put there is a preset."""
    print(paths.own_presets())
    return 0
