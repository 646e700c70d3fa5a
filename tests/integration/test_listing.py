"""What a listing costs: questions about sizes, asked ahead, together, and once."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import stat
import time

import pytest

from world import SANITIZE, fails_with, until

MIB = 1 << 20


def fill(folder, count, size=lambda i: 100 + i):
    """Files whose sizes and dates tell them apart."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        path = folder / f"f{i:04}"
        with open(path, "wb") as file:
            file.truncate(size(i))
        os.utime(path, (1_600_000_000 + i, 1_600_000_000 + i))


def check(folder, count, size=lambda i: 100 + i):
    for i in range(count):
        st = os.stat(folder / f"f{i:04}")
        assert (st.st_size, st.st_mtime) == (size(i), 1_600_000_000 + i), i


def counted(platform, name):
    return platform.counters().get(name, 0)


def idle(platform):
    until(lambda: counted(platform, "requests.now") == 0, "the end of the questions")


def test_listing_alone_asks_for_no_sizes(mount, platform):
    platform.set(view_full="off")
    fill(platform.home, 50)
    home = mount()
    assert len(os.listdir(home.path)) >= 50
    assert counted(platform, "rest.HEAD") == counted(platform, "rest.GET") == 0


def test_the_first_stat_asks_for_the_siblings(mount, platform):
    platform.set(view_full="off")
    fill(platform.home, 200)
    home = mount()
    os.listdir(home.path)
    os.stat(home / "f0000")
    # All others come without anybody asking; one GET showed that HEAD tells sizes.
    platform.wait("rest.HEAD", 200)
    idle(platform)
    before = platform.counters()
    check(home.path, 200)
    after = platform.counters()
    assert after["rest.HEAD"] == before["rest.HEAD"] == 200
    assert after["rest.GET"] == 2, "that, and a view that told nothing"
    assert after["gss.getResourceInformation"] == 1, "descriptions come with the listing; the folder's is for the view"
    assert after["gss.listFiles"] == 1


def test_a_stat_without_a_listing_asks_for_one(mount, platform):
    platform.set(view_full="off")
    fill(platform.home, 50)
    home = mount()
    os.stat(home / "f0020")
    os.listdir(home.path)  # comes after it
    assert counted(platform, "rest.HEAD") == 1


def test_asking_ahead_follows_the_reader_of_a_big_folder(mount, platform):
    platform.set(view_full="off")
    fill(platform.home, 1000)
    home = mount()
    os.listdir(home.path)
    os.stat(home / "f0000")
    platform.wait("rest.HEAD", 257)
    idle(platform)
    assert counted(platform, "rest.HEAD") == 257, "so many, and no more, are asked ahead"
    check(home.path, 1000)
    check(home.path, 1000)
    assert counted(platform, "rest.HEAD") == 1000


@pytest.mark.parametrize("view", ["on", "off"])
def test_refresh_forgets_what_was_asked_ahead(mount, platform, view):
    platform.set(view_full=view)
    fill(platform.home / "d", 100)
    home = mount()
    os.listdir(home / "d")
    os.stat(home / "d" / "f0000")
    platform.wait("rest.HEAD", 100 if view == "off" else 1)
    idle(platform)
    for i in range(100):
        (platform.home / "d" / f"f{i:04}").write_bytes(bytes(77))
    (home / ".status").write_text("refresh\n")
    assert [os.stat(home / "d" / f"f{i:04}").st_size for i in range(100)] == [77] * 100


def test_asking_ahead_meets_a_broken_service(mount, platform):
    platform.set(view_full="off")
    fill(platform.home, 100)
    home = mount()
    os.listdir(home.path)
    os.stat(home / "f0000")
    platform.fault(method="HEAD", status=503, times=1000)
    platform.wait("rest.HEAD", 5)
    platform.control("/reset")
    platform.set(view_full="off")
    check(home.path, 100)


# ---- the full view of a folder ----


@pytest.mark.parametrize("view", ["on", "other"])
def test_one_request_instead_of_a_thousand(mount, platform, view):
    platform.set(view_full=view)
    fill(platform.home, 300)
    home = mount()
    os.listdir(home.path)
    os.stat(home / "f0000")
    platform.wait("rest.view")
    idle(platform)
    check(home.path, 300)
    counters = platform.counters()
    # One file was asked for its size (and a GET showed that HEAD tells it); a folder that is mounted by itself is
    # asked for its description.
    assert counters["rest.view"] == 1 and counters["rest.HEAD"] <= 3 and counters["rest.GET"] == 2
    assert counters["gss.listFiles"] == counters["gss.getResourceInformation"] == 1


