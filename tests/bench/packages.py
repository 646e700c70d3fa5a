"""What the peers need of Debian: installed when we may, else a reason to leave them out."""

import os
import shutil
import subprocess

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = "/usr/sbin/policy-rc.d"

# program: package
PROGRAMS = {"rclone": "rclone", "sshfs": "sshfs", "sshd": "openssh-server", "ssh": "openssh-client",
            "mount.davfs": "davfs2", "nginx": "nginx-light", "curl": "curl", "g++": "g++", "xz": "xz-utils",
            "fusermount3": "fuse3", "meson": "meson", "ninja": "ninja-build"}
FILES = {"/usr/lib/nginx/modules/ngx_http_dav_ext_module.so": "libnginx-mod-http-dav-ext",
         "/usr/include/fuse3/fuse_lowlevel.h": "libfuse3-dev"}


def program(name):
    return shutil.which(name, path=PATH)


def missing(programs, files=()):
    """The packages that are not there."""
    return sorted({PROGRAMS[p] for p in programs if not program(p)} |
                  {FILES[f] for f in files if not os.path.exists(f)})


def install(packages):
    """Installs them through apt-get; no service starts. None, or why not."""
    if os.geteuid() != 0:
        return f"not installed (as root this command installs it): {' '.join(packages)}"
    if not program("apt-get"):
        return f"not installed, and this is no Debian: {' '.join(packages)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # nginx and sshd would start their services.
    own_policy = not os.path.exists(POLICY)
    try:
        if own_policy:
            with open(POLICY, "w") as file:
                os.fchmod(file.fileno(), 0o755)
                file.write("#!/bin/sh\nexit 101\n")
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", "-q", *command], env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            return f"apt-get could not install {' '.join(packages)}: {' '.join(last)}"
    finally:
        if own_policy:
            os.unlink(POLICY)
    return None


def remove(packages):
    subprocess.run(["apt-get", "-q", "purge", "-y", *packages], stdin=subprocess.DEVNULL, capture_output=True,
                   env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
