"""Random operations, crashes and faults against the plain model of model.py.

A round is a list of operations made from a seed: files are created, written at offsets, appended to, truncated,
renamed (over others too), removed, synced, read, through several handles at once; folders are made, renamed and removed;
gssfs is killed between calls, at a random crash point within one, and again while it recovers; storage answers 503 or
cuts connections; tokens die; a teammate writes to files of ours behind our back. After each crash, and at the end of
the round on the server, everything is compared (rules: model.py; for files that a teammate writes too: no version that
nobody had seen and then replaced is gone, neither theirs nor ours).

A failure prints the seed and the operations up to it. Threads make each run of them a little different.

    test_model.py                          rounds from a random seed on, until it is interrupted (-j N at once)
    test_model.py --seed S --rounds N      these
    test_model.py --seed S --shrink        this one, made shorter for as long as it still fails
    pytest test_model.py                   rounds for GSSFS_MODEL_SECONDS (60), from seed 1 on
"""

import argparse
import collections
import errno
import multiprocessing
import os
import random
import sys
import time
import traceback

from model import DIED, Model, data
from rig import DEAD, Rig
from shared import SHARED, Shared, split
from world import until

FILES = [f"f{i}" for i in range(5)] + ["d0/f0", "d0/f1", "d1/f0", "d2/f0"]
FOLDERS = ["d0", "d1", "d2"]
SIZES = [0, 1, 100, 1000, 4096, 5000, 20000, 70000, 200000]
FAULTS = [{"error_rate": 10}, {"cut_rate": 10}, {"error_rate": 15, "cut_rate": 5}, {"latency": 20},
          {"cut_rate": 15, "cut_where": "after"}, {"response_delay": 100}, {"bandwidth": 400000}]
STORAGES = [[], ["--etag", "on"], ["--etag", "on", "--conditional", "on"], ["--head", "word"], ["--last-modified", "off"],
            ["--range", "off"], ["--latency", "10"]]


def generate(seed, length):
    """The operations of a round, as they would go without any crash or fault."""
    chance = random.Random(seed)
    tags = (f"{seed}.{i}" for i in range(1000000))
    opened = {}
    ops = []

    def some_size():
        return chance.choice(SIZES) if chance.random() < 0.8 else chance.randrange(400000)

    def put():
        ops.extend([("open", 0, chance.choice(FILES), "wct"), ("write", 0, 0, some_size(), next(tags)), ("close", 0)])

    def opening():
        flags = chance.choice(["r", "w", "+", "+", "wc", "+c", "wct", "wa", "wca", "+t", "wx"])
        handle = chance.randrange(1, 4)
        if handle in opened:
            ops.append(("close", handle))
        opened[handle] = flags
        ops.append(("open", handle, chance.choice(FILES), flags))

    def writing():
        handles = [h for h, flags in opened.items() if flags[0] != "r"]
        if not handles:
            return opening()
        handle = chance.choice(handles)
        kind = chance.random()
        if kind < 0.75:
            ops.append(("write", handle, chance.choice([0, 10, 1000, 5000, 60000]), some_size() or 1, next(tags)))
        elif kind < 0.9:
            ops.append(("ftruncate", handle, some_size()))
        else:
            ops.append(("fsync", handle))

    def closing():
        if opened:
            handle = chance.choice(list(opened))
            del opened[handle]
            ops.append(("close", handle))

    def a_crash():
        opened.clear()
        kind = chance.random()
        ops.append(("crash",) if kind < 0.3 else ("arm", chance.choice([5, 20, 50, 100, 200]) + chance.randrange(50))
                   if kind < 0.8 else ("crash-twice", chance.randrange(1, 40)))

    def faults():
        switches = chance.choice(FAULTS) if chance.random() < 0.7 else {}
        ops.append(("faults", *(f"{k}={v}" for k, v in sorted(switches.items()))))

    def a_mix():
        ops.append(chance.choice([
            ("truncate", chance.choice(FILES), some_size()), ("rename", chance.choice(FILES), chance.choice(FILES)),
            ("rename", chance.choice(FILES), chance.choice(FILES)), ("unlink", chance.choice(FILES)),
            ("mkdir", chance.choice(FOLDERS)), ("rmdir", chance.choice(FOLDERS)), ("read", chance.choice(FILES)),
            ("rename", *chance.sample(FOLDERS, 2)), ("rename", *chance.sample(FOLDERS, 2)),
            ("list", chance.choice(["", *FOLDERS])), ("wait", chance.choice(FILES)),
            ("rename", chance.choice(FILES), chance.choice(FILES))]))

    def shared():
        name = f"t{chance.randrange(3)}"
        ops.append((chance.choice(["edit", "edit-theirs"]), name, chance.choice([50, 3000, 80000]) + chance.randrange(40),
                    next(tags)))

    actions = [(put, 20), (opening, 12), (writing, 22), (closing, 8), (a_mix, 30), (a_crash, 4), (faults, 4), (shared, 6),
               (lambda: ops.append(("revoke",)), 1), (lambda: ops.append(("drain",)), 1)]
    ops += [("mkdir", "d0"), ("mkdir", "d1")]
    if chance.random() < 0.5:
        ops.append(("arm", chance.randrange(20, 400)))
    while len(ops) < length:
        chance.choices([a for a, _ in actions], [w for _, w in actions])[0]()
    return ops


