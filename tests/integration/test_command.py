"""Registrations that meet a kill, the end of the mount, a dead platform, another one of the same name."""

import concurrent.futures
import contextlib
import errno
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from test_mount import configure, mounted_by_configuration
from test_register import begin, commands, fault, lines, write
from world import SLOW, fails_with, images, release, settled, until


def leave(home):
    """Told to end until it does, whatever is pending."""
    def ended():
        home.process.terminate()
        try:
            home.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return False
        return True

    until(ended)
    return home.process.returncode


def two_pending(platform, home, step, second):
    """One that is uploading or sent, and one for the same image behind it; their writers."""
    for name in ("one", "two"):
        (home / name).write_bytes(name.encode() * len(name))
        settled(home / name)
    if step == "uploading":
        platform.fault(method="PUT", path="/refissh*", hold="before", times=100)
        (home / "one").write_bytes(b"ONEONEONE")
    else:
        platform.fault(operation="registerImage", hold="before")
    first = begin(home, "one a.simg")
    until(lambda: [c[-1] for c in commands(home)] == [step])
    behind = begin(home, second)
    until(lambda: [c[-1] for c in commands(home)] == [step, "waiting"])
    return first, behind


# ---- two pending for one image, and the daemon ends ----


@pytest.mark.parametrize("second", ["two a.simg", "remove a.simg"])
@pytest.mark.parametrize("step", ["uploading", "sent"])
def test_the_daemon_leaves(world, platform, home, step, second):
    """An impatient end: both go on at the next mount, in their order."""
    writers = two_pending(platform, home, step, second)
    assert leave(home) == 1
    assert "2 registrations under way" in home.text()
    for writer in writers:
        assert writer.wait(20 * SLOW) != 0
    platform.control("/reset")
    platform.control("/release")
    again = world.mount(platform)
    until(lambda: len(lines(again / ".register")) == 2 and commands(again) == [], timeout=40)
    assert [line[1] for line in lines(again / ".register")] == \
        ["registered", "removed" if second.startswith("remove") else "updated"]
    if second.startswith("remove"):
        assert images(platform) == {}
    else:
        assert (platform.registered / "a.simg").read_bytes() == b"twotwotwo"


@pytest.mark.parametrize("step", ["uploading", "sent"])
def test_the_daemon_is_killed(world, platform, home, step):
    writers = two_pending(platform, home, step, "two a.simg")
    home.kill()
    for writer in writers:
        assert writer.wait(20 * SLOW) != 0
    platform.control("/reset")
    platform.control("/release")
    again = world.mount(platform)
    until(lambda: len(lines(again / ".register")) == 2 and commands(again) == [], timeout=40)
    assert (platform.registered / "a.simg").read_bytes() == b"twotwotwo"


def test_a_note_that_cannot_be_read(world, platform, home):
    """Told, forgotten, and in nobody's way."""
    assert home.unmount() == 0
    journal, = [p for p in (world.path / "cache").rglob("*") if p.name.startswith("journal") and p.suffix == ".sqlite"]
    with contextlib.closing(sqlite3.connect(journal)) as db, db:
        db.execute("INSERT INTO meta VALUES ('memo/command/00000000000000000001', 'nonsense')")
    again = world.mount(platform)
    until(lambda: "cannot be read" in again.text())
    assert commands(again) == [] and lines(again / ".register") == []
    (again / "a.simg").write_bytes(b"a")
    write(again / ".register", "a.simg\n")
    assert again.unmount() == 0
    assert "cannot be read" not in world.mount(platform).text()


# ---- the order of commands for one image ----


def in_order(home, platform, operation, *given):
    """Each is given while the first is held; all succeed."""
    platform.fault(operation=operation, hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writes = []
        for line in given:
            writes.append(pool.submit(write, home / ".register", line + "\n"))
            if len(writes) == 1:
                platform.wait("held", 1)
            until(lambda: len(commands(home)) == len(writes))
        platform.control("/release")
        assert [one.result(30 * SLOW) for one in writes] == [len(line) + 1 for line in given]


def test_the_last_one_counts(home, platform):
    for name in ("one", "two"):
        (home / name).write_bytes(name.encode())
        settled(home / name)
    in_order(home, platform, "registerImage", "one a.simg", "two a.simg", "one a.simg")
    assert (platform.registered / "a.simg").read_bytes() == b"one"


def test_a_removal_between_equal_ones(home, platform):
    (home / "a.simg").write_bytes(b"a")
    write(home / ".register", "a.simg\n")
    in_order(home, platform, "deleteImage", "remove a.simg", "a.simg", "remove a.simg")
    assert images(platform) == {}


# ---- interrupted ----


def test_a_storm_of_signals(home, platform):
    """Python repeats the write after each EINTR; each image is registered once, and each write tells so."""
    (home / "a.simg").write_bytes(b"a")
    settled(home / "a.simg")
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    over = threading.Event()
    writer = threading.main_thread().ident

    def storm():
        while not over.wait(0.003):
            signal.pthread_kill(writer, signal.SIGUSR2)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for i in range(100):
            write(home / ".register", f"register a.simg i{i}.simg\n")
            write(home / ".register", f"remove i{i}.simg\n")
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR2, before)
    counters = platform.counters()
    assert (counters["images.registerImage"], counters["images.deleteImage"]) == (100, 100)


