"""Waits that should end, and answers that are of now."""

import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from gssctl import Terminal, Waiting
from test_register import begin, commands, write
from world import SLOW, images, settled, until


def test_who_waits_behind_a_command_that_pauses_is_told(home, platform):
    """The one before it was interrupted, and the service is away: who waits hears of it, as if he were the first."""
    register = home / ".register"
    (home / "a.simg").write_bytes(b"one")
    settled(home / "a.simg")
    platform.fault(operation="getImageInfo", hold="before", status=503)
    platform.fault(operation="getImageInfo", status=503, times=1000)
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    writer.kill()
    writer.wait(20)
    platform.control("/release")
    until(lambda: [c[-1] for c in commands(home)] == ["pausing"])
    (home / "a.simg").write_bytes(b"second")
    settled(home / "a.simg")
    second = subprocess.Popen(["sh", "-c", f"exec echo a.simg > {register}"], stderr=subprocess.PIPE)
    try:
        second.wait(15 * SLOW)
    except subprocess.TimeoutExpired:
        second.kill()
        second.wait(10)
        raise AssertionError(f"it waits for ever: {commands(home)}")
    assert second.returncode != 0
    platform.control("/reset")


def test_a_listing_that_began_before_a_change_is_not_told_after_it(home, platform):
    (home / "w").write_bytes(b"x")
    write(home / ".register", "w one.simg\n")
    os.listdir(home / ".images")
    platform.fault(operation="listImages", hold="after")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        before = pool.submit(os.listdir, home / ".images")
        platform.wait("held", 1)
        write(home / ".register", "w two.simg\n")
        after = pool.submit(os.listdir, home / ".images")
        time.sleep(1)  # it asks nothing that could be waited for: it waits for the answer that is held
        platform.control("/release")
        before.result(20)
        assert set(after.result(20)) == {"one.simg", "two.simg"}


def test_an_image_that_was_just_registered_is_there(home, platform):
    (home / "w").write_bytes(b"x")
    platform.fault(operation="listImages", hold="after")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        before = pool.submit(os.listdir, home / ".images")
        platform.wait("held", 1)
        write(home / ".register", "w two.simg\n")
        after = pool.submit(os.path.exists, home / ".images" / "two.simg")
        time.sleep(1)  # it asks nothing that could be waited for: it waits for the answer that is held
        platform.control("/release")
        before.result(20)
        assert after.result(20)


def test_registrations_do_not_keep_folders_from_being_made(home, platform):
    """Ten registrations that the platform works on: mkdir and rmdir go on beside them."""
    for i in range(10):
        (home / f"{i}.simg").write_bytes(b"x")
    for i in range(10):
        settled(home / f"{i}.simg")
    platform.fault(operation="registerImage", hold="before", times=8)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        all_of_them = [pool.submit(write, home / ".register", f"{i}.simg\n") for i in range(10)]
        platform.wait("held", 8)
        try:
            begun = time.monotonic()
            (home / "folder").mkdir()
            (home / "folder").rmdir()
            assert time.monotonic() - begun < 5 * SLOW
        finally:
            platform.control("/release")
        assert [one.result(60 * SLOW) for one in all_of_them] == [7] * 10


def test_a_storage_whose_head_hangs(world, platform):
    """GET has told all that is wanted."""
    (platform.home / "f").write_bytes(b"x" * 100)
    platform.fault(method="HEAD", hold="before", times=1000)
    home = world.mount(platform)
    begun = time.monotonic()
    assert (home / "f").stat().st_size == 100
    assert time.monotonic() - begun < 5 * SLOW
    platform.control("/release")


def test_ctrl_c_while_an_unmount_is_tried(world, home):
    with open(home / "f", "wb"):
        pass
    settled(home / "f")
    with open(home / "f", "rb"):
        waiting = Waiting(world, "umount", home.path)
        time.sleep(1)  # of the three seconds for which it tries
        waiting.interrupt()
        waiting.end(130)
    assert os.path.exists(home / "f")


