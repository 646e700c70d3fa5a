"""The test server against clients that are not ours: zeep for SOAP, http.client for REST.

Run by meson, which names the server in GSS_LOCAL. Every test has a server and a folder of its own.
"""

import json
import os
import pathlib
import socket
import threading
import time

import pytest
import requests
import zeep
from zeep.exceptions import Fault

from gss_local import (ENVELOPE, CONTAINS, TOKEN, home, on_disk, post_soap, server,  # noqa: F401
                       start)

AWKWARD = [
    "with space", "per%cent", "per%20cent", "hash#", "what?", "a&b", "a<b>", "semi;colon", "plus+",
    "quote'\"", "back\\slash", "Grüße", "mix 😀 %41;?#&", "..x", "...", " lead", "trail ", "~", "x" * 255,
    "ü" * 127, "tab\t", "two\nlines", "cr\r\n", "del\x7f", "nel\u0085",
]


def follow(description, body=None, token=None):
    """Does what a request description says."""
    headers = {h.key: h.value for h in description.headers or []}
    if token is not None:
        headers[description.sessionTokenField] = token
    assert description.supported
    return requests.request(description.httpMethod, description.url, data=body, headers=headers,
                            timeout=30)


# ---- sessions ----


def test_auth_all_calls(start):
    server = start("--user", "ann:secret:engines", "--user", "bob:other")
    auth = server.auth
    token = auth.getSessionToken(username="ann", password="secret", project="engines")
    assert auth.validateSessionToken(sessionToken=token) is True
    assert auth.validateSessionToken(sessionToken="nonsense") is False
    assert auth.getUsername(sessionToken=token) == "ann"
    assert auth.getProject(sessionToken=token) == "engines"
    assert "@" in auth.getEmail(sessionToken=token)
    info = auth.getTokenInfo(sessionToken=token)
    assert (info.user.name, info.project.name) == ("ann", "engines")
    assert [role.name for role in info.roles] == ["user"]
    for user, password, project in [("ann", "wrong", "engines"), ("ann", "secret", "bob"),
                                    ("nobody", "x", "engines"), ("", "", "")]:
        with pytest.raises(Fault) as fault:
            auth.getSessionToken(username=user, password=password, project=project)
        assert fault.value.detail is not None
    with pytest.raises(Fault):
        auth.getUsername(sessionToken="nonsense")


def test_tokens_die(server):
    server.set(token_life="0.2")
    token = server.auth.getSessionToken(username="demo", password="demo", project="demo")
    assert server.request("GET", home(), token=token)[0] == 200
    deadline = time.monotonic() + 10
    while server.auth.validateSessionToken(sessionToken=token):
        assert time.monotonic() < deadline
    assert server.request("GET", home(), token=token)[0] == 403
    assert server.request("GET", home(), token=None)[0] == 401
    assert server.request("GET", home())[0] == 200
    server.control("/revoke")
    assert server.request("GET", home())[0] == 403
    with pytest.raises(Fault):
        server.gss.containsFile(fileID="it4i_anselm://home", session_id=TOKEN)


def test_projects_do_not_see_each_other(start):
    server = start("--user", "ann:a:one", "--user", "bob:b:two")
    bob = server.auth.getSessionToken(username="bob", password="b", project="two")
    assert server.request("POST", home("mine"), b"1")[0] == 201
    assert server.request("GET", home("mine"), token=bob)[0] == 404
    assert server.request("POST", home("mine"), b"2", token=bob)[0] == 201
    assert server.request("GET", home("mine"))[2] == b"1"
    assert (server.root / "projects/two/it4i_anselm/home/mine").read_bytes() == b"2"


# ---- FileUtilities ----


