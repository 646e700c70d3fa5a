"""What was measured: values by metric and peer, one a round."""

import collections
import json
import statistics


class Results:
    def __init__(self):
        self.values = collections.defaultdict(lambda: collections.defaultdict(dict))
        self.skipped = []  # (what, why)
        self.about = {}
        self.round = 0

    def add(self, metric, peer, value):
        """Twice in a round: the larger counts (peaks)."""
        rounds = self.values[metric][peer]
        rounds[self.round] = max(value, rounds[self.round]) if self.round in rounds else value

    def of(self, metric, peer):
        """{round: value}"""
        if metric not in self.values:
            return {}
        return dict(self.values[metric].get(peer, {}))

    def series(self, metric, peer):
        return list(self.of(metric, peer).values())

    def peers(self, metric):
        return list(self.values[metric]) if metric in self.values else []

    def skip(self, what, why):
        if (what, why) not in self.skipped:
            self.skipped.append((what, why))

    def save(self, path):
        with open(path, "w") as file:
            json.dump({"about": self.about, "skipped": self.skipped, "values": self.values}, file, indent=1)
            file.write("\n")

    @classmethod
    def load(cls, path):
        results = cls()
        with open(path) as file:
            data = json.load(file)
        results.about, results.skipped = data["about"], [tuple(s) for s in data["skipped"]]
        for metric, peers in data["values"].items():
            for peer, rounds in peers.items():
                results.values[metric][peer] = {int(r): v for r, v in rounds.items()}
        return results


class Spread:
    """The median, and how far the rounds lie apart."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.low, self.high = min(values), max(values)
        self.count = len(values)


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"


def spread(values):
    """`1.32 (1.20..1.41)`; without rounds to compare, the value."""
    if not values:
        return "–"
    s = Spread(values)
    return number(s.median) if s.count == 1 else f"{number(s.median)} ({number(s.low)}..{number(s.high)})"
