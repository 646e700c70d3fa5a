"""Registering images by writing to .register."""

import concurrent.futures
import errno
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from world import SLOW, digest, fails_with, images, random_bytes, settled, state, until

MIB = 1 << 20


def write(path, text):
    """One write(2), as echo makes it."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def lines(path):
    """What .register tells of the last commands: lists of time, outcome, name, source, size, seconds, message."""
    text = path.read_text()
    assert text.endswith("\n") and all(line.startswith("#") for line in text.splitlines())
    return [line[2:].split("\t") for line in text.splitlines() if re.match(r"# \d", line)]


@pytest.fixture
def register(home):
    return home / ".register"


def test_the_main_job(home, platform, register, world):
    """cp and echo, right after each other: the image is registered, with every byte."""
    image = world.path / "waiter.simg"
    image.write_bytes(random_bytes(3 * MIB + 5))
    world.shell(f"cp {image} {home.path}/waiter.simg && echo waiter.simg > {register}")
    assert images(platform) == {"waiter.simg": image.stat().st_size}
    assert digest(platform.registered / "waiter.simg") == digest(image)
    assert digest(platform.home / "waiter.simg") == digest(image)
    assert home.unmount() == 0


def test_registering_under_another_name(home, platform, register):
    (home / "my image").write_bytes(b"content")
    write(register, "'my image' image-with-tag:v1.0.3.simg\n")
    assert images(platform) == {"image-with-tag:v1.0.3.simg": 7}


def test_registering_again_replaces(home, platform, register):
    (home / "w.simg").write_bytes(b"one")
    write(register, "w.simg\n")
    (home / "w.simg").write_bytes(b"second")
    write(register, "w.simg\n")
    assert images(platform) == {"w.simg": 6}
    assert (platform.registered / "w.simg").read_bytes() == b"second"
    assert [line[1] for line in lines(register)] == ["registered", "updated"]


def test_by_uri_and_from_subfolders(mount, platform):
    root = mount("it4i_anselm://")
    (root / "home" / "sub").mkdir()
    (root / "home" / "sub" / "a.simg").write_bytes(b"aa")
    (root / "scratch" / "b.simg").write_bytes(b"bbb")
    # Listed in the root alone, there in every folder.
    assert os.listdir(root / "home") == ["sub"]
    assert ".register" in os.listdir(root.path)
    write(root / "home" / "sub" / ".register", "a.simg\n")
    write(root / "home" / ".register", "sub/a.simg a2.simg\n")
    write(root / "home" / ".register", "../scratch/b.simg\n")
    write(root / ".register", "it4i_anselm://home/sub/a.simg a3.simg\n")
    write(root / "scratch" / ".register", "it4i_anselm://scratch/b.simg b2.simg\n")
    assert images(platform) == {"a.simg": 2, "a2.simg": 2, "a3.simg": 2, "b.simg": 3, "b2.simg": 3}


def test_several_lines_in_one_write(home, platform, register):
    for name in "abc":
        (home / f"{name}.simg").write_bytes(name.encode())
    write(register, "a.simg\n\n# a comment\nb.simg\nc.simg other.simg\n")
    assert set(images(platform)) == {"a.simg", "b.simg", "other.simg"}


def test_a_line_that_fails_after_others(home, platform, register):
    (home / "a.simg").write_bytes(b"a")
    fd = os.open(register, os.O_WRONLY)
    # The first line has run: a short write says so, and the error comes with the next call.
    assert os.write(fd, b"a.simg\nmissing.simg\na.simg c.simg\n") == len("a.simg\n")
    with fails_with(errno.ENOENT):
        os.write(fd, b"missing.simg\na.simg c.simg\n")
    os.close(fd)
    assert set(images(platform)) == {"a.simg"}


@pytest.mark.parametrize("line, code", [
    ("missing.simg", errno.ENOENT),
    ("nowhere/missing.simg", errno.ENOENT),
    ("it4i_anselm://home/missing.simg", errno.ENOENT),
    ("a.simg Illegal.simg", errno.EINVAL),
    ("a.simg noending", errno.EINVAL),
    ("a.simg ../a.simg", errno.EINVAL),
    ("a.simg one.simg two.simg", errno.EINVAL),
    ("'a.simg", errno.EINVAL),
    ("/a.simg", errno.EINVAL),
    ("it4i_salomon://home/a.simg", errno.EINVAL),
    ("../../a.simg", errno.EINVAL),
    ("folder folder.simg", errno.EISDIR),
    ("update a.simg new.simg", errno.ENOENT),
    ("remove nosuch.simg", errno.ENOENT),
])
def test_lines_that_fail(home, platform, register, line, code):
    (home / "a.simg").write_bytes(b"a")
    (home / "folder").mkdir()
    with fails_with(code):
        write(register, line + "\n")
    assert images(platform) == {}
    told = lines(register)
    assert len(told) == 1 and told[0][1] == "failed" and told[0][-1]


def test_the_shell_sees_the_failure(home, register, world):
    result = world.shell(f"/bin/echo missing.simg > {register}", check=False)
    assert result.returncode != 0
    assert "No such file" in result.stderr


@pytest.mark.parametrize("text", ["a.simg", "a.simg\nb.simg", "a.simg\n\0\n", "\udcff\n", "x" * 5000 + "\n"],
                         ids=["no newline", "tail", "nul", "no utf-8", "long"])
def test_what_is_no_whole_line_runs_nothing(home, platform, register, text):
    (home / "a.simg").write_bytes(b"a")
    fd = os.open(register, os.O_WRONLY)
    with fails_with(errno.EINVAL):
        os.write(fd, text.encode(errors="surrogateescape"))
    os.close(fd)
    assert images(platform) == {}


def test_update_and_remove(home, platform, register):
    (home / "a.simg").write_bytes(b"a")
    write(register, "register a.simg\n")
    (home / "a.simg").write_bytes(b"aa")
    write(register, "update a.simg\n")
    assert images(platform) == {"a.simg": 2}
    write(register, "remove a.simg\n")
    assert images(platform) == {}


@pytest.mark.parametrize("style, error", [("jaxws", "fault"), ("jaxws", "text"), ("spyne", "fault"),
                                          ("spyne", "text")])
@pytest.mark.parametrize("order", ["documented", "reversed"])
def test_dialects_of_the_service(mount, platform, style, error, order):
    platform.set(images_style=style, images_error=error, images_order=order)
    home = mount()
    (home / "a.simg").write_bytes(b"1")
    write(home / ".register", "a.simg\n")
    (home / "a.simg").write_bytes(b"22")
    write(home / ".register", "a.simg\n")
    assert images(platform) == {"a.simg": 2}
    with fails_with(errno.ENOENT):
        write(home / ".register", "update a.simg b.simg\n")
    write(home / ".register", "remove a.simg\n")
    assert images(platform) == {}


def fault(code, text):
    return (f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
            f'<faultcode>e:Server</faultcode><faultstring>{code}: {text}</faultstring></e:Fault></e:Body>'
            f'</e:Envelope>').encode()


def test_not_allowed(home, platform, register):
    (home / "a.simg").write_bytes(b"a")
    platform.fault(operation="registerImage", status=403, times=5)
    with fails_with(errno.EACCES):
        write(register, "a.simg\n")
    assert images(platform) == {}


@pytest.mark.parametrize("answer, code", [
    ((b"405", "Image source or name"), errno.EEXIST),
    ((b"400", "Image name or source file path illegal"), errno.EINVAL),
    ((b"404", "Image source file not found"), errno.ENOENT),
    ((b"500", "out of order"), errno.EIO),
])
def test_faults_of_the_service(home, platform, register, answer, code):
    (home / "a.simg").write_bytes(b"a")
    platform.fault(fault(answer[0].decode(), answer[1]), operation="registerImage", status=500, type="text/xml",
                   times=3)
    with fails_with(code, errno.EIO):
        write(register, "a.simg\n")
    assert answer[1].split()[0] in lines(register)[0][-1] or code == errno.EEXIST


def test_no_images_service_there(world, platform):
    """Nobody listens where the Images service should be; the rest of the platform works."""
    import socket
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = world.mount(platform, "it4i_anselm://home", f"images=http://127.0.0.1:{port}/hpc-4-anselm/Images?wsdl")
    (home / "a.simg").write_bytes(b"a")
    with fails_with(errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH):
        write(home / ".register", "a.simg\n")
    assert lines(home / ".register")[0][1] == "failed"


def test_504_while_the_registration_goes_on(home, platform, register):
    """The known fault of the platform: nothing is sent twice, and the write tells the true outcome."""
    platform.set(register_504="on", register_delay=2)
    (home / "a.simg").write_bytes(b"image")
    write(register, "a.simg\n")
    assert images(platform) == {"a.simg": 5}
    assert platform.counters()["images.registerImage"] == 1
    platform.set(register_504="on", register_delay=0)
    (home / "a.simg").write_bytes(b"another")
    write(register, "a.simg\n")
    assert (platform.registered / "a.simg").read_bytes() == b"another"


def test_answer_lost(home, platform, register):
    """The connection is cut after the work was done."""
    platform.fault(operation="registerImage", cut="after")
    (home / "a.simg").write_bytes(b"image")
    write(register, "a.simg\n")
    assert images(platform) == {"a.simg": 5}
    assert platform.counters()["images.registerImage"] == 1


def test_an_upload_under_way_is_waited_for(home, platform, register):
    platform.set(bandwidth=MIB)
    data = random_bytes(3 * MIB)
    (home / "a.simg").write_bytes(data)
    began = time.monotonic()
    write(register, "a.simg\n")
    assert time.monotonic() - began > 1, "the upload takes 3 s"
    assert (platform.registered / "a.simg").read_bytes() == data


def test_an_upload_that_is_refused(home, platform, register):
    platform.fault(method="POST", path="/refissh*/a.simg", status=400, times=100)
    (home / "a.simg").write_bytes(b"x")
    with fails_with(errno.EINVAL, errno.EIO, errno.EACCES, errno.EPERM):
        write(register, "a.simg\n")
    assert images(platform) == {}


def test_two_registrations_side_by_side(home, platform, register):
    for name in ("a.simg", "b.simg"):
        (home / name).write_bytes(b"x")
        settled(home / name)
    platform.fault(operation="registerImage", hold="before", times=2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [pool.submit(write, register, f"{name}\n") for name in ("a.simg", "b.simg")]
        # Both are with the service at once: neither waits for the other.
        platform.wait("held", 2)
        assert not any(one.done() for one in both)
        # And the rest of the mount goes on.
        (home / "c").write_bytes(b"c")
        settled(home / "c")
        assert {line[1] for line in lines(register)} == {"running"}
        platform.control("/release")
        assert [one.result(30 * SLOW) for one in both] == [7, 7]
    assert set(images(platform)) == {"a.simg", "b.simg"}


def test_the_same_registration_twice_is_sent_once(home, platform, register):
    (home / "a.simg").write_bytes(b"x")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(write, register, "a.simg\n")
        platform.wait("held", 1)
        second = pool.submit(write, register, "a.simg\n")
        # The second has come to the mount when a third thing, written after it, was refused.
        with fails_with(errno.ENOENT):
            write(register, "missing.simg\n")
        platform.control("/release")
        assert (first.result(30), second.result(30)) == (7, 7)
    counters = platform.counters()
    assert counters["images.registerImage"] + counters.get("images.updateImage", 0) <= 2
    assert counters["images.registerImage"] == 1


def test_ctrl_c_ends_the_wait(home, platform, register):
    (home / "a.simg").write_bytes(b"x")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    process = subprocess.Popen(["sh", "-c", f"exec echo a.simg > {register}"])
    platform.wait("held", 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(10 * SLOW) == -signal.SIGINT
    # The platform was not told to stop: the command goes on, and its end is told.
    assert lines(register)[-1][1] == "running"
    platform.control("/release")
    until(lambda: lines(register)[-1][1] == "registered")
    assert set(images(platform)) == {"a.simg"}


def test_a_signal_interrupts_the_write(home, platform, register):
    (home / "a.simg").write_bytes(b"x")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")

    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    def kill_once_held():
        platform.wait("held", 1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    killer = threading.Thread(target=kill_once_held)
    killer.start()
    try:
        with pytest.raises(Interrupted):
            write(register, "a.simg\n")
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)
    # Written again, as programs do after EINTR, it joins what is under way.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        again = pool.submit(write, register, "a.simg\n")
        with fails_with(errno.ENOENT):
            write(register, "missing.simg\n")
        platform.control("/release")
        assert again.result(30 * SLOW) == 7
    assert platform.counters()["images.registerImage"] == 1


def test_reading_it_explains_it(home, register):
    text = register.read_text()
    assert "echo SOURCE" in text
    assert all(line.startswith("#") for line in text.splitlines())
    # What was read can be written back: nothing but comments, nothing runs.
    assert write(register, text) == len(text.encode())
    assert lines(register) == []


def test_its_attributes(home, register):
    status = register.stat()
    assert status.st_mode & 0o7777 == 0o600 and status.st_uid == os.getuid()
    with fails_with(errno.EPERM):
        register.chmod(0o666)
    with fails_with(errno.EPERM, errno.EACCES, errno.EBUSY):
        register.unlink()
    with fails_with(errno.EPERM, errno.EACCES, errno.EBUSY):
        os.rename(register, home / "x")
    (home / "f").write_text("x")
    with fails_with(errno.EPERM, errno.EACCES, errno.EBUSY):
        os.rename(home / "f", register)
    assert (home / "f").read_text() == "x"
    assert state(home / "f") in ("clean", "dirty", "uploading")


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_nobody_else_may_use_it(world, platform):
    home = world.mount(platform, "it4i_anselm://home", "allow_other")
    world.path.chmod(0o755)
    (home / "a.simg").write_bytes(b"x")
    settled(home / "a.simg")
    def as_nobody(line):
        return subprocess.run(["sh", "-c", line], user=65534, group=65534, extra_groups=[], capture_output=True,
                              text=True, timeout=30)
    assert as_nobody(f"cat {home.path}/a.simg").stdout == "x"
    assert as_nobody(f"echo a.simg > {home.path}/.register").returncode != 0
    assert as_nobody(f"cat {home.path}/.register").returncode != 0
    assert images(platform) == {}


# ---- the verbs, each sentence ----


def test_register_only_if_the_name_is_free(home, platform, register):
    (home / "a.simg").write_bytes(b"a")
    write(register, "register a.simg\n")
    (home / "a.simg").write_bytes(b"aa")
    with fails_with(errno.EEXIST):
        write(register, "register a.simg\n")
    assert images(platform) == {"a.simg": 1}
    assert "update" in lines(register)[-1][-1], "says what would replace it"
    write(register, "a.simg\n")
    assert images(platform) == {"a.simg": 2}


def test_update_only_if_it_is_there(home, platform, register):
    (home / "a.simg").write_bytes(b"a")
    with fails_with(errno.ENOENT):
        write(register, "update a.simg\n")
    assert platform.counters().get("images.updateImage", 0) == 0
    assert images(platform) == {}


def test_a_file_called_register(home, platform, register):
    """Alone, each of the verbs is a source; with a name it needs ./ before it."""
    for name in ("register", "update", "remove"):
        (home / name).write_bytes(name.encode())
        write(register, f"./{name} {name}.simg\n")
        with fails_with(errno.EINVAL):  # a source, whose name is no image's
            write(register, f"{name}\n")
    assert images(platform) == {"register.simg": 8, "update.simg": 6, "remove.simg": 6}


def test_the_name_is_checked_before_anything_is_sent(home, platform, register):
    (home / "A.simg").write_bytes(b"a")
    settled(home / "A.simg")
    requests = len(platform.log())
    with fails_with(errno.EINVAL):
        write(register, "A.simg\n")
    with fails_with(errno.EINVAL):
        write(register, "A.simg a.b.simg\n")
    assert len(platform.log()) == requests
    assert "lowercase" in lines(register)[0][-1] and lines(register)[1][-1]


def test_a_source_on_another_cluster(world, platform):
    from test_mount import configure, mounted_by_configuration
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    with mounted_by_configuration(world, "all") as at:
        (at / "it4i_salomon" / "home" / "b.simg").write_text("bbb")
        for source in ("it4i_salomon://home/b.simg", "../it4i_salomon/home/b.simg"):
            with fails_with(errno.EINVAL):
                write(at / "it4i_anselm" / ".register", source + "\n")
            assert "it4i_salomon" in lines(at / ".register")[-1][6]
        # In the root each source goes to its own cluster, and a removal does not know which.
        write(at / ".register", "it4i_salomon://home/b.simg\n")
        assert (images(platform, "anselm"), images(platform, "salomon")) == ({}, {"b.simg": 3})
        with fails_with(errno.EINVAL):
            write(at / ".register", "remove b.simg\n")
        write(at / "it4i_salomon" / "home" / ".register", "remove b.simg\n")
        assert images(platform, "salomon") == {}


def test_commands_for_one_image_run_one_after_the_other(home, platform, register):
    for name in ("one", "two"):
        (home / name).write_bytes(name.encode() * len(name))
        settled(home / name)
    platform.fault(operation="registerImage", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(write, register, "one a.simg\n")
        platform.wait("held", 1)
        second = pool.submit(write, register, "update two a.simg\n")
        until(lambda: [c[-1] for c in commands(home)] == ["sent", "waiting"])
        platform.control("/release")
        assert (first.result(30), second.result(30)) == (11, 18)
    assert (platform.registered / "a.simg").read_bytes() == b"twotwotwo"


def commands(mount):
    """The registrations under way that .status shows: folder, verb, source, name, since, step."""
    text = (mount / ".status").read_text()
    return [line.split("\t")[1:7] for line in text.splitlines() if line.startswith("command\t")]


def test_a_source_that_was_rewritten_is_another_command(home, platform, register):
    (home / "a.simg").write_bytes(b"one")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(write, register, "a.simg\n")
        platform.wait("held", 1)
        (home / "a.simg").write_bytes(b"second")
        second = pool.submit(write, register, "a.simg\n")
        until(lambda: len(commands(home)) == 2)
        platform.control("/release")
        assert (first.result(30), second.result(30)) == (7, 7)
    assert (platform.registered / "a.simg").read_bytes() == b"second"


def test_what_is_under_way_is_shown(mount, platform):
    root = mount("it4i_anselm://")
    (root / "home" / "a.simg").write_bytes(b"one")
    settled(root / "home" / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one = pool.submit(write, root / "home" / ".register", "register a.simg b.simg\n")
        platform.wait("held", 1)
        (folder, verb, source, name, since, step), = commands(root)
        assert (folder, verb, source, name, step) == ("home", "register", "a.simg", "b.simg", "sent")
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", since)
        platform.control("/release")
        one.result(30)
    assert commands(root) == []


# ---- after a restart ----


def begin(home, line):
    """A writer that is killed together with the daemon."""
    return subprocess.Popen(["sh", "-c", f"exec echo {line} > {home.path}/.register"], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("verb", ["", "register ", "update "])
def test_killed_while_the_platform_works(world, platform, home, verb):
    """It was sent: asked for, and not sent again; done in the end."""
    (home / "a.simg").write_bytes(b"new")
    settled(home / "a.simg")
    operation = "registerImage"
    if verb == "update ":
        (home / "old").write_bytes(b"an old one")
        write(home / ".register", "old a.simg\n")
        operation = "updateImage"
    sent = platform.counters().get(f"images.{operation}", 0)
    platform.fault(operation=operation, hold="before")
    writer = begin(home, f"{verb}a.simg")
    platform.wait("held", 1)
    home.kill()
    writer.wait(20)
    again = world.mount(platform)
    until(lambda: [c[-1] for c in commands(again)] == ["settling"])
    assert lines(again / ".register")[-1][1] == "running" and "restart" in lines(again / ".register")[-1][-1]
    platform.control("/release")
    until(lambda: commands(again) == [], timeout=40)
    assert lines(again / ".register")[-1][1] == ("updated" if verb == "update " else "registered")
    assert (platform.registered / "a.simg").read_bytes() == b"new"
    assert platform.counters()[f"images.{operation}"] == sent + 1
    # And it is over: the next run knows nothing of it.
    assert again.unmount() == 0
    assert lines(world.mount(platform) / ".register") == []


def test_killed_before_it_was_sent(world, platform, home):
    """Nothing was sent: it is now."""
    platform.fault(method="POST", path="/refissh*", hold="before")
    (home / "a.simg").write_bytes(b"image")
    writer = begin(home, "a.simg")
    until(lambda: [c[-1] for c in commands(home)] == ["uploading"])
    home.kill()
    writer.wait(20)
    platform.control("/release")
    again = world.mount(platform)
    until(lambda: lines(again / ".register") and lines(again / ".register")[-1][1] == "registered", timeout=40)
    assert images(platform) == {"a.simg": 5}


def test_killed_with_a_request_that_never_arrived(world, platform, home):
    """The platform tells no outcome in all that time: having asked, it is sent again."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", cut="before")
    platform.fault(operation="getImageInfo", hold="before", skip=1)
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    home.kill()
    writer.wait(20)
    platform.control("/release")
    again = world.mount(platform, "it4i_anselm://home", "register_timeout=1")
    until(lambda: lines(again / ".register") and lines(again / ".register")[-1][1] == "registered", timeout=40)
    assert images(platform) == {"a.simg": 5}


