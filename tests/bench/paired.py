# SPDX-License-Identifier: Apache-2.0
"""Two things measured in turn: what can be said of them when the machine has other things to do as well.

A measurement is a list of pairs (this, other), each taken one right after the other, in changing order, so
that whatever slows the machine down slows both. Each is a time by the clock and a time on the processor.
Nothing is said about single times; what counts is the median over the pairs of this / other or of
this - other, the quartiles, and between which bounds the median lies with 99 % confidence (the sign test: it
supposes nothing about how times are distributed).
"""

import math
import statistics

NOISY = "too noisy to say"


def _bounds(values):
    """The 99 % confidence interval of the median, by order statistics."""
    values = sorted(values)
    reach = 1.29 * math.sqrt(len(values))
    low = max(0, math.floor(len(values) / 2 - reach))
    high = min(len(values) - 1, math.ceil(len(values) / 2 + reach) - 1)
    return values[low], values[high]


def _summary(values):
    low, high = _bounds(values)
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": statistics.median(values), "quartile_1": quartiles[0], "quartile_3": quartiles[2],
            "low": low, "high": high}


CLOCK, PROCESSOR = 0, 1


def ratio(pairs, kind=CLOCK):
    return _summary([this[kind] / other[kind] for this, other in pairs])


def difference(pairs, kind=CLOCK, unit=1):
    return _summary([(this[kind] - other[kind]) / unit for this, other in pairs])


def medians(pairs):
    return tuple(statistics.median(pair[which][CLOCK] for pair in pairs) for which in (0, 1))


def verdict(summary, limit, blur):
    """Whether the median is at most the limit, as far as these measurements can tell. Bounds that lie further
    apart than blur come from a machine that is busy with something else in long stretches, which no
    confidence interval foresees."""
    if summary["high"] - summary["low"] > blur:
        return NOISY
    if summary["high"] <= limit:
        return "met"
    if summary["low"] > limit:
        return "not met"
    return NOISY


def measure(this, other, rounds):
    """Call the two in turn, the first one first in every second round; a call returns both its times."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            first = this()
            pairs.append((first, other()))
        else:
            first = other()
            pairs.append((this(), first))
    return pairs
