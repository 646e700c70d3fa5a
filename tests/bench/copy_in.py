"""Case 1: a large file copied in: until cp returns, and until the server has it."""

import os
import time

from case import Case, timed


class CopyIn(Case):
    name = "copy"
    number = 1

    def title(self):
        return "a large file copied in"

    def run(self, bench, peer):
        source = bench.big()
        with peer.session() as session:
            session.mount()
            os.listdir(session.root)
            bench.prepare()
            with self.metered(bench, session, self.name):
                begin = time.perf_counter()
                returned = timed("cp", source, session.root / "big")
                session.arrived({"big": bench.size.big})
                served = max(returned, time.perf_counter() - begin)
            bench.results.add("copy.returns", peer.name, returned)
            bench.results.add("copy.served", peer.name, served)


class CurlPut(Case):
    """The limit of an upload: `peer` is a server here."""

    name = "curl-put"
    number = 1

    def title(self):
        return "curl -T"

    def run(self, bench, server):
        source = bench.big()
        target = server.served / "curl-put"
        bench.prepare()
        bench.results.add("curl.put", server.name, timed(*server.curl_put(source, "curl-put")))
        target.unlink()
