# SPDX-License-Identifier: Apache-2.0
"""Telemetry that flows whatever happens, and whether all of it arrived: for tests of bad lines."""

import os
import sqlite3
import threading
import time

LIMIT = 4  # CONNECTs that the hub takes
LIMIT_MS = 120000
SPACING_MS = 1000


class Ledger:
    """What the hub has of each device, read from its database as it grows; any thread may ask."""

    def __init__(self, hub):
        self.path = os.path.join(hub.directory, "hub.db")
        self.lock, self.last, self.values = threading.Lock(), 0, {}

    def of(self, device):
        with self.lock:
            database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
            try:
                for number, name, value in database.execute(
                        "SELECT id, deviceKey, value FROM telemetry JOIN device USING (assetId) WHERE id > ? ORDER BY id", (self.last,)):
                    self.last = number
                    self.values.setdefault(name, []).append(value)
            finally:
                database.close()
            return set(self.values.get(device, ()))

    def connects(self):
        """When each device sent a CONNECT, and what it was told: {device: [(ms, connack)]}."""
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        try:
            record = {}
            for name, at_ms, connack in database.execute("SELECT deviceKey, timeMs, connack FROM connect ORDER BY id"):
                record.setdefault(name, []).append((at_ms, connack))
            return record
        finally:
            database.close()


class Talker(threading.Thread):
    """A local program that has something to say all the time, and remembers what was taken."""

    def __init__(self, service, ledger, pause=0.2):
        super().__init__()
        self.service, self.ledger, self.pause = service, ledger, pause
        self.accepted, self.ended, self.size = [], threading.Event(), 0

    def run(self):
        number = 0
        while not self.ended.wait(self.pause):
            number += 1
            try:
                if self.service.publish({"n": number, **({"text": "x" * self.size} if self.size else {})})["ok"]:
                    self.accepted.append(str(number))
            except OSError:
                pass  # gatekeyd is not there, or did not say: nothing was promised

    def stop(self):
        self.ended.set()
        if self.ident:
            self.join()

    def missing(self):
        return set(self.accepted) - self.ledger.of(self.service.name)

    def arrives(self, patience):
        """Wait until something more is accepted, and all that was until then is with the hub."""
        before, until = len(self.accepted), time.monotonic() + patience
        while len(self.accepted) == before:
            assert time.monotonic() < until, f"{self.service.name} takes nothing"
            time.sleep(0.1)
        wanted = set(self.accepted)
        while wanted - self.ledger.of(self.service.name):
            left = sorted(wanted - self.ledger.of(self.service.name), key=int)
            assert time.monotonic() < until, f"of {self.service.name}'s {len(wanted)} messages {len(left)} are lost: {left[:9]}"
            time.sleep(0.2)


def check_connects(ledger):
    """The hub's own record: nobody was refused, and nobody came too often. How many came in all."""
    record = ledger.connects()
    for device, connects in record.items():
        times = [at_ms for at_ms, _ in connects]
        assert all(connack == 0 for _, connack in connects), f"{device} was refused: {connects}"
        for first, second in zip(times, times[1:]):
            assert second - first >= SPACING_MS, f"{device} connected twice within a second: {times}"
        for first, last in zip(times, times[LIMIT:]):
            assert last - first > LIMIT_MS, f"{device} connected {LIMIT + 1} times within two minutes: {times}"
    return sum(len(connects) for connects in record.values())
