#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every way a line can be bad, each on a gateway of its own at the same time: gatekeyd comes back by itself, all that it
accepted arrives, and no gateway connects more often than the hub allows.

GATEKEY_ROUNDS=N goes on for N rounds more, with faults drawn by lot.
"""

import concurrent.futures
import os
import random
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from faultproxy import POINTS, FaultProxy  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from service import GatekeydTest, Tpm  # noqa: E402
from talk import Talk, check_connects  # noqa: E402

AT_FIRST = [{"at": point, "do": deed} for point in POINTS[:-1] for deed in ("fin", "rst")]
AT_FIRST += [{"at": point, "do": "silence"} for point in ("accept", "server-hello", "ticket", "connack")]
AT_FIRST += [{"flip": "up", "after": 60}, {"flip": "up", "after": 1200}, {"flip": "down", "after": 60},
             {"flip": "down", "after": 1200}, {"delay_ms": 2000}]
IN_USE = [{"now": "silence"}, {"now": "deaf"}, {"at": "reply", "do": "silence"}, {"delay_ms": 2000},
          {"at": "reply", "do": "fin"}, {"at": "reply", "do": "rst"}, {"now": "fin"}, {"now": "rst"},
          {"flip": "up", "after": 30}, {"flip": "down", "after": 30}]

# A link that is half open is told by what is not answered, at the latest two keepalives of 60 s later; then comes the backoff.
PATIENCE = 200


def whole(connection):
    return not connection["hurt"] and POINTS.index(connection["reached"]) >= POINTS.index("connack")


class BadLink(GatekeydTest):
    """One gateway for each fault of the first connection; those of a connection in use follow where one stands."""

    @classmethod
    def options(cls):
        return ["--enforce-limits", "--journal"]

    def setUp(self):
        super().setUp()
        self.proxy = FaultProxy(self.hub.mqtts_port)
        self.talks, self.tpms, self.brokers = [], [], []

    def tearDown(self):
        for talk in self.talks:
            talk.end()
        super().tearDown()
        for broker in self.brokers:
            broker.kill()
        for tpm in self.tpms:
            tpm.close()
        self.assertEqual(self.proxy.close(), 0)

    def gateway(self, with_broker):
        service = self.service()
        service.settings["hub"]["port"] = self.proxy.ask(service.name)["port"]
        self.tpms.append(Tpm())
        service.settings["tpm"]["tcti"] = self.tpms[-1].tcti()
        service.configure()
        broker = None
        if with_broker:
            broker = LocalBroker(service).join(service).start()
            self.brokers.append(broker)
        return service.enrol(), broker

    def until(self, service, what, happened):
        until = time.monotonic() + PATIENCE
        while not happened(told := self.proxy.ask(service.name, tell=True)):
            if time.monotonic() > until:
                raise AssertionError(f"in vain: {what}; {told}\n" + "\n".join(service.lines()[-8:]))
            time.sleep(0.2)

    def suffer(self, service, talk, fault):
        """One fault, until a connection that came after it is of use."""
        fired = self.proxy.ask(service.name)["fired"]
        self.proxy.ask(service.name, **fault)
        if service.process is None:
            service.start()
        if "delay_ms" not in fault:
            self.until(service, f"{fault} comes to pass", lambda told: told["fired"] > fired)
            self.until(service, f"a connection after {fault}", lambda told: whole(told["connections"][-1]))
        for _ in range(3 if "delay_ms" in fault else 1):
            talk.arrives(PATIENCE)
        self.proxy.ask(service.name, delay_ms=0)

    def live(self, service, broker, faults):
        talk = Talk(service, broker)
        self.talks.append(talk)
        for fault in faults:
            begun = time.monotonic()
            self.suffer(service, talk, fault)
            print(f"{service.name}: {fault} survived in {time.monotonic() - begun:.0f} s", file=sys.stderr)

    def test_comes_back_by_itself(self):
        lives = [[first, IN_USE[number % len(IN_USE)]] for number, first in enumerate(AT_FIRST)]
        for _ in range(int(os.environ.get("GATEKEY_ROUNDS", "0"))):
            for life in lives:
                life.append(random.choice(IN_USE))
        gateways = [self.gateway(number % 4 == 0) for number, _ in enumerate(lives)]
        with concurrent.futures.ThreadPoolExecutor(len(lives)) as crowd:
            done = [crowd.submit(self.live, *gateway, life) for gateway, life in zip(gateways, lives)]
        for life, end in zip(lives, done):
            with self.subTest(life=life):
                end.result()
        for talk in self.talks:
            talk.conclude(self, PATIENCE)
        print(f"{len(gateways)} gateways, {sum(map(len, lives))} faults, {check_connects(self, self.hub)} CONNECTs", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