def test_gss_all_calls(server):
    gss = server.gss
    root = gss.getResourceInformation(fileID="it4i_anselm://", session_id=TOKEN)
    assert (root.type, root.uniqueName) == ("FOLDER", "it4i_anselm://")
    names = [r.uniqueName for r in gss.listFiles(fileID="it4i_anselm://", session_id=TOKEN)]
    assert names == ["it4i_anselm://home", "it4i_anselm://scratch"]

    new = gss.getResourceInformation(fileID="it4i_anselm://home/a", session_id=TOKEN)
    assert (new.type, new.queryForName, new.visualName) == ("NOTEXIST", False, "a")
    assert new.createDescription.httpMethod == "POST"
    assert follow(new.createDescription, b"hello").status_code == 201
    assert on_disk(server, "a").read_bytes() == b"hello"

    there = gss.getResourceInformation(fileID="it4i_anselm://home/a", session_id=TOKEN)
    assert there.type == "FILE" and there.createDescription is None
    assert follow(there.readDescription).content == b"hello"
    assert follow(there.metaReadDescription).headers["Content-Length"] == "5"
    assert follow(there.updateDescription, b"other").status_code == 201
    assert on_disk(server, "a").read_bytes() == b"other"

    assert gss.containsFile(fileID="it4i_anselm://home/a", session_id=TOKEN) is True
    assert gss.containsFile(fileID="it4i_anselm://home/b", session_id=TOKEN) is False
    assert gss.containsFile(fileID="it4i_anselm://home/b/c", session_id=TOKEN) is False

    folder = gss.createFolder(folderID="it4i_anselm://home/f", session_id=TOKEN)
    assert (folder.type, folder.uniqueName) == ("FOLDER", "it4i_anselm://home/f")
    assert folder.updateDescription.supported is False
    on_disk(server, "f/inside").write_bytes(b"x")
    full = gss.listFiles(fileID="it4i_anselm://home", session_id=TOKEN)
    minimal = gss.listFilesMinimal(fileID="it4i_anselm://home", session_id=TOKEN)
    assert [(r.visualName, r.type) for r in full] == [("a", "FILE"), ("f", "FOLDER")]
    assert [r.uniqueName for r in minimal] == [r.uniqueName for r in full]
    assert all(r.readDescription is None for r in minimal)
    assert all(r.readDescription.supported for r in full)

    ends = gss.getDirectInteractionEndpoint(gssID="it4i_anselm://home", session_id=TOKEN)
    assert {e.type for e in ends} == {"SOAP", "REST"}
    assert gss.deleteFolder(folderID="it4i_anselm://home/f", session_id=TOKEN) is True
    assert not on_disk(server, "f").exists()
    assert follow(there.deleteDescription).status_code == 204
    assert gss.listFiles(fileID="it4i_anselm://home", session_id=TOKEN) in ([], None)


@pytest.mark.parametrize("call, argument, uri", [
    ("getResourceInformation", "fileID", "it4i_anselm://home/missing/x"),
    ("getResourceInformation", "fileID", "it4i_anselm://home/file/x"),
    ("getResourceInformation", "fileID", "it4i_anselm://home/../home"),
    ("getResourceInformation", "fileID", "it4i_anselm://home//x"),
    ("getResourceInformation", "fileID", "it4i_anselm://home/"),
    ("getResourceInformation", "fileID", "it4i_anselm:///home"),
    ("getResourceInformation", "fileID", "it4i_nowhere://home"),
    ("getResourceInformation", "fileID", "home"),
    ("getResourceInformation", "fileID", ""),
    ("getResourceInformation", "fileID", "it4i_anselm://home/" + "x" * 256),
    ("getResourceInformation", "fileID", "plm://demo/model"),
    ("getResourceInformation", "fileID", "plm://demo/model/0"),
    ("getResourceInformation", "fileID", "plm://demo/model/77"),
    ("getResourceInformation", "fileID", "plm://../model/1"),
    ("listFiles", "fileID", "it4i_anselm://home/missing"),
    ("listFiles", "fileID", "it4i_anselm://home/file"),
    ("listFilesMinimal", "fileID", "it4i_anselm://home/file"),
    ("createFolder", "folderID", "it4i_anselm://new"),
    ("createFolder", "folderID", "it4i_anselm://home"),
    ("createFolder", "folderID", "it4i_anselm://home/file"),
    ("createFolder", "folderID", "it4i_anselm://home/missing/x"),
    ("deleteFolder", "folderID", "it4i_anselm://"),
    ("deleteFolder", "folderID", "it4i_anselm://home"),
    ("deleteFolder", "folderID", "it4i_anselm://home/file"),
    ("deleteFolder", "folderID", "it4i_anselm://home/missing"),
    ("deleteFolder", "folderID", "plm://demo/model/1"),
])
def test_gss_faults(server, call, argument, uri):
    on_disk(server, "file").write_bytes(b"x")
    with pytest.raises(Fault) as fault:
        getattr(server.gss, call)(**{argument: uri, "session_id": TOKEN})
    message = fault.value.detail.find(".//{*}IOException/message")
    assert message is not None and message.text
    assert on_disk(server, "file").read_bytes() == b"x"