@pytest.mark.parametrize("view", ["off", "wrong", "garbage", "missing", "failing"])
def test_without_a_full_view(mount, platform, view):
    """Whatever it is that answers: right sizes, and no second try, also not by the next mount."""
    platform.set(view_full=view)
    fill(platform.home / "a", 40)
    fill(platform.home / "b", 40)
    home = mount()
    for folder in "ab":
        assert len(os.listdir(home / folder)) == 40
        check(home / folder, 40)
    idle(platform)
    assert counted(platform, "rest.view") == 1
    if view in ("missing", "failing"):
        return  # may be different next time
    assert home.unmount() == 0
    home = mount()
    os.listdir(home / "a")
    check(home / "a", 40)
    idle(platform)
    assert counted(platform, "rest.view") == 1


def test_a_full_view_whose_dates_are_wrong(mount, platform):
    platform.set(view_full="shifted")
    fill(platform.home, 40)
    home = mount()
    os.listdir(home.path)
    os.stat(home / "f0000")
    platform.wait("rest.view")
    idle(platform)
    for i in range(40):
        assert os.stat(home / f"f{i:04}").st_size == 100 + i
    assert counted(platform, "rest.HEAD") <= 3, "the sizes are from the view"
    # The dates are not taken from it; what a HEAD says later is.
    with open(home / "f0007", "rb") as file:
        assert len(file.read()) == 107
    assert os.stat(home / "f0000").st_mtime == 1_600_000_000


def test_sizes_that_are_too_small_prove_nothing(mount, platform):
    """All files are as long as the word FILE: an agreement may be chance."""
    fill(platform.home, 30, lambda i: 4)
    home = mount()
    os.listdir(home.path)
    check(home.path, 30, lambda i: 4)
    idle(platform)
    check(home.path, 30, lambda i: 4)


def test_it_is_known_to_the_next_mount(mount, platform):
    fill(platform.home / "a", 40)
    home = mount()
    os.listdir(home / "a")
    os.stat(home / "a" / "f0000")
    platform.wait("rest.view")
    idle(platform)
    assert home.unmount() == 0
    before = platform.counters()
    home = mount()
    os.listdir(home / "a")
    os.stat(home / "a" / "f0000")
    platform.wait("rest.view", 2)
    idle(platform)
    check(home / "a", 40)
    after = platform.counters()
    assert after["rest.HEAD"] - before["rest.HEAD"] <= 2
    assert after["rest.GET"] - before["rest.GET"] == 1, "the view; that HEAD tells sizes is known"


@pytest.mark.parametrize("first", ["size", "view"])
def test_a_view_that_was_right_and_is_not_any_more(mount, platform, first):
    fill(platform.home / "a", 40)
    fill(platform.home / "b", 40)
    home = mount()
    os.listdir(home / "a")
    os.stat(home / "a" / "f0000")
    platform.wait("rest.view")
    idle(platform)
    platform.set(view_full="wrong")
    if first == "view":
        platform.fault(method="HEAD", path="*/b/f0000", delay=500)
    os.listdir(home / "b")
    os.stat(home / "b" / "f0000")
    platform.wait("rest.view", 2)
    idle(platform)
    check(home / "b", 40)


def test_a_view_is_not_told_of_what_changes_here(mount, platform):
    """Local changes made while the view is under way win."""
    fill(platform.home / "a", 40)
    home = mount()
    os.listdir(home / "a")
    platform.fault(method="GET", path="*/files/home/a", hold="after")
    os.stat(home / "a" / "f0000")
    platform.wait("held")
    (home / "a" / "f0005").write_text("mine, and longer than it was")
    os.unlink(home / "a" / "f0006")
    platform.control("/release")
    idle(platform)
    assert (home / "a" / "f0005").read_text() == "mine, and longer than it was"
    with fails_with(2):
        os.stat(home / "a" / "f0006")
    until(lambda: os.stat(home / "a" / "f0007").st_size == 107)


def test_stats_wait_for_the_view_that_answers_them(mount, platform):
    fill(platform.home / "a", 300)
    home = mount()
    platform.fault(method="GET", path="*/files/home/a", delay=120)
    os.listdir(home / "a")
    check(home / "a", 300)
    assert counted(platform, "rest.view") == 1
    assert counted(platform, "rest.HEAD") < 30, "one at a time they would be many in that time"


def test_stats_do_not_wait_for_a_view_that_does_not_come(mount, platform):
    fill(platform.home / "a", 40)
    home = mount()
    platform.fault(method="GET", path="*/files/home/a", hold="before")
    os.listdir(home / "a")
    check(home / "a", 40)
    assert counted(platform, "rest.HEAD") == 40
    platform.control("/release")


def test_a_mounted_folder_is_described_beside_its_listing(mount, platform):
    """So a full view needs one request after the listing, and not two."""
    fill(platform.home, 40)
    home = mount()
    os.listdir(home.path)
    platform.wait("gss.getResourceInformation", 1)
    idle(platform)
    assert counted(platform, "rest.GET") == counted(platform, "rest.HEAD") == 0


