"""Case 3: many small files copied in."""

import os
import time

from case import Case, timed


class SmallFiles(Case):
    name = "small"
    number = 3

    def __init__(self, delay_ms):
        self.delay_ms = delay_ms

    def key(self):
        return f"small.{self.delay_ms}"

    def title(self):
        return f"small files copied in, {self.delay_ms} ms a round trip"

    def for_peer(self, peer):
        return self.delay_ms == 0 or peer.name not in ("local", "limit", "limit-nocache")

    def run(self, bench, peer):
        source = bench.tree()
        files = {name: 4096 for name in os.listdir(source)}
        with peer.session(self.delay_ms) as session:
            session.mount()
            os.listdir(session.root)
            bench.prepare(touch=False)
            with self.metered(bench, session, self.key()):
                begin = time.perf_counter()
                returned = timed("cp", "-r", f"{source}/.", session.root)
                session.arrived(files)
                served = max(returned, time.perf_counter() - begin)
            bench.results.add(f"{self.key()}.returns", peer.name, returned)
            bench.results.add(f"{self.key()}.served", peer.name, served)
            # With those that follow the last byte: an upload is verified.
            session.unmount()
            requests = session.requests()
            if requests is not None:
                bench.results.add(f"{self.key()}.requests", peer.name, requests)
