"""Running from the mount: an image that lies on GSS, and home and scratch inside of a container."""

import contextlib
import os
import subprocess

import pytest

from world import is_mounted, random_bytes, release, settled, until

# What a job does: it reads its input in home, works with a file in scratch, and leaves a result.
PROGRAM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char line[100] = "", path[500];
	snprintf(path, sizeof path, "%s/input", argv[1]);
	FILE *in = fopen(path, "r");
	if (!in || !fgets(line, sizeof line, in))
		return 1;
	snprintf(path, sizeof path, "%s/result", argv[2]);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || ftruncate(fd, strlen(line)) < 0)
		return 2;
	char *map = mmap(NULL, strlen(line), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		/* Shared writable mappings are the kernel's to refuse. */
		if (pwrite(fd, line, strlen(line), 0) != (ssize_t)strlen(line))
			return 3;
	} else {
		memcpy(map, line, strlen(line));
		munmap(map, strlen(line));
	}
	if (close(fd) < 0)
		return 4;
	printf("%s has worked\n", argv[0]);
	return 0;
}
"""

# How bubblewrap says that this machine does not let it make a container.
NOT_HERE = ("new namespace", "setting up uid map", "Operation not permitted", "loopback")


@pytest.fixture
def image(world):
    """A squashfs with one static program and where a container mounts things."""
    root = world.path / "root"
    for name in ("bin", "home", "scratch", "proc", "dev", "data"):
        (root / name).mkdir(parents=True)
    (world.path / "job.c").write_text(PROGRAM)
    world.run("cc", "-static", "-O", "-o", root / "bin" / "job", world.path / "job.c", env={"PATH": os.environ["PATH"]})
    (root / "data" / "noise").write_bytes(random_bytes(8 << 20))
    path = world.path / "job.simg"
    world.run("mksquashfs", root, path, "-quiet", "-no-progress",
              env={"PATH": os.environ["PATH"] + ":/usr/sbin"})
    return path


@contextlib.contextmanager
def opened(world, path):
    """The image `path`, mounted by squashfuse."""
    inside = world.mountpoint("inside")
    world.run("squashfuse", path, inside)
    until(lambda: is_mounted(inside), "the image")
    try:
        yield inside
    finally:
        release(inside)
        until(lambda: not is_mounted(inside), "the end of squashfuse")


def cold(world, platform, image, *more, source="it4i_anselm://"):
    """A mount of a platform on which somebody has put the image and an input."""
    (platform.home / "job.simg").write_bytes(image.read_bytes())
    (platform.home / "input").write_text("forty-two\n")
    return world.mount(platform, source, *more)


@pytest.mark.parametrize("ranges", ["on", "off"])
def test_a_program_of_an_image_runs(world, platform, image, ranges):
    platform.set(range=ranges)
    mount = cold(world, platform, image)
    with opened(world, mount / "home" / "job.simg") as inside:
        answer = world.run(inside / "bin" / "job", mount / "home", mount / "scratch")
        assert answer.stdout.endswith("has worked\n")
        assert (inside / "data" / "noise").read_bytes() == random_bytes(8 << 20)
    settled(mount / "scratch" / "result")
    assert (platform.scratch / "result").read_text() == "forty-two\n"


def test_only_what_is_used_of_an_image_is_fetched(world, platform, image):
    mount = cold(world, platform, image)
    before = platform.counters()["bytes.sent"]
    with opened(world, mount / "home" / "job.simg") as inside:
        assert sorted(os.listdir(inside)) == ["bin", "data", "dev", "home", "proc", "scratch"]
        assert platform.counters()["bytes.sent"] - before < image.stat().st_size


def test_home_and_scratch_of_a_container(world, platform, image):
    """As `singularity exec -H HOME:/home -B SCRATCH:/scratch IMAGE` does it."""
    mount = cold(world, platform, image)
    with opened(world, mount / "home" / "job.simg") as inside:
        answer = world.run("bwrap", "--ro-bind", inside, "/", "--bind", mount / "home", "/home",
                           "--bind", mount / "scratch", "/scratch", "--proc", "/proc", "--dev", "/dev",
                           "--chdir", "/home", "/bin/job", "/home", "/scratch", check=False)
        if answer.returncode != 0 and any(word in answer.stderr for word in NOT_HERE):
            pytest.skip(f"no containers here: {answer.stderr}")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout == "/bin/job has worked\n"
    settled(mount / "scratch" / "result")
    assert (platform.scratch / "result").read_text() == "forty-two\n"


def test_an_image_that_is_replaced_while_it_runs(world, platform, image):
    """Errors, and not pages of the new image between those of the old one."""
    mount = cold(world, platform, image)
    platform.set(etag="on")
    with opened(world, mount / "home" / "job.simg") as inside:
        aside = world.path / "aside"
        aside.write_bytes(bytes(image.stat().st_size))
        os.replace(aside, platform.home / "job.simg")
        until(lambda: (mount / "home" / "job.simg").read_bytes()[:4] == bytes(4), "the new version")
        answer = subprocess.run(["cat", inside / "data" / "noise"], capture_output=True)
        assert answer.returncode != 0
        assert random_bytes(8 << 20).startswith(answer.stdout)
