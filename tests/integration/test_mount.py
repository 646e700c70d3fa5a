"""Mounting: its options, its errors with their remedies, its end; configuration and credentials."""

import contextlib
import errno
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess

import pytest

from world import (CONTROL, GSSFS, LOGIN, SLOW, Mount, attribute, fails_with, images, is_mounted, random_bytes, release,
                   settled, state, until)

SOURCE = "it4i_anselm://home"


def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# ---- help ----


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(world, option):
    result = world.gssfs(option)
    assert (result.returncode, result.stderr) == (0, "")
    for word in ("SOURCE", "MOUNTPOINT", "auth=", "gss=", "images=", "config=", "cache_dir=", "cache_size=",
                 "fsync=", "ro", "uid=", "umask=", "allow_other", "CFG_TOKEN", "fusermount3 -u"):
        assert word in result.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(world, option):
    result = world.gssfs(option)
    assert result.returncode == 0
    assert re.search(r"gssfs \d+\.\d+", result.stdout)


@pytest.mark.parametrize("arguments", [
    [], [SOURCE], [SOURCE, "/tmp", "/third"], ["-o", "nosuch=1", SOURCE, "/tmp"], ["-x", SOURCE, "/tmp"],
    ["-o", "fsync=never", SOURCE, "/tmp"], ["-o", "cache_size=lots", SOURCE, "/tmp"],
    ["-o", "umask=999", SOURCE, "/tmp"], ["-o", "uid=me", SOURCE, "/tmp"],
])
def test_wrong_usage(world, arguments):
    result = world.gssfs(*arguments)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr.startswith("gssfs: ")
    assert "--help" in result.stderr


# ---- errors before the mount, with what to do about them ----


def refused(world, server, *words, source=SOURCE, login=None, at=None, more=(), env=None, status=1):
    """gssfs must say all the words on stderr, end with the status, and leave nothing behind."""
    at = at or world.mountpoint()
    result = world.gssfs(*world.options(server, *more), source, at, login=login, env=env or {})
    assert result.returncode == status, result.stderr
    assert result.stderr.startswith("gssfs: ") and "\n" not in result.stderr.strip(), result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    assert not is_mounted(at)
    until(lambda: not list(world.daemons()), "the end of the process")
    return result.stderr


def test_no_credentials(world, platform):
    refused(world, platform, "no credentials", "CFG_TOKEN", "CFG_USERNAME", login={})


def test_half_credentials(world, platform):
    refused(world, platform, "CFG_PASSWORD", login={"CFG_USERNAME": "demo", "CFG_PROJECT": "demo"})


def test_wrong_password(world, platform):
    text = refused(world, platform, "password", login={**LOGIN, "CFG_PASSWORD": "secret-and-wrong"}, status=77)
    assert "secret-and-wrong" not in text


def test_wrong_token(world, platform):
    text = refused(world, platform, "token", login={"CFG_TOKEN": "secret-and-wrong"})
    assert "secret-and-wrong" not in text


def test_unreachable_host(world):
    refused(world, f"http://127.0.0.1:{unused_port()}", "127.0.0.1")


def test_host_that_does_not_exist(world):
    refused(world, "https://nosuch.invalid", "nosuch.invalid")


def test_no_http_to_other_hosts(world):
    refused(world, "http://198.51.100.1:1", "https", "allow_http")


def test_unknown_storage(world, platform):
    refused(world, platform, "nosuch", source="nosuch://home")


def test_unknown_folder(world, platform):
    refused(world, platform, "it4i_anselm://home/nosuch", source="it4i_anselm://home/nosuch")


def test_a_file_is_no_source(world, platform):
    (platform.home / "file").write_text("x")
    refused(world, platform, "file", source="it4i_anselm://home/file")


@pytest.mark.parametrize("source", ["", "home", "/tmp", "it4i_anselm:", "://home", "it4i_anselm://a\nb"])
def test_what_is_no_source(world, platform, source):
    at = world.mountpoint()
    result = world.gssfs(*world.options(platform), source, at)
    assert result.returncode in (1, 2) and result.stderr.startswith("gssfs: ")
    assert not is_mounted(at)


