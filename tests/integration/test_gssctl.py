"""gssctl: looking at mounts, waiting for them, logging in; at a terminal and away from it."""

import errno
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from gssctl import (FAILED, GSSCTL, INTERRUPTED, NOINPUT, TEMPFAIL, UNAVAILABLE, USAGE, Terminal,
                    Waiting, complaint, gssctl, gssctl_json)
from test_mount import configure, mounted_by_configuration
from world import SLOW, digest, fails_with, images, is_mounted, random_bytes, settled, state, until

MIB = 1 << 20
VERBS = ["login", "status", "flush", "register", "images", "retry", "discard", "refresh", "uri", "path", "umount"]


def hold(platform):
    """Uploads wait in the middle of their bodies."""
    platform.fault(method="POST", path="/refissh*", hold="during", times=1000)


@pytest.fixture
def held(platform):
    hold(platform)


def refuse(platform, name):
    platform.fault(method="POST", path=f"*/{name}", status=400, times=1000)


# ---- help ----


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(world, verb):
    text = gssctl(world, verb, "--help")
    assert text.startswith(f"Usage:\n  gssctl {verb}")
    assert gssctl(world, "help", verb) == text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert verb in gssctl(world, "--help")


def test_version(world):
    assert gssctl(world, "--version").split() == ["gssctl", world.gssfs("--version").stdout.split()[1]]


@pytest.mark.parametrize("words", [[], ["nosuch"], ["help", "nosuch"], ["flush", "--nosuch"], ["uri"], ["path"], ["umount"], ["discard"],
                                   ["register"], ["register", "a", "b"], ["login", "secret"], ["path", "no uri"],
                                   ["flush", "--timeout=soon"]], ids=" ".join)
def test_wrong_usage(world, home, words):
    result = gssctl(world, *words, status=None)
    assert result.returncode == USAGE and result.stdout == "" and result.stderr


def test_it_links_nothing_of_the_mount():
    """It can do what a script can, and no more."""
    text = subprocess.run(["ldd", GSSCTL], check=True, capture_output=True, text=True).stdout
    assert not any(name in text for name in ("fuse", "sqlite", "curl"))


# ---- what is where ----


def test_paths_that_are_in_no_mount(world, home):
    assert str(world.path) in complaint(world, "umount", world.path, status=NOINPUT)
    for verb in ("flush", "status", "retry", "refresh", "uri"):
        assert str(world.path) in complaint(world, verb, world.path, status=NOINPUT)
        assert "nosuch" in complaint(world, verb, home / "nosuch", status=NOINPUT)
        assert "nosuch" in complaint(world, verb, home / "nosuch" / "f", status=NOINPUT)


def test_a_dead_mount_is_told_and_can_be_ended(world, home):
    home.process.kill()
    home.process.wait()
    assert "umount" in complaint(world, "status", home.path, status=UNAVAILABLE)
    assert "umount" in complaint(world, "flush", home.path, status=UNAVAILABLE)
    gssctl(world, "umount", home.path)
    assert not is_mounted(home.path)


def test_uri_and_path(world, mount, platform):
    root = mount("it4i_anselm://")
    (root / "home" / "with space").write_text("x")
    settled(root / "home" / "with space")
    uri = "it4i_anselm://home/with space"
    assert gssctl(world, "uri", root / "home" / "with space", root / "home") == f"{uri}\nit4i_anselm://home\n"
    assert gssctl(world, "uri", "with space", cwd=root / "home") == f"{uri}\n"
    assert gssctl(world, "path", "-m", root.path, uri, "it4i_anselm://home/", "it4i_anselm://") == \
        f"{root.path}/home/with space\n{root.path}/home\n{root.path}\n"
    assert "nosuch" in complaint(world, "path", "-m", root.path, "it4i_anselm://home/nosuch", status=NOINPUT)
    assert "not mounted" in complaint(world, "path", "-m", root.path, "it4i_salomon://home", status=NOINPUT)
    # What is not uploaded yet will be there.
    platform.fault(method="POST", path="/refissh*", hold="before", times=1000)
    (root / "home" / "new").write_text("x")
    assert "not on GSS" in complaint(world, "uri", root / "home" / "new", status=FAILED)
    assert gssctl(world, "path", "-m", root.path, "it4i_anselm://home/new") == f"{root.path}/home/new\n"


