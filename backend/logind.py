"""Whether systemd-logind ends a user's programs at logout: `KillUserProcesses` of logind.conf(5), read as text."""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from pathlib import Path

FOLDERS = (Path("/etc/systemd"), Path("/run/systemd"), Path("/usr/local/lib/systemd"), Path("/usr/lib/systemd"))
"""Folders that systemd reads, the one that takes precedence first."""
TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})


def kills_processes(folders: Sequence[Path] = FOLDERS, user: str | None = None) -> bool:
    """Whether programs of `user` (default: the one who runs this) end with the last of their sessions."""
    text = "\n".join(file.read_text(errors="replace") for file in _files(folders) if file.is_file())
    settings = parse(text)
    name = user or _user()
    only = settings.get("KillOnlyUsers", "").split()
    spared = settings.get("KillExcludeUsers", "root").split()
    kills = settings.get("KillUserProcesses", _compiled_default(text)).casefold() in TRUE
    return kills and name not in spared and (not only or name in only)


def parse(text: str) -> dict[str, str]:
    """The settings of the text's `[Login]` sections; the last of a kind counts, comments do not."""
    settings, section = dict[str, str](), ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Login]" and "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            settings[key.strip()] = value.strip()
    return settings


def _compiled_default(text: str) -> str:
    """The default compiled into this systemd: distributions choose it, and systemd's own file shows it as a comment."""
    match = re.search(r"^#\s*KillUserProcesses=(\w+)", text, re.MULTILINE)
    return match[1] if match else "no"


def _files(folders: Sequence[Path]) -> list[Path]:
    """The main file, then the drop-ins by name; if several have the same name, that of the first folder counts."""
    main = next((folder / "logind.conf" for folder in folders if (folder / "logind.conf").is_file()), None)
    drop_ins = {file.name: file for folder in reversed(folders) for file in (folder / "logind.conf.d").glob("*.conf")}
    return ([main] if main else []) + [drop_ins[name] for name in sorted(drop_ins)]


def _user() -> str:
    """The login name; empty if this user has none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
