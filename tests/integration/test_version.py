"""A file on GSS is replaced, grows or goes away while it is read: never a mixture of two versions, never a stale one."""

import contextlib
import errno
import os
import random
import subprocess
import threading
import time

import pytest

from world import SLOW, fails_with, random_bytes, settled, state, until

MIB = 1 << 20
DATE = 1600000000


def put(folder, name, content, date=None):
    """Somebody else's new version, in the place of what was there."""
    new = folder / ".new"
    new.write_bytes(content)
    if date is not None:
        os.utime(new, (date, date))
    os.rename(new, folder / name)


def fill(folder, count, size):
    folder.mkdir()
    for i in range(count):
        put(folder, f"f{i:02}", b"a" * (size + i), DATE + i)


def look(home, name="d"):
    """`ls -l`, which learns sizes from the full view; and what it set off has ended."""
    for entry in os.scandir(home / name):
        entry.stat()


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY):
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


class Reading(threading.Thread):
    """Reads a file to its end in the background."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.content = self.error = None
        self.start()

    def run(self):
        try:
            self.content = self.path.read_bytes()
        except OSError as error:
            self.error = error

    def wait(self):
        self.join(60 * SLOW)
        assert not self.is_alive()
        return self


# The view tells sizes only, or dates as well; in both cases less than HEAD and GET do.
VIEWS = {"shifted": DATE + 5000, "on": DATE + 10}


@pytest.mark.parametrize("view", VIEWS)
def test_of_one_size_after_a_view(world, view):
    platform = world.server("--etag", "on", "--view-full", view)
    fill(platform.home / "d", 40, 1000)
    home = world.mount(platform)
    look(home)
    file = home / "d" / "f10"
    assert file.read_bytes() == b"a" * 1010
    until(lambda: os.stat(file).st_mtime == DATE + 10)
    put(platform.home / "d", "f10", b"b" * 1010, VIEWS[view])
    until(lambda: file.read_bytes() == b"b" * 1010)


@pytest.mark.parametrize("view", VIEWS)
def test_open_and_replaced_by_one_of_one_size(world, view):
    platform = world.server("--etag", "on", "--view-full", view)
    fill(platform.home / "d", 40, 6 * MIB)
    home = world.mount(platform)
    look(home)
    with opened(home / "d" / "f10") as fd:
        assert os.pread(fd, 4096, 0) == b"a" * 4096
        put(platform.home / "d", "f10", b"B" * (6 * MIB + 10), VIEWS[view])
        with fails_with(errno.EIO):
            os.pread(fd, 4096, 5 * MIB)


def test_changed_after_a_view_without_dates(world):
    """Whoever writes begins from what is there, not from what a view told of it."""
    platform = world.server("--etag", "on", "--view-full", "shifted")
    fill(platform.home / "d", 40, 2 * MIB)
    home = world.mount(platform)
    look(home)
    size = 2 * MIB + 7
    with opened(home / "d" / "f07", os.O_WRONLY | os.O_TRUNC) as fd:
        put(platform.home / "d", "f07", b"T" * size)
        os.pwrite(fd, b"m" * size, 0)
    until(lambda: any("conflict" in n for n in os.listdir(platform.home / "d")))
    assert (platform.home / "d" / "f07").read_bytes() == b"T" * size


def test_a_download_of_before_it_grew(world):
    """What was on its way when the file was replaced by a longer one is none of that one's content."""
    platform = world.server("--etag", "on", "--view-full", "off")
    beginning = random_bytes(2 * MIB)
    put(platform.home, "a", beginning + b"X" * (14 * MIB))
    home = world.mount(platform)
    os.stat(home / "a")
    platform.fault(method="GET", path="*/a", hold="during", times=1)
    with opened(home / "a") as fd:
        os.pread(fd, 4096, 0)
        platform.wait("held")
        time.sleep(0.5)  # until what was sent before it was held has been taken in
        put(platform.home, "a", beginning + b"Y" * (14 * MIB) + b"Z" * 10)
        until(lambda: os.fstat(fd).st_size == 16 * MIB + 10)
        platform.control("/release")
        for offset in (2 * MIB, 3 * MIB, 5 * MIB, 15 * MIB):
            assert os.pread(fd, 1, offset) in (b"Y", b""), offset
    assert (home / "a").read_bytes() == beginning + b"Y" * (14 * MIB) + b"Z" * 10
    assert state(home / "a") == "clean"