def test_mountpoint_missing(world, platform):
    refused(world, platform, "mkdir", at=world.path / "missing")


def test_mountpoint_not_empty(world, platform):
    (world.mountpoint() / "file").touch()
    refused(world, platform, "not empty", at=world.mountpoint())


def test_mountpoint_is_a_file(world, platform):
    (world.path / "file").touch()
    refused(world, platform, "not a folder", at=world.path / "file")


def test_mountpoint_in_use(world, platform, home):
    result = world.gssfs(*world.options(platform, cache="other"), SOURCE, home.path)
    assert result.returncode == 1 and "fusermount3 -u" in result.stderr
    (home / "f").write_text("the first mount lives on")
    settled(home / "f")


def test_mountpoint_with_a_dead_mount(world, platform, home):
    home.process.kill()
    home.process.wait()
    refused_text = world.gssfs(*world.options(platform), SOURCE, home.path)
    assert refused_text.returncode == 1 and "fusermount3 -u" in refused_text.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root needs no permission")
def test_allow_other_not_permitted(world, platform):
    with open("/etc/fuse.conf") as conf:
        if any(line.strip() == "user_allow_other" for line in conf):
            pytest.skip("it is permitted here")
    refused(world, platform, "user_allow_other", more=["allow_other"])


def test_every_option_is_in_the_manual(world):
    root = pathlib.Path(__file__).resolve().parents[2]
    told = world.gssfs("--help").stdout.split("mount options:")[1].split("Options that")[0]
    options = set(re.findall(r"^  (\w+)(?:=|\s|$)", told, re.M)) | {"gid", "umask"}
    assert options >= {"auth", "ro", "offline", "cache_reserve", "register_timeout"}
    manual, readme = (root / "man" / "gssfs.1").read_text(), (root / "README.md").read_text()
    for option in options:
        assert re.search(rf"^(?=\.B|\\fB).*(\b|fB){option}\b", manual, re.M), f"gssfs.1 lacks {option}"
        assert re.search(rf"^\|.*`{option}[=`]", readme, re.M), f"README lacks {option}"


@pytest.mark.skipif(os.getuid() == 0, reason="root mounts without it")
def test_fusermount3_missing(world, platform):
    empty = world.path / "bin"
    empty.mkdir()
    refused(world, platform, "fuse3", env={"PATH": str(empty)})


def test_cache_folder_that_cannot_be_made(world, platform):
    (world.path / "file").touch()
    at = world.mountpoint()
    result = world.gssfs(*world.options(platform, cache="file/below"), SOURCE, at)
    assert result.returncode == 1 and str(world.path / "file") in result.stderr


# ---- life ----


def test_background(world, platform):
    """The command comes back when the mount is up, and the daemon lets go of the terminal."""
    at = world.mountpoint()
    result = world.gssfs(*world.options(platform), SOURCE, at)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert is_mounted(at)
    (at / "f").write_text("x")
    assert os.listdir(platform.home) in ([], ["f"])
    [daemon] = world.daemons()
    assert os.getsid(daemon) == daemon or os.getpgid(daemon) != os.getpgid(0)
    assert os.readlink(f"/proc/{daemon}/cwd") == "/"
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{daemon}/fd/{fd}") == "/dev/null"
    release(at)
    until(lambda: not list(world.daemons()), "the end of the daemon", timeout=60)
    assert (platform.home / "f").read_text() == "x"


def test_relative_paths(world, platform):
    world.mountpoint()
    result = world.gssfs("-o", "cache_dir=cache," + world.options(platform, cache=None)[1], SOURCE, "mnt", cwd=world.path)
    assert result.returncode == 0, result.stderr
    (world.path / "mnt" / "f").write_text("x")
    settled(world.path / "mnt" / "f")
    assert (world.path / "cache").is_dir()


