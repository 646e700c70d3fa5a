"""The fixtures of the tests of the mounted file system.

Run by meson, which names the programs in GSSFS and GSS_LOCAL. Whatever a test leaves behind (mounts, processes,
folders) is removed after it, also when it failed; a report of a sanitizer makes it fail.
"""

import functools
import os
import pathlib
import shutil
import signal

import pytest

from world import SANITIZE, TEST_TIMEOUT, World

# A shell lets what it starts in the background ignore SIGINT, which all that is started from there inherits, and heeds.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # pytest's own plugin reads xmlpath when it is configured
def pytest_configure(config):
    """Each file's results as XML where GSSFS_JUNIT_DIR says, for tests/run.sh to count."""
    folder = os.environ.get("GSSFS_JUNIT_DIR")
    if folder and not config.option.xmlpath:
        names = [pathlib.Path(a.split("::")[0]).stem for a in config.args]
        config.option.xmlpath = os.path.join(folder, "-".join(names) + ".xml")


def pytest_collection_modifyitems(items):
    if os.environ.get("GSSFS_QUICK") or SANITIZE != "none":
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    world = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.failed and world is not None:
        for name, text in world.logs():
            report.sections.append((name, text))


@pytest.fixture
def world():
    world = World()

    def expired(signum, frame):
        world.expire()
        raise TimeoutError(f"the test took more than {TEST_TIMEOUT} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(TEST_TIMEOUT)
    try:
        yield world
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faults = world.end()
        shutil.rmtree(world.path, ignore_errors=True)
    assert not faults, "\n".join(faults)


@pytest.fixture
def platform(world):
    """A platform of one's own."""
    return world.server()


@pytest.fixture
def home(world, platform):
    """it4i_anselm://home of that platform, mounted; `platform.home` is the same behind its back."""
    return world.mount(platform)


@pytest.fixture
def mount(world, platform):
    """Mounts of that platform, as many as one wants."""
    return functools.partial(world.mount, platform)
