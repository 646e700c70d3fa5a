"""Folders, and what cannot be in them; removing, renaming."""

import concurrent.futures
import ctypes
import errno
import os
import socket
import stat

import pytest

from world import CONTROL, attribute, fails_with, random_bytes, settled, until

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)


def rename2(old, new, flags):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def names(folder):
    return sorted(n for n in os.listdir(folder) if n not in CONTROL)


# ---- making and removing ----


def test_mkdir_and_rmdir(home, platform):
    (home / "a" / "b").mkdir(parents=True)
    assert (platform.home / "a" / "b").is_dir()
    with fails_with(errno.EEXIST):
        (home / "a").mkdir()
    with fails_with(errno.ENOENT):
        (home / "missing" / "c").mkdir()
    with fails_with(errno.ENOTEMPTY):
        (home / "a").rmdir()
    (home / "a" / "b").rmdir()
    (home / "a").rmdir()
    assert list(platform.home.iterdir()) == []
    with fails_with(errno.ENOENT):
        (home / "a").rmdir()


def test_mkdir_where_something_has_just_gone(home, platform):
    """GSS says that there is something; when it is asked what, there is nothing."""
    fault = "<faultcode>e:Server</faultcode><faultstring>d: file already exists</faultstring>"
    platform.fault('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
                   f"{fault}</e:Fault></e:Body></e:Envelope>", operation="createFolder", status=500, type="text/xml", times=1)
    (home / "d").mkdir()
    assert (platform.home / "d").is_dir()


def test_rmdir_never_deletes_what_is_inside(home, platform):
    """GSS deletes recursively: whatever anybody put there meanwhile must keep the folder."""
    (home / "a").mkdir()
    assert names(home / "a") == []
    # Put there by a teammate a moment ago; our listing does not know it.
    (platform.home / "a" / "precious").write_text("keep me")
    with fails_with(errno.ENOTEMPTY):
        (home / "a").rmdir()
    assert (platform.home / "a" / "precious").read_text() == "keep me"


