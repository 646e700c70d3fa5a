"""A world for one test: platforms, mounts of them, and means to wait and to look.

What a test starts or mounts ends with its world. Works as root and as anybody who may use fusermount3.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import time

import pytest

from gss_local import TOKEN, Server

GSSFS = os.environ.get("GSSFS", "gssfs")
SANITIZE = os.environ.get("GSSFS_SANITIZE", "none")
SLOW = 1 if SANITIZE == "none" else 10 if "thread" in SANITIZE else 4
# A test may take this long; the daemon is killed then, so that no system call hangs for ever.
TEST_TIMEOUT = 150 * SLOW

LOGIN = {"CFG_USERNAME": "demo", "CFG_PROJECT": "demo", "CFG_PASSWORD": "demo"}

# Names that need escaping somewhere on their way: in URLs, in XML, in shells.
AWKWARD = [
    "with space", " lead", "trail ", "per%cent", "per%20cent", "%", "hash#", "what?", "a&b", "a&amp;b", "a<b>",
    "]]>", "semi;colon", "plus+", "quote'\"", "back\\slash", "$(HOME)`", "-rf", "~", "...", "..x", ".hidden", "star*[a]{b}",
    "Gr\u00fc\u00dfe", "Gru\u0308\u00dfe", "\u4f60\u597d", "\U0001f600 %41;?#&", "\u202eabc", "x" * 255, "\u00fc" * 127 + "y",
    "tab\t", "two\nlines", "\n", "return\r", "crlf\r\n%0D%0A", "del\x7f", "nel\u0085", "csi\u009b1m",
]


# ---- waiting ----


def until(condition, what="what was waited for", timeout=20):
    """The first true value of condition(), which is tried again and again; OSError counts as false."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        try:
            value = condition()
        except OSError as error:
            value, last = False, error
        else:
            last = value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come: {last!r}"
        time.sleep(0.02)


@contextlib.contextmanager
def fails_with(*codes):
    """The block must raise OSError with one of these codes."""
    with pytest.raises(OSError) as info:
        yield info
    names = [errno.errorcode[c] for c in codes]
    assert info.value.errno in codes, f"{info.value!r} instead of {names}"


# What a mount lists in its root besides the files.
CONTROL = {".register", ".status", ".images"}


def random_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def is_mounted(path):
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == escaped for line in mounts)


# ---- mounts ----


def release(path):
    """fusermount3 -u. A mount at which gssctl looks in another test, and it looks at all, is busy for as long as that."""
    deadline = time.monotonic() + 60 * SLOW
    while True:
        result = subprocess.run(["fusermount3", "-u", str(path)], capture_output=True, text=True)
        if result.returncode == 0:
            return
        if "busy" not in result.stderr or time.monotonic() > deadline:
            raise AssertionError(result.stderr)
        time.sleep(0.05)


