#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What local programs hand over, and what the hub asks for, while gatekeyd goes from one connection to the next."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402

ROUNDS = 10


class Publisher(threading.Thread):
    """A client that publishes numbers one after the other, and notes each that was not taken."""

    def __init__(self, service):
        super().__init__()
        self.service = service
        self.count = 0
        self.failures = []
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            answer = self.service.publish({"number": self.count})
            if not answer["ok"]:
                self.failures.append((self.count, answer))
            self.count += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def goes_on(self):
        """Wait for some more to be taken."""
        before = self.count
        wait_until("it goes on", lambda: self.count > before + 3 or self.failures)


class Loss(GatekeydTest):
    def numbers(self, service):
        return [int(float(row["value"])) for row in self.telemetry(service) if row["point"] == "number"]

    def check(self, service, publisher):
        self.assertEqual(publisher.failures, [])
        wait_until("all that was accepted is there", lambda: service.status()["counters"]["stored"] == 0)
        arrived = self.numbers(service)
        self.assertEqual(sorted(set(arrived)), list(range(publisher.count)))
        print(f"{publisher.count} published, {len(arrived) - len(set(arrived))} of them twice at the hub")

    def test_reconnects(self):
        service = self.service().enrol().start().connected()
        with Publisher(service) as publisher:
            for _ in range(ROUNDS):
                service.another_day()
                self.assertEqual(service.call({"op": "reconnect"}), {"ok": True, "connected": True})
                publisher.goes_on()
        self.assertEqual(service.status()["connects"], ROUNDS + 1)
        self.check(service, publisher)

    def test_tries(self):
        """Renewals by turns accepted and promoted, and refused."""
        service = self.service().enrol().start().connected()
        with Publisher(service) as publisher:
            for turn in range(ROUNDS):
                certificate, serial = service.certify(service.device.key)
                service.put_next(certificate)
                if turn % 2:
                    self.hub.ctl("revoke", str(serial))
                service.another_day()
                answer = service.call({"op": "try"})
                self.assertEqual(answer["ok"], turn % 2 == 0, answer)
                publisher.goes_on()
                if turn % 2:
                    shutil.rmtree(os.path.join(service.identity, "next"))
                    service.state_json(renewal="none")
                else:
                    service.promote()
                service.connected()
        self.check(service, publisher)

    def test_another_identity(self):
        service = self.service().enrol().start().connected()
        with Publisher(service) as publisher:
            for turn in range(3):
                certificate, _ = service.certify(service.device.key)
                service.another_day()
                service.rewrite("cert.pem", certificate)
                wait_until("it noticed", lambda: service.status()["connects"] == turn + 2)  # pylint: disable=cell-var-from-loop
                publisher.goes_on()
        self.check(service, publisher)

    def test_a_command_that_takes_its_time(self):
        begun = os.path.join(os.path.realpath(self.folder), "begun")
        slow = self.program("slow", f"#!/bin/sh\ntouch {begun}\nsleep 3\necho '{{\"done\":true}}'\n")
        service = self.service(f"command.slow = {slow}\n").enrol().start().connected()
        with subprocess.Popen([os.path.join(BUILD, "tests/hub/hubctl"), self.hub.directory, "call", self.hub.product, service.name, "slow", "{}"],
                              stdout=subprocess.PIPE) as caller:
            wait_until("it runs", lambda: os.path.exists(begun))
            self.assertTrue(service.call({"op": "reconnect"})["ok"])
            answer = json.loads(caller.communicate()[0])
        self.assertEqual((answer["code"], answer["data"]), (200, {"done": True}))


