""".images/: what is registered, as files; and that nothing there can be changed."""

import errno
import os
import shutil
import subprocess
import time

import pytest

from gss_local import TOKEN
from test_mount import configure, mounted_by_configuration
from world import attribute, fails_with, images, release, settled, until


def register(mount, line):
    (mount / ".register").write_text(line + "\n")


def listed(platform):
    return platform.counters().get("images.listImages", 0)


@pytest.fixture
def two(home, platform):
    """A mount, and two images that are registered."""
    (home / "w").write_bytes(b"x" * 1234)
    register(home, "w one.simg")
    register(home, "w two:v1.0.simg")
    return home


def test_files_named_and_dated_as_the_images(two, platform):
    assert sorted(os.listdir(two / ".images")) == ["one.simg", "two:v1.0.simg"]
    status = (two / ".images" / "one.simg").stat()
    assert status.st_mode == 0o100444 and abs(status.st_mtime - time.time()) < 100
    assert (two / ".images").stat().st_mode == 0o040555
    text = (two / ".images" / "one.simg").read_text()
    assert len(text) == status.st_size
    record = dict(line.split("\t") for line in text.splitlines())
    told, = [i for i in platform.images().listImages(token=TOKEN) if i.name == "one.simg"]
    assert record == {"name": "one.simg", "size": "1234", "date": told.lastModified}
    assert attribute(two / ".images" / "one.simg", "image_size") == "1234"
    assert os.listxattr(two / ".images" / "one.simg") == ["user.gss.image_size"]
    assert ".images" in os.listdir(two.path)


@pytest.mark.parametrize("style", ["jaxws", "spyne"])
def test_one_call_for_all(mount, platform, style):
    platform.set(images_style=style)
    home = mount()
    (home / "w").write_bytes(b"x")
    for i in range(20):
        register(home, f"w i{i}.simg")
    before, asked = listed(platform), platform.counters().get("images.getImageInfo", 0)
    result = subprocess.run(["ls", "-l", home / ".images"], capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 21
    assert listed(platform) == before + 1 and platform.counters().get("images.getImageInfo", 0) == asked


@pytest.mark.parametrize("command", [["cp"], ["cp", "-r"], ["cp", "-a"], ["rsync", "-a"], ["tar", "-c", "-f", "-"]])
def test_copying(world, two, command):
    """Programs that copy look twice, and take another inode number for another file."""
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]}")
    target = world.path / "copy"
    target.mkdir()
    folder = command != ["cp"]
    sources = [two / ".status", two / ".register", two / ".images" if folder else two / ".images" / "one.simg"]
    where = [] if command[0] == "tar" else [target]
    result = subprocess.run([*command, *sources, *where], capture_output=True)
    assert result.returncode == 0, result.stderr
    if not where:
        return
    copy = target / ".images" / "one.simg" if folder else target / "one.simg"
    assert copy.read_text() == (two / ".images" / "one.simg").read_text()
    if command[0] == "cp":  # rsync asks for the size first
        assert (target / ".register").read_text() == (two / ".register").read_text()
        assert (target / ".status").read_text().startswith("gssfs\t1\t")


def test_inode_numbers(world, platform):
    """Each has its own, the same at each look and in the listing."""
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    seen = {}
    with mounted_by_configuration(world, "all") as root:
        storages = [root / "it4i_anselm", root / "it4i_salomon"]
        for storage in storages:
            (storage / "home" / "w").write_bytes(b"x")
            (storage / ".register").write_text("home/w one.simg\nhome/w two.simg\n")
        for folder in [root, *storages, *(storage / ".images" for storage in storages)]:
            for entry in os.scandir(folder):
                path = folder / entry.name
                assert path.stat().st_ino == path.stat().st_ino == entry.inode(), path
                seen[path] = entry.inode()
        # Not listed, and there all the same.
        hidden = storages[0] / "home" / ".register"
        seen[hidden] = hidden.stat().st_ino
        assert hidden.stat().st_ino == seen[hidden]
    assert len(seen) > 10 and len(set(seen.values())) == len(seen)


def test_what_was_just_registered_is_there(two):
    assert not (two / ".images" / "new.simg").exists()
    register(two, "w new.simg")
    assert (two / ".images" / "new.simg").exists()
    register(two, "remove one.simg")
    assert not (two / ".images" / "one.simg").exists()


