"""A cache that is full: writers are slowed to what uploads free, or fail; nothing partial reaches the platform."""

import concurrent.futures
import contextlib
import errno
import hashlib
import mmap
import os
import resource
import signal
import sqlite3
import subprocess
import threading

import pytest

from world import attribute, digest, fails_with, random_bytes, state, until

MIB = 1 << 20
FILE = 16 * MIB
WRITERS = 4
FILES = 16  # of each writer: 1 GiB in all


@pytest.fixture
def small_disk(world):
    """A file system of 64 MiB for the cache: ext4 in a file where there are loop devices, or else a tmpfs."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system of its own; test_writers_of_1_gib covers the limit")
    folder = world.path / "cache"
    folder.mkdir()
    image = world.path / "disk"
    with open(image, "wb") as file:
        file.truncate(64 * MIB)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=False, capture_output=True).returncode == 0
    looped = made and subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False,
                                     capture_output=True).returncode == 0
    if not looped:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        for mount in world.mounts:
            mount.end()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def block(writer, number):
    return random_bytes(MIB, seed=writer * 1000 + number)


def write_files(home, writer):
    """As many files as get through. {name: SHA-256, or None of one that failed}"""
    written = {}
    for number in range(FILES):
        name, piece = f"w{writer}-{number}", block(writer, number)
        sha = hashlib.sha256()
        try:
            with open(home / name, "wb", buffering=0) as file:
                for _ in range(FILE // MIB):
                    assert file.write(piece) == MIB
                    sha.update(piece)
            written[name] = sha.hexdigest()
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            written[name] = None
    return written


class Watch(threading.Thread):
    """Looks at what is on the platform while it is filled."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.over = threading.Event()
        self.partial = set()

    def run(self):
        while not self.over.wait(0.05):
            for path in self.folder.iterdir():
                if path.name.startswith("w") and path.stat().st_size != FILE:
                    self.partial.add((path.name, path.stat().st_size))


