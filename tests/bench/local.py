"""The disk itself."""

from peer import Peer


class Local(Peer):
    name = "local"
    color = "#222222"

    def start(self):
        self.served = self.place.folder("local")
        self.point = self.served

    def mount(self, session):
        return None

    def unmount(self, session):
        pass