def test_by_others(two, platform):
    os.listdir(two / ".images")
    platform.images().deleteImage(token=TOKEN, image_name="one.simg")
    assert os.listdir(two / ".images") == ["two:v1.0.simg"]  # opening the folder asks anew


def test_nothing_can_be_changed(two, platform):
    image, folder = two / ".images" / "one.simg", two / ".images"
    (two / "f").write_bytes(b"mine")
    refusals = (errno.EROFS, errno.EPERM, errno.EACCES)
    for change in (image.unlink, lambda: image.write_bytes(b""), lambda: os.truncate(image, 0), lambda: os.utime(image),
                   lambda: image.chmod(0o600), lambda: (folder / "new.simg").touch(), lambda: (folder / "d").mkdir(),
                   folder.rmdir, lambda: folder.rename(two / "images"), lambda: image.rename(two / "taken.simg"),
                   lambda: os.rename(two / "f", folder / "f"), lambda: os.rename(two / "f", image), lambda: os.link(two / "f", folder / "f"),
                   lambda: os.symlink("f", folder / "f"), lambda: folder.chmod(0o777), lambda: os.open(image, os.O_RDWR),
                   lambda: os.open(image, os.O_RDONLY | os.O_TRUNC), lambda: os.setxattr(image, "user.gss.image_size", b"1"),
                   lambda: os.rename(two / "f", folder)):
        with fails_with(*refusals, errno.ENOTSUP, errno.EISDIR):
            change()
    assert (two / "f").read_bytes() == b"mine"
    assert images(platform) == {"one.simg": 1234, "two:v1.0.simg": 1234}


def test_rm_does_not_deregister(two, platform):
    result = subprocess.run(["rm", "-rf", two / ".images"], capture_output=True)
    assert result.returncode != 0
    assert subprocess.run(["sh", "-c", f"rm -f {two.path}/.images/*"], capture_output=True).returncode != 0
    assert len(images(platform)) == 2 and len(os.listdir(two / ".images")) == 2


def test_only_in_the_root_and_only_with_a_service(world, platform, mount):
    root = mount("it4i_anselm://")
    assert not (root / "home" / ".images").exists()
    (root / "home" / ".images").write_text("mine")  # there the name is free
    settled(root / "home" / ".images")
    for name in (".register", ".status", "one"):
        with fails_with(errno.ENOENT):
            os.stat(root / ".images" / name)
    assert root.unmount() == 0
    options = [o for o in world.options(platform)[1].split(",") if not o.startswith("images=")]
    config = world.path / "none.conf"
    config.write_text("[platform]\n[storage it4i_anselm]\n")
    at = world.mountpoint("without")
    assert world.gssfs("-o", ",".join([*options, f"config={config}"]), "it4i_anselm://", at).returncode == 0
    try:
        assert ".images" not in os.listdir(at) and not (at / ".images").exists()
    finally:
        release(at)


def test_a_service_that_fails(two, platform):
    platform.fault(operation="listImages", status=500, times=100)
    with fails_with(errno.EIO):
        os.listdir(two / ".images")
    assert os.listdir(two.path)
    platform.control("/reset")
    assert len(os.listdir(two / ".images")) == 2


def test_hostile_names(home, platform):
    def entry(name):
        return f"<return><name>{name}</name><size>5</size><lastModified>yesterday</lastModified></return>"
    names = ["good.simg", "../evil", "..", ".", "", "a/b", "x" * 300, "good.simg", "tab&#9;", "odd name"]
    body = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><r:listImagesResponse xmlns:r="urn:x">'
            + "".join(map(entry, names)) + "</r:listImagesResponse></e:Body></e:Envelope>")
    platform.fault(body.encode(), operation="listImages", status=200, type="text/xml", times=10)
    assert sorted(os.listdir(home / ".images")) == ["good.simg", "odd name"]
    assert "yesterday" in (home / ".images" / "good.simg").read_text()
    assert attribute(home / ".images" / "odd name", "image_size") == "5"


def test_an_interrupted_listing(two, platform):
    platform.fault(operation="listImages", hold="before")
    process = subprocess.Popen(["ls", two / ".images"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    platform.wait("held", 1)
    process.kill()
    process.wait(20)
    assert os.listdir(two.path)
    platform.control("/release")
    until(lambda: len(os.listdir(two / ".images")) == 2)
