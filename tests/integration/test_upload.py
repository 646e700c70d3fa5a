"""What brings written files to GSS, what keeps them from it, and what a program is told about that."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from world import (GSSFS, LOGIN, SLOW, attribute, fails_with, is_mounted, random_bytes, release, settled, state,
                   until)

MIB = 1 << 20


def test_close_does_not_wait_for_the_platform(home, platform):
    platform.fault(method="POST", path="*/f", hold="before")
    (home / "f").write_bytes(b"x")
    platform.wait("held", 1)
    assert not (platform.home / "f").exists()
    platform.control("/release")
    settled(home / "f")


def test_sync_file_waits_for_the_bytes(home, platform, world):
    platform.set(bandwidth=2 * MIB)
    data = random_bytes(2 * MIB)
    (home / "f").write_bytes(data)
    world.run("sync", home / "f")
    assert (platform.home / "f").read_bytes() == data
    # A file that is open for writing as well.
    with open(home / "f", "r+b") as file:
        file.write(b"changed")
        file.flush()
        os.fsync(file.fileno())
        assert (platform.home / "f").read_bytes() == b"changed" + data[7:]


def test_fsync_of_what_is_clean_is_quick(home):
    (home / "f").write_bytes(b"x")
    settled(home / "f")
    with open(home / "f", "rb") as file:
        began = time.monotonic()
        os.fsync(file.fileno())
        assert time.monotonic() - began < 5


def test_fsync_tells_the_refusal(home, platform):
    platform.fault(method="POST", path="*/f", status=400, times=1000)
    with open(home / "f", "wb") as file:
        file.write(b"x")
        file.flush()
        with fails_with(errno.EINVAL, errno.EIO, errno.EACCES, errno.EPERM):
            os.fsync(file.fileno())
    until(lambda: state(home / "f") == "failed")
    assert attribute(home / "f", "error")
    # Not lost: it is still here, and it can be saved again.
    assert (home / "f").read_bytes() == b"x"
    platform.control("/reset")
    (home / "f").write_bytes(b"y")
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"y"


@pytest.mark.parametrize("status", [400, 403, 413, 507])
def test_what_is_refused_is_kept(home, mount, platform, status):
    platform.fault(method="POST", path="*/f", status=status, times=1000)
    (home / "f").write_bytes(b"precious")
    until(lambda: (home / "f").exists() and os.getxattr(home / "f", "user.gss.state") != b"uploading" and
          "user.gss.error" in os.listxattr(home / "f"))
    home.kill()
    again = mount()
    assert (again / "f").read_bytes() == b"precious"
    assert state(again / "f") != "clean"


def test_fsync_local(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "fsync=local")
    platform.fault(method="POST", path="*/f", hold="before")
    with open(home / "f", "wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
    assert not (platform.home / "f").exists()
    platform.wait("held", 1)
    platform.control("/release")
    settled(home / "f")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": "before"}, {"cut": "during"}, {"cut": "after"},
                                   {"status": 504, "process": 1}, {"status": 504}, {"status": 500}])
def test_an_upload_that_fails_is_repeated(home, platform, fault, times):
    data = random_bytes(300_000)
    platform.fault(method="POST", path="*/f", times=times, **fault)
    (home / "f").write_bytes(data)
    settled(home / "f", timeout=40)
    assert (platform.home / "f").read_bytes() == data
    # The same for an update.
    data = random_bytes(300_001, seed=2)
    platform.fault(method="PUT", path="*/f", times=times, **fault)
    (home / "f").write_bytes(data)
    settled(home / "f", timeout=40)
    assert (platform.home / "f").read_bytes() == data


@pytest.mark.parametrize("fault", [
    {"operation": "getResourceInformation", "status": 200, "type": "text/html"},
    {"method": "POST", "path": "/refissh*", "status": 302, "headers": "Location: http://portal.example/login"},
    {"method": "DELETE", "path": "/refissh*", "status": 302, "headers": "Location: http://portal.example/login"}])
def test_nonsense_passes(home, platform, fault):
    """A page of a proxy, a portal's redirect: nothing that the user could do anything about."""
    platform.fault("<html>Down for maintenance</html>", times=10_000, **fault)
    (home / "f").write_bytes(b"hello")
    if fault.get("method") == "DELETE":
        settled(home / "f")
        os.rename(home / "f", home / "g")
    until(lambda: "tried again" in home.text() or "cannot be removed yet" in home.text())
    assert not any((home / n).exists() and state(home / n) == "failed" for n in ("f", "g"))
    platform.control("/reset")
    assert home.unmount() == 0
    assert [p.read_bytes() for p in platform.home.iterdir()] == [b"hello"]