def test_nothing_is_made_in_a_root(server):
    new = server.gss.getResourceInformation(fileID="it4i_anselm://new", session_id=TOKEN)
    assert new.type == "NOTEXIST" and new.createDescription.supported is False


@pytest.mark.parametrize("urls", ["encoded", "raw"])
@pytest.mark.parametrize("name", AWKWARD)
def test_names(start, urls, name):
    server = start("--urls", urls)
    uri = "it4i_anselm://home/" + name
    new = server.gss.getResourceInformation(fileID=uri, session_id=TOKEN)
    assert (new.type, new.uniqueName, new.visualName) == ("NOTEXIST", uri, name)
    assert follow(new.createDescription, name.encode()).status_code == 201
    assert on_disk(server, name).read_bytes() == name.encode()
    listed, = server.gss.listFiles(fileID="it4i_anselm://home", session_id=TOKEN)
    assert (listed.uniqueName, listed.visualName) == (uri, name)
    assert follow(listed.readDescription).content == name.encode()
    entry, = json.loads(server.request("GET", home())[2])
    assert entry["visualName"] == name
    assert entry["readDescription"]["url"] == listed.readDescription.url
    if urls == "raw" and " " in name.strip():
        assert " " in listed.readDescription.url
    assert follow(listed.deleteDescription).status_code == 204
    assert not on_disk(server, name).exists()


def test_token_fields(server):
    def describe():
        return server.gss.getResourceInformation(fileID="it4i_anselm://home/x",
                                                 session_id=TOKEN).createDescription

    assert describe().sessionTokenField.lower() == "deprecated"
    server.set(token_field="none")
    assert describe().sessionTokenField is None
    server.set(token_field="header")
    description = describe()
    assert not description.headers and description.sessionTokenField == "X-Auth-Token"
    assert follow(description, b"x").status_code == 401
    assert follow(description, b"x", token=TOKEN).status_code == 201


def test_extra_header(server):
    server.set(extra_header="on")
    description = server.gss.getResourceInformation(fileID="it4i_anselm://home/x",
                                                    session_id=TOKEN).createDescription
    assert server.request("POST", home("x"), b"x")[0] == 400
    assert follow(description, b"x").status_code == 201


def test_wsdl_names_us_or_an_internal_host(server):
    text = server.request("GET", "/gss-0.1/FileUtilities?wsdl", headers={"Host": "my.name:81"})[2]
    assert text.count(b"http://my.name:81/gss-0.1/FileUtilities") == 2
    server.set(internal_host="on")
    text = server.request("GET", "/gss-0.1/FileUtilities?wsdl")[2]
    assert b"127.0.0.1" not in text and b"internal.invalid" in text
    assert server.request("GET", "/gss-0.1/FileUtilities?xsd=1")[0] == 200


