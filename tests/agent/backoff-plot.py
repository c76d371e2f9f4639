#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/backoff.svg: backoff-plot.py SIMULATION GATEWAYS FOLDER >docs/backoff.svg

SIMULATION is the program tests/agent/backoff-simulation; what it counts goes to stderr as a table.
"""

import math
import subprocess
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 760, 250, 70, 34, 46, 40
CASES = (
    ("The hub restarts: away for 3 s", 50, (("absent", 3, 0, "without a spread", "#c0392b"), ("absent", 3, 30, "spread = 30, the default", "#1f5fa8"))),
    ("The hub is out of order for 300 s", 500, (("refusing", 300, 30, "it takes each CONNECT and refuses", "#c0392b"),
                                                ("absent", 300, 30, "nothing listens", "#1f5fa8"))),
)
DECADES = 5


def simulate(program, gateways, folder, case):
    done = subprocess.run([program, str(gateways), case[0], str(case[1]), str(case[2]), folder], check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    print(f"{case[3]}, away for {case[1]} s:", ", ".join(" ".join(line) for line in lines if len(line) == 2), file=sys.stderr)
    return [(int(line[0]), int(line[2])) for line in lines if len(line) == 3]


class Panel:
    def __init__(self, number, seconds):
        self.top, self.seconds = TOP + number * (HEIGHT + GAP), seconds
        self.floor = self.top + HEIGHT - BOTTOM

    def x(self, second):
        return LEFT + (WIDTH - LEFT - 20) * second / self.seconds

    def y(self, count):
        return self.floor - (HEIGHT - BOTTOM) * (math.log10(count) / DECADES if count > 1 else 0)

    def frame(self, title):
        yield f'<text x="{LEFT}" y="{self.top - 12}" font-weight="bold">{title}</text>'
        for decade in range(DECADES + 1):
            y = self.y(10 ** decade)
            yield f'<path class="grid" d="M{LEFT} {y:.0f}H{WIDTH - 20}"/><text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{10 ** decade:,}</text>'
        for second in range(0, self.seconds + 1, self.seconds // 10):
            x = self.x(second)
            yield f'<path class="grid" d="M{x:.0f} {self.floor}v5"/><text x="{x:.0f}" y="{self.floor + 19}" text-anchor="middle">{second}</text>'

    def curve(self, rows, colour):
        steps = "".join(f"{'L' if number else 'M'}{self.x(second):.0f} {self.y(count):.0f}H{self.x(second + 1):.0f}"
                        for number, (second, count) in enumerate(rows))
        return f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

    def legend(self, number, words, colour):
        y = self.top + 12 + 18 * number
        return (f'<path d="M{WIDTH - 290} {y - 4}h24" stroke="{colour}" stroke-width="2"/>'
                f'<text x="{WIDTH - 260}" y="{y}">{words}</text>')


def main():
    program, gateways, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    whole = TOP + len(CASES) * (HEIGHT + GAP)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole}" font-family="sans-serif" font-size="12">')
    print("<!-- Made by make backoff; see docs/backoff.md. -->")
    print(f'<style>.grid{{stroke:#ccc}}</style><rect width="{WIDTH}" height="{whole}" fill="#fff"/>')
    for number, (title, seconds, cases) in enumerate(CASES):
        panel = Panel(number, seconds)
        print("\n".join(panel.frame(title)))
        for row, case in enumerate(cases):
            print(panel.curve([r for r in simulate(program, gateways, folder, case) if r[0] < seconds], case[4]))
            print(panel.legend(row, case[3], case[4]))
        print(f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{panel.floor + 36}" text-anchor="middle">seconds since {gateways:,} gateways'
              " lost their connection; CONNECTs per second</text>")
    print("</svg>")


if __name__ == "__main__":
    main()
