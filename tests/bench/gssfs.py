"""gssfs itself."""

from daemon import Daemon
from gss_local import LOGIN
from peer import Peer
from place import shows


class Gssfs(Peer):
    name = "gssfs"
    color = "#d62728"
    programs = ("fusermount3",)

    def __init__(self, place, program, server):
        super().__init__(place)
        self.program = program
        self.server = server
        self.served = server.served
        self.cache = place.path / "gssfs-cache"

    def prepare(self, session, full=True):
        self.server.set(view_full="on" if full else "off", latency=session.delay_ms)

    def mount(self, session):
        self.server.set(latency=session.delay_ms)
        base = self.server.base
        options = [f"auth={base}/authManager/AuthManager?wsdl", f"gss={base}/gss-0.1/FileUtilities?wsdl",
                   f"images={base}/hpc-4-anselm/Images?wsdl", f"cache_dir={self.cache}"]
        daemon = Daemon(self.place, self.name, [self.program, "-f", "-o", ",".join(options), "it4i_anselm://home",
                                                self.point], environment=self.place.environment() | LOGIN)
        daemon.ready(lambda: shows(self.point))
        return daemon

    def forget(self):
        self.place.discard(self.cache)

    def requests(self):
        return self.server.requests()
