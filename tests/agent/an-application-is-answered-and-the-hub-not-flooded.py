#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who sends a whole envelope hears under its own id what the hub said; and no more is sent than the hub, or the owner, wants."""

import json
import os
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from localbroker import LocalBroker  # noqa: E402
from service import BUILD, PATIENCE, GatekeydTest, wait_until  # noqa: E402

POST = "thing/measurepoint/post"


class Uplink(GatekeydTest):
    @classmethod
    def options(cls):
        return ["--journal"]

    def setUp(self):
        super().setUp()
        self.broker = None

    def tearDown(self):
        super().tearDown()
        if self.broker:
            self.broker.stop()

    def gateway(self, **spool):
        service = self.service()
        service.settings["spool"] = spool
        service.configure()
        return service.enrol().start().connected()

    def posts(self, service):
        return [post for post in self.hub.journal() if post.device == service.name]

    def slow_down(self, service, seconds):
        """The hub asks for less; it has the answer."""
        subprocess.run([os.path.join(BUILD, "tests/hub/hubctl"), self.hub.directory, "command", self.hub.product, service.name,
                        "traffic/control", json.dumps({"seconds": seconds})], check=True, capture_output=True, timeout=PATIENCE)

    def hand_over(self, service, count, size):
        """Events, which are not joined; some topics, so that several may be under way."""
        for number in range(count):
            answer = service.call({"op": "publish", "topic": f"thing/event/e{number % 4}/post",
                                   "params": {"events": {"n": number, "text": "x" * size}, "time": 1}})
            self.assertTrue(answer["ok"], answer)

    def drained(self, service):
        wait_until("nothing waits any more", lambda: service.status()["counters"]["stored"] == 0)


class Answers(Uplink):
    def setUp(self):
        super().setUp()
        self.device = self.service()
        self.broker = LocalBroker(self.device).join(self.device).start()
        self.device.enrol().start().connected()
        wait_until("gatekeyd is on the broker", lambda: self.device.status()["broker"]["connected"])
        self.application = self.broker.application("a", patience=PATIENCE)
        self.addCleanup(self.application.close)
        for topic in "gatekey/answer/#", "gatekey/error/#":
            self.assertEqual(self.application.subscribe(topic), 1)

    def send(self, rest, params, **head):
        envelope = {**head, "version": "1.0", "method": rest.replace("/", "."), "params": params}
        self.assertEqual(self.application.hand_over("gatekey/up/" + rest, json.dumps(envelope)), 0)

    def answer(self, rest):
        topic, payload = self.application.receive()
        self.assertEqual(topic, "gatekey/answer/" + rest, payload)
        return json.loads(payload)

    def test_come_under_the_id_that_was_given(self):
        self.send("thing/attribute/update", {"attributes": {"place": "roof", "floor": 3}}, id="my own")
        self.assertEqual(self.answer("thing/attribute/update"), {"id": "my own", "code": 200, "data": {}})
        # A number stays one; data is what was asked for.
        self.send("thing/attribute/query", {"attributes": ["floor"]}, id=12345678901234567)
        self.assertEqual(self.answer("thing/attribute/query"), {"id": 12345678901234567, "code": 200, "data": {"floor": 3}})
        self.send("thing/attribute/query", {"attributes": []}, id="q")
        self.assertEqual(self.answer("thing/attribute/query")["data"], {"place": "roof", "floor": 3})
        # The same id again is the application's own business; without one nobody asked.
        self.send(POST, {"measurepoints": {"n": 1}})
        self.send(POST, {"measurepoints": {"n": 2}}, id="q")
        self.assertEqual(self.answer(POST), {"id": "q", "code": 200, "data": {}})
        self.drained(self.device)
        self.application.ping()
        self.assertEqual(self.application.inbox, [])
        # To the hub they went under other ids.
        self.assertNotIn("q", [json.loads(post.payload)["id"] for post in self.posts(self.device)])

    def test_say_why_one_was_refused_and_not_those_it_was_sent_with(self):
        self.slow_down(self.device, 600)
        for number in range(5):
            point = {"value": 1, "quality": 77} if number == 3 else number
            self.send(POST, {"measurepoints": {"n": point}}, id=f"m{number}")
        self.send("thing/attribute/query", {"attributes": 7}, id="bad")
        self.slow_down(self.device, 1)  # from now on
        answers = {}
        for _ in range(6):
            topic, payload = self.application.receive()
            answer = json.loads(payload)
            answers[answer["id"]] = (topic, answer)
        self.assertEqual(answers["bad"][0], "gatekey/answer/thing/attribute/query")
        codes = {ident: answer["code"] for ident, (topic, answer) in answers.items() if topic == "gatekey/answer/" + POST}
        refused = {(post.topic, post.code) for post in self.posts(self.device) if post.code != 200}
        self.assertEqual({ident: code for ident, code in codes.items() if code != 200}, {"m3": codes["m3"]})
        self.assertEqual(set(codes), {f"m{number}" for number in range(5)})
        # The hub's own code and words, of the request that carried it alone.
        self.assertIn((POST, codes["m3"]), refused)
        self.assertIn(("thing/attribute/query", answers["bad"][1]["code"]), refused)
        for ident in "m3", "bad":
            self.assertTrue(answers[ident][1]["message"], answers[ident])
        # It was with the others at first.
        self.assertIn(POST + "/batch", [topic for topic, _ in refused])
        self.drained(self.device)
        self.application.ping()
        self.assertEqual(self.application.inbox, [])


