"""A running gss-local, for the tests: start it, talk to it, look behind its back."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse

import pytest
import zeep

PROGRAM = os.environ.get("GSS_LOCAL", "gss-local")
TOKEN = "preset-token"
# What a connection that was cut looks like.
BROKEN = (http.client.HTTPException, OSError)


class Server:
    """A running gss-local."""

    def __init__(self, root, *options):
        self.root = pathlib.Path(root)
        read, write = os.pipe()
        self.process = subprocess.Popen(
            [PROGRAM, "--root", str(root), "--port", "0", "--token", TOKEN,
             "--ready-fd", str(write), "--parent-death", *options],
            stdout=subprocess.PIPE, pass_fds=[write], text=True)
        os.close(write)
        with os.fdopen(read) as pipe:
            line = pipe.readline()
        assert line.strip().isdigit(), "the server did not start"
        self.port = int(line)
        self.base = f"http://127.0.0.1:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=10)
        return self.process.returncode

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method, path, body=None, headers=None, token=TOKEN):
        """One request on a connection of its own: status, headers, body."""
        connection = self.connect()
        try:
            headers = dict(headers or {})
            if token is not None:
                headers["X-Auth-Token"] = token
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def soap(self, path):
        return zeep.Client(self.base + path + "?wsdl").service

    @property
    def gss(self):
        return self.soap("/gss-0.1/FileUtilities")

    @property
    def auth(self):
        return self.soap("/authManager/AuthManager")

    def images(self, cluster="anselm"):
        return self.soap(f"/hpc-4-{cluster}/Images")

    def control(self, path="", body=None, method=None):
        method = method or ("GET" if path.startswith(("/log", "/wait")) or
                            (path == "" and body is None) else "POST")
        status, _, answer = self.request(method, "/_control" + path, body=body, token=None)
        assert status == 200, answer
        return json.loads(answer)

    def set(self, **switches):
        text = "&".join(f"{k.replace('_', '-')}={v}" for k, v in switches.items())
        return self.control("", text)

    def fault(self, body=None, **parameters):
        return self.control("/fault?" + urllib.parse.urlencode(parameters), body)

    def counters(self):
        return self.control()["counters"]

    def log(self):
        return self.control("/log")

    def wait(self, counter, value=1):
        assert self.control(f"/wait?counter={counter}&value={value}&timeout=20")["reached"]


@pytest.fixture
def start(tmp_path):
    servers = []

    def starter(*options, root=None):
        servers.append(Server(root or tmp_path / "served", *options))
        return servers[-1]

    yield starter
    for server in servers:
        assert server.stop() == 0


@pytest.fixture
def server(start):
    return start()


def home(name=""):
    path = "/refissh_anselm/files/home"
    return path + "/" + urllib.parse.quote(name, safe="") if name else path


def on_disk(server, name=""):
    return server.root / "it4i_anselm" / "home" / name


ENVELOPE = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body>'
            '</e:Envelope>')
CONTAINS = ('<g:containsFile xmlns:g="http://gss.sintef.no/"><g:fileID>it4i_anselm://home</g:fileID>'
            f'<g:session_id>{TOKEN}</g:session_id></g:containsFile>')


def post_soap(server, text, path="/gss-0.1/FileUtilities", kind="text/xml"):
    status, _, body = server.request("POST", path, text.encode(), {"Content-Type": kind,
                                                                   "SOAPAction": '""'}, None)
    return status, body
