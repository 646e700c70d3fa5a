"""Answers that no sane platform gives: an error for the call they answer, never a crash, never a wrong file."""

import contextlib
import errno
import os

import pytest

from world import CONTROL, attribute, fails_with, random_bytes, settled, state, until

NAMES = ("getResourceInformation", "listFiles", "listFilesMinimal", "createFolder", "deleteFolder")


def soap(operation, content):
    return (f'<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
            f'<g:{operation}Response xmlns:g="http://gss.sintef.no/">{content}</g:{operation}Response>'
            f'</e:Body></e:Envelope>').encode()


def resource(name, uri, kind="FILE", descriptions=""):
    return (f"<return><visualName>{name}</visualName><uniqueName>{uri}</uniqueName><type>{kind}</type>"
            f"{descriptions}</return>")


def request(name, url, method="GET", header=None, supported="true"):
    headers = "" if header is None else f"<headers><key>{header[0]}</key><value>{header[1]}</value></headers>"
    return (f"<{name}><supported>{supported}</supported><url>{url}</url><httpMethod>{method}</httpMethod>{headers}"
            f"</{name}>")


GARBAGE = {
    "cut": soap("x", "<return><visualName>a</visualN")[:-60],
    "empty": b"",
    "text": b"It works!",
    "html": b"<html><body>Bad Gateway</body></html>",
    "binary": bytes(range(256)) * 16,
    "doctype": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + soap("x", "<return>&b;</return>")[21:],
    "bomb": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
    "deep": b"<a>" * 100_000,
    "wrong types": soap("x", "<return><type>BANANA</type><queryForName>perhaps</queryForName></return>"),
    "another answer": soap("containsFile", "<return>true</return>"),
    "nul": soap("x", "<return>a\0b</return>"),
    "invalid utf-8": b'<?xml version="1.0" encoding="UTF-8"?><a>\xff\xfe</a>',
    "other encoding": '<?xml version="1.0" encoding="UTF-16"?><a>x</a>'.encode(),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_for_every_call(home, platform, garbage):
    """Whatever call is answered with it, the mount goes on, and nothing on the platform is lost."""
    (home / "file").write_text("content")
    (home / "folder").mkdir()
    settled(home / "file")
    for name in NAMES:
        platform.fault(GARBAGE[garbage], operation=name, status=200, type="text/xml", times=100)
    changes = [lambda: (home / "new folder").mkdir(), lambda: os.rmdir(home / "folder"), lambda: os.unlink(home / "file")]
    for change in changes:
        with pytest.raises(OSError) as info:
            change()
        assert info.value.errno not in (errno.ENOENT, errno.ENOTCONN, errno.ECONNABORTED), info.value
    assert (home / "file").read_text() == "content"
    assert (platform.home / "file").read_text() == "content"
    assert (platform.home / "folder").is_dir()
    (home / "another").write_text("written meanwhile")
    platform.control("/reset")
    until(lambda: (home / "new folder").mkdir() or True)
    # What was written meanwhile is kept, whether it waits for a better answer or for the user.
    assert (home / "another").read_text() == "written meanwhile"
    if state(home / "another") != "failed":
        settled(home / "another", timeout=60)
        assert (platform.home / "another").read_text() == "written meanwhile"


@pytest.mark.parametrize("garbage", ["empty", "html", "wrong types", "another answer"])
@pytest.mark.parametrize("call", NAMES)
def test_garbage_for_one_call(mount, platform, call, garbage):
    """What it is asked before is answered as ever, so that each call has its turn."""
    for name in ("folder", "there"):
        (platform.home / name).mkdir()
    for name in ("file", "kept", "there/below"):
        (platform.home / name).write_text("content")
    home = mount()
    assert set(os.listdir(home.path)) - CONTROL == set(os.listdir(platform.home))
    platform.fault(GARBAGE[garbage], operation=call, status=200, type="text/xml", times=10_000)
    for change in [lambda: (home / "new folder").mkdir(), lambda: os.rmdir(home / "folder"), lambda: os.unlink(home / "file"),
                   lambda: os.listdir(home / "there"), lambda: os.rmdir(home / "there")]:
        try:
            change()
        except OSError as error:
            assert error.errno not in (errno.ENOENT, errno.ENOTCONN, errno.ECONNABORTED), error
    assert platform.control()["faults"] < 10_000, "it was never asked"
    platform.control("/reset")
    # What was told to have failed may have been made; nothing else was.
    until(lambda: set(os.listdir(home.path)) - CONTROL == set(os.listdir(platform.home)), timeout=30)
    for name in ("kept", "there/below"):
        until(lambda n=name: (home / n).read_text() == "content")
        assert (platform.home / name).read_text() == "content"


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 412, 413])
@pytest.mark.parametrize("service", ["gss-0.1", "authManager"])
def test_a_service_that_is_not_there(home, platform, service, status):
    """Some proxy says so, and says nothing of files: none goes, and none that waits is given up."""
    (home / "file").write_text("content")
    (home / "folder").mkdir()
    settled(home / "file")
    platform.control("/revoke")
    platform.fault(path=f"/{service}/*", status=status, times=10000)
    for change in [lambda: (home / "new folder").mkdir(), lambda: os.rmdir(home / "folder"), lambda: os.unlink(home / "file")]:
        with fails_with(errno.EIO):
            change()
    (home / "another").write_text("written meanwhile")
    until(lambda: "status" in attribute(home / "another", "error"))
    assert state(home / "another") == "dirty"
    platform.control("/reset")
    settled(home / "another", timeout=60)
    assert sorted(os.listdir(platform.home)) == ["another", "file", "folder"]
    until(lambda: {"file", "folder"} < set(os.listdir(home.path)))