# ---- the platform is out of reach ----


def test_resumed_without_the_platform(world, platform, home):
    """Nothing was sent before the kill, and the next mount comes up alone: it pauses, and is done when it can be."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="getImageInfo", hold="before")
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    home.kill()
    writer.wait(20 * SLOW)
    platform.control("/reset")
    platform.control("/release")
    platform.fault(path="*", status=503, times=10000)
    again = world.mount(platform)
    until(lambda: [c[-1] for c in commands(again)] == ["pausing"])
    assert lines(again / ".register")[-1][1] == "running" and "503" in lines(again / ".register")[-1][-1]
    platform.control("/reset")
    until(lambda: lines(again / ".register")[-1][1] == "registered", timeout=40)
    assert images(platform) == {"a.simg": 5}


def test_interrupted_and_then_the_network_goes(home, platform):
    """Nobody waits any more, and the network goes before the platform was asked."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="getImageInfo", hold="before", status=503)
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    writer.send_signal(signal.SIGINT)
    assert writer.wait(20 * SLOW) == -signal.SIGINT
    platform.control("/release")
    until(lambda: lines(home / ".register")[-1][1] == "registered", timeout=40)
    assert images(platform) == {"a.simg": 5}


def test_who_waits_is_told(home, platform):
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="getImageInfo", status=503, times=100)
    with fails_with(errno.EIO):
        write(home / ".register", "a.simg\n")
    assert commands(home) == [] and lines(home / ".register")[-1][1] == "failed"


# ---- half a file ----


def test_open_for_writing(home, platform):
    """Not registered before it is closed, and then whole."""
    with open(home / "a.simg", "wb", buffering=0) as file, concurrent.futures.ThreadPoolExecutor() as pool:
        file.write(b"half")
        one = pool.submit(write, home / ".register", "a.simg\n")
        until(lambda: [c[-1] for c in commands(home)] == ["open"])
        assert "open for writing" in lines(home / ".register")[-1][-1]
        file.write(b" and half")
        assert not one.done()
        file.close()
        assert one.result(30 * SLOW) == 7
    assert images(platform) == {"a.simg": 13}


def test_open_for_ever(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "register_timeout=1")
    with open(home / "a.simg", "wb", buffering=0) as file:
        file.write(b"half")
        with fails_with(errno.EBUSY):
            write(home / ".register", "a.simg\n")
    assert images(platform) == {}


# ---- what the log tells ----


def test_time_after_a_restart(world, platform, home):
    """The line of a command that went on begins when it was given."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    given = lines(home / ".register")[-1][0]
    until(lambda: float(lines(home / ".register")[-1][5]) > 2)
    home.kill()
    writer.wait(20 * SLOW)
    again = world.mount(platform)
    platform.control("/release")
    until(lambda: lines(again / ".register") and lines(again / ".register")[-1][1] == "registered", timeout=40)
    assert lines(again / ".register")[-1][0] == given and float(lines(again / ".register")[-1][5]) > 2


def test_a_failure_after_the_unmount(world, platform, home):
    """The next mount tells of it, once."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(fault("400", "Image name or source file path illegal"), operation="registerImage", status=500,
                   type="text/xml", hold="before")
    began = time.monotonic()
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    writer.send_signal(signal.SIGINT)
    writer.wait(20 * SLOW)
    release(home.path)
    until(lambda: "unmounted; 1 registration under way" in home.text(), "that it drains")
    platform.control("/release")
    home.process.wait(30 * SLOW)
    took = time.monotonic() - began
    time.sleep(3)  # it is over, and takes no longer for that
    again = world.mount(platform)
    told, = lines(again / ".register")
    assert (told[1], told[2]) == ("failed", "a.simg") and "illegal" in told[-1]
    assert float(told[5]) < took + 2
    assert commands(again) == []
    assert again.unmount() == 0
    assert lines(world.mount(platform) / ".register") == []


def test_each_storage_has_its_own_log(world, platform):
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    with mounted_by_configuration(world, "all") as at:
        for storage in ("it4i_anselm", "it4i_salomon"):
            (at / storage / "home" / "w.simg").write_bytes(b"x")
        write(at / "it4i_anselm" / "home" / ".register", "w.simg\n")
        with fails_with(errno.ENOENT):
            write(at / "it4i_salomon" / "home" / ".register", "update w.simg\n")
        assert [line[1] for line in lines(at / "it4i_anselm" / ".register")] == ["registered"]
        assert [line[1] for line in lines(at / "it4i_salomon" / "home" / ".register")] == ["failed"]
        assert [(line[1], line[7]) for line in lines(at / ".register")] == \
            [("registered", "it4i_anselm"), ("failed", "it4i_salomon")]