class Round:
    def __init__(self, seed, ops):
        self.ops = ops
        self.log = []
        self.rig = Rig(["--seed", str(seed), *STORAGES[seed % len(STORAGES)]])
        self.model = Model()
        self.shared = Shared()
        self.faults = {}
        self.disturbed = False  # uploads may wait for their next try
        self.counts = collections.Counter()

    def run(self):
        rig = self.rig
        try:
            rig.mount()
            for op in self.ops:
                self.log.append(op)
                self.one(op)
                if len(self.model.worlds) > 60:
                    self.recover(kill=True)
            self.log.append(("drain",))
            self.drain(last=True)
        except (AssertionError, OSError) as error:
            trace = "" if isinstance(error, AssertionError) else traceback.format_exc()
            raise AssertionError(f"{error}\n{trace}{rig.text()[-6000:]}") from error
        finally:
            faults = rig.end()
        assert not faults, faults
        return self.counts

    def one(self, op):
        rig, kind = self.rig, op[0]
        if kind in ("write", "ftruncate", "fsync", "close") and op[1] not in rig.handles:
            return
        if kind == "open" and op[1] in rig.handles:
            return
        if kind == "fsync" and self.slow():
            return
        if kind == "rename" and op[1] in FOLDERS and self.slow():
            return
        if kind in Model.OPERATIONS:
            self.counts["operations"] += 1
            outcome, value = rig.run(op)
            if kind == "list" and outcome == "ok":
                value = [n for n in value if not SHARED.match(n)]
            self.model.done(op, outcome, value)
            if outcome != "ok" and outcome != DIED and kind == "close":
                raise AssertionError(f"close: {errno.errorcode[outcome]}")
        else:
            getattr(self, "do_" + kind.replace("-", "_"))(*op[1:])
        if rig.dead:
            self.recover()

    def slow(self):
        return any(k in self.faults for k in ("error_rate", "cut_rate"))

    # ---- crashes ----

    def recover(self, kill=False, second=None, crash=None):
        rig = self.rig
        self.counts["crashes"] += 1
        if kill:
            rig.kill()
        assert rig.process.returncode == -9, f"it ended with {rig.process.returncode}"
        rig.detach()
        self.set({})
        if second and rig.mount(second):
            rig.kill()
        if not rig.mount(crash):  # killed while it starts
            rig.mount()
        try:
            seen, theirs = self.look()
            self.model.recovered(seen)
        except OSError as error:
            if error.errno in DEAD:
                until(lambda: rig.dead, "the end of the process")
            if not rig.dead:
                raise
            return self.recover()
        self.torn = {name for name, what in seen.items() if what and what[1] == "failed"}
        for name in sorted(self.torn):
            outcome, _ = rig.run(("unlink", name))
            self.model.done(("unlink", name), outcome)
            if rig.dead:
                return self.recover()
        self.torn = set()
        for name, (_, state) in theirs.items():
            if state == "failed":
                self.shared.torn.add(name)
        self.set(self.faults)
        self.disturbed = False

    def look(self):
        return split(self.rig.in_mount())

    def do_crash(self):
        self.recover(kill=True)

    def do_crash_twice(self, n):
        self.recover(kill=True, second=f"*:{n}")

    def do_arm(self, n):
        self.recover(kill=True, crash=f"*:{n}")

    # ---- the server ----

    def set(self, switches):
        self.rig.server.control("/reset")
        if switches:
            self.rig.server.set(**switches)

    def do_faults(self, *switches):
        self.faults = dict(s.split("=") for s in switches)
        self.disturbed |= self.slow()
        self.set(self.faults)

    def do_revoke(self):
        self.rig.server.control("/revoke")

    def job_over(self, name):
        """Without a question to the server."""
        lines = [line.split("\t") for line in (self.rig.mnt / ".status").read_text().splitlines()]
        return not any(line[:3] == ["file", name, "uploading"] for line in lines)

    def do_wait(self, name):
        if not self.slow() and not self.disturbed:
            try:
                until(lambda: self.rig.dead or self.job_over(name), "the upload", 30)
            except AssertionError:
                raise AssertionError(f"{name} is uploading for ever") from None

    # ---- teammates ----

    def do_edit_theirs(self, name, size, tag):
        rig = self.rig
        # No upload is between its comparison and its end now: that race is a documented one.
        rig.server.set(error_rate=100)
        until(lambda: all(e["done"] for e in rig.server.log() if e["method"] in ("PUT", "POST") and
                          e["target"].startswith("/refissh")), "the end of the uploads")
        until(lambda: rig.dead or self.job_over(name), "the end of the try")
        self.disturbed = True
        self.shared.put_there(rig, name, data(size, tag))
        self.counts["teammate"] += 1
        self.set(self.faults)

    def do_edit(self, name, size, tag):
        if name not in self.shared.torn:
            self.shared.edit(self.rig, name, data(size, tag))

    # ---- the end ----

    def do_drain(self):
        self.drain()

    def drain(self, last=False):
        rig = self.rig
        if self.disturbed or self.slow():
            self.recover(kill=True)  # all is tried at once
        faults, self.faults = self.faults, {}
        self.set({})
        for handle in sorted(rig.handles):
            outcome, _ = rig.run(("close", handle))
            self.model.done(("close", handle), outcome)
            if rig.dead:
                self.recover()
                break
        status = rig.unmount()
        while status == -9:  # an armed point
            rig.detach()
            self.model.done(("list", ""), DIED)
            rig.mount()
            seen, _ = self.look()
            self.model.recovered(seen)
            status = rig.unmount()
        seen, theirs = split(rig.on_server())
        self.model.drained(seen, set())
        if status == 0:
            faults_left = rig.leftovers()
            assert not faults_left, f"left in the cache: {faults_left}"
        parked = {}
        if status != 0 or not last:
            rig.mount()
            _, parked = self.look()
            assert status == 0 or any(state != "clean" for _, state in parked.values()), f"it ended with {status}"
        self.shared.check(theirs, parked)
        if not last:
            self.faults = faults
            self.set(faults)


