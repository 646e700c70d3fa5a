"""What becomes of a file that is changed here and on GSS: both survive, and everybody can see where they are."""

import errno
import os
import re
import time

import pytest

from world import attribute, fails_with, random_bytes, settled, state, until

OLD, THEIRS = "the first version", "a teammate's, made meanwhile"


@pytest.fixture
def shared(platform):
    path = platform.home / "f"
    path.write_text(OLD)
    os.utime(path, (1_500_000_000, 1_500_000_000))
    return path


def copies(home, name="f"):
    return [n for n in os.listdir(home.path) if n.startswith(name + ".conflict-")]


def the_copy(home, name="f"):
    (one,) = until(lambda: copies(home, name), "the conflict copy")
    return home / one


def test_both_survive(mount, platform, shared):
    home = mount()
    assert (home / "f").read_text() == OLD
    with open(home / "f", "a") as file:
        file.write(", ours")
        file.flush()
        shared.write_text(THEIRS)
    copy = the_copy(home)
    assert re.fullmatch(r"f\.conflict-demo-\d{8}T\d{6}", copy.name)
    until(lambda: state(copy) == "conflict")
    assert (platform.home / copy.name).read_text() == OLD + ", ours"
    assert shared.read_text() == THEIRS
    # The kernel knows too: names, contents and sizes.
    assert (home / "f").read_text() == THEIRS
    assert copy.read_text() == OLD + ", ours"
    assert (home / "f").stat().st_ino != copy.stat().st_ino
    assert state(home / "f") == "clean"
    why = attribute(copy, "error")
    assert "demo" in why and f"{len(THEIRS)} bytes" in why and time.strftime("%Y-%m-%d", time.gmtime()) in why
    assert f"{copy.name}\tconflict\t" in (home / ".status").read_text()
    # It is said once, and nothing is pending.
    assert home.text().count("somebody else changed it") == 1
    assert home.unmount() == 0
    again = mount()
    assert state(again / copy.name) == "conflict"
    # Until somebody does something about it.
    os.rename(again / copy.name, again / "mine")
    settled(again / "mine")
    until(lambda: "conflict" not in (again / ".status").read_text())
    assert (platform.home / "mine").read_text() == OLD + ", ours"
    assert not copies(again)


def test_whoever_has_it_open_goes_on_with_ours(mount, platform, shared):
    home = mount()
    with open(home / "f", "r+") as file:
        assert file.read() == OLD
        inode = os.fstat(file.fileno()).st_ino
        file.write(", ours")
        file.flush()
        shared.write_text(THEIRS)
        # Under the name that was asked for it does not arrive: that is told, once.
        with fails_with(errno.EIO):
            os.fsync(file.fileno())
        os.fsync(file.fileno())
        copy = the_copy(home)
        assert copy.stat().st_ino == inode == os.fstat(file.fileno()).st_ino
        assert (platform.home / copy.name).read_text() == OLD + ", ours"
        file.write(", and more")
    settled(copy)
    assert (platform.home / copy.name).read_text() == OLD + ", ours, and more"
    assert (home / "f").read_text() == THEIRS == shared.read_text()


def test_a_name_that_a_teammate_took_meanwhile(home, platform):
    platform.fault(method="POST", path="*/f", hold="before")
    (home / "f").write_text("ours")
    platform.wait("held", 1)
    (platform.home / "f").write_text("a teammate's")
    platform.control("/release")
    copy = the_copy(home)
    until(lambda: state(copy) == "conflict")
    assert (platform.home / "f").read_text() == "a teammate's" == (home / "f").read_text()
    assert (platform.home / copy.name).read_text() == "ours" == copy.read_text()


def test_overwrite_is_for_scripts(world, platform, shared):
    home = world.mount(platform, "it4i_anselm://home", "conflict=overwrite")
    with open(home / "f", "w") as file:
        file.write("ours")
        file.flush()
        shared.write_text(THEIRS)
    settled(home / "f")
    assert shared.read_text() == "ours"
    assert not copies(home)


@pytest.mark.parametrize("when", ["before it is known", "before the copy is sent", "after the copy has arrived"])
def test_kill_9_leaves_both_and_no_third(mount, platform, shared, when):
    name = "x" * 250
    os.rename(shared, platform.home / name)
    home = mount()
    assert (home / name).read_text() == OLD
    if when == "before it is known":
        platform.fault(method="HEAD", path="*/x*", hold="before")
    elif when == "before the copy is sent":
        platform.fault(method="POST", path="*conflict*", hold="before")
    else:
        platform.fault(method="POST", path="*conflict*", hold="after")
    with open(home / name, "w") as file:
        file.write("ours")
        file.flush()
        (platform.home / name).write_text(THEIRS)
    platform.wait("held", 1)
    home.kill()
    platform.control("/release")
    platform.control("/reset")
    again = mount()

    def there():
        return [n for n in os.listdir(platform.home) if "conflict" in n]

    until(lambda: there() and state(again / there()[0]) == "conflict")
    (copy,) = there()
    assert len(copy) == 255
    assert (platform.home / copy).read_text() == "ours" == (again / copy).read_text()
    assert (platform.home / name).read_text() == THEIRS == (again / name).read_text()
    assert again.unmount() == 0
    assert there() == [copy]


# ---- what is as long as ours ----

LARGE = 2 << 20


def sent(platform, method="PUT"):
    return [e for e in platform.log() if e["method"] == method and e["target"].startswith("/refissh")]


def contents(platform):
    return {p.name: p.read_bytes() for p in platform.home.iterdir()}


