"""gssctl as the tests run it: as a command, and at a terminal."""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from world import GSSFS, SLOW

GSSCTL = os.environ.get("GSSCTL") or str(pathlib.Path(GSSFS).parent / "ctl" / "gssctl")

OK, FAILED, USAGE, NOINPUT, UNAVAILABLE, IOERR, TEMPFAIL, NOPERM = 0, 1, 64, 66, 69, 74, 75, 77
INTERRUPTED = 128 + signal.SIGINT


def gssctl(world, *words, status=OK, input="", **more):
    """Runs it; checks the exit status. Standard output; the whole result if `status` is None."""
    environment = world.environment | more.pop("env", {})
    result = subprocess.run([GSSCTL, *map(str, words)], env=environment, capture_output=True, text=True,
                            timeout=100 * SLOW, input=input, **more)
    if status is None:
        return result
    assert result.returncode == status, f"{words}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def gssctl_json(world, *words, **more):
    return json.loads(gssctl(world, *words, "--json", **more))


def complaint(world, *words, status, **more):
    """What it says on standard error when it fails like this."""
    result = gssctl(world, *words, status=None, **more)
    assert result.returncode == status, f"{words}: {result.returncode}\n{result.stdout}{result.stderr}"
    assert result.stderr.startswith("gssctl: ")
    return result.stderr


class Waiting:
    """A gssctl that is expected to wait, without a terminal."""

    def __init__(self, world, *words):
        self.process = subprocess.Popen([GSSCTL, *map(str, words)], env=world.environment, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self, status=OK):
        """Standard output and error."""
        out, err = self.process.communicate(timeout=60 * SLOW)
        assert self.process.returncode == status, f"{self.process.returncode}\n{out}{err}"
        return out, err


class Terminal:
    """A gssctl, or another program, at a terminal of its own."""

    def __init__(self, world, *words, program=GSSCTL, columns=100, lines=30, **environment):
        self.text = ""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [program, *map(str, words)], env=world.environment | {"TERM": "xterm"} | environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def read_until(self, pattern, timeout=20):
        """Reads on until the pattern (a regular expression) is in all that was shown; the match."""
        deadline = time.monotonic() + timeout * SLOW
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline and self.read(1), f"{pattern} does not come: {self.text!r}"
        return found

    def read(self, timeout):
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            block = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            return False
        self.text += block.decode().replace("\r\n", "\n")
        return bool(block)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def frames(self):
        """What was drawn, picture by picture."""
        return [frame for frame in re.split(r"(?:\033\[\d+A)?\r?\033\[J", self.text) if frame]

    def end(self, status=OK):
        deadline = time.monotonic() + 60 * SLOW
        while self.read(1):
            if time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(f"it does not end: {self.text!r}")
        os.close(self.master)
        ended = self.process.wait(20)
        assert ended == status, f"{ended}: {self.text!r}"
        return self.text
