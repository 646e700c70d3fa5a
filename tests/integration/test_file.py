"""What open, read and write promise of a single file, whatever is going on behind."""

import concurrent.futures
import contextlib
import errno
import fcntl
import mmap
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from world import CONTROL, SLOW, digest, fails_with, random_bytes, settled, state, until

MIB = 1 << 20


@contextlib.contextmanager
def opened(path, flags):
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def test_o_excl(home, platform):
    fd = os.open(home / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(fd)
    with fails_with(errno.EEXIST):
        os.open(home / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    (platform.home / "made elsewhere").write_text("x")
    until(lambda: "made elsewhere" in os.listdir(home.path), timeout=30)
    with fails_with(errno.EEXIST):
        os.open(home / "made elsewhere", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert (home / "made elsewhere").read_text() == "x"


def test_o_excl_has_one_winner(home):
    def create(_):
        try:
            os.close(os.open(home / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            return 1
        except FileExistsError:
            return 0

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_append(home, platform):
    (home / "log").write_text("one\n")
    settled(home / "log")
    with open(home / "log", "a") as first, open(home / "log", "a") as second:
        first.write("two\n")
        first.flush()
        second.write("three\n")
        second.flush()
        first.write("four\n")
    settled(home / "log")
    assert (platform.home / "log").read_text() == "one\ntwo\nthree\nfour\n"


def test_appending_to_what_was_never_read(mount, platform):
    data = random_bytes(300_000)
    (platform.home / "log").write_bytes(data)
    home = mount()
    with open(home / "log", "ab") as file:
        file.write(b"more")
    assert home.unmount() == 0
    assert (platform.home / "log").read_bytes() == data + b"more"


@pytest.mark.parametrize("holder", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_APPEND])
def test_appending_to_what_has_grown(home, platform, holder):
    """The end is where GSS has it, whatever the kernel knows of that."""
    (platform.home / "log").write_bytes(b"a" * 100)
    until(lambda: (home / "log").exists())
    with opened(home / "log", holder) as held:
        time.sleep(1.2)  # the lease of an open file
        with open(platform.home / "log", "ab") as file:
            file.write(b"b" * 100)
        with open(home / "log", "ab", buffering=0) as file:  # asks, and learns it
            os.write(held if holder & os.O_APPEND else file.fileno(), b"c" * 10)
            until(lambda: (home / "log").read_bytes() == b"a" * 100 + b"b" * 100 + b"c" * 10)
    settled(home / "log")
    assert (platform.home / "log").read_bytes() == b"a" * 100 + b"b" * 100 + b"c" * 10


def test_mapped_by_one_and_appended_to_by_another(home, platform):
    """The kernel sends what was mapped through any handle; it stays at its place."""
    (home / "f").write_bytes(b"a" * 8192)
    with opened(home / "f", os.O_WRONLY | os.O_APPEND) as log, opened(home / "f", os.O_RDWR) as fd:
        with mmap.mmap(fd, 8192) as mapped:
            mapped[:3] = b"top"
            os.write(log, b"end")
            mapped.flush()
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"top" + b"a" * 8189 + b"end"


def test_writing_into_the_middle_of_what_was_never_read(mount, platform):
    data = bytearray(random_bytes(2 * MIB))
    (platform.home / "f").write_bytes(data)
    home = mount()
    with open(home / "f", "r+b") as file:
        file.seek(MIB - 3)
        file.write(b"abcdef")
        data[MIB - 3:MIB + 3] = b"abcdef"
        file.seek(0)
        assert file.read() == data
    assert home.unmount() == 0
    assert (platform.home / "f").read_bytes() == data


def test_opened_twice(home, platform):
    with open(home / "f", "w+b", buffering=0) as one, open(home / "f", "r+b", buffering=0) as two:
        one.write(b"aaaa")
        assert two.read() == b"aaaa"
        two.write(b"bb")
        assert os.pread(one.fileno(), 10, 0) == b"aaaabb"
        # It is not sent while somebody writes.
        assert state(home / "f") == "dirty"
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"aaaabb"


def test_mmap_reads(mount, platform):
    data = random_bytes(MIB + 17)
    (platform.home / "f").write_bytes(data)
    home = mount()
    with open(home / "f", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        assert memory[:] == data


def test_mmap_writes(home, platform):
    (home / "f").write_bytes(bytes(10_000))
    with open(home / "f", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[5000:5005] = b"hello"
        memory.flush()
    settled(home / "f")
    want = bytes(5000) + b"hello" + bytes(4995)
    assert (home / "f").read_bytes() == want
    assert (platform.home / "f").read_bytes() == want


def test_unlink_while_open(home, platform):
    with open(home / "f", "w+b", buffering=0) as file:
        file.write(b"before")
        os.unlink(home / "f")
        assert not (home / "f").exists()
        file.write(b" after")
        file.seek(0)
        assert file.read() == b"before after"
        # A new one of that name is another file.
        (home / "f").write_bytes(b"new")
        assert os.fstat(file.fileno()).st_ino != (home / "f").stat().st_ino
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"new"
    os.unlink(home / "f")
    assert home.unmount() == 0
    assert list(platform.home.iterdir()) == []


def test_unlink_of_a_published_file_while_it_is_read(mount, platform):
    data = random_bytes(4 * MIB)
    (platform.home / "f").write_bytes(data)
    home = mount()
    with open(home / "f", "rb") as file:
        assert file.read(1000) == data[:1000]
        os.unlink(home / "f")
        assert not (home / "f").exists()
        assert file.read() == data[1000:]
    until(lambda: not (platform.home / "f").exists())


def test_unlink_while_it_is_being_sent(home, platform):
    platform.set(bandwidth=MIB // 4)
    (home / "f").write_bytes(random_bytes(2 * MIB))
    until(lambda: state(home / "f") == "uploading")
    os.unlink(home / "f")
    platform.set(bandwidth=0)
    assert home.unmount() == 0
    assert list(platform.home.iterdir()) == []


def test_writing_while_it_is_being_sent(home, platform):
    """No mixture of two versions ever arrives, and the last one does."""
    platform.set(bandwidth=MIB)
    versions = [bytes([65 + i]) * (2 * MIB) for i in range(5)]
    for version in versions:
        with open(home / "f", "r+b" if version[0] > 65 else "wb") as file:
            file.write(version)
        until(lambda: state(home / "f") == "uploading")
        if (platform.home / "f").exists():
            assert (platform.home / "f").read_bytes() in versions
    platform.set(bandwidth=0)
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == versions[-1]


def test_sparse(home, mount, platform):
    with open(home / "f", "wb") as file:
        file.seek(3 * MIB)
        file.write(b"end")
    assert (home / "f").stat().st_size == 3 * MIB + 3
    want = bytes(3 * MIB) + b"end"
    assert (home / "f").read_bytes() == want
    assert home.unmount() == 0
    assert (platform.home / "f").read_bytes() == want


def test_no_holes_are_shown_that_are_not_there(mount, platform):
    """What has not been fetched yet is no hole: cp --sparse and tar -S would lose it."""
    data = random_bytes(MIB)
    (platform.home / "f").write_bytes(data)
    home = mount()
    with open(home / "f", "rb") as file:
        assert os.fstat(file.fileno()).st_blocks == MIB // 512
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == MIB
        assert os.lseek(file.fileno(), 5, os.SEEK_DATA) == 5


def test_reading_past_the_end(home):
    (home / "f").write_bytes(b"12345")
    with open(home / "f", "rb") as file:
        assert os.pread(file.fileno(), 100, 3) == b"45"
        assert os.pread(file.fileno(), 100, 5) == b""
        assert os.pread(file.fileno(), 100, 1 << 40) == b""


def test_locks_are_local_but_there(home):
    (home / "f").touch()
    with open(home / "f", "r+b") as one, open(home / "f", "r+b") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with fails_with(errno.EAGAIN):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_inode_stays(home):
    (home / "f").write_text("x")
    inode = (home / "f").stat().st_ino
    settled(home / "f")
    (home / "f").write_text("y")
    os.rename(home / "f", home / "g")
    assert (home / "g").stat().st_ino == inode


def test_many_writers_of_many_files(home, platform):
    def work(number):
        path = home / f"file-{number}"
        for turn in range(5):
            path.write_bytes(random_bytes(50_000, seed=number * 10 + turn))
            assert path.read_bytes() == random_bytes(50_000, seed=number * 10 + turn)
        return path

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(work, range(24)))
    for number, path in enumerate(paths):
        settled(path)
        assert (platform.home / path.name).read_bytes() == random_bytes(50_000, seed=number * 10 + 4)


def test_one_stuck_transfer_stops_nobody_else(home, platform):
    (platform.home / "stuck").write_bytes(random_bytes(MIB))
    until(lambda: (home / "stuck").exists(), timeout=30)
    platform.fault(method="GET", path="*/stuck", hold="before", times=100)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        reader = pool.submit(digest, home / "stuck")
        platform.wait("held", 1)
        (home / "other").write_bytes(b"other")
        settled(home / "other")
        assert (home / "other").read_bytes() == b"other"
        assert set(os.listdir(home.path)) == {"stuck", "other", *CONTROL}
        assert not reader.done()
        platform.control("/reset")
        platform.control("/release")
        assert reader.result(30) == digest(platform.home / "stuck")


def test_reading_can_be_interrupted(home, platform, world):
    (platform.home / "stuck").write_bytes(random_bytes(MIB))
    until(lambda: (home / "stuck").exists(), timeout=30)
    platform.fault(method="GET", path="*/stuck", hold="before", times=100)
    with subprocess.Popen(["cat", home / "stuck"], stdout=subprocess.DEVNULL) as cat:
        platform.wait("held", 1)
        cat.send_signal(signal.SIGINT)
        assert cat.wait(10) == -signal.SIGINT
    platform.control("/reset")
    platform.control("/release")


# A program with a timer, as git draws its progress; libc's own open() and read() tell of EINTR.
TICKING = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
fd = libc.open(os.fsencode(sys.argv[1]), os.O_RDONLY)
if fd < 0:
    sys.exit("open: " + os.strerror(ctypes.get_errno()))
buffer = ctypes.create_string_buffer(100)
if libc.read(fd, buffer, 100) < 0:
    sys.exit("read: " + os.strerror(ctypes.get_errno()))
signal.setitimer(signal.ITIMER_REAL, 0)  # Python gives SIGALRM back to the system before it ends
"""


def pending(process, number):
    """A signal is pending for a process, which waits and does not take it."""
    with open(f"/proc/{process.pid}/status") as status:
        masks = re.findall(r"(?:Sig|Shd)Pnd:\s+(\w+)", status.read())
    return any(int(mask, 16) & 1 << (number - 1) for mask in masks)


@contextlib.contextmanager
def ticking_reader(mount, platform, method):
    """A ticking program whose open() (HEAD) or read() (GET) waits for the service, its timer pending."""
    (platform.home / "stuck").write_bytes(random_bytes(MIB))
    home = mount()
    platform.fault(method=method, path="*/stuck", hold="before", times=100)
    with subprocess.Popen([sys.executable, "-c", TICKING, home / "stuck"], stderr=subprocess.PIPE) as process:
        platform.wait("held", 1)
        until(lambda: pending(process, signal.SIGALRM))
        try:
            yield process
        finally:
            platform.control("/reset")
            platform.control("/release")
            process.kill()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_timer_of_the_program_ends_no_wait(mount, platform, method):
    with ticking_reader(mount, platform, method) as process:
        platform.control("/reset")
        platform.control("/release")
        assert process.wait(30 * SLOW) == 0, process.stderr.read()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_wait_that_a_timer_did_not_end_can_still_be_ended(mount, platform, end):
    with ticking_reader(mount, platform, "GET") as process:
        process.send_signal(end)
        # And not by the end of the wait itself.
        assert process.wait(30 * SLOW) == -end or b"Interrupted" in process.stderr.read()


@pytest.mark.parametrize("where", ["before", "during", "after"])
def test_a_download_that_breaks_is_taken_up_again(mount, platform, where):
    data = random_bytes(4 * MIB)
    (platform.home / "f").write_bytes(data)
    home = mount()
    assert (home / "f").stat().st_size == len(data)
    platform.fault(method="GET", path="*/f", cut=where, times=2)
    assert (home / "f").read_bytes() == data