def test_path_where_uris_tell_no_place(world, mount):
    root = mount("plm://demo/model/1")
    (root / "sub").mkdir()
    (root / "sub" / "f").write_text("x")
    settled(root / "sub" / "f")
    uri = gssctl(world, "uri", root / "sub" / "f").strip()
    assert "sub" not in uri
    assert gssctl(world, "path", "-m", root.path, uri) == f"{root.path}/sub/f\n"
    assert complaint(world, "path", "-m", root.path, "plm://demo/model/987654", status=NOINPUT)


# ---- status ----


def test_status_of_an_idle_mount(world, home):
    text = gssctl(world, "status", home.path)
    first, *facts = text.splitlines()
    assert first == f"{home.path}  it4i_anselm://home"
    assert [line.split()[0] for line in facts] == ["login", "cache", "pending"]
    assert "everything is on GSS" in facts[2]
    # Among all mounts; those of others may die meanwhile.
    assert first in gssctl(world, "status", status=None).stdout


def test_status_of_what_was_set_aside(world, home):
    journal, = (world.path / "cache").rglob("journal.sqlite")
    folder = journal.parent / "quarantine"
    folder.mkdir(exist_ok=True)
    (folder / "0001-f").write_bytes(b"saved\n")
    assert re.search(rf"^  quarantine  1 file, 6 B in {folder}: take them away$", gssctl(world, "status", home.path), re.M)
    shown, = gssctl_json(world, "status", home.path)
    assert shown["quarantines"] == [{"files": 1, "bytes": 6, "path": str(folder)}]
    (folder / "0001-f").unlink()
    assert "quarantine" not in gssctl(world, "status", home.path)
    assert gssctl_json(world, "status", home.path)[0]["quarantines"] == []


def test_status_of_what_is_on_its_way(world, home, platform):
    refuse(platform, "bad")
    hold(platform)
    (home / "sub").mkdir()
    (home / "bad").write_bytes(b"x" * 2048)
    until(lambda: state(home / "bad") == "failed")
    (home / "sub" / "big").write_bytes(random_bytes(3 * MIB))
    platform.wait("held")
    text = gssctl(world, "status", home.path)
    assert any(line.split()[:1] + line.split()[-1:] == ["uploading", "sub/big"] for line in text.splitlines())
    assert any(line.startswith("  failed") and " bad " in line and "gssctl retry" in line for line in text.splitlines())
    mounted, = gssctl_json(world, "status", home.path)
    assert mounted["mountpoint"] == str(home.path) and mounted["source"] == "it4i_anselm://home"
    assert mounted["pending"]["files"] == 2 and mounted["pending"]["parked"] == 1
    files = {file["path"]: file for file in mounted["files"]}
    assert files["bad"]["state"] == "failed" and files["bad"]["message"]
    assert files["sub/big"]["state"] == "uploading" and files["sub/big"]["bytes_total"] == 3 * MIB
    # Of a part.
    part, = gssctl_json(world, "status", home / "sub")
    assert [file["path"] for file in part["files"]] == ["sub/big"]
    assert "bad" not in gssctl(world, "status", home / "sub").split()


def test_status_of_a_file(world, home):
    (home / "f").write_bytes(b"12345")
    settled(home / "f")
    text = gssctl(world, "status", home / "f")
    assert text.splitlines()[0] == str(home / "f")
    assert ["state", "clean"] in [line.split() for line in text.splitlines()]
    told = gssctl_json(world, "status", home / "f")
    assert told["state"] == "clean" and told["uri"] == "it4i_anselm://home/f" and told["error"] is None


def test_names_cannot_play_with_the_terminal(world, home, held):
    (home / "gmis.\u202eexe").write_text("x")
    assert "gmis.exe" in gssctl(world, "status", home.path)


def test_watching(world, home, platform, held):
    watching = Waiting(world, "status", "--watch", "--json", home.path)
    first = json.loads(watching.process.stdout.readline())
    assert first[0]["files"] == []
    (home / "f").write_bytes(b"x")
    while (told := json.loads(watching.process.stdout.readline()))[0]["pending"]["files"] == 0:
        pass
    assert told[0]["files"][0]["path"] == "f"
    platform.control("/release")
    while json.loads(watching.process.stdout.readline())[0]["pending"]["files"] > 0:
        pass
    watching.interrupt()
    watching.end(INTERRUPTED)


