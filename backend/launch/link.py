"""Whether the other boxes of a run can still be reached: a heartbeat a second over a connection to the first box.

An exchange between ranks waits for a lost box for as long as the kernel tries, which may be forever. So the first rank
of each box keeps a separate connection; a rank that hears nothing for a while reports it and ends, and the run resumes
from its last checkpoint when the box is back (backend/launch/node.py).
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

BEAT_SECONDS = 1.0
LOST_SECONDS = 20.0
"""After so long without a heartbeat, the other box counts as lost; a switch needs less to restart a port."""
_PASSWORD_BYTES = 32
_GREETING_SECONDS = 5.0
_LEAVING = b"\x04"
"""Sent before a rank ends normally: silence after it does not mean that the box is lost."""

OnLost = Callable[[str], None]
"""Called once, in a thread, with the address of what is lost."""


class Link:
    """The connections of one box: the first box has one to each other box, and the others have one to the first."""

    def __init__(self, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._open: list[socket.socket] = []
        self._left = threading.Event()

    def listen(self) -> str:
        """Take the others' connections from now on, in a thread; what `connect` takes."""
        both = socket.has_dualstack_ipv6()
        server = socket.create_server(("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
        password = secrets.token_hex(_PASSWORD_BYTES // 2)
        threading.Thread(target=self._accept, args=(server, password), name="link", daemon=True).start()
        return f"{server.getsockname()[1]} {password}"

    def connect(self, host: str, word: str) -> None:
        """Connect to the first box, whose `listen` has returned `word`. Raises OSError."""
        port, password = word.split()
        one = socket.create_connection((host, int(port)), LOST_SECONDS)
        one.sendall(password.encode())
        self._keep(one, host)

    def leave(self) -> None:
        """The run is over on this box: from now on, silence is not a lost box, neither here nor there."""
        self._left.set()
        for one in self._open:
            with suppress(OSError):
                one.sendall(_LEAVING)

    def _accept(self, server: socket.socket, password: str) -> None:
        while not self._left.is_set():
            one, address = server.accept()
            if _knows(one, password):
                self._keep(one, str(address[0]).removeprefix("::ffff:"))
            else:  # a port scanner
                one.close()

    def _keep(self, one: socket.socket, who: str) -> None:
        self._open.append(one)
        for target, words in ((self._beat, (one,)), (self._hear, (one, who))):
            threading.Thread(target=target, args=words, name="link", daemon=True).start()

    def _beat(self, one: socket.socket) -> None:
        while not self._left.is_set():
            with suppress(OSError):  # the side that hears nothing reports it
                one.sendall(b".")
            time.sleep(BEAT_SECONDS)

    def _hear(self, one: socket.socket, who: str) -> None:
        one.settimeout(LOST_SECONDS)
        with suppress(OSError):  # timeouts are OSErrors too
            while heard := one.recv(64):
                if _LEAVING in heard:
                    return
        if not self._left.is_set():
            self._left.set()
            self._on_lost(who)


def _knows(one: socket.socket, password: str) -> bool:
    one.settimeout(_GREETING_SECONDS)
    said = b""
    with suppress(OSError):
        while len(said) < _PASSWORD_BYTES and (more := one.recv(_PASSWORD_BYTES - len(said))):
            said += more
    return secrets.compare_digest(said, password.encode())
