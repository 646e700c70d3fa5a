"""What is done with a peer and timed: the base of all cases."""

import contextlib
import os
import random
import subprocess
import time

import machine
from daemon import Failed

BLOCK = 1 << 20


def timed(*command, **more):
    """Seconds that a command took."""
    begin = time.perf_counter()
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, **more)
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return seconds


def make_file(path, size):
    block = random.Random(1).randbytes(min(size, BLOCK))
    with open(path, "wb") as file:
        for _ in range(size // BLOCK):
            file.write(block)
        file.write(block[:size % BLOCK])
    return path


def make_files(folder, count, size):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        make_file(folder / f"f{i:06}", size)
    return folder


class Bench:
    """What cases need: sizes, results, a place for their source files."""

    def __init__(self, place, size, results, servers):
        self.place = place
        self.size = size
        self.results = results
        self.servers = servers
        self.sources = place.folder("source")

    def big(self, size=None):
        size = size or self.size.big
        path = self.sources / f"big-{size}"
        return path if path.exists() else make_file(path, size)

    def tree(self, size=4096):
        path = self.sources / f"tree-{size}"
        return path if path.exists() else make_files(path, self.size.files, size)

    def prepare(self, touch=True):
        machine.settle()
        if touch:
            machine.touch(self.size.touched)


class Case:
    """`run(bench, peer)` does it once; what it adds to the results begins with its name."""

    name = "?"
    number = 0  # in the list of what is to be measured
    peers = None  # names of those it is made for; None: all

    def key(self):
        return self.name

    def title(self):
        return self.name

    def for_peer(self, peer):
        return self.peers is None or peer.name in self.peers

    def run(self, bench, peer):
        raise NotImplementedError

    @contextlib.contextmanager
    def metered(self, bench, session, name):
        """CPU seconds, peak memory and requests of the session's daemon during the block."""
        requests_before = session.requests()
        cpu_before, _ = session.usage()
        yield
        cpu, peak = session.usage()
        requests = session.requests()
        peer = session.peer.name
        if session.daemon:
            bench.results.add(f"{name}.cpu", peer, cpu - cpu_before)
            bench.results.add(f"{name}.peak", peer, peak)
        if requests is not None:
            bench.results.add(f"{name}.requests", peer, requests - requests_before)


def read_whole(path):
    """Seconds until the last byte."""
    buffer = bytearray(BLOCK)
    begin = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.readv(fd, [buffer]):
            pass
    finally:
        os.close(fd)
    return time.perf_counter() - begin
