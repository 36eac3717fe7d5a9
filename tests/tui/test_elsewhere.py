"""Runs on another box: the commands that go there through ssh, with a fake one on PATH, and a real one if there is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import UserError
from backend.run.folder import RunFolder
from tui.commands import control, train, watch
from tui.commands.app import wizard

ROOT = Path(__file__).resolve().parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The other box: a folder; `ssh` runs what it is given in it, with a `fttui` that writes its words down."""
    box, bin_ = tmp_path / "there", tmp_path / "bin"
    for folder in (box, bin_):
        folder.mkdir()
    fake = {
        "ssh": 'while [ "${1#-o}" != "$1" ]; do shift; done\n'
        '[ "$1" = -t ] && shift\n[ "$1" = -- ] || exit 9\necho "$2" > "$THERE/host"\n'
        '[ "$2" = away ] && exit 255\nshift 2\ncd "$THERE" && HOME="$THERE" exec sh -c "$*"\n',
        "fttui": 'printf "%s\\0" "$@" > "$THERE/words"\nexit "${CODE:-0}"\n',
    }
    for name, body in fake.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{body}")
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    monkeypatch.setenv("THERE", str(box))
    return box


def words(there: Path) -> list[str]:
    return (there / "words").read_text().split("\0")[:-1]


def test_commands_go_there(there: Path) -> None:
    assert control.stop("ssh:me@box") == 0 and words(there) == ["stop"]
    assert (there / "host").read_text() == "me@box\n"
    assert control.pause("ssh:box:20261124-demo-lora") == 0 and words(there) == ["pause", "20261124-demo-lora"]
    assert control.checkpoint("ssh:box:x") == 0 and words(there) == ["checkpoint", "x"]
    assert watch.watch("ssh:box:x", plain=True) == 0 and words(there) == ["watch", "x", "--plain"]
    assert train.resume("ssh:box") == 0 and words(there) == ["resume", "--detach"]
    assert wizard(on="ssh:box", ascii=True) == 0 and words(there) == ["--ascii"]


def test_its_exit_code_is_ours(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", "4")
    assert control.stop("ssh:box") == 4


def test_an_ssh_that_is_killed_has_the_code_that_a_shell_gives_it(there: Path) -> None:
    (there.parent / "bin" / "ssh").write_text("#!/bin/sh\nkill -TERM $$\n")
    assert control.stop("ssh:box") == 128 + 15


def test_what_went_wrong_is_one_sentence(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="away could not be reached by ssh"):
        control.stop("ssh:away")
    monkeypatch.setenv("CODE", "127")
    with pytest.raises(UserError, match="fttui is not installed on box"):
        control.stop("ssh:box")
    with pytest.raises(UserError, match=r"json: a run on another box .* `fttui watch ssh:box:x` shows it"):
        train.resume("ssh:box:x", json=True)
    monkeypatch.setenv("PATH", str(there))
    with pytest.raises(UserError, match="`ssh` is missing"):
        control.stop("ssh:box")


@pytest.mark.parametrize(
    "reference",
    [
        "ssh:-oProxyCommand=touch x",
        "ssh:me@-oProxyCommand=x",
        "ssh:box:$(touch x)",
        "ssh:box:-x",
        "ssh:box:x\ny",
        "ssh:b;x",
        "ssh:b\nx",
        "ssh:[::1;x]",
        "ssh:[::1",
        "ssh:",
    ],
)
def test_no_name_gets_out(reference: str, there: Path) -> None:
    with pytest.raises(UserError, match=r"is no host|is no name of a run"):
        control.stop(reference)
    assert not (there / "words").exists()


def test_an_ipv6_address_stands_in_brackets(there: Path) -> None:
    assert control.stop("ssh:me@[fe80::1%eth0]:20261124-demo") == 0 and words(there) == ["stop", "20261124-demo"]
    assert (there / "host").read_text() == "me@fe80::1%eth0\n"
    assert control.stop("ssh:[::1]") == 0 and words(there) == ["stop"]


@pytest.mark.parametrize("on", ["box", "", "slurm", "-oProxyCommand=x"])
def test_the_wizard_is_opened_by_ssh_only(on: str, there: Path) -> None:
    with pytest.raises(UserError, match="is no host; give ssh:HOST"):
        wizard(on=on)
    assert not (there / "host").exists()


def test_words_survive_whatever_shell_is_there(there: Path) -> None:
    odd = "a b'\"$(touch INJECTED)`x` \\ ! {} #"
    assert wizard(on="ssh:box", preset=odd) == 0 and words(there) == ["--preset", odd]
    assert not (there / "INJECTED").exists()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def sshd(tmp_path: Path, fttui_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real sshd on loopback, with keys of this test; `ssh box` reaches it."""
    if SSHD is None or shutil.which("ssh-keygen") is None or os.geteuid() != 0:
        pytest.skip("needs sshd, and the right to start it")
    folder, port = tmp_path / "sshd", free_port()
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = f"SetEnv FTTUI_HOME={fttui_home} PYTHONPATH={ROOT} OMP_NUM_THREADS=1 PATH={path}"
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder / 'host'}", "StrictModes no", environment]
    lines += [f"AuthorizedKeysFile {folder / 'authorized'}", "PasswordAuthentication no", f"PidFile {folder / 'pid'}"]
    lines += ["UsePAM no", "PermitRootLogin yes", "Subsystem sftp internal-sftp"]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config")])
    bin_ = folder / "bin"
    bin_.mkdir()
    options = f"-q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i {folder / 'user'}"
    for name, flag in (("ssh", "-p"), ("scp", "-P")):
        (bin_ / name).write_text(f'#!/bin/sh\nexec {shutil.which(name)} {options} {flag} {port} "$@"\n')
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    until = time.monotonic() + 10
    while subprocess.run(["ssh", "127.0.0.1", "true"], check=False).returncode and time.monotonic() < until:
        time.sleep(0.1)
    yield
    server.terminate()
    server.wait()


def said(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-c", "import sys; from tui.cli import main; sys.exit(main())", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_launched_watched_stopped_and_resumed_through_a_real_sshd(
    sshd: None, tiny_model: Path, tmp_path: Path, fttui_home: Path
) -> None:
    data = tmp_path / "odd $(touch INJECTED) name.jsonl"
    data.write_text("".join(json.dumps({"question": f"{i}?", "answer": f"{i}."}) + "\n" for i in range(40)))
    where = [
        "launch",
        "--on",
        "ssh:127.0.0.1",
        "--submit",
        "--gpu",
        "cpu",
        "--model",
        str(tiny_model),
        "--data",
        str(data),
    ]
    settings = ["--method", "lora", "--epochs", "2000", "--set", "max_steps=4000", "--set", "eval_fraction=0"]
    out = said(*where, *settings, "--anyway")
    assert "trains in the background" in out
    name = next(word for word in out.split() if word.endswith("-lora"))
    until = time.monotonic() + 200
    while "step 0/" in (line := said("watch", "ssh:127.0.0.1", "--once")) or "/0" in line:
        assert time.monotonic() < until, line
        time.sleep(0.3)
    assert name in line
    assert f"run {name} stops at its next step" in said("stop", f"ssh:127.0.0.1:{name}")
    while "stopped" not in (line := said("watch", "ssh:127.0.0.1", "--once")):
        assert time.monotonic() < until, line
        time.sleep(0.3)
    assert "trains in the background" in said("resume", "ssh:127.0.0.1")
    said("stop", "ssh:127.0.0.1")
    while RunFolder.find(name).is_alive():
        assert time.monotonic() < until
        time.sleep(0.3)
    assert not list(tmp_path.rglob("INJECTED"))