def test_a_fault_that_speaks_of_something_else(home, platform):
    """What was not found, and does not exist, is no file."""
    (home / "file").write_text("content")
    (home / "folder").mkdir()
    settled(home / "file")
    fault = (b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Server</faultcode>'
             b"<faultstring>No such host: login1 does not exist</faultstring></e:Fault></e:Body></e:Envelope>")
    for name in (*NAMES, "containsFile"):
        platform.fault(fault, operation=name, status=500, type="text/xml", times=1000)
    for change in [lambda: (home / "new folder").mkdir(), lambda: os.rmdir(home / "folder"), lambda: os.unlink(home / "file")]:
        with fails_with(errno.EIO):
            change()
    (home / "another").write_text("written meanwhile")
    until(lambda: "host" in attribute(home / "another", "error"))
    assert state(home / "another") == "dirty"
    platform.control("/reset")
    settled(home / "another", timeout=60)
    assert sorted(os.listdir(platform.home)) == ["another", "file", "folder"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_storage_that_is_not_there(home, platform, status):
    """The service names what it says it does not have: nothing is removed, and nothing that waits is given up."""
    (home / "file").write_text("content")
    settled(home / "file")
    platform.fault(path="/refissh*", status=status, times=10000)
    with fails_with(errno.EIO):
        os.unlink(home / "file")
    (home / "file").write_text("written meanwhile")
    (home / "another").write_text("written meanwhile")
    for name in ("file", "another"):
        until(lambda: "status" in attribute(home / name, "error"))
        assert state(home / name) == "dirty"
    platform.control("/reset")
    for name in ("file", "another"):
        settled(home / name, timeout=60)
        assert (platform.home / name).read_text() == "written meanwhile"
    os.unlink(home / "file")
    assert os.listdir(platform.home) == ["another"]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../../etc/passwd", "", "x" * 300, "/etc/passwd"],
                         ids=["dotdot", "dot", "slash", "path", "empty", "long", "absolute"])
def test_names_in_a_listing(world, platform, name):
    """Never an entry of that name, and never a reason to hide the others."""
    entries = resource("good", "it4i_anselm://home/good") + resource(name, "it4i_anselm://home/evil")
    for operation in ("listFiles", "listFilesMinimal"):
        platform.fault(soap(operation, entries), operation=operation, status=200, type="text/xml", times=100)
    home = world.mount(platform)
    try:
        listed = set(os.listdir(home.path)) - CONTROL
    except OSError as error:
        assert error.errno in (errno.EIO, errno.EPROTO)
    else:
        assert listed == {"good"}


def test_two_entries_of_one_name(world, platform):
    entries = resource("same", "it4i_anselm://home/1") + resource("same", "it4i_anselm://home/2", "FOLDER")
    for operation in ("listFiles", "listFilesMinimal"):
        platform.fault(soap(operation, entries), operation=operation, status=200, type="text/xml", times=100)
    home = world.mount(platform)
    listed = [n for n in os.listdir(home.path) if n not in CONTROL]
    assert listed == ["same"]


@pytest.mark.parametrize("order", ["12", "21"])
def test_two_files_of_one_name(world, platform, order):
    """As on plm: one of them is shown, always the same, and that there is another one is said."""
    for i in order:
        (platform.home / i).write_text(i)
    entries = "".join(resource("same", f"it4i_anselm://home/{i}") for i in order)
    for operation in ("listFiles", "listFilesMinimal"):
        platform.fault(soap(operation, entries), operation=operation, status=200, type="text/xml", times=100)
    home = world.mount(platform)
    assert attribute(home / "same", "uri") == "it4i_anselm://home/1"
    assert "“same” (another one has this name)" in home.text()


