#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A link on which nobody answers any more is given up after one keepalive and 20 s, a suspended machine's too; one that is
good is kept over a suspend, for the price of one ping. The hours go by as the test says (suspend.c)."""

import os
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402
from wire import Http, Socks5, Wire  # noqa: E402

KEEPALIVE_S, GRACE_S = 60, 20
LIBRARIES = os.path.join(BUILD, "tests/agent/.libs")


class Pulse(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.bad_hub = BadHub(self.hub)
        self.addCleanup(self.bad_hub.close)
        self.slept = 0

    def gateway(self, wire, **settings):
        self.addCleanup(wire.close)
        service = self.service(**{"port": wire.port, **settings}).enrol()
        self.hours = os.path.join(service.folder, "suspended")
        self.turns = os.path.join(service.folder, "turns")
        service.start(LD_PRELOAD=f"{LIBRARIES}/suspend.so {LIBRARIES}/patient-loop.so", SUSPEND=self.hours, PATIENT_LOOP=self.turns)
        return service.connected()

    def suspend(self, service, seconds):
        self.slept += seconds
        with open(self.hours, "w", encoding="ascii") as file:
            file.write(str(self.slept * 1000))
        service.process.send_signal(signal.SIGUSR1)

    def pinged(self, count):
        wait_until(f"{count} pings", lambda: self.bad_hub.pings >= count)

    def loses(self, wire, **settings):
        """The last ping was answered; from then on nothing is."""
        service = self.gateway(wire, **settings)
        self.suspend(service, KEEPALIVE_S + 1)
        self.pinged(1)
        wire.stalled = True
        swallowed = wire.swallowed
        self.suspend(service, KEEPALIVE_S + 1)
        wait_until("it asks for a sign of life", lambda: wire.swallowed > swallowed)
        self.assertTrue(service.status()["connected"])
        self.suspend(service, GRACE_S)
        status = wait_until("it has noticed", lambda: not service.status()["connected"] and service.status(), GRACE_S)
        self.assertIn("did not answer a ping", status["last_error"])
        self.assertEqual(status["connects"], 1)
        service.stop()

    def test_on_a_plain_way(self):
        self.loses(Wire(self.bad_hub.port))

    def test_behind_a_proxy(self):
        for scheme, proxy in ("http", Http()), ("socks5", Socks5()):
            self.bad_hub.pings = 0
            self.loses(proxy, port=self.bad_hub.port, proxy=f"{scheme}://localhost:{proxy.port}")
            proxy.close()

    def test_a_good_link_is_kept_for_one_ping(self):
        service = self.gateway(Wire(self.bad_hub.port))
        for number in range(1, 4):
            self.suspend(service, 3600)
            self.pinged(number)
        time.sleep(0.5)  # the answer to the ping may come as a turn of its own
        before = os.path.getsize(self.turns)
        time.sleep(6)
        # Whoever ticks each second until libmosquitto's clock is there as well has had six turns.
        self.assertLess(os.path.getsize(self.turns) - before, 4)
        self.assertEqual(self.bad_hub.pings, 3)
        self.assertEqual(service.status()["connects"], 1)


if __name__ == "__main__":
    unittest.main()