def test_rmdir_counts_names_that_cannot_be_shown(home, platform):
    (home / "a").mkdir()
    hidden = b"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
        <g:listFilesMinimalResponse xmlns:g="http://gss.sintef.no/"><return><visualName>..</visualName>
        <uniqueName>it4i_anselm://home/a/x</uniqueName><type>FILE</type></return>
        </g:listFilesMinimalResponse></e:Body></e:Envelope>"""
    for operation in ("listFilesMinimal", "listFiles"):
        platform.fault(hidden.replace(b"listFilesMinimal", operation.encode()), operation=operation, status=200,
                       type="text/xml", times=5)
    with fails_with(errno.ENOTEMPTY):
        (home / "a").rmdir()
    assert (platform.home / "a").is_dir()


def test_rmdir_counts_what_is_not_uploaded_yet(home, platform):
    (home / "a").mkdir()
    platform.fault(method="POST", path="*/a/f", status=503, times=1000)
    (home / "a" / "f").write_text("x")
    with fails_with(errno.ENOTEMPTY):
        (home / "a").rmdir()
    platform.control("/reset")
    settled(home / "a" / "f")


def test_rmdir_of_a_file_and_unlink_of_a_folder(home):
    (home / "file").touch()
    (home / "folder").mkdir()
    with fails_with(errno.ENOTDIR):
        os.rmdir(home / "file")
    with fails_with(errno.EISDIR, errno.EPERM):
        os.unlink(home / "folder")
    assert names(home.path) == ["file", "folder"]


def test_roots_cannot_be_changed(mount, platform):
    root = mount("it4i_anselm://")
    assert names(root.path) == ["home", "scratch"]
    with fails_with(errno.EACCES, errno.EPERM, errno.EINVAL, errno.EIO, errno.ENOTSUP):
        (root / "new").mkdir()
    with fails_with(errno.EPERM):
        (root / "new").touch()
    (root / "home" / "x").touch()
    with fails_with(errno.EXDEV):
        (root / "home" / "x").rename(root / "x")
    with fails_with(errno.ENOTEMPTY):
        (root / "home").rmdir()
    assert names(root.path) == ["home", "scratch"]
    platform.stop()
    (root / "later").touch()  # which is known when GSS can be asked
    assert attribute(root / "later", "state") in ("dirty", "uploading")


def test_rm_r(home, platform, world):
    tree = home / "tree"
    for i in range(4):
        (tree / f"{i}" / "deep" / "er").mkdir(parents=True)
        for j in range(8):
            (tree / f"{i}" / "deep" / f"file {j}").write_bytes(random_bytes(100 * j))
    (home / "stays").write_text("x")
    world.run("rm", "-r", tree)
    assert names(home.path) == ["stays"]
    assert home.unmount() == 0
    assert [p.name for p in platform.home.iterdir()] == ["stays"]


def test_rm_r_of_what_was_uploaded(mount, platform, world):
    for i in range(30):
        (platform.home / "tree" / f"{i % 3}").mkdir(parents=True, exist_ok=True)
        (platform.home / "tree" / f"{i % 3}" / f"{i}").write_text("x")
    home = mount()
    world.run("rm", "-r", home / "tree")
    assert not (platform.home / "tree").exists()


def test_removed_while_it_is_listed(home):
    (home / "d").mkdir()
    for i in range(300):
        (home / "d" / f"{i:03}").touch()
    with os.scandir(home / "d") as entries:
        for entry in entries:
            os.unlink(entry.path)
    assert names(home / "d") == []


def test_a_big_folder(mount, platform):
    (platform.home / "big").mkdir()
    want = [f"entry number {i:05}" for i in range(3000)]
    for name in want:
        (platform.home / "big" / name).touch()
    home = mount()
    assert names(home / "big") == want
    counters = platform.counters()
    assert counters.get("gss.listFiles", 0) + counters.get("gss.listFilesMinimal", 0) < 5
    assert counters.get("gss.getResourceInformation", 0) < 50, "listing names must not ask for each"


def test_ls_l_tells_sizes_and_dates(mount, platform, world):
    for i in range(40):
        (platform.home / f"f{i}").write_bytes(bytes(i))
        os.utime(platform.home / f"f{i}", (1_600_000_000 + i, 1_600_000_000 + i))
    home = mount()
    listing = world.run("ls", "-l", "--time-style=+%s", home.path).stdout
    for i in range(40):
        fields = next(line.split() for line in listing.splitlines() if line.endswith(f" f{i}"))
        assert (fields[4], fields[5]) == (str(i), str(1_600_000_000 + i))


def test_an_unreachable_service_is_no_empty_folder(home, platform):
    (platform.home / "d").mkdir()
    (platform.home / "d" / "f").write_text("x")
    until(lambda: names(home / "d") == ["f"], timeout=30)
    platform.fault(path="*FileUtilities*", status=503, times=10_000)

    def listing_fails():
        # What was listed a moment ago may still be told, but never that it is empty or gone.
        try:
            assert names(home / "d") == ["f"]
        except OSError as error:
            assert error.errno not in (errno.ENOENT, errno.ENOTDIR)
            return True

    until(listing_fails, timeout=30)
    platform.control("/reset")
    until(lambda: names(home / "d") == ["f"], timeout=30)


# ---- what GSS cannot hold ----


def test_links_and_devices(home):
    (home / "f").write_text("x")
    with fails_with(errno.EPERM):
        os.symlink("f", home / "symlink")
    with fails_with(errno.EPERM):
        os.link(home / "f", home / "hardlink")
    with fails_with(errno.EPERM):
        os.mkfifo(home / "fifo")
    with fails_with(errno.EPERM):
        with socket.socket(socket.AF_UNIX) as unix:
            os.chdir(home.path)
            try:
                unix.bind("socket")
            finally:
                os.chdir("/")
    if os.getuid() == 0:
        with fails_with(errno.EPERM):
            os.mknod(home / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(home / "plain", stat.S_IFREG | 0o600)
    assert names(home.path) == ["f", "plain"]


# ---- rename ----


def test_rename_within_a_folder(home, platform):
    (home / "a").write_text("content")
    settled(home / "a")
    os.rename(home / "a", home / "b")
    assert names(home.path) == ["b"]
    assert (home / "b").read_text() == "content"
    with fails_with(errno.ENOENT):
        (home / "a").stat()
    assert home.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"b": "content"}


def test_folder_of_a_file_that_is_being_renamed(home, platform, world):
    """The file leaves its old place once it has arrived under its new name: in a folder that is on its way elsewhere it never would."""
    (home / "d").mkdir()
    (home / "d" / "f").write_text("content")
    settled(home / "d" / "f")
    (home / "many").mkdir()
    for i in range(40):  # to which uploads give way
        (home / "many" / str(i)).write_text("one of many")
    (home / "d" / "f").rename(home / "d" / "g")
    world.run("mv", home / "d", home / "e")
    settled(home / "e" / "g")
    assert (platform.home / "e" / "g").read_text() == "content"
    until(lambda: not (platform.home / "d").exists())


def test_rename_across_folders(home, platform, world):
    (home / "from").mkdir()
    (home / "to").mkdir()
    (home / "from" / "a").write_bytes(random_bytes(100_000))
    settled(home / "from" / "a")
    world.run("mv", home / "from" / "a", home / "to" / "b")
    assert (names(home / "from"), names(home / "to")) == ([], ["b"])
    # The old name is still being removed behind: that is no reason to refuse.
    (home / "from").rmdir()
    assert home.unmount() == 0
    assert [p.name for p in platform.home.iterdir()] == ["to"]
    assert (platform.home / "to" / "b").read_bytes() == random_bytes(100_000)


def test_rename_before_it_is_uploaded(home, platform):
    platform.fault(method="POST", path="*/files/*", status=503, times=1)
    (home / "a").write_text("content")
    os.rename(home / "a", home / "b")
    os.rename(home / "b", home / "c")
    assert home.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"c": "content"}


def test_rename_while_it_is_being_sent(home, platform):
    (home / "d").mkdir()
    platform.set(bandwidth=1 << 20)
    data = random_bytes(3 << 20)
    (home / "a").write_bytes(data)
    until(lambda: os.getxattr(home / "a", "user.gss.state") == b"uploading")
    os.rename(home / "a", home / "d" / "b")
    assert (home / "d" / "b").read_bytes() == data
    platform.set(bandwidth=0)
    assert home.unmount() == 0
    assert [p.name for p in platform.home.iterdir()] == ["d"]
    assert (platform.home / "d" / "b").read_bytes() == data


def test_rename_over_an_existing_file(home, platform):
    (home / "target").write_text("old")
    settled(home / "target")
    (home / "source").write_text("new content")
    os.rename(home / "source", home / "target")
    assert names(home.path) == ["target"]
    assert (home / "target").read_text() == "new content"
    assert home.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"target": "new content"}


def test_write_temporary_then_rename_is_one_put(home, platform):
    """An editor's way of saving: the name on GSS never disappears."""
    (home / "text").write_text("version 1")
    settled(home / "text")
    before = platform.counters()
    with open(home / ".text.swp", "w") as file:
        file.write("version 2")
    os.rename(home / ".text.swp", home / "text")
    settled(home / "text")
    assert home.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"text": "version 2"}
    after = platform.counters()
    assert after.get("rest.PUT", 0) - before.get("rest.PUT", 0) >= 1
    deleted = [e for e in platform.log() if e["method"] == "DELETE" and e["target"].endswith("/text")]
    assert deleted == []


