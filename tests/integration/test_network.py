"""A network that is dead: nothing is answered, nothing is refused."""

import os
import signal
import subprocess
import time

import pytest

from world import SLOW, random_bytes, settled, state, until

# What the README and the manual page promise, in seconds; and what a loaded machine may add.
CACHED, NAMESPACE, QUESTION, PROGRESS, MORE = 5, 20, 60, 60, 15


@pytest.fixture
def dead(world, platform):
    """A mount with some files on GSS, one in the cache alone, and from then on no answer from anywhere."""
    for name in ("clean.simg", "moved", "removed", "unread"):
        (platform.home / name).write_bytes(random_bytes(100_000))
    (platform.home / "folder").mkdir()
    home = world.mount(platform, "it4i_anselm://home", "offline=cached")
    for name in ("clean.simg", "moved"):
        (home / name).read_bytes()
    os.listdir(home / "folder")
    platform.fault(method="POST", path="*/dirty.simg", hold="before", times=1000)
    (home / "dirty.simg").write_bytes(random_bytes(1 << 20))
    platform.fault(method="POST", path="*/waiting", hold="before", times=1000)
    (home / "waiting").write_bytes(b"not the file that is synced: the kernel renames none of those")
    platform.wait("held")
    platform.process.send_signal(signal.SIGSTOP)
    try:
        yield home
    finally:
        platform.process.send_signal(signal.SIGCONT)


# A command, the seconds after which it has ended at the latest, and whether it fails then.
COMMANDS = {
    "sync dirty.simg": (PROGRESS, True),
    "mv moved elsewhere": (1, False),
    "mv waiting renamed": (1, False),
    "cat unread": (PROGRESS, True),
    "echo dirty.simg > .register": (PROGRESS, True),
    "echo clean.simg > .register": (NAMESPACE + QUESTION, True),
}


def is_told(text):
    """Is it told that there was no answer? (dash's echo says "I/O error" whatever the errno.)"""
    return "timed out" in text.lower() or text.startswith("sh: ") and "I/O error" in text


def start(home, command):
    return subprocess.Popen(["sh", "-c", command], cwd=home.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
def test_nothing_hangs_beyond_its_deadline(dead, platform):
    began = time.monotonic()
    running = {command: start(dead, command) for command in COMMANDS}
    others, waits = 0, []
    while running:
        # Everybody else goes on, in the same folder.
        moment = time.monotonic()
        assert "clean.simg" in os.listdir(dead.path)
        assert (dead / "clean.simg").stat().st_size == 100_000
        subprocess.run(["cp", "/bin/sh", dead / f"copy {others}"], check=True)
        assert (dead / f"copy {others}").read_bytes()[:4] == b"\x7fELF"
        others += 1
        if time.monotonic() - moment > 3 * SLOW:
            waits.append(time.monotonic() - moment)
            assert len(waits) == 1 and waits[0] < (CACHED + MORE) * SLOW, "it is waited for once"
        for command, process in list(running.items()):
            limit, fails = COMMANDS[command]
            seconds = time.monotonic() - began
            if process.poll() is None:
                assert seconds < (limit + MORE) * SLOW, f"{command} hangs"
                continue
            del running[command]
            said = process.stderr.read()
            process.stderr.close()
            assert (process.returncode == 0) == (not fails), f"{command}: {process.returncode} {said}"
            assert not fails or is_told(said), f"{command}: {said}"
        time.sleep(1)
    # And when it is back all of it arrives.
    platform.process.send_signal(signal.SIGCONT)
    platform.control("/reset")
    platform.control("/release")
    (dead / ".status").write_text("retry\n")
    for name in ["dirty.simg", "elsewhere", "renamed", *(f"copy {i}" for i in range(others))]:
        settled(dead / name, timeout=60)
        assert (platform.home / name).stat().st_size == (dead / name).stat().st_size
    until(lambda: not (platform.home / "moved").exists())


@pytest.mark.slow
def test_changes_of_a_folder_fail_one_deadline_later(dead, platform):
    """The kernel lets one of them at a time into a folder: they do not add up."""
    began = time.monotonic()
    running = {command: start(dead, command) for command in ("mkdir new", "rmdir folder", "rm removed", "mkdir newer", "rm moved")}
    for command, process in running.items():
        said = process.communicate(timeout=(NAMESPACE + MORE) * SLOW)[1]
        assert process.returncode != 0 and is_told(said), f"{command}: {said}"
    assert time.monotonic() - began < (NAMESPACE + MORE) * SLOW
    platform.process.send_signal(signal.SIGCONT)
    until(lambda: set(os.listdir(dead.path)) >= set(os.listdir(platform.home)))
    # What was told to have failed may be made all the same, as it was asked for; nothing is removed any more.
    time.sleep(1)
    assert {"folder", "removed", "moved"} <= set(os.listdir(platform.home))


def test_whoever_waits_can_be_killed(dead):
    waiting = [start(dead, "exec " + command) for command in (
        "sync dirty.simg", "mkdir new", "rmdir folder", "rm removed", "cat unread", "cp unread /dev/null", "stat folder/missing",
        "sh -c 'echo dirty.simg > .register'", "sh -c 'echo clean.simg > .register'", "ls .images", "dd if=unread of=/dev/null")]
    time.sleep(2)
    assert sum(process.poll() is None for process in waiting) >= 9
    for process in waiting:
        process.kill()
    moment = time.monotonic()
    for process in waiting:
        process.wait(10 * SLOW)
        process.stderr.close()
    assert time.monotonic() - moment < 5 * SLOW
    assert state(dead / "dirty.simg") in ("dirty", "uploading")


# ---- some of it is slow ----


def first_byte(path):
    """In a process of its own, which can be killed."""
    return subprocess.run(["head", "-c", "1", path], capture_output=True, timeout=15 * SLOW, check=True).stdout


def test_uploads_that_hang_keep_no_reader(mount, platform):
    for name, size in (("big", 16 << 20), ("middle", 2 << 20), ("small", 1000)):
        (platform.home / name).write_bytes(b"A" * size)
    home = mount()
    platform.fault(method="POST", path="*/up*", hold="during", times=4)
    for i in range(4):
        (home / f"up{i}.simg").write_bytes(bytes(2 << 20))
    platform.wait("held", 4)
    for name in ("big", "middle", "small"):
        assert first_byte(home / name) == b"A"
    platform.control("/release")
    for i in range(4):
        settled(home / f"up{i}.simg")


@pytest.mark.parametrize("size", [16 << 20, 200_000])
def test_downloads_that_hang_keep_no_other_reader(mount, platform, size):
    platform.set(range="off")
    count = 12
    for i in range(count + 1):
        (platform.home / f"b{i}").write_bytes(b"A" * size)
    home = mount()
    for i in range(count):
        assert (home / f"b{i}").stat().st_size == size
        platform.fault(method="GET", path=f"*/b{i}", hold="during")
    files = [os.open(home / f"b{i}", os.O_RDONLY) for i in range(count)]
    try:
        reading = [start(home, f"exec head -c 1 b{i}") for i in range(count)]
        platform.wait("held", count)
        assert first_byte(home / f"b{count}") == b"A"
    finally:
        platform.control("/release")
        for file in files:
            os.close(file)
    for process in reading:
        process.wait(10 * SLOW)
        process.stderr.close()
