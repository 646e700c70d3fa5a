"""Files that a teammate writes, too: whatever somebody has written is in the end there, under its name or as a conflict copy,
unless whoever replaced it had seen it."""

import collections
import errno
import os
import re

from model import Contradiction
from rig import DEAD
from world import until

SHARED = re.compile(r"(t\d+)(\.conflict-.*)?$")
FAILS = (errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE, errno.ENOENT, errno.EAGAIN)


def split(seen):
    """What only we write, and the rest."""
    theirs = {n: seen.pop(n) for n in list(seen) if SHARED.match(n)}
    return seen, theirs


class Shared:
    def __init__(self):
        self.must = collections.defaultdict(list)  # name -> contents
        self.torn = set()

    def replaced(self, name, content):
        if content in self.must[name]:
            self.must[name].remove(content)

    def put_there(self, rig, name, content):
        """A teammate's, in the place of what is there."""
        path = rig.server.home / name
        if path.exists():
            self.replaced(name, path.read_bytes())
        new = rig.server.root / "new"
        new.write_bytes(content)
        new.rename(path)
        self.must[name].append(content)

    def edit(self, rig, name, content):
        """Ours: what is replaced is what was read."""
        base = None
        try:
            with rig.watched("edit"):
                fd = os.open(rig.mnt / name, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    base = os.pread(fd, 1 << 20, 0)
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, content, 0)
                finally:
                    os.close(fd)
                self.replaced(name, base)
                self.must[name].append(content)
        except OSError as error:
            if base is not None:
                self.replaced(name, base)
            if not rig.dead and error.errno not in FAILS:
                raise
            if error.errno in DEAD:
                until(lambda: rig.dead, "the end")

    def check(self, server, mount):
        for name, contents in self.must.items():
            here = [c for n, c in server.items() if SHARED.match(n)[1] == name]
            here += [c for n, (c, state) in mount.items() if SHARED.match(n)[1] == name and state != "clean"]
            for content in contents:
                if content not in here:
                    raise Contradiction(f"{name}: {content[:24]!r}, {len(content)} bytes, is lost; there are "
                                        f"{[(n, c[:24], len(c)) for n, c in server.items() if SHARED.match(n)[1] == name]}")
