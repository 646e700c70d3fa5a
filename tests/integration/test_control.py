"""Rubbish for .register, .status and .images: each refuses it with an error, and goes on."""

import concurrent.futures
import contextlib
import errno
import os
import resource
import subprocess
import threading

import pytest

from world import SLOW, fails_with, images, random_bytes, settled, until

MIB = 1 << 20
FILES = [".register", ".status"]
# (what is written, what comes of it: an errno, or the number of bytes that were taken)
RUBBISH = {
    "a line of 1 MiB": (b"x" * MIB + b"\n", errno.EINVAL),
    "a line of 1 MB": (b"x" * 999_999 + b"\n", errno.EINVAL),
    "1 MB without a newline": (b"x" * 1_000_000, errno.EINVAL),
    "a line one too long": (b"x" * 4097 + b"\n", errno.EINVAL),
    "a comment of 1 MB": (b"#" * 1_000_000 + b"\n", errno.EINVAL),
    "thousands of lines": (b"f\n" * 5000, errno.EINVAL),
    "thousands of comments": (b"#\n" * 1001, errno.EINVAL),
    "as many comments as may be": (b"#\n" * 1000, 2000),
    "blank lines": (b"\n" * 1000, 1000),
    "the longest comment": (b"#" * 4096 + b"\n", 4097),
    "NULs": (b"\0" * 100 + b"\n", errno.EINVAL),
    "a NUL behind a line": (b"f\n\0\n", errno.EINVAL),
    "1 MB of NULs": (b"\0" * 1_000_000, errno.EINVAL),
    "Latin 1": ("Prüfstand.simg\n".encode("latin-1"), errno.EINVAL),
    "half a character": ("Prüf".encode()[:3] + b"\n", errno.EINVAL),
    "a surrogate": (b"\xed\xa0\x80\n", errno.EINVAL),
    "noise": (random_bytes(100_000) + b"\n", errno.EINVAL),
    "an image": (b"hsqs" + random_bytes(200_000), errno.EINVAL),
    "no newline": (b"f", errno.EINVAL),
    "no newline behind a line": (b"f\nf", errno.EINVAL),
    "an open quote": (b"'f\n", errno.EINVAL),
    "quotes across lines": (b"'f\n'\n", errno.EINVAL),
    "a backslash at the end": (b"f\\\n", errno.EINVAL),
    "ten words": (b"a b c d e f g h i j\n", errno.EINVAL),
    "nothing between quotes": (b"''\n", errno.EINVAL),
}


def write(path, text):
    """One write(2); what it returns, or the errno. After a short write close(2) tells of the failure."""
    fd = os.open(path, os.O_WRONLY)
    try:
        outcome = os.write(fd, text)
    except OSError as error:
        outcome = error.errno
    try:
        os.close(fd)
    except OSError as error:
        assert 0 < outcome < len(text)
        return outcome, error.errno
    return outcome


def sent(platform):
    """Requests to the platform so far."""
    return len(platform.log())


def is_well(home, platform):
    """Each control file still does its work."""
    (home / "f.simg").write_bytes(b"content")
    assert write(home / ".register", b"f.simg\n") == 7
    assert images(platform) == {"f.simg": 7} and os.listdir(home / ".images") == ["f.simg"]
    assert write(home / ".register", b"remove f.simg\n") == 14 and not images(platform)
    assert write(home / ".status", b"refresh f.simg\n") == 15
    for name in FILES:
        text = (home / name).read_bytes()
        assert text.endswith(b"\n") and len(text) < 300_000
        assert all(byte >= 32 or byte in b"\t\n" for byte in text), "it is shown on terminals"
        text.decode()


def speaks_plainly(world):
    """Nothing of it reaches a terminal through the log."""
    for name, text in world.logs():
        assert len(text) < 300_000, name
        assert all(char >= " " or char in "\t\n" for char in text), name


@pytest.mark.parametrize("name", FILES)
def test_rubbish(world, home, platform, name):
    is_well(home, platform)
    before = sent(platform)
    for what, (text, outcome) in RUBBISH.items():
        assert write(home / name, text) == outcome, what
    assert sent(platform) == before, "nothing of it is for the platform"
    is_well(home, platform)
    speaks_plainly(world)