@pytest.mark.parametrize("description", [
    request("readDescription", "file:///etc/passwd"),
    request("readDescription", "ftp://127.0.0.1/x"),
    request("readDescription", "gopher://127.0.0.1:1/x"),
    request("readDescription", "http://198.51.100.7/x"),
    request("readDescription", "not a url"),
    request("readDescription", ""),
    request("readDescription", "BASE", header=("X-Auth-Token", "a&#13;&#10;Evil: b")),
    request("readDescription", "BASE", header=("Bad&#10;Name", "b")),
    request("readDescription", "BASE", header=("Bad Name:", "b")),
    request("readDescription", "BASE", method="G E T"),
    request("readDescription", "BASE", supported="false"),
    "",
], ids=["file", "ftp", "gopher", "http elsewhere", "no url", "empty url", "header value", "header name", "header colon",
        "method", "unsupported", "absent"])
def test_descriptions(world, platform, description):
    """A description that must not be followed: reading fails with an errno, and reads nothing else."""
    (platform.home / "folder").mkdir()
    (platform.home / "folder" / "file").write_bytes(b"x" * 1000)
    description = description.replace("BASE", platform.base + "/refissh_anselm/files/home/folder/file")
    entry = resource("file", "it4i_anselm://home/folder/file", descriptions=description)
    home = world.mount(platform)
    assert "folder" in os.listdir(home.path)
    for operation in ("getResourceInformation", "listFiles"):
        platform.fault(soap(operation, entry), operation=operation, status=200, type="text/xml", times=1000)
    with pytest.raises(OSError) as info:
        (home / "folder" / "file").read_bytes()
    assert info.value.errno in (errno.EIO, errno.EPERM, errno.EPROTO, errno.EINVAL, errno.EACCES, errno.EHOSTUNREACH)
    # The header with the line break was never sent.
    assert not any("evil" in str(e["headers"]).lower() for e in platform.log())
    platform.control("/reset")
    until(lambda: (home / "folder" / "file").read_bytes() == b"x" * 1000, timeout=30)


def test_a_resource_that_speaks_of_another(world, platform):
    """Asked for one URI, the answer describes another: it must not be taken for the first."""
    (platform.home / "mine").write_bytes(b"mine")
    (platform.home / "other").write_bytes(b"other, precious")
    (platform.home / "sub").mkdir()
    (platform.home / "sub" / "precious").write_bytes(b"as well")
    home = world.mount(platform)
    assert (home / "mine").read_bytes() == b"mine"
    answers = {"..": "it4i_anselm://home/../scratch", "other": "it4i_anselm://home/other", "sub": "it4i_anselm://home/sub",
               "mine": "no uri at all"}
    for i, (name, uri) in enumerate(answers.items()):
        for kind in ("FOLDER", "FILE", "NOTEXIST"):
            platform.fault(soap("createFolder", resource(name, uri, kind)), operation="createFolder", status=200,
                           type="text/xml")
            with contextlib.suppress(OSError):
                (home / f"folder {i} {kind}").mkdir()
            assert platform.control()["faults"] == 0
            with contextlib.suppress(OSError):
                (home / f"folder {i} {kind}").rmdir()
    assert {n for n in os.listdir(home.path) if not n.startswith("folder")} == {*CONTROL, "mine", "other", "sub"}
    assert (home / "other").read_bytes() == b"other, precious"
    assert (platform.home / "other").read_bytes() == b"other, precious"
    assert (platform.home / "sub" / "precious").read_bytes() == b"as well"


@pytest.mark.parametrize("status, headers", [
    (200, "Content-Length: 99999999999999999999"),
    (206, "Content-Range: bytes 5-3/2"),
    (206, "Content-Range: nonsense"),
    (206, ""),
    (200, "Content-Encoding: gzip"),
    (302, "Location: file:///etc/passwd"),
    (302, "Location: http://198.51.100.7/"),
    (204, ""),
    (418, ""),
])
def test_answers_of_the_storage(world, platform, status, headers):
    data = random_bytes(300_000)
    (platform.home / "file").write_bytes(data)
    home = world.mount(platform)
    assert (home / "file").stat().st_size == len(data)
    parameters = {"headers": headers} if headers else {}
    platform.fault(b"wrong", method="GET", path="*/file", status=status, times=50, **parameters)
    try:
        got = (home / "file").read_bytes()
    except OSError:
        pass
    else:
        assert got == data
    platform.control("/reset")
    until(lambda: (home / "file").read_bytes() == data, timeout=30)