class Mount:
    """A gssfs and what it mounted; `home / "name"` is a path in it."""

    def __init__(self, world, source, path, options, environment):
        self.world = world
        self.path = path
        self.source = source
        self.log = world.path / f"gssfs-{len(world.mounts)}.log"
        arguments = [GSSFS, "-f", *options, source, str(path)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        until(lambda: is_mounted(path) or self.process.poll() is not None, f"the mount of {source}")
        assert self.process.poll() is None, \
            f"{arguments} ended with {self.process.returncode}: {self.text()}"

    def __truediv__(self, name):
        return self.path / name

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def peak_memory(self):
        """The most memory that the daemon ever had, in bytes."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) * 1024

    def unmount(self, timeout=60):
        """As a user does it; waits until the daemon has sent what was pending. Its exit status."""
        release(self.path)
        return self.process.wait(timeout * SLOW)

    def kill(self):
        """kill -9 of the daemon; and the dead mount goes away."""
        self.process.kill()
        self.process.wait()
        self.detach()

    def detach(self):
        if is_mounted(self.path):
            subprocess.run(["fusermount3", "-u", "-z", str(self.path)], check=True)

    def end(self):
        """The end of a test, whatever state it left this in. True: in an orderly way."""
        self.detach()
        if self.process.poll() is not None:
            return True
        # Whatever is pending need not be sent any more, and the server may be unwilling. The second signal gives it up.
        deadline = time.monotonic() + 20 * SLOW
        patience = SLOW
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                return True
            self.process.terminate()
            patience = 0.5
        self.process.kill()
        self.process.wait()
        return False


def attribute(path, name):
    """An extended attribute user.gss.NAME, as text."""
    return os.getxattr(path, "user.gss." + name).decode()


def state(path):
    return attribute(path, "state")


def settled(path, timeout=20):
    """Waits until the file is on the platform."""
    until(lambda: state(path) == "clean", f"the end of the upload of {path}", timeout)


@functools.cache
def see_no_other_mounts():
    """gssctl finds all mounts there are: those of a test that runs beside this one are no business of this process.
    A copy of another's mount that stayed in our namespace would keep its daemon from learning that it was unmounted."""
    clone_newns, ms_rec, ms_private, mnt_detach = 0x20000, 0x4000, 0x40000, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() != 0 or libc.unshare(clone_newns) != 0:
        return
    assert libc.mount(b"none", b"/", None, ms_rec | ms_private, None) == 0, os.strerror(ctypes.get_errno())
    with open("/proc/self/mounts", "rb") as mounts:
        ours = [line.split()[1] for line in mounts if line.split()[2] == b"fuse.gssfs"]
    for path in ours:
        libc.umount2(path.decode("unicode_escape").encode("latin-1"), mnt_detach)


class World:
    """All that one test has."""

    def __init__(self):
        see_no_other_mounts()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="gssfs-test-"))
        self.servers = []
        self.mounts = []
        self.user_home = self.path / "user"
        self.user_home.mkdir()
        self.environment = {
            k: v for k, v in os.environ.items()
            if not k.startswith(("CFG_", "XDG_", "GIT_")) and k not in ("NOTIFY_SOCKET", "INVOCATION_ID")}
        report = f"log_path={self.path}/sanitizer"
        self.environment |= {
            "HOME": str(self.user_home), "LC_ALL": "C.UTF-8", "G_DEBUG": "fatal-criticals",
            "ASAN_OPTIONS": f"{report}:detect_leaks=1:abort_on_error=0:exitcode=99",
            "UBSAN_OPTIONS": f"{report}:print_stacktrace=1:halt_on_error=1:exitcode=99",
            "TSAN_OPTIONS": f"{os.environ.get('TSAN_OPTIONS', '')}:{report}:exitcode=99:atexit_sleep_ms=0",
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def server(self, *options, folder="platform"):
        root = self.path / folder
        server = Server(root, *options)
        server.home = root / "it4i_anselm" / "home"
        server.scratch = root / "it4i_anselm" / "scratch"
        server.registered = root / "images" / "anselm"
        self.servers.append(server)
        return server

    def options(self, server, *more, cache="cache"):
        base = server if isinstance(server, str) else server.base
        options = [f"auth={base}/authManager/AuthManager?wsdl", f"gss={base}/gss-0.1/FileUtilities?wsdl",
                   f"images={base}/hpc-4-anselm/Images?wsdl"]
        if cache:
            options.append(f"cache_dir={self.path / cache}")
        return ["-o", ",".join([*options, *more])]

    def mountpoint(self, name="mnt"):
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def mount(self, server, source="it4i_anselm://home", *more, cache="cache", at="mnt", login=None):
        """A running mount. `more`: further words for -o."""
        environment = self.environment | (LOGIN if login is None else login)
        mount = Mount(self, source, self.mountpoint(at), self.options(server, *more, cache=cache),
                      environment)
        self.mounts.append(mount)
        return mount

    def gssfs(self, *arguments, login=None, timeout=60, **more):
        """gssfs as a command that is expected to come back."""
        environment = self.environment | (LOGIN if login is None else login) | more.pop("env", {})
        return subprocess.run([GSSFS, *map(str, arguments)], env=environment, capture_output=True,
                              text=True, timeout=timeout * SLOW, stdin=subprocess.DEVNULL, **more)

    def run(self, *command, check=True, timeout=100, **more):
        """A program at work in a mount."""
        environment = self.environment | more.pop("env", {})
        result = subprocess.run([str(c) for c in command], env=environment, capture_output=True,
                                text=True, timeout=timeout * SLOW, stdin=subprocess.DEVNULL, **more)
        if check:
            assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def shell(self, line, **more):
        return self.run("sh", "-c", line, **more)

    def logs(self):
        for log in sorted(self.path.glob("gssfs-*.log")) + self.reports():
            text = log.read_text(errors="replace")
            yield log.name, text if len(text) < 20000 else text[:4000] + "\n[...]\n" + text[-16000:]

    def reports(self):
        return sorted(self.path.glob("sanitizer.*"))

    def expire(self):
        for mount in self.mounts:
            if mount.process.poll() is None:
                mount.process.kill()

    def left_behind(self):
        """Daemons that went to the background and live on; by what they have mounted or open."""
        with open("/proc/self/mountinfo") as mounts:
            for line in mounts:
                point = line.split()[4].replace("\\040", " ").replace("\\134", "\\")
                if point.startswith(str(self.path) + "/"):
                    yield pathlib.Path(point)

    def daemons(self):
        """The gssfs processes that this test started, also those in the background."""
        mark = f"HOME={self.user_home}".encode()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "comm").read_text().strip() == "gssfs" and \
                            mark in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)

    def end(self):
        faults = []
        for server in self.servers:
            if server.process.poll() is None:
                server.control("/release")
        for mount in reversed(self.mounts):
            if not mount.end():
                faults.append(f"{mount.path}: the daemon did not end by SIGTERM")
        for point in list(self.left_behind()):
            subprocess.run(["fusermount3", "-u", "-z", str(point)], check=False)
        if list(self.daemons()):
            try:
                until(lambda: not list(self.daemons()), timeout=2)
            except AssertionError:
                def tell():
                    for pid in self.daemons():
                        os.kill(pid, signal.SIGTERM)
                    time.sleep(0.2)
                    return not list(self.daemons())

                try:
                    until(tell)
                except AssertionError:
                    for pid in self.daemons():
                        faults.append(f"process {pid} did not end by SIGTERM")
                        os.kill(pid, signal.SIGKILL)
        for server in self.servers:
            if server.stop() != 0:
                faults.append("gss-local failed")
        for mount in self.mounts:
            # 1: something is left to upload, which is the test's business.
            if mount.process.returncode not in (0, 1, -signal.SIGKILL) and not self.reports():
                faults.append(f"gssfs ended with {mount.process.returncode}: {mount.text()[-3000:]}")
        faults += [report.read_text(errors="replace") for report in self.reports()]
        return faults


# ---- the Images service, by a client that is not ours ----


def images(server, cluster="anselm"):
    """What the Images service lists: {name: size}."""
    listed = server.images(cluster).listImages(token=TOKEN) or []
    return {image.name: image.size for image in listed}
