"""Where a benchmark works: a temporary folder, and everything that has to be undone at its end."""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile


LARGE = 1 << 20


class Stopped(BaseException):
    """A signal asked for the end."""


def mounted(path):
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == escaped for line in mounts)


def shows(path):
    """Something is mounted there and answers."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except OSError:
        return False


def unmount_anyhow(path):
    """However the process behind the mount is; lazily if it must be."""
    for command in (["fusermount3", "-u", str(path)], ["fusermount3", "-u", "-z", str(path)],
                    ["umount", "-l", str(path)]):
        if not mounted(path):
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=20)


class Place:
    """`with Place() as place`: at its end, also by Ctrl-C or SIGTERM, processes, mounts and files are gone."""

    def __init__(self, base=None):
        self.stack = contextlib.ExitStack()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="gssfs-bench-", dir=base))
        self.stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.signals = {}
        self.numbers = itertools.count(1)

    def __enter__(self):
        def stop(signum, frame):
            # One is enough: undoing must not be interrupted.
            for number in self.signals:
                signal.signal(number, signal.SIG_IGN)
            raise Stopped(signum)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.signals[number] = signal.getsignal(number)
        for number in self.signals:
            signal.signal(number, stop)
        return self

    def __exit__(self, *error):
        for number in self.signals:
            signal.signal(number, signal.SIG_IGN)
        self.stack.close()
        for number, before in self.signals.items():
            signal.signal(number, before)

    def undo(self, function, *arguments):
        """Calls it at the end, the latest first."""
        self.stack.callback(function, *arguments)

    def folder(self, *names):
        path = self.path.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def mountpoint(self, name):
        path = self.folder("mnt", name)
        self.undo(unmount_anyhow, path)
        return path

    def discard(self, path):
        """Large files go now. Small ones are only set aside: for minutes after a deletion ext4 searches long for inodes,
        and the next case would pay for that."""
        if not path.exists():
            return
        for folder, _, names in os.walk(path):
            for name in names:
                file = os.path.join(folder, name)
                if os.lstat(file).st_size >= LARGE:
                    os.unlink(file)
        path.rename(self.folder("discarded") / f"{next(self.numbers)}")

    def environment(self):
        """Of programs that must not see the user's own settings."""
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("CFG_", "XDG_", "RCLONE_", "SSH_")) and k not in ("NOTIFY_SOCKET",)}
        return kept | {"HOME": str(self.folder("home")), "LC_ALL": "C.UTF-8"}
