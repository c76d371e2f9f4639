#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody holds a lock that gatekeyd needs, for long: it serves on, and what it could not write down it writes later."""

import contextlib
import fcntl
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402
from wire import Wire  # noqa: E402

# Of one turn: an attempt that fails has several things to write down, and each is tried.
TRIES_IN_A_TURN = 6


class HeldLocks(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.hub_of_ours = BadHub(self.hub)
        self.addCleanup(self.hub_of_ours.close)
        self.wire = Wire(self.hub_of_ours.port)
        self.addCleanup(self.wire.close)

    def gateway(self):
        service = self.service(port=self.wire.port).enrol()
        os.makedirs(service.state, 0o700, exist_ok=True)
        self.turns = os.path.join(service.folder, "turns")
        return service

    def start(self, service):
        service.start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/patient-loop.so"), PATIENT_LOOP=self.turns)
        return service.connected()

    @contextlib.contextmanager
    def hold(self, path):
        fd = os.open(path, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    def never_waited(self):
        with open(self.turns, encoding="ascii") as file:
            turns = file.read()
        self.assertIn("x", turns)
        self.assertNotIn("x" * (TRIES_IN_A_TURN + 1), turns)

    def recorded(self, service):
        with open(os.path.join(service.state, "connects"), encoding="ascii") as file:
            return file.read().split()

    def test_the_connect_budget(self):
        service = self.start(self.gateway())
        first = self.recorded(service)
        self.assertEqual((first[3], first[5]), ("0", "1"))
        with self.hold(os.path.join(service.state, "connects")):
            self.wire.cut()
            status = wait_until("it says who is in the way", lambda: "locked by another process" in service.status().get("last_error", "") and service.status())
            self.assertEqual((status["last_status"], status["connects"], self.wire.count), ("GK_BUSY", 1, 1))
            self.assertTrue(service.publish({"temperature": 1})["ok"])
            self.assertEqual(self.recorded(service), first)
        service.connected()
        self.never_waited()
        # The failure was noted, and what was used before it is not forgotten.
        last = self.recorded(service)
        self.assertEqual((last[3], last[5], last[6]), ("1", "2", first[6]))
        self.assertEqual(len([line for line in service.lines() if "locked by another process" in line]), 1)

    def test_the_clocks_file(self):
        service = self.gateway()
        record = os.path.join(service.state, "clock.json")
        with self.hold(service.state):
            self.start(service)
            self.assertFalse(os.path.exists(record))
        self.never_waited()
        wait_until("what is known of the clock is kept", lambda: os.path.exists(record))


if __name__ == "__main__":
    unittest.main()
