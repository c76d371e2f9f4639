#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hub that holds the right certificate and speaks MQTT as it pleases: gatekeyd says what is wrong with it, believes nothing
before it was let in, and keeps its memory small."""

import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import GatekeydTest, wait_until  # noqa: E402

MIB = 1024 * 1024


class HostileHub(GatekeydTest):
    def bad_hub(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        return hub

    def failure(self, service):
        return wait_until("it failed", lambda: service.status() if "last_error" in service.status() else None)

    def peak(self, service):
        """The most memory that it ever had, in bytes."""
        with open(f"/proc/{service.process.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) * 1024

    def test_announces_more_than_it_may(self):
        hub = self.bad_hub()
        sent = []

        def flood(peer, topic, _):
            peer.begin(topic + "_reply", 200 * MIB)
            for _ in range(200 * 64):
                peer.socket.sendall(bytes(MIB // 64))
                sent.append(MIB // 64)

        hub.on_publish = flood
        service = self.service(port=hub.port).enrol().start().connected()
        before = self.peak(service)
        self.assertTrue(service.publish({})["ok"])
        status = self.failure(service)
        self.assertEqual(status["last_status"], "GK_HUB_GARBLED")
        self.assertIn("a message of more than 1048576 bytes", status["last_error"])
        self.assertGreater(sum(sent), MIB)
        self.assertLess(self.peak(service) - before, 8 * MIB)

    def test_says_as_much_as_it_may(self):
        hub = self.bad_hub()
        words = "x" * (500 * 1024)

        def answer(peer, topic, payload):
            body = json.dumps({"id": json.loads(payload)["id"], "code": 200, "data": {"words": words}}).encode()
            peer.begin(topic + "_reply", len(body))
            for at in range(0, len(body), 100):  # each a record of TLS
                peer.socket.sendall(body[at:at + 100])

        hub.on_publish = answer
        service = self.service(port=hub.port).enrol().start().connected()
        for _ in range(4):
            self.assertEqual(service.send({})["data"]["words"], words)
        self.assertEqual(service.status()["connects"], 1)


if __name__ == "__main__":
    unittest.main()
