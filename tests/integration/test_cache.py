"""The cache: its size, and what must never leave it."""

import concurrent.futures
import contextlib
import hashlib
import os
import sqlite3
import threading

import pytest

from world import attribute, digest, random_bytes, settled, state, until

MIB = 1 << 20


def held(world):
    """Bytes of contents in the cache's folder."""
    return sum(p.stat().st_blocks * 512 for p in (world.path / "cache").rglob("blobs/*"))


def test_its_size_is_limited(world, platform):
    """What GSS has too is given up, and fetched again when it is wanted."""
    contents = {f"f{i}": random_bytes(3 * MIB, seed=i) for i in range(8)}
    for name, data in contents.items():
        (platform.home / name).write_bytes(data)
    home = world.mount(platform, "it4i_anselm://home", "cache_size=8M")
    for name, data in contents.items():
        assert (home / name).read_bytes() == data
    until(lambda: held(world) <= 8 * MIB, "eviction")
    for name, data in contents.items():
        assert (home / name).read_bytes() == data
        assert (home / name).stat().st_blocks == 3 * MIB // 512
    until(lambda: held(world) <= 8 * MIB, "eviction")


def test_what_is_not_uploaded_is_never_given_up(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "cache_size=9M")
    platform.fault(method="POST", path="/refissh*", status=503, times=100_000)
    contents = {f"f{i}": random_bytes(2 * MIB, seed=i) for i in range(4)}
    for name, data in contents.items():
        (home / name).write_bytes(data)
    (platform.home / "clean").write_bytes(random_bytes(2 * MIB, seed=99))
    until(lambda: (home / "clean").exists(), timeout=30)
    assert (home / "clean").read_bytes() == random_bytes(2 * MIB, seed=99)
    # The clean one goes, so there was a look at everything.
    until(lambda: held(world) <= 8 * MIB + MIB, "eviction")
    for name, data in contents.items():
        assert (home / name).read_bytes() == data
        assert state(home / name) in ("dirty", "uploading")
    platform.control("/reset")
    for name, data in contents.items():
        settled(home / name, timeout=60)
        assert (platform.home / name).read_bytes() == data


def test_what_is_open_is_not_given_up(world, platform):
    data = random_bytes(4 * MIB)
    (platform.home / "f").write_bytes(data)
    (platform.home / "g").write_bytes(data)
    home = world.mount(platform, "it4i_anselm://home", "cache_size=1M")
    with open(home / "f", "rb") as file:
        assert file.read(MIB) == data[:MIB]
        assert (home / "g").read_bytes() == data
        until(lambda: held(world) <= 5 * MIB, "eviction")
        assert file.read() == data[MIB:]


@contextlib.contextmanager
def watched(world):
    """The most that the cache's folder held meanwhile, in a list."""
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.005):
            with contextlib.suppress(OSError):
                most[0] = max(most[0], held(world))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def put(path, size, seed):
    with open(path, "wb") as file:
        for i in range(size):
            file.write(random_bytes(MIB, seed=seed * 1000 + i))
    return digest(path)


def read_slowly(path):
    sha = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(MIB):
            sha.update(block)
    return sha.hexdigest()


@pytest.mark.parametrize("ranges, size", [("on", 100), ("off", 40)])
def test_what_is_larger_than_the_cache_streams_through_it(world, platform, ranges, size):
    platform.set(range=ranges)
    sha = put(platform.home / "f", size, 1)
    home = world.mount(platform, "it4i_anselm://home", "cache_size=16M")
    with watched(world) as most:
        assert read_slowly(home / "f") == sha
    assert 4 * MIB < most[0] <= 24 * MIB
    until(lambda: held(world) <= 16 * MIB, "eviction")


def test_many_who_read_more_than_the_cache_holds(world, platform):
    sums = {f"f{i}": put(platform.home / f"f{i}", 12, i) for i in range(4)}
    home = world.mount(platform, "it4i_anselm://home", "cache_size=8M")
    names = sorted(sums) * 3
    with watched(world) as most, concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(lambda name: read_slowly(home / name), names)) == [sums[name] for name in names]
    assert most[0] <= 32 * MIB


def test_reading_beside_what_is_pending(world, platform):
    """The cache is full of what cannot go; who reads goes on all the same."""
    sha = put(platform.home / "f", 30, 1)
    home = world.mount(platform, "it4i_anselm://home", "cache_size=8M")
    platform.fault(method="POST", path="/refissh*", status=503, times=100_000)
    pending = random_bytes(7 * MIB)
    (home / "pending").write_bytes(pending)
    with watched(world) as most:
        assert read_slowly(home / "f") == sha
    assert most[0] <= 20 * MIB
    platform.control("/reset")
    settled(home / "pending", timeout=60)
    assert (platform.home / "pending").read_bytes() == pending


def test_no_secret_and_no_description_is_kept(world, home, platform):
    (home / "f").write_text("x")
    settled(home / "f")
    assert home.unmount() == 0
    [journal] = (world.path / "cache").glob("*/journal.sqlite")
    with sqlite3.connect(journal) as database:
        dump = "\n".join(database.iterdump())
    assert "it4i_anselm://home/f" in dump
    for word in ("X-Auth-Token", "refissh", "demo\0", "preset-token"):
        assert word not in dump


def test_a_damaged_journal_is_set_aside(world, platform, mount):
    home = mount()
    (home / "published").write_text("known to the platform")
    settled(home / "published")
    platform.fault(method="POST", path="/refissh*", status=503, times=100_000)
    (home / "pending").write_text("only here")
    home.kill()
    [journal] = (world.path / "cache").glob("*/journal.sqlite")
    for suffix in ("-wal", "-shm"):
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
    journal.write_bytes(random_bytes(100_000))
    again = mount()
    assert "damaged" in again.text()
    assert (again / "published").read_text() == "known to the platform"
    # Its bytes are kept, though nobody knows their name any more.
    quarantine = journal.parent / "quarantine"
    kept = [p.read_bytes() for p in quarantine.rglob("*") if p.is_file()]
    assert b"only here" in kept
    assert random_bytes(100_000) in kept


def test_mounts_at_the_same_place_keep_their_files(mount, platform):
    """Inode numbers, dates and identities survive a remount."""
    first = mount()
    (first / "f").write_text("x")
    settled(first / "f")
    before = (first / "f").stat()
    assert first.unmount() == 0
    second = mount()
    after = (second / "f").stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)
    assert attribute(second / "f", "uri") == "it4i_anselm://home/f"


def test_a_project_and_a_platform_have_caches_of_their_own(world):
    one = world.server("--user", "ann:a:one", "--user", "bob:b:two")
    ann = world.mount(one, login={"CFG_USERNAME": "ann", "CFG_PASSWORD": "a", "CFG_PROJECT": "one"}, at="ann")
    bob = world.mount(one, login={"CFG_USERNAME": "bob", "CFG_PASSWORD": "b", "CFG_PROJECT": "two"}, at="bob")
    (ann / "f").write_text("ann's")
    (bob / "f").write_text("bob's")
    settled(ann / "f")
    settled(bob / "f")
    assert (one.home / "f").read_text() == "ann's"
    assert (one.root / "projects" / "two" / "it4i_anselm" / "home" / "f").read_text() == "bob's"
    assert len(os.listdir(world.path / "cache")) == 2
