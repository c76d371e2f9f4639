#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd and its broker in MQTT 5: a command says how long it is wanted, and is handed over once; older brokers do without."""

import json
import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from brokerend import Broker  # noqa: E402
from service import BUILD, wait_until  # noqa: E402

EXPIRY, SESSION, MANY = b"\x02", b"\x11", b"\x21"  # properties: message and session expiry interval, receive maximum


class Commands(Broker):
    def setUp(self):
        self.callers = []
        super().setUp()

    def tearDown(self):
        for caller in self.callers:
            caller.kill()
            caller.communicate()
        super().tearDown()

    def send(self, rest, params="{}", *options):
        """hubctl command, under way."""
        self.callers.append(subprocess.Popen(
            [os.path.join(BUILD, "tests/hub/hubctl"), self.hub.directory, "command", self.hub.product, self.gateway.name, rest, params,
             *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return self.callers[-1]

    def reply(self, caller):
        out, complaint = caller.communicate(timeout=90)
        return json.loads(out) if out else complaint

    def handed_over(self, rest, reason=0):
        """The next thing published, which must be this command: its properties and its envelope; the broker acknowledges it."""
        topic, mid, properties, payload = self.client.published()
        self.assertEqual(topic, "gatekey/down/" + rest)
        self.client.acknowledge(mid, reason)
        return properties, json.loads(payload)

    def answer(self, rest, command):
        self.client.deliver([1], topic="gatekey/reply/" + rest, payload=json.dumps({"id": command["id"], "code": 200}).encode())
        self.assertEqual(self.client.acks(1), [1])


class Expiry(Commands):
    def seconds(self, properties):
        self.assertEqual(properties[:1], EXPIRY)
        return struct.unpack("!I", properties[1:])[0]

    def test_is_what_is_left_of_a_command(self):
        rest = "thing/service/a"
        caller = self.send(rest)
        properties, command = self.handed_over(rest)
        # 28 s are left, and a broker that counts whole seconds gives up to one more.
        self.assertIn(self.seconds(properties), range(1, 28))
        self.answer(rest, command)
        self.assertEqual(self.reply(caller)["code"], 200)
        self.send("rrpc/request/1", "00", "--hex", "--timeout", "1")
        topic, mid, properties, payload = self.client.published()
        self.client.acknowledge(mid)
        self.assertEqual((topic, payload), ("gatekey/down/rrpc/request/1", b"\0"))
        self.assertIn(self.seconds(properties), range(1, 28))

    def test_is_not_for_news(self):
        self.assertEqual(self.reply(self.send("thing/disable"))["code"], 200)
        self.assertEqual(self.handed_over("thing/disable")[0], b"")
        self.client.deliver([1], payload=b"not JSON")
        self.assertEqual(self.client.acks(1), [1])
        self.assertEqual(self.client.published()[2], b"")

    def test_goes_on_while_a_broker_is_restarted(self):
        rest = "thing/service/a"
        self.client.socket.close()
        wait_until("it is missed", lambda: not self.gateway.status()["broker"]["connected"])
        caller = self.send(rest)
        wait_until("it waits", lambda: self.gateway.status()["broker"]["waiting"] == 1)
        self.client = self.accept()
        properties, command = self.handed_over(rest)
        self.assertIn(self.seconds(properties), range(1, 28))
        self.answer(rest, command)
        self.assertEqual(self.reply(caller)["code"], 200)


class HandingOver(Commands):
    def test_is_done_once(self):
        """What a broker has not acknowledged it may have handed on all the same."""
        self.send("thing/service/a")
        self.assertEqual(self.client.published()[0], "gatekey/down/thing/service/a")
        self.client.deliver([1], payload=b"not JSON")
        self.assertEqual(self.client.acks(1), [1])
        self.assertEqual(self.client.published()[0], "gatekey/error/thing/measurepoint/post")
        self.again()
        topic, mid, _, _ = self.client.published()
        self.assertEqual(topic, "gatekey/error/thing/measurepoint/post")
        self.client.acknowledge(mid)
        self.send("thing/service/b")
        self.handed_over("thing/service/b")
        self.assertEqual(self.gateway.status()["broker"]["lost"], 1)

    def test_ends_with_the_identity(self):
        self.client.socket.close()
        wait_until("it is missed", lambda: not self.gateway.status()["broker"]["connected"])
        self.send("thing/service/a")
        wait_until("it waits", lambda: self.gateway.status()["broker"]["waiting"] == 1)
        self.assertTrue(self.gateway.call({"op": "stop", "forget": True})["ok"])
        broker = self.gateway.status()["broker"]
        self.assertEqual((broker["waiting"], broker["lost"]), (0, 1))
        self.client = self.accept()

    def test_to_nobody_is_told_at_once(self):
        for reason in 0x10, 0x87:  # no matching subscribers, not authorized
            caller = self.send("thing/service/a", "{}", "--id", "x" + str(reason))
            self.handed_over("thing/service/a", reason)
            reply = self.reply(caller)
            self.assertEqual((reply["code"], reply["message"]), (2001, "no application is there for it"))
        said = "the local broker did not take what was published on gatekey/down/thing/service/a: Not authorized"
        self.assertIn(said, "\n".join(self.gateway.lines()))
        self.send("thing/model/down_raw", "00", "--hex", "--timeout", "1")
        topic, mid, _, _ = self.client.published()
        self.client.acknowledge(mid, 0x10)
        wait_until("it is said", lambda: "dropped the command thing/model/down_raw: nobody is there for it"
                   in "\n".join(self.gateway.lines()))
        # The next one is not meant by that.
        caller = self.send("thing/service/a")
        self.answer("thing/service/a", self.handed_over("thing/service/a")[1])
        self.assertEqual(self.reply(caller)["code"], 200)


class Greeting(Commands):
    def test_keeps_the_session_and_wants_nothing_that_was_kept(self):
        self.assertEqual(self.client.name, "gatekeyd")
        self.assertIn(SESSION + b"\xff\xff\xff\xff", self.client.properties)
        self.assertIn(MANY + struct.pack("!H", 1024), self.client.properties)
        # QoS 1, not what we publish ourselves, nothing that is retained.
        self.assertEqual(self.client.filters, [("gatekey/up/#", 0x25), ("gatekey/reply/#", 0x25)])
        self.assertEqual(self.gateway.status()["broker"]["mqtt"], "5")

    def test_says_why_a_broker_refuses(self):
        self.client.socket.close()
        client = self.knock()
        client.send(0x20, b"\0\x87\0")
        client.socket.close()
        self.said("Not authorized")
        # And it is asked the same again, since that had nothing to do with MQTT 5.
        self.client = self.knock()
        self.assertEqual(self.client.level, 5)
        self.client.admit(granted=0x87)
        self.said("the local broker refused the subscription to gatekey/up/#: Not authorized")
        self.client.send(0xE0, b"\x8e\0")
        self.said("Session taken over")
        self.client.socket.close()
        self.client = self.accept()

    def test_obeys_a_broker_that_wants_to_hear_more_often(self):
        self.client.socket.close()
        self.client = self.knock().admit(properties=b"\x13\0\5")
        wait_until("it says something", lambda: self.client.packet() == (0xC0, b""))

    def said(self, words):
        wait_until(words, lambda: words in "\n".join(self.gateway.lines()))


class OldBroker(Commands):
    level = 4

    def test_gets_what_it_understands(self):
        self.assertEqual(self.client.name, "gatekeyd")
        self.assertEqual(self.client.filters, [("gatekey/up/#", 1), ("gatekey/reply/#", 1)])
        self.assertEqual(self.gateway.status()["broker"]["mqtt"], "3.1.1")
        rest = "thing/service/a"
        caller = self.send(rest)
        self.answer(rest, self.handed_over(rest)[1])
        self.assertEqual(self.reply(caller)["code"], 200)
        # Next time it may be a newer one.
        self.client.socket.close()
        self.level = 5
        self.client = self.accept()


class MuteOldBroker(Commands):
    level, refusal = 4, None

    def test_gets_what_it_understands(self):
        self.assertEqual(self.gateway.status()["broker"]["mqtt"], "3.1.1")


if __name__ == "__main__":
    unittest.main()