def test_a_lost_answer_is_settled_by_asking(home, platform):
    """Sent whole, the connection cut before the answer: it is not sent a second time."""
    platform.fault(method="POST", path="*/f", cut="after")
    (home / "f").write_bytes(random_bytes(2 * MIB))
    settled(home / "f")
    posts = [e for e in platform.log() if e["method"] in ("POST", "PUT") and e["target"].endswith("/f")]
    assert len(posts) == 1


def test_pending_uploads_survive_kill_9(home, mount, platform):
    platform.fault(path="/refissh*", status=503, times=100_000)
    contents = {f"file {i}": random_bytes(50_000 * i, seed=i) for i in range(6)}
    for name, data in contents.items():
        (home / name).write_bytes(data)
    home.kill()
    assert list(platform.home.iterdir()) == []
    platform.control("/reset")
    again = mount()
    for name, data in contents.items():
        assert (again / name).read_bytes() == data
        settled(again / name)
        assert (platform.home / name).read_bytes() == data


def test_kill_9_in_the_middle_of_an_upload(home, mount, platform):
    platform.set(bandwidth=MIB)
    data = random_bytes(4 * MIB)
    (home / "f").write_bytes(data)
    until(lambda: platform.counters().get("bytes.received", 0) > MIB)
    home.kill()
    platform.set(bandwidth=0)
    again = mount()
    settled(again / "f")
    assert (platform.home / "f").read_bytes() == data


def test_the_platform_is_down_while_copying(world, platform):
    """Copies in while nothing answers; when the platform is back, everything arrives."""
    home = world.mount(platform)
    (home / "before").write_bytes(b"x")
    settled(home / "before")
    assert os.listdir(home.path)
    port, options = platform.port, []
    assert platform.stop() == 0
    data = random_bytes(MIB)
    (home / "f").write_bytes(data)
    assert (home / "f").read_bytes() == data
    home.kill()
    again = world.mount(platform)
    assert (again / "f").read_bytes() == data
    back = world.server(*options, "--port", str(port))
    settled(again / "f", timeout=60)
    assert (back.home / "f").read_bytes() == data


def test_unmounting_sends_what_is_pending(home, platform):
    platform.set(latency=20)
    for i in range(50):
        (home / f"f{i}").write_bytes(random_bytes(10_000, seed=i))
    release(home.path)
    assert home.process.wait(60 * SLOW) == 0
    assert len(list(platform.home.iterdir())) == 50
    assert all((platform.home / f"f{i}").read_bytes() == random_bytes(10_000, seed=i) for i in range(50))


def test_sigterm_unmounts_and_sends(home, platform):
    (home / "f").write_bytes(random_bytes(MIB))
    home.process.send_signal(signal.SIGTERM)
    assert home.process.wait(30 * SLOW) == 0
    assert (platform.home / "f").read_bytes() == random_bytes(MIB)


def test_a_drain_that_takes_too_long_is_left_to_the_next_mount(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "drain_timeout=1")
    platform.fault(method="POST", path="*/f", status=503, times=100_000)
    (home / "f").write_bytes(b"x")
    release(home.path)
    assert home.process.wait(30 * SLOW) == 1
    assert "1 file" in home.text()
    platform.control("/reset")
    again = world.mount(platform)
    settled(again / "f")
    assert (platform.home / "f").read_bytes() == b"x"


