"""Case 4: a folder of many files listed, cold and warm, and the rates of find and stat."""

import os
import time

from case import Case, make_files, timed


class Listing(Case):
    """`full`: the server's listing has sizes and dates."""

    name = "list"
    number = 4

    def __init__(self, delay_ms, full=True):
        self.delay_ms = delay_ms
        self.full = full

    def key(self):
        return f"list.{self.delay_ms}" + ("" if self.full else ".names")

    def title(self):
        return f"ls and ls -l, {self.delay_ms} ms a round trip" + ("" if self.full else ", listings of names only")

    def for_peer(self, peer):
        if not self.full:
            return peer.name == "gssfs"
        return self.delay_ms == 0 or peer.name not in ("local", "limit", "limit-nocache")

    def run(self, bench, peer):
        options = {} if self.full else {"full": False}
        for what, words in (("ls", ["ls"]), ("ls-l", ["ls", "-l"])):
            with peer.session(self.delay_ms, **options) as session:
                make_files(session.served, bench.size.files, 100)
                session.mount()
                with self.metered(bench, session, f"{self.key()}.{what}"):
                    bench.results.add(f"{self.key()}.{what}.cold", peer.name, timed(*words, session.root))
                bench.results.add(f"{self.key()}.{what}.warm", peer.name, timed(*words, session.root))


PASSES = 5
ATTRIBUTE_TIME = 1.2  # seconds: longer than any peer lets the kernel keep attributes, shorter than the leases behind


class StatRate(Case):
    name = "stat"
    number = 4

    def title(self):
        return "stat and find on warm attributes, and after the kernel's time for them"

    def run(self, bench, peer):
        with peer.session() as session:
            make_files(session.served, bench.size.files, 100)
            session.mount()
            names = sorted(os.listdir(session.root))
            folder = os.open(session.root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.stat_all(folder, names)
                begin = time.perf_counter()
                for _ in range(PASSES):
                    self.stat_all(folder, names)
                rate = PASSES * len(names) / (time.perf_counter() - begin)
                bench.results.add("stat.cached", peer.name, rate)
                bench.results.add("stat.find", peer.name, timed("find", session.root, "-size", "+1G"))
                time.sleep(ATTRIBUTE_TIME)  # what is measured is what happens after this time
                begin = time.perf_counter()
                self.stat_all(folder, names)
                bench.results.add("stat.after", peer.name, len(names) / (time.perf_counter() - begin))
            finally:
                os.close(folder)

    @staticmethod
    def stat_all(folder, names):
        for name in names:
            os.stat(name, dir_fd=folder)
