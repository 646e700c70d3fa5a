"""A process in the background, and what it has used."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something did not start, or did not do what it was told."""


def until(condition, what, timeout=30, pause=0.002):
    """The first true value of condition(); whoever waits for a program that gives no word looks often."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {timeout} s")
        time.sleep(pause)


def children(pid):
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from children(int(child))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
    return int(found.group(1)) * 1024 if found else 0


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Daemon:
    """Started here, in a session of its own (Ctrl-C is not for it), or adopted by its number."""

    def __init__(self, place, name, arguments=None, environment=None, pid=None, **more):
        self.log = place.path / f"{name}.log"
        self.name = name
        self.process = None
        self.pid = pid
        if arguments is not None:
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [str(a) for a in arguments], env=environment or place.environment(), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, start_new_session=True, **more)
            self.pid = self.process.pid
        place.undo(self.stop)

    def alive(self):
        return self.process.poll() is None if self.process else running(self.pid)

    def text(self):
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def ready(self, condition, timeout=30):
        def either():
            if not self.alive():
                raise Failed(f"{self.name} ended: {self.text()}")
            return condition()
        return until(either, f"{self.name} did not become ready ({self.text()})", timeout, 0.0005)

    def usage(self):
        """(CPU seconds, peak memory in bytes) of it and its helpers, so far."""
        cpu, peak = 0.0, 0
        for pid in [self.pid, *children(self.pid)]:
            with contextlib.suppress(OSError):
                cpu += cpu_seconds(pid)
                peak += peak_bytes(pid)
        return cpu, peak

    def wait(self, timeout=600):
        if self.process:
            try:
                return self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise Failed(f"{self.name} did not end within {timeout} s") from None
        until(lambda: not running(self.pid), f"the end of {self.name}", timeout, 0.01)
        return 0

    def stop(self, number=signal.SIGTERM):
        for number in (number, signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                break
            with contextlib.suppress(OSError):
                os.kill(self.pid, number)
            with contextlib.suppress(Failed):
                self.wait(5)
        if self.process:
            self.process.poll()
