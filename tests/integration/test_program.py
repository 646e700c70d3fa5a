"""Programs that people use, at work in the mount."""

import os
import re

from world import CONTROL, random_bytes, settled


def tree(path):
    """All files below, with their contents."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def fill(folder, count=20):
    (folder / "sub" / "deeper").mkdir(parents=True)
    for i in range(count):
        place = (folder, folder / "sub", folder / "sub" / "deeper")[i % 3]
        (place / f"file {i}").write_bytes(random_bytes(i * 997, seed=i))
        os.utime(place / f"file {i}", (1_600_000_000 + i, 1_600_000_000 + i))


def transferred(result):
    """How many files rsync sent."""
    return int(re.search(r"Number of regular files transferred: ([\d,]+)", result.stdout).group(1))


def test_rsync_twice(home, mount, platform, world):
    source = world.path / "source"
    source.mkdir()
    fill(source)
    rsync = ["rsync", "-rt", "--stats", f"{source}/"]
    assert transferred(world.run(*rsync, f"{home.path}/copy/")) == 20
    assert transferred(world.run(*rsync, f"{home.path}/copy/")) == 0
    assert home.unmount() == 0
    assert tree(platform.home / "copy") == tree(source)
    # Nor after a remount.
    again = mount()
    assert transferred(world.run(*rsync, f"{again.path}/copy/")) == 0
    (source / "file 3").write_bytes(b"changed")
    assert transferred(world.run(*rsync, f"{again.path}/copy/")) == 1
    assert again.unmount() == 0
    assert tree(platform.home / "copy") == tree(source)


def test_rsync_out(mount, platform, world):
    fill(platform.home)
    home = mount()
    copy = world.path / "copy"
    rsync = ["rsync", "-rt", "--stats", *(f"--exclude={name}" for name in sorted(CONTROL)), f"{home.path}/", f"{copy}/"]
    assert transferred(world.run(*rsync)) == 20
    assert transferred(world.run(*rsync)) == 0
    assert tree(copy) == tree(platform.home)


def test_tar(home, platform, world):
    source = world.path / "source"
    source.mkdir()
    fill(source)
    world.run("tar", "cf", world.path / "a.tar", "-C", source, ".")
    (home / "out").mkdir()
    world.run("tar", "xf", world.path / "a.tar", "-C", home / "out", "--no-same-owner")
    assert (home / "out" / "sub" / "file 1").stat().st_mtime == 1_600_000_001
    world.run("diff", "-r", source, home / "out")
    world.run("tar", "czf", home / "b.tar.gz", "-C", home / "out", ".")
    assert home.unmount() == 0
    assert tree(platform.home / "out") == tree(source)
    world.run("tar", "tzf", platform.home / "b.tar.gz")


def test_git(home, mount, platform, world):
    def git(*arguments, **more):
        return world.run("git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@example.org",
                         *arguments, **more).stdout

    repository = home / "repository"
    world.run("git", "init", "-q", "-b", "main", repository)
    for i in range(5):
        (repository / f"file {i}").write_text(f"{i}\n" * 100)
    git("add", ".")
    git("commit", "-q", "-m", "one")
    (repository / "file 2").write_text("changed\n")
    assert git("status", "--short") == ' M "file 2"\n'
    git("commit", "-q", "-a", "-m", "two")
    assert git("status", "--short") == ""
    assert git("log", "--format=%s") == "two\none\n"
    world.run("git", "-C", repository, "fsck", "--strict")
    assert home.unmount() == 0
    # What arrived is a whole repository.
    served = platform.home / "repository"
    assert world.run("git", "-c", "safe.directory=*", "-C", served, "fsck", "--strict")
    again = mount(cache="another")
    repository = again / "repository"
    assert git("log", "--format=%s") == "two\none\n"
    assert git("status", "--short") == ""


def test_editors_that_save_by_renaming(home, platform, world):
    """As vim does with backupcopy=no, and sed -i."""
    (home / "text").write_text("one\n")
    settled(home / "text")
    os.rename(home / "text", home / "text~")
    (home / "text").write_text("two\n")
    os.unlink(home / "text~")
    world.run("sed", "-i", "s/two/three/", home / "text")
    assert (home / "text").read_text() == "three\n"
    assert home.unmount() == 0
    assert tree(platform.home) == {"text": b"three\n"}


def test_dd_and_shell_redirections(home, platform, world):
    world.run("dd", f"of={home.path}/f", "if=/dev/zero", "bs=64k", "count=10", "conv=fsync", "status=none")
    assert (platform.home / "f").stat().st_size == 640 * 1024
    world.shell("echo one > f; echo two >> f; cat f > g; wc -c < g > h", cwd=home.path)
    assert home.unmount() == 0
    assert tree(platform.home) == {"f": b"one\ntwo\n", "g": b"one\ntwo\n", "h": b"8\n"}


def test_find_du_and_checksums(mount, platform, world):
    fill(platform.home)
    home = mount()
    found = world.run("find", home.path, "-type", "f", "-name", "file*").stdout.splitlines()
    assert len(found) == 20
    sums = world.shell("find . -name 'file *' -exec sha256sum {} + | sort", cwd=home.path).stdout
    assert sums == world.shell("find . -name 'file *' -exec sha256sum {} + | sort", cwd=platform.home).stdout
    assert int(world.run("du", "-s", "--apparent-size", "-B1", home.path).stdout.split()[0]) >= sum(
        i * 997 for i in range(20))


def test_executing_from_the_mount(home, world):
    script = home / "script"
    script.write_text("#!/bin/sh\necho ran \"$1\"\n")
    script.chmod(0o755)
    assert world.run(script, "well").stdout == "ran well\n"