def test_no_secret_is_shown(world, platform, home):
    (home / "f").write_text("x")
    settled(home / "f")
    command = open(f"/proc/{home.pid}/cmdline").read()
    assert "demo\0" not in command and "password" not in command.lower()
    debug = world.mount(platform, "it4i_salomon://home", "debug", at="mnt2", login={"CFG_TOKEN": "preset-token"})
    (debug / "f").write_text("x")
    settled(debug / "f")
    assert debug.unmount() == 0
    assert "preset-token" not in debug.text()
    for path in (world.path / "cache").rglob("*"):
        if path.is_file():
            assert b"preset-token" not in path.read_bytes()


def test_login_by_token(world, platform):
    home = world.mount(platform, login={"CFG_TOKEN": "preset-token"})
    (home / "f").write_text("x")
    settled(home / "f")
    assert (platform.home / "f").read_text() == "x"
    assert platform.counters().get("auth.getSessionToken", 0) == 0


def test_the_cache_is_private(world, home):
    folders = list((world.path / "cache").iterdir())
    assert folders and all(path.stat().st_mode & 0o077 == 0 for path in folders)


def test_a_second_mount_is_refused_and_told_who(world, platform, home):
    second = world.gssfs(*world.options(platform), SOURCE, world.mountpoint("second"))
    assert second.returncode == 1
    for word in ("in use", str(home.path), str(home.pid)):
        assert word in second.stderr
    # Another storage is another cache.
    other = world.mount(platform, "it4i_salomon://home", at="third")
    (other / "f").write_text("x")
    settled(other / "f")


def stop_post(at, result):
    """What systemd runs when the unit has ended, and how."""
    unit = pathlib.Path(__file__).parents[2] / "systemd" / "gssfs@.service.in"
    line = re.search(r"^ExecStopPost=-(.*)$", unit.read_text(), re.M).group(1).replace("@fusermount@", "fusermount3")
    words = [w.replace("${MOUNTPOINT}", str(at)).replace("$$", "$") for w in shlex.split(line)]
    subprocess.run(words, env=os.environ | {"MOUNTPOINT": str(at), "SERVICE_RESULT": result}, check=False)


def test_the_unit_takes_a_dead_mount_away_and_no_other(home):
    """It could not start, since something is mounted there: that goes on."""
    (home / "f").write_text("x")
    stop_post(home.path, "exit-code")
    assert is_mounted(home.path)
    home.process.kill()
    home.process.wait()
    stop_post(home.path, "signal")
    assert not is_mounted(home.path)


def test_a_mount_takes_over_what_its_predecessor_still_sends(world, platform, home):
    platform.fault(method="POST", path="*/f", hold="before", times=1)
    (home / "f").write_text("x")
    platform.wait("held", 1)
    release(home.path)
    until(lambda: not is_mounted(home.path))
    again = world.mount(platform)
    assert home.process.wait(30 * SLOW) in (0, 1)
    assert (again / "f").read_text() == "x"
    platform.control("/release")
    settled(again / "f")
    assert (platform.home / "f").read_text() == "x"


def test_a_mount_takes_over_its_storage_alone(world, platform):
    """What its predecessor still sends to others goes on, registrations too."""
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    both = Mount(world, "all", world.mountpoint(), ["-o", f"cache_dir={world.path / 'cache'}"], world.environment)
    world.mounts.append(both)
    names = ("anselm", "salomon")
    platform.fault(method="POST", path="*.simg", hold="before", times=2)
    for name in names:
        home = both / f"it4i_{name}" / "home"
        (home / f"{name}.simg").write_text(name)
        writer = subprocess.Popen(["sh", "-c", f"echo {name}.simg > .register"], cwd=home)
        until(lambda: f"{name}.simg" in (both / ".status").read_text().partition("command\t")[2])
        writer.terminate()
        writer.wait()
    platform.wait("held", 2)
    release(both.path)
    one = world.mount(platform, SOURCE, at="one")
    assert both.process.poll() is None, "it has something left to send"
    assert (one / "anselm.simg").read_text() == "anselm"
    platform.control("/release")
    assert both.process.wait(30 * SLOW) == 1, "not everything is there"
    assert images(platform, "salomon") == {"salomon.simg": 7}
    settled(one / "anselm.simg")
    until(lambda: images(platform, "anselm") == {"anselm.simg": 6})
    assert one.unmount() == 0


