from __future__ import annotations

from pathlib import Path

import pytest

from backend.logind import kills_processes, parse

SHIPPED = "[Login]\n#NAutoVTs=6\n#KillUserProcesses={default}\n#KillExcludeUsers=root\n"


def folders(tmp_path: Path, **files: str) -> list[Path]:
    """Two folders, the stronger first; `etc_NAME` and `usr_NAME` are drop-ins, `main` is logind.conf."""
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for folder in (etc, usr):
        (folder / "logind.conf.d").mkdir(parents=True)
    for name, text in files.items():
        where, _, rest = name.partition("_")
        target = {"etc": etc, "usr": usr}.get(where)
        path = target / "logind.conf.d" / f"{rest}.conf" if target else etc / "logind.conf"
        path.write_text(text)
    return [etc, usr]


@pytest.mark.parametrize(
    ("files", "user", "kills"),
    [
        ({}, "ann", False),
        ({"main": SHIPPED.format(default="no")}, "ann", False),
        ({"main": SHIPPED.format(default="yes")}, "ann", True),
        ({"main": "[Login]\nKillUserProcesses=yes\n"}, "ann", True),
        ({"main": "[Login]\nKillUserProcesses=yes\n"}, "root", False),
        ({"main": "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=root ann\n"}, "ann", False),
        ({"main": "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=bob\n"}, "ann", False),
        ({"main": "[Other]\nKillUserProcesses=yes\n"}, "ann", False),
        ({"main": "[Login]\nKillUserProcesses=no\n", "etc_50": "[Login]\nKillUserProcesses=true\n"}, "ann", True),
        ({"etc_50": "[Login]\nKillUserProcesses=no\n", "usr_50": "[Login]\nKillUserProcesses=yes\n"}, "ann", False),
        ({"etc_50": "[Login]\nKillUserProcesses=no\n", "usr_60": "[Login]\nKillUserProcesses=yes\n"}, "ann", True),
    ],
)
def test_whose_processes_end_at_logout(tmp_path: Path, files: dict[str, str], user: str, kills: bool) -> None:
    assert kills_processes(folders(tmp_path, **files), user) is kills


def test_the_last_setting_counts_and_comments_do_not() -> None:
    assert parse("[Login]\nA=1\n;A=2\n#A=3\nA = 4\n[Else]\nA=5\n") == {"A": "4"}
