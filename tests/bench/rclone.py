"""rclone mount, over WebDAV; its cache writes back at once, not after its usual 5 s."""

from daemon import Daemon
from packages import program
from peer import Peer
from place import shows


class Rclone(Peer):
    name = "rclone"
    color = "#1f77b4"
    programs = ("rclone", "nginx", "fusermount3")
    files = ("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so",)

    def __init__(self, place, server):
        super().__init__(place)
        self.server = server
        self.served = server.served
        self.cache = place.path / "rclone-cache"

    def mount(self, session):
        daemon = Daemon(self.place, self.name, [
            program("rclone"), "mount", ":webdav:", self.point, "--webdav-url", self.server.url(session.delay_ms),
            "--webdav-vendor", "other", "--config", "/dev/null", "--cache-dir", self.cache,
            "--vfs-cache-mode", "full", "--vfs-write-back", "0s", "--transfers", "16"])
        daemon.ready(lambda: shows(self.point))
        return daemon

    def forget(self):
        self.place.discard(self.cache)

    def requests(self):
        return self.server.requests()
