"""The faults, the run-time control and the life of the test server."""

import http.client
import json
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

from gss_local import (BROKEN, CONTAINS, ENVELOPE, PROGRAM, TOKEN, home, on_disk,  # noqa: F401
                       post_soap, server, start)
from world import until


def test_one_shot_faults(server):
    on_disk(server, "f").write_bytes(b"x" * 100_000)
    server.fault(method="GET", path="/refissh*/f", status=503, skip=1, times=2)
    assert [server.request("GET", home("f"))[0] for _ in range(4)] == [200, 503, 503, 200]
    server.fault(b"canned", path="*/f", status=299, type="text/x", headers="A: b\nC:d")
    status, headers, body = server.request("GET", home("f"))
    assert (status, headers["Content-Type"], headers["A"], headers["C"], body) == \
        (299, "text/x", "b", "d", b"canned")
    server.fault(method="PUT", status=504, process=1)
    assert server.request("PUT", home("f"), b"new")[0] == 504
    assert on_disk(server, "f").read_bytes() == b"new"
    server.fault(method="PUT", status=504)
    assert server.request("PUT", home("f"), b"not")[0] == 504
    assert on_disk(server, "f").read_bytes() == b"new"
    begin = time.monotonic()
    server.fault(delay=200)
    assert server.request("GET", home("f"))[0] == 200
    assert time.monotonic() - begin > 0.19
    assert server.counters()["faults"] == 6
    server.fault(status=500)
    assert server.control()["faults"] == 1
    assert server.control("/reset")["faults"] == 0
    for wrong in ["/fault?cut=never", "/fault?status=7", "/fault?colour=red", "/nothing"]:
        assert server.request("POST", "/_control" + wrong)[0] in (400, 404)


@pytest.mark.parametrize("where, changed", [("before", False), ("during", False), ("after", True)])
def test_cut_uploads(server, where, changed):
    on_disk(server, "f").write_bytes(b"old")
    server.fault(method="PUT", cut=where)
    with pytest.raises(BROKEN):
        server.request("PUT", home("f"), b"x" * 1_000_000)
    server.wait("broken")
    assert (on_disk(server, "f").read_bytes() == b"x" * 1_000_000) == changed
    entry = server.log()[-1]
    assert (entry["method"], entry["status"], entry["done"]) == ("PUT", 0, True)
    assert server.request("PUT", home("f"), b"new")[0] == 201


def test_cut_downloads(server):
    on_disk(server, "f").write_bytes(b"x" * 1_000_000)
    server.fault(method="GET", cut="during")
    with pytest.raises(http.client.IncompleteRead) as error:
        server.request("GET", home("f"))
    assert len(error.value.partial) == 500_000
    server.fault(method="GET", cut="during")
    with pytest.raises(BROKEN):
        server.request("GET", home())
    for where in ["before", "after"]:
        server.fault(cut=where)
        with pytest.raises(BROKEN):
            server.request("GET", home("f"))
    assert server.request("GET", home("f"))[0] == 200


def test_soap_faults_by_operation(server):
    gss = server.gss
    server.fault(b"<not xml", operation="listFiles", type="text/xml")
    assert gss.containsFile(fileID="it4i_anselm://home", session_id=TOKEN) is True
    status, body = post_soap(server, ENVELOPE.format(CONTAINS.replace("containsFile", "listFiles")))
    assert (status, body) == (200, b"<not xml")
    status, body = post_soap(server, ENVELOPE.format(CONTAINS.replace("containsFile", "listFiles")))
    assert status == 200 and b"Envelope" in body
    server.fault(operation="createFolder", cut="after")
    with pytest.raises(requests.exceptions.ConnectionError):
        gss.createFolder(folderID="it4i_anselm://home/made", session_id=TOKEN)
    assert on_disk(server, "made").is_dir()


