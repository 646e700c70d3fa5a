"""What others change shows up in time; what cannot be asked is an error, or what is known, never nothing."""

import errno
import os
import pathlib
import select
import subprocess
import threading
import time

import pytest

from world import SLOW, attribute, fails_with, random_bytes, settled, until

LISTING = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
    <g:listFilesResponse xmlns:g="http://gss.sintef.no/">{}</g:listFilesResponse></e:Body></e:Envelope>"""
ENTRY = "<return><visualName>{0}</visualName><uniqueName>it4i_anselm://home/{0}</uniqueName><type>FILE</type></return>"


def names(folder):
    return sorted(n for n in os.listdir(folder) if n not in (".register", ".status", ".images"))


def test_what_others_make_and_remove(home, platform):
    (platform.home / "d").mkdir()
    until(lambda: "d" in names(home.path))
    assert names(home / "d") == []
    with fails_with(errno.ENOENT):
        os.stat(home / "d" / "f")
    (platform.home / "d" / "f").write_text("new")
    # Without listing: the name that was not there is.
    until(lambda: os.stat(home / "d" / "f").st_size == 3)
    assert names(home / "d") == ["f"]
    (platform.home / "d" / "f").unlink()
    until(lambda: not os.path.lexists(home / "d" / "f"))
    assert names(home / "d") == []


def test_what_others_replace(home, platform):
    (platform.home / "f").write_text("first")
    until(lambda: (home / "f").read_text() == "first")
    (platform.home / "f").write_text("the second")
    until(lambda: os.stat(home / "f").st_size == 10)
    assert (home / "f").read_text() == "the second"


def test_what_somebody_has_open(home, platform):
    """It is looked at more often, also by those who look by its name."""
    (platform.home / "log").write_bytes(b"a" * 100)
    until(lambda: (home / "log").exists())
    with open(home / "log", "rb", buffering=0) as file:
        assert file.read(10) == b"a" * 10
        with open(platform.home / "log", "ab") as log:
            log.write(b"b" * 100)
        until(lambda: os.stat(home / "log").st_size == 200, timeout=6)


def test_a_file_becomes_a_folder_and_a_folder_a_file(home, platform):
    (platform.home / "x").write_text("file")
    (platform.home / "y").mkdir()
    (platform.home / "y" / "inside").write_text("i")
    until(lambda: names(home.path) == ["x", "y"])
    before = os.stat(home / "x").st_ino
    assert names(home / "y") == ["inside"]
    (platform.home / "x").unlink()
    (platform.home / "x").mkdir()
    (platform.home / "x" / "below").write_text("b")
    (platform.home / "y" / "inside").unlink()
    (platform.home / "y").rmdir()
    (platform.home / "y").write_text("now a file")
    until(lambda: os.path.isdir(home / "x") and os.path.isfile(home / "y"))
    assert os.stat(home / "x").st_ino != before
    assert (home / "x" / "below").read_text() == "b"
    assert (home / "y").read_text() == "now a file"


def test_a_log_that_grows_is_followed(home, platform, world):
    (platform.home / "log").write_text("1\n")
    until(lambda: (home / "log").exists())
    out = world.path / "followed"
    with open(out, "wb") as file:
        tail = subprocess.Popen(["tail", "-s", "0.2", "-n", "+1", "-f", str(home / "log")], stdout=file)
    try:
        for i in range(2, 6):
            until(lambda i=i: out.read_text() == "".join(f"{n}\n" for n in range(1, i)), timeout=30)
            with open(platform.home / "log", "a") as log:
                log.write(f"{i}\n")
        until(lambda: out.read_text() == "1\n2\n3\n4\n5\n", timeout=30)
    finally:
        tail.kill()
        tail.wait()


def test_a_listing_from_before_a_removal_does_not_count(mount, platform):
    """A rename leaves the old name to be removed; a listing that was asked before still names it."""
    (platform.home / "old").write_bytes(random_bytes(1000))
    home = mount()
    platform.fault(method="DELETE", status=503, times=10_000)
    os.rename(home / "old", home / "new")
    settled(home / "new")
    platform.wait("rest.DELETE")
    home.kill()
    platform.control("/reset")
    platform.fault(method="DELETE", status=503, times=3)  # it takes until the reader has asked
    platform.fault(LISTING.format(ENTRY.format("old") + ENTRY.format("new")), operation="listFiles", status=200,
                   type="text/xml", hold="before")
    home = mount()
    listed = []
    reader = threading.Thread(target=lambda: listed.append(names(home.path)))
    reader.start()
    platform.wait("held")
    until(lambda: not (platform.home / "old").exists())
    until(lambda: platform.counters()["requests.now"] == 1)
    platform.control("/release")
    reader.join(60)
    assert listed == [["new"]]


@pytest.mark.parametrize("what", ["attributes", "names"])
def test_refresh_while_it_is_being_asked(home, platform, what):
    """What was asked before does not count any more, though it is answered after."""
    (platform.home / "f").write_text("first")
    until(lambda: (home / "f").read_text() == "first")
    look = {"attributes": lambda: os.stat(home / "f").st_size, "names": lambda: len(names(home.path))}[what]
    fault = {"attributes": {"method": "HEAD", "path": "*/f"}, "names": {"operation": "listFiles"}}[what]
    seen = []
    waiting = [threading.Thread(target=lambda: seen.append(look())) for _ in range(2)]
    with open(home / ".status", "wb", buffering=0) as status:
        status.write(b"refresh\n")
        platform.fault(**fault, hold="after")
        waiting[0].start()
        platform.wait("held")
        (platform.home / "f").write_text("the second")
        (platform.home / "g").write_text("new")
        status.write(b"refresh\n")
        waiting[1].start()
        time.sleep(0.3)  # until it waits, too
        platform.control("/release")
        for thread in waiting:
            thread.join()
    assert seen == [look()] * 2 == [{"attributes": 10, "names": 2}[what]] * 2


# ---- a service out of reach ----


def known(mount, platform, *options):
    (platform.home / "d").mkdir()
    (platform.home / "d" / "held").write_text("held here")
    (platform.home / "d" / "seen").write_text("only seen")
    home = mount("it4i_anselm://home", *options)
    assert names(home / "d") == ["held", "seen"]
    assert (home / "d" / "held").read_text() == "held here"
    assert os.stat(home / "d" / "seen").st_size == 9
    assert home.unmount() == 0


@pytest.mark.parametrize("dead", [False, True])
def test_offline_what_is_known_is_shown_if_asked_for(mount, platform, dead):
    known(mount, platform)
    if dead:
        platform.stop()
    else:
        platform.fault(path="*FileUtilities*", status=503, times=100_000)
        platform.fault(path="*refissh*", status=503, times=100_000)
    home = mount("it4i_anselm://home", "offline=cached")
    assert names(home.path) == ["d"]
    assert names(home / "d") == ["held", "seen"]
    assert os.stat(home / "d" / "seen").st_size == 9
    assert (home / "d" / "held").read_text() == "held here"
    with fails_with(errno.ENOENT):
        os.stat(home / "d" / "never")
    with fails_with(errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EAGAIN):
        (home / "d" / "seen").read_bytes()


def test_offline_is_an_error_otherwise(mount, platform):
    known(mount, platform)
    platform.fault(path="*FileUtilities*", status=503, times=100_000)
    platform.fault(path="*refissh*", status=503, times=100_000)
    home = mount()
    for _ in range(2):
        with fails_with(errno.EIO, errno.EAGAIN, errno.ETIMEDOUT):
            os.listdir(home / "d")
        with fails_with(errno.EIO, errno.EAGAIN, errno.ETIMEDOUT):
            os.stat(home / "d" / "seen")
    platform.control("/reset")
    until(lambda: names(home / "d") == ["held", "seen"])


# ---- opaque storages ----


@pytest.mark.parametrize("header", ["on", "off"])
def test_opaque_storage_on_two_mounts(world, platform, header):
    """plm://: everything works with URIs that say nothing about the place."""
    platform.set(filename_header=header)
    root = "plm://demo/model/1"
    first = world.mount(platform, root, cache="first", at="first")
    deep = first / "a" / "b" / "c"
    deep.mkdir(parents=True)
    data = random_bytes(300_000)
    (deep / "f").write_bytes(data)
    for i in range(12):
        (deep / f"{i}").write_bytes(bytes(20 + i))
    (first / "a" / "temporary").write_text("replaces it")
    os.rename(first / "a" / "temporary", deep / "0")  # over another, in another folder
    (deep / "1").write_text("new content of one")
    os.rename(deep / "2", first / "two")
    os.unlink(deep / "3")
    for path in [deep / "f", deep / "0", deep / "1", first / "two"]:
        settled(path)
    second = world.mount(platform, root, cache="second", at="second")
    there = pathlib.Path(second / "a" / "b" / "c")
    until(lambda: names(there) == sorted(["f", "0", "1"] + [str(i) for i in range(4, 12)]))
    assert names(second.path) == ["a", "two"] and names(second / "a") == ["b"]
    assert (there / "f").read_bytes() == data
    assert (there / "0").read_text() == "replaces it"
    assert (there / "1").read_text() == "new content of one"
    assert (second / "two").stat().st_size == 22
    for i in range(4, 12):
        assert os.stat(there / f"{i}").st_size == 20 + i
    assert attribute(there / "f", "uri") == attribute(deep / "f", "uri")
    # And back: what the second one changes the first one sees.
    (there / "f").write_text("from the second")
    settled(there / "f")
    until(lambda: (deep / "f").read_bytes() == b"from the second")
    world.run("rm", "-r", second / "a")
    until(lambda: names(first.path) == ["two"])


