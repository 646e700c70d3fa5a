"""Case 5: mounting and unmounting, idle, and with many uploads in the journal."""

import os
import signal

from case import Case
from place import unmount_anyhow


class Mounting(Case):
    name = "mount"
    number = 5

    def title(self):
        return "mounting and unmounting, idle"

    def for_peer(self, peer):
        return peer.name != "local"

    def run(self, bench, peer):
        with peer.session() as session:
            session.mount()
            os.listdir(session.root)
            bench.results.add("mount.ready", peer.name, session.mount_seconds)
            bench.results.add("mount.gone", peer.name, session.unmount())


class MountingPending(Case):
    name = "mount-pending"
    number = 5
    peers = ("gssfs",)

    def title(self):
        return "mounting and unmounting with uploads pending"

    def run(self, bench, peer):
        with peer.session() as session:
            session.mount()
            os.listdir(session.root)
            peer.server.set(error_rate=100)  # nothing arrives
            for i in range(bench.size.pending):
                with open(session.root / f"p{i:06}", "wb") as file:
                    file.write(b"pending")
            session.daemon.stop(signal.SIGKILL)
            session.daemon = None
            unmount_anyhow(peer.point)
            session.mount()
            bench.results.add("mount.ready.pending", peer.name, session.mount_seconds)
            bench.results.add("mount.peak.pending", peer.name, session.usage()[1])
            daemon = session.daemon
            session.peer.unmount(session)  # at once; the rest would be uploaded behind
            daemon.stop(signal.SIGKILL)
            session.daemon = None
            peer.server.set(error_rate=0)
