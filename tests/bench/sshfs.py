"""sshfs, over an sshd on loopback."""

from daemon import Daemon
from packages import program
from peer import Peer
from place import shows


class Sshfs(Peer):
    name = "sshfs"
    color = "#2ca02c"
    programs = ("sshfs", "sshd", "ssh", "fusermount3")

    def __init__(self, place, server):
        super().__init__(place)
        self.server = server
        self.served = server.served

    def mount(self, session):
        user, words = self.server.login(session.delay_ms)
        daemon = Daemon(self.place, self.name, [program("sshfs"), "-f", *words, f"{user}@127.0.0.1:{self.served}",
                                                self.point])
        daemon.ready(lambda: shows(self.point))
        return daemon
