"""What happens to a run when its terminal closes, hangs up or stops. The trainer is the light one of standin.py."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from backend.run import folder as run_folder
from backend.run.folder import RunFolder
from backend.run.history import History, read
from tests.terminal.standin import NOISE
from tests.terminal.tmux import ROOT, Tmux, tmux

__all__ = ["tmux"]
pytestmark = pytest.mark.terminal
STANDIN = "-m tests.terminal.standin"


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def the_run() -> RunFolder:
    eventually(lambda: bool(run_folder.all_runs()) and run_folder.all_runs()[0].events_file.exists())
    return run_folder.all_runs()[0]


def past(run: RunFolder) -> History:
    return read(run.events_file)


def wait_for_end(run: RunFolder) -> History:
    eventually(lambda: bool(past(run).finished) and not run.is_alive())
    return past(run)


def child_of(run: RunFolder) -> psutil.Process:
    """The process that trains: the one that holds the run's lock file open."""
    for process in psutil.process_iter():
        try:
            if any(file.path == str(run.path / "lock") for file in process.open_files()):
                return process
        except psutil.Error:
            continue
    raise AssertionError("nobody trains this run")


def test_keep_training_gives_the_prompt_back(tmux: Tmux) -> None:
    tmux.python(STANDIN)
    tmux.wait("step +[0-9]+ of 60")
    tmux.keys("q")
    tmux.wait("Keep training")
    tmux.keys("k")
    screen = tmux.wait(r"code=0\s+READY\$")
    run = the_run()
    assert f"fttui watch {run.name}" in screen
    assert not past(run).finished
    end = wait_for_end(run)
    assert (end.state, end.step) == ("done", 60)