class Pace(Uplink):
    """By the hub's own record: whatever is late only comes later, so a slow machine cannot make these fail."""

    RATE = 20000
    EARLY_US = 60000  # what counts as in time (uplink.c), and the rounding to milliseconds

    def check_rate(self, posts, start_us):
        """When each came, there was time for all before it."""
        before = 0
        for post in posts:
            self.assertLessEqual(before * 1000000 / self.RATE, post.us - start_us + self.EARLY_US, f"after {before} bytes")
            before += len(post.payload)

    def test_stays_below_the_rate(self):
        service = self.gateway(rate=self.RATE)
        seen = 0
        for _ in range(2):  # what was not used before does not count
            start_us = time.monotonic_ns() // 1000
            self.hand_over(service, 40, 2000)
            self.drained(service)
            posts = self.posts(service)[seen:]
            seen += len(posts)
            self.assertEqual(len(posts), 40)
            self.check_rate(posts, start_us)

    def test_without_a_rate_nothing_waits(self):
        service = self.gateway(rate=10)  # the second would go in half an hour
        self.hand_over(service, 20, 20000)
        wait_until("the first is there", lambda: self.posts(service))
        for number in range(2):  # what does not go by the spool passes
            self.assertTrue(service.publish({"n": number}, now=True)["ok"])
        self.assertEqual([post.topic for post in self.posts(service)], ["thing/event/e0/post", POST, POST])
        service.stop()
        service.settings["spool"] = {"rate": 0}
        service.configure()
        service.start().connected()
        self.drained(service)
        self.assertEqual(service.status()["counters"]["acknowledged"], 20)

    def test_sends_nothing_while_the_hub_wants_less_and_all_of_it_after(self):
        service = self.gateway()
        self.hand_over(service, 4, 10)
        self.drained(service)
        seen = len(self.posts(service))
        self.assertEqual(seen, 4)
        asked_us = time.monotonic_ns() // 1000
        self.slow_down(service, 4)
        self.hand_over(service, 20, 10)
        self.assertTrue(service.publish({"n": 1})["ok"])
        self.drained(service)
        posts = self.posts(service)[seen:]
        self.assertEqual(len(posts), 21)
        for post in posts:
            self.assertGreaterEqual(post.us, asked_us + 4000000 - 1000, post.topic)


if __name__ == "__main__":
    unittest.main()
