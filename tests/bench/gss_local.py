"""The platform: tests/gss-local, which delays its answers itself."""

import http.client
import json
import os

from daemon import Daemon, Failed
from server import Server

TOKEN = "preset-token"
LOGIN = {"CFG_USERNAME": "demo", "CFG_PROJECT": "demo", "CFG_PASSWORD": "demo"}


class GssLocal(Server):
    name = "gss-local"

    def __init__(self, place, program):
        super().__init__(place)
        read, write = os.pipe()
        self.daemon = Daemon(place, self.name, [program, "--root", self.folder / "root", "--token", TOKEN,
                                                "--ready-fd", write], pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as pipe:
            line = pipe.readline()
        if not line.strip().isdigit():
            raise Failed(f"gss-local did not start: {self.daemon.text()}")
        self.own_port = int(line)
        self.served = self.folder / "root" / "it4i_anselm" / "home"
        self.base = f"http://127.0.0.1:{self.own_port}"

    def control(self, method, path="", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.own_port, timeout=30)
        try:
            connection.request(method, "/_control" + path, body=body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def set(self, **switches):
        self.control("POST", "", "&".join(f"{k.replace('_', '-')}={v}" for k, v in switches.items()))

    def port(self, delay_ms):
        self.set(latency=delay_ms)
        return self.own_port

    def requests(self):
        return self.control("GET")["counters"].get("requests", 0)

    def url(self, name):
        return f"{self.base}/refissh_anselm/files/home/{name}"

    def curl_put(self, file, name):
        """A new file, as the platform describes it."""
        return ["curl", "-sf", "-o", "/dev/null", "-X", "POST", "-T", file, "-H", f"X-Auth-Token: {TOKEN}",
                "-H", "Expect:", self.url(name)]

    def curl_get(self, name, file):
        return ["curl", "-sf", "-o", file, "-H", f"X-Auth-Token: {TOKEN}", self.url(name)]

    def range_request(self, name, offset, length):
        return (f"GET /refissh_anselm/files/home/{name} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {TOKEN}\r\n"
                f"Range: bytes={offset}-{offset + length - 1}\r\n\r\n").encode()