@pytest.mark.parametrize("text, code", [
    ("\x1b[2J\x1b[1;31m.simg", errno.EINVAL), ("a\tb", errno.EINVAL), ("f\r", errno.EINVAL), ("\u202efgmis.simg", errno.EINVAL),
    ("x" * 256, errno.EINVAL), ("x" * 4000, errno.EINVAL), ("../f", errno.EINVAL), ("/etc/passwd", errno.EINVAL),
    ("it4i_anselm://home/f", errno.EINVAL), ("-rf", errno.EINVAL), ("$(id)", errno.EINVAL), ("`id`", errno.EINVAL),
    ("<a>&amp;</a>", errno.EINVAL), ("]]>", errno.EINVAL), ("%00", errno.EINVAL), ("f;id", errno.EINVAL), ("*", errno.EINVAL)],
    ids=lambda value: repr(value)[:20] if isinstance(value, str) else "")
def test_names_of_images(world, home, platform, text, code):
    (home / "f").write_bytes(b"content")
    settled(home / "f")
    before = sent(platform)
    quoted = "'" + text + "'"
    for line in (f"f {quoted}", f"register f {quoted}", f"update f {quoted}", f"remove {quoted}"):
        assert write(home / ".register", line.encode() + b"\n") == code, line
    assert sent(platform) == before
    is_well(home, platform)
    speaks_plainly(world)


@pytest.mark.parametrize("text", [
    "../../../../etc/passwd", "/etc/passwd", "/", ".", "..", "f/../../f", "f/", "f/f", "//", "it4i_anselm://", "it4i_anselm://../f", "elsewhere://f",
    "it4i_anselm://home/../../x", "file:///etc/passwd", "http://127.0.0.1/f", "x" * 256, "d/" * 1000 + "f", "\x1b[2J", "%2e%2e/f",
    ".register", ".status", ".images", ".images/f", "-", "://", ":"])
def test_paths(world, home, platform, text):
    """Whatever does not lead to a file of this mount is refused, by each command that takes a path."""
    (home / "f").write_bytes(b"content")
    settled(home / "f")
    for name, verb in ((".register", ""), (".register", "register "), (".status", "discard "), (".status", "retry ")):
        line = f"{verb}'{text}'{' i.simg' if name == '.register' else ''}\n".encode()
        outcome = write(home / name, line)
        if verb == "retry " and text in (".", "f/"):  # the mount, and the file
            assert outcome == len(line)
            continue
        assert outcome in (errno.EINVAL, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENODATA, errno.EXDEV, errno.ENAMETOOLONG,
                           errno.EACCES), (verb, os.strerror(outcome))
    assert not images(platform) and (home / "f").read_bytes() == b"content"
    is_well(home, platform)
    speaks_plainly(world)


@pytest.mark.parametrize("name", FILES)
def test_calls_that_make_no_sense(home, platform, name):
    path = home / name
    (home / "f").write_bytes(b"content")
    settled(home / "f")
    before = path.stat()
    for fd in (os.open(path, os.O_RDWR | os.O_APPEND | os.O_TRUNC),):
        assert os.write(fd, b"") == 0
        assert os.write(fd, b"# a comment\n") == 12
        with contextlib.suppress(OSError):  # it has no end; what counts is that nothing comes of it
            os.ftruncate(fd, 1 << 40)
        with contextlib.suppress(OSError):
            os.posix_fallocate(fd, 0, MIB)
        assert os.pread(fd, 100, 1 << 40) == b""
        assert os.pwrite(fd, b"# anywhere\n", 1 << 30) == 11
        os.fsync(fd)
        os.close(fd)
    subprocess.run(["truncate", "-s", "1G", path], capture_output=True)
    for change in (path.unlink, lambda: path.chmod(0o777), lambda: path.rename(home / "mine"), lambda: os.rename(home / "f", path),
                   lambda: os.link(path, home / "mine"), lambda: os.link(home / "f", path), lambda: os.symlink("f", path),
                   lambda: os.mkdir(path), lambda: os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY), lambda: os.listdir(path),
                   lambda: os.setxattr(path, "user.mine", b"1"), lambda: os.stat(path / "below"), lambda: os.mkfifo(path)):
        with fails_with(errno.EPERM, errno.EROFS, errno.EACCES, errno.EEXIST, errno.ENOTSUP, errno.ENOTDIR, errno.EXDEV, errno.ENOSYS,
                        errno.EBUSY):
            change()
    after = path.stat()
    assert (after.st_mode, after.st_size, after.st_uid) == (before.st_mode, before.st_size, before.st_uid)
    assert (home / "f").read_bytes() == b"content" and not images(platform)
    is_well(home, platform)


