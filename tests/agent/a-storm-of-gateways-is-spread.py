#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many gateways lose their hub at the same instant, as when it restarts: they come back spread over the time that
agent/budget.h gives them, none more often than the hub allows, and one of them by a key in a TPM.

GATEKEY_ROUNDS=N: so many gateways (30; make check-storm: 200).
"""

import concurrent.futures
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service import GatekeydTest, Tpm, wait_until  # noqa: E402
from talk import check_connects, connects  # noqa: E402

GATEWAYS = int(os.environ.get("GATEKEY_ROUNDS", "30"))
WORKERS = 4

# agent/budget.h: the first wait is 8 to 12 s, and up to [hub] spread longer where the hub itself ended the connection.
FIRST_S, JITTER_S, SPREAD_S = 8, 4, 20

# Who finds the hub not yet there waits once more, 16 to 24 s; the rest is for this machine to shake all the hands.
ALL_BACK_S = FIRST_S + JITTER_S + SPREAD_S + 24 + 60


def most_a_second(gateways):
    """Evenly spread over the interval, plus five standard deviations of a second's count, plus one."""
    mean = gateways / (JITTER_S + SPREAD_S)
    return mean + 5 * mean ** 0.5 + 1


class Storm(GatekeydTest):
    @classmethod
    def options(cls):
        return ["--enforce-limits"]

    def setUp(self):
        super().setUp()
        self.tpms = []

    def tearDown(self):
        for service in self.services:
            if service.process:
                service.process.terminate()  # all at once; awaited below
        super().tearDown()
        for tpm in self.tpms:
            tpm.close()

    def gateway(self, number):
        service = self.services[number]
        tpm = Tpm()
        self.tpms.append(tpm)
        service.settings["tpm"]["tcti"] = tpm.tcti()
        service.configure()
        return service.enrol().start()

    def back(self, since_ms):
        """When each came, in seconds after that."""
        return sorted((at_ms - since_ms) / 1000 for row in connects(self.hub).values()
                      for at_ms, _ in row if at_ms > since_ms)

    def test_comes_back_spread_out(self):
        for _ in range(GATEWAYS - 1):
            self.service(spread=SPREAD_S)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as crowd:
            list(crowd.map(self.gateway, range(GATEWAYS - 1)))
        self.service_with_tpm_key("0x81000100").start()  # which has the default spread
        for service in self.services:
            service.connected()
        lost_ms = time.time() * 1000
        self.assertEqual(self.hub.stop(), 0)
        self.hub.start()
        wait_until(f"{GATEWAYS} come back in {ALL_BACK_S} s", lambda: len(self.back(lost_ms)) >= GATEWAYS, ALL_BACK_S)
        for service in self.services:
            service.connected()
            self.assertEqual(service.status()["connects"], 2, service.lines())
        times = self.back(lost_ms)
        most = max(sum(1 for other in times if at <= other < at + 1) for at in times)
        print(f"{GATEWAYS} gateways: first back after {times[0]:.1f} s, half after {times[len(times) // 2]:.1f} s, all after {times[-1]:.1f} s;"
              f" at most {most} CONNECTs in any second, {most_a_second(GATEWAYS):.1f} allowed", file=sys.stderr)
        self.assertGreaterEqual(times[0], FIRST_S)
        self.assertLessEqual(most, most_a_second(GATEWAYS))
        check_connects(self, self.hub)


if __name__ == "__main__":
    unittest.main()