def test_leaving_with_a_stop_waits_for_the_checkpoint(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 2000")
    tmux.wait("step +[0-9]+ of 2,000")
    tmux.keys("q")
    tmux.wait("Keep training")
    tmux.keys("s")
    screen = tmux.wait(r"code=130\s+READY\$")
    run = the_run()
    assert past(run).state == "stopped"
    assert past(run).checkpoints
    assert f"fttui resume {run.name}" in screen


def test_a_run_to_its_end_shows_its_result(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 20")
    tmux.wait("✓ done")
    tmux.wait("Saved: load it in Python")
    tmux.keys("q")
    tmux.wait(r"code=0\s+READY\$")


def test_output_of_libraries_goes_to_the_log_and_its_panel(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 400")
    assert "noise" not in tmux.wait("step +[0-9]+ of 400").lower(), "it is shown when it is asked for"
    run = the_run()
    tmux.keys("5", "v")
    whole_line = re.compile(r"│ (?:❯ )?..:..:.. │ (C noise|noise of a library \d+) +│")

    def is_in_the_panel_alone() -> bool:
        noisy = [line for line in tmux.screen().splitlines() if "noise" in line.lower()]
        return bool(noisy) and all(whole_line.fullmatch(line) for line in noisy)

    eventually(is_in_the_panel_alone)  # the screen may be looked at between two frames
    log = run.log_file.read_text()
    assert NOISE in log
    assert "C noise" in log


def test_killing_the_session_leaves_the_run(tmux: Tmux) -> None:
    tmux.python(STANDIN)
    tmux.wait("step +[0-9]+ of 60")
    tmux.run("kill-session", "-t", "work")
    end = wait_for_end(the_run())
    assert (end.state, end.step) == ("done", 60)


def test_ctrl_z_and_sigtstp_stop_nothing(tmux: Tmux) -> None:
    tmux.python(STANDIN)
    tmux.wait("step +[0-9]+ of 60")
    tmux.keys("C-z")
    run = the_run()
    child_of(run).send_signal(signal.SIGTSTP)
    end = wait_for_end(run)
    assert (end.state, end.step) == ("done", 60)


def test_sigterm_stops_with_a_checkpoint(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 2000")
    tmux.wait("step +[0-9]+ of 2,000")
    run = the_run()
    front = child_of(run).parent()
    assert front is not None
    front.send_signal(signal.SIGTERM)
    tmux.wait(r"code=130\s+READY\$")
    end = wait_for_end(run)
    assert end.state == "stopped"
    assert end.checkpoints[-1].step == end.step
    tmux.type("echo still usable")
    tmux.wait("\nstill usable")


def test_ctrl_c_stops_with_a_checkpoint(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 2000")
    tmux.wait("step +[0-9]+ of 2,000")
    tmux.keys("C-c")
    tmux.wait("■ stopped")
    tmux.wait("fttui resume")
    tmux.keys("q")
    tmux.wait(r"code=130\s+READY\$")
    assert past(the_run()).checkpoints


def test_a_broken_screen_does_not_take_the_trainer_with_it(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 60 crash")
    screen = tmux.wait(r"code=0\s+READY\$")
    run = the_run()
    assert "ended in an error" in screen
    assert "Traceback" not in screen
    assert "the screen broke on purpose" in run.log_file.read_text()
    end = wait_for_end(run)
    assert (end.state, end.step) == ("done", 60)


def test_a_run_without_its_screen_is_watched_and_stopped(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 2000")
    tmux.wait("step +[0-9]+ of 2,000")
    tmux.keys("q")
    tmux.wait("Keep training")
    tmux.keys("k")
    tmux.wait(r"code=0\s+READY\$")
    tmux.type("clear")
    tmux.python("-c 'from tui.cli import main; main()' watch")
    tmux.wait("step +[0-9]+ of 2,000")
    tmux.keys("s")
    tmux.wait("Stop this run")
    tmux.keys("s")
    tmux.wait("■ stopped")
    tmux.keys("q")
    tmux.wait(r"code=0\s+READY\$")
    assert past(the_run()).checkpoints


def test_two_watchers_of_a_run_whose_session_was_killed_and_one_stop(tmux: Tmux) -> None:
    tmux.python(f"{STANDIN} 2000")
    tmux.wait("step +[0-9]+ of 2,000")
    tmux.run("kill-session", "-t", "work")
    for watcher in ("first", "second"):
        tmux.open(watcher)
        tmux.python("-c 'from tui.cli import main; main()' watch")
        tmux.wait("step +[0-9]+ of 2,000")
    tmux.keys("s")
    tmux.wait("Stop this run")
    tmux.keys("s")
    for watcher in ("second", "first"):
        tmux.use(watcher)
        tmux.wait("■ stopped")
    end = wait_for_end(the_run())
    assert end.state == "stopped" and end.checkpoints[-1].step == end.step


def on_a_pty(arguments: list[str], home: Path) -> tuple[int, int]:
    """Start Python on a pty of its own; returns its pid and our end."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        environment = {**os.environ, "FTTUI_HOME": str(home), "TERM": "xterm-256color"}
        os.execve(sys.executable, [sys.executable, *arguments], environment)
    return pid, master


def read_until_steps(master: int) -> RunFolder:
    while not any(past(run).step for run in run_folder.all_runs()):
        os.read(master, 65536)
    return run_folder.all_runs()[0]


def test_a_closed_pty_leaves_the_run_and_costs_nothing(fttui_home: Path) -> None:
    pid, master = on_a_pty([*STANDIN.split(), "60"], fttui_home)
    run = read_until_steps(master)
    trainer = child_of(run)
    os.close(master)
    os.waitpid(pid, 0)
    before, at = sum(trainer.cpu_times()[:2]), past(run).step
    eventually(lambda: past(run).step >= at + 20)
    used = sum(trainer.cpu_times()[:2]) - before
    assert used < 0.5 * 20 * 0.05, "the dead screen keeps a core busy"
    end = wait_for_end(run)
    assert (end.state, end.step) == ("done", 60)


def test_a_terminal_that_nobody_reads_holds_nobody_up(fttui_home: Path) -> None:
    pid, master = on_a_pty([*STANDIN.split(), "200"], fttui_home)
    run = read_until_steps(master)
    at = past(run).step
    eventually(lambda: past(run).step >= at + 60)
    child_of(run).send_signal(signal.SIGTERM)
    assert wait_for_end(run).state == "stopped"
    os.waitpid(pid, 0)
    os.close(master)


def test_without_a_terminal_it_refuses_in_a_sentence(fttui_home: Path) -> None:
    command = [sys.executable, "-m", "tui"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "fttui train" in done.stderr
    assert done.stderr.count("\n") == 1
