# SPDX-License-Identifier: Apache-2.0
"""Two things measured in turn: what can be said of them when the machine has other things to do as well.

A measurement is a list of pairs (this, other), each taken one right after the other, in changing order, so
that whatever slows the machine down slows both. Nothing is said about single times; what counts is the
median over the pairs of this / other or of this - other, the quartiles, and between which bounds the
median lies with 99 % confidence (the sign test: it supposes nothing about how times are distributed).
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


def ratio(pairs):
    return _summary([this / other for this, other in pairs])


def difference(pairs):
    return _summary([this - other for this, other in pairs])


def medians(pairs):
    return statistics.median(this for this, _ in pairs), statistics.median(other for _, other in pairs)


def verdict(summary, limit):
    """Whether the median is at most the limit, as far as these measurements can tell."""
    if summary["high"] <= limit:
        return "met"
    if summary["low"] > limit:
        return "not met"
    return NOISY


def measure(this, other, rounds):
    """Call the two in turn, the first one first in every second round; a call returns what it took."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            first = this()
            pairs.append((first, other()))
        else:
            first = other()
            pairs.append((this(), first))
    return pairs
