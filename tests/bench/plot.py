"""The table as a picture: how far each peer is from what we are to reach, on a logarithmic scale. SVG."""

import math
import statistics
from html import escape

from results import number
from table import PEERS, cells

COLORS = {"limit": "#7f7f7f", "rclone": "#1f77b4", "sshfs": "#2ca02c", "davfs2": "#9467bd", "gssfs": "#d62728"}
WIDTH, LEFT, RIGHT, ROW, TOP = 1060, 380, 110, 36, 84


class Scale:
    """Factors to x: 1 is the goal; to the left better, to the right worse."""

    def __init__(self, factors):
        self.low = math.floor(math.log10(min([*factors, 0.5])) * 2) / 2
        self.high = math.ceil(math.log10(max([*factors, 2])) * 2) / 2

    def x(self, factor):
        return LEFT + (math.log10(factor) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        return [10.0 ** e for e in range(math.ceil(self.low), math.floor(self.high) + 1)]


def factor(row, value):
    """How many times the goal; below 1 it is reached, whichever way better is."""
    if row.most is not None:
        return max(value, 1e-9) / row.most
    return row.least / max(value, 1e-9)


def svg(results):
    shown = [(row, values) for row, values in cells(results) if row.most is not None or row.least is not None]
    factors = [factor(row, v) for row, values in shown for series in values.values() for v in series]
    scale = Scale(factors or [1])
    height = TOP + ROW * len(shown) + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="26" font-size="17" font-weight="bold">How far from the goal</text>',
           f'<text x="{LEFT}" y="44" fill="#555">1 is the goal of each row; left of it is better. '
           f'Dots are medians, lines the rounds.</text>']
    bottom = TOP + ROW * len(shown)
    out.append(f'<rect x="{LEFT}" y="{TOP - 10}" width="{scale.x(1) - LEFT:.1f}" height="{bottom - TOP + 10}" '
               f'fill="#e9f5e9"/>')
    for tick in scale.ticks():
        x = scale.x(tick)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 10}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>'
                   f'<text x="{x:.1f}" y="{TOP - 16}" text-anchor="middle" fill="#555">{tick:g}×</text>')
    x = scale.x(1)
    out.append(f'<line x1="{x:.1f}" y1="{TOP - 10}" x2="{x:.1f}" y2="{bottom}" stroke="#2a7f2a" stroke-width="2"/>')
    for i, (row, values) in enumerate(shown):
        out += one_row(row, values, TOP + ROW * i + ROW / 2, scale)
    x = LEFT
    for peer in PEERS:
        if any(peer in values for _, values in shown):
            out.append(f'<circle cx="{x + 6}" cy="{bottom + 30}" r="6" fill="{COLORS[peer]}"/>'
                       f'<text x="{x + 17}" y="{bottom + 35}">{peer}</text>')
            x += 100
    return "\n".join([*out, "</svg>", ""])


def one_row(row, values, y, scale):
    title = row.title.replace("`", "")
    yield (f'<text x="{LEFT - 12}" y="{y - 2:.1f}" text-anchor="end">{escape(title)}</text>'
           f'<text x="{LEFT - 12}" y="{y + 12:.1f}" text-anchor="end" fill="#777" font-size="11">'
           f'goal {escape(row.goal())}</text>'
           f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#eee"/>')
    for peer in PEERS:
        if peer not in values:
            continue
        around = sorted(scale.x(factor(row, v)) for v in values[peer])
        middle = statistics.median(values[peer])
        radius = 7 if peer == "gssfs" else 5
        yield (f'<line x1="{around[0]:.1f}" y1="{y:.1f}" x2="{around[-1]:.1f}" y2="{y:.1f}" '
               f'stroke="{COLORS[peer]}" stroke-width="3" stroke-opacity="0.5"/>'
               f'<circle cx="{scale.x(factor(row, middle)):.1f}" cy="{y:.1f}" r="{radius}" fill="{COLORS[peer]}" '
               f'fill-opacity="0.9"><title>{peer}: {number(middle)}</title></circle>')
    if "gssfs" in values:
        yield (f'<text x="{WIDTH - RIGHT + 12}" y="{y + 5:.1f}" fill="{COLORS["gssfs"]}" font-weight="bold">'
               f'{number(statistics.median(values["gssfs"]))}</text>')
