"""Copying files in and out: every byte, every name, every size."""

import errno
import os
import subprocess

import pytest

from world import AWKWARD, CONTROL, SANITIZE, fails_with, digest, random_bytes, settled, state, until

MIB = 1 << 20
# The big image; 1024 in a full run.
BIG_MIB = int(os.environ.get("GSSFS_BIG_MIB", "1024" if SANITIZE == "none" else "128"))


def test_an_image_arrives_bit_for_bit(home, platform, world):
    image = world.path / "waiter.simg"
    image.write_bytes(random_bytes(5 * MIB + 12345))
    world.run("cp", image, home / "waiter.simg")
    assert digest(home / "waiter.simg") == digest(image)
    settled(home / "waiter.simg")
    assert digest(platform.home / "waiter.simg") == digest(image)
    assert home.unmount() == 0


def test_read_back_cold(home, mount, platform, world):
    data = random_bytes(3 * MIB + 7)
    (home / "image").write_bytes(data)
    assert home.unmount() == 0
    assert (platform.home / "image").read_bytes() == data
    again = mount(cache="another")
    assert (again / "image").stat().st_size == len(data)
    assert (again / "image").read_bytes() == data
    # And once more from the cache, without the platform.
    before = platform.counters().get("bytes.sent", 0)
    assert (again / "image").read_bytes() == data
    assert platform.counters()["bytes.sent"] - before < MIB


