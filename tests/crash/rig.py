"""A platform and one gssfs after the other on the same cache: runs operations of model.py and looks at the outcome."""

import contextlib
import errno
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from model import DIED, data  # noqa: E402
from world import GSSFS, LOGIN, SLOW, World, is_mounted, release, until  # noqa: E402

DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV)
CONTROL = {".register", ".status", ".images"}
# No call may take longer: namespace operations end after 20 s, fsync after 60 s without progress.
CALL_S = 100


class Hang(AssertionError):
    pass


class Rig:
    def __init__(self, server_options=(), mount_options=(), source="it4i_anselm://home"):
        self.world = World()
        self.path = self.world.path
        self.server = self.world.server(*server_options)
        self.mount_options = mount_options
        self.source = source
        self.mnt = self.world.mountpoint()
        self.process = None
        self.older = []
        self.handles = {}
        self.appending = set()
        self.mounts = 0
        self.killed = False
        self.images = {}  # name -> content, None: removed; as was told
        self.asked = None  # the last registration: name and content

    # ---- life ----

    def _start(self, crash):
        environment = self.world.environment | LOGIN | ({"GSSFS_CRASH": crash} if crash else {})
        self.mounts += 1
        self.log = self.path / f"gssfs-{self.mounts}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [GSSFS, "-f", *self.world.options(self.server, *self.mount_options), self.source, str(self.mnt)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def mount(self, crash=None):
        """False: it was killed before it was mounted."""
        self._start(crash)
        until(lambda: is_mounted(self.mnt) or self.process.poll() is not None, "the mount")
        if self.process.poll() is None:
            return True
        assert crash and self.process.returncode == -9, f"gssfs ended with {self.process.returncode}: {self.text()}"
        self.detach()
        return False

    def take_over(self, crash=None):
        """Unmounts, and mounts again while the first still drains."""
        self.close_all()
        if is_mounted(self.mnt):
            release(self.mnt)
        self.older.append(self.process)
        return self.mount(crash)

    def text(self):
        return "".join(f"[{n}] " + (self.path / f"gssfs-{n}.log").read_text(errors="replace")
                       for n in range(1, self.mounts + 1))

    @property
    def dead(self):
        return self.process is None or self.process.poll() is not None

    def close_all(self):
        for fd in self.handles.values():
            with contextlib.suppress(OSError):
                os.close(fd)
        self.handles.clear()

    def detach(self):
        self.close_all()
        if is_mounted(self.mnt):
            subprocess.run(["fusermount3", "-u", "-z", str(self.mnt)], check=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.detach()

    def unmount(self, timeout=90):
        """The exit status, after everything was sent."""
        self.close_all()
        if is_mounted(self.mnt):
            release(self.mnt)
        try:
            return self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise Hang("it drains for ever: " + self.text()) from None
        finally:
            self.detach()

    def end(self):
        if not self.dead:
            self.kill()
        for process in self.older:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.detach()
        faults = self.world.end()
        shutil.rmtree(self.path, ignore_errors=True)
        return faults

    # ---- operations ----

    @contextlib.contextmanager
    def watched(self, op):
        """A call that hangs is ended by the end of the daemon."""
        expired = []

        def end():
            expired.append(True)
            self.process.kill()

        timer = threading.Timer(CALL_S * SLOW, end)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if expired:
                raise Hang(f"{op} did not come back")

    def run(self, op):
        """(outcome, value) as model.py wants them."""
        try:
            with self.watched(op):
                return "ok", getattr(self, "do_" + op[0])(*op[1:])
        except OSError as error:
            if error.errno in DEAD:
                until(lambda: self.dead, "the end of the process")
                return DIED, None
            if error.errno == errno.EIO:  # so the page cache tells of any failure
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.3)
            if self.dead:
                return DIED, None
            return error.errno, None

    def do_open(self, handle, name, flags):
        mode = {"r": os.O_RDONLY, "w": os.O_WRONLY, "+": os.O_RDWR}[flags[0]]
        for letter, bits in {"c": os.O_CREAT, "x": os.O_CREAT | os.O_EXCL, "t": os.O_TRUNC,
                             "a": os.O_APPEND}.items():
            mode |= bits if letter in flags[1:] else 0
        self.handles[handle] = os.open(self.mnt / name, mode, 0o644)
        (self.appending.add if "a" in flags else self.appending.discard)(handle)

    def do_write(self, handle, offset, size, tag):
        fd, left = self.handles[handle], memoryview(data(size, tag))
        while left:
            n = os.write(fd, left) if handle in self.appending else os.pwrite(fd, left, offset)
            left, offset = left[n:], offset + n

    def do_ftruncate(self, handle, size):
        os.ftruncate(self.handles[handle], size)

    def do_fsync(self, handle):
        os.fsync(self.handles[handle])

    def do_close(self, handle):
        os.close(self.handles.pop(handle))

    def do_truncate(self, name, size):
        os.truncate(self.mnt / name, size)

    def do_rename(self, name, new):
        os.rename(self.mnt / name, self.mnt / new)

    def do_unlink(self, name):
        os.unlink(self.mnt / name)

    def do_mkdir(self, name):
        os.mkdir(self.mnt / name)

    def do_rmdir(self, name):
        os.rmdir(self.mnt / name)

    def do_read(self, name):
        with open(self.mnt / name, "rb") as file:
            return file.read()

    def do_list(self, name):
        return sorted(n for n in os.listdir(self.mnt / name) if n not in CONTROL)

    # ---- registering ----

    def register(self, line, image, name):
        """False: the process has died."""
        try:
            with self.watched(("register", line)):
                self.asked = image, (self.mnt / name).read_bytes() if name else None
                fd = os.open(self.mnt / ".register", os.O_WRONLY)
                try:
                    os.write(fd, f"{line}\n".encode())
                finally:
                    os.close(fd)
        except OSError as error:
            assert error.errno in DEAD, f"{line}: {error}"
            until(lambda: self.dead, "the end of the process")
            return False
        self.images |= dict([self.asked])
        return True

    def check_images(self, journaled):
        """What was told is there; what was cut off is as it was, or done, and done if it was journaled."""
        for image, content in (self.images | dict([self.asked] if self.asked else [])).items():
            path = self.server.registered / image
            there = path.read_bytes() if path.exists() else None
            cut_off = self.asked and self.asked[0] == image and self.images.get(image, 0) != content
            assert there == content or cut_off and not journaled and there == self.images.get(image), \
                f"image {image} is {there and len(there)} bytes, not {content and len(content)}"

    # ---- looking ----

    def state(self, name):
        return os.getxattr(self.mnt / name, "user.gss.state").decode()

    def in_mount(self):
        """{path: None or (content, state)}"""
        seen = {}
        with self.watched("looking"):
            for folder, folders, files in os.walk(self.mnt, onerror=_raise):
                base = os.path.relpath(folder, self.mnt)
                base = "" if base == "." else base + "/"
                folders[:] = [f for f in folders if f not in CONTROL]
                seen |= {base + f: None for f in folders}
                for f in files:
                    if f not in CONTROL:
                        seen[base + f] = self.do_read(base + f), self.state(base + f)
        return seen

    def on_server(self):
        """{path: None or content}"""
        home = self.server.home
        return {str(p.relative_to(home)): None if p.is_dir() else p.read_bytes() for p in sorted(home.rglob("*"))}

    def caches(self):
        return [p for p in (self.path / "cache").iterdir() if (p / "journal.sqlite").exists()]

    def leftovers(self):
        """What a cache that has sent everything must not have: found with no gssfs running."""
        faults = []
        for cache in self.caches():
            with contextlib.closing(sqlite3.connect(cache / "journal.sqlite")) as journal:
                # A removal with an end is a watch on what may still come; it holds nobody up.
                for rest in ("generation", "removal WHERE until = 0", "meta WHERE key LIKE 'memo/command/%'"):
                    faults += [f"{rest}: {row}" for row in journal.execute(f"SELECT * FROM {rest}")]
                blobs = {f"{row[0]:016x}" for row in journal.execute("SELECT id FROM blob")}
                faults += [f"{check}" for (check,) in journal.execute("PRAGMA integrity_check") if check != "ok"]
            files = {p.name for p in (cache / "blobs").iterdir()}
            faults += [f"blob {b} is not in the journal" for b in files - blobs]
            faults += [f"{p.name} is in quarantine/" for p in (cache / "quarantine").glob("*-nobody")]
        return faults


def _raise(error):
    raise error