def test_the_mount_comes_up_offline(world, platform, home):
    """With a journal it needs nobody; without one it cannot."""
    (home / "d").mkdir()
    (home / "d" / "f").write_text("known")
    settled(home / "d" / "f")
    assert os.listdir(home / "d") == ["f"]
    assert home.unmount() == 0
    assert platform.stop() == 0
    again = world.mount(platform)
    until(lambda: "without the service" in again.text(), "the note that it is offline")
    # What the service would have to confirm is told to be out of reach, never to be missing.
    try:
        assert (again / "d" / "f").read_text() == "known"
    except OSError as error:
        assert error.errno in (errno.EHOSTUNREACH, errno.EIO, errno.ETIMEDOUT)
    (again / "d" / "new").write_text("made offline")
    assert state(again / "d" / "new") != "clean"
    back = world.server("--port", str(platform.port))
    settled(again / "d" / "new", timeout=60)
    assert (back.home / "d" / "new").read_text() == "made offline"


def test_offline_without_a_journal(world, platform):
    assert platform.stop() == 0
    refused(world, platform, "127.0.0.1")


def test_a_rejected_password_is_no_reason_to_come_up(world, platform, home):
    (home / "f").write_text("x")
    settled(home / "f")
    assert home.unmount() == 0
    refused(world, platform, "password", login={**LOGIN, "CFG_PASSWORD": "wrong"}, status=77)


def test_read_only(world, platform):
    (platform.home / "f").write_text("x")
    home = world.mount(platform, SOURCE, "ro")
    assert (home / "f").read_text() == "x"
    for change in (lambda: (home / "new").touch(), lambda: (home / "f").write_text("y"), lambda: (home / "d").mkdir(),
                   lambda: os.unlink(home / "f"), lambda: os.rename(home / "f", home / "g"),
                   lambda: os.truncate(home / "f", 0), lambda: os.utime(home / "f")):
        with fails_with(errno.EROFS):
            change()
    assert (platform.home / "f").read_text() == "x"


def test_what_mount_8_and_fstab_pass(world, platform):
    home = world.mount(platform, SOURCE, "rw,nosuid,nodev,noatime,_netdev,noauto,x-systemd.automount,nofail,user")
    (home / "f").write_text("x")
    settled(home / "f")


@pytest.mark.skipif(os.getuid() != 0, reason="mount(8) needs root")
def test_mount_8(world, platform):
    at = world.mountpoint()
    # What mount(8) starts for `mount -t fuse.gssfs` and a line of fstab.
    helper = ["mount.fuse3", SOURCE, at, "-o", "rw,nodev,nosuid,_netdev," + world.options(platform)[1], "-t", "fuse.gssfs"]
    world.run(*helper, env={**LOGIN, "PATH": f"{os.path.dirname(GSSFS)}:/usr/sbin:/sbin:/usr/bin:/bin"})
    assert is_mounted(at)
    (at / "f").write_text("x")
    settled(at / "f")
    world.run("umount", at)
    until(lambda: not list(world.daemons()), "the end of the daemon")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_home_that_is_not_the_users_own(world, platform):
    """Where mount(8) has taken HOME away mount.fuse3 says /root."""
    world.user_home.chmod(0)
    refused(world, platform, "user name, password or project", login=LOGIN | {"CFG_PASSWORD": "wrong"}, status=77)


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a loop device")
def test_a_squashfs_from_the_mount(world, home):
    """An image can be used where it lies."""
    (world.path / "root").mkdir()
    (world.path / "root" / "hello").write_text("from the image\n")
    world.run("mksquashfs", world.path / "root", world.path / "a.simg", "-quiet", "-no-progress", env={"PATH": os.environ["PATH"] + ":/usr/sbin"})
    world.run("cp", world.path / "a.simg", home.path)
    settled(home / "a.simg")
    inside = world.mountpoint("inside")
    result = world.run("mount", "-t", "squashfs", "-o", "loop,ro", home / "a.simg", inside, check=False)
    if result.returncode != 0:
        pytest.skip(f"no squashfs or no loop devices here: {result.stderr}")
    try:
        assert (inside / "hello").read_text() == "from the image\n"
    finally:
        world.run("umount", inside)