def test_a_removal_that_was_killed(world, platform, home):
    (home / "a.simg").write_bytes(b"image")
    write(home / ".register", "a.simg\n")
    platform.fault(operation="deleteImage", hold="before")
    writer = begin(home, "remove a.simg")
    platform.wait("held", 1)
    home.kill()
    writer.wait(20)
    platform.control("/release")
    again = world.mount(platform)
    until(lambda: lines(again / ".register") and lines(again / ".register")[-1][1] == "removed", timeout=40)
    assert images(platform) == {}


def test_an_outcome_that_never_comes(world, platform):
    """504, and no image for as long as the user allows."""
    home = world.mount(platform, "it4i_anselm://home", "register_timeout=1")
    (home / "a.simg").write_bytes(b"image")
    platform.fault(operation="registerImage", status=504, times=100)
    with fails_with(errno.ETIMEDOUT):
        write(home / ".register", "a.simg\n")
    assert platform.counters()["images.registerImage"] == 1
    assert "later" in lines(home / ".register")[-1][-1]
    platform.control("/reset")
    write(home / ".register", "a.simg\n")
    assert images(platform) == {"a.simg": 5}


def test_unmounted_during_a_wait(world, platform, home):
    """The wait ends, the command is done before the daemon ends."""
    (home / "a.simg").write_bytes(b"image")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    writer = begin(home, "a.simg")
    platform.wait("held", 1)
    subprocess.run(["fusermount3", "-u", "-z", str(home.path)], check=True)
    home.process.send_signal(signal.SIGTERM)
    writer.wait(20 * SLOW)
    platform.control("/release")
    assert home.process.wait(30 * SLOW) == 0
    assert images(platform) == {"a.simg": 5}