def test_a_mount_that_dies_while_another_registers(world):
    """The bars do not turn at full speed for it."""
    one, two = world.server(), world.server(folder="other")
    a = world.mount(one, "it4i_anselm://")
    b = world.mount(two, "it4i_salomon://", f"images={two.base}/hpc-4-salomon/Images?wsdl", cache="second", at="mnt2")
    (a / "home" / "w.simg").write_bytes(b"x" * 1000)
    settled(a / "home" / "w.simg")
    one.fault(operation="registerImage", hold="before")
    two.fault(operation="registerImage", hold="before")
    terminal = Terminal(world, "register", a / "home" / "w.simg", "--on", "it4i_anselm,it4i_salomon")
    one.wait("held", 1)
    two.wait("held", 1)
    b.kill()
    until(lambda: terminal.read(0.1) and "failed" in terminal.text)

    def spent():
        with open(f"/proc/{terminal.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, begun = spent(), time.monotonic()
    while time.monotonic() - begun < 4:
        terminal.read(0.1)
    used = spent() - before
    one.control("/release")
    terminal.end(1)
    assert used < 1, f"{used} s of the processor in 4 s"


def test_an_images_service_that_is_away_is_not_asked_all_the_time(world, platform):
    """What moves elsewhere tells nothing of it."""
    home = world.mount(platform, "it4i_anselm://home", "images=http://127.0.0.1:9/Images?wsdl")
    (home / "a.simg").write_bytes(b"one")
    settled(home / "a.simg")
    # One that was sent before its writer went: it pauses.
    platform.fault(method="POST", path="/refissh*", hold="before")
    (home / "b.simg").write_bytes(b"two")
    writer = begin(home, "b.simg")
    until(lambda: [c[-1] for c in commands(home)] == ["uploading"])
    writer.kill()
    writer.wait(20)
    platform.control("/release")
    until(lambda: [c[-1] for c in commands(home)] == ["pausing"])
    begun = time.monotonic()
    i = 0
    while time.monotonic() - begun < 4:
        (home / f"f{i}").mkdir()
        i += 1
    said = home.text().count("trying again later")
    states = [line for line in (home / ".status").read_text().splitlines() if line.startswith("session")]
    assert said < 10, f"{said} times, with {i} folders"
    assert states[0].split("\t")[1] == "ok"


class Elsewhere(threading.Thread):
    """Before a server: lets it tell of addresses at which nobody listens."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            inner, _ = self.listener.accept()
            outer = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self.pass_on, args=(inner, outer, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(outer, inner, False), daemon=True).start()

    def pass_on(self, source, target, asks):
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 20):
                if asks:
                    block = re.sub(rb"Host: [^\r]*\r", b"Host: 127.0.0.1:9\r", block)
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)


def test_a_storage_that_is_away_is_not_tried_all_the_time(world, platform):
    """The service names it, and answers; that is no news of the storage."""
    home = world.mount(Elsewhere(platform.port).base)
    (home / "f").write_bytes(b"x")
    until(lambda: "uploads wait for the service" in home.text())
    begun, i = time.monotonic(), 0
    while time.monotonic() - begun < 4:
        (home / f"d{i}").mkdir()
        time.sleep(0.02)  # a pace, so that the limit below is one of tries and not of speed
        i += 1
    tries = [entry for entry in platform.log() if (entry.get("subject") or "").endswith("/f")]
    assert len(tries) < 30, f"{len(tries)} requests for it, with {i} folders"
    home.kill()


def loop_seconds(pid):
    """Of the processor, by the thread that has the timers."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as stat:
            head, rest = stat.read().rsplit(")", 1)
            if head.endswith("(fs-loop"):
                return (int(rest.split()[11]) + int(rest.split()[12])) / os.sysconf("SC_CLK_TCK")
    return None


def test_closing_others_while_a_source_is_open(home, platform):
    """Each close is looked at, and leaves nothing behind."""
    (home / "r").write_bytes(b"r")
    settled(home / "r")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with open(home / "a.simg", "wb") as held:
            held.write(b"x")
            held.flush()
            one = pool.submit(write, home / ".register", "a.simg\n")
            until(lambda: [c[-1] for c in commands(home)] == ["open"])
            rounds = []
            for _ in range(3):
                before = loop_seconds(home.pid)
                for _ in range(8000):
                    os.close(os.open(home / "r", os.O_RDONLY))
                time.sleep(0.3)  # the loop catches up: what it spends is what is measured
                rounds.append(loop_seconds(home.pid) - before)
        assert one.result(30) == 7
    assert rounds[2] < 2 * rounds[0] + 0.5, rounds


@pytest.mark.parametrize("killed", [False, True])
def test_a_mount_that_ends_is_no_answer_of_the_platform(world, home, platform, killed):
    (home / "w.simg").write_bytes(b"x")
    settled(home / "w.simg")
    platform.fault(operation="registerImage", hold="before")
    waiting = Waiting(world, "register", home / "w.simg")
    platform.wait("held", 1)
    if killed:
        home.kill()
    else:
        home.process.send_signal(signal.SIGTERM)
    out, _ = waiting.end(1)
    assert "goes on" in out
    platform.control("/release")
    if not killed:
        assert home.process.wait(20 * SLOW) == 0
        assert set(images(platform)) == {"w.simg"}
