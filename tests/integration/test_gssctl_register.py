"""Images: gssctl register and gssctl images; the platform's tutorial, as a script; what the existing command-line client
can do."""

import json
import os
import pathlib
import subprocess
import time

import pytest

from gssctl import (FAILED, INTERRUPTED, NOINPUT, NOPERM, OK, UNAVAILABLE, USAGE, Terminal, Waiting, complaint, gssctl,
                    gssctl_json)
from gss_local import TOKEN
from test_mount import configure, mounted_by_configuration
from world import CONTROL, SLOW, digest, images, random_bytes, release, until

MIB = 1 << 20
CLUSTERS = ("it4i_anselm", "it4i_salomon")


@pytest.fixture
def everything(world, platform):
    """Both clusters as one mount."""
    configure(world, platform, storages=CLUSTERS)
    with mounted_by_configuration(world, "all") as at:
        yield at


@pytest.fixture
def image(world):
    path = world.path / "waiter.simg"
    path.write_bytes(random_bytes(MIB + 17))
    return path


def rows(text):
    """The result table: {storage: [outcome, name, ...]}."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()}


# ---- register ----


def test_where_it_lies(world, home, platform, image):
    (home / "sub").mkdir()
    (home / "sub" / "w.simg").write_bytes(image.read_bytes())
    assert rows(gssctl(world, "register", home / "sub" / "w.simg"))["it4i_anselm"][:2] == ["registered", "w.simg"]
    assert images(platform) == {"w.simg": image.stat().st_size}
    gssctl(world, "register", "w.simg", "--as", "w:v2.simg", cwd=home / "sub")
    assert set(images(platform)) == {"w.simg", "w:v2.simg"}
    assert os.listdir(platform.home) == ["sub"]


def test_other_mounts_are_let_go(world, home, platform, image):
    (home / "w.simg").write_bytes(image.read_bytes())
    other = world.mount(platform, "it4i_salomon://home", cache="other", at="other")
    platform.fault(operation="registerImage", hold="before")
    waiting = Waiting(world, "register", home / "w.simg")
    platform.wait("held")
    release(other.path)
    platform.control("/release")
    waiting.end()
    assert other.process.wait(30) == 0


def test_from_outside(world, home, platform, image):
    gssctl(world, "register", "-m", home.path, image)
    assert digest(platform.registered / "waiter.simg") == digest(image) == digest(platform.home / "waiter.simg")
    assert set(os.listdir(home.path)) - CONTROL == {"waiter.simg"}
    # Rebuilt, and again.
    image.write_bytes(random_bytes(MIB, seed=2))
    told, = gssctl_json(world, "register", "-m", home.path, image)
    assert told["outcome"] == "updated" and told["storage"] == "it4i_anselm" and told["size"] == MIB
    assert digest(platform.registered / "waiter.simg") == digest(image)


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_what_is_there_is_not_sent_again(world, mount, platform, image, size):
    image.write_bytes(random_bytes(size))
    home = mount()
    for outcome in ("registered", "updated", "updated"):
        told, = gssctl_json(world, "register", "-m", home.path, image)
        assert told["outcome"] == outcome
        assert home.unmount() == 0
        home = mount()
    assert len([e for e in platform.log() if e["method"] in ("POST", "PUT") and e["target"].startswith("/refissh")]) == 1
    # Of the same size, and dated as before.
    image.write_bytes(random_bytes(size, seed=2))
    gssctl(world, "register", "-m", home.path, image)
    assert digest(platform.registered / "waiter.simg") == digest(image)


def test_awkward_names(world, home, platform):
    for name in ("register", "#comment", "it's here.simg", "-m", "with space"):
        (home / name).write_bytes(name.encode())
        gssctl(world, "register", "--as", "i.simg", "--", home / name)
        assert (platform.registered / "i.simg").read_text() == name
    outside = world.path / "it's a #1.simg"
    outside.write_bytes(b"outside")
    gssctl(world, "register", "-m", home.path, "--as", "i.simg", outside)
    assert (platform.registered / "i.simg").read_text() == "outside"


def test_on_both_clusters(world, everything, platform, image):
    assert "--on" in complaint(world, "register", "-m", everything, image, status=USAGE)
    text = gssctl(world, "register", "-m", everything, "--on", "it4i_anselm,it4i_salomon", image)
    assert {storage: row[:2] for storage, row in rows(text).items()} == \
        {storage: ["registered", "waiter.simg"] for storage in CLUSTERS}
    for cluster in ("anselm", "salomon"):
        assert images(platform, cluster) == {"waiter.simg": image.stat().st_size}
    # From one to the other; where it is nothing is copied.
    (everything / "it4i_anselm" / "scratch" / "x.simg").write_bytes(b"other")
    gssctl(world, "register", "-m", everything, "--on", "it4i_salomon,it4i_anselm", everything / "it4i_anselm/scratch/x.simg")
    assert images(platform, "anselm")["x.simg"] == images(platform, "salomon")["x.simg"] == 5
    assert not (platform.home / "x.simg").exists()


def test_one_of_them_fails(world, everything, platform, image):
    platform.fault(operation="registerImage", path="*salomon*", status=403, times=1000)
    result = gssctl(world, "register", "-m", everything, "--on", ",".join(CLUSTERS), image, status=None)
    assert result.returncode == FAILED
    table = rows(result.stdout)
    assert table["it4i_anselm"][0] == "registered" and table["it4i_salomon"][0] == "failed"
    assert len(table["it4i_salomon"]) > 6, "why it failed"
    assert set(images(platform, "anselm")) == {"waiter.simg"} and images(platform, "salomon") == {}


def test_only_new_or_only_known_ones(world, home, platform, image):
    mine = ["register", "-m", home.path]
    assert rows(gssctl(world, *mine, "--update", image, status=None).stdout)["it4i_anselm"][0] == "failed"
    gssctl(world, *mine, "--new", image)
    image.write_bytes(b"newer")
    text = gssctl(world, *mine, "--new", image, status=None).stdout
    assert rows(text)["it4i_anselm"][0] == "failed" and "update replaces it" in text and "the line" not in text
    assert images(platform) == {"waiter.simg": MIB + 17}
    gssctl(world, *mine, "--update", image)
    assert images(platform) == {"waiter.simg": 5}


@pytest.mark.parametrize("words, status, word", [
    (["--as", "Upper.simg"], USAGE, "lowercase"),
    (["--as", "no-ending"], USAGE, ".simg"),
    (["--on", "it4i_barbora"], UNAVAILABLE, "it4i_anselm"),
    (["--on", ","], USAGE, "storage"),
], ids=str)
def test_what_is_refused_before_anything_is_copied(world, home, platform, image, words, status, word):
    assert word in complaint(world, "register", "-m", home.path, *words, image, status=status)
    assert set(os.listdir(home.path)) - CONTROL == set() and os.listdir(platform.home) == []


def test_what_is_no_image(world, home):
    (world.path / "empty.simg").touch()
    (world.path / "folder.simg").mkdir()
    assert "empty" in complaint(world, "register", "-m", home.path, world.path / "empty.simg", status=USAGE)
    assert "no file" in complaint(world, "register", "-m", home.path, world.path / "folder.simg", status=USAGE)
    assert "nosuch" in complaint(world, "register", "-m", home.path, world.path / "nosuch.simg", status=NOINPUT)


def test_a_record_is_no_image(world, everything, platform, image):
    gssctl(world, "register", "-m", everything, "--on", "it4i_anselm", image)
    record = everything / "it4i_anselm" / ".images" / "waiter.simg"
    for words in ([], ["--on", "it4i_anselm"], ["--on", "it4i_salomon"], ["--on", ",".join(CLUSTERS)]):
        assert "made from" in complaint(world, "register", "-m", everything, *words, record, status=USAGE)
    assert images(platform) == {"waiter.simg": image.stat().st_size} and images(platform, "salomon") == {}
    for name in (".status", ".images", "it4i_anselm/home/.register"):
        complaint(world, "register", "-m", everything, "--as", "a.simg", "--on", "it4i_anselm", everything / name, status=USAGE)


def writes_to(process, path):
    """Has it the control file open?"""
    return any(os.readlink(link) == str(path) for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("removes", [False, True])
def test_what_joins_a_command_is_told_of_its_end(world, home, platform, removes, fails):
    (home / "a.simg").write_bytes(b"x")
    gssctl(world, "register", home / "a.simg")
    answer = {"status": 403} if fails else {}
    platform.fault(operation="deleteImage" if removes else "updateImage", hold="before", **answer)
    first = world.path / "first"
    first.write_text(f"echo {'remove a.simg' if removes else 'a.simg'} >{home.path}/.register")
    with subprocess.Popen(["sh", first], stderr=subprocess.DEVNULL) as process:
        platform.wait("held")
        time.sleep(2.1)  # it has begun in another second
        words = ["images", "rm", "-y", "a.simg", "-m", home.path] if removes else ["register", home / "a.simg"]
        waiting = Waiting(world, *words)
        until(lambda: writes_to(waiting.process, home / ".register"))
        time.sleep(0.3 * SLOW)  # nothing tells that its write, which follows the open, has joined
        platform.control("/release")
        out, err = waiting.end(FAILED if fails else OK)
        process.wait(20 * SLOW)
    if fails:
        assert "403" in out + err
    elif not removes:
        assert rows(out)["it4i_anselm"][0] == "updated"


def test_ctrl_c_leaves_the_registration_going(world, home, platform, image):
    platform.fault(method="POST", path="/refissh*", hold="during")
    waiting = Waiting(world, "register", "-m", home.path, image)
    platform.wait("held")
    until(lambda: (home / "waiter.simg").exists(), "the copy")
    until(lambda: any(line.startswith("command\t") for line in (home / ".status").read_text().splitlines()), "the command")
    waiting.interrupt()
    assert "goes on" in waiting.end(INTERRUPTED)[1]
    platform.control("/release")
    until(lambda: images(platform) == {"waiter.simg": image.stat().st_size})


def test_ctrl_c_during_a_copy_leaves_nothing(world, everything, platform):
    """The source itself has to be fetched, which hangs."""
    (platform.root / "it4i_anselm" / "scratch" / "x.simg").write_bytes(random_bytes(MIB))
    source = everything / "it4i_anselm" / "scratch" / "x.simg"
    until(source.exists)
    platform.fault(method="GET", path="*/x.simg", hold="before", times=1000)
    waiting = Waiting(world, "register", "-m", everything, "--on", "it4i_salomon", source)
    platform.wait("held")
    waiting.interrupt()
    assert "nothing of it is left" in waiting.end(INTERRUPTED)[1]
    assert os.listdir(everything / "it4i_salomon" / "home") == []
    assert images(platform, "salomon") == {}


def test_bars_of_a_registration(world, everything, platform):
    platform.set(bandwidth=4 * MIB, register_delay=1)
    image = world.path / "big.simg"
    image.write_bytes(random_bytes(8 * MIB))
    terminal = Terminal(world, "register", "-m", everything, "--on", ",".join(CLUSTERS), image)
    for storage in CLUSTERS:
        terminal.read_until(rf"{storage} big.simg +\[=*>? *\] +\d+ %  +8.0 MiB .*\n")
    terminal.end()
    assert set(rows(terminal.frames()[-1])) - {"STORAGE"} == set(CLUSTERS)


def test_bar_of_an_upload_that_waits(world, home, platform, image):
    platform.fault(method="POST", path="/refissh*", status=503, times=1000)
    terminal = Terminal(world, "register", "-m", home.path, image, columns=160)
    terminal.read_until(r"waiter.simg .* again in \d+ s: .*503")
    platform.control("/reset")
    gssctl(world, "retry", home.path)
    terminal.end()


# ---- images ----


def test_images_are_listed(world, everything, platform, image):
    assert gssctl(world, "images", "-m", everything) == ""
    gssctl(world, "register", "-m", everything, "--on", ",".join(CLUSTERS), image)
    gssctl(world, "register", "-m", everything, "--on", "it4i_salomon", "--as", "w:v1.simg", image)
    assert [line.split()[:3] for line in gssctl(world, "images", "-m", everything).splitlines()] == \
        [["it4i_anselm", "waiter.simg", "1.0"], ["it4i_salomon", "w:v1.simg", "1.0"], ["it4i_salomon", "waiter.simg", "1.0"]]
    assert gssctl(world, "images", "ls", "-m", everything, "--on", "it4i_anselm").count("\n") == 1
    listed = gssctl_json(world, "images", "info", "waiter.simg", "-m", everything)
    assert {image["storage"] for image in listed} == set(CLUSTERS)
    assert all(found["size"] == image.stat().st_size and found["date"].startswith("20") for found in listed)
    assert "nosuch.simg" in complaint(world, "images", "info", "nosuch.simg", "-m", everything, status=NOINPUT)
    assert complaint(world, "images", "info", "../home", "-m", everything, status=USAGE)


def test_images_are_removed_one_by_one(world, everything, platform, image):
    gssctl(world, "register", "-m", everything, "--on", ",".join(CLUSTERS), image)
    # Neither from all clusters at once, nor without being asked.
    assert "--on" in complaint(world, "images", "rm", "--yes", "waiter.simg", "-m", everything, status=USAGE)
    one = ["images", "-m", everything, "--on", "it4i_salomon", "rm", "waiter.simg"]
    assert "--yes" in complaint(world, *one, status=FAILED)
    terminal = Terminal(world, *one)
    terminal.read_until(r"Remove .* it4i_salomon.*\[y/N\]")
    terminal.type("n\n")
    terminal.end(FAILED)
    assert set(images(platform, "salomon")) == {"waiter.simg"}
    gssctl(world, *one, "--yes")
    assert images(platform, "salomon") == {} and set(images(platform, "anselm")) == {"waiter.simg"}
    assert "not registered" in complaint(world, *one, "--yes", status=NOINPUT)


def test_images_of_a_mounted_folder(world, home, platform, image):
    gssctl(world, "register", "-m", home.path, image)
    assert [row["name"] for row in gssctl_json(world, "images", "-m", home.path)] == ["waiter.simg"]


def test_images_when_the_service_fails(world, home, platform):
    platform.fault(operation="listImages", status=403, times=1000)
    assert "it4i_anselm" in complaint(world, "images", "-m", home.path, status=NOPERM)


def test_images_without_a_login(world, platform):
    configure(world, platform, credentials={"CFG_TOKEN": "preset-token"})
    with mounted_by_configuration(world, "it4i_anselm://") as at:
        platform.control("/revoke")
        for words in (["ls"], ["info", "a.simg"]):
            text = complaint(world, "images", *words, "-m", at, status=NOPERM)
            assert "gssctl login" in text and "key" not in text, text


def test_storages_without_images_are_left_out(world, platform, image):
    configure(world, platform, storages=("it4i_anselm", "plm"))
    plm = world.mountpoint("plm")
    assert world.gssfs("plm://demo/model/1", plm, login={}).returncode == 0
    with mounted_by_configuration(world, "it4i_anselm://") as at:
        assert not (plm / ".images").exists()
        both = ["-m", at, "-m", plm]
        assert gssctl(world, "images", *both) == ""
        assert list(rows(gssctl(world, "register", *both, image))) == ["it4i_anselm"]
        assert list(rows(gssctl(world, "images", *both))) == ["it4i_anselm"]
        gssctl(world, "images", "info", "waiter.simg", *both)
        gssctl(world, "images", "rm", "-y", "waiter.simg", *both)
        assert "plm" in complaint(world, "images", *both, "--on", "plm", status=UNAVAILABLE)
        for words in (["images"], ["register", image]):
            assert "images=" in complaint(world, *words, "-m", plm, status=UNAVAILABLE)
        release(plm)


# ---- the platform's tutorial ----

TUTORIAL = """
set -eu
# Build an image: here the root file system alone, without singularity.
mkdir -p root/scratch root/service root/app
cp "$WAITER"/app/* root/app/
PATH=$PATH:/usr/sbin:/sbin
mksquashfs root waiter.simg -quiet -no-progress -noappend -all-root >/dev/null

for cluster in it4i_anselm it4i_salomon; do
	cp waiter.simg "$GSS/$cluster/home/"
	echo waiter.simg >"$GSS/$cluster/home/.register"
	tail -n 1 "$GSS/$cluster/.register" | grep -q waiter.simg
done

# Rebuild, over the old one, and register again.
echo '# a later version' >>root/app/wait_a_while.py
mksquashfs root waiter.simg -quiet -no-progress -noappend -all-root >/dev/null
for cluster in it4i_anselm it4i_salomon; do
	cp waiter.simg "$GSS/$cluster/home/"
	echo waiter.simg >"$GSS/$cluster/home/.register"
done
# The same by name, for a version that stays.
"$GSSCTL" register -m "$GSS" --on it4i_anselm,it4i_salomon --as waiter:v2.simg waiter.simg
"""


@pytest.mark.parametrize("gateway_timeout", ["off", "on"])
def test_the_tutorial(world, everything, platform, gateway_timeout):
    """As it is written, on two clusters; also where every registration is answered by a 504 and goes on behind."""
    platform.set(register_504=gateway_timeout, register_delay=1 if gateway_timeout == "on" else 0)
    waiter = os.environ.get("GSSFS_WAITER", os.path.dirname(os.path.abspath(__file__)) + "/../waiter")
    from gssctl import GSSCTL
    work = world.path / "work"
    work.mkdir()
    world.shell(TUTORIAL, cwd=work, env={"WAITER": waiter, "GSS": str(everything), "GSSCTL": GSSCTL})
    built = work / "waiter.simg"
    for cluster in ("anselm", "salomon"):
        assert images(platform, cluster) == {name: built.stat().st_size for name in ("waiter.simg", "waiter:v2.simg")}
        for name in ("waiter.simg", "waiter:v2.simg"):
            assert digest(platform.root / "images" / cluster / name) == digest(built)
    # What was answered by a time-out was asked about, not sent again.
    sent = platform.counters()
    assert sent["images.registerImage"] + sent.get("images.updateImage", 0) == 6


# ---- what the existing client can do, a test a row of README's table ----


@pytest.fixture
def root(mount):
    return mount("it4i_anselm://")


def test_parity_list(root, platform):
    (platform.home / "theirs").write_bytes(b"123")
    (platform.home / "folder").mkdir()
    assert sorted(os.listdir(root / "home")) == ["folder", "theirs"]
    assert (root / "home" / "theirs").stat().st_size == 3


def test_parity_upload(root, platform, image, world):
    world.run("cp", image, root / "home")
    gssctl(world, "flush", root / "home")
    assert digest(platform.home / "waiter.simg") == digest(image)


def test_parity_download(root, platform, world):
    (platform.home / "result").write_bytes(random_bytes(MIB))
    world.run("cp", root / "home" / "result", world.path)
    assert digest(world.path / "result") == digest(platform.home / "result")


def test_parity_mkdir(root, platform, world):
    world.run("mkdir", root / "home" / "new")
    assert (platform.home / "new").is_dir()


def test_parity_rm(root, platform, world):
    (platform.home / "old").write_bytes(b"x")
    (platform.home / "folder" / "sub").mkdir(parents=True)
    (platform.home / "folder" / "sub" / "f").write_bytes(b"x")
    world.run("rm", "-r", root / "home" / "old", root / "home" / "folder")
    assert os.listdir(platform.home) == []


def test_parity_register_image(root, platform, image, world):
    world.run("cp", image, root / "home")
    world.shell(f"echo waiter.simg > {root.path}/home/.register")
    world.shell(f"echo 'register it4i_anselm://home/waiter.simg other.simg' > {root.path}/.register")
    assert set(images(platform)) == {"waiter.simg", "other.simg"}
    assert "File exists" in world.shell(f"/bin/echo 'register waiter.simg' > {root.path}/home/.register", check=False).stderr


def test_parity_update_image(root, platform, image, world):
    (root / "home" / "w.simg").write_bytes(b"1")
    assert world.shell(f"/bin/echo 'update w.simg' > {root.path}/home/.register", check=False).returncode != 0
    world.shell(f"echo 'register w.simg' > {root.path}/home/.register")
    (root / "home" / "w.simg").write_bytes(b"22")
    world.shell(f"echo 'update w.simg' > {root.path}/home/.register")
    assert images(platform) == {"w.simg": 2}


def test_parity_remove_image(root, platform, image, world):
    (root / "home" / "w.simg").write_bytes(b"1")
    world.shell(f"echo w.simg > {root.path}/home/.register")
    world.shell(f"echo 'remove w.simg' > {root.path}/.register")
    assert images(platform) == {}


def test_parity_list_images(root, platform, world):
    (root / "home" / "w.simg").write_bytes(b"123")
    world.shell(f"echo w.simg > {root.path}/home/.register")
    assert world.shell(f"ls {root.path}/.images").stdout == "w.simg\n"
    assert "size\t3\n" in (root / ".images" / "w.simg").read_text()


def test_parity_switching_storages(everything, platform, world):
    world.shell("echo x > it4i_anselm/home/a && cp it4i_anselm/home/a it4i_salomon/scratch/b", cwd=everything)
    gssctl(world, "flush", everything)
    assert (platform.root / "it4i_salomon" / "scratch" / "b").read_text() == "x\n"


def test_parity_token_from_the_environment(world, platform):
    root = world.mount(platform, "it4i_anselm://", login={"CFG_TOKEN": TOKEN})
    (root / "home" / "f").write_bytes(b"x")
    gssctl(world, "flush", root.path)
    assert (platform.home / "f").read_bytes() == b"x"


def test_over_two_mounts(world, platform, home):
    """Each storage with a mount of its own: copied, registered on both; one that fails makes it fail."""
    (platform.root / "it4i_salomon" / "home").mkdir(parents=True, exist_ok=True)
    other = world.mount(platform, "it4i_salomon://home",
                        f"images={platform.base}/hpc-4-salomon/Images?wsdl", cache="other", at="other")
    image = world.path / "w.simg"
    image.write_bytes(random_bytes(1000))
    where = ["-m", home.path, "-m", other.path, "--on", "it4i_anselm,it4i_salomon"]
    told = gssctl_json(world, "register", *where, image)
    assert [one["outcome"] for one in told] == ["registered", "registered"]
    assert images(platform, "anselm") == images(platform, "salomon") == {"w.simg": 1000}
    image.write_bytes(random_bytes(2000))
    platform.fault(operation="updateImage", path="*salomon*", status=403, times=9)
    told = gssctl_json(world, "register", *where, image, status=FAILED)
    assert [one["outcome"] for one in told] == ["updated", "failed"] and "403" in told[1]["message"]
    assert (images(platform, "anselm"), images(platform, "salomon")) == ({"w.simg": 2000}, {"w.simg": 1000})


def test_each_cluster_has_its_own_time(world, platform):
    configure(world, platform, storages=("it4i_anselm", "it4i_salomon"))
    image = world.path / "w.simg"
    image.write_bytes(random_bytes(1000))
    with mounted_by_configuration(world, "all") as at:
        platform.fault(operation="registerImage", path="*salomon*", hold="before")
        waiting = Waiting(world, "register", "-m", at, "--json", "--on", "it4i_anselm,it4i_salomon", image)
        platform.wait("held", 1)
        until(lambda: "registered" in (at / "it4i_anselm" / ".register").read_text())
        time.sleep(4)
        platform.control("/release")
        quick, slow = json.loads(waiting.end()[0])
        assert slow["seconds"] - quick["seconds"] >= 3