def test_watching_at_a_terminal(world, home, platform, held):
    terminal = Terminal(world, "status", "-w", home.path)
    terminal.read_until("everything is on GSS")
    (home / "f").write_bytes(b"x")
    terminal.read_until(r"uploading .* f\n")
    platform.control("/release")
    until(lambda: state(home / "f") == "clean")
    terminal.text = ""
    terminal.read_until("everything is on GSS")
    terminal.type("\x03")
    terminal.end(INTERRUPTED)


# ---- flush ----


def test_headings_at_a_terminal(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    (home / "g").write_bytes(b"x")
    platform.wait("held")
    writer = subprocess.Popen(["sh", "-c", f"exec echo g g.simg > {home.path}/.register"])
    until(lambda: "\ncommand\t" in (home / ".status").read_text())
    text = Terminal(world, "status", home.path).end()
    assert re.search(r"^  STATE +DONE +SIZE +FILE\n", text, re.M)
    assert re.search(r"^  COMMAND +SOURCE +IMAGE +STORAGE +STEP +TIME\n  replace +g +as +g.simg +it4i_anselm ", text, re.M)
    assert "STATE" not in gssctl(world, "status", home.path)
    platform.control("/release")
    writer.wait(20 * SLOW)


def test_flush_waits(world, home, platform, held):
    gssctl(world, "flush", home.path)
    (home / "f").write_bytes(random_bytes(MIB))
    (home / "g").write_bytes(b"")
    waiting = Waiting(world, "flush", home / "f", home.path)
    platform.wait("held")
    assert waiting.process.poll() is None
    platform.control("/release")
    assert waiting.end() == ("", "")
    assert state(home / "f") == state(home / "g") == "clean"
    assert digest(home / "f") == digest(platform.home / "f")


def test_flush_of_a_part_does_not_wait_for_the_rest(world, home, platform):
    platform.fault(method="POST", path="*/slow", hold="before", times=1000)
    (home / "sub").mkdir()
    (home / "slow").write_bytes(b"x")
    platform.wait("held")
    (home / "sub" / "f").write_bytes(b"x")
    gssctl(world, "flush", home / "sub")
    gssctl(world, "flush", home / "sub" / "f")
    assert state(home / "slow") == "uploading"


def test_flush_tells_what_did_not_arrive(world, home, platform):
    refuse(platform, "bad")
    (home / "bad").write_bytes(b"x")
    (home / "good").write_bytes(b"x")
    text = complaint(world, "flush", home.path, status=FAILED)
    assert str(home / "bad") in text and "gssctl retry" in text and "good" not in text
    assert gssctl_json(world, "flush", home.path, status=FAILED) == {"arrived": False, "left": [str(home / "bad")]}
    gssctl(world, "flush", home / "good")
    assert gssctl_json(world, "flush", home / "good") == {"arrived": True, "left": []}


def test_flush_for_a_time(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    assert "1 file" in complaint(world, "flush", "-t", 1, home.path, status=TEMPFAIL)
    platform.control("/release")
    gssctl(world, "flush", "-t", 60, home.path)


def test_ctrl_c_ends_the_waiting_alone(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    waiting = Waiting(world, "flush", home.path)
    platform.wait("held")
    until(lambda: "SigCgt" in (status := open(f"/proc/{waiting.process.pid}/status").read()) and
          int(status.split("SigCgt:")[1].split()[0], 16) & (1 << (signal.SIGINT - 1)), "its signal handler")
    waiting.interrupt()
    assert "the uploads go on" in waiting.end(INTERRUPTED)[1]
    platform.control("/release")
    settled(home / "f")


def test_ctrl_c_tells_what_is_left(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    platform.wait("held")
    for words in (["flush"], ["umount"], ["flush", "--json"]):
        terminal = Terminal(world, *words, home.path)
        terminal.read_until("1 file left")
        terminal.type("\x03")
        text = terminal.end(INTERRUPTED)
        assert re.search(r"gssctl: 1 file, \d B left; ", text)
        if "--json" in words:
            assert json.loads(text[text.rindex("{"):]) == {"arrived": False, "left": [str(home / "f")]}
    platform.control("/release")
    settled(home / "f")


def test_bars(world, home, platform):
    platform.set(bandwidth=2 * MIB)
    (home / "sub").mkdir()
    (home / "sub" / "big").write_bytes(random_bytes(12 * MIB))
    (home / "other").write_bytes(random_bytes(12 * MIB))
    terminal = Terminal(world, "flush", home.path, columns=90)
    # How much, how large, how fast, how long: of each file, and of all.
    for label in ("sub/big", "other", r"\d files? left"):
        terminal.read_until(rf"{label} +\[=*>? *\] +\d+ %  +\d+.\d MiB +\d+.\d [KM]iB/s +\d:\d\d\n")
    text = terminal.end()
    assert text.splitlines()[-1].endswith("everything is on GSS.") and "24.0 MiB" in text.splitlines()[-1]
    frames = terminal.frames()
    assert all(len(line) < 90 for frame in frames for line in frame.splitlines())
    percents = [int(line.split("%")[0].split()[-1]) for frame in frames for line in frame.splitlines() if " left" in line]
    assert percents == sorted(percents) and percents[0] < 100


@pytest.mark.parametrize("columns", [1, 20, 45])
def test_bars_at_a_narrow_terminal(world, home, platform, held, columns):
    (home / "a file with a long name").write_bytes(b"x")
    terminal = Terminal(world, "flush", home.path, columns=columns, lines=3)
    terminal.read_until("\n.*\n")
    platform.control("/release")
    terminal.end()
    assert all(len(line) < max(columns, 2) for frame in terminal.frames()[:-1] for line in frame.splitlines())


def test_no_bars_where_there_is_no_terminal(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    platform.wait("held")
    terminal = Terminal(world, "flush", "-t", 1, home.path, TERM="dumb")
    assert "\033" not in terminal.end(TEMPFAIL)


# ---- commands ----


def test_retry(world, home, platform):
    refuse(platform, "f")
    (home / "f").write_bytes(b"x")
    assert complaint(world, "flush", home.path, status=FAILED)
    platform.control("/reset")
    gssctl(world, "retry", home / "f")
    gssctl(world, "flush", home.path)
    assert (platform.home / "f").read_bytes() == b"x"


def test_no_retry_helps_a_lost_write(world, mount):
    home = mount("it4i_anselm://home", "cache_size=1M")
    with fails_with(errno.ENOSPC):
        (home / "f").write_bytes(bytes(2_000_000))
    for verb in ("retry", "flush"):
        text = complaint(world, verb, home / "f", status=FAILED)
        assert "a write to it was lost" in text and "write it anew" in text and "gssctl retry" not in text
    gssctl(world, "discard", "--yes", home / "f")


def test_what_ends_the_options(world, home):
    """-- does, wherever it stands."""
    for name in ("a", "-rf"):
        (home / name).write_bytes(b"x")
    for words in (["a", "--", "-rf"], ["--", "a", "-rf"], ["a", "./-rf", "--", "-rf"]):
        gssctl(world, "retry", *words, cwd=home.path)
    assert "--:" in complaint(world, "retry", "a", "--", "--", cwd=home.path, status=NOINPUT)


@pytest.mark.parametrize("verb", ["retry", "discard", "refresh", "register"])
def test_names_with_a_newline(world, home, verb):
    """No line says them."""
    path = home / "two\nlines"
    path.write_bytes(b"x")
    words = {"discard": ["--yes"], "register": ["--as", "a.simg"]}.get(verb, [])
    text = complaint(world, verb, *words, path, status=USAGE if verb == "register" else FAILED)
    assert "newline" in text and "Invalid" not in text
    if verb == "register":
        path = world.path / path.name
        path.write_bytes(b"x")
        assert "newline" in complaint(world, verb, *words, "-m", home.path, path, status=USAGE)
        assert not (home / "home").exists()


def test_discard(world, home, platform):
    (home / "f").write_bytes(b"old")
    settled(home / "f")
    platform.fault(method="PUT", path="*/f", status=400, times=1000)
    (home / "f").write_bytes(b"new")
    until(lambda: state(home / "f") == "failed")
    # Nobody can be asked: nothing is dropped.
    assert "--yes" in complaint(world, "discard", home / "f", status=FAILED)
    terminal = Terminal(world, "discard", home / "f")
    terminal.read_until("y/N")
    terminal.type("\n")
    terminal.end(FAILED)
    assert state(home / "f") == "failed" and (home / "f").read_bytes() == b"new"
    terminal = Terminal(world, "discard", home / "f")
    terminal.read_until("y/N")
    terminal.type("y\n")
    terminal.end()
    until(lambda: (home / "f").read_bytes() == b"old")
    assert state(home / "f") == "clean"
    assert complaint(world, "discard", "--yes", home / "nosuch", status=NOINPUT)


def test_refresh(world, home, platform):
    assert os.listdir(home.path).count("theirs") == 0
    (platform.home / "theirs").write_bytes(b"x")
    gssctl(world, "refresh", home.path)
    assert "theirs" in os.listdir(home.path)


# ---- umount ----


def test_umount_waits_first(world, home, platform, held):
    (home / "f").write_bytes(b"x")
    waiting = Waiting(world, "umount", home.path)
    platform.wait("held")
    assert waiting.process.poll() is None and is_mounted(home.path)
    platform.control("/release")
    waiting.end()
    assert not is_mounted(home.path)
    assert home.process.wait(60) == 0
    assert (platform.home / "f").read_bytes() == b"x"


def test_umount_with_something_that_cannot_arrive(world, home, platform):
    refuse(platform, "bad")
    (home / "bad").write_bytes(b"x")
    text = complaint(world, "umount", home.path, status=FAILED)
    assert str(home / "bad") in text and "--now" in text and is_mounted(home.path)
    gssctl(world, "umount", "--now", home.path)
    assert not is_mounted(home.path)


def test_umount_of_what_is_in_use(world, home):
    with open(home / "f", "w") as file:
        file.write("x")
        file.flush()
        assert "in use" in complaint(world, "umount", "--now", home.path, status=TEMPFAIL)
    assert is_mounted(home.path)


def test_umount_of_a_part(world, home):
    (home / "sub").mkdir()
    assert str(home.path) in complaint(world, "umount", home / "sub", status=USAGE)
    assert is_mounted(home.path)


# ---- login ----


def credentials(world):
    return world.user_home / ".config" / "gssfs" / "credentials"


def test_login_from_standard_input(world, platform):
    gssctl(world, "login", "--no-mounts", input="demo\ndemo\ndemo\n")
    path = credentials(world)
    assert path.stat().st_mode & 0o7777 == 0o600 and path.parent.stat().st_mode & 0o7777 == 0o700
    configure(world, platform)
    path.unlink()
    assert world.gssfs("it4i_anselm://home", world.mountpoint(), login={}).returncode == 1
    gssctl(world, "login", "-u", "demo", "-p", "demo", "--no-mounts", input="demo\n")
    with mounted_by_configuration(world) as at:
        (at / "f").write_text("x")
        settled(at / "f")


@pytest.mark.parametrize("words, text", [([], ""), ([], "demo\n"), ([], "demo\ndemo\n"), (["--token"], "\n"),
                                         (["-u", "a", "-p", "b"], " with blank\n"), ([], "\0\n")])
def test_login_with_half_of_it(world, words, text):
    assert complaint(world, "login", *words, input=text, status=USAGE)
    assert not credentials(world).exists()


def test_login_by_token(world, platform):
    configure(world, platform, credentials={"CFG_TOKEN": "dead"})
    gssctl(world, "login", "--token", "--no-mounts", input="preset-token\n")
    with mounted_by_configuration(world) as at:
        (at / "f").write_text("x")
        gssctl(world, "flush", at)


def test_login_at_a_terminal(world, platform):
    configure(world, platform, credentials={"CFG_USERNAME": "demo", "CFG_PROJECT": "other", "CFG_PASSWORD": "old"})
    terminal = Terminal(world, "login", "--no-mounts")
    terminal.read_until(r"User \[demo\]: ")
    terminal.type("\n")
    terminal.read_until(r"Project \[other\]: ")
    terminal.type("demo\n")
    terminal.read_until("Password: ")
    until(lambda: not terminal.echoes())
    terminal.type("s3cret demo\n")
    assert "s3cret" not in terminal.end()
    assert credentials(world).read_text().count("s3cret demo") == 1


def test_ctrl_c_at_the_password(world):
    terminal = Terminal(world, "login", "-u", "demo", "-p", "demo")
    terminal.read_until("Password: ")
    limits = pathlib.Path(f"/proc/{terminal.process.pid}/limits").read_text()
    assert re.search(r"core file size +0 +0 ", limits), "no core file may have it"
    until(lambda: not terminal.echoes())
    terminal.type("s3c\x03")
    terminal.read_until("\n")
    terminal.end(INTERRUPTED)
    assert not credentials(world).exists()


# ---- completion and manuals ----


COMPLETION = os.environ.get("GSSCTL_BASH") or pathlib.Path(__file__).parent / "../../fs/ctl/gssctl.bash"


def complete(world, *words):
    script = world.path / "complete.bash"
    script.write_text(f"""source '{COMPLETION}'
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gssctl
printf '%s\\n' "${{COMPREPLY[@]}}"
""")
    return world.run("bash", script, "gssctl", *words).stdout.split("\n")[:-1]


def test_completion(world, home):
    assert sorted(set(complete(world, "")) - {"--help", "--version", "help"}) == sorted(VERBS)
    assert complete(world, "fl") == ["flush"]
    assert complete(world, "register", "--o") == ["--on"]
    assert complete(world, "images", "i") == ["info"]
    assert str(home.path) in complete(world, "umount", str(home.path)[:4])
    assert complete(world, "help", "fl") == ["flush"]
    assert "it4i_anselm" in complete(world, "register", "--on", "it4i_an")
    assert "x,it4i_anselm" in complete(world, "images", "--on", "x,it4i_an")
    assert complete(world, "flush", "--timeout", "") == [""]
    name = f"completed-{os.getpid()}.simg"  # other tests have mounts, too
    (home / name).write_text("a")
    gssctl(world, "register", home / name)
    assert name in complete(world, "images", "rm", "completed-")
    assert complete(world, "images", "--on", "it4i_anselm", "info", name[:-3]) == [name]
    (world.path / "my image.simg").touch()
    assert complete(world, "register", f"{world.path}/my") == [f"{world.path}/my image.simg"]
    # It offers every option that there is.
    for verb in VERBS:
        text = gssctl(world, verb, "--help")
        options = {word.strip(",").split("=")[0] for word in text.split() if word.startswith("--")} - {"--help", "--yes."}
        assert set(complete(world, verb, "--")) - {"--help"} == options, verb


def test_completion_of_a_mount_with_a_blank(world, platform):
    home = world.mount(platform, at="my mount")
    for typed in (str(home.path)[:-3], str(home.path)[:-3].replace(" ", "\\ ")):
        assert complete(world, "umount", typed) == [str(home.path).replace(" ", "\\ ")]


@pytest.mark.parametrize("breaks", ["", "COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=]}"])
def test_completion_at_a_prompt(world, home, breaks):
    """bash breaks words where gssctl does not."""
    name = f"prompted-{os.getpid()}:v1.0.simg"
    (home / "a").write_text("a")
    gssctl(world, "register", "--as", name, home / "a")
    os.mkdir(world.path / "c:d")
    (world.path / "c:d" / "e=f.simg").write_text("a")
    setup = world.path / "setup.bash"
    setup.write_text(f"source '{COMPLETION}'\n{breaks}\ngssctl() {{ printf '<%s>' \"$@\"; echo; }}\nPS1='$ '; cd '{world.path}'\n")
    bash = Terminal(world, "--noprofile", "--rcfile", setup, "-i", program="bash", columns=300)
    bash.read_until(r"\$ ")
    for typed, words in [
        ("fl\t", ["flush"]),
        ("images info prompted-\t", ["images", "info", name]),
        (f"images info {name[:-7]}\t", ["images", "info", name]),
        (f"images info {name[:-8]}\t", ["images", "info", name]),
        (f"images info {name}\t", ["images", "info", name]),
        ("register --on=it4i_an\t", ["register", "--on=it4i_anselm"]),
        ("register --on=x,it4i_an\t", ["register", "--on=x,it4i_anselm"]),
        ("register --on=it4i_anselm --js\t", ["register", "--on=it4i_anselm", "--json"]),
        (f"umount --mount={home.path}\t", ["umount", f"--mount={home.path}"]),
        ("register c:d/e=\t", ["register", "c:d/e=f.simg"]),
        ("register c:d/\t", ["register", "c:d/e=f.simg"]),
        ("register c\\:d/\t", ["register", "c:d/e=f.simg"]),
        ("register 'c:d/\t", ["register", "c:d/e=f.simg"]),
        (f"images info '{name[:-7]}\t", ["images", "info", name]),
        (f"images info {name[:-7]}  --json\033[D\033[D\033[D\033[D\033[D\033[D\033[D\033[D\t", ["images", "info", name, "--json"]),
    ]:
        bash.text = ""
        bash.type(f"gssctl {typed}\n")
        shown = bash.read_until(r"[\n\r](<.*>)\n").group(1)
        assert shown == "".join(f"<{word}>" for word in words), typed
    bash.type("exit\n")
    bash.end()


def test_the_manual_has_every_option(world):
    """gssctl(1) and the help of each verb: the same options, long and short."""
    man = pathlib.Path(__file__).parent / "../../man/gssctl.1"
    text = man.read_text().replace("\\-", "-")
    text = re.sub(r"\\f[BIR]", "", text)
    paragraphs = {re.match(r"\w+", part).group(): part for part in text.split("\n.TP\n")[1:] if re.match(r"\w+", part)}
    for verb in VERBS:
        shown = gssctl(world, verb, "--help")
        options = {word.strip(",").split("=")[0] for word in shown.split() if word.startswith("--")} - {"--help", "--yes."}
        said = paragraphs[verb]
        for option in options:
            short = re.search(rf"(-\w), {option}\b", shown)
            assert option in said or short and re.search(rf"{short.group(1)}\b", said), f"{verb} {option}"


# ---- several mounts, and small things ----


@pytest.fixture
def other(world, platform):
    (platform.root / "it4i_salomon" / "home").mkdir(parents=True, exist_ok=True)
    return world.mount(platform, "it4i_salomon://home", cache="other", at="other")


def test_flush_shows_which_mount(world, platform, home, other):
    platform.fault(method="POST", path="/refissh*", hold="before", times=100)
    for mount in (home, other):
        (mount / "same").write_bytes(b"x")
    bars = Terminal(world, "flush", home.path, other.path)
    bars.read_until(r"mnt/same[^\n]*\n.*other/same")
    platform.control("/release")
    platform.control("/reset")
    bars.end()


def test_status_of_two_mounts(world, platform, home, other):
    platform.fault(method="POST", path="/refissh*", hold="before", times=100)
    (other / "same").write_bytes(b"x")
    shown = {mount["mountpoint"]: [file["path"] for file in mount["files"]]
             for mount in gssctl_json(world, "status", home.path, other.path)}
    assert shown == {str(home.path): [], str(other.path): ["same"]}
    platform.control("/release")


def test_flush_goes_on_when_one_mount_dies(world, platform, home, other):
    platform.fault(method="POST", path="/refissh*", hold="before", times=100)
    (home / "f").write_bytes(b"x")
    waiting = Waiting(world, "flush", home.path, other.path)
    opened = pathlib.Path(f"/proc/{waiting.process.pid}/fd")
    until(lambda: sum(os.readlink(fd).endswith("/.status") for fd in opened.iterdir()) == 2)
    other.process.kill()
    other.process.wait()
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(2)
    platform.control("/release")
    out, err = waiting.end(UNAVAILABLE)
    assert str(other.path) in err
    assert (platform.home / "f").read_bytes() == b"x"


def test_umount_waits_for_registrations(world, platform, home):
    (home / "a.simg").write_bytes(b"x")
    settled(home / "a.simg")
    platform.fault(operation="registerImage", hold="before")
    writer = subprocess.Popen(["sh", "-c", f"exec echo a.simg > {home.path}/.register"])
    platform.wait("held", 1)
    writer.send_signal(signal.SIGINT)
    writer.wait(20 * SLOW)
    assert "1 registration" in complaint(world, "umount", "-t", "0", home.path, status=TEMPFAIL)
    waiting = Waiting(world, "umount", home.path)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(1)
    platform.control("/release")
    waiting.end()
    assert not is_mounted(home.path) and images(platform) == {"a.simg": 1}


def test_umount_of_what_is_looked_at_in_passing(world, home):
    (home / "f").write_bytes(b"x")
    settled(home / "f")
    reader = subprocess.Popen(["sh", "-c", f"exec <{home / 'f'}; sleep 1"])
    until(lambda: os.path.exists(f"/proc/{reader.pid}/fd/0") and os.readlink(f"/proc/{reader.pid}/fd/0") == str(home / "f"))
    gssctl(world, "umount", home.path)
    reader.wait()
    assert not is_mounted(home.path)


def test_times_to_wait(world, platform, home):
    assert gssctl(world, "flush", "-t", "0", home.path) == ""
    complaint(world, "flush", "-t", "-5", home.path, status=USAGE)
    platform.fault(method="POST", path="/refissh*", hold="before", times=100)
    (home / "f").write_bytes(b"x")
    complaint(world, "flush", "-t", "0", home.path, status=TEMPFAIL)
    platform.control("/release")


def test_ctrl_c_during_the_login(world, platform, home, other):
    platform.fault(operation="getSessionToken", hold="before", times=10)
    process = subprocess.Popen([GSSCTL, "login", "-u", "demo", "-p", "demo"], env=world.environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write("demo\n")
    process.stdin.close()
    process.stdin = None
    # Mounts of other tests are told, too, and their platforms may be silent.
    until(lambda: platform.counters().get("held", 0) >= 1, timeout=100)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30 * SLOW)
    platform.control("/release")
    assert process.returncode == INTERRUPTED
    assert platform.counters()["held"] == 1, "the next mount was not told any more"


def test_ctrl_z_at_the_password(world, home):
    """Stopped, the terminal shows what is typed; gone on with, the password is hidden again."""
    terminal = Terminal(world, "login", "-u", "demo", "-p", "demo", "--no-mounts")
    terminal.read_until("Password")
    until(lambda: not terminal.echoes())
    os.kill(terminal.process.pid, signal.SIGTSTP)
    until(terminal.echoes)
    until(lambda: pathlib.Path(f"/proc/{terminal.process.pid}/stat").read_text().rsplit(")")[1].split()[0] == "T")
    os.kill(terminal.process.pid, signal.SIGCONT)
    until(lambda: not terminal.echoes())
    terminal.type("\x1c")
    terminal.end(128 + signal.SIGQUIT)


def test_control_files_are_nowhere_on_gss(world, platform, home):
    (home / "a.simg").write_bytes(b"x")
    gssctl(world, "register", home / "a.simg")
    for name in (".register", ".images/a.simg"):
        assert "control file" in complaint(world, "uri", home / name, status=NOINPUT)
        assert "control file" in complaint(world, "status", home / name, status=NOINPUT)


def test_discard_of_what_is_there(world, home):
    (home / "f").write_bytes(b"x")
    settled(home / "f")
    assert "nothing to drop" in complaint(world, "discard", "--yes", home / "f", status=FAILED)


def test_images_rm_tells_why(world, platform, home):
    (home / "a.simg").write_bytes(b"x")
    gssctl(world, "register", home / "a.simg")
    platform.fault(operation="deleteImage", status=403, times=5)
    assert "403" in complaint(world, "images", "rm", "-y", "a.simg", "-m", home.path, status=FAILED)


def test_an_image_without_size_and_date(world, platform, home):
    platform.fault(b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
                   b'<g:listImagesResponse xmlns:g="http://images"><return><name>a.simg</name></return>'
                   b'</g:listImagesResponse></e:Body></e:Envelope>',
                   operation="listImages", status=200, type="text/xml", times=100)
    assert (home / ".images" / "a.simg").stat().st_mtime == 0
    image, = gssctl_json(world, "images", "-m", home.path)
    assert (image["size"], image["date"]) == (None, None)
    assert gssctl(world, "images", "-m", home.path).split() == ["it4i_anselm", "a.simg", "-", "-"]
