"""What people do with the platform's interactive client, as the README says it is done here: each row of its table."""

import errno
import os
import pathlib
import re
import subprocess

import pytest

from gss_local import TOKEN
from gssctl import GSSCTL
from world import GSSFS, LOGIN, digest, images, is_mounted, random_bytes, until

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
LOG = b"step 1\nstep 2\n"


def table():
    """{there: the command here}, in the README's order."""
    text = README.read_text()
    rows = text.split("| there | here |\n|---|---|\n")[1].split("\n\n")[0]
    return dict(re.fullmatch(r"\| (.+?) \| `(.+)` \|", row).groups() for row in rows.splitlines())


class Person:
    """Somebody with a README, a shell, and a configuration that names this platform."""

    def __init__(self, world, platform):
        self.world, self.platform = world, platform
        self.home = world.user_home
        self.gss, self.salomon = self.home / "gss", self.home / "salomon"
        self.folder = world.path / "work"
        for path in (self.gss, self.salomon, self.folder):
            path.mkdir(parents=True)
        config = self.home / ".config" / "gssfs"
        config.mkdir(parents=True)
        base = platform.base
        (config / "gssfs.conf").write_text(
            f"[platform]\nauth={base}/authManager/AuthManager?wsdl\ngss={base}/gss-0.1/FileUtilities?wsdl\n"
            f"[storage it4i_anselm]\nimages={base}/hpc-4-anselm/Images?wsdl\n"
            f"[storage it4i_salomon]\nimages={base}/hpc-4-salomon/Images?wsdl\n")
        credentials = config / "credentials"
        credentials.touch(mode=0o600)
        credentials.write_text("".join(["[credentials]\n", *(f"{k[4:].lower()}={v}\n" for k, v in LOGIN.items())]))
        programs = [str(pathlib.Path(program).parent) for program in (GSSFS, GSSCTL)]
        self.environment = world.environment | {
            "token": TOKEN, "PATH": ":".join([*programs, os.environ["PATH"]])}
        (self.folder / "waiter.simg").write_bytes(random_bytes(300_000))

    def types(self, command):
        """What it prints. gssctl would find the mounts of other tests as well."""
        command = command.replace("gssctl register", "gssctl register -m ~/gss -m ~/salomon")
        return self.world.run("sh", "-c", command, cwd=self.folder, env=self.environment).stdout

    def on(self, cluster):
        return images(self.platform, cluster)


def is_login(person, printed):
    assert "auth.getSessionToken" not in person.platform.counters()
    assert is_mounted(person.gss) and set(os.listdir(person.gss)) >= {"home", "scratch"}


def is_listing(person, printed):
    assert re.search(r"^drwx.* hpc_logs$", printed, re.M) and re.search(r"^-rw.* 9000 .* old.tar$", printed, re.M)


def is_change(person, printed):
    assert printed == "run.log\n"


def is_upload(person, printed):
    there = person.platform.home / "waiter.simg"
    until(lambda: there.exists() and digest(there) == digest(person.folder / "waiter.simg"))


def is_download(person, printed):
    assert (person.folder / "run.log").read_bytes() == LOG


def is_folder(person, printed):
    assert (person.platform.home / "results").is_dir()


def is_no_folder(person, printed):
    assert not (person.platform.home / "results").exists()


def is_removal(person, printed):
    assert not (person.platform.home / "hpc_logs" / "run.log").exists()


def is_registration(person, printed):
    assert person.on("anselm") == {"waiter.simg": 300_000}
    # Again it replaces, without a question.
    (person.folder / "waiter.simg").write_bytes(random_bytes(400_000))
    person.types("cp waiter.simg ~/gss/home/ && " + table()["register what was uploaded, or replace the image"])
    assert person.on("anselm") == {"waiter.simg": 400_000}
    assert digest(person.platform.registered / "waiter.simg") == digest(person.folder / "waiter.simg")


def is_image_list(person, printed):
    assert re.findall(r" (\S+\.simg)$", printed, re.M) == ["waiter.simg"]


def is_image(person, printed):
    assert "waiter.simg" in printed and "400000" in printed


def is_second_image(person, printed):
    assert person.on("anselm") == {"waiter.simg": 400_000, "wait:v2.simg": 400_000}
    # The name is taken now.
    assert errno.EEXIST == errno_of(person, "it4i_anselm://home/waiter.simg")


def errno_of(person, source):
    """The errno of a registration that must not replace."""
    fd = os.open(person.gss / ".register", os.O_WRONLY)
    try:
        os.write(fd, f"register {source} wait:v2.simg\n".encode())
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
    return 0


def is_update(person, printed):
    assert digest(person.platform.registered / "wait:v2.simg") == digest(person.folder / "waiter.simg")


def is_image_removal(person, printed):
    assert person.on("anselm") == {"waiter.simg": 400_000} and (person.platform.home / "waiter.simg").exists()


def is_other_storage(person, printed):
    assert printed.split() == ["home", "scratch"] and is_mounted(person.salomon)
    assert person.platform.counters()["auth.getSessionToken"] == 1, "with the credentials file"


def is_on_both(person, printed):
    assert person.on("salomon") == person.on("anselm") == {"waiter.simg": 400_000}
    assert digest(person.platform.home.parents[1] / "it4i_salomon" / "home" / "waiter.simg") == digest(person.folder / "waiter.simg")


CHECKS = {
    "a token from the environment": is_login,
    "list a folder": is_listing,
    "change to a folder": is_change,
    "upload": is_upload,
    "download": is_download,
    "make a folder": is_folder,
    "remove a folder": is_no_folder,
    "remove a file": is_removal,
    "register what was uploaded, or replace the image": is_registration,
    "list images": is_image_list,
    "what is known of an image": is_image,
    "register an image": is_second_image,
    "update an image": is_update,
    "remove an image": is_image_removal,
    "another storage": is_other_storage,
    "all of it again for the next cluster": is_on_both,
}


@pytest.fixture
def person(world, platform):
    (platform.home / "hpc_logs").mkdir()
    (platform.home / "hpc_logs" / "run.log").write_bytes(LOG)
    (platform.home / "old.tar").write_bytes(bytes(9000))
    return Person(world, platform)


def test_each_row_of_the_readme(person):
    rows = table()
    assert list(rows) == list(CHECKS), "each row is tested, and in this order"
    for there, command in rows.items():
        CHECKS[there](person, person.types(command))
    for mount in (person.gss, person.salomon):
        assert subprocess.run([GSSCTL, "umount", mount], env=person.environment).returncode == 0
