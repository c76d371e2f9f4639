# SPDX-License-Identifier: Apache-2.0
"""Telemetry that flows whatever happens to the line, whether all of it arrived, and how often the hub was asked for a connection."""

import sqlite3
import sys
import time

from ledger import BrokerApplication, Ledger, SocketApplication

PAUSE_S = 0.2

# EnOS: more than four CONNECTs in two minutes lock out, and so do two in one second.
LIMIT = 4
LIMIT_MS = 120000
SPACING_MS = 1000


class Script(SocketApplication):
    """Its messages may grow."""
    size = 0

    def params(self, number):
        params = super().params(number)
        if self.size:
            params["measurepoints"]["text"] = "x" * self.size
        return params


class Talk(Ledger):
    """A script and, where there is a local broker, one of its clients, which hand over all the time."""

    def __init__(self, service, broker=None):
        super().__init__(service.device.hub, service.name)
        self.service = service
        self.script = self.add(Script(service, "script", pause=PAUSE_S))
        if broker:
            self.add(BrokerApplication(broker.path, "client", pause=PAUSE_S))

    def promised(self):
        return {(name, number) for name, application in self.applications.items() for number in list(application.accepted)}

    def wait(self, what, happened, until):
        while not happened():
            assert time.monotonic() < until, f"{self.service.name}, in vain: {what}; {self.summary()}\n" + "\n".join(self.service.lines()[-8:])
            time.sleep(0.2)
            self.read()

    def arrives(self, patience):
        """Wait until each application has been promised something more, and all that was promised by then is with the hub."""
        until = time.monotonic() + patience
        for application in self.applications.values():
            before = len(application.accepted)
            self.wait(f"{application.name} is promised more", lambda a=application, n=before: len(a.accepted) > n, until)
        promised = self.promised()
        self.wait("what was promised arrives", lambda: not promised - self.first.keys() - self.refused, until)

    def conclude(self, test, patience):
        """Say no more, and wait until nothing is on its way."""
        self.end()
        self.wait("all that was promised arrives", lambda: not self.missing(), time.monotonic() + patience)
        self.check(test)
        print(f"{self.service.name}: {self.summary()}", file=sys.stderr)


def connects(hub):
    """When each device sent a CONNECT, and what it was told, as the hub noted it: {device: [(ms, connack)]}."""
    database = sqlite3.connect(f"file:{hub.directory}/hub.db?mode=ro", uri=True, timeout=30)
    try:
        record = {}
        for name, at_ms, connack in database.execute("SELECT deviceKey, timeMs, connack FROM connect ORDER BY id"):
            record.setdefault(name, []).append((at_ms, connack))
        return record
    finally:
        database.close()


def check_connects(test, hub):
    """Nobody was refused, and nobody came too often. How many came in all."""
    record = connects(hub)
    for device, row in record.items():
        times = [at_ms for at_ms, _ in row]
        test.assertEqual([connack for _, connack in row if connack], [], f"{device} was refused: {row}")
        for first, second in zip(times, times[1:]):
            test.assertGreaterEqual(second - first, SPACING_MS, f"{device} connected twice within a second: {times}")
        for first, last in zip(times, times[LIMIT:]):
            test.assertGreater(last - first, LIMIT_MS, f"{device} connected {LIMIT + 1} times within two minutes: {times}")
    return sum(map(len, record.values()))
