"""Kills gssfs at every named crash point (cache/crash.h) of every scenario, one after the other.

Each scenario (scenarios.py) is run once to note every pass of every point, in the script, in the drain after it, and
at the start. Then each of these passes is a run of its own, with a new server and a new cache: until the point kills
the process, or to the end; a new mount, which recovers; all files in it are compared with what had been acknowledged,
by the rules at the head of model.py; it is unmounted, which sends what is left, and the files on the server are
compared, and the journal and the blobs are looked through for what should not be left.

A second kill comes in the recovery: `--recovery` takes, for every scenario, some of the first kills, and tries all
points that the mount after them passes.

    test_points.py                    everything, by hand (-j N at once; --only SCENARIO; --point NAME[:N])
    pytest test_points.py             a sample for GSSFS_CRASH_SECONDS (60), the same each time
"""

import argparse
import collections
import multiprocessing
import os
import random
import sys
import time
import traceback

from model import DIED, Model, data
from rig import Rig
from scenarios import SCENARIOS
from shared import Shared, split
from world import SLOW, until

BY_NAME = {s.name: s for s in SCENARIOS}


def prepare(rig, model, scenario):
    world = model.worlds[0]
    for name, (size, tag) in scenario.seed.items():
        (rig.server.home / name).write_bytes(data(size, tag))
        world.run(("open", 1, name, "wc"))
        world.run(("write", 1, 0, size, tag))
        world.run(("close", 1))
        model.history[name] = {data(size, tag)}


def act(rig, shared, op):
    """What is no operation on files of the model. False: the process has died."""
    kind, *rest = op
    if kind == "settle":
        until(lambda: rig.dead or rig.state(rest[0]) == "clean", f"the upload of {rest[0]}", 60)
        return not rig.dead
    if kind == "holding":
        until(lambda: rig.dead or rig.server.counters().get("held", 0) >= rest[0], "a held request", 60)
    elif kind == "hold":
        rig.server.fault(method=rest[0], path="/refissh*", hold=rest[1], times=rest[2])
    elif kind == "cut":
        rig.server.fault(method=rest[0], path="/refissh*", cut=rest[1], times=rest[2])
    elif kind == "register":
        return rig.register(*rest)
    elif kind == "ours":
        shared.edit(rig, rest[0], data(*rest[1:]))
    elif kind == "theirs":
        shared.put_there(rig, rest[0], data(*rest[1:]))
    elif kind == "parted":
        until(lambda: rig.dead or list(rig.server.home.glob(f"{rest[0]}.conflict-*")), f"a conflict copy of {rest[0]}", 60)
    elif kind == "refuse":
        rig.server.fault(method=rest[0], path="/refissh*", status=503, times=rest[1])
    else:
        rig.server.control("/" + kind)
    return not rig.dead


def script(rig, model, shared, scenario, crash):
    """Until it ends, or the process does. True: it is mounted still."""
    if not rig.mount(crash):
        return False
    for op in scenario.ops:
        if op[0] == "takeover":
            if not rig.take_over(crash if crash and crash.startswith("list:") else None):
                return False
        elif op[0] in Model.OPERATIONS:
            outcome, value = rig.run(op)
            model.done(op, outcome, value)
            if outcome == DIED:
                return False
        elif not act(rig, shared, op):
            return False
    return True


def look(rig, model):
    """In a mount after a crash: what is there, compared. Gives what is parked, and the files that are a teammate's, too."""
    seen, theirs = split(rig.in_mount())
    model.recovered(seen)
    return {name for name, what in (seen | theirs).items() if what and what[1] == "failed"}, theirs


def drain(rig, model, shared, journaled):
    """`journaled`: the last registration was when the process was killed, told or not."""
    parked, in_mount = look(rig, model)
    status = rig.unmount()
    seen, theirs = split(rig.on_server())
    model.drained(seen, parked)
    shared.check(theirs, in_mount)
    rig.check_images(journaled)
    if not parked:
        assert status == 0, f"it ended with {status}"
        faults = rig.leftovers()
        assert not faults, f"left in the cache: {faults}"


def run(scenario, crashes):
    """One run; `crashes`: for the first mounts, one after the other. How many of them took place."""
    rig = Rig(scenario.server, scenario.options)
    model, shared = Model(), Shared()
    killed = 0
    try:
        prepare(rig, model, scenario)
        mounted = script(rig, model, shared, scenario, crashes[0])
        if mounted:
            rig.server.control("/release")
            for world in model.worlds:
                for handle in list(world.handles):
                    world.run(("close", handle))
            rig.close_all()
            rig.unmount()
        for process in rig.older:
            process.wait(60 * SLOW)
        killed += rig.process.returncode == -9
        for crash in crashes[1:]:
            rig.detach()
            rig.server.control("/reset")
            rig.server.control("/release")
            if rig.mount(crash):
                rig.unmount()
            killed += rig.process.returncode == -9
        rig.detach()
        rig.server.control("/reset")
        rig.server.control("/release")
        rig.mount()
        drain(rig, model, shared, any(crash and crash.startswith("command.") for crash in crashes))
        return killed
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{scenario.name} {' '.join(map(str, crashes))}: {error}\n{rig.text()}") from error
    finally:
        faults = rig.end()
        assert not faults, f"{scenario.name} {crashes}: {faults}"