@pytest.mark.parametrize("text", [
    "", "nonsense", "<a/>", ENVELOPE.format(""), ENVELOPE.format(CONTAINS + CONTAINS),
    ENVELOPE.format(CONTAINS)[:-5],
    "<!DOCTYPE e [<!ENTITY x 'y'>]>" + ENVELOPE.format(CONTAINS),
    ENVELOPE.format(CONTAINS.replace("gss.sintef.no", "else.where")),
    ENVELOPE.format(CONTAINS.replace("g:fileID", "fileID")),
    ENVELOPE.format(CONTAINS.replace("g:fileID", "g:folderID")),
    ENVELOPE.format(CONTAINS.replace("it4i_anselm://home", "<g:x/>")),
    ENVELOPE.format('<g:containsFile xmlns:g="http://gss.sintef.no/"><g:session_id>x</g:session_id>'
                    '<g:fileID>it4i_anselm://home</g:fileID></g:containsFile>'),
])
def test_malformed_soap_is_a_fault(server, text):
    status, body = post_soap(server, text)
    assert status == 500 and b"faultstring" in body
    assert server.counters()["malformed"] == 1
    status, body = post_soap(server, ENVELOPE.format(CONTAINS))
    assert status == 200 and b"<return>true</return>" in body


def test_soap_by_other_means(server):
    assert post_soap(server, ENVELOPE.format(CONTAINS), kind="application/json")[0] == 415
    assert post_soap(server, " " * 2_000_000)[0] == 413
    assert server.request("GET", "/gss-0.1/FileUtilities")[0] == 404
    assert server.request("PUT", "/gss-0.1/FileUtilities", b"x")[0] == 405
    assert server.request("GET", "/elsewhere")[0] == 404


def test_ten_thousand_entries(server):
    for i in range(10_000):
        on_disk(server, f"{i:05}").touch()
    entries = server.gss.listFiles(fileID="it4i_anselm://home", session_id=TOKEN)
    assert [e.visualName for e in entries] == [f"{i:05}" for i in range(10_000)]
    entries = json.loads(server.request("GET", home())[2])
    assert len(entries) == 10_000
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(next(l for l in status.splitlines() if l.startswith("VmHWM")).split()[1])
    if "asan" not in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text():
        assert peak < 40_000


# ---- plm ----


@pytest.mark.parametrize("named", ["on", "off"])
def test_plm(start, named):
    server = start("--filename-header", named)
    gss = server.gss
    root = gss.getResourceInformation(fileID="plm://demo/model/1", session_id=TOKEN)
    assert root.type == "FOLDER" and root.deleteDescription.supported is False
    new = gss.getResourceInformation(fileID="plm://demo/model/1/ü part", session_id=TOKEN)
    assert new.type == "NOTEXIST" and new.queryForName is True
    answer = follow(new.createDescription, b"geometry")
    assert answer.status_code == 201
    assert ("filename" in answer.headers) == (named == "on")
    there = gss.getResourceInformation(fileID="plm://demo/model/1/ü part", session_id=TOKEN)
    uri = there.uniqueName
    assert uri.rsplit("/", 1)[1].isdigit() and uri.count("/") == 4
    assert answer.headers.get("filename", uri) == uri
    assert (there.type, there.visualName, there.queryForName) == ("FILE", "ü part", False)
    assert gss.getResourceInformation(fileID=uri, session_id=TOKEN).visualName == "ü part"
    assert follow(there.readDescription).content == b"geometry"
    assert follow(there.updateDescription, b"better").status_code == 201
    assert follow(new.createDescription, b"again").status_code == 405
    assert (server.root / "plm/demo/model/ü part").read_bytes() == b"better"

    folder = gss.createFolder(folderID="plm://demo/model/1/assembly", session_id=TOKEN)
    assert folder.uniqueName.rsplit("/", 1)[1].isdigit()
    (server.root / "plm/demo/model/assembly/behind").write_bytes(b"!")
    behind, = gss.listFiles(fileID=folder.uniqueName, session_id=TOKEN)
    assert follow(behind.readDescription).content == b"!"
    entries = gss.listFilesMinimal(fileID="plm://demo/model/1", session_id=TOKEN)
    known = {e.visualName: e.uniqueName for e in entries}
    assert known == {"ü part": uri, "assembly": folder.uniqueName}
    with pytest.raises(Fault):  # a path is not a way through an opaque storage
        gss.getResourceInformation(fileID="plm://demo/model/1/assembly/behind", session_id=TOKEN)

    server.stop()
    server = start()
    gss = server.gss
    entries = gss.listFilesMinimal(fileID="plm://demo/model/1", session_id=TOKEN)
    assert {e.visualName: e.uniqueName for e in entries} == known
    assert follow(gss.getResourceInformation(fileID=uri, session_id=TOKEN).deleteDescription
                  ).status_code == 204
    with pytest.raises(Fault):
        gss.getResourceInformation(fileID=uri, session_id=TOKEN)
    again = gss.getResourceInformation(fileID="plm://demo/model/1/ü part", session_id=TOKEN)
    assert follow(again.createDescription, b"new").headers["filename"] != uri