def test_a_drain_shows_on_a_terminal_how_far_it_is(world, platform):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    at = world.mountpoint()
    process = subprocess.Popen([GSSFS, "-f", *world.options(platform), "it4i_anselm://home", at], env=world.environment | LOGIN,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    until(lambda: is_mounted(at))
    platform.set(bandwidth=6 * MIB)
    (at / "f").write_bytes(random_bytes(24 * MIB))
    release(at)
    text = b""
    with contextlib.suppress(OSError):  # its end
        while part := os.read(ours, 4096):
            text += part
    os.close(ours)
    assert process.wait(60 * SLOW) == 0
    frames = [frame.rstrip() for frame in text.decode().split("\r\x1b[K") if frame.startswith("gssfs: unmounted; [")]
    assert len(frames) >= 2 and max(map(len, frames)) < 80, frames
    shares = [int(re.search(r"(\d+) %", frame).group(1)) for frame in frames]
    assert shares == sorted(shares) and 0 < shares[-1] <= 100 and any(0 < share < 100 for share in shares)
    assert any("B/s" in frame for frame in frames)


def test_a_slow_upload_is_not_given_up(home, platform):
    """Long silence after the last byte is the service's way."""
    platform.set(response_delay=4000)
    (home / "f").write_bytes(random_bytes(MIB))
    settled(home / "f", timeout=40)
    assert platform.counters()["rest.POST"] == 1


def test_small_files_do_not_wait_for_large_ones(home, platform):
    platform.set(bandwidth=MIB)
    for i in range(6):
        (home / f"large {i}").write_bytes(random_bytes(8 * MIB, seed=i))
    (home / "small").write_bytes(b"x")
    settled(home / "small", timeout=5)
    assert state(home / "large 5") in ("dirty", "uploading")
    platform.set(bandwidth=0)


@pytest.mark.slow
def test_fsync_gives_up_after_a_minute_without_progress(home, platform):
    platform.fault(method="POST", path="*/f", hold="before", times=1000)
    (home / "f").write_bytes(b"x")
    platform.wait("held", 1)
    with open(home / "f", "rb") as file:
        began = time.monotonic()
        with fails_with(errno.ETIMEDOUT):
            os.fsync(file.fileno())
        assert 55 < time.monotonic() - began < 90
    # Nothing is lost by that.
    platform.control("/reset")
    platform.control("/release")
    settled(home / "f", timeout=60)
    assert (platform.home / "f").read_bytes() == b"x"


@pytest.mark.slow
def test_namespace_calls_give_up_after_20_seconds(home, platform):
    platform.fault(operation="createFolder", hold="before", times=1000)
    began = time.monotonic()
    with fails_with(errno.ETIMEDOUT):
        (home / "d").mkdir()
    assert 15 < time.monotonic() - began < 40
    platform.control("/reset")
    platform.control("/release")


def test_without_credentials_the_queue_waits_and_says_so_once(world, platform):
    folder = world.user_home / ".config" / "gssfs"
    folder.mkdir(parents=True)
    credentials = folder / "credentials"

    def write(password):
        new = folder / "new"
        new.write_text(f"[credentials]\nusername=demo\nproject=demo\npassword={password}\n")
        new.chmod(0o600)
        new.rename(credentials)

    write("demo")
    home = world.mount(platform, login={})
    (home / "before").write_bytes(b"x")
    settled(home / "before")
    write("wrong")
    platform.control("/revoke")
    for i in range(30):
        (home / f"f{i}").write_bytes(b"%d" % i)
    until(lambda: attribute(home / "f0", "error"))
    until(lambda: "wait for credentials" in home.text())
    assert state(home / "f29") == "dirty"
    write("demo")
    for i in range(30):
        settled(home / f"f{i}")
        assert (platform.home / f"f{i}").read_bytes() == b"%d" % i
    assert home.text().count("wait for credentials") == 1
    assert home.text().count("uploads go on") == 1
    assert "will be tried again" not in home.text()
    # Logging in as wrong again and again would lock the account.
    assert platform.counters()["auth.getSessionToken"] <= 4


def test_what_a_burst_of_files_held_back_is_sent_after_it(home, platform):
    """Uploads give way while many files are written; in the pause after them all that may run side by side do."""
    platform.fault(method="POST", path="/refissh*", hold="before", times=100)
    for i in range(12):
        (home / f"f{i}").write_text("x")
    platform.wait("held", 12)
    platform.control("/reset")
    platform.control("/release")
    for i in range(12):
        settled(home / f"f{i}")