def test_what_was_read_and_evicted(world):
    """That nothing of a file is held does not mean that nothing of it was read."""
    platform = world.server("--etag", "on", "--view-full", "off")
    others = "bcdef"
    for name in "a" + others:
        put(platform.home, name, name.encode() * (24 * MIB))
    home = world.mount(platform, "it4i_anselm://home", "cache_size=64M")
    blobs = world.path / "cache"
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(opened(home / "a"))
        assert b"".join(os.pread(fd, MIB, i * MIB) for i in range(8)) == b"a" * (8 * MIB)
        blob, = (b for b in blobs.glob("*/blobs/*") if b.stat().st_blocks)
        for name in others:
            other = stack.enter_context(opened(home / name))
            while os.read(other, MIB):
                pass
        until(lambda: not blob.exists() or not blob.stat().st_blocks)
        put(platform.home, "a", b"B" * (24 * MIB))
        time.sleep(1.5)  # the lease of an open file
        with fails_with(errno.EIO):
            os.pread(fd, 4096, 20 * MIB)


@pytest.mark.parametrize("longer", [0, 4096])
@pytest.mark.parametrize("ranges", ["on", "off"])
def test_written_in_place_while_a_body_moves(world, ranges, longer):
    platform = world.server("--range", ranges, "--view-full", "off")
    put(platform.home, "a", b"A" * (3 * MIB), DATE)
    home = world.mount(platform)
    os.stat(home / "a")
    platform.fault(method="GET", path="*/a", hold="during", times=1)
    reading = Reading(home / "a")
    platform.wait("held")
    with open(platform.home / "a", "r+b") as file:
        file.write(b"B" * (3 * MIB + longer))
    time.sleep(0.3)  # a body that takes less than 100 ms is believed
    platform.control("/release")
    reading.wait()
    assert reading.error is not None and reading.error.errno == errno.EIO or \
        set(reading.content) == {ord("B")}, set(reading.content)
    until(lambda: (home / "a").read_bytes() == b"B" * (3 * MIB + longer))


@pytest.mark.parametrize("ranges", ["on", "off"])
def test_sent_once_more_without_validators(world, ranges):
    """Where only the content tells: what comes again must be what is held."""
    platform = world.server("--range", ranges, "--last-modified", "off", "--view-full", "off")
    put(platform.home, "a", b"A" * (3 * MIB))
    home = world.mount(platform)
    os.stat(home / "a")
    platform.fault(method="GET", path="*/a", cut="during", times=1)
    platform.fault(method="GET", path="*/a", hold="before", times=1)
    reading = Reading(home / "a")
    platform.wait("held")
    put(platform.home, "a", b"B" * (3 * MIB))
    platform.control("/release")
    reading.wait()
    assert reading.content in (None, b"B" * (3 * MIB)), set(reading.content)


def test_two_parts_at_a_time_without_validators(world):
    """One is of the old version and the other of the new one: where they meet it is seen."""
    platform = world.server("--range", "on", "--last-modified", "off", "--view-full", "off")
    put(platform.home, "a", b"A" * (12 * MIB))
    home = world.mount(platform)
    with opened(home / "a") as fd:
        platform.fault(method="GET", path="*/a", hold="before", times=1)
        results = []

        def read():
            try:
                results.append(set(os.pread(fd, 4096, 6 * MIB)))
            except OSError as error:
                results.append(error.errno)

        reading = threading.Thread(target=read)
        reading.start()
        platform.wait("held")
        for at in range(6):
            assert set(os.pread(fd, MIB, at * MIB)) == {ord("A")}
        put(platform.home, "a", b"B" * (12 * MIB))
        platform.control("/release")
        reading.join()
        # It may have come with the other part.
        assert results in ([errno.EIO], [{ord("A")}])


