""".status: what is on its way, and commands about it."""

import errno
import os
import re
import select

import pytest

from world import fails_with, random_bytes, settled, until

MIB = 1 << 20
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def unescape(field):
    return re.sub(r"\\([0-3][0-7]{2})", lambda octal: chr(int(octal.group(1), 8)), field)


def records(mount, kind=None):
    """The lines of .status: lists of fields; of one kind without that."""
    text = (mount / ".status").read_text()
    assert text.endswith("\n")
    fields = [[unescape(field) for field in line.split("\t")] for line in text.splitlines()]
    return [line[1:] for line in fields if line[0] == kind] if kind else fields


def files(mount):
    """{path: [state, done, total, tries, next try, message]} of what is not clean."""
    return {line[0]: line[1:] for line in records(mount, "file")}


def test_an_idle_mount(home):
    lines = records(home)
    assert [line[0] for line in lines] == ["gssfs", "session", "cache", "pending"]
    assert lines[0][1] == "1" and lines[0][3:] == ["it4i_anselm://home", str(home.path)]
    assert lines[2][1] == "it4i_anselm://" and int(lines[2][2]) >= 0 and int(lines[2][3]) > 0
    assert lines[3][1:] == ["0", "0", "0", "-", "0", "0"]


def test_its_place_and_attributes(mount):
    root = mount("it4i_anselm://")
    assert ".status" in os.listdir(root.path)
    assert (root / ".status").stat().st_mode & 0o7777 == 0o600
    # One a mount; elsewhere the name is free.
    assert not (root / "home" / ".status").exists()
    (root / "home" / ".status").write_text("mine")
    settled(root / "home" / ".status")
    with fails_with(errno.EPERM):
        (root / ".status").unlink()
    with fails_with(errno.EPERM):
        (root / ".status").chmod(0o644)


def test_files_on_their_way(mount, platform):
    root = mount("it4i_anselm://")
    platform.fault(method="POST", path="/refissh*", hold="before", times=2)
    (root / "home" / "sub").mkdir()
    awkward = "sub/a\\b c"
    (root / "home" / awkward).write_bytes(b"12345")
    (root / "scratch" / "big").write_bytes(random_bytes(2 * MIB))
    platform.wait("held", 2)
    shown = files(root)
    assert list(shown) == [f"home/{awkward}", "scratch/big"]
    assert shown[f"home/{awkward}"][0] == "uploading" and shown[f"home/{awkward}"][2:] == ["5", "0", "-", "-"]
    assert int(shown["scratch/big"][1]) <= int(shown["scratch/big"][2]) == 2 * MIB
    (count, left, _, _, parked, removals), = records(root, "pending")
    assert count == "2" and 0 <= int(left) <= 2 * MIB + 5 and parked == removals == "0"
    platform.control("/release")
    until(lambda: not files(root))


def test_rate_and_expected_end(home, platform):
    platform.set(bandwidth=MIB)
    (home / "big").write_bytes(random_bytes(8 * MIB))

    def moving():
        (_, left, rate, end, *_), = records(home, "pending")
        return int(left) < 8 * MIB and int(rate) > 0 and TIME.match(end)

    until(moving)
    state, done, total, *_ = files(home)["big"]
    assert state == "uploading" and 0 < int(done) < int(total)
    platform.set(bandwidth=0)
    until(lambda: not files(home))


def test_failures_and_retries(home, platform):
    platform.fault(method="POST", path="/refissh*/parked", status=400, times=100)
    platform.fault(method="POST", path="/refissh*/later", status=503, times=100)
    (home / "parked").write_bytes(b"x")
    (home / "later").write_bytes(b"yy")
    until(lambda: files(home)["parked"][0] == "failed")
    assert files(home)["parked"][-1] != "-" and files(home)["parked"][-2] == "-"

    def waits():
        state, done, total, tries, following, message = files(home)["later"]
        return int(tries) > 0 and TIME.match(following) and message != "-"

    until(waits)
    assert records(home, "pending")[0][4] == "1"


def test_all_storages(world, platform):
    from test_mount import LOGIN
    config = world.path / "gssfs.conf"
    config.write_text("[platform]\n" + "".join(
        f"[storage {name}]\nimages={platform.base}/hpc-4-{name[5:]}/Images?wsdl\n"
        for name in ("it4i_anselm", "it4i_salomon")))
    mount = world.mount(platform, "all", f"config={config}", login=LOGIN)
    assert ".status" in os.listdir(mount.path)
    assert ".status" not in os.listdir(mount / "it4i_salomon")
    platform.fault(method="POST", path="/refissh*", hold="before")
    (mount / "it4i_salomon" / "home" / "f").write_bytes(b"x")
    until(lambda: list(files(mount)) == ["it4i_salomon/home/f"])
    assert [line[0] for line in records(mount, "cache")] == ["it4i_anselm://", "it4i_salomon://"]
    platform.control("/release")


def test_poll_as_in_sysfs(home, platform):
    fd = os.open(home / ".status", os.O_RDONLY)
    poll = select.poll()
    poll.register(fd, select.POLLPRI | select.POLLERR)
    try:
        # Who has not read yet has something to read; who has is up to date.
        assert poll.poll(0)
        os.pread(fd, MIB, 0)
        until(lambda: os.pread(fd, MIB, 0) and not poll.poll(300))
        platform.fault(method="POST", path="/refissh*", hold="before")
        (home / "f").write_bytes(b"x")
        # Sleeps in poll(2) until it is woken.
        (_, events), = poll.poll(20_000)
        assert events & (select.POLLPRI | select.POLLERR)
        # Reading on is no reading from 0.
        os.pread(fd, 10, 10)
        assert poll.poll(0)
        until(lambda: b"uploading" in os.pread(fd, MIB, 0))
        platform.control("/release")
        until(lambda: poll.poll(1000) and b"uploading" not in os.pread(fd, MIB, 0))
    finally:
        os.close(fd)


def test_one_text_from_beginning_to_end(home, platform):
    """A reader that stops halfway goes on with what it began; from 0 it sees what is there now."""
    fd = os.open(home / ".status", os.O_RDONLY)
    other = os.open(home / ".status", os.O_RDONLY)
    try:
        first = os.pread(fd, 10, 0)
        platform.fault(method="POST", path="/refissh*", hold="before", times=50)
        for i in range(50):
            (home / f"file {i}").write_bytes(b"x")
        rest = os.pread(fd, MIB, 10)
        assert b"file\t" not in rest and (first + rest).endswith(b"\n")
        assert os.pread(other, MIB, 0).count(b"\nfile\t") == 50
        assert os.pread(fd, MIB, 0).count(b"\nfile\t") == 50
    finally:
        os.close(fd)
        os.close(other)
        platform.control("/release")


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_nobody_else_may_use_it(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "allow_other")
    world.path.chmod(0o755)
    import subprocess
    result = subprocess.run(["cat", str(home / ".status")], user=65534, group=65534, extra_groups=[],
                            capture_output=True, timeout=30)
    assert result.returncode != 0 and not result.stdout
