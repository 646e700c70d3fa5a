"""Everything the protocol leaves open: whatever variant the platform is, the same bytes come and go."""

import errno
import os

import pytest

from world import attribute, digest, fails_with, images, random_bytes, settled, until

MIB = 1 << 20


def round_trip(world, server, source="it4i_anselm://home"):
    """Creates, updates, reads cold, lists and removes."""
    first = world.mount(server, source, at="mnt")
    contents = {"a": b"FILE", "empty": b"", "four": b"1234", "some name %20 ü": random_bytes(70_000),
                "large": random_bytes(3 * MIB)}
    (first / "folder").mkdir()
    for name, data in contents.items():
        (first / name).write_bytes(b"old")
        (first / name).write_bytes(data)
        (first / "folder" / name).write_bytes(data)
    for name in contents:
        settled(first / name)
    (first / "a").write_bytes(b"updated, and longer")
    contents["a"] = b"updated, and longer"
    (first / "folder" / "a").unlink()
    assert first.unmount() == 0

    second = world.mount(server, source, cache="second", at="mnt")
    for name, data in contents.items():
        assert (second / name).stat().st_size == len(data), name
        assert (second / name).read_bytes() == data, name
        if name != "a":
            assert (second / "folder" / name).read_bytes() == data, name
    with open(second / "large", "rb") as file:
        file.seek(2 * MIB)
        assert file.read(100) == contents["large"][2 * MIB:2 * MIB + 100]
    assert set(os.listdir(second / "folder")) == set(contents) - {"a"}
    world.run("rm", "-r", second / "folder")
    assert second.unmount() == 0


@pytest.mark.parametrize("switches", [
    {"head": "word"},
    {"head": "word", "range": "off"},
    {"head": "word", "last_modified": "off"},
    {"range": "off"},
    {"urls": "raw"},
    {"token_field": "header"},
    {"token_field": "none"},
    {"extra_header": "on"},
    {"internal_host": "on"},
    {"last_modified": "off", "view_full": "off"},
    {"etag": "on", "conditional": "on"},
    {"etag": "on", "conditional": "on", "head": "word"},
    {"view_full": "off"},
], ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()))
def test_variants(world, platform, switches):
    platform.set(**switches)
    round_trip(world, platform)


@pytest.mark.parametrize("header", ["on", "off"])
@pytest.mark.parametrize("head", ["size", "word"])
def test_opaque_storage(world, platform, header, head):
    """plm://: the URI says nothing about the place."""
    platform.set(filename_header=header, head=head)
    round_trip(world, platform, "plm://demo/model/1")
    served = platform.root / "plm" / "demo" / "model"
    assert (served / "a").read_bytes() == b"updated, and longer"
    assert not (served / "folder").exists()


def test_uris_of_opaque_storage(mount, platform):
    root = mount("plm://demo/model/1")
    (root / "d").mkdir()
    (root / "d" / "f").write_text("x")
    settled(root / "d" / "f")
    for path in (root / "d", root / "d" / "f"):
        uri = attribute(path, "uri")
        assert uri.startswith("plm://demo/model/") and uri.rsplit("/", 1)[1].isdigit(), uri
    os.rename(root / "d" / "f", root / "g")
    assert (root / "g").read_text() == "x"
    with fails_with(errno.ENOTEMPTY):
        (root / "d" / "h").touch()
        (root / "d").rmdir()
    os.unlink(root / "d" / "h")
    (root / "d").rmdir()
    # No cluster has its images there.
    with fails_with(errno.ENOTSUP, errno.EINVAL):
        (root / "g.simg").touch()
        fd = os.open(root / ".register", os.O_WRONLY)
        try:
            os.write(fd, b"g.simg\n")
        finally:
            os.close(fd)
    assert root.unmount() == 0
    served = platform.root / "plm" / "demo" / "model"
    assert sorted(p.name for p in served.iterdir()) == ["g", "g.simg"]


@pytest.mark.parametrize("error_rate, cut_rate", [(20, 0), (0, 15), (10, 10)])
def test_a_platform_that_often_fails(world, platform, error_rate, cut_rate):
    """What was written arrives, and nothing else."""
    home = world.mount(platform)
    platform.set(error_rate=error_rate, cut_rate=cut_rate)
    contents = {f"file {i}": random_bytes(60_000 + i, seed=i) for i in range(12)}
    for name, data in contents.items():
        until(lambda n=name, d=data: (home / n).write_bytes(d) or True, "a name that can be created")
    for name in contents:
        until(lambda n=name: os.getxattr(home / n, "user.gss.state") == b"clean", f"the upload of {name}", 60)
    platform.set(error_rate=0, cut_rate=0)
    for name, data in contents.items():
        assert (platform.home / name).read_bytes() == data
    assert len(list(platform.home.iterdir())) == len(contents)


def test_tokens_that_die_are_renewed(home, platform):
    (platform.home / "big").write_bytes(random_bytes(4 * MIB))
    (home / "a").write_text("1")
    settled(home / "a")
    assert "big" in os.listdir(home.path) or until(lambda: "big" in os.listdir(home.path), timeout=30)
    platform.control("/revoke")
    assert digest(home / "big") == digest(platform.home / "big")
    platform.control("/revoke")
    (home / "b").write_text("2")
    settled(home / "b")
    platform.control("/revoke")
    (home / "d").mkdir()
    (home / "a").unlink()
    platform.control("/revoke")
    (home / "b").rename(home / "c.simg")
    (home / ".register").write_text("c.simg\n")
    platform.control("/revoke")
    (home / ".register").write_text("c.simg other.simg\n")
    assert home.unmount() == 0
    assert sorted(p.name for p in platform.home.iterdir()) == ["big", "c.simg", "d"]
    assert (platform.home / "c.simg").read_text() == "2"


def test_images_of_a_renewed_session(home, platform):
    (home / "c.simg").write_text("2")
    settled(home / "c.simg")
    platform.control("/revoke")
    (home / ".register").write_text("c.simg\n")
    # Our own client's token is dead as well: look behind.
    assert [p.name for p in platform.registered.iterdir()] == ["c.simg"]


def test_tokens_of_a_short_life(world):
    server = world.server("--token-life", "1")
    home = world.mount(server)
    for i in range(8):
        (home / f"f{i}").write_text(str(i))
        until(lambda: (server.home / f"f{i}").exists())
        settled(home / f"f{i}")
        server.control("/revoke")
    assert server.counters()["auth.getSessionToken"] < 40


def test_latency_is_hidden_where_it_can_be(home, platform, world):
    """500 ms a request: names already known cost nothing."""
    for i in range(20):
        (home / f"f{i}").write_text("x")
    for i in range(20):
        settled(home / f"f{i}")
    os.listdir(home.path)
    before = platform.counters()["requests"]
    platform.set(latency=500)
    for i in range(20):
        assert (home / f"f{i}").read_text() == "x"
    assert platform.counters()["requests"] - before <= 60
    platform.set(latency=0)


def test_both_clusters(world, platform):
    anselm = world.mount(platform, "it4i_anselm://home", at="anselm")
    (anselm / "a.simg").write_text("x")
    (anselm / ".register").write_text("a.simg\n")
    assert (images(platform, "anselm"), images(platform, "salomon")) == ({"a.simg": 1}, {})
