"""The rows that are compared, and how they are shown."""

import dataclasses
import statistics
from collections.abc import Callable

from results import number, spread

GIB = 1 << 30
MIB = 1 << 20
# Which server's curl is the limit of whom.
SERVER = {"gssfs": "gss-local", "rclone": "nginx", "davfs2": "nginx", "sshfs": "nginx"}


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    meaning: str
    values: Callable  # (results, peer) -> [value a round]
    most: float = None
    least: float = None
    target: str = None

    def goal(self):
        if self.target:
            return self.target
        return f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}" if self.least is not None else ""

    def reached(self, value):
        if self.most is not None:
            return value <= self.most
        return self.least is None or value >= self.least


def over(upper, *lower):
    """Ratios within a round. Parts are (metric, name of a peer, or what gives it for a peer)."""
    def values(results, peer):
        def series(metric, whose):
            whose = whose(peer) if callable(whose) else whose
            return results.of(metric, whose) if whose else {}
        numerator = series(*upper)
        parts = [series(*part) for part in lower]
        if not all(parts):
            return []
        # A peer that was left out of later rounds is compared with what there is.
        return [value / sum(part.get(r, statistics.median(part.values())) for part in parts)
                for r, value in numerator.items()]
    return values


def same(peer):
    return peer


def server(peer):
    return SERVER.get(peer)


def upload_alone(results, peer):
    served, returned = results.of("copy.served", peer), results.of("copy.returns", peer)
    curl = results.of("curl.put", SERVER.get(peer))
    return [(served[r] - returned[r]) / curl[r] for r in served if r in curl and peer in ("gssfs", "rclone")]


def scaled(metric, factor):
    return lambda results, peer: [v * factor for v in results.series(metric, peer)]


def peak(results, peer):
    peaks = [max(results.series(m, peer)) for m in results.values if m.endswith(".peak") and results.series(m, peer)]
    return [max(peaks) / MIB] if peaks else []


def cpu(metric):
    def values(results, peer):
        size = results.about.get("big", GIB)
        return [v * GIB / size for v in results.series(metric, peer)]
    return values


def rows(results):
    slow = max(results.about.get("delays", [20]))
    return [
        Row("`cp` of a large file returns, × limit", "seconds until `cp` returns, over those of passthrough_hp",
            over(("copy.returns", same), ("copy.returns", "limit")), most=1.4),
        Row("… and is on the server, × (limit + `curl -T`)",
            "seconds until the server has every byte, over passthrough_hp's plus those of `curl -T` to the same server",
            over(("copy.served", same), ("copy.returns", "limit"), ("curl.put", server)), most=1.25),
        Row("the upload alone, × `curl -T`", "from the end of `cp` until the server has it", upload_alone, most=1.15),
        Row("cold read, × `curl -o` to the same disk", "read to the end right after the mount, nothing cached",
            over(("read.cold", same), ("curl.get", server)), most=1.0),
        Row("second read, × limit", "the same once more, opened anew",
            over(("read.warm", same), ("read.warm", "limit")), most=1.15),
        Row(f"first byte at {slow} ms, in round trips", "open and read of one byte after a listing",
            lambda results, peer: results.series("first.trips", peer), most=2),
        Row("random reads of 4 KiB cold, × (limit + raw ranges)",
            "over passthrough_hp's plus the same ranges over one kept connection",
            over(("random.seconds", same), ("random.seconds", "limit"), ("random.raw", "gss-local")), most=1.8),
        Row("small files: `cp -r` returns at 0 ms, × limit", "4 KiB each",
            over(("small.0.returns", same), ("small.0.returns", "limit")), most=1.5),
        Row(f"… returns at {slow} ms, × limit (at 0 ms)", "the same with a slow server",
            over((f"small.{slow}.returns", same), ("small.0.returns", "limit")), most=1.5),
        Row(f"… all on the server at {slow} ms, s", "until the last of them is there",
            scaled(f"small.{slow}.served", 1), most=5),
        Row(f"`ls -l` cold at {slow} ms, in requests' time", "right after the mount; listings with sizes",
            scaled(f"list.{slow}.ls-l.cold", 1000 / slow), most=5),
        Row("… when listings have names only", "so that sizes are asked for one by one",
            scaled(f"list.{slow}.names.ls-l.cold", 1000 / slow), most=70),
        Row("cached `stat` rate, × limit", "stat(2) of all files in turn, again and again",
            over(("stat.cached", same), ("stat.cached", "limit")), least=0.9),
        Row("`stat` rate after the attribute time, × limit", "over passthrough_hp --nocache, which is asked each time too",
            over(("stat.after", same), ("stat.after", "limit-nocache")), least=0.5),
        Row("peak memory in any case, MiB", "VmHWM of the daemon (and its helpers)", peak, most=40),
        Row("daemon CPU a GiB copied in and up, s", "user and system time of the daemon (and its helpers)",
            cpu("copy.cpu"), most=1.2),
        Row("daemon CPU a GiB read cold, s", "the same", cpu("read.cpu"), most=0.9),
        Row("mount ready, ms", "from the start of the program until the mount answers, the server's answers included",
            scaled("mount.ready", 1000), most=10, target="≤ 10 + the server's"),
        Row("unmount, ms", "fusermount3 -u (umount) of an idle mount, the program's own start included",
            scaled("mount.gone", 1000), most=10),
        Row("mount ready with pending uploads, ms", f"{results.about.get('pending', '')} in the journal",
            scaled("mount.ready.pending", 1000)),
    ]


PEERS = ("limit", "rclone", "sshfs", "davfs2", "gssfs")


def cells(results):
    """[(row, {peer: [values]})], of what was measured."""
    shown = []
    for row in rows(results):
        values = {}
        for peer in PEERS:
            found = row.values(results, peer)
            if found:
                values[peer] = found
        if values:
            shown.append((row, values))
    return shown


def verdict(row, values):
    if "gssfs" not in values or not row.goal():
        return ""
    return "yes" if row.reached(statistics.median(values["gssfs"])) else "no"


def grid(results):
    peers = [p for p in PEERS if any(p in values for _, values in cells(results))]
    head = ["case", *peers, "goal", "reached"]
    body = [[row.title, *[spread(values.get(p, [])) for p in peers], row.goal(), verdict(row, values)]
            for row, values in cells(results)]
    return head, body


def details(results):
    """Every metric in its own unit."""
    order = ["local", "limit", "limit-nocache", "gss-local", "nginx", "rclone", "sshfs", "davfs2", "gssfs"]
    names = {peer for metric in results.values for peer in results.peers(metric)}
    peers = [p for p in order if p in names]
    body = []
    for metric in sorted(results.values):
        factor, unit = (1 / MIB, "MiB") if ".peak" in metric else (1, unit_of(metric))
        cell = [spread([v * factor for v in results.series(metric, p)]) if p in results.peers(metric) else ""
                for p in peers]
        body.append([f"{metric}, {unit}" if unit else metric, *cell])
    return ["metric", *peers], body


def unit_of(metric):
    if metric.endswith(".requests"):
        return ""
    if metric in ("stat.cached", "stat.after"):
        return "1/s"
    return "round trips" if metric == "first.trips" else "s"


def markdown(head, body):
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text(head, body):
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in [head, *body])


def meanings(results):
    return "\n".join(f"- **{row.title}**: {row.meaning}." for row, _ in cells(results))


__all__ = ["cells", "details", "grid", "markdown", "meanings", "number", "text"]
