#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd as a client of a broker: no PUBACK leaves before the commit, many messages share one, none leaves when it fails.

The broker sees each byte (brokerend.py); the disk waits and fails as it is told (slow-disk.c).
"""

import json
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from brokerend import Broker  # noqa: E402
from service import BUILD, wait_until  # noqa: E402


class SlowDisk(Broker):
    def environment(self):
        self.disk = os.path.join(self.gateway.folder, "disk")
        os.mkdir(self.disk)
        return {"LD_PRELOAD": os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), "SLOW_DISK": self.disk}

    def syncs(self):
        try:
            with open(os.path.join(self.disk, "syncs"), encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def hold(self):
        os.mkfifo(os.path.join(self.disk, "hold"))

    def release(self):
        """Whoever waits goes on, and nobody waits any more."""
        fifo = os.path.join(self.disk, "hold")
        os.rename(fifo, fifo + ".over")
        with open(fifo + ".over", "wb"):
            pass
        os.unlink(fifo + ".over")

    def points(self):
        return [json.loads(row["value"]) if isinstance(row["value"], str) else row["value"]
                for row in self.telemetry(self.gateway) if row["point"] == "n"]

    def check_order(self):
        before = len(self.syncs())
        self.hold()
        self.client.deliver(range(1, 41))
        wait_until("the disk is asked", lambda: len(self.syncs()) > before)
        # gatekeyd waits for the disk now: what it has to say until then is here.
        self.assertFalse(self.client.has_said())
        self.release()
        self.assertEqual(self.client.acks(40), list(range(1, 41)))
        # Forty messages, which a commit each would have cost as many syncs; what the uplink settles comes on top.
        self.assertLess(len(self.syncs()) - before, 10)
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 41)))


class OldBroker(SlowDisk):
    level = 4

    def test_is_acknowledged_to_after_the_disk(self):
        self.check_order()


class AckOrder(SlowDisk):
    def test_acknowledges_nothing_that_is_not_on_disk(self):
        self.check_order()

    def test_acknowledges_nothing_when_the_disk_fails(self):
        with open(os.path.join(self.disk, "fail"), "wb"):
            self.client.deliver(range(1, 11))
        wait_until("the disk failed", lambda: "f" in self.syncs())
        self.assertEqual(self.client.rest(), b"")
        os.unlink(os.path.join(self.disk, "fail"))
        self.client.socket.close()
        self.client = self.accept()
        self.client.deliver(range(1, 11), dup=True)
        self.assertEqual(self.client.acks(10), list(range(1, 11)))
        wait_until("the hub has them", lambda: sorted(set(self.points())) == list(range(1, 11)))

    def test_acknowledges_what_it_refuses_and_says_why(self):
        self.client.deliver([1], payload=b"not JSON")
        seen = {}
        while len(seen) < 2:
            kind, body = self.client.packet()
            if kind == 0x40:
                seen["ack"] = struct.unpack("!H", body)[0]
            else:
                topic, _, _, payload = self.client.message(body)
                seen["error"] = topic, json.loads(payload)
        self.assertEqual(seen["ack"], 1)
        self.assertEqual(seen["error"][0], "gatekey/error/thing/measurepoint/post")
        self.assertIn("cannot take this message", seen["error"][1]["error"])
        # A retained one was taken when it was published; it comes with each subscription again.
        self.client.deliver([2], retain=True)
        self.assertEqual(self.client.acks(1), [2])
        self.client.deliver([3])
        self.assertEqual(self.client.acks(1), [3])
        wait_until("the hub has the last one", lambda: self.points() == [3])
        self.assertEqual(self.gateway.status()["broker"]["refused"], 1)


if __name__ == "__main__":
    unittest.main()