# ---- storage ----


def test_verbs(server):
    assert server.request("GET", home("x"))[0] == 404
    assert server.request("HEAD", home("x"))[0] == 404
    assert server.request("DELETE", home("x"))[0] == 404
    assert server.request("PUT", home("x"), b"1")[0] == 405
    assert server.request("POST", home("x"), b"1")[0] == 201
    assert server.request("POST", home("x"), b"2")[0] == 405
    assert server.request("PUT", home("x"), b"3")[0] == 201
    assert on_disk(server, "x").read_bytes() == b"3"
    assert server.request("PUT", home("x"), b"")[0] == 201
    status, headers, body = server.request("GET", home("x"))
    assert (status, headers["Content-Length"], body) == (200, "0", b"")
    assert server.request("POST", home("no/such".replace("/", "")) + "/y", b"1")[0] == 405
    assert server.request("POST", home("x") + "/y", b"1")[0] == 405
    assert server.request("POST", "/refissh_anselm/files/new", b"1")[0] == 405
    assert server.request("DELETE", home())[0] == 405
    assert server.request("PUT", home(), b"1")[0] == 405
    assert server.request("HEAD", home())[0] == 204
    directory = {"Content-Type": "application/directory"}
    assert server.request("POST", home("d"), None, directory)[0] == 201
    assert server.request("POST", home("d"), None, directory)[0] == 405
    assert server.request("POST", home("d") + "/e", b"deep")[0] == 201
    assert server.request("DELETE", home("d"))[0] == 204
    assert not on_disk(server, "d").exists()
    assert server.request("DELETE", home("x"))[0] == 204
    assert server.request("PATCH", home("x"))[0] == 405


@pytest.mark.parametrize("path", [
    "/refissh_anselm/files/home/..", "/refissh_anselm/files/home/%2e%2e/x", "/refissh_anselm/files//home",
    "/refissh_anselm/files/home/", "/refissh_anselm/files/home/a%2fb", "/refissh_anselm/files/home/%00",
    "/refissh_anselm/files/home/%01", "/refissh_anselm/files/home/%ff", "/refissh_anselm/files/home/%zz",
    "/refissh_anselm/files/home/" + "x" * 256, "/plm/objects/demo/model", "/plm/objects/demo/model/x",
    "/plm/objects/demo/model/1/a/b/c",
])
def test_illegal_paths(server, path):
    for method in ["GET", "HEAD", "DELETE", "POST", "PUT"]:
        assert server.request(method, path, b"x" if method[0] == "P" else None)[0] == 400


def test_head_answers_words(start):
    server = start("--head", "word")
    on_disk(server, "f").write_bytes(b"longer than four")
    status, headers, _ = server.request("HEAD", home("f"))
    assert (status, headers["Content-Length"]) == (200, "4")
    assert headers["Content-Type"] == "text/plain" and "Last-Modified" not in headers
    assert server.request("HEAD", home())[0] == 204
    assert server.request("HEAD", home("x"))[1]["Content-Length"] == "8"
    assert server.request("GET", home("f"))[1]["Content-Length"] == "16"


