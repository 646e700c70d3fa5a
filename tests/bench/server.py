"""What all servers of the benchmark share: a folder that they serve, and ways to them that take time."""

import os
import socket
import sys

from daemon import Daemon, Failed


class Server:
    """`served`: the folder behind it. `port(ms)`: where to reach it with that delay a round trip."""

    name = "?"

    def __init__(self, place):
        self.place = place
        self.folder = place.folder(self.name)
        self.served = place.folder(self.name, "served")
        self.own_port = 0
        self.delayed = {}

    def port(self, delay_ms):
        if delay_ms == 0:
            return self.own_port
        if delay_ms not in self.delayed:
            program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delay.py")
            read, write = os.pipe()
            Daemon(self.place, f"{self.name}-delay", [sys.executable, program, "--to", self.own_port, "--ms", delay_ms],
                   preexec_fn=lambda: os.dup2(write, 1), pass_fds=[write])
            os.close(write)
            with os.fdopen(read) as pipe:
                line = pipe.readline()
            if not line.strip().isdigit():
                raise Failed(f"the proxy before {self.name} did not start")
            self.delayed[delay_ms] = int(line)
        return self.delayed[delay_ms]

    def requests(self):
        """How many it has answered so far; None: it can't tell."""
        return None


def free_port():
    """For servers that can't choose one themselves; tried again by whoever finds it taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
