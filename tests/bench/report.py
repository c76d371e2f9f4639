# SPDX-License-Identifier: Apache-2.0
"""What make bench says: rows of comparisons, each printed as soon as it is measured, and in the end the goals."""

import os
import shutil

import paired
from subjects import GATEKEY, PLAIN, Worker, instructions, run

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "40"))

COLUMNS = "this one   {}   ratio   its quartiles   by processor  commands"
ADDED = "without       added ms, quartiles    by processor   instructions"

rows = []
goals = []
notes = []


def say(line=""):
    print(line, flush=True)


def heading(text, columns):
    say()
    say(f"{text}\n{'':44}{columns}")


def goal(what, value, limit, unit, verdict, bound="most"):
    goals.append({"goal": what, "value": value, "limit": limit, "unit": unit, "verdict": verdict, "bound": bound})


def time_goal(what, pairs, limit, summarise=paired.ratio, unit="x"):
    """By the clock; where that was too noisy, by the time on the processor, with a word."""
    blur = 2 * (limit - 1) if unit == "x" else limit
    summary = summarise(pairs, paired.CLOCK)
    verdict = paired.verdict(summary, limit, blur)
    if verdict == paired.NOISY:
        processor = summarise(pairs, paired.PROCESSOR)
        if paired.verdict(processor, limit, blur) != paired.NOISY:
            summary = processor
            verdict = paired.verdict(processor, limit, blur) + " (processor)"
    goal(what, summary["median"], limit, unit, verdict)


def duration(ns):
    return f"{ns / 1e6:.2f} ms" if ns >= 1e6 else f"{ns / 1e3:.1f} us"


def figure(ratio):
    """Six places: what is a thousand times quicker is told from what is ten thousand times quicker."""
    return f"{ratio:6.3f}" if ratio >= 0.1 else f"{ratio:6.4f}"


def row(chapter, name, beside, pairs, **more):
    """Note and print one comparison; returns its pairs."""
    ratio = paired.ratio(pairs)
    processor = paired.ratio(pairs, paired.PROCESSOR)
    this, other = paired.medians(pairs)
    rows.append({"chapter": chapter, "what": name, "beside": beside, "this_ns": this, "beside_ns": other,
                 "ratio": ratio, "processor_ratio": processor, "difference_ns": paired.difference(pairs),
                 "rounds": len(pairs), **more})
    commands = more.get("commands")
    say(f"  {name:42}{duration(this):>10}{duration(other):>11}  {figure(ratio['median'])}"
        f"  {figure(ratio['quartile_1'])} - {figure(ratio['quartile_3'])}  {processor['median']:8.3f}"
        + (f"{commands:10g}" if commands is not None else ""))
    return pairs


def compare_workers(chapter, name, beside, this, other, at_least=1, **more):
    with Worker(*this) as this_worker, Worker(*other) as other_worker:
        this_worker.settle(at_least)
        other_worker.settle()
        pairs = paired.measure(this_worker.block, other_worker.block, ROUNDS)
    return row(chapter, name, beside, pairs, **more)


def added_ms(pairs, kind=paired.CLOCK):
    return paired.difference(pairs, kind, 1e6)


def started(chapter, name, *command, this=GATEKEY, other=PLAIN, **more):
    """A program that does not use the key, where it is set up with gatekey and without; returns the pairs."""
    for environment in (this, other):
        run(environment, *command)
    pairs = paired.measure(lambda: run(this, *command), lambda: run(other, *command), 2 * ROUNDS)
    counts = [instructions(each, *command) for each in (this, other)] if shutil.which("valgrind") else []
    added, processor = added_ms(pairs), added_ms(pairs, paired.PROCESSOR)
    this_ns, other_ns = paired.medians(pairs)
    rows.append({"chapter": chapter, "what": name, "beside": "without gatekey", "this_ns": this_ns,
                 "beside_ns": other_ns,
                 "ratio": paired.ratio(pairs), "processor_ratio": paired.ratio(pairs, paired.PROCESSOR),
                 "added_ms": added, "processor_added_ms": processor, "instructions": counts, "rounds": len(pairs),
                 **more})
    say(f"  {name:42}{duration(other_ns):>10}{added['median']:+9.2f}  {added['quartile_1']:+6.2f} - "
        f"{added['quartile_3']:+5.2f}  {processor['median']:+9.2f}"
        + (f"  {(counts[0] - counts[1]) / 1e6:+8.2f} M" if counts else ""))
    return pairs


def print_goals():
    say("\nGoals")
    for each in goals:
        say(f"  {each['verdict']:20}{each['value']:8.3f} {each['unit']:3} at {each['bound']} {each['limit']:g} {each['unit']:3}"
            f"{each['goal']}")
    for note in notes:
        say(f"  ({note})")
