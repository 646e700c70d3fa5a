"""The limit: libfuse's passthrough_hp, from the source of Debian's fuse3, built here and never kept."""

import os
import shutil
import subprocess

from daemon import Daemon, Failed
from packages import program
from peer import Peer
from place import shows

SOURCES = "deb-src {signed}{mirror} {suite} main\n"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"


def suite():
    with open("/etc/os-release") as release:
        values = dict(line.rstrip().split("=", 1) for line in release if "=" in line)
    return values["VERSION_CODENAME"].strip('"')


def fetch(folder):
    """passthrough_hp.cc and what it includes: some releases ship it with libfuse3-dev, the others in the source package,
    which apt fetches and checks, with lists and caches of its own."""
    examples = "/usr/share/doc/libfuse3-dev/examples/"
    found = [examples + n for n in ("passthrough_hp.cc", "passthrough_hp.cc.gz") if os.path.exists(examples + n)]
    if found:
        for name in os.listdir(examples):
            shutil.copy(examples + name, folder)
            if name.endswith(".gz"):
                subprocess.run(["gunzip", folder / name], check=True)
        return folder / "passthrough_hp.cc"
    if not program("apt-get") or not os.path.exists(KEYRING):
        raise Failed("its source is in Debian's package fuse3, and this is no Debian")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text(
        SOURCES.format(signed=f"[signed-by={KEYRING}] ", mirror=MIRROR, suite=suite()))
    options = [f"Dir::Etc::sourcelist={folder}/sources.list", "Dir::Etc::sourceparts=-",
               f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache"]
    if os.geteuid() == 0:
        options.append("APT::Sandbox::User=root")
    apt = ["apt-get", "-q", *[word for option in options for word in ("-o", option)]]
    for command in (["update"], ["source", "--download-only", "fuse3"]):
        done = subprocess.run([*apt, *command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"its source cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
    archive = next(folder.glob("fuse3_*.orig.tar.xz"))
    subprocess.run(["tar", "-xf", archive, "-C", folder, "--strip-components=2", "--wildcards",
                    "*/example/passthrough_hp.cc", "*/example/cxxopts.hpp", "*/example/passthrough_helpers.h"],
                   check=True)
    return folder / "passthrough_hp.cc"


class Passthrough(Peer):
    """`plain`: without the kernel's writeback cache and without cached attributes, as its --nocache says."""

    name = "limit"
    color = "#7f7f7f"
    programs = ("g++", "fusermount3", "xz")
    files = ("/usr/include/fuse3/fuse_lowlevel.h",)
    built = None

    def __init__(self, place, source=None, plain=False):
        super().__init__(place)
        self.source = source
        self.plain = plain
        if plain:
            self.name = "limit-nocache"
            self.color = "#bbbbbb"

    def build(self):
        folder = self.place.folder("passthrough")
        source = self.source or fetch(folder)
        target = folder / "passthrough_hp"
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True, capture_output=True,
                               text=True).stdout.split()
        (folder / "config.h").write_text("")
        done = subprocess.run(["g++", "-std=c++17", "-O2", "-w", "-DFUSE_USE_VERSION=312", "-I", folder, source, "-o",
                               target, *flags], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"it does not build: {done.stderr.strip().splitlines()[:1]}")
        return target

    def start(self):
        super().start()
        self.served = self.place.folder(self.name, "served")
        if Passthrough.built is None:
            Passthrough.built = self.build()

    def mount(self, session):
        daemon = Daemon(self.place, self.name, [self.built, "--foreground", *(["--nocache"] if self.plain else []),
                                                self.served, self.point])
        daemon.ready(lambda: shows(self.point))
        return daemon