def work(task):
    seed, length, deadline = task
    if deadline and time.monotonic() > deadline:
        return seed, None, None
    ops = generate(seed, length)
    current = Round(seed, ops)
    try:
        return seed, current.run(), None
    except Exception as error:
        text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        log = "\n".join(f"    {op}," for op in current.log)
        return seed, current.counts, f"seed {seed}, {len(current.log)} operations:\n{log}\n{text}"


def rounds(first, count, length, jobs, seconds=None):
    deadline = seconds and time.monotonic() + seconds
    total, failures = collections.Counter(), []

    # With a deadline as many as there is time for; each that is begun is brought to its end.
    count = min(count, int(seconds * 20)) if seconds else count
    with multiprocessing.Pool(jobs) as pool:
        for seed, counts, failure in pool.imap_unordered(work, ((s, length, deadline) for s in range(first, first + count))):
            if counts is None:
                continue
            total += counts
            total["rounds"] += 1
            if failure:
                failures.append(failure)
                print(f"FAILED {failure}\n", flush=True)
    print(f"{total['rounds']} rounds from seed {first} on, {total['operations']} operations, {total['crashes']} crashes, "
          f"{total['teammate']} edits of a teammate, {len(failures)} failures", flush=True)
    return failures, total


def fails(seed, ops, tries=3):
    for _ in range(tries):
        try:
            Round(seed, ops).run()
        except AssertionError as error:
            return str(error)
    return None


def shrink(seed, length):
    """Leaves out what is not needed for a failure, in ever smaller pieces."""
    current = Round(seed, generate(seed, length))
    try:
        current.run()
    except AssertionError as error:
        text = str(error)
    else:
        print("it does not fail")
        return
    ops, piece = current.log, max(1, len(current.log) // 2)
    while piece:
        at = 0
        while at < len(ops):
            shorter = ops[:at] + ops[at + piece:]
            failure = fails(seed, shorter)
            if failure:
                ops, text = shorter, failure
                print(f"{len(ops)} operations", flush=True)
            else:
                at += piece
        piece //= 2
    print("\n".join(f"    {op}," for op in ops) + f"\n{text}")


def test_random_rounds():
    failures, total = rounds(1, 1000000, 60, os.cpu_count() * 2, float(os.environ.get("GSSFS_MODEL_SECONDS", 60)))
    assert not failures, "\n".join(failures)
    assert total["operations"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Random operations against a model.")
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count() * 2)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--shrink", action="store_true")
    options = parser.parse_args()
    start = random.randrange(1000, 1000000000) if options.seed is None else options.seed
    if options.shrink:
        shrink(start, options.length)
    else:
        count = options.rounds or (1 if options.seed is not None else 100000)
        sys.exit(bool(rounds(start, count, options.length, options.jobs, options.seconds)[0]))
