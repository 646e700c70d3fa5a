"""Case 7: how it grows, with the size of files, the number of entries, and parallel writers and readers."""

import concurrent.futures
import os
import time

from case import Case, make_file, make_files, read_whole, timed

PEERS = ("gssfs", "limit")


class GrowingFile(Case):
    name = "grow-file"
    number = 7
    peers = PEERS

    def __init__(self, size):
        self.size = size

    def key(self):
        return f"grow.file.{self.size}"

    def title(self):
        return f"a file of {self.size >> 20} MiB copied in, and read cold"

    def run(self, bench, peer):
        with peer.session() as session:
            session.mount()
            os.listdir(session.root)
            bench.prepare()
            with self.metered(bench, session, self.key()):
                begin = time.perf_counter()
                bench.results.add(f"{self.key()}.returns", peer.name,
                                  timed("cp", bench.big(self.size), session.root / "f"))
                session.arrived({"f": self.size})
                bench.results.add(f"{self.key()}.served", peer.name, time.perf_counter() - begin)
        with peer.session() as session:
            make_file(session.served / "f", self.size)
            session.mount()
            os.listdir(session.root)
            bench.results.add(f"{self.key()}.read", peer.name, read_whole(session.root / "f"))


class GrowingFolder(Case):
    name = "grow-folder"
    number = 7
    peers = PEERS

    def __init__(self, entries):
        self.entries = entries

    def key(self):
        return f"grow.entries.{self.entries}"

    def title(self):
        return f"ls -l of {self.entries} entries"

    def run(self, bench, peer):
        with peer.session() as session:
            make_files(session.served, self.entries, 100)
            session.mount()
            with self.metered(bench, session, self.key()):
                bench.results.add(f"{self.key()}.cold", peer.name, timed("ls", "-l", session.root))
            bench.results.add(f"{self.key()}.warm", peer.name, timed("ls", "-l", session.root))


class Parallel(Case):
    name = "grow-parallel"
    number = 7
    peers = PEERS

    def __init__(self, count):
        self.count = count

    def key(self):
        return f"grow.parallel.{self.count}"

    def title(self):
        return f"{self.count} parallel writers and readers"

    def run(self, bench, peer):
        source = bench.big(bench.size.grow_piece)
        names = [f"p{i}" for i in range(self.count)]
        with peer.session() as session:
            session.mount()
            os.listdir(session.root)
            bench.prepare()
            with concurrent.futures.ThreadPoolExecutor(self.count) as pool:
                with self.metered(bench, session, self.key()):
                    begin = time.perf_counter()
                    list(pool.map(lambda name: timed("cp", source, session.root / name), names))
                    bench.results.add(f"{self.key()}.returns", peer.name, time.perf_counter() - begin)
                    session.arrived({name: bench.size.grow_piece for name in names})
                    bench.results.add(f"{self.key()}.served", peer.name, time.perf_counter() - begin)
                session.unmount()
                peer.forget()
                session.mount()
                os.listdir(session.root)
                begin = time.perf_counter()
                list(pool.map(lambda name: read_whole(session.root / name), names))
                bench.results.add(f"{self.key()}.read", peer.name, time.perf_counter() - begin)
