# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Prometheus' text format, version 0.0.4, and of how its metrics should be named."""

import re

NAME = re.compile(r"[a-z][a-z0-9_]*")
SAMPLE = re.compile(r"([a-z][a-z0-9_]*)(?:\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?)")
LABEL = re.compile(r'([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
NOT_BASE = re.compile(r"_(ms|millis|milliseconds|us|minutes|hours|days|kb|mb|kib|mib)(_|$)")


def labels_of(text):
    labels = {}
    while text:
        found = LABEL.match(text)
        assert found, f"no label: {text!r}"
        assert found[1] not in labels, f"label {found[1]} comes twice"
        labels[found[1]] = found[2].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        text = text[found.end():]
        assert not text or (text[0] == "," and len(text) > 1), f"after a label: {text!r}"
        text = text[1:]
    return labels


def check_name(name, kind):
    assert name.startswith("gatekey_"), name
    assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
    assert not NOT_BASE.search(name), f"{name} is in no base unit"


def parse(text):
    """All samples as {name: value}, or {name: (labels, value)} where there are labels; asserts that the text is well-formed."""
    assert text.endswith("\n"), "the last line does not end"
    samples, helped, kinds = {}, set(), {}
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert NAME.fullmatch(name) and words and name not in helped, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name in helped and name not in kinds and kind in ("counter", "gauge"), line
            check_name(name, kind)
            kinds[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"no sample: {line!r}"
            name, value = found[1], float(found[3])
            assert name == list(kinds)[-1] and name not in samples, f"{line!r} does not follow its TYPE"
            assert kinds[name] == "gauge" or value >= 0, line
            samples[name] = (labels_of(found[2]), value) if found[2] is not None else value
    assert set(samples) == helped == set(kinds), "a HELP or a TYPE without a sample"
    return samples