# ---- configuration ----


def configure(world, server, *, storages=("it4i_anselm",), mode=0o600, credentials=LOGIN, extra=""):
    folder = world.user_home / ".config" / "gssfs"
    folder.mkdir(parents=True, exist_ok=True)
    text = f"[platform]\nauth={server.base}/authManager/AuthManager?wsdl\ngss={server.base}/gss-0.1/FileUtilities?wsdl\n{extra}\n"
    for storage in storages:
        cluster = storage.removeprefix("it4i_")
        text += f"[storage {storage}]\n"
        if storage.startswith("it4i_"):
            text += f"images={server.base}/hpc-4-{cluster}/Images?wsdl\n"
    (folder / "gssfs.conf").write_text(text)
    write_credentials(world, credentials, mode)


def write_credentials(world, credentials, mode=0o600):
    path = world.user_home / ".config" / "gssfs" / "credentials"
    text = "[credentials]\n" + "".join(f"{k.removeprefix('CFG_').lower()}={v}\n" for k, v in credentials.items())
    path.unlink(missing_ok=True)
    path.touch(mode)
    path.chmod(mode)
    path.write_text(text)


@contextlib.contextmanager
def mounted_by_configuration(world, source=SOURCE, *options):
    at = world.mountpoint()
    result = world.gssfs(*options, source, at, login={})
    assert result.returncode == 0, result.stderr
    yield at
    release(at)
    until(lambda: not list(world.daemons()), "the end of the daemon", timeout=60)


def test_configuration_and_credentials_of_the_user(world, platform):
    configure(world, platform)
    with mounted_by_configuration(world) as at:
        (at / "a.simg").write_text("x")
        (at / ".register").write_text("a.simg\n")
        assert images(platform) == {"a.simg": 1}
    state_folder = world.user_home / ".local" / "state" / "gssfs"
    assert state_folder.is_dir() and state_folder.stat().st_mode & 0o077 == 0


def test_credentials_that_others_may_read(world, platform):
    configure(world, platform, mode=0o644)
    result = world.gssfs(SOURCE, world.mountpoint(), login={})
    assert result.returncode == 1
    assert "chmod 600" in result.stderr and "credentials" in result.stderr


def test_the_environment_wins(world, platform):
    configure(world, platform, credentials={**LOGIN, "CFG_PASSWORD": "wrong"})
    at = world.mountpoint()
    assert world.gssfs(SOURCE, at, login={}).returncode == 77
    assert world.gssfs(SOURCE, at, login=LOGIN).returncode == 0
    (at / "f").write_text("x")
    settled(at / "f")


@pytest.mark.parametrize("text, word", [("[platform]\nath=x\n", "ath"), ("[plattform]\n", "plattform"),
                                        ("no key file", "gssfs.conf"), ("[platform]\nallow_http=perhaps\n", "allow_http"),
                                        ("[platform]\nauth=ftp://x/\n", "ftp")])
def test_mistakes_in_the_configuration_are_told(world, platform, text, word):
    configure(world, platform)
    (world.user_home / ".config" / "gssfs" / "gssfs.conf").write_text(text)
    result = world.gssfs(SOURCE, world.mountpoint(), login={})
    assert result.returncode == 1 and word in result.stderr


def test_credentials_that_change_are_read_again(world, platform):
    """The token died and the password was changed: the mount waits, and goes on when it gets the new one."""
    configure(world, platform, credentials={"CFG_TOKEN": "preset-token"})
    with mounted_by_configuration(world) as at:
        (at / "before").write_text("x")
        settled(at / "before")
        platform.control("/revoke")
        (at / "after").write_text("y")
        until(lambda: "user.gss.error" in os.listxattr(at / "after"))
        assert state(at / "after") in ("dirty", "uploading")
        write_credentials(world, LOGIN)
        settled(at / "after", timeout=90)
    assert (platform.home / "after").read_text() == "y"