def test_many_writers_at_once(home, platform):
    """Lines of different writers never mix, and each writer is told of its own."""
    count = 64
    for i in range(8):
        (home / f"f{i}").write_bytes(b"x" * (i + 1))
    gate = threading.Barrier(count)

    def one(i):
        kind = i % 4
        gate.wait(60 * SLOW)
        if kind == 0:
            return write(home / ".register", f"f{i // 4 % 8} image-{i}.simg\n".encode())
        if kind == 1:
            return write(home / ".register", f"# of {i}\nmissing-{i}.simg\n".encode())
        if kind == 2:
            return write(home / ".status", b"# nothing\n" * 500 + b"discard missing\n")
        return write(home / ".register", b"x" * 500_000 + b"\n")

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(one, range(count)))
    for i, outcome in enumerate(outcomes):
        expected = [len(f"f{i // 4 % 8} image-{i}.simg\n"), (len(f"# of {i}\n"), errno.ENOENT), (5000, errno.ENOENT), errno.EINVAL][i % 4]
        assert outcome == expected, i
    assert images(platform) == {f"image-{i}.simg": i // 4 % 8 + 1 for i in range(0, count, 4)}


def test_a_failure_is_told_to_its_own_handle_alone(home, platform):
    first, second = (os.open(home / ".register", os.O_WRONLY) for _ in range(2))
    try:
        assert os.write(first, b"# done\nmissing.simg\n") == 7
        assert os.write(second, b"# fine\n") == 7
        with fails_with(errno.ENOENT):
            os.write(first, b"again.simg\n")
        assert os.write(first, b"# told once\n") == 12
    finally:
        os.close(first)
        os.close(second)


@pytest.mark.parametrize("name", FILES)
def test_a_reader_that_stops_halfway(home, platform, name):
    """It keeps its text, keeps nobody waiting, and does not keep the mount from ending."""
    for i in range(50):
        write(home / ".register", f"missing-{i}.simg\n".encode())
    half = os.open(home / name, os.O_RDONLY)
    try:
        begun = os.read(half, 10)
        (home / "f").write_bytes(b"content")
        is_well(home, platform)
        with open(home / name, "rb") as other:
            assert other.read() != begun
        rest = b"".join(iter(lambda: os.read(half, 7), b""))
        assert (begun + rest).endswith(b"\n") and b"f.simg" not in rest
    finally:
        os.close(half)
    # `head -c 1` ends before the text does.
    assert subprocess.run(["sh", "-c", f"cat {home / name} | head -c 1"], capture_output=True, check=True).stdout
    assert home.unmount() == 0


def test_many_readers_that_never_come_back(home, platform):
    """Each holds no more than its own text."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(500, soft - 100)
    handles = []
    try:
        for i in range(count):
            handles.append(os.open(home / FILES[i % 2], os.O_RDONLY))
            os.read(handles[-1], 5)
        is_well(home, platform)
    finally:
        for handle in handles:
            os.close(handle)


def test_too_many_commands_at_once(home, platform):
    """The 1001st is refused; the others end well."""
    (home / "f").write_bytes(b"content")
    settled(home / "f")
    platform.fault(path="*mages*", hold="before", times=100_000)
    lines = [f"f i{i}.simg\n".encode() for i in range(1001)]
    outcomes = {}

    def one(line):
        outcomes[line] = write(home / ".register", line)

    before = threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=one, args=(line,)) for line in lines]
    try:
        for thread in threads:
            thread.start()
        until(lambda: errno.EBUSY in outcomes.values(), "the refusal")
        assert list(outcomes.values()) == [errno.EBUSY] and len(os.listdir(home.path)) >= 1
        assert len([line for line in (home / ".status").read_text().splitlines() if line.startswith("command\t")]) == 1000
    finally:
        threading.stack_size(before)
        platform.control("/reset")
        platform.control("/release")
        for thread in threads:
            thread.join()
    done = [line for line in lines if outcomes[line] == len(line)]
    assert len(done) == 1000
    assert set(images(platform)) == {line.split()[1].decode() for line in done}


@pytest.mark.parametrize("name", ["x" * 255, "\x01", "..simg", "a b", "\u202e", "é", "f" * 200 + ".simg"])
def test_names_below_images(home, platform, name):
    is_well(home, platform)
    os.listdir(home / ".images")
    with fails_with(errno.ENOENT):
        os.stat(home / ".images" / name)
    with fails_with(errno.ENAMETOOLONG):
        os.stat(home / ".images" / ("x" * 256))
    with fails_with(errno.ENOENT, errno.EINVAL, errno.EILSEQ):
        os.stat(os.fsencode(home / ".images") + b"/\xff\xfe")
    with fails_with(errno.ENOENT):
        os.getxattr(home / ".images" / name, "user.gss.image_size")
