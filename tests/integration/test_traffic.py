"""How many questions a look costs, and how many bytes come for it."""

import os
import random

from world import SANITIZE, until

MIB = 1 << 20


def requests(platform):
    """So far; once nothing is under way."""
    until(lambda: platform.counters().get("requests.now", 0) == 0)
    return platform.counters()["requests"]


def look(folder):
    """`ls -l`"""
    for entry in os.scandir(folder):
        entry.stat()


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def test_a_second_look_asks_nothing(platform, mount):
    (platform.home / "d").mkdir()
    for i in range(1000):
        (platform.home / "d" / f"f{i:04}").write_bytes(b"x" * (100 + i))
    home = mount()
    look(home / "d")
    before = requests(platform)
    assert before < 60  # the view, and a few to prove it
    look(home / "d")
    assert requests(platform) == before


def test_names_without_sizes_are_asked_for_once_each(world):
    platform = world.server("--view-full", "off")
    (platform.home / "d").mkdir()
    for i in range(300):
        (platform.home / "d" / f"f{i:04}").write_bytes(b"x" * (100 + i))
    home = world.mount(platform)
    os.listdir(home / "d")
    before = requests(platform)
    assert before < 40
    look(home / "d")
    assert requests(platform) - before <= 300 + 10


def test_the_first_byte_after_a_listing(platform, mount):
    sparse(platform.home / "large", 1024 * MIB)
    home = mount()
    look(home.path)
    before = platform.counters()["requests"]
    fd = os.open(home / "large", os.O_RDONLY)
    assert os.pread(fd, 1, 0) == b"\0"
    assert platform.counters()["requests"] - before <= 2
    os.close(fd)


def test_random_reads_bring_little(platform, mount):
    sparse(platform.home / "large", 1024 * MIB)
    home = mount()
    look(home.path)
    before = platform.counters()["bytes.sent"]
    chosen = random.Random(7)
    fd = os.open(home / "large", os.O_RDONLY)
    for _ in range(1000):
        assert os.pread(fd, 4096, chosen.randrange(1024 * MIB // 4096) * 4096) == bytes(4096)
    os.close(fd)
    assert platform.counters()["bytes.sent"] - before <= 64 * MIB
    if SANITIZE == "none":
        assert home.peak_memory() <= 40 * MIB