def test_a_big_image(mount, platform, world):
    """GSSFS_BIG_MIB MiB in, and cold out; the daemon does not hold them in memory."""
    source = world.path / "big.simg"
    block = random_bytes(8 * MIB)
    with open(source, "wb") as file:
        for i in range(BIG_MIB // 8):
            file.write(i.to_bytes(8, "little") + block[8:])
    want = digest(source)
    first = mount()
    world.run("cp", source, first / "big.simg", timeout=200)
    settled(first / "big.simg", timeout=100)
    source.unlink()
    peak = first.peak_memory()
    assert first.unmount() == 0
    world.run("rm", "-r", world.path / "cache")
    assert digest(platform.home / "big.simg") == want
    second = mount(cache="cold")
    assert digest(second / "big.simg") == want
    if SANITIZE == "none":
        assert peak < 40 * MIB
        assert second.peak_memory() < 40 * MIB


def test_ten_copies_at_once(home, platform, world):
    sources = []
    for i in range(10):
        source = world.path / f"source-{i}"
        source.write_bytes(random_bytes(2 * MIB + i, seed=i))
        sources.append(source)
    running = [subprocess.Popen(["cp", source, home.path]) for source in sources]
    assert [process.wait(60) for process in running] == [0] * 10
    for source in sources:
        settled(home / source.name)
        assert digest(platform.home / source.name) == digest(source)


def test_500_small_files(home, mount, platform, world):
    folder = world.path / "many"
    folder.mkdir()
    for i in range(500):
        (folder / f"file {i}").write_bytes(random_bytes(i * 7, seed=i))
    world.run("cp", "-r", folder, home.path)
    assert home.unmount() == 0
    served = platform.home / "many"
    assert sorted(p.name for p in served.iterdir()) == sorted(p.name for p in folder.iterdir())
    world.run("diff", "-r", folder, served)
    again = mount(cache="another")
    world.run("diff", "-r", folder, again / "many")


FOLDERS = ["a folder? <&%>", "a\nfolder\t\r\u009b"]


@pytest.mark.parametrize("urls", ["encoded", "raw"])
def test_awkward_names(mount, platform, world, urls):
    platform.set(urls=urls)
    first = mount()
    for number, name in enumerate(AWKWARD):
        (first / name).write_text(f"{number} {name!r}")
    for folder in FOLDERS:
        (first / folder).mkdir()
        (first / folder / "in#it").write_text("inside")
    # An upload, an update, a rename and a removal of each kind of name.
    for name in AWKWARD:
        settled(first / name)
    (first / "what?").write_text("updated")
    os.rename(first / "two\nlines", first / "\tmoved\n")
    os.rename(first / "hash#", first / "hash # moved")
    os.unlink(first / "a&b")
    assert first.unmount() == 0

    expected = {name: f"{number} {name!r}" for number, name in enumerate(AWKWARD)}
    expected["what?"] = "updated"
    expected["\tmoved\n"] = expected.pop("two\nlines")
    expected["hash # moved"] = expected.pop("hash#")
    del expected["a&b"]
    served = {p.name: p.read_text() for p in platform.home.iterdir() if p.is_file()}
    assert served == expected
    assert all((platform.home / folder / "in#it").read_text() == "inside" for folder in FOLDERS)
    second = mount(cache="another")
    assert set(os.listdir(second.path)) == {*expected, *FOLDERS, *CONTROL}
    for name, text in expected.items():
        assert (second / name).read_text() == text
    for folder in FOLDERS:
        assert (second / folder / "in#it").read_text() == "inside"
        world.run("rm", "-r", second / folder)
    assert not [p for p in platform.home.iterdir() if p.is_dir()]


@pytest.mark.parametrize("name", [b"\x01", b"\x1b[31m", b"\xef\xbf\xbe", b"\xff\xfe", b"cut\xc3", b"\xed\xa0\x80",
                                  b"\xc0\xaf"])
def test_names_that_the_platform_cannot_hold(home, platform, name):
    (home / "there").write_text("x")
    settled(home / "there")
    path = os.path.join(os.fsencode(home.path), name)
    before = platform.counters()
    with fails_with(errno.EINVAL):
        os.open(path, os.O_CREAT | os.O_WRONLY)
    with fails_with(errno.EINVAL):
        os.mkdir(path)
    with fails_with(errno.EINVAL):
        os.rename(home / "there", path)
    # Looking for it is no error of ours: it is not there.
    assert not os.path.exists(path)
    assert not [e for e in platform.log() if e["number"] > before["requests"] and e["method"] in ("PUT", "POST")
                and not e["operation"]]
    assert sorted(p.name for p in platform.home.iterdir()) == ["there"]


def test_names_that_are_too_long(home):
    with fails_with(errno.ENAMETOOLONG):
        (home / ("x" * 256)).write_text("x")


def test_empty_files(home, mount, platform):
    (home / "empty").touch()
    (home / "emptied").write_text("something")
    settled(home / "emptied")
    (home / "emptied").write_text("")
    assert home.unmount() == 0
    assert (platform.home / "empty").read_bytes() == b""
    assert (platform.home / "emptied").read_bytes() == b""
    again = mount(cache="another")
    assert (again / "empty").stat().st_size == 0
    assert (again / "empty").read_bytes() == b""


@pytest.mark.parametrize("size", [1, 4, 4095, 4096, 4097, 131072, MIB - 1, MIB, MIB + 1])
def test_sizes_at_the_edges(home, mount, platform, size):
    data = random_bytes(size, seed=size)
    (home / "file").write_bytes(data)
    assert home.unmount() == 0
    assert (platform.home / "file").read_bytes() == data
    again = mount(cache="another")
    assert (again / "file").stat().st_size == size
    assert (again / "file").read_bytes() == data


def test_reading_while_it_is_being_sent(home, platform):
    platform.set(bandwidth=MIB)
    data = random_bytes(2 * MIB)
    (home / "file").write_bytes(data)
    until(lambda: state(home / "file") == "uploading")
    assert (home / "file").read_bytes() == data
    assert state(home / "file") == "uploading"
    platform.set(bandwidth=0)
    settled(home / "file")


def test_reading_the_beginning_does_not_wait_for_the_end(mount, platform):
    data = random_bytes(32 * MIB)
    (platform.home / "file").write_bytes(data)
    platform.set(bandwidth=2 * MIB)
    home = mount()
    with open(home / "file", "rb") as file:
        assert file.read(4096) == data[:4096]
        # At 2 MiB/s the whole takes 16 s: it has not been fetched yet.
        assert platform.counters().get("bytes.sent", 0) < 16 * MIB
        file.seek(-100, os.SEEK_END)
        assert file.read() == data[-100:]
        assert platform.counters()["bytes.sent"] < 24 * MIB
    platform.set(bandwidth=0)
    assert (home / "file").read_bytes() == data


def test_what_a_teammate_uploads_is_seen(home, platform):
    assert "report" not in os.listdir(home.path)
    (platform.home / "report").write_text("made elsewhere")
    until(lambda: "report" in os.listdir(home.path), timeout=30)
    assert (home / "report").read_text() == "made elsewhere"
    (platform.home / "report").write_text("changed elsewhere, and longer")
    until(lambda: (home / "report").read_text() == "changed elsewhere, and longer", timeout=30)
    (platform.home / "report").unlink()
    until(lambda: not (home / "report").exists(), timeout=30)


def test_a_growing_log_can_be_followed(home, platform, world):
    log = platform.home / "job.log"
    log.write_text("line 1\n")
    until(lambda: (home / "job.log").read_text() == "line 1\n", timeout=30)
    with open(world.path / "followed", "wb") as followed, \
            subprocess.Popen(["tail", "-n", "+1", "-f", home / "job.log"], stdout=followed) as tail:
        try:
            until(lambda: (world.path / "followed").read_text() == "line 1\n")
            with open(log, "a") as file:
                file.write("line 2\n")
            until(lambda: (world.path / "followed").read_text() == "line 1\nline 2\n", timeout=30)
        finally:
            tail.kill()
            tail.wait()
