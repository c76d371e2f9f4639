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
from service import wait_until  # noqa: E402
from slowdisk import SlowDisk  # noqa: E402


class OnSlowDisk(Broker):
    def environment(self):
        self.disk = SlowDisk(self.gateway.folder)
        return self.disk.environment

    def points(self):
        return [json.loads(row["value"]) if isinstance(row["value"], str) else row["value"]
                for row in self.telemetry(self.gateway) if row["point"] == "n"]

    def check_order(self):
        before = len(self.disk.syncs())
        self.disk.hold()
        self.client.deliver(range(1, 41))
        self.disk.wait_held(before)
        # gatekeyd waits for the disk now: what it has to say until then is here.
        self.assertFalse(self.client.has_said())
        self.disk.release()
        self.assertEqual(self.client.acks(40), list(range(1, 41)))
        # Forty messages, which a commit each would have cost as many syncs; what the uplink settles comes on top.
        self.assertLess(len(self.disk.syncs()) - before, 10)
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 41)))


class OldBroker(OnSlowDisk):
    level = 4

    def test_is_acknowledged_to_after_the_disk(self):
        self.check_order()


class AckOrder(OnSlowDisk):
    def test_acknowledges_nothing_that_is_not_on_disk(self):
        self.check_order()

    def test_acknowledges_nothing_when_the_disk_fails(self):
        self.disk.fail()
        self.client.deliver(range(1, 11))
        wait_until("the disk failed", lambda: "f" in self.disk.syncs())
        self.assertEqual(self.client.rest(), b"")
        self.disk.heal()
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