@pytest.mark.parametrize("method, where", [
    ("HEAD", "before"), ("HEAD", "after"), ("PUT", "before"), ("PUT", "during"), ("PUT", "after"),
    ("GET", "during"),
])
def test_held_requests(server, method, where):
    on_disk(server, "f").write_bytes(b"x" * 100_000)
    server.fault(method=method, hold=where)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        server.request(method, home("f"), b"y" * 100_000 if method == "PUT" else None)))
    thread.start()
    server.wait("held")
    assert answers == [] and server.log()[-1]["done"] is False
    changed = method == "PUT" and where == "after"
    assert on_disk(server, "f").read_bytes()[:1] == (b"y" if changed else b"x")
    server.control("/release")
    thread.join()
    assert answers[0][0] in (200, 201)
    if method == "GET":
        assert answers[0][2] == b"x" * 100_000


def test_a_release_before_the_request_that_it_is_meant_for(server):
    on_disk(server, "f").write_bytes(b"x")
    server.fault(method="GET", hold="before")
    server.control("/release")
    assert server.request("GET", home("f"))[2] == b"x" and server.counters()["held"] == 1


@pytest.mark.parametrize("method, meanwhile", [("POST", "POST"), ("PUT", "DELETE")])
def test_an_upload_that_was_overtaken(server, method, meanwhile):
    """What was legal when the upload began is not when it ends: 405, and nothing is overwritten."""
    if method == "PUT":
        on_disk(server, "f").write_bytes(b"old")
    server.fault(method=method, hold="during")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        server.request(method, home("f"), b"late" * 1000)[0]))
    thread.start()
    server.wait("held")
    assert server.request(meanwhile, home("f"), b"first" if meanwhile == "POST" else None)[0] < 300
    server.control("/release")
    thread.join()
    assert answers == [405]
    assert on_disk(server, "f").exists() == (method == "POST")
    if method == "POST":
        assert on_disk(server, "f").read_bytes() == b"first"
    # The server clears up after it has answered.
    until(lambda: list((server.root / ".gss-local/tmp").iterdir()) == [])


def test_a_held_download_gives_its_first_half(server):
    on_disk(server, "f").write_bytes(b"x" * 100_000)
    server.fault(method="GET", hold="during")
    connection = server.connect()
    connection.request("GET", home("f"), headers={"X-Auth-Token": TOKEN})
    answer = connection.getresponse()
    assert answer.read(50_000) == b"x" * 50_000
    server.wait("held")
    server.control("/release")
    assert len(answer.read()) == 50_000
    connection.close()


def test_faults_by_chance(start):
    server = start("--error-rate", "30", "--seed", "7")
    statuses = [server.request("HEAD", home())[0] for _ in range(100)]
    assert set(statuses) == {204, 503} and 10 < statuses.count(503) < 60
    assert server.gss.containsFile(fileID="it4i_anselm://home", session_id=TOKEN)
    server.set(error_rate=0, cut_rate=100, cut_where="before")
    for _ in range(3):
        with pytest.raises(BROKEN):
            server.request("GET", home())
    server.control("/reset")
    assert server.control()["settings"]["error-rate"] == 30


def test_bandwidth(server):
    on_disk(server, "f").write_bytes(b"x" * 200_000)
    server.set(bandwidth=400_000)
    for method, body in [("GET", None), ("PUT", b"y" * 200_000)]:
        begin = time.monotonic()
        assert server.request(method, home("f"), body)[0] in (200, 201)
        assert 0.4 < time.monotonic() - begin < 5
    server.set(bandwidth=0, response_delay=300)
    begin = time.monotonic()
    assert server.request("PUT", home("f"), b"z")[0] == 201
    assert time.monotonic() - begin > 0.29