# ---- answers that are none ----


@pytest.mark.parametrize("status", [408, 500, 502])
@pytest.mark.parametrize("verb", ["register", "update", "remove"])
def test_a_proxy_answers_instead(home, platform, verb, status):
    """The service did it; its proxy says something else."""
    (home / "a.simg").write_bytes(b"old")
    if verb != "register":
        write(home / ".register", "a.simg\n")
        (home / "a.simg").write_bytes(b"newer")
        settled(home / "a.simg")
    operation = {"register": "registerImage", "update": "updateImage", "remove": "deleteImage"}[verb]
    platform.fault(operation=operation, status=status, process=1)
    write(home / ".register", f"{verb} a.simg\n")
    assert platform.counters()[f"images.{operation}"] == 1
    assert images(platform) == {"register": {"a.simg": 3}, "update": {"a.simg": 5}, "remove": {}}[verb]


def test_a_proxy_that_has_no_service(home, platform):
    (home / "a.simg").write_bytes(b"image")
    platform.fault(operation="registerImage", status=503)
    with fails_with(errno.EIO):
        write(home / ".register", "a.simg\n")
    assert images(platform) == {}
    write(home / ".register", "a.simg\n")
    assert images(platform) == {"a.simg": 5}


def test_a_proxy_that_knows_no_image(world, platform):
    """It lost the removal, and then the service: that is not the service's word that the image is gone."""
    home = world.mount(platform, "it4i_anselm://home", "register_timeout=3")
    (home / "a.simg").write_bytes(b"image")
    write(home / ".register", "a.simg\n")
    platform.fault(operation="deleteImage", cut="before")
    platform.fault(operation="getImageInfo", status=404, skip=1, times=1)
    with fails_with(errno.ETIMEDOUT):
        write(home / ".register", "remove a.simg\n")
    assert images(platform) == {"a.simg": 5}


@pytest.mark.parametrize("size", [0, 100000])
def test_an_answer_that_cannot_be_read(home, platform, size):
    (home / "a.simg").write_bytes(b"image")
    platform.fault(b"<html>" + b"x" * size, operation="registerImage", status=200, type="text/html", process=1)
    write(home / ".register", "a.simg\n")
    assert platform.counters()["images.registerImage"] == 1


def test_an_answer_whose_head_cannot_be_read(home, platform):
    (home / "a.simg").write_bytes(b"image")
    headers = "\n".join(f"X-{i}: y" for i in range(1000))
    platform.fault(operation="registerImage", headers=headers, process=1)
    write(home / ".register", "a.simg\n")
    assert platform.counters()["images.registerImage"] == 1


def test_an_answer_that_is_cut(home, platform):
    (home / "a.simg").write_bytes(b"image")
    platform.fault(operation="registerImage", cut="during")
    write(home / ".register", "a.simg\n")
    assert platform.counters()["images.registerImage"] == 1


@pytest.mark.parametrize("verb", ["register", "update", "remove"])
def test_a_504_for_each_verb(home, platform, verb):
    test_a_proxy_answers_instead(home, platform, verb, 504)


def test_the_token_dies_while_the_service_works(home, platform):
    """It did it all, but its answer is a fault: asked for, and not sent again."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(fault("500", "it took too long"), operation="registerImage", status=500, type="text/xml",
                   process=1, hold="after")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one = pool.submit(write, home / ".register", "register a.simg\n")
        platform.wait("held", 1)
        platform.control("/revoke")
        platform.control("/release")
        assert one.result(30 * SLOW) == 16
    assert platform.counters()["images.registerImage"] == 1
    assert (platform.registered / "a.simg").read_bytes() == b"image"


def test_the_token_is_dead_when_it_is_sent(home, platform):
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="getImageInfo", hold="after")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one = pool.submit(write, home / ".register", "a.simg\n")
        platform.wait("held", 1)
        platform.control("/revoke")
        platform.control("/release")
        assert one.result(30 * SLOW) == 7
    assert (platform.registered / "a.simg").read_bytes() == b"image"


def test_the_token_dies_while_it_is_settled(home, platform):
    platform.set(register_504="on", register_delay=2)
    (home / "a.simg").write_bytes(b"image")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one = pool.submit(write, home / ".register", "a.simg\n")
        until(lambda: [c[-1] for c in commands(home)] == ["settling"])
        platform.control("/revoke")
        assert one.result(30 * SLOW) == 7
    assert platform.counters()["images.registerImage"] == 1


def test_the_same_size_within_a_second(world, platform):
    """Dates have seconds: the second one waits until its own can be told from the first's."""
    home = world.mount(platform, "it4i_anselm://home", "register_timeout=10")
    (home / "a.simg").write_bytes(b"one")
    write(home / ".register", "a.simg\n")
    (home / "a.simg").write_bytes(b"two")
    settled(home / "a.simg")
    platform.set(register_504="on", register_delay=0)
    write(home / ".register", "a.simg\n")
    assert (platform.registered / "a.simg").read_bytes() == b"two"