@pytest.mark.parametrize("ranges", ["on", "off"])
def test_grows_faster_than_it_can_be_asked_about(world, ranges):
    platform = world.server("--range", ranges, "--latency", "20")
    put(platform.home, "log", b"x" * 1000)
    home = world.mount(platform)
    os.listdir(home.path)
    ended = threading.Event()

    def grow():
        with open(platform.home / "log", "ab", buffering=0) as log:
            while not ended.wait(0.008):
                log.write(b"a line\n")

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        for _ in range(4):
            content = (home / "log").read_bytes()
            assert len(content) >= 1000 and content == (platform.home / "log").read_bytes()[:len(content)]
            time.sleep(0.3)
    finally:
        ended.set()
        growing.join()


@pytest.mark.slow
def test_a_large_log_is_followed_without_ranges(world):
    platform = world.server("--range", "off", "--view-full", "off")
    put(platform.home, "log", b"0123456789abcde\n" * (65 * MIB // 16))
    home = world.mount(platform)
    (home / "log").read_bytes()
    out = world.path / "followed"
    with open(out, "wb") as file:
        tail = subprocess.Popen(["tail", "-s", "0.2", "-n", "1", "-f", str(home / "log")], stdout=file,
                                stderr=subprocess.STDOUT)
    try:
        until(lambda: out.read_bytes() == b"0123456789abcde\n")
        with open(platform.home / "log", "ab") as log:
            log.write(b"NEW LINE\n")
        until(lambda: out.read_bytes().endswith(b"e\nNEW LINE\n"))
    finally:
        tail.kill()
        tail.wait()


def test_what_is_given_up_holds_nobody(world):
    """The download of a version that nobody wants any more keeps neither the lane nor the unmount."""
    platform = world.server("--range", "off", "--view-full", "off", "--bandwidth", str(MIB))
    put(platform.home, "a", b"A" * (100 * MIB))
    home = world.mount(platform)
    with opened(home / "a") as fd:
        os.pread(fd, 1, 0)
        put(platform.home, "a", b"B" * (100 * MIB - 5))
        until(lambda: os.fstat(fd).st_size == 100 * MIB - 5)
    began = time.monotonic()
    assert home.unmount() == 0
    assert time.monotonic() - began < 10 * SLOW


def test_ranges_that_work_after_all(world):
    """That the storage ignored a range once does not make everybody wait for whole bodies."""
    platform = world.server("--range", "off", "--view-full", "off")
    put(platform.home, "small", b"s" * 100_000)
    put(platform.home, "large", random.Random(1).randbytes(24 * MIB))
    home = world.mount(platform)
    with opened(home / "small") as fd:
        os.pread(fd, 1, 50_000)
    platform.set(range="on", bandwidth=2 * MIB)
    with opened(home / "large") as fd:
        began = time.monotonic()
        assert os.pread(fd, 4096, 22 * MIB) == (platform.home / "large").read_bytes()[22 * MIB:22 * MIB + 4096]
        assert time.monotonic() - began < 4 * SLOW


def test_cut_through_what_was_opened_before(home, platform):
    """Who has read a version does not cut the one that has replaced it."""
    put(platform.home, "f", b"what was there", DATE)
    until(lambda: (home / "f").exists())
    with opened(home / "f", os.O_RDWR) as fd:
        assert os.pread(fd, 100, 0) == b"what was there"
        put(platform.home, "f", b"a teammate's newer one", DATE + 1)
        time.sleep(1.1)  # for as long an open file is not asked about
        with fails_with(errno.EIO):
            os.ftruncate(fd, 0)
        with fails_with(errno.EIO):
            os.pwrite(fd, b"mine", 0)
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"a teammate's newer one"
    assert (home / "f").read_bytes() == b"a teammate's newer one"


def test_open_and_removed(home, platform):
    """fstat of what one has open works, as on any file system."""
    put(platform.home, "a", b"content")
    until(lambda: os.stat(home / "a").st_size == 7)
    with opened(home / "a") as fd:
        assert os.read(fd, 7) == b"content"
        (platform.home / "a").unlink()
        time.sleep(2.2)  # the leases of the daemon and the kernel
        assert os.fstat(fd).st_size == 7
        assert os.pread(fd, 7, 0) == b"content"


def test_kept_whole_without_ranges(world):
    """The rest of a whole body that is short comes also when its reader has closed."""
    platform = world.server("--range", "off", "--view-full", "off")
    content = random_bytes(8 * MIB)
    put(platform.home, "a", content)
    home = world.mount(platform)
    platform.fault(method="GET", path="*/a", hold="during", times=1)
    with opened(home / "a") as fd:
        os.pread(fd, 1, 0)
    platform.control("/release")
    until(lambda: sum(b.stat().st_blocks * 512 for b in (world.path / "cache").glob("*/blobs/*")) >= 8 * MIB)
    before = platform.counters().get("rest.GET", 0)
    assert (home / "a").read_bytes() == content
    assert platform.counters().get("rest.GET", 0) == before
    settled(home / "a")


def test_changed_in_part_before_a_kill(world):
    """What is compared where there are no validators is GSS's, not what was written here."""
    platform = world.server("--last-modified", "off", "--view-full", "off")
    content = random_bytes(3 * MIB)
    put(platform.home, "a", content)
    home = world.mount(platform)
    platform.fault(method="PUT", path="*/a", status=503, times=1000)
    with open(home / "a", "r+b") as file:
        file.seek(MIB)
        file.write(b"here" * 1024)
    home.kill()
    platform.control("/reset")
    home = world.mount(platform)
    settled(home / "a")
    assert (platform.home / "a").read_bytes() == content[:MIB] + b"here" * 1024 + content[MIB + 4096:]


def test_cut_before_a_kill(world):
    """What GSS has behind the end of what was cut here never comes back, where zeros belong least of all."""
    platform = world.server("--range", "off", "--view-full", "off")
    put(platform.home, "a", b"S" * (10 * MIB), DATE)
    home = world.mount(platform)
    os.truncate(home / "a", 5 * MIB)
    home.kill()
    home = world.mount(platform)
    settled(home / "a")
    os.truncate(home / "a", 8 * MIB)
    wanted = b"S" * (5 * MIB) + bytes(3 * MIB)
    assert (home / "a").read_bytes() == wanted
    settled(home / "a")
    assert (platform.home / "a").read_bytes() == wanted


def test_cut_here_and_longer_there(world):
    """What was cut and uploaded is GSS's again: what is added there comes."""
    platform = world.server("--etag", "on")
    put(platform.home, "a", random_bytes(4 * MIB), DATE)
    home = world.mount(platform)
    with opened(home / "a", os.O_RDWR) as fd:
        os.pread(fd, 4 * MIB, 0)
        os.ftruncate(fd, 2 * MIB)
        reader = os.open(home / "a", os.O_RDONLY)
    try:
        settled(home / "a")
        time.sleep(1.2)  # the lease of an open file
        with open(platform.home / "a", "ab") as file:
            file.write(b"G" * (3 * MIB))
        until(lambda: os.fstat(reader).st_size == 5 * MIB)
        before = platform.counters()["rest.GET"]
        content = b"".join(os.pread(reader, MIB, offset * MIB) for offset in range(2, 5))
        assert content == b"G" * (3 * MIB)
        assert platform.counters()["rest.GET"] - before < 10
    finally:
        os.close(reader)


def test_nobody_waits_for_what_is_superseded(world):
    """A download that hangs, of a version before the file has grown, holds no reader of the longer one."""
    platform = world.server("--etag", "on", "--view-full", "off")
    content = random_bytes(16 * MIB)
    put(platform.home, "a", content)
    home = world.mount(platform)
    os.stat(home / "a")
    platform.fault(method="GET", path="*/a", hold="during", times=1)
    with opened(home / "a") as fd:
        os.pread(fd, 4096, 0)
        platform.wait("held")
        time.sleep(0.5)  # until what was sent before it was held has been taken in
        with open(platform.home / "a", "ab") as file:
            file.write(b"more")
        until(lambda: os.fstat(fd).st_size == 16 * MIB + 4)
        began = time.monotonic()
        assert (home / "a").read_bytes() == content + b"more"
        assert time.monotonic() - began < 15 * SLOW
    platform.control("/release")


def test_shorter_before_anything_was_read(world):
    platform = world.server("--etag", "on", "--view-full", "off")
    put(platform.home, "a", b"A" * (2 * MIB))
    home = world.mount(platform)
    os.stat(home / "a")
    with opened(home / "a") as fd:
        put(platform.home, "a", b"B" * 1000)
        assert os.pread(fd, 4096, MIB) in (b"", b"B" * 1000)
        assert os.pread(fd, 4096, 0) == b"B" * 1000


@pytest.mark.parametrize("size", [50, 200, 5000])
def test_opened_anew_while_somebody_has_it_open(home, platform, size):
    """Whoever opens another version reads that: not as far as the old one went, and no zeros behind its end."""
    names = [f"f{i}" for i in range(20)]
    for name in names:
        put(platform.home, name, b"a" * 100 if size < 5000 else b"a" * 8192)
    until(lambda: (home / names[-1]).exists())
    with contextlib.ExitStack() as stack:
        for i, name in enumerate(names):
            held = stack.enter_context(opened(home / name))
            if i % 2:
                os.pread(held, 8192, 0)
        time.sleep(1.2)  # the lease of an open file
        for name in names:
            put(platform.home, name, b"b" * size)
        for name in names:
            with opened(home / name) as fd:
                assert os.pread(fd, 8192, 0) == b"b" * size, name
                assert os.fstat(fd).st_size == size


@pytest.mark.parametrize("size", [100, 100_000, MIB, 2 * MIB])
def test_read_in_part_when_others_read_the_new_one(world, size):
    """The kernel has one set of pages for all: who has begun with the old version gets none of the new one's."""
    platform = world.server("--etag", "on", "--view-full", "off")
    put(platform.home, "a", b"a" * MIB)
    home = world.mount(platform)
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(opened(home / "a")) for _ in range(2))
        assert os.read(first, 4096) == os.pread(second, 4096, 8192) == b"a" * 4096
        put(platform.home, "a", b"b" * size)
        time.sleep(1.2)  # the lease of an open file
        with opened(home / "a") as third:
            assert os.fstat(third).st_size == size
            assert os.pread(third, size, 0) == b"b" * size
            for fd, offset in [(first, 4096), (second, 50_000), (second, 600_000), (first, MIB - 4096)]:
                with fails_with(errno.EIO):
                    os.pread(fd, 4096, offset)
            with fails_with(errno.EIO):
                while os.read(first, 65536):
                    pass
        assert (home / "a").read_bytes() == b"b" * size
    assert (home / "a").read_bytes() == b"b" * size
    before = platform.counters()["rest.GET"]
    assert (home / "a").read_bytes() == b"b" * size
    assert platform.counters()["rest.GET"] == before


def test_written_anew_while_the_old_one_is_read(world):
    platform = world.server("--etag", "on", "--view-full", "off")
    put(platform.home, "a", b"a" * MIB)
    home = world.mount(platform)
    with opened(home / "a") as reader:
        assert os.pread(reader, 4096, 0) == b"a" * 4096
        put(platform.home, "a", b"b" * MIB)
        time.sleep(1.2)  # the lease of an open file
        with opened(home / "a", os.O_RDWR) as writer:
            assert os.pread(writer, MIB, 0) == b"b" * MIB
            os.pwrite(writer, b"c" * 10, 500_000)
            os.ftruncate(writer, MIB + 10)
            assert os.pread(writer, 30, 499_990) == b"b" * 10 + b"c" * 10 + b"b" * 10
            with fails_with(errno.EIO):
                os.pread(reader, 4096, 500_000)
            os.pwrite(writer, b"d", 0)
    wanted = b"d" + b"b" * 499_999 + b"c" * 10 + b"b" * (MIB - 500_010) + bytes(10)
    assert (home / "a").read_bytes() == wanted
    settled(home / "a")
    assert (platform.home / "a").read_bytes() == wanted


@pytest.mark.parametrize("ranges", ["on", "off"])
def test_grows_while_its_first_read_waits(world, ranges):
    """Somebody else is told of the new end meanwhile: what comes up to the old one is not followed by zeros."""
    platform = world.server("--view-full", "off", "--range", ranges)
    put(platform.home, "a", b"a" * 5000)
    home = world.mount(platform)
    os.stat(home / "a")
    platform.fault(method="GET", path="*/a", hold="before", times=2)
    reading = Reading(home / "a")
    platform.wait("held")
    with open(platform.home / "a", "ab") as file:
        file.write(b"b" * 200)
    time.sleep(1.2)  # the lease of an open file
    looking = threading.Thread(target=os.stat, args=[home / "a"])
    looking.start()
    platform.wait("held", 2)
    time.sleep(0.3)  # until the kernel has taken what it was told
    platform.control("/release")
    assert reading.wait().content == b"a" * 5000 + b"b" * 200
    looking.join()


def test_grows_while_another_part_is_waited_for(world):
    """The page of the old end goes before the kernel hears of the new one, however long others are read."""
    platform = world.server("--view-full", "off", "--etag", "on")
    size = 3 * MIB + 100
    put(platform.home, "a", b"a" * (size - 1) + b"z")
    home = world.mount(platform)
    with opened(home / "a") as fd:
        assert os.pread(fd, 4096, 3 * MIB) == b"a" * 99 + b"z"
        platform.fault(method="GET", path="*/a", hold="before", times=1)
        platform.fault(method="GET", path="*/a", hold="before", times=10, skip=2)  # two compare what has grown
        waiting = threading.Thread(target=os.pread, args=[fd, 4096, MIB])
        waiting.start()
        platform.wait("held")
        with open(platform.home / "a", "ab") as file:
            file.write(b"b" * 200)
        time.sleep(1.2)  # the lease of an open file
        looking = threading.Thread(target=os.stat, args=[home / "a"])
        looking.start()
        platform.wait("held", 2)
        time.sleep(0.3)  # until the kernel has taken what it was told
        assert os.pread(fd, 200, size - 100) in (b"a" * 99 + b"z", b"a" * 99 + b"z" + b"b" * 100)
        platform.control("/release")
        waiting.join()
        looking.join()
        assert os.pread(fd, 4096, 3 * MIB) == b"a" * 99 + b"z" + b"b" * 200


@pytest.mark.parametrize("validators", ["on", "off"])
@pytest.mark.parametrize("closes", [False, True])
def test_rewritten_in_place_and_longer(world, closes, validators):
    """What came of the new version is its own end, and its beginning may be the old one's: that is no growth."""
    platform = world.server("--view-full", "off", "--last-modified", validators)
    head = random_bytes(4096, 9)
    old, new = head + random_bytes(4 * MIB, 1), head + random_bytes(7 * MIB, 2)
    put(platform.home, "a", old, DATE)
    home = world.mount(platform)
    os.stat(home / "a")
    platform.set(bandwidth=2_000_000)
    content = b""
    with open(home / "a", "rb", buffering=0) as file:
        while len(content) < MIB:
            content += file.read(65536)
        with open(platform.home / "a", "r+b") as there:
            there.write(new)
        try:
            while len(content) < 2 * MIB:
                content += file.read(65536)
            platform.set(bandwidth=0)
            while not closes and (piece := file.read(65536)):
                content += piece
        except OSError as error:
            assert error.errno == errno.EIO
            content = None
    platform.set(bandwidth=0)
    assert closes or content in (None, old, new)
    with contextlib.suppress(OSError):  # the lease of the old one
        assert (home / "a").read_bytes() in (old, new)
    until(lambda: (home / "a").read_bytes() == new)


@pytest.mark.parametrize("ranges", ["on", "off"])
def test_a_log_that_comes_slowly_and_grows(world, ranges):
    platform = world.server("--range", ranges, "--view-full", "off", "--bandwidth", str(2 * MIB))
    put(platform.home, "log", random_bytes(2 * MIB))
    home = world.mount(platform)
    os.stat(home / "log")
    with open(home / "log", "rb", buffering=0) as file, open(platform.home / "log", "ab", buffering=0) as log:
        content = b""
        while piece := file.read(65536):
            content += piece
            if len(content) < 2 * MIB:
                log.write(random_bytes(1000, len(content)))
    assert len(content) >= 2 * MIB and content == (platform.home / "log").read_bytes()[:len(content)]
    until(lambda: (home / "log").read_bytes() == (platform.home / "log").read_bytes())