def test_rename_over_a_published_file_by_a_published_one(home, platform):
    for name in ("a", "b"):
        (home / name).write_text(name)
        settled(home / name)
    os.rename(home / "a", home / "b")
    assert (home / "b").read_text() == "a"
    assert home.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"b": "a"}


def test_rename_flags(home):
    (home / "a").write_text("a")
    (home / "b").write_text("b")
    with fails_with(errno.EEXIST):
        rename2(home / "a", home / "b", RENAME_NOREPLACE)
    rename2(home / "a", home / "c", RENAME_NOREPLACE)
    with fails_with(errno.EINVAL):
        rename2(home / "c", home / "b", RENAME_EXCHANGE)
    with fails_with(errno.EINVAL):
        rename2(home / "c", home / "d", RENAME_WHITEOUT)
    assert {n: (home / n).read_text() for n in names(home.path)} == {"b": "b", "c": "a"}


def test_rename_noreplace_asks_the_service(home, platform):
    (home / "a").write_text("a")
    assert names(home.path) == ["a"]
    (platform.home / "target").write_text("a teammate's")
    until(lambda: "target" in names(home.path), timeout=30)
    with fails_with(errno.EEXIST):
        rename2(home / "a", home / "target", RENAME_NOREPLACE)
    assert (home / "target").read_text() == "a teammate's"