@pytest.mark.parametrize("when", ["at once", "after kill -9"])
def test_a_teammate_writes_as_much_after_a_try_that_failed(mount, platform, when):
    """Which ETag it has, nobody knows; that it is not what was sent shows by its content."""
    platform.set(etag="on")
    first, ours, theirs = (random_bytes(LARGE, seed=i) for i in range(3))
    home = mount()
    (home / "img").write_bytes(first)
    settled(home / "img")
    platform.fault(method="PUT", path="/refissh*", status=503, times=1000)
    (home / "img").write_bytes(ours)
    until(lambda: "tried again" in home.text())
    if when == "after kill -9":
        home.kill()
    (platform.home / "img").write_bytes(theirs)
    platform.control("/reset")
    platform.set(etag="on")
    if when == "after kill -9":
        home = mount()
    copy = the_copy(home, "img")
    until(lambda: state(copy) == "conflict")
    assert contents(platform) == {"img": theirs, copy.name: ours}


@pytest.mark.parametrize("when", ["at once", "after kill -9", "changed since"])
def test_what_arrived_all_the_same_is_known(mount, platform, when):
    """The answer is lost, or nobody is there any more to hear it."""
    platform.set(etag="on")
    home = mount()
    (home / "img").write_bytes(random_bytes(LARGE, seed=1))
    settled(home / "img")
    ours = random_bytes(LARGE, seed=2)
    if when == "after kill -9":
        platform.fault(method="PUT", path="/refissh*", hold="after")
    elif when == "at once":
        platform.fault(method="PUT", path="/refissh*", cut="after")
    else:  # it is kept from looking until it gave up
        platform.fault(method="PUT", path="/refissh*", cut="after")
        platform.fault(operation="getResourceInformation", status=503, times=1000, skip=1)
    (home / "img").write_bytes(ours)
    if when == "after kill -9":
        platform.wait("held")
        home.kill()
        platform.control("/release")
        home = mount()
    elif when == "changed since":
        until(lambda: (platform.home / "img").read_bytes() == ours and "tried again" in home.text())
        ours = random_bytes(LARGE, seed=3)
        (home / "img").write_bytes(ours)
        platform.control("/reset")
        platform.set(etag="on")
    settled(home / "img")
    assert contents(platform) == {"img": ours}
    assert len(sent(platform)) == 1, "it is not sent again, but for what is new"


@pytest.mark.parametrize("answer", ["late", "lost"])
@pytest.mark.parametrize("before", ["new", "known"])
def test_what_is_replaced_while_it_is_sent_is_no_conflict(home, platform, before, answer):
    first, ours, last = (random_bytes(LARGE, seed=i) for i in range(3))
    if before == "known":
        (home / "img").write_bytes(first)
        settled(home / "img")
    platform.fault(method="P*", path="/refissh*/img", hold="after", **({"cut": "after"} if answer == "lost" else {}))
    (home / "img").write_bytes(ours)
    until(lambda: (platform.home / "img").exists() and (platform.home / "img").read_bytes() == ours)
    (home / "tmp").write_bytes(last)
    os.rename(home / "tmp", home / "img")
    time.sleep(0.3)
    platform.control("/release")
    settled(home / "img")
    until(lambda: contents(platform) == {"img": last})
    assert home.unmount() == 0


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_rename_leaves_what_it_cannot_tell_from_another(home, platform, size):
    """No dates, no ETags: of the same size there may be anything."""
    platform.set(last_modified="off")
    ours, theirs = random_bytes(size, seed=1), random_bytes(size, seed=2)
    for name in ("f", "h"):
        (home / name).write_bytes(ours)
        settled(home / name)
    platform.fault(method="POST", path="*/g", hold="before")
    os.rename(home / "f", home / "g")
    platform.wait("held")
    (platform.home / "f").write_bytes(theirs)
    platform.control("/release")
    os.rename(home / "h", home / "i")
    assert home.unmount() == 0
    assert contents(platform) == {"f": theirs, "g": ours, "i": ours}


@pytest.mark.parametrize("tried", [False, True])
def test_what_was_replaced_and_left_goes_by_its_content(home, platform, tried):
    platform.set(last_modified="off")
    for name in "ab":
        (home / name).write_bytes(name.encode() * 100)
        settled(home / name)
    platform.fault(method="PUT", path="/refissh*", status=503, times=1000)
    os.rename(home / "a", home / "b")
    if tried:
        until(lambda: "503" in attribute(home / "b", "error"), "a try that fails")
    os.rename(home / "b", home / "c")
    platform.control("/reset")
    platform.set(last_modified="off")
    assert home.unmount() == 0
    assert contents(platform) == {"c": b"a" * 100}


def test_what_could_not_be_replaced_is_left_behind_by_no_rename(home, platform):
    platform.set(last_modified="off")
    (home / "a").write_bytes(b"o" * 100)
    settled(home / "a")
    platform.fault(method="PUT", path="/refissh*", status=503, times=1000)
    (home / "a").write_bytes(b"n" * 100)
    until(lambda: "503" in attribute(home / "a", "error"), "a try that fails")
    os.rename(home / "a", home / "b")
    platform.control("/reset")
    platform.set(last_modified="off")
    assert home.unmount() == 0
    assert contents(platform) == {"b": b"n" * 100}


def test_a_shorter_version_is_not_what_was_cut_short(home, platform):
    (home / "f").write_bytes(b"o" * 1000)
    settled(home / "f")
    platform.fault(method="PUT", path="/refissh*", hold="after")
    (home / "f").write_bytes(b"n" * 2000)
    until(lambda: (platform.home / "f").read_bytes() == b"n" * 2000)
    (platform.home / "f").write_bytes(b"t" * 500)
    platform.control("/release")
    copy = the_copy(home)
    until(lambda: state(copy) == "conflict")
    assert contents(platform) == {"f": b"t" * 500, copy.name: b"n" * 2000}
