"""What stat, chmod, touch, truncate, getfattr and df see and change."""

import errno
import hashlib
import os
import time

import pytest

from world import attribute, digest, fails_with, random_bytes, settled, state, until


def test_stat(home):
    (home / "f").write_bytes(b"12345")
    (home / "d").mkdir()
    file, folder = (home / "f").stat(), (home / "d").stat()
    assert (file.st_mode, folder.st_mode) == (0o100644, 0o040755)
    assert (file.st_size, file.st_blocks, file.st_nlink) == (5, 1, 1)
    assert (file.st_uid, file.st_gid) == (os.getuid(), os.getgid()) == (folder.st_uid, folder.st_gid)
    assert abs(file.st_mtime - time.time()) < 60


def test_truncate(home, platform):
    data = random_bytes(100_000)
    (home / "f").write_bytes(data)
    settled(home / "f")
    os.truncate(home / "f", 1234)
    assert (home / "f").read_bytes() == data[:1234]
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == data[:1234]
    os.truncate(home / "f", 5000)
    assert (home / "f").read_bytes() == data[:1234] + bytes(5000 - 1234)
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == data[:1234] + bytes(5000 - 1234)
    os.truncate(home / "f", 0)
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b""


def test_truncate_of_what_was_never_read(mount, platform):
    data = random_bytes(3_000_000)
    for name in ("shorter", "longer", "gone"):
        (platform.home / name).write_bytes(data)
    home = mount()
    os.truncate(home / "shorter", 1_000_001)
    os.truncate(home / "longer", 3_500_000)
    os.truncate(home / "gone", 0)
    assert home.unmount() == 0
    assert (platform.home / "shorter").read_bytes() == data[:1_000_001]
    assert (platform.home / "longer").read_bytes() == data + bytes(500_000)
    assert (platform.home / "gone").read_bytes() == b""


def test_shrinking_and_growing_again_shows_zeros(home):
    with open(home / "f", "w+b", buffering=0) as file:
        file.write(b"x" * 10_000)
        os.ftruncate(file.fileno(), 100)
        os.ftruncate(file.fileno(), 10_000)
        assert os.pread(file.fileno(), 20_000, 0) == b"x" * 100 + bytes(9_900)


def test_mode_and_times_are_kept(home, mount, platform):
    """Locally: the platform has no place for them. Also when the file has been uploaded, and remounted."""
    for name in ("f", "d"):
        path = home / name
        path.mkdir() if name == "d" else path.write_text("x")
    os.chmod(home / "f", 0o640)
    os.chmod(home / "d", 0o700)
    os.utime(home / "f", ns=(1_111_111_111_000_000_001, 1_222_222_222_000_000_002))
    settled(home / "f")
    for path, mode in ((home / "f", 0o640), (home / "d", 0o700)):
        assert path.stat().st_mode & 0o7777 == mode
    assert (home / "f").stat().st_mtime_ns == 1_222_222_222_000_000_002
    assert home.unmount() == 0
    again = mount()
    assert (again / "f").stat().st_mode & 0o7777 == 0o640
    assert (again / "d").stat().st_mode & 0o7777 == 0o700
    status = (again / "f").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_111_111_111_000_000_001, 1_222_222_222_000_000_002)


@pytest.mark.parametrize("seconds", [1 << 40, -(1 << 40)])
def test_a_date_that_cannot_be_held_is_the_nearest(home, seconds):
    (home / "f").touch()
    os.utime(home / "f", (seconds, seconds))
    year = time.gmtime((home / "f").stat().st_mtime).tm_year
    assert year == (2262 if seconds > 0 else 1677)


def test_a_date_set_locally_ends_with_the_version_it_belonged_to(home, platform):
    (home / "f").write_text("ours")
    os.utime(home / "f", (1_000_000_000, 1_000_000_000))
    settled(home / "f")
    assert (home / "f").stat().st_mtime == 1_000_000_000
    (platform.home / "f").write_text("a teammate's")
    os.utime(platform.home / "f", (1_500_000_000, 1_500_000_000))
    until(lambda: (home / "f").read_text() == "a teammate's", timeout=30)
    assert (home / "f").stat().st_mtime == 1_500_000_000


def test_the_mode_is_obeyed(world, platform):
    if os.getuid() == 0:
        pytest.skip("root may do everything")
    home = world.mount(platform)
    (home / "f").write_text("x")
    os.chmod(home / "f", 0o400)
    with fails_with(errno.EACCES):
        open(home / "f", "w")
    os.chmod(home / "f", 0o000)
    with fails_with(errno.EACCES):
        open(home / "f")


def test_owners_cannot_be_given_away(home):
    (home / "f").touch()
    os.chown(home / "f", os.getuid(), os.getgid())
    with fails_with(errno.EPERM):
        os.chown(home / "f", 12345, -1)
    assert (home / "f").stat().st_uid == os.getuid()


