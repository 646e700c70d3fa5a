"""davfs2, over WebDAV; it uploads at once, not after its usual 10 s. Only root may mount it as it is."""

import os
import pathlib
import subprocess

from daemon import Daemon, Failed, running
from packages import program
from peer import Peer
from place import mounted

# buf_size: newer kernels read a folder in more than its usual 16 KiB, which it refuses with EINVAL.
CONFIGURATION = """
ask_auth 0
use_locks 0
delay_upload 0
buf_size 256
cache_size 4096
cache_dir {cache}
backup_dir lost+found
"""


class Davfs2(Peer):
    name = "davfs2"
    color = "#9467bd"
    programs = ("mount.davfs", "nginx")
    files = ("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so",)

    def __init__(self, place, server):
        super().__init__(place)
        self.server = server
        self.served = server.served
        self.cache = place.path / "davfs2-cache"
        if os.geteuid() != 0:
            self.reason = "only root may mount it without a line in fstab"

    def mount(self, session):
        self.cache.mkdir(exist_ok=True)
        # Its daemon is an ordinary user.
        self.cache.chmod(0o777)
        self.place.path.chmod(0o711)
        configuration = self.place.path / "davfs2.conf"
        configuration.write_text(CONFIGURATION.format(cache=self.cache))
        before = set(self.processes())
        done = subprocess.run([program("mount.davfs"), self.server.url(session.delay_ms), self.point, "-o",
                               f"conf={configuration}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.place.environment())
        if done.returncode != 0 or not mounted(self.point):
            raise Failed(f"davfs2: {done.stderr.strip()}")
        mine = [pid for pid in self.processes() if pid not in before]
        if len(mine) != 1:
            raise Failed("davfs2: which process is the mount's cannot be told")
        return Daemon(self.place, self.name, pid=mine[0])

    def processes(self):
        """The mount helpers of this benchmark's mount point."""
        mark = str(self.point).encode()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if command[0].endswith(b"mount.davfs") and mark in command and running(int(entry.name)):
                    yield int(entry.name)

    def unmount(self, session):
        # Not through umount.davfs, which waits for the daemon's end too.
        subprocess.run(["umount", "-i", str(self.point)], check=True, stdin=subprocess.DEVNULL)

    def forget(self):
        self.place.discard(self.cache)

    def requests(self):
        return self.server.requests()