@pytest.mark.parametrize("asked, status, told, body", [
    ("bytes=2-4", 206, "bytes 2-4/10", b"234"), ("bytes=0-0", 206, "bytes 0-0/10", b"0"),
    ("bytes=7-", 206, "bytes 7-9/10", b"789"), ("bytes=8-99", 206, "bytes 8-9/10", b"89"),
    ("bytes=-3", 206, "bytes 7-9/10", b"789"), ("bytes=-99", 206, "bytes 0-9/10", b"0123456789"),
    ("bytes=10-", 416, "bytes */10", None), ("bytes=-0", 416, "bytes */10", None),
    ("bytes=4-2", 200, None, b"0123456789"), ("bytes=0-1,4-5", 200, None, b"0123456789"),
    ("lines=1-2", 200, None, b"0123456789"), ("bytes=-", 200, None, b"0123456789"),
])
def test_ranges(server, asked, status, told, body):
    on_disk(server, "f").write_bytes(b"0123456789")
    answer = server.request("GET", home("f"), headers={"Range": asked})
    assert (answer[0], answer[1]["Content-Range"]) == (status, told)
    if body is not None:
        assert answer[2] == body and answer[1]["Content-Length"] == str(len(body))
    server.set(range="off")
    answer = server.request("GET", home("f"), headers={"Range": asked})
    assert (answer[0], answer[2]) == (200, b"0123456789")
    assert "Accept-Ranges" not in answer[1]


def test_versions_and_conditions(start):
    server = start("--etag", "on", "--conditional", "on")
    assert server.request("POST", home("f"), b"1")[0] == 201
    _, headers, _ = server.request("HEAD", home("f"))
    date, etag = headers["Last-Modified"], headers["ETag"]
    past = "Sun, 06 Nov 1994 08:49:37 GMT"
    for condition, status in [({"If-Match": '"other"'}, 412), ({"If-Unmodified-Since": past}, 412),
                              ({"If-Unmodified-Since": date}, 201), ({"If-Match": "*"}, 201)]:
        assert server.request("PUT", home("f"), b"2", condition)[0] == status
    assert server.request("PUT", home("f"), b"3", {"If-Match": etag})[0] == 412
    assert on_disk(server, "f").read_bytes() == b"2"
    etag = server.request("GET", home("f"))[1]["ETag"]
    part = {"Range": "bytes=0-0", "If-Range": '"other"'}
    assert server.request("GET", home("f"), headers=part)[0] == 200
    part["If-Range"] = etag
    assert server.request("GET", home("f"), headers=part)[0] == 206
    assert server.request("DELETE", home("f"), headers={"If-Match": '"other"'})[0] == 412
    server.set(conditional="off", etag="off", last_modified="off")
    headers = server.request("GET", home("f"))[1]
    assert "ETag" not in headers and "Last-Modified" not in headers
    assert server.request("DELETE", home("f"), headers={"If-Match": '"other"'})[0] == 204


def test_full_view(server):
    on_disk(server, "f").write_bytes(b"12345")
    plain, = json.loads(server.request("GET", home())[2])
    full, = json.loads(server.request("GET", home() + "?view=full")[2])
    assert "size" not in plain and full["size"] == 5 and full["lastModified"].endswith("Z")
    assert full["readDescription"]["headers"] == [{"key": "X-Auth-Token", "value": TOKEN}]
    server.set(view_full="off")
    assert "size" not in json.loads(server.request("GET", home() + "?view=full")[2])[0]


def send_raw(server, text, body=b""):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode() + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_chunked_uploads(server):
    head = (f"POST {home('f')} HTTP/1.1\nHost: x\nX-Auth-Token: {TOKEN}\nConnection: close\n"
            "Transfer-Encoding: chunked\n\n")
    body = b"3\r\nabc\r\n0\r\n\r\n"
    assert send_raw(server, head, body).startswith(b"HTTP/1.1 411")
    server.set(chunked="on")
    assert send_raw(server, head, body).startswith(b"HTTP/1.1 201")
    assert on_disk(server, "f").read_bytes() == b"abc"