def check_journal(cache):
    [journal] = cache.glob("*/journal.sqlite")
    with contextlib.closing(sqlite3.connect(journal)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not list(journal.parent.glob("quarantine/*"))


def write_1_gib(world, platform, home):
    watch = Watch(platform.home)
    watch.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            results = list(pool.map(lambda w: write_files(home, w), range(WRITERS)))
        written = {name: sha for result in results for name, sha in result.items()}
        whole = {name: sha for name, sha in written.items() if sha}
        assert len(written) == WRITERS * FILES
        # They were slowed, not turned away.
        assert len(whole) > len(written) // 2
        until(lambda: all(state(home / name) == "clean" for name in whole), "the uploads", timeout=60)
    finally:
        watch.over.set()
        watch.join()
    assert not watch.partial
    for name in written:
        if name not in whole:
            assert state(home / name) == "failed"
            os.unlink(home / name)
    # Larger than all there is: an error, and no half of it on the platform.
    with fails_with(errno.ENOSPC), open(home / "huge", "wb", buffering=0) as file:
        for _ in range(80):
            file.write(bytes(MIB))
    assert state(home / "huge") == "failed"
    assert "lost" in attribute(home / "huge", "error")
    # Room for the rest: it can be removed, and the next fits.
    os.unlink(home / "huge")
    (home / "after").write_bytes(block(9, 9) * 8)
    assert home.unmount() == 0
    assert {p.name: digest(p) for p in platform.home.iterdir()} == whole | {
        "after": hashlib.sha256(block(9, 9) * 8).hexdigest()}
    check_journal(world.path / "cache")
    again = world.mount(platform, "it4i_anselm://home", "cache_size=64M")
    assert (again / "after").read_bytes() == block(9, 9) * 8
    assert state(again / "after") == "clean"
    assert again.unmount() == 0
    check_journal(world.path / "cache")
    assert "damaged" not in again.text() and "quarantine" not in again.text()


@pytest.mark.slow
def test_writers_of_1_gib_on_a_small_disk(world, platform, small_disk):
    write_1_gib(world, platform, world.mount(platform, "it4i_anselm://home", "cache_size=1G"))


@pytest.mark.slow
def test_writers_of_1_gib(world, platform):
    write_1_gib(world, platform, world.mount(platform, "it4i_anselm://home", "cache_size=64M"))


def fill(folder):
    """Another program takes the rest of the disk, to the last byte."""
    path = folder / "another-program"
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(folder).f_bavail == 0
    return path


def test_a_mount_on_a_full_disk(world, platform, small_disk):
    """After a crash there is something to be recovered, and journaled: there is room kept for that."""
    home = world.mount(platform)
    platform.fault(method="POST", path="/refissh*", hold="before", times=1000)
    (home / "done").write_bytes(b"closed" * 1000)
    torn = os.open(home / "torn", os.O_CREAT | os.O_WRONLY)
    os.write(torn, b"never closed" * 1000)
    home.kill()
    with contextlib.suppress(OSError):
        os.close(torn)
    program = fill(small_disk)
    platform.control("/reset")
    platform.control("/release")
    home = world.mount(platform)
    until(lambda: state(home / "done") == "clean")
    assert (platform.home / "done").read_bytes() == b"closed" * 1000
    assert state(home / "torn") == "failed"
    [journal] = small_disk.glob("*/journal.sqlite")
    assert not journal.with_name("ballast").exists()
    program.unlink()
    until(journal.with_name("ballast").exists, "room that is kept again")
    (home / "torn").write_bytes(b"anew")
    until(lambda: state(home / "torn") == "clean")
    assert home.unmount() == 0


def test_a_file_larger_than_the_disk_is_read(world, platform, small_disk):
    sha = hashlib.sha256()
    with open(platform.home / "f", "wb") as file:
        for i in range(200):
            file.write(random_bytes(MIB, seed=i))
            sha.update(random_bytes(MIB, seed=i))
    home = world.mount(platform)
    assert digest(home / "f") == sha.hexdigest()
    assert "full" not in home.text()


def held(platform):
    platform.fault(method="POST", path="/refissh*", hold="before")


def full(world, platform):
    """A mount whose cache is full of what is being sent, and that does not come to an end."""
    home = world.mount(platform, "it4i_anselm://home", "cache_size=8M")
    held(platform)
    (home / "sent").write_bytes(random_bytes(7 * MIB))
    platform.wait("held")
    return home


def writer(path):
    return subprocess.Popen(["dd", "if=/dev/zero", f"of={path}", "bs=1M", "count=4", "status=none"],
                            stderr=subprocess.PIPE)


def test_a_waiting_writer_stops_nobody_else_and_can_be_killed(world, platform):
    (platform.home / "seen").write_text("before")
    home = full(world, platform)
    waiting = [writer(home / f"waits{i}") for i in range(12)]  # more than there are threads
    until(lambda: "writers wait" in home.text())
    (home / "folder").mkdir()
    assert (home / "seen").read_text() == "before"
    assert "waits1" in os.listdir(home.path)
    waiting[0].send_signal(signal.SIGTERM)
    assert waiting[0].wait(20) == -signal.SIGTERM
    platform.control("/release")
    for process in waiting[1:]:
        assert process.wait(60) == 0
    # What the killed one left is not whole.
    until(lambda: state(home / "waits0") == "failed")
    os.unlink(home / "waits0")
    assert home.unmount() == 0
    assert {p.name for p in platform.home.iterdir()} == {
        "seen", "sent", "folder", *(f"waits{i}" for i in range(1, 12))}
    assert all((platform.home / f"waits{i}").stat().st_size == 4 * MIB for i in range(1, 12))


def test_statfs_tells_what_can_be_written(world, platform):
    home = full(world, platform)
    space = os.statvfs(home.path)
    assert space.f_blocks * space.f_frsize == 8 * MIB
    assert space.f_bavail * space.f_frsize <= MIB
    platform.control("/release")
    until(lambda: os.statvfs(home.path).f_bavail * space.f_frsize == 8 * MIB)


def test_files_that_are_too_large_for_the_daemon(world):
    """`ulimit -f` where it was mounted: a write fails, and nobody is killed."""
    platform = world.server()
    home = world.mount(platform)
    resource.prlimit(home.pid, resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))
    fd = os.open(home / "large", os.O_WRONLY | os.O_CREAT)
    for _ in range(8):
        assert os.write(fd, b"x" * MIB) == MIB
    with fails_with(errno.EFBIG):
        os.write(fd, b"x" * MIB)
    with fails_with(errno.EFBIG):
        os.close(fd)
    (home / "small").write_bytes(b"content")
    until(lambda: (platform.home / "small").exists())
    assert not (platform.home / "large").exists()


def test_a_mapping_of_which_a_part_is_lost(world):
    """The kernel takes a short write of mapped pages for a whole one."""
    platform = world.server()
    home = world.mount(platform)
    fd = os.open(home / "mapped", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, MIB)
    resource.prlimit(home.pid, resource.RLIMIT_FSIZE, (MIB // 2, MIB // 2))
    with mmap.mmap(fd, MIB) as mapping:
        mapping[:] = b"x" * MIB
        with contextlib.suppress(OSError):
            mapping.flush()
    with contextlib.suppress(OSError):
        os.close(fd)
    until(lambda: state(home / "mapped") in ("failed", "clean"))
    assert state(home / "mapped") == "failed"
    assert not (platform.home / "mapped").exists()
