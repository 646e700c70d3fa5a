"""Case 2: a large file read, cold and warm; its first byte; random reads."""

import os
import random
import socket
import time

import machine
from case import Case, make_file, read_whole, timed

PAGE = 4096


class Reading(Case):
    name = "read"
    number = 2

    def title(self):
        return "a large file read, cold and again"

    def run(self, bench, peer):
        with peer.session() as session:
            make_file(session.served / "big", bench.size.big)
            session.mount()
            os.listdir(session.root)
            bench.prepare()
            with self.metered(bench, session, self.name):
                bench.results.add("read.cold", peer.name, read_whole(session.root / "big"))
            bench.results.add("read.warm", peer.name, read_whole(session.root / "big"))


class CurlGet(Case):
    """The limit of a download: `peer` is a server here."""

    name = "curl-get"
    number = 2

    def title(self):
        return "curl -o"

    def run(self, bench, server):
        source = make_file(server.served / "curl-get", bench.size.big)
        target = bench.place.path / "curl-get"
        bench.prepare()
        bench.results.add("curl.get", server.name, timed(*server.curl_get("curl-get", target)))
        source.unlink()
        target.unlink()


class FirstByte(Case):
    name = "first"
    number = 2

    def __init__(self, delay_ms):
        self.delay_ms = delay_ms

    def title(self):
        return f"the first byte of a large file after a listing, {self.delay_ms} ms a round trip"

    def for_peer(self, peer):
        return peer.name not in ("local", "limit", "limit-nocache")

    def run(self, bench, peer):
        with peer.session(self.delay_ms) as session:
            # Enough that to wait for all of it shows.
            make_file(session.served / "big", bench.size.big // 4)
            session.mount()
            for entry in os.scandir(session.root):
                entry.stat()
            begin = time.perf_counter()
            fd = os.open(session.root / "big", os.O_RDONLY)
            os.pread(fd, 1, 0)
            seconds = time.perf_counter() - begin
            os.close(fd)
            bench.results.add("first.trips", peer.name, seconds * 1000 / self.delay_ms)


def offsets(bench):
    chosen = random.Random(3)
    return [chosen.randrange(bench.size.big // PAGE) * PAGE for _ in range(bench.size.reads)]


class RandomReads(Case):
    name = "random"
    number = 2

    def title(self):
        return "random reads of 4 KiB, cold"

    def run(self, bench, peer):
        with peer.session() as session:
            make_file(session.served / "big", bench.size.big)
            session.mount()
            os.listdir(session.root)
            bench.prepare(touch=False)
            if peer.name in ("local", "limit", "limit-nocache"):
                # As at the server: what it serves is in the page cache.
                machine.forget_caches()
                read_whole(session.served / "big")
            with self.metered(bench, session, self.name):
                begin = time.perf_counter()
                fd = os.open(session.root / "big", os.O_RDONLY)
                for offset in offsets(bench):
                    os.pread(fd, PAGE, offset)
                seconds = time.perf_counter() - begin
                os.close(fd)
            bench.results.add("random.seconds", peer.name, seconds)


class RawRanges(Case):
    """Their limit: the same pieces asked of the server over one kept connection."""

    name = "raw-ranges"
    number = 2

    def title(self):
        return "the same as raw HTTP ranges"

    def run(self, bench, server):
        source = make_file(server.served / "raw", bench.size.big)
        requests = [server.range_request("raw", offset, PAGE) for offset in offsets(bench)]
        with socket.create_connection(("127.0.0.1", server.port(0))) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            begin = time.perf_counter()
            for request in requests:
                connection.sendall(request)
                answer = connection.recv(65536)
                while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + PAGE:
                    piece = connection.recv(65536)
                    assert piece, "the server closed the connection"
                    answer += piece
            bench.results.add("random.raw", server.name, time.perf_counter() - begin)
        source.unlink()
