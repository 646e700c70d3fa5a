""".status: what is on its way, and commands about it."""

import concurrent.futures
import errno
import os
import re
import select
import threading
import time

import pytest

from world import SLOW, fails_with, random_bytes, settled, state, until

MIB = 1 << 20
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def unescape(field):
    return re.sub(rb"\\([0-3][0-7]{2})", lambda octal: bytes([int(octal.group(1), 8)]), field.encode()).decode()


def records(mount, kind=None):
    """The lines of .status: lists of fields; of one kind without that."""
    text = (mount / ".status").read_text()
    assert text.endswith("\n") and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
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
    awkward = "sub/a\\b\tc\nd\x7f\u0085"
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


def test_names_write_no_lines_of_the_log(home, platform):
    platform.fault(method="POST", path="/refissh*", status=503, times=1)
    (home / "a\ngssfs: forged\u009b").write_text("x")
    settled(home / "a\ngssfs: forged\u009b")
    until(lambda: "a\\012gssfs: forged\\302\\233" in home.text())
    assert not re.search("\ngssfs: forged|\u009b", home.text())


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


def test_no_rate_without_a_login(world, platform, by_file):
    platform.set(bandwidth=MIB)
    (by_file / "big").write_bytes(random_bytes(8 * MIB))
    until(lambda: int(records(by_file, "pending")[0][2]) > 0)
    die(platform, by_file)
    (_, left, rate, end, *_), = records(by_file, "pending")
    assert session(by_file)[0] == "missing" and int(left) > 0 and (rate, end) == ("0", "-")
    platform.set(bandwidth=0)


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


# ---- commands ----


def command(mount, *lines):
    """One write(2) of these lines."""
    text = "".join(line + "\n" for line in lines).encode()
    fd = os.open(mount / ".status", os.O_WRONLY)
    try:
        assert os.write(fd, text) == len(text)
    finally:
        os.close(fd)


def park(platform, name, method="POST"):
    platform.fault(method=method, path=f"/refissh*/{name}", status=400, times=10_000)


@pytest.mark.parametrize("line", ["discard", "discard a b", "retry a b", "login a", "refresh a b", "eat f", "'", "discard ''",
                                  "discard /etc/passwd", "discard ../f"])
def test_lines_that_mean_nothing(home, line):
    (home / "f").write_bytes(b"x")
    with fails_with(errno.EINVAL):
        command(home, line)
    assert (home / "f").read_bytes() == b"x"


def test_comments_and_blank_lines(home):
    command(home, "# discard f", "", "   ", "refresh # all")


def test_retry_what_is_parked(home, platform):
    for name in ("one", "two"):
        park(platform, name)
        (home / name).write_bytes(name.encode())
    until(lambda: {file[0] for file in files(home).values()} == {"failed"})
    platform.control("/reset")
    command(home, "retry one")
    settled(home / "one")
    assert files(home)["two"][0] == "failed"
    command(home, "retry")
    settled(home / "two")
    assert (platform.home / "two").read_bytes() == b"two"
    command(home, "retry one")  # is there already
    with fails_with(errno.ENOENT):
        command(home, "retry three")


def test_retry_does_not_wait_for_its_turn(home, platform):
    platform.fault(method="POST", path="/refissh*/f", status=503, times=10_000)
    (home / "f").write_bytes(b"x")
    until(lambda: int(files(home)["f"][3]) >= 3)
    platform.control("/reset")
    command(home, f"retry {home.path}/f")
    settled(home / "f")


def test_discard_what_was_never_there(home, platform):
    park(platform, "new")
    (home / "new").write_bytes(b"x")
    until(lambda: files(home)["new"][0] == "failed")
    command(home, "discard new")
    assert not (home / "new").exists() and "new" not in os.listdir(home.path) and not files(home)
    with fails_with(errno.ENOENT):
        command(home, "discard new")
    platform.control("/reset")
    (home / "new").write_bytes(b"again")
    settled(home / "new")
    assert (platform.home / "new").read_bytes() == b"again"
    assert home.unmount() == 0