def test_expect_is_answered_before_the_body(server):
    """Nothing but the head is sent: who waits for 100 Continue must hear the refusal now."""
    head = (f"PUT {home('f')} HTTP/1.1\nHost: x\nX-Auth-Token: {TOKEN}\nContent-Length: 1000000\n"
            "Expect: 100-continue\n\n")
    assert send_raw(server, head).startswith(b"HTTP/1.1 405")


def test_partial_uploads_leave_nothing(server):
    head = (f"POST {home('f')} HTTP/1.1\nHost: x\nX-Auth-Token: {TOKEN}\n"
            "Content-Length: 1000000\n\n")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"x" * 1000)
        connection.shutdown(socket.SHUT_RDWR)
    server.wait("broken")
    assert not on_disk(server, "f").exists()
    assert list((server.root / ".gss-local/tmp").iterdir()) == []


def test_large_bodies_in_constant_memory(server, tmp_path):
    size = 300 * 1024 * 1024
    source = tmp_path / "big"
    with open(source, "wb") as out:
        block = os.urandom(1024 * 1024)
        for _ in range(size // len(block)):
            out.write(block)
    with open(source, "rb") as body:
        answer = requests.post(server.base + home("big"), data=body, timeout=120,
                               headers={"X-Auth-Token": TOKEN})
    assert answer.status_code == 201
    with requests.get(server.base + home("big"), stream=True, timeout=120,
                      headers={"X-Auth-Token": TOKEN}) as answer, open(source, "rb") as body:
        got = 0
        for piece in answer.iter_content(1024 * 1024):
            assert piece == body.read(len(piece))
            got += len(piece)
    assert got == size
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(next(l for l in status.splitlines() if l.startswith("VmHWM")).split()[1])
    if "asan" not in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text():
        assert peak < 40_000


def test_latency_overlaps(start):
    server = start("--latency", "20")
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda: [server.request("HEAD", home()) for _ in range(5)])
               for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One after the other they would take 6.4 s.
    assert time.monotonic() - begin < 4
    assert server.counters()["rest.HEAD"] == 320


def test_keep_alive_without_delays(server):
    on_disk(server, "f").write_bytes(b"x" * 1000)
    connection = server.connect()
    begin = time.monotonic()
    for i in range(200):
        for method, path, body in [("GET", home("f"), None), ("HEAD", home("f"), None),
                                   ("PUT", home("f"), b"x" * 1000), ("GET", home(), None)]:
            connection.request(method, path, body, {"X-Auth-Token": TOKEN})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (200, 201)
    # Delayed acknowledgements would cost 40 ms each, 32 s together.
    assert time.monotonic() - begin < 16
    connection.close()
    assert server.counters()["connections"] < 10


def test_many_at_once(server):
    """The same names made and deleted from all sides: each outcome is legal, and no file torn."""
    problems = []

    def work(seed):
        for i in range(40):
            name, body = f"n{(seed + i) % 4}", bytes([65 + seed]) * 20_000
            for method in ["POST", "PUT", "GET", "DELETE"]:
                status, _, answer = server.request(method, home(name),
                                                   body if method[0] == "P" else None)
                if status not in (200, 201, 204, 404, 405):
                    problems.append((method, status))
                if method == "GET" and status == 200 and (len(answer), len(set(answer))) != (20_000, 1):
                    problems.append("torn")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# ---- Images ----


