#!/usr/bin/python3
"""Measures gssfs, what people would use instead of it, and the limits of the machine, in one interleaved run.

Prints a table of ratios: medians, and the range of the rounds. Installs its peers from Debian when it is run as root,
and leaves out, with the reason, what it can't measure. Nothing else is left behind.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

import machine
import packages
import plot
import table
from case import Bench
from copy_in import CopyIn, CurlPut
from daemon import Failed
from davfs2 import Davfs2
from gss_local import GssLocal
from gssfs import Gssfs
from growth import GrowingFile, GrowingFolder, Parallel
from listing import Listing, StatRate
from local import Local
from mounting import Mounting, MountingPending
from nginx import Nginx
from passthrough import Passthrough
from place import Place, Stopped
from rclone import Rclone
from reading import CurlGet, FirstByte, RandomReads, RawRanges, Reading
from results import Results
from sizes import SIZES
from small_files import SmallFiles
from sshd import Sshd
from sshfs import Sshfs

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = ("local", "limit", "limit-nocache", "gssfs", "rclone", "sshfs", "davfs2")
ON_SERVERS = (CurlPut, CurlGet, RawRanges)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="normal", help="how much of everything (normal: ten minutes)")
    parser.add_argument("--rounds", type=int, help="how often, interleaved")
    parser.add_argument("--case", action="append", metavar="N|NAME", help="only these: a number of 1 to 7, or a name; "
                        "may be repeated, or joined by commas")
    parser.add_argument("--peer", action="append", metavar="NAME", help=f"only these of {', '.join(PEERS)}")
    parser.add_argument("--gssfs", default=os.environ.get("GSSFS"), metavar="PROGRAM",
                        help="instead of building it, in build-bench/")
    parser.add_argument("--gss-local", default=os.environ.get("GSS_LOCAL"), metavar="PROGRAM")
    parser.add_argument("--passthrough", type=pathlib.Path, metavar="SOURCE",
                        help="passthrough_hp.cc, instead of Debian's")
    parser.add_argument("--at", metavar="DIR", help="on which disk to work (TMPDIR)")
    parser.add_argument("--no-install", action="store_true", help="install nothing")
    parser.add_argument("--remove-peers", action="store_true", help="at the end remove what this run installed")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--details", action="store_true", help="print every metric too")
    parser.add_argument("--svg", metavar="FILE", help="draw the table")
    parser.add_argument("--save", metavar="FILE", help="keep what was measured (JSON)")
    parser.add_argument("--load", metavar="FILE", help="measure nothing: show what --save kept")
    parser.add_argument("--list", action="store_true", help="list the cases")
    chosen = parser.parse_args()
    for name in ("case", "peer"):
        joined = getattr(chosen, name)
        setattr(chosen, name, ",".join(joined).split(",") if joined else None)
    unknown = set(chosen.peer or ()) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)}")
    return chosen


def cases(size):
    slow = size.delays[-1]
    return [
        CopyIn(), CurlPut(), Reading(), CurlGet(), FirstByte(slow), RandomReads(), RawRanges(),
        *[SmallFiles(ms) for ms in size.delays],
        *[Listing(ms) for ms in size.delays], Listing(slow, full=False), StatRate(),
        Mounting(), MountingPending(),
        *[GrowingFile(n) for n in size.grow_bytes], *[GrowingFolder(n) for n in size.grow_entries],
        *[Parallel(n) for n in size.grow_parallel],
    ]


def wanted(case, chosen):
    return chosen is None or str(case.number) in chosen or case.name in chosen or case.key() in chosen


def build():
    """gssfs as it would be installed, and the server."""
    folder = TOP / "build-bench"
    for command in ([["meson", "setup", "--buildtype=release", folder, TOP]] if not (folder / "build.ninja").exists()
                    else []) + [["ninja", "-C", folder, "fs/gssfs", "tests/gss-local/gss-local"]]:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"gssfs does not build: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return folder / "fs" / "gssfs", folder / "tests" / "gss-local" / "gss-local"


class Field:
    """Everybody who takes part."""

    def __init__(self, place, chosen, results, installed):
        self.place = place
        self.chosen = chosen
        self.results = results
        self.installed = installed
        self.servers = {}
        self.peers = []

    def server(self, kind, *words):
        if kind.name not in self.servers:
            self.servers[kind.name] = kind(self.place, *words)
        return self.servers[kind.name]

    def may(self, name, kind):
        """Whether that peer is wanted and can be there."""
        if self.chosen.peer is not None and name not in self.chosen.peer:
            return False
        lacking = packages.missing(kind.programs, kind.files)
        if lacking:
            if self.chosen.no_install:
                why = f"not installed: {' '.join(lacking)}"
            else:
                say(f"installing {' '.join(lacking)}")
                why = packages.install(lacking)
            if why:
                self.results.skip(name, why)
                return False
            self.installed += lacking
        return True

    def enter(self, name, kind, make):
        """A peer that cannot take part is no reason for the others not to."""
        if not self.may(name, kind):
            return
        try:
            peer = make()
            if peer.reason is None:
                peer.start()
        except (Failed, OSError, subprocess.SubprocessError) as error:
            self.results.skip(name, str(error))
            return
        if peer.reason:
            self.results.skip(name, peer.reason)
        else:
            self.peers.append(peer)

    def gather(self, gssfs, gss_local):
        source = self.chosen.passthrough
        self.enter("local", Local, lambda: Local(self.place))
        self.enter("limit", Passthrough, lambda: Passthrough(self.place, source))
        self.enter("limit-nocache", Passthrough, lambda: Passthrough(self.place, source, plain=True))
        self.enter("gssfs", Gssfs, lambda: Gssfs(self.place, gssfs, self.server(GssLocal, gss_local)))
        self.enter("rclone", Rclone, lambda: Rclone(self.place, self.server(Nginx)))
        self.enter("sshfs", Sshfs, lambda: Sshfs(self.place, self.server(Sshd)))
        self.enter("davfs2", Davfs2, lambda: Davfs2(self.place, self.server(Nginx)))

    def of(self, case):
        if isinstance(case, ON_SERVERS):
            curl = packages.program("curl") or isinstance(case, RawRanges)
            names = ("gss-local",) if isinstance(case, RawRanges) else ("gss-local", "nginx")
            return [s for n, s in self.servers.items() if n in names and curl]
        return [peer for peer in self.peers if case.for_peer(peer)]


def measure(field, bench, todo, rounds):
    """Round by round, case by case, peer by peer: what disturbs the machine disturbs them alike."""
    took = {}
    for number in range(rounds):
        bench.results.round = number
        for case in todo:
            competitors = field.of(case)
            turn = number % len(competitors) if competitors else 0
            for peer in competitors[turn:] + competitors[:turn]:
                key = (case.key(), peer.name)
                if took.get(key, 0) > bench.size.patience:
                    continue
                begin = time.monotonic()
                try:
                    case.run(bench, peer)
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    bench.results.skip(f"{case.title()}: {peer.name}", str(error))
                    took[key] = float("inf")
                    continue
                took[key] = time.monotonic() - begin
                say(f"round {number + 1}/{rounds}: {case.title()}: {peer.name}: {took[key]:.1f} s")


def show(chosen, results):
    head, body = table.grid(results)
    print_table = table.markdown if chosen.markdown else table.text
    print(f"{results.about['machine']}; size {results.about['size']}, {results.about['rounds']} rounds\n")
    print(print_table(head, body))
    if chosen.details:
        print()
        print(print_table(*table.details(results)))
    for what, why in results.skipped:
        print(f"\nleft out: {what}: {why}")
    if chosen.svg:
        pathlib.Path(chosen.svg).write_text(plot.svg(results))
    if chosen.save:
        results.save(chosen.save)


def run(chosen, results):
    size = SIZES[chosen.size]
    rounds = chosen.rounds or size.rounds
    gssfs, gss_local = (chosen.gssfs, chosen.gss_local) if chosen.gssfs and chosen.gss_local else build()
    results.about = {"machine": machine.describe(), "size": chosen.size, "rounds": rounds, "big": size.big,
                     "delays": list(size.delays), "pending": size.pending}
    installed = []
    try:
        with Place(chosen.at) as place:
            field = Field(place, chosen, results, installed)
            field.gather(gssfs, gss_local)
            bench = Bench(place, size, results, field.servers)
            measure(field, bench, [case for case in cases(size) if wanted(case, chosen.case)], rounds)
    finally:
        if chosen.remove_peers and installed:
            packages.remove(installed)


def main():
    chosen = arguments()
    if chosen.list:
        for case in cases(SIZES[chosen.size]):
            print(f"{case.number}  {case.key():24} {case.title()}")
        return 0
    if chosen.load:
        show(chosen, Results.load(chosen.load))
        return 0
    results = Results()
    try:
        run(chosen, results)
    except Failed as error:
        say(f"bench: {error}")
        return 1
    except Stopped as stop:
        say("bench: stopped; everything is undone")
        return 128 + stop.args[0]
    show(chosen, results)
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