def test_discard_goes_back_to_the_version_on_gss(world, home, platform):
    data = random_bytes(300_000)
    (home / "f").write_bytes(data)
    settled(home / "f")
    park(platform, "f", "PUT")
    (home / "f").write_bytes(b"mistake")
    until(lambda: files(home)["f"][0] == "failed")
    assert (home / "f").read_bytes() == b"mistake"
    with open(home / "f", "rb") as reader:
        command(home, "discard f")
        assert (home / "f").stat().st_size == len(data)
        assert (home / "f").read_bytes() == data
        assert os.pread(reader.fileno(), len(data), 0) == data
    assert not files(home) and state_of(home / "f") == "clean"
    with fails_with(errno.ENODATA):
        command(home, "discard f")
    # And it stays so.
    home.kill()
    again = world.mount(platform)
    assert not files(again) and (again / "f").read_bytes() == data


def state_of(path):
    return os.getxattr(path, "user.gss.state").decode()


def test_discard_during_the_upload(home, platform):
    (home / "f").write_bytes(b"first")
    settled(home / "f")
    platform.set(bandwidth=MIB)
    data = random_bytes(20 * MIB)
    (home / "f").write_bytes(data)
    (home / "new").write_bytes(data)
    until(lambda: all(int(file[1]) > 0 for file in files(home).values()) and len(files(home)) == 2)
    command(home, "discard f", "discard new")
    platform.set(bandwidth=0)
    assert not files(home)
    assert (home / "f").read_bytes() == b"first" == (platform.home / "f").read_bytes()
    assert not (home / "new").exists() and not (platform.home / "new").exists()


def test_discard_of_what_is_being_written(home, platform):
    with open(home / "f", "wb", buffering=0) as file:
        file.write(b"precious")
        with fails_with(errno.EBUSY):
            command(home, "discard f")
    settled(home / "f")
    assert (platform.home / "f").read_bytes() == b"precious"


