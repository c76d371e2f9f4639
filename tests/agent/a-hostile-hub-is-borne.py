#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hub that holds the right certificate and speaks MQTT as it pleases: gatekeyd says what is wrong with it, believes nothing
before it was let in, and keeps its memory small."""

import contextlib
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from sanitizer import preload  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402

MIB = 1024 * 1024


class OneByOne:
    """Each byte a record of TLS."""

    def __init__(self, link):
        self.link = link

    def sendall(self, data):
        for byte in data:
            self.link.sendall(bytes([byte]))


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
        # A sanitizer keeps what was freed for a while.
        self.assertLess(self.peak(service) - before, 64 * MIB if preload(os.path.join(BUILD, "gatekeyd")) else 8 * MIB)

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

    def meets(self, words, status="GK_HUB_GARBLED", **answers):
        """What is said of a hub with that answer to the CONNECT; nothing was believed."""
        hub = self.bad_hub()
        hub.on_connect = answers.get("answer")
        service = self.service(port=hub.port).enrol().start()
        said = self.failure(service)
        self.assertIn(words, said["last_error"])
        self.assertEqual((said["last_status"], said["connects"], hub.subscribed), (status, 0, []))
        self.assertEqual(service.stop(), 0)
        return service

    def test_each_refusal_has_its_sentence(self):
        for code, status in (1, "GK_HUB_REFUSED"), (2, "GK_HUB_REFUSED"), (3, "GK_HUB_REFUSED"), (4, "GK_HUB_CREDENTIALS"), (5, "GK_HUB_REFUSED"), \
                (6, "GK_HUB_REFUSED"), (255, "GK_HUB_REFUSED"):
            with self.subTest(code=code):
                self.meets(f"CONNACK {code}", status, answer=lambda peer, code=code: peer.send(0x20, bytes([0, code])))

    def test_nonsense_in_place_of_an_answer_is_called_that(self):
        for name, kind, body in (("CONNACK of one byte", 0x20, b"\0"),
                                 ("PINGRESP with a body", 0xD0, b"x"), ("CONNECT", 0x10, b""), ("AUTH", 0xF0, b"\0\0"),
                                 ("kind 0", 0, b""), ("DISCONNECT", 0xE0, b"")):
            with self.subTest(name):
                self.meets("not MQTT", answer=lambda peer, kind=kind, body=body: peer.send(kind, body))

    def test_nothing_counts_before_the_answer(self):
        def before(kind, body):
            def answer(peer):
                peer.send(kind, body)
                peer.send(0x20, b"\0\0")
            return answer

        for name, kind, body in (("PUBLISH", 0x30, b"\0\1xyz"), ("PUBLISH at QoS 1", 0x32, b"\0\1x\0\1yz"), ("PUBACK", 0x40, b"\0\1"),
                                 ("SUBACK", 0x90, b"\0\1\0")):
            with self.subTest(name):
                self.meets("not MQTT", answer=before(kind, body))

    def test_one_byte_at_a_time_is_as_good(self):
        hub = self.bad_hub()

        def let_in(peer):
            whole = type(peer).send

            def one_by_one(kind, body):
                link = peer.socket
                with contextlib.suppress(OSError):
                    peer.socket = OneByOne(link)
                    whole(peer, kind, body)
                peer.socket = link

            peer.send = one_by_one
            peer.send(0x20, b"\0\0")

        hub.on_connect = let_in
        hub.on_publish = lambda peer, topic, payload: peer.publish(topic + "_reply", {"id": json.loads(payload)["id"], "code": 200, "data": {}}, 0)
        service = self.service(port=hub.port).enrol().start().connected()
        for _ in range(3):
            self.assertTrue(service.send({})["ok"])
        self.assertEqual(service.status()["connects"], 1)

    def test_nonsense_from_a_hub_that_let_us_in_ends_the_connection(self):
        for name, kind, body in ("DISCONNECT", 0xE0, b""), ("kind 0", 0, b""), ("SUBACK of nothing", 0x90, b""), ("PUBLISH without a topic", 0x30, b""):
            with self.subTest(name):
                hub = self.bad_hub()
                hub.on_publish = lambda peer, *_, kind=kind, body=body: peer.send(kind, body)
                service = self.service(port=hub.port).enrol().start().connected()
                self.assertTrue(service.publish({})["ok"])
                status = self.failure(service)
                self.assertEqual((status["state"], status["connects"]), ("waiting", 1))
                self.assertEqual(service.stop(), 0)

    def test_a_gatekeyd_that_is_killed_again_and_again_does_not_knock_more_often(self):
        hub = self.bad_hub()
        knocks = []
        hub.on_connect = lambda peer: knocks.append(peer.send(0x20, b"\0\0"))
        service = self.service(port=hub.port).enrol()
        for _ in range(8):
            service.start()
            # Until it is in, or knows that it has to wait for long.
            wait_until("it has had its turn", lambda: service.status()["connected"] or service.status().get("next_attempt_s", 0) > 5)
            service.process.kill()
            service.process.wait()
        service.process = None
        self.assertEqual(len(knocks), 3)


if __name__ == "__main__":
    unittest.main()
