"""What is measured: something that shows a folder, whose bytes are (or come to be) on a server."""

import contextlib
import itertools
import subprocess
import time

from daemon import until
from place import mounted

numbers = itertools.count(1)


class Session:
    """One case's use of a peer: a folder of its own, mounted. Ends with the mount and all its files gone."""

    def __init__(self, peer, delay_ms, name):
        self.peer = peer
        self.delay_ms = delay_ms
        self.name = name
        self.served = peer.served / name  # where the server has it
        self.root = None  # where the mount shows it
        self.daemon = None
        self.mount_seconds = None
        self.requests_before = 0

    def mount(self):
        self.requests_before = self.peer.requests() or 0
        begin = time.perf_counter()
        self.daemon = self.peer.mount(self)
        self.mount_seconds = time.perf_counter() - begin
        self.root = self.peer.point / self.name
        return self

    def unmount(self):
        """Seconds until the mount is gone; then until the program has ended."""
        begin = time.perf_counter()
        self.peer.unmount(self)
        gone = time.perf_counter() - begin
        if self.daemon:
            self.daemon.wait()
            self.daemon = None
        return gone

    def usage(self):
        return self.daemon.usage() if self.daemon else (0.0, 0)

    def requests(self):
        count = self.peer.requests()
        return None if count is None else count - self.requests_before

    def arrived(self, files, timeout=600):
        """Waits until the server has these files, {name: size}, whole."""
        left = dict(files)

        def whole():
            for name, size in list(left.items()):
                try:
                    if (self.served / name).stat().st_size != size:
                        return False
                except OSError:
                    return False
                del left[name]
            return True

        until(whole, f"{len(files)} files of {self.peer.name} on the server", timeout)


class Peer:
    """`reason`: why it can't be measured here, or None."""

    name = "?"
    color = "#888888"
    programs = ()
    files = ()

    def __init__(self, place):
        self.place = place
        self.point = None
        self.served = None
        self.reason = None

    def start(self):
        """Its server, and what else it needs once."""
        self.point = self.place.mountpoint(self.name)

    def mount(self, session):
        """Mounts its server's folder at self.point; the daemon, or None."""
        raise NotImplementedError

    def unmount(self, session):
        subprocess.run(["fusermount3", "-u", str(self.point)], check=True, stdin=subprocess.DEVNULL)

    def forget(self):
        """The local cache is gone."""

    def requests(self):
        return None

    @contextlib.contextmanager
    def session(self, delay_ms=0, **options):
        session = Session(self, delay_ms, f"run{next(numbers)}")
        session.served.mkdir(parents=True)
        self.prepare(session, **options)
        try:
            yield session
        finally:
            if mounted(self.point):
                with contextlib.suppress(Exception):
                    session.unmount()
            if session.daemon:
                session.daemon.stop()
            self.forget()
            self.place.discard(session.served)

    def prepare(self, session, **options):
        """What only some can be told (gssfs: full=False, the server gives names only)."""