def test_discard_of_what_is_being_closed(home, platform):
    """close() returns before the daemon hears of it; whoever stays open is refused."""
    platform.fault(method="POST", path="/refissh*", status=503, times=1000)
    fd = os.open(home / "f", os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(fd, b"mistake")
    os.close(os.dup(fd))  # flushes
    with fails_with(errno.EBUSY):
        command(home, "discard f")
    closing = threading.Timer(0.3, os.close, (fd,))
    closing.start()
    command(home, "discard f")
    closing.join()
    assert not (home / "f").exists() and not (platform.home / "f").exists()


def test_discard_of_a_folder_or_of_nothing(home):
    (home / "d").mkdir()
    with fails_with(errno.EISDIR):
        command(home, "discard d")
    with fails_with(errno.EISDIR, errno.EINVAL):
        command(home, "discard .")


def test_discard_of_a_rename(home, platform):
    (home / "old").write_bytes(b"content")
    settled(home / "old")
    park(platform, "new")
    os.rename(home / "old", home / "new")
    until(lambda: "new" in files(home) and files(home)["new"][0] == "failed")
    assert not (home / "old").exists()
    command(home, "discard new")
    assert not (home / "new").exists() and (home / "old").read_bytes() == b"content"
    assert "old" in os.listdir(home.path) and not files(home)
    assert home.unmount() == 0
    assert os.listdir(platform.home) == ["old"]


def test_discard_without_the_service(world, home, platform):
    (home / "f").write_bytes(b"there")
    settled(home / "f")
    assert platform.stop() == 0
    (home / "f").write_bytes(b"mistake")
    (home / "new").write_bytes(b"mistake too")
    command(home, "discard f", "discard new")
    assert not files(home)
    back = world.server("--port", str(platform.port))
    until(lambda: (home / "f").read_bytes() == b"there", timeout=60)
    assert os.listdir(back.home) == ["f"]


def test_refresh(home, platform):
    (home / "d").mkdir()
    assert os.listdir(home / "d") == [] and (home / "d").exists()
    (platform.home / "d" / "new").write_bytes(b"x")
    (platform.home / "here").write_bytes(b"x")
    assert os.listdir(home / "d") == []  # known for some seconds
    command(home, "refresh d")
    assert os.listdir(home / "d") == ["new"]
    (platform.home / "d" / "new").write_bytes(b"longer")
    command(home, "refresh")
    assert (home / "here").exists() and (home / "d" / "new").stat().st_size == 6
    with fails_with(errno.ENOENT):
        command(home, "refresh nothing")


def test_commands_in_a_storage_of_all(world, platform):
    from test_mount import configure, mounted_by_configuration
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    with mounted_by_configuration(world, "all") as at:
        park(platform, "f")
        (at / "it4i_salomon" / "home" / "f").write_bytes(b"x")
        until(lambda: files(at) and files(at)["it4i_salomon/home/f"][0] == "failed")
        command(at, "refresh it4i_salomon", "refresh it4i_salomon/home", "refresh .")
        command(at, "discard it4i_salomon://home/f")
        assert not files(at)


def test_progress(home, platform):
    platform.fault(method="POST", path="/refissh*", hold="before")
    (home / "f").write_bytes(b"12345")
    platform.wait("held", 1)
    done, total = map(int, os.getxattr(home / "f", "user.gss.progress").split())
    assert 0 <= done <= total == 5
    platform.control("/release")
    settled(home / "f")
    assert os.getxattr(home / "f", "user.gss.progress") == b"5 5"


# ---- the session ----


def session(mount):
    """state, user, project, valid until, message."""
    line, = records(mount, "session")
    return line


def test_the_session(home):
    state, user, project, valid, message = session(home)
    assert (state, user, project, message) == ("ok", "demo", "demo", "-") and TIME.match(valid)


@pytest.fixture
def by_file(world, platform):
    """A mount whose credentials are in the file: a ready token."""
    from test_mount import configure
    configure(world, platform, credentials={"CFG_TOKEN": "preset-token"})
    mount = world.mount(platform, "it4i_anselm://home", login={})
    (mount / "before").write_bytes(b"x")
    settled(mount / "before")
    return mount


def die(platform, mount, name="f"):
    """The token dies, and something finds that out."""
    platform.control("/revoke")
    (mount / name).write_bytes(b"waits")
    until(lambda: session(mount)[0] == "missing")


def test_a_pause_for_want_of_credentials(world, platform, by_file):
    """It is said once, costs no tries, and ends by itself when there are new credentials."""
    from test_mount import LOGIN, write_credentials
    assert session(by_file)[0] == "ok"
    for i in range(30):
        platform.control("/revoke") if i == 0 else None
        (by_file / f"f{i}").write_bytes(b"waits")
    until(lambda: session(by_file)[0] == "missing" and "wait for credentials" in by_file.text())
    assert session(by_file)[-1] != "-"
    assert {file[3] for file in files(by_file).values()} == {"0"} and len(files(by_file)) == 30
    assert by_file.text().count("wait for credentials") == 1
    assert records(by_file, "pending")[0][4] == "0", "nothing is parked"
    write_credentials(world, LOGIN)
    until(lambda: not files(by_file))
    assert session(by_file)[:3] == ["ok", "demo", "demo"]
    assert "uploads go on" in by_file.text()


@pytest.mark.parametrize("what", ["unsafe", "half written", "unspeakable"])
def test_a_pause_for_credentials_that_cannot_be_used(world, platform, by_file, what):
    """No fault of the files that wait."""
    from test_mount import LOGIN, write_credentials
    path = world.user_home / ".config" / "gssfs" / "credentials"
    if what == "unspeakable":
        write_credentials(world, LOGIN | {"CFG_PASSWORD": "\x01"})
    elif what == "unsafe":
        path.chmod(0o644)
    else:
        path.write_text("[creden")
    platform.control("/revoke")
    (by_file / "f").write_bytes(b"waits")
    until(lambda: "wait for credentials" in by_file.text())
    assert session(by_file)[0] == ("rejected" if what == "unspeakable" else "missing")
    assert state(by_file / "f") == "dirty"
    write_credentials(world, LOGIN)
    settled(by_file / "f")


def test_login(world, platform, by_file):
    from test_mount import LOGIN, write_credentials
    die(platform, by_file)
    with fails_with(errno.ENOKEY):
        command(by_file, "login")
    write_credentials(world, LOGIN | {"CFG_PASSWORD": "wrong"})
    until(lambda: session(by_file)[0] == "rejected")
    with fails_with(errno.EKEYREJECTED):
        command(by_file, "login")
    write_credentials(world, LOGIN)
    command(by_file, "login")
    assert session(by_file)[0] == "ok"
    settled(by_file / "f")


def test_waiting_for_an_upload_without_a_login(world, platform, by_file):
    """Who waits is told why soon; a login that is just coming counts."""
    from test_mount import LOGIN, write_credentials
    die(platform, by_file)

    def waiters(code):
        def sync():
            with open(by_file / "f") as file, fails_with(code):
                os.fsync(file.fileno())

        def register():
            with fails_with(code):
                (by_file / ".register").write_text("f f.simg\n")

        with concurrent.futures.ThreadPoolExecutor() as pool:
            began = time.monotonic()
            for waiter in [pool.submit(sync), pool.submit(register)]:
                waiter.result(100 * SLOW)
            assert 4 < time.monotonic() - began < 30 * SLOW

    waiters(errno.ENOKEY)
    assert "nobody is logged in" in (by_file / ".register").read_text().splitlines()[-1]
    assert list(files(by_file)) == ["f"]
    write_credentials(world, LOGIN | {"CFG_PASSWORD": "wrong"})
    until(lambda: session(by_file)[0] == "rejected")
    waiters(errno.EKEYREJECTED)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiter = pool.submit((by_file / ".register").write_text, "f f.simg\n")
        time.sleep(1)  # well within the 5 s for which a login may be on its way
        write_credentials(world, LOGIN)
        assert waiter.result(30 * SLOW)


def test_login_takes_up_new_credentials_while_the_old_ones_live(world, platform, by_file):
    from test_mount import LOGIN, write_credentials
    write_credentials(world, LOGIN)
    assert session(by_file)[3] == "-"  # nobody knows when a ready token ends
    command(by_file, "login")
    assert TIME.match(session(by_file)[3])


@pytest.mark.parametrize("how", ["token", "password"])
def test_a_token_of_another_project_swapped_in(world, how):
    """Bytes of one project never go to another."""
    from test_mount import LOGIN, configure, write_credentials
    platform = world.server("--user", "demo:demo", "--user", "eve:secret:other")
    configure(world, platform, credentials={"CFG_TOKEN": "preset-token"})
    mount = world.mount(platform, "it4i_anselm://home", login={})
    (mount / "before").write_bytes(b"x")
    settled(mount / "before")
    die(platform, mount)
    eve = {"CFG_USERNAME": "eve", "CFG_PROJECT": "other", "CFG_PASSWORD": "secret"}
    token = platform.auth.getSessionToken(username="eve", password="secret", project="other")
    write_credentials(world, {"CFG_TOKEN": token} if how == "token" else eve)
    until(lambda: session(mount)[0] == "rejected")
    assert "other" in session(mount)[-1] and "demo" in session(mount)[-1]
    with fails_with(errno.EKEYREJECTED):
        command(mount, "login")
    assert list(files(mount)) == ["f"]
    write_credentials(world, LOGIN)
    settled(mount / "f")
    assert not [r for r in platform.log() if r.get("project") == "other" and r["method"] == "POST" and "/refissh" in r["path"]]
    assert list(platform.root.rglob("f")) == [mount_home(platform) / "f"]


def mount_home(platform):
    return next(p for p in platform.root.rglob("home") if (p / "before").exists())


def test_a_platform_that_is_gone(world, platform, home):
    assert platform.stop() == 0
    (home / "f").write_bytes(b"x")
    until(lambda: session(home)[0] == "offline")
    assert session(home)[-1] != "-"
    world.server("--port", str(platform.port))
    command(home, "retry")
    settled(home / "f")
    assert session(home)[0] == "ok"