def test_rename_of_wrong_kinds(home):
    (home / "file").touch()
    (home / "folder").mkdir()
    (home / "full").mkdir()
    (home / "full" / "x").touch()
    with fails_with(errno.EISDIR):
        os.rename(home / "file", home / "folder")
    with fails_with(errno.ENOTDIR):
        os.rename(home / "folder", home / "file")
    with fails_with(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(home / "folder", home / "full")
    with fails_with(errno.EINVAL):
        os.rename(home / "folder", home / "folder" / "inside")
    with fails_with(errno.ENOENT):
        os.rename(home / "missing", home / "x")


def test_rename_of_an_empty_folder(home, platform):
    (home / "a").mkdir()
    os.rename(home / "a", home / "b")
    (home / "b" / "f").write_text("x")
    assert names(home.path) == ["b"]
    assert home.unmount() == 0
    assert [p.name for p in platform.home.iterdir()] == ["b"]
    assert (platform.home / "b" / "f").read_text() == "x"


def test_a_folder_in_the_place_of_what_was_given_up(home, mount, platform):
    """The body of that may still arrive, and is watched for: no folder is hidden by it."""
    platform.fault(method="POST", path="/refissh*", hold="before", times=1)
    (home / "f").write_bytes(b"late")
    platform.wait("held")
    until(lambda: attribute(home / "f", "progress") == "4 4")
    os.unlink(home / "f")
    (home / "f").mkdir()
    (home / ".status").write_text("refresh\n")
    assert names(home.path) == ["f"]
    platform.control("/release")
    (home / "f" / "g").touch()
    assert home.unmount() == 0
    assert names(mount().path) == ["f"]


def test_mv_of_a_folder_with_content_copies(home, platform, world):
    (home / "a" / "sub").mkdir(parents=True)
    (home / "a" / "sub" / "f").write_text("x")
    (home / "a" / "g").write_text("y")
    for path in (home / "a" / "sub" / "f", home / "a" / "g"):
        settled(path)
    with fails_with(errno.EXDEV):
        os.rename(home / "a", home / "b")
    world.run("mv", home / "a", home / "b")
    assert home.unmount() == 0
    found = {str(p.relative_to(platform.home)) for p in platform.home.rglob("*")}
    assert found == {"b", "b/sub", "b/sub/f", "b/g"}
    assert (platform.home / "b" / "sub" / "f").read_text() == "x"


def test_mv_of_a_folder_that_was_just_filled(home, platform):
    """Its files are queued, or on their way, under the address that it had."""
    platform.set(latency=20)
    wanted = {}
    for i in range(8):
        (home / f"d{i}").mkdir()
        for j in range(8):
            (home / f"d{i}" / f"f{j}").write_bytes(b"%d %d" % (i, j))
        folder = f"e{i}"
        try:
            os.rename(home / f"d{i}", home / folder)
        except OSError as error:  # the first were sent already
            assert error.errno == errno.EXDEV
            folder = f"d{i}"
        wanted |= {f"{folder}/f{j}": b"%d %d" % (i, j) for j in range(8)}
    assert home.unmount() == 0, "nothing is parked"
    found = {str(p.relative_to(platform.home)): p.read_bytes() for p in platform.home.rglob("*") if p.is_file()}
    assert found == wanted


def test_a_rename_is_resumed_by_the_next_mount(home, mount, platform):
    (home / "a").write_text("content")
    settled(home / "a")
    platform.fault(method="*", path="/refissh*", status=503, times=10_000)
    os.rename(home / "a", home / "b")
    home.kill()
    platform.control("/reset")
    again = mount()
    assert names(again.path) == ["b"]
    assert (again / "b").read_text() == "content"
    assert again.unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"b": "content"}