def test_log_and_counters(start):
    server = start("--user", "ann:secret:engines")
    server.request("POST", home("f"), b"12345", {"User-Agent": "me"})
    server.gss.containsFile(fileID="it4i_anselm://home/f", session_id=TOKEN)
    server.wait("bytes.received", 5)
    entry = server.log()[0]
    assert (entry["method"], entry["target"], entry["status"], entry["received"]) == \
        ("POST", home("f"), 201, 5)
    assert entry["headers"]["Content-Length"] == "5" and entry["headers"]["User-Agent"] == "me"
    call = [e for e in server.log() if e["operation"]][0]
    assert (call["operation"], call["subject"]) == ("containsFile", "it4i_anselm://home/f")
    assert server.control(f"/log?since={call['number']}")[0]["number"] == call["number"]
    counters = server.counters()
    assert (counters["rest.POST"], counters["gss.containsFile"], counters["wsdl"]) == (1, 1, 2)
    token = server.auth.getSessionToken(username="ann", password="secret", project="engines")
    server.auth.getUsername(sessionToken=token)
    text = json.dumps(server.log())
    assert "ann" in text
    assert not any(secret in text for secret in [TOKEN, token, "secret"])
    server.control("/reset")
    assert server.log() == [] and "rest.POST" not in server.counters()


def test_settings(server):
    before = server.control()["settings"]
    assert server.set(latency=1, head="word")["settings"]["head"] == "word"
    assert server.control("", "latency=2\nurls=raw\n")["settings"]["latency"] == 2
    for wrong in ["latency=x", "head=none", "colour=red", "error-rate=101", "range=", "token-life=-1"]:
        assert server.request("POST", "/_control", wrong, token=None)[0] == 400
    assert server.control("/reset")["settings"] == before


# ---- the process ----


def test_it_says_what_it_serves(tmp_path):
    process = subprocess.Popen([PROGRAM, "--root", str(tmp_path / "new")], stdout=subprocess.PIPE,
                               text=True)
    first = process.stdout.readline()
    assert first.startswith("gss-local: listening on http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=10) == 0
    for word in ["AuthManager?wsdl", "FileUtilities?wsdl", "Images?wsdl", "demo", "plm://", str(tmp_path)]:
        assert word in rest


def test_a_second_server_takes_the_port_at_once(start):
    server = start()
    connection = server.connect()
    connection.request("HEAD", home(), headers={"X-Auth-Token": TOKEN})
    connection.getresponse().read()
    assert server.stop() == 0
    again = start("--port", str(server.port))
    assert again.port == server.port
    assert again.request("HEAD", home())[0] == 204
    connection.close()


def test_options():
    def run(*arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=30)

    assert run("--version").stdout.startswith("gss-local ")
    text = run("--help").stdout
    for word in ["--root", "--bandwidth", "--images-style jaxws|spyne", "/_control/fault"]:
        assert word in text
    for wrong in [[], ["--root"], ["--root", "/x", "--port", "70000"], ["--nonsense", "1"],
                  ["--head", "maybe", "--root", "/x"], ["x"], ["--user", "ann", "--root", "/x"]]:
        result = run(*wrong)
        assert result.returncode == 2 and result.stderr.startswith("gss-local: ")
    result = run("--root", "/proc/cannot")
    assert result.returncode == 1 and "/proc/cannot" in result.stderr


def test_it_ends_at_once_with_requests_in_flight(start):
    server = start("--bandwidth", "1000")
    on_disk(server, "f").write_bytes(b"x" * 10_000_000)
    server.fault(method="HEAD", hold="before")
    server.fault(method="DELETE", delay=600_000)

    def attempt(*arguments):
        try:
            server.request(*arguments)
        except BROKEN:
            pass

    threads = [threading.Thread(target=attempt, args=a) for a in
               [("HEAD", home()), ("DELETE", home("f")), ("GET", home("f")),
                ("POST", home("g"), b"x" * 1_000_000)]]
    for thread in threads:
        thread.start()
    server.wait("requests.now", 4)
    server.wait("held")
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 1
    for thread in threads:
        thread.join()
    assert not on_disk(server, "g").exists()


def test_it_ends_with_its_parent(tmp_path):
    script = ("import subprocess, sys, os\n"
              "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
              "print(p.stdout.readline(), flush=True)\n"
              "os._exit(0)\n")
    process = subprocess.run(["/usr/bin/python3", "-c", script, PROGRAM, "--root", str(tmp_path / "r"),
                              "--parent-death"], capture_output=True, text=True, timeout=30)
    port = int(process.stdout.split(":")[-1])
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            break
        assert time.monotonic() < deadline
