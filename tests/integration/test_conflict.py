"""What becomes of a file that is changed here and on GSS: both survive, and everybody can see where they are."""

import errno
import os
import re
import time

import pytest

from world import attribute, fails_with, settled, state, until

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
