"""That the benchmark runs, and leaves nothing behind; not how fast anything is."""

import json
import os
import pathlib
import signal
import subprocess
import xml.etree.ElementTree

import pytest

RUN = pathlib.Path(__file__).parent / "run"
WORDS = ["--size", "smallest", "--no-install", "--peer", "gssfs,local"]


def start(base, *words):
    return subprocess.Popen([RUN, *WORDS, "--at", base, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def left_behind(base):
    """Files, mounts, and processes that know of the folder."""
    yield from base.iterdir()
    mark = os.fsencode(base)
    yield from (line for line in open("/proc/self/mountinfo", "rb") if mark in line)
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in command:
                yield command


@pytest.fixture
def base(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    yield base
    assert list(left_behind(base)) == []


def test_every_case(base, tmp_path):
    saved, drawn = tmp_path / "saved", tmp_path / "drawn"
    bench = start(base, "--save", saved, "--svg", drawn, "--markdown")
    out, err = bench.communicate(timeout=300)
    assert bench.returncode == 0, err
    data = json.loads(saved.read_text())
    assert data["skipped"] == []
    measured = {metric for metric, peers in data["values"].items() if peers.get("gssfs")}
    for metric in ("copy.returns", "copy.served", "copy.peak", "copy.cpu", "copy.requests", "read.cold", "read.warm",
                   "first.trips", "random.seconds", "small.0.returns", "small.5.served", "list.5.ls-l.cold",
                   "list.5.names.ls-l.cold", "stat.cached", "stat.after", "stat.find", "mount.ready", "mount.gone",
                   "mount.ready.pending", "grow.file.1048576.read", "grow.entries.10.cold", "grow.parallel.2.returns"):
        assert metric in measured
    assert {"curl.put", "curl.get", "random.raw"} <= set(data["values"])
    assert "| … all on the server at 5 ms, s |" in out
    assert xml.etree.ElementTree.parse(drawn).getroot().tag.endswith("svg")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_undoes_everything(base, number):
    bench = start(base, "--case", "3", "--rounds", "100000")
    line = bench.stderr.readline()
    assert line.startswith("round 1/"), line
    bench.send_signal(number)
    out, err = bench.communicate(timeout=60)
    assert bench.returncode == 128 + number, err
    assert "everything is undone" in err
    assert out == ""


def test_what_is_left_out_is_told(base):
    bench = start(base, "--peer", "limit", "--passthrough", "/nonexistent/passthrough_hp.cc", "--case", "1")
    out, err = bench.communicate(timeout=60)
    assert bench.returncode == 0, err
    assert "left out: limit: " in out