class BetweenTwo(GatekeydTest):
    """A hub that lets us wait at the door."""

    def setUp(self):
        super().setUp()
        self.door = BadHub(self.hub)
        self.heard = []
        self.answers = True
        self.door.on_publish = self.on_publish

    def tearDown(self):
        self.door.close()
        super().tearDown()

    def on_publish(self, peer, topic, payload):
        message = json.loads(payload)
        self.heard.append((topic.split("/", 4)[-1], message["id"], message))
        if self.answers and not topic.endswith("_reply"):
            peer.publish(topic + "_reply", {"id": message["id"], "code": 200, "data": {}}, 0)

    def ask(self, service, request):
        """Send a request and leave it."""
        link = service.open()
        link.sendall(json.dumps(request).encode() + b"\n")
        return link

    def hand_over(self, service, number):
        return self.ask(service, {"op": "publish", "topic": "thing/measurepoint/post", "params": {"number": number}, "wait": True})

    def read(self, link):
        with link, link.makefile() as lines:
            return json.loads(lines.readline())

    def numbers(self):
        """What came, and under which numbers of the spool."""
        found = []
        for topic, ident, message in self.heard:
            if topic.startswith("thing/measurepoint/post"):
                entries = message["params"] if topic.endswith("/batch") else [message["params"]]
                found += [(entry["number"], int(ident) - len(entries) + 1 + place) for place, entry in enumerate(entries)]
        return found

    def leave(self, service):
        """Begin a reconnect that ends at a closed door."""
        self.door.gate.clear()
        link = self.ask(service, {"op": "reconnect"})
        wait_until("it is between", lambda: service.status()["state"] == "connecting")
        return link

    def test_sends_what_was_not_answered_again_with_its_id(self):
        service = self.service(port=self.door.port).enrol().start().connected()
        self.answers = False
        first = self.hand_over(service, 1)
        wait_until("the hub has one", lambda: self.heard)
        second = self.hand_over(service, 2)
        wait_until("it is kept", lambda: service.status()["handed_over"] == 2)
        verdict = self.leave(service)
        third = self.hand_over(service, 3)
        self.answers = True
        self.door.gate.set()
        self.assertEqual(self.read(verdict), {"ok": True, "connected": True})
        answers = [self.read(link) for link in (first, second, third)]
        self.assertTrue(all(answer["ok"] for answer in answers), answers)
        ids = [int(answer["id"]) for answer in answers]
        self.assertEqual(self.numbers(), [(1, ids[0]), (1, ids[0]), (2, ids[1]), (3, ids[2])])
        status = service.status()
        self.assertEqual((status["handed_over"], status["sent_again"], status["counters"]["acknowledged"]), (3, 1, 3))

    def test_takes_whatever_comes_in_between(self):
        service = self.service(port=self.door.port).enrol().start().connected()
        verdict = self.leave(service)
        lines = [{"op": "publish", "topic": "thing/measurepoint/post", "params": {"number": number}} for number in range(300)]
        with service.open() as link, link.makefile() as answers:
            link.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            ids = [int(json.loads(answers.readline())["id"]) for _ in lines]
        self.assertEqual(ids, list(range(ids[0], ids[0] + 300)))
        self.door.gate.set()
        self.assertTrue(self.read(verdict)["ok"])
        wait_until("the hub has them", lambda: len(self.numbers()) >= 300)
        self.assertEqual(self.numbers(), list(enumerate(ids)))

    def test_waits_for_the_connection_after_the_next_where_the_next_fails(self):
        service = self.service(port=self.door.port).enrol().start().connected()
        self.answers = False
        sent = self.hand_over(service, 1)
        wait_until("the hub has it", lambda: self.heard)
        verdict = self.leave(service)
        kept = self.hand_over(service, 2)
        wait_until("it is kept", lambda: service.status()["handed_over"] == 2)
        for link in self.door.links:
            with contextlib.suppress(OSError):
                link.shutdown(2)
        self.assertEqual(self.read(verdict)["status"], "GK_UNREACHABLE")
        self.answers = True
        self.door.gate.set()
        service.connected()
        answers = [self.read(link) for link in (sent, kept)]
        self.assertTrue(all(answer["ok"] for answer in answers), answers)
        self.assertEqual([number for number, _ in self.numbers()], [1, 1, 2])

    def test_answers_the_hub_s_command_over_the_next_connection(self):
        begun = os.path.join(os.path.realpath(self.folder), "begun-2")
        slow = self.program("slow-2", f"#!/bin/sh\ntouch {begun}\nsleep 2\n")
        service = self.service(f"command.slow = {slow}\n", port=self.door.port)
        topic = f"/sys/{self.hub.product}/{service.name}/thing/service/slow"
        command = {"id": "c1", "version": "1.0", "method": "thing.service.slow", "params": {}}
        pushed = []

        def push(peer, _):
            if not pushed:
                pushed.append(1)
                peer.publish(topic, command, 0)

        self.door.on_subscribe = push
        service.enrol().start().connected()
        wait_until("it runs", lambda: os.path.exists(begun))
        verdict = self.leave(service)
        wait_until("it is ready", lambda: "as soon as there is a connection" in "\n".join(service.lines()))
        self.assertEqual(self.heard, [])
        self.door.gate.set()
        self.assertTrue(self.read(verdict)["ok"])
        wait_until("the hub has the answer", lambda: self.heard)
        self.assertEqual(self.heard[0][:2], ("thing/service/slow_reply", "c1"))
        self.assertEqual(self.heard[0][2]["code"], 200)


if __name__ == "__main__":
    unittest.main()