def test_writing_changes_the_date(home):
    (home / "f").write_text("x")
    os.utime(home / "f", (1, 1))
    before = time.time() - 1
    with open(home / "f", "a") as file:
        file.write("y")
    assert (home / "f").stat().st_mtime >= before
    os.utime(home / "f", (1, 1))
    with open(home / "f"):
        pass
    assert (home / "f").stat().st_mtime == 1


def test_extended_attributes(mount):
    root = mount("it4i_anselm://")
    path = root / "home" / "f"
    path.write_text("x")
    settled(path)
    assert attribute(path, "uri") == "it4i_anselm://home/f"
    assert attribute(root / "home", "uri") == "it4i_anselm://home"
    assert attribute(root / "home", "state") == "clean"
    assert set(os.listxattr(path)) >= {"user.gss.uri", "user.gss.state"}
    with fails_with(errno.ENODATA):
        os.getxattr(path, "user.gss.nosuch")
    with fails_with(errno.ENODATA):
        os.getxattr(path, "user.other")
    with fails_with(errno.ENOTSUP, errno.EPERM):
        os.setxattr(path, "user.other", b"x")
    with fails_with(errno.ENOTSUP, errno.EPERM):
        os.removexattr(path, "user.gss.uri")


def test_states_of_an_upload(home, platform):
    platform.fault(method="POST", path="*/f", hold="before")
    with open(home / "f", "w") as file:
        file.write("x")
        file.flush()
        assert state(home / "f") == "dirty"
    platform.wait("held", 1)
    assert state(home / "f") == "uploading"
    platform.control("/release")
    settled(home / "f")
    with fails_with(errno.ENODATA):
        attribute(home / "f", "error")


def test_statfs(home):
    space = os.statvfs(home.path)
    assert space.f_namemax == 255
    assert 0 < space.f_bavail <= space.f_blocks
    assert space.f_bsize * space.f_blocks > 1 << 20
    cache = os.statvfs(home.world.path)
    assert space.f_files == cache.f_files
    assert (space.f_ffree > 0, space.f_favail > 0) == (cache.f_favail > 0, cache.f_favail > 0)


def test_umask_uid_gid(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "umask=077")
    (home / "f").touch()
    (home / "d").mkdir()
    assert (home / "f").stat().st_mode & 0o777 == 0o600
    assert (home / "d").stat().st_mode & 0o777 == 0o700
    assert home.unmount() == 0
    if os.getuid() == 0:
        home = world.mount(platform, "it4i_anselm://home", "uid=1234,gid=5678")
        status = (home / "f").stat()
        assert (status.st_uid, status.st_gid) == (1234, 5678)


# ---- the sum of what GSS has ----


def sha256(path):
    try:
        return attribute(path, "sha256")
    except OSError as error:
        assert error.errno == errno.ENODATA
        assert "user.gss.sha256" not in os.listxattr(path)
        return None


@pytest.mark.parametrize("size", [0, 1000, 3 << 20])
def test_sha256_is_of_what_was_uploaded(mount, platform, size):
    home, data = mount(), random_bytes(size)
    with open(home / "f", "wb") as file:
        file.write(data)
        file.flush()
        assert sha256(home / "f") is None
    settled(home / "f")
    assert "user.gss.sha256" in os.listxattr(home / "f")
    assert sha256(home / "f") == hashlib.sha256(data).hexdigest()
    assert home.unmount() == 0
    home = mount()
    assert sha256(home / "f") == hashlib.sha256(data).hexdigest()
    # A teammate's version of the same size; and one of ours that is not there yet.
    (platform.home / "f").write_bytes(random_bytes(size + 1, seed=2)[:size])
    os.utime(platform.home / "f", (1_500_000_000, 1_500_000_000))
    until(lambda: sha256(home / "f") is None, timeout=30)
    assert (home / "f").read_bytes() == (platform.home / "f").read_bytes()
    assert sha256(home / "f") == digest(platform.home / "f")
    platform.fault(method="PUT", hold="before")
    with open(home / "f", "ab") as file:
        file.write(b"x")
    platform.wait("held")
    assert sha256(home / "f") is None
    platform.control("/release")
    settled(home / "f")
    assert sha256(home / "f") == digest(platform.home / "f")


def test_sha256_needs_more_than_a_size(home, platform):
    platform.set(last_modified="off")
    (home / "f").write_bytes(b"content")
    settled(home / "f")
    assert sha256(home / "f") is None
    (platform.home / "f").write_bytes(b"another")
    platform.set(last_modified="on")
    (home / ".status").write_text("refresh\n")
    assert sha256(home / "f") in (None, digest(platform.home / "f"))
    assert (home / "f").read_bytes() == b"another"
    assert sha256(home / "f") == digest(platform.home / "f")


def test_sha256_of_what_is_not_held(mount, platform):
    (platform.home / "f").write_bytes(b"content" * 100_000)
    home = mount()
    assert (home / "f").stat().st_size == 700_000 and sha256(home / "f") is None
    assert platform.counters()["bytes.sent"] < 100_000, "nothing is fetched for it"