def test_after_the_login_folders_are_there_at_once(world, platform):
    """Not only when their last failure is old enough to be asked about again."""
    configure(world, platform, credentials={"CFG_TOKEN": "preset-token"})
    (platform.home / "f").touch()
    with mounted_by_configuration(world) as at:
        assert "f" in os.listdir(at)
        platform.control("/revoke")
        (at / ".status").write_text("refresh\n")
        with fails_with(errno.EKEYREJECTED, errno.ENOKEY):
            os.listdir(at)
        write_credentials(world, LOGIN)
        (at / ".status").write_text("login\n")
        assert "f" in os.listdir(at)


def test_all_storages(world, platform):
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    with mounted_by_configuration(world, "all") as at:
        assert sorted(set(os.listdir(at)) - CONTROL) == ["it4i_anselm", "it4i_salomon"]
        (at / "it4i_anselm" / "home" / "a.simg").write_text("aa")
        (at / "it4i_salomon" / "home" / "b.simg").write_text("bbb")
        (at / "it4i_anselm" / "home" / ".register").write_text("a.simg\n")
        (at / ".register").write_text("it4i_salomon/home/b.simg\n")
        assert images(platform, "anselm") == {"a.simg": 2}
        assert images(platform, "salomon") == {"b.simg": 3}
        assert attribute(at / "it4i_salomon" / "home", "uri") == "it4i_salomon://home"
        with fails_with(errno.EXDEV):
            os.rename(at / "it4i_anselm" / "home" / "a.simg", at / "it4i_salomon" / "home" / "a.simg")
        for change in (lambda: (at / "new").mkdir(), lambda: (at / "new").touch(), lambda: os.rmdir(at / "it4i_anselm")):
            with fails_with(errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTEMPTY, errno.EBUSY):
                change()


def test_a_storage_that_cannot_be_reached_does_not_keep_away_the_others(world, platform):
    configure(world, platform, storages=("it4i_anselm", "nosuch"))
    at = world.mountpoint()
    result = world.gssfs("all", at, login={})
    assert result.returncode == 0 and "nosuch" in result.stderr
    assert "it4i_anselm" in os.listdir(at)


def test_sigint_in_the_foreground(world, platform, home):
    (home / "f").write_bytes(random_bytes(100_000))
    home.process.send_signal(signal.SIGINT)
    assert home.process.wait(30 * SLOW) == 0
    assert not is_mounted(home.path)
    assert (platform.home / "f").read_bytes() == random_bytes(100_000)


def test_sigint_while_nothing_is_mounted_yet(world):
    """Ctrl-C at a command that waits for a silent service ends it, and not only its half in the foreground."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([GSSFS, *world.options(base), SOURCE, str(world.mountpoint())],
                                   env=world.environment | LOGIN, start_new_session=True)
        with silent.accept()[0]:
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(30 * SLOW) == -signal.SIGINT  # and not because nothing was answered
            until(lambda: not list(world.daemons()), "the end of the process")


@pytest.mark.parametrize("option", [[], ["-f"]], ids=["background", "foreground"])
def test_standard_streams_that_are_closed(world, platform, option):
    """What is opened first must not be taken for one of them: messages would go into files of the cache."""
    at = world.mountpoint()
    words = [GSSFS, *option, *world.options(platform), SOURCE, str(at)]
    process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], env=world.environment | LOGIN)
    until(lambda: is_mounted(at) or process.poll() not in (None, 0), "the mount")
    assert is_mounted(at)
    assert option or process.wait(30 * SLOW) == 0
    pid = process.pid if option else next(world.daemons())
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
    (at / "f").write_text("x")
    settled(at / "f")
    release(at)
    assert not option or process.wait(30 * SLOW) == 0