@pytest.mark.parametrize("length", [0, 100, 299_999, 300_001, 10_000_000])
def test_a_body_of_another_length_than_the_file(world, platform, length):
    """The file changed between its HEAD and its GET, or somebody lies: no mixture, no garbage at the end."""
    data = random_bytes(300_000)
    (platform.home / "file").write_bytes(data)
    home = world.mount(platform)
    assert (home / "file").stat().st_size == len(data)
    platform.fault(b"y" * length, method="GET", path="*/file", status=200, times=1)
    try:
        got = (home / "file").read_bytes()
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ESTALE, errno.EPROTO)
    else:
        assert got in (data, b"y" * length)


def test_a_created_file_with_a_strange_name(world, platform):
    """plm: the header `filename` of the creating request is the URI of what was made."""
    root = world.mount(platform, "plm://demo/model/1")
    (platform.home / "other").write_text("somebody's")
    for i, value in enumerate(("file:///etc/passwd", "plm://demo/model/999999", "..", "x" * 9000, "it4i_anselm://home/other")):
        platform.fault(method="POST", path="*plm*", status=201, headers=f"filename: {value}", process=1)
        (root / f"f{i}").write_text("content")
        until(lambda: platform.control()["faults"] == 0, "the request that is to be answered so")
        until(lambda n=f"f{i}": state(root / n) != "uploading")
        assert (root / f"f{i}").read_text() == "content"
        platform.control("/reset")
        until(lambda n=f"f{i}": not (root / n).exists() or os.unlink(root / n) or True)
        assert (platform.home / "other").read_text() == "somebody's"


@pytest.mark.parametrize("answer", ["", "<nothing/>", "x" * 100_000, "<html>", "\0"],
                         ids=["empty", "nothing", "text", "html", "nul"])
def test_images_service(world, platform, answer):
    """Nobody knows whether it was done: it is asked for, as long as the user allows."""
    home = world.mount(platform, "it4i_anselm://home", "register_timeout=1")
    (home / "a.simg").write_text("x")
    settled(home / "a.simg")
    platform.fault(answer.encode(), operation="registerImage", status=200, type="text/xml")
    fd = os.open(home / ".register", os.O_WRONLY)
    try:
        os.write(fd, b"a.simg\n")
    except OSError as error:
        assert error.errno == errno.ETIMEDOUT
    finally:
        os.close(fd)
    assert platform.counters()["images.registerImage"] == 1
    assert (home / ".register").read_text().startswith("#")


@pytest.mark.parametrize("wsdl", [b"", b"<definitions/>", b"<!DOCTYPE x><definitions/>", b"<a>" * 50_000, b"\xff\xfe"],
                         ids=["empty", "nothing", "doctype", "deep", "no xml"])
def test_wsdl_of_images(home, platform, wsdl):
    (home / "a.simg").write_text("x")
    settled(home / "a.simg")
    platform.fault(wsdl, method="GET", path="*Images*", status=200, type="text/xml", times=10)
    fd = os.open(home / ".register", os.O_WRONLY)
    with fails_with(errno.EIO, errno.EPROTO):
        os.write(fd, b"a.simg\n")
    os.close(fd)
    platform.control("/reset")
    (home / ".register").write_text("a.simg\n")
    assert [p.name for p in platform.registered.iterdir()] == ["a.simg"]


def test_garbage_at_login(world, platform):
    for answer in (b"", b"<a>", GARBAGE["doctype"], GARBAGE["text"]):
        platform.fault(answer, operation="getSessionToken", status=200, type="text/xml", times=100)
        result = world.gssfs(*world.options(platform), "it4i_anselm://home", world.mountpoint())
        platform.control("/reset")
        assert result.returncode == 1 and result.stderr.startswith("gssfs: "), result
    token = "<return>" + "x" * 100 + "&#13;&#10;Evil: header</return>"
    platform.fault(soap("getSessionToken", token), operation="getSessionToken", status=200, type="text/xml", times=100)
    result = world.gssfs(*world.options(platform), "it4i_anselm://home", world.mountpoint())
    assert result.returncode == 1
    assert not any("evil" in str(e["headers"]).lower() for e in platform.log())


def test_an_endless_listing(world, platform):
    """Bounded: the daemon neither grows without end nor waits for ever."""
    many = "".join(resource(f"n{i}", f"it4i_anselm://home/n{i}") for i in range(60_000))
    for operation in ("listFiles", "listFilesMinimal"):
        platform.fault(soap(operation, many), operation=operation, status=200, type="text/xml", times=3)
    home = world.mount(platform)
    assert len(os.listdir(home.path)) - len(CONTROL) in (60_000 - 1, 60_000)