def passes(scenario, before=()):
    """All (point:pass) of the mount after the crashes `before`, or of the script."""
    rig = Rig(scenario.server, scenario.options)
    model, shared = Model(), Shared()
    list_file = rig.path / "list"
    try:
        prepare(rig, model, scenario)
        if before:
            if script(rig, model, shared, scenario, before[0]):
                rig.server.control("/release")
                rig.unmount()
            rig.detach()
            rig.server.control("/reset")
            rig.server.control("/release")
            rig.mount(f"list:{list_file}")
        else:
            assert script(rig, model, shared, scenario, f"list:{list_file}")
            rig.server.control("/release")
        rig.unmount()
        return [line.replace(" ", ":") for line in list_file.read_text().splitlines()]
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{scenario.name}, enumerating: {error}\n{rig.text()}") from error
    finally:
        rig.end()


def work(task):
    kind, name, crashes, deadline = task
    if deadline and time.monotonic() > deadline:
        return task, None, None, 0
    started = time.monotonic()
    try:
        if kind == "list":
            return task, passes(BY_NAME[name], crashes), None, time.monotonic() - started
        return task, run(BY_NAME[name], crashes), None, time.monotonic() - started
    except Exception as error:
        text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        return task, 0, text, time.monotonic() - started


class Sweep:
    def __init__(self, jobs, seconds=None):
        self.pool = multiprocessing.Pool(jobs)
        self.deadline = seconds and time.monotonic() + seconds
        self.counts = collections.Counter()
        self.points = set()
        self.failures = []
        self.found = {}

    def all(self, tasks):
        for task, result, failure, _ in self.pool.imap_unordered(work, [(*t, self.deadline) for t in tasks]):
            if failure is None and result is None:
                self.counts["left"] += 1
            elif failure:
                self.failures.append((task, failure))
                self.counts["runs"] += 1
                print(f"FAILED {task[1]} {' '.join(map(str, task[2]))}\n{failure}\n", flush=True)
            elif task[0] == "list":
                self.found[task[1:3]] = result
            else:
                self.counts["runs"] += 1
                self.counts["kills"] += result
                if result:
                    self.points.add(task[2][-1].partition(":")[0])

    def close(self):
        self.pool.terminate()
        self.pool.join()


def sweep(names, jobs, seconds=None, recovery=3, point=None, seed=1):
    chance = random.Random(seed)
    sweep = Sweep(jobs, seconds)
    try:
        sweep.all([("list", name, ()) for name in names])
        pairs = [(name, (p,)) for (name, _), found in sorted(sweep.found.items()) for p in dict.fromkeys(found)
                 if not point or p == point or p.partition(":")[0] == point]
        sweep.counts["pairs"] = len(pairs)
        if seconds:
            chance.shuffle(pairs)
        sweep.all([("run", *pair) for pair in pairs])
        if recovery and not point:
            firsts = []
            for name in names:
                own = [pair for pair in pairs if pair[0] == name and not pair[1][0].startswith("recovery.")]
                firsts += chance.sample(own, min(recovery, len(own)))
            sweep.found.clear()
            sweep.all([("list", *first) for first in firsts])
            pairs = [(name, (*before, p)) for (name, before), found in sorted(sweep.found.items())
                     for p in dict.fromkeys(found)]
            sweep.counts["pairs"] += len(pairs)
            if seconds:
                chance.shuffle(pairs)
            sweep.all([("run", *pair) for pair in pairs])
    finally:
        sweep.close()
    return sweep


def summary(sweep):
    return (f"{sweep.counts['runs']} of {sweep.counts['pairs']} (point, pass) pairs in {len(SCENARIOS)} scenarios, "
            f"{sweep.counts['kills']} kills at {len(sweep.points)} points, {len(sweep.failures)} failures")


def test_every_point():
    result = sweep(list(BY_NAME), os.cpu_count() * 2, float(os.environ.get("GSSFS_CRASH_SECONDS", 60)), recovery=1)
    print(summary(result))
    assert not result.failures, "\n".join(text for _, text in result.failures)
    assert result.counts["kills"] > 20, "the build has no crash points"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kills gssfs at every crash point.")
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count() * 2)
    parser.add_argument("--only", action="append", choices=list(BY_NAME))
    parser.add_argument("--point")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--recovery", type=int, default=3, help="first kills a scenario before those in the recovery")
    parser.add_argument("--crashes", nargs="*", help="one run with just these, of --only")
    options = parser.parse_args()
    if options.crashes is not None:
        print(run(BY_NAME[options.only[0]], options.crashes or [None]), "kills")
    else:
        result = sweep(options.only or list(BY_NAME), options.jobs, options.seconds, options.recovery, options.point)
        print(summary(result))
        sys.exit(bool(result.failures))