# ---- what the kernel is told ----


def test_a_slow_lookup_delays_the_opening_of_no_other_file(home, platform):
    """That a name has changed waits in the kernel for the lookup; of others it is told meanwhile."""
    (platform.home / "d").mkdir()
    for name in ["d/changed", "f"]:
        (platform.home / name).write_text("first")
    until(lambda: (home / "d" / "changed").read_text() == "first")
    (platform.home / "d" / "slow").write_text("never looked up")
    (platform.home / "d" / "changed").unlink()
    (platform.home / "d" / "changed").mkdir()
    (home / ".status").write_text("refresh\n")
    platform.fault(path="*/d/slow", hold="before", times=2)  # HEAD, and the GET beside it
    waiting = threading.Thread(target=os.stat, args=[home / "d" / "slow"])
    waiting.start()
    platform.wait("held")
    assert (home / "f").read_text() == "first"
    (platform.home / "f").write_text("second")
    time.sleep(1.1)  # for as long the kernel believes what it was told
    with open(home / "f"):  # what was learned of a closed file is still good enough; not so for the next
        assert (home / "f").read_text() == "second"
    with open(home / ".status", "rb", buffering=0) as status:
        poll = select.poll()
        poll.register(status, select.POLLPRI)
        status.read()
        (home / "new").write_text("of which .status tells")
        assert poll.poll(5000 * SLOW)
    (home / ".status").write_text("refresh\n")
    assert waiting.is_alive()
    platform.control("/release")
    waiting.join()