# ---- attributes that come with the names ----


def walk(folder):
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat() for entry in entries}


def wakings(home):
    """How often threads of the daemon have waited for something; at least once a request."""
    count = 0
    for status in pathlib.Path(f"/proc/{home.pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            count += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status.read_text()).group(1))
    return count


def test_stats_come_with_the_names(mount, platform):
    count = 3000
    fill(platform.home / "a", count)
    home = mount()
    for _ in range(2):
        before = wakings(home)
        found = walk(home / "a")
        took = wakings(home) - before
        assert {name: (st.st_size, st.st_mtime) for name, st in found.items()} == \
            {f"f{i:04}": (100 + i, 1_600_000_000 + i) for i in range(count)}
        if SANITIZE == "none":
            assert took < count / 4, "a request for each would be as many"
        time.sleep(1.5)  # longer than the kernel remembers


def test_names_with_attributes_tell_local_changes(mount, platform):
    fill(platform.home / "a", 400)
    home = mount()
    at = home / "a"
    assert len(walk(at)) == 400
    platform.fault(method="PUT", path="/refissh*", status=503, times=1000)
    platform.fault(method="POST", path="/refissh*", status=503, times=1000)
    (at / "f0300").write_text("mine")
    os.truncate(at / "f0301", 7)
    os.unlink(at / "f0302")
    os.rename(at / "f0303", at / "moved")
    (at / "new").write_text("newer")
    (at / "sub").mkdir()
    for _ in range(2):
        found = walk(at)
        assert len(found) == 401
        sizes = [found[name].st_size for name in ("f0300", "f0301", "moved", "new", "f0399")]
        assert sizes == [4, 7, 403, 5, 499]
        assert "f0302" not in found and "f0303" not in found and stat.S_ISDIR(found["sub"].st_mode)
        time.sleep(1.5)
    # What teammates do shows up when the leases are over, or at once when somebody asks for it.
    (platform.home / "a" / "f0310").write_bytes(b"theirs")
    os.unlink(platform.home / "a" / "f0311")
    (home / ".status").write_text("refresh\n")
    time.sleep(1.5)
    found = walk(at)
    assert len(found) == 400 and "f0311" not in found and found["f0310"].st_size == 6
    platform.control("/reset")
    shutil.rmtree(at)
    assert not at.exists()


# ---- what HEAD answers ----


@pytest.mark.parametrize("ranges", ["on", "off"])
@pytest.mark.parametrize("head", ["size", "word", "refused", "missing", "gzip", "empty", "other", "forbidden"])
def test_sizes_whatever_head_answers(mount, platform, head, ranges):
    platform.set(head=head, range=ranges, view_full="off")
    sizes = [0, 4, 5, 12, 13, 100, 70000, 3_000_000]
    fill(platform.home, len(sizes), lambda i: sizes[i])
    home = mount()
    os.listdir(home.path)
    check(home.path, len(sizes), lambda i: sizes[i])
    idle(platform)
    assert home.unmount() == 0
    # What was learned is known to the next mount: not a HEAD that says nothing, not a GET where HEAD suffices.
    before = platform.counters()
    (platform.home / "later").write_bytes(bytes(5000))
    home = mount()
    assert os.stat(home / "later").st_size == 5000
    after = platform.counters()
    asked = [after.get(f"rest.{m}", 0) - before.get(f"rest.{m}", 0) for m in ("HEAD", "GET")]
    assert asked == ([1, 0] if head == "size" else [0, 1])


@pytest.mark.parametrize("later", ["word", "empty", "other", "refused", "missing", "gzip", "failing", "forbidden"])
def test_a_head_that_told_sizes_and_does_not_any_more(mount, platform, later):
    """Which is known from the last mount: GET has the last word."""
    platform.set(view_full="off")
    sizes = [0, 4, 12, 13, 70_000, 70_001]
    fill(platform.home / "a", len(sizes), lambda i: sizes[i])
    home = mount()
    os.listdir(home / "a")
    check(home / "a", len(sizes), lambda i: sizes[i])
    idle(platform)
    assert home.unmount() == 0
    platform.set(head=later)
    home = mount()
    if later == "other":
        # No stat can know; what is read tells.
        until(lambda: reads_as(home / "a" / "f0005", bytes(70_001)))
        (home / ".status").write_text("refresh\n")
    for _ in range(2):
        assert os.listdir(home / "a")
        check(home / "a", len(sizes), lambda i: sizes[i])
        for i, size in enumerate(sizes):
            assert (home / "a" / f"f{i:04}").read_bytes() == bytes(size)
        (home / ".status").write_text("refresh\n")
    idle(platform)
    # It is learned again, and known to the next mount. An internal error may pass: what it hides is asked for each time.
    assert home.unmount() == 0
    (platform.home / "later").write_bytes(bytes(5000))
    before = platform.counters()
    home = mount()
    assert os.stat(home / "later").st_size == 5000
    after = platform.counters()
    asked = [after.get(f"rest.{m}", 0) - before.get(f"rest.{m}", 0) for m in ("HEAD", "GET")]
    assert asked == ([1, 1] if later == "failing" else [0, 1])


@pytest.mark.parametrize("head", ["size", "word"])
@pytest.mark.parametrize("dates", ["on", "off"])
def test_sizes_that_nothing_tells(mount, platform, head, dates):
    """Neither ranges nor lengths: a file is as long as what comes of it."""
    platform.set(head=head, range="off", length="off", last_modified=dates, view_full="off")
    sizes = [0, 4, 70_000, 8 * MIB, 20 * MIB + 1]
    fill(platform.home, len(sizes), lambda i: sizes[i])
    home = mount()
    os.listdir(home.path)
    for i, size in enumerate(sizes):
        assert os.stat(home / f"f{i:04}").st_size == size
    for i, size in enumerate(sizes):
        assert (home / f"f{i:04}").read_bytes() == bytes(size)


def test_a_size_that_was_counted_is_counted_once(mount, platform):
    platform.set(head="word", range="off", length="off", view_full="off")
    fill(platform.home, 1, lambda i: 20 * MIB)
    home = mount()
    assert os.stat(home / "f0000").st_size == 20 * MIB
    before = counted(platform, "bytes.sent")
    for _ in range(3):
        (home / ".status").write_text("refresh\n")
        time.sleep(1.5)
        assert os.stat(home / "f0000").st_size == 20 * MIB
    assert counted(platform, "bytes.sent") - before < 10 * MIB
    # Another version is another size.
    (platform.home / "f0000").write_bytes(bytes(21 * MIB))
    (home / ".status").write_text("refresh\n")
    until(lambda: os.stat(home / "f0000").st_size == 21 * MIB)


def reads_as(path, content):
    with contextlib.suppress(OSError):
        return path.read_bytes() == content


def test_sizes_of_small_files_are_asked_for_twice_once(mount, platform):
    """A HEAD as short as a word is believed where it says what a GET said of the same date."""
    platform.set(view_full="off")
    fill(platform.home / "a", 30, lambda i: 100)
    fill(platform.home / "b", 30, lambda i: 4)
    home = mount()
    os.listdir(home / "a")
    check(home / "a", 30, lambda i: 100)
    check(home / "b", 30, lambda i: 4)
    idle(platform)
    before = platform.counters()
    (home / ".status").write_text("refresh\n")
    time.sleep(1.5)
    check(home / "b", 30, lambda i: 4)
    idle(platform)
    assert counted(platform, "rest.GET") == before["rest.GET"]
    # Of another date it is asked for again.
    fill(platform.home / "b", 30, lambda i: 4)
    os.utime(platform.home / "b" / "f0003", (1_500_000_000, 1_500_000_000))
    (home / ".status").write_text("refresh\n")
    time.sleep(1.5)
    assert os.stat(home / "b" / "f0003").st_mtime == 1_500_000_000
    assert counted(platform, "rest.GET") == before["rest.GET"] + 1


def test_a_file_that_is_named_and_not_there(mount, platform):
    """The service says FILE, its storage 404: an error, and not a file that is gone."""
    fill(platform.home, 3)
    platform.set(view_full="off")
    home = mount()
    os.listdir(home.path)
    platform.fault(method="GET", path="*/f0001", status=404, times=1000)
    platform.fault(method="HEAD", path="*/f0001", status=404, times=1000)
    for _ in range(2):
        with fails_with(errno.EIO):
            os.stat(home / "f0001")
        assert "f0001" in os.listdir(home.path)
    platform.control("/reset")
    until(lambda: reads_as(home / "f0001", bytes(101)))
    # And what is gone is gone.
    os.unlink(platform.home / "f0002")
    (home / ".status").write_text("refresh\n")
    until(lambda: not (home / "f0002").exists())


def test_a_folder_of_ten_thousand(mount, platform):
    """Three passes, listed anew each time: sizes and dates are right, and memory is what an inode may take."""
    count, work = 10_000, platform.home / "work"
    fill(work, count)
    home = mount()
    for _ in range(3):
        assert len(os.listdir(home / "work")) == count
        check(home / "work", count)
        (home / ".status").write_text("refresh\n")
    if SANITIZE == "none":
        assert home.peak_memory() < 40 * MIB + count * 300
    requests = platform.counters()
    # One view for each pass, and what was asked beside it while a slow machine was at that.
    assert requests["rest.GET"] + requests.get("rest.HEAD", 0) < count
