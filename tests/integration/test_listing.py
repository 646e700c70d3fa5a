"""What a listing costs: questions about sizes, asked ahead, together, and once."""

import os

from world import until


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
    assert after["rest.GET"] == 1
    assert after.get("gss.getResourceInformation", 0) == 0, "descriptions come with the listing"
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
