#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd as a client of a broker: no PUBACK leaves before the commit, many messages share one, none leaves when it fails.

The broker is a few lines here that see each byte; the disk waits and fails as it is told (slow-disk.c).
"""

import json
import os
import select
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from localbroker import Application, text  # noqa: E402
from service import BUILD, GatekeydTest, PATIENCE, wait_until  # noqa: E402

TOPIC = "gatekey/up/thing/measurepoint/post"


class Client:
    """gatekeyd's connection, seen from the broker's end."""

    send = Application.send
    exactly = Application.exactly
    packet = Application.packet

    def __init__(self, link):
        self.socket = link
        self.socket.settimeout(PATIENCE)
        self.buffer = b""
        kind, body = self.packet()
        assert kind == 0x10, kind
        flags = body[7]
        assert flags & 2 == 0, "a clean session"
        self.name = body[12:12 + struct.unpack("!H", body[10:12])[0]].decode()
        self.send(0x20, b"\0\0")
        self.filters = []
        while len(self.filters) < 2:
            kind, body = self.packet()
            assert kind == 0x82, kind
            size = struct.unpack("!H", body[2:4])[0]
            self.filters.append((body[4:4 + size].decode(), body[4 + size]))
            self.send(0x90, body[:2] + b"\1")

    def deliver(self, numbers, topic=TOPIC, dup=False, retain=False, payload=None):
        """All of them in one write."""
        sent = b""
        for number in numbers:
            content = payload or json.dumps({"measurepoints": {"n": number}}).encode()
            body = text(topic) + struct.pack("!H", number) + content
            assert len(body) < 128
            sent += bytes([0x32 | (8 if dup else 0) | (1 if retain else 0), len(body)]) + body
        self.socket.sendall(sent)

    def has_said(self):
        """What came and was not read yet; waits for nothing."""
        return bool(self.buffer) or bool(select.select([self.socket], [], [], 0)[0])

    def acks(self, count):
        """The numbers of so many PUBACKs."""
        numbers = []
        while len(numbers) < count:
            kind, body = self.packet()
            assert kind == 0x40, kind
            numbers.append(struct.unpack("!H", body)[0])
        return numbers

    def rest(self):
        """All that comes until the other end hangs up."""
        came = self.buffer
        while True:
            more = self.socket.recv(65536)
            if not more:
                return came
            came += more


class AckOrder(GatekeydTest):
    count = 0

    def setUp(self):
        super().setUp()
        self.gateway = self.service()
        folder = os.path.join(self.gateway.folder, "local")
        self.disk = os.path.join(self.gateway.folder, "disk")
        os.mkdir(folder)
        os.mkdir(self.disk)
        path = os.path.join(folder, "broker.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(PATIENCE)
        self.listener.bind(path)
        self.listener.listen()
        self.gateway.local = f"broker = {path}\n"
        self.gateway.configure()
        self.gateway.enrol().start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), SLOW_DISK=self.disk)
        self.gateway.connected()
        self.client = self.accept()

    def tearDown(self):
        self.listener.close()
        self.client.socket.close()
        super().tearDown()

    def accept(self):
        return Client(self.listener.accept()[0])

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

    def test_acknowledges_nothing_that_is_not_on_disk(self):
        self.assertEqual(self.client.name, "gatekeyd")
        self.assertEqual(self.client.filters, [("gatekey/up/#", 1), ("gatekey/reply/#", 1)])
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
                size = struct.unpack("!H", body[:2])[0]
                seen["error"] = body[2:2 + size].decode(), json.loads(body[4 + size:])
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