def test_what_gss_refuses_to_remove_is_told_by_the_exit_status(home, mount, platform):
    (home / "a").write_text("content")
    settled(home / "a")
    platform.fault(method="DELETE", path="/refissh*", status=405, times=10_000)
    os.rename(home / "a", home / "b")
    settled(home / "b")
    assert home.unmount() == 1
    assert "could not be removed from GSS" in home.text()
    platform.control("/reset")
    assert mount().unmount() == 0
    assert {p.name: p.read_text() for p in platform.home.iterdir()} == {"b": "content"}


# ---- folders that are renamed or removed while something is written to them ----


def test_what_is_closed_while_its_folder_is_renamed_goes_with_it(home, platform):
    (home / "a").mkdir()
    (home / "other").mkdir()
    file = open(home / "a" / "f", "wb", buffering=0)
    file.write(b"precious")
    platform.fault(operation="createFolder", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        renamed = pool.submit(os.rename, home / "a", home / "b")
        platform.wait("held")
        file.close()
        with fails_with(errno.EBUSY):
            (home / "a" / "sub").mkdir()
        (home / "other" / "x").write_bytes(b"x")
        settled(home / "other" / "x")
        assert not list((platform.home / "a").iterdir()), "nothing is sent into what is about to be deleted"
        platform.control("/release")
        renamed.result()
    settled(home / "b" / "f")
    assert sorted(os.listdir(platform.home)) == ["b", "other"] and names(home.path) == ["b", "other"]
    assert (platform.home / "b" / "f").read_bytes() == (home / "b" / "f").read_bytes() == b"precious"


def test_a_teammate_writes_to_a_folder_that_is_renamed(home, platform):
    (home / "a").mkdir()
    platform.fault(operation="createFolder", hold="before")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        renamed = pool.submit(os.rename, home / "a", home / "b")
        platform.wait("held")
        (platform.home / "a" / "theirs").write_bytes(b"theirs")
        platform.control("/release")
        renamed.result()
    assert (platform.home / "b").is_dir() and (platform.home / "a" / "theirs").read_bytes() == b"theirs"
    assert "could not be removed" in home.text()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rename", "rename-begun", "rmdir"])
def test_what_was_given_up_deletes_nothing_that_was_written_since(home, platform, what):
    """After ETIMEDOUT the folder is written to; the platform goes on later."""
    (home / "a").mkdir()
    platform.fault(operation="deleteFolder" if what == "rmdir" else "createFolder",
                   hold="after" if what == "rename-begun" else "before")
    with fails_with(errno.ETIMEDOUT):
        if what == "rmdir":
            (home / "a").rmdir()
        else:
            os.rename(home / "a", home / "b")
    file = os.open(home / "a" / "new", os.O_WRONLY | os.O_CREAT)
    os.write(file, b"acknowledged")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        synced = pool.submit(os.fsync, file)
        (home / "x").write_bytes(b"x")
        settled(home / "x")
        platform.control("/release")
        synced.result()
    os.close(file)
    assert (platform.home / "a" / "new").read_bytes() == (home / "a" / "new").read_bytes() == b"acknowledged"
    until(lambda: sorted(os.listdir(platform.home)) == ["a", "x"])
    assert home.unmount() == 0


@pytest.mark.slow
def test_what_a_teammate_puts_into_a_folder_that_was_made_in_vain_stays(home, platform):
    """The rename is given up after ETIMEDOUT; the folder that it made is somebody's by then."""
    (home / "a").mkdir()
    platform.fault(operation="createFolder", hold="after")
    with fails_with(errno.ETIMEDOUT):
        os.rename(home / "a", home / "b")
    (platform.home / "b" / "theirs").write_text("keep me")
    platform.control("/release")
    until(lambda: "the new folder stays" in home.text())
    assert (platform.home / "b" / "theirs").read_text() == "keep me"
    assert (platform.home / "a").is_dir()


def test_no_folder_is_renamed_onto_one_that_has_content_by_now(home, platform):
    for name in "ab":
        (home / name).mkdir()
        assert names(home / name) == []
    (platform.home / "b" / "theirs").write_text("keep me")
    with fails_with(errno.ENOTEMPTY):
        os.rename(home / "a", home / "b")
    assert (platform.home / "a").is_dir()
    assert (platform.home / "b" / "theirs").read_text() == "keep me"


def test_a_folder_is_renamed_once_what_left_it_is_gone(home, platform):
    """As rmdir: the server still names what is being removed."""
    (home / "a").mkdir()
    (home / "f").write_bytes(b"content")
    os.rename(home / "f", home / "a" / "f")
    settled(home / "a" / "f")
    platform.fault(method="DELETE", path="/refissh*", hold="before")
    os.rename(home / "a" / "f", home / "f")
    platform.wait("held")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        renamed = pool.submit(os.rename, home / "a", home / "b")
        until(lambda: [e for e in platform.log() if e["operation"] == "listFilesMinimal"])
        platform.control("/release")
        renamed.result()
    until(lambda: sorted(os.listdir(platform.home)) == ["b", "f"])


LISTED = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
    <g:listFilesMinimalResponse xmlns:g="http://gss.sintef.no/"><return><visualName>f</visualName>
    <uniqueName>it4i_anselm://home/a/f</uniqueName><type>FILE</type></return></g:listFilesMinimalResponse>
    </e:Body></e:Envelope>"""


def removals(status):
    status.seek(0)
    [pending] = [line for line in status.read().splitlines() if line.startswith("pending\t")]
    return pending.split("\t")[-1]


@pytest.mark.parametrize("what", ["rmdir", "rename"])
def test_what_was_removed_while_a_folder_was_listed_does_not_count(home, platform, what):
    (home / "a").mkdir()
    (home / "a" / "f").write_bytes(b"content")
    settled(home / "a" / "f")
    platform.fault(method="POST", path="/refissh*/f", delay=1000, times=1)
    platform.fault(LISTED, operation="listFilesMinimal", status=200, type="text/xml", hold="before", times=1)
    os.rename(home / "a" / "f", home / "f")
    with concurrent.futures.ThreadPoolExecutor() as pool, open(home / ".status") as status:
        done = pool.submit(os.rmdir, home / "a") if what == "rmdir" else pool.submit(os.rename, home / "a", home / "b")
        platform.wait("held")
        until(lambda: not (platform.home / "a" / "f").exists())
        until(lambda: removals(status) == "0")
        platform.control("/release")
        done.result()
    assert sorted(os.listdir(platform.home)) == (["f"] if what == "rmdir" else ["b", "f"])


# ---- an answer that is lost ----


@pytest.mark.parametrize("what", ["mkdir", "rmdir", "unlink"])
def test_what_became_of_it_is_asked_until_it_is_known(mount, platform, what):
    """The service does what it is told, its answer is lost, and it does not say for a while what is there."""
    (platform.home / "d").mkdir()
    (platform.home / "f").write_bytes(b"content")
    home = mount()
    change, request = {
        "mkdir": ((home / "new").mkdir, {"operation": "createFolder"}),
        "rmdir": ((home / "d").rmdir, {"operation": "deleteFolder"}),
        "unlink": ((home / "f").unlink, {"method": "DELETE"}),
    }[what]
    platform.fault(hold="after", cut="after", **request)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        changed = pool.submit(change)
        platform.wait("held")
        platform.fault(operation="getResourceInformation", status=503, times=3)
        platform.control("/release")
        changed.result()
    assert sorted(os.listdir(platform.home)) == sorted({"mkdir": ["d", "f", "new"], "rmdir": ["f"], "unlink": ["d"]}[what])
    assert names(home.path) == sorted(os.listdir(platform.home))


@pytest.mark.parametrize("what", ["mkdir", "rmdir", "unlink"])
def test_what_reached_nobody_is_asked_for_again(mount, platform, what):
    """As on a kept connection that has died unnoticed, during a suspend, say."""
    (platform.home / "d").mkdir()
    (platform.home / "f").write_bytes(b"content")
    home = mount()
    change, request = {
        "mkdir": ((home / "new").mkdir, {"operation": "createFolder"}),
        "rmdir": ((home / "d").rmdir, {"operation": "deleteFolder"}),
        "unlink": ((home / "f").unlink, {"method": "DELETE"}),
    }[what]
    platform.fault(cut="before", **request)
    change()
    assert platform.counters()["faults"] == 1
    assert sorted(os.listdir(platform.home)) == sorted({"mkdir": ["d", "f", "new"], "rmdir": ["f"], "unlink": ["d"]}[what])


@pytest.mark.parametrize("what", ["rmdir", "unlink"])
def test_what_a_teammate_put_there_meanwhile_stays(mount, platform, what):
    """The answer is lost; asked, the service names something again."""
    (platform.home / "d").mkdir()
    (platform.home / "f").write_bytes(b"content")
    home = mount()
    change, request, code = {
        "rmdir": ((home / "d").rmdir, {"operation": "deleteFolder"}, errno.ENOTEMPTY),
        "unlink": ((home / "f").unlink, {"method": "DELETE"}, errno.EIO),
    }[what]
    platform.fault(hold="after", cut="after", **request)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        changed = pool.submit(change)
        platform.wait("held")
        (platform.home / "d").mkdir(exist_ok=True)
        (platform.home / "d" / "theirs").write_bytes(b"theirs")
        (platform.home / "f").write_bytes(b"theirs, too")
        platform.control("/release")
        with pytest.raises(OSError) as caught:
            changed.result()
    assert caught.value.errno == code
    assert (platform.home / "d" / "theirs").exists() and (platform.home / "f").read_bytes() == b"theirs, too"


@pytest.mark.parametrize("source", ["it4i_anselm://home", "plm://demo/model/1"])
def test_rmdir_after_what_arrived_late(world, source):
    """The upload of what was removed is received afterwards: it goes, whatever its URI is, and then the folder."""
    platform = world.server()
    home = world.mount(platform, source)
    (home / "d").mkdir()
    platform.fault(method="POST", path="/refissh*" if "anselm" in source else "/plm*", hold="before", times=1)
    (home / "d" / "h").write_bytes(b"late")
    platform.wait("held")
    until(lambda: attribute(home / "d" / "h", "progress") == "4 4")
    os.unlink(home / "d" / "h")
    platform.control("/release")
    # It may be gone again before anybody has seen it.
    until(lambda: any(p.is_file() and p.read_bytes() == b"late" for p in platform.root.rglob("*")) or
          any(e["method"] == "DELETE" for e in platform.log()))
    os.rmdir(home / "d")
    assert home.unmount() == 0