@pytest.mark.parametrize("style", ["jaxws", "spyne"])
@pytest.mark.parametrize("order", ["documented", "reversed"])
def test_images_all_calls(start, style, order):
    server = start("--images-style", style, "--images-order", order)
    images = server.images()
    on_disk(server, "w.simg").write_bytes(b"image")
    source = "it4i_anselm://home/w.simg"
    assert images.listImages(token=TOKEN) in (None, [])
    done = images.registerImage(token=TOKEN, image_name="waiter.simg", image_source=source)
    assert "registered" in done
    on_disk(server, "w.simg").write_bytes(b"image, second edition")
    listed = images.listImages(token=TOKEN)
    assert [(i.name, i.size) for i in listed] == [("waiter.simg", 5)]
    info = images.getImageInfo(token=TOKEN, image_name="waiter.simg")
    assert (info.name, info.size) == ("waiter.simg", 5) and info.lastModified
    assert "updated" in images.updateImage(token=TOKEN, image_name="waiter.simg", image_source=source)
    on_disk(server, "w.simg").unlink()
    assert (server.root / "images/anselm/waiter.simg").read_bytes() == b"image, second edition"
    assert server.images("salomon").listImages(token=TOKEN) in (None, [])
    assert "deleted" in images.deleteImage(token=TOKEN, image_name="waiter.simg")
    assert images.listImages(token=TOKEN) in (None, [])


@pytest.mark.parametrize("style", ["jaxws", "spyne"])
@pytest.mark.parametrize("call, name, source, code", [
    ("registerImage", "there.simg", "it4i_anselm://home/w", "405"),
    ("updateImage", "new.simg", "it4i_anselm://home/w", "405"),
    ("registerImage", "new.simg", "it4i_anselm://home/x", "404: Image source file"),
    ("registerImage", "new.simg", "it4i_anselm://home", "404: Image source file"),
    ("registerImage", "new.simg", "it4i_salomon://home/w", "400"),
    ("registerImage", "new.simg", "it4i_anselm://home/../w", "400"),
    ("registerImage", "New.simg", "it4i_anselm://home/w", "400"),
    ("registerImage", "new.img", "it4i_anselm://home/w", "400"),
    ("registerImage", ".simg", "it4i_anselm://home/w", "400"),
    ("registerImage", "a/b.simg", "it4i_anselm://home/w", "400"),
    ("registerImage", "a.b.simg", "it4i_anselm://home/w", "400"),
    ("registerImage", "a:.simg", "it4i_anselm://home/w", "400"),
    ("registerImage", "a:b:c.simg", "it4i_anselm://home/w", "400"),
    ("getImageInfo", "new.simg", None, "404"),
    ("deleteImage", "new.simg", None, "404"),
    ("deleteImage", "../images/anselm/there.simg", None, "400"),
])
def test_images_errors(start, style, call, name, source, code):
    server = start("--images-style", style)
    on_disk(server, "w").write_bytes(b"image")
    (server.root / "images/anselm/there.simg").write_bytes(b"there")
    arguments = {"token": TOKEN, "image_name": name}
    if source is not None:
        arguments["image_source"] = source
    with pytest.raises(Fault) as fault:
        getattr(server.images(), call)(**arguments)
    assert code in fault.value.message
    server.set(images_error="text")
    if call != "getImageInfo":
        assert code in getattr(server.images(), call)(**arguments)
    assert [p.name for p in (server.root / "images/anselm").iterdir()] == ["there.simg"]


def test_image_names(server):
    on_disk(server, "w").write_bytes(b"image")
    for name in ["waiter.simg", "image-with-tag:v1.0.3.simg", "a_1:RC-2.simg"]:
        server.images().registerImage(token=TOKEN, image_name=name, image_source="it4i_anselm://home/w")
    assert len(server.images().listImages(token=TOKEN)) == 3


def test_registration_answers_504_and_goes_on(start):
    server = start("--register-504", "on", "--register-delay", "0.3")
    on_disk(server, "w").write_bytes(b"image")
    arguments = dict(token=TOKEN, image_name="w.simg", image_source="it4i_anselm://home/w")
    images = server.images()
    with pytest.raises((Fault, zeep.exceptions.TransportError)):
        images.registerImage(**arguments)
    assert server.log()[-1]["status"] == 504
    assert not images.listImages(token=TOKEN)
    server.wait("images.registered")
    assert [i.name for i in images.listImages(token=TOKEN)] == ["w.simg"]
    with pytest.raises(Fault) as fault:  # what can be refused at once is
        images.registerImage(**arguments)
    assert "405" in fault.value.message
