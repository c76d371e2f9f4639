#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd as letter box: what the hub's application sends is kept, unread, and what it has to say is told until it is heard."""

import json
import os
import re
import stat
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import GatekeydTest, wait_until  # noqa: E402

SERVICE = "installCertificate"


class Inbox(GatekeydTest):
    def send(self, service, value):
        """Call the service as the application does; the hub's answer."""
        text = value if isinstance(value, str) else json.dumps(value)
        return json.loads(self.hub.ctl("call", self.hub.product, service.name, SERVICE, text, check=False).stdout)

    def inbox(self, service):
        return os.path.join(service.state, "inbox")

    def letters(self, service):
        return sorted(os.listdir(self.inbox(service))) if os.path.isdir(self.inbox(service)) else []

    def test_keeps_what_comes_and_reads_nothing_of_it(self):
        service = self.service().enrol().start().connected()
        value = {"cert": "no certificate at all", "caCert": "\u0007\u20ac", "certSN": "7", "deep": [{"er": None}]}
        self.assertEqual(self.send(service, value)["code"], 200)
        letter, = self.letters(service)
        self.assertRegex(letter, "^[0-9]{13}-[0-9A-Za-z]*[.]json$")
        self.assertLess(abs(int(letter[:13]) - time.time() * 1000), 60000)
        path = os.path.join(self.inbox(service), letter)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file), value)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertTrue(service.status()["connected"])

    def test_refuses_what_is_too_much(self):
        service = self.service().enrol().start().connected()
        answer = self.send(service, {"cert": "x" * 64 * 1024})
        self.assertEqual(answer["code"], 2007, answer)
        for number in range(16):
            self.assertEqual(self.send(service, {"cert": str(number)})["code"], 200)
        answer = self.send(service, {"cert": "one more"})
        self.assertEqual(answer["code"], 2005, answer)
        self.assertNotIn(service.state, json.dumps(answer))
        self.assertEqual(len(self.letters(service)), 16)
        os.unlink(os.path.join(self.inbox(service), self.letters(service)[0]))
        self.assertEqual(self.send(service, {"cert": "one more"})["code"], 200)

    def test_says_when_it_cannot_keep_it(self):
        service = self.service().enrol().start().connected()
        with open(self.inbox(service), "w", encoding="utf-8"):
            pass
        answer = self.send(service, {"cert": "x"})
        self.assertEqual(answer["code"], 2002, answer)
        self.assertIn("cannot keep a certificate from the hub", "\n".join(service.lines()))

    def test_says_that_the_disk_is_full(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount")
        service = self.service().enrol()
        os.makedirs(self.inbox(service))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", self.inbox(service)], check=True)
        self.addCleanup(subprocess.run, ["umount", self.inbox(service)], check=True)
        service.start().connected()
        answer = self.send(service, {"cert": "x" * 60000})
        self.assertEqual((answer["code"], self.letters(service)), (2002, []), answer)
        self.assertIn("the disk is full", json.dumps(answer))
        self.assertEqual(self.send(service, {"cert": "x"})["code"], 200)

    def test_keeps_one_that_comes_twice_once(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        service = self.service(port=hub.port)
        topic = f"/sys/{self.hub.product}/{service.name}/thing/service/{SERVICE}"
        heard = []

        def push(peer, subscribed):
            if not subscribed.endswith("thing/service/#"):
                return
            for ident in "../../a", "../../a", 5, 5:
                peer.publish(topic, {"id": ident, "version": "1.0", "method": "x", "params": {"cert": "x"}}, 0)
            peer.publish(topic, {"id": "b", "version": "1.0", "params": ["no object"]}, 0)

        hub.on_subscribe = push
        hub.on_publish = lambda peer, topic, payload: heard.append(json.loads(payload))
        service.enrol().start()
        wait_until("it answered", lambda: len(heard) == 3)
        self.assertEqual([(reply["id"], reply["code"]) for reply in heard], [("../../a", 200), (5, 200), ("b", 2007)])
        self.assertEqual(sorted(re.sub("^[0-9]*-", "", name) for name in self.letters(service)), ["5.json", "a.json"])
        self.assertEqual(service.status()["duplicates"], 2)

    def test_takes_no_program_for_it(self):
        service = self.service(f"command.{SERVICE} = /bin/true\n")
        with self.assertRaisesRegex(AssertionError, "takes no program"):
            service.start()
        service.process = None

    def test_forgets_it_with_the_identity(self):
        service = self.service().enrol().start().connected()
        self.assertEqual(self.send(service, {"cert": "x"})["code"], 200)
        self.assertTrue(service.call({"op": "stop"})["ok"])
        self.assertEqual(len(self.letters(service)), 1)
        self.assertTrue(service.call({"op": "stop", "forget": True})["ok"])
        self.assertEqual(self.letters(service), [])
        self.assertTrue(os.path.exists(os.path.join(service.state, "connects")))
        # A reset that is not finished keeps it down, whatever is there still.
        service.state_json(stage="resetting")
        wait_until("it noticed", lambda: service.status()["state"] == "not-enrolled")
        for operation in "reconnect", "try":
            answer = service.call({"op": operation})
            self.assertEqual(answer["status"], "GK_NOT_ENROLLED")
            self.assertIn("is being reset", answer["error"])
        service.stop()
        service.start()
        self.assertEqual((service.status()["state"], service.status()["attempts"]), ("not-enrolled", 0))


class Events(GatekeydTest):
    def by_hand(self, **settings):
        service = self.service(**settings)
        service.settings["renew"]["by"] = "hand"
        service.configure()
        return service.enrol()

    def test_warns_once_a_day_of_a_certificate_that_nobody_renews(self):
        service = self.by_hand()
        self.hub.fault("post-drop", "--times", "1")
        service.start()
        # The first is lost with the connection; it is told again over the next.
        wait_until("the hub has it", lambda: service.status()["events_told"] == 1)
        row, = self.telemetry(service)
        self.assertEqual((row["kind"], row["point"]), ("event", "certificateExpiring"))
        value = json.loads(row["value"])
        self.assertEqual(value["certSN"], str(service.device.serial))
        self.assertIn(value["daysLeft"], (29, 30))
        self.assertAlmostEqual(value["notAfter"] / 1000, time.time() + 30 * 86400, delta=7200)
        self.assertRegex("\n".join(service.lines()), "the certificate expires in (29|30) days")
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        self.assertTrue(service.send({"temperature": 1})["ok"])
        self.assertEqual(len(self.telemetry(service)), 2)
        status = service.status()
        self.assertEqual((status["events_waiting"], status["handed_over"], status["turned_away"]), (0, 1, 0))

    def test_takes_a_hub_s_no_for_an_answer(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        heard = []

        def answer(peer, topic, payload):
            heard.append(topic)
            peer.publish(topic + "_reply", {"id": json.loads(payload)["id"], "code": 1204, "data": {}, "message": "no such event"}, 0)

        hub.on_publish = answer
        service = self.by_hand(port=hub.port).start().connected()
        wait_until("it was told", lambda: heard)
        wait_until("it gave up", lambda: service.status()["events_waiting"] == 0)
        self.assertEqual((len(heard), service.status()["events_told"]), (1, 0))
        self.assertIn("code 1204, no such event", service.lines()[-1])


if __name__ == "__main__":
    unittest.main()
