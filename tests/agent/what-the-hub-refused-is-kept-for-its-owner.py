#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekey spool: what the hub refused can be looked at, sent again and dropped; and a spool that is full, or cannot be used."""

import json
import os
import sqlite3
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service import BUILD, GatekeydTest, wait_until  # noqa: E402

BAD = {"measurepoints": {"a": {"value": 1, "quality": 10}}}  # code 1206
EVENT = "thing/event/full/post"


class Spool(GatekeydTest):
    def gatekey(self, service, *words, code=0):
        """stdout; stderr is kept in self.said."""
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, *words], text=True, capture_output=True)
        self.said = done.stderr
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def listed(self, service, *words):
        return json.loads(self.gatekey(service, "--json", "spool", "list", *words))["messages"]

    def refused(self, service, count):
        wait_until(f"{count} are set aside", lambda: len(self.listed(service, "--lane", "refused")) == count)
        return self.listed(service, "--lane", "refused")

    def test_keeps_what_the_hub_refused(self):
        service = self.service().enrol().start().connected()
        first = service.call({"op": "publish", "topic": "thing/measurepoint/resume", "params": BAD})
        self.assertTrue(first["ok"], first)
        (message,) = self.refused(service, 1)
        self.assertEqual((message["id"], message["topic"], message["code"]), (first["id"], "thing/measurepoint/resume", 1206))
        line = self.gatekey(service, "spool", "list")
        for word in first["id"], "refused", "thing/measurepoint/resume: 1206":
            self.assertIn(word, line)
        self.assertEqual(line.count("1206"), 1, line)
        shown = self.gatekey(service, "spool", "show", first["id"])
        self.assertIn('"quality": 10', shown)
        self.assertIn("1206", shown)
        body = json.loads(self.gatekey(service, "--json", "spool", "show", first["id"]))["message"]["body"]
        self.assertEqual(json.loads(body)["measurepoints"], BAD["measurepoints"])

        # Sent again it is another message, and refused again.
        self.gatekey(service, "spool", "retry", first["id"])
        self.assertIn("1 message put back", self.said)
        wait_until("it is refused again", lambda: [m["id"] for m in self.listed(service, "--lane", "refused")] not in ([], [first["id"]]))
        (message,) = self.refused(service, 1)
        self.assertGreater(int(message["id"]), int(first["id"]))
        self.gatekey(service, "spool", "retry", first["id"], code=1)
        self.assertIn("no such message (" + first["id"] + "); see gatekey spool list", self.said)
        self.gatekey(service, "spool", "show", "1", code=1)
        self.assertIn("cannot show that message: no such message (1)", self.said)
        self.gatekey(service, "spool", "drop", "--all")
        self.assertIn("1 message dropped", self.said)
        self.assertEqual(self.listed(service), [])
        status = service.status()["counters"]
        self.assertEqual((status["accepted"], status["dropped"]), (1, 1))

    def test_asks_for_what_makes_sense(self):
        service = self.service().enrol().start()
        for words in (["retry"], ["drop", "--all", "1"], ["show"], ["show", "x"], ["list", "--lane", "other"], ["list", "--limit", "0"]):
            self.gatekey(service, "spool", *words, code=2)
        for request in ({}, {"do": "fly"}, {"do": "list"}, {"do": "list", "lane": 7}, {"do": "list", "lane": "kept", "after": -1},
                        {"do": "show", "id": ""}, {"do": "show", "id": "99999999999999999999"}, {"do": "drop"}):
            self.assertEqual(service.call({"op": "spool", **request})["status"], "GK_USAGE", request)

    def test_lists_page_by_page_and_cuts_what_is_long(self):
        service = self.service().enrol().start()  # the hub is there, but waits for whoever comes first
        service.stop()
        service.settings["hub"]["port"] = 1
        service.configure()
        service.start()
        with service.open() as link:
            for number in range(250):
                text = "x" * 10000 if number == 0 else "\x1b[2J\u009b"
                link.sendall(json.dumps({"op": "publish", "topic": EVENT, "params": {"events": {"n": number, "t": text}}}).encode() + b"\n")
            answers = b""
            while answers.count(b"\n") < 250:
                answers += link.recv(65536)
        ids = [json.loads(line)["id"] for line in answers.splitlines()]
        self.assertEqual([m["id"] for m in self.listed(service, "--limit", "1000")], ids)
        self.assertEqual(len(self.gatekey(service, "spool", "list").splitlines()), 100)
        self.assertIn("--limit shows more", self.said)
        shown = self.gatekey(service, "spool", "show", ids[0])
        self.assertLess(len(shown), 5000)
        self.assertIn("cut after 4096 of 10", self.said)
        shown = self.gatekey(service, "spool", "show", ids[1])
        self.assertFalse([c for c in shown if c < " " and c != "\n" or "\x7f" <= c <= "\x9f"], shown)
        self.gatekey(service, "spool", "drop", *ids[:10])
        self.assertEqual([m["id"] for m in self.listed(service, "--limit", "1000")], ids[10:])

    def test_says_that_it_is_full_and_loses_nothing(self):
        service = self.service()
        service.settings["hub"]["port"] = 1
        service.settings["spool"] = {"max_size": "1M"}
        service.configure()
        service.enrol().start()
        params = {"events": {"text": "x" * 100000}}
        answer, count = {"ok": True}, 0
        while answer["ok"]:
            answer = service.call({"op": "publish", "topic": EVENT, "params": params})
            count += answer["ok"]
            self.assertLess(count, 20)
        self.assertEqual(answer["status"], "GK_SPOOL_FULL")
        self.assertIn("the spool is full", answer["error"])
        self.assertIn("raise [spool] max_size", answer["error"])
        self.assertEqual(len(self.listed(service)), count)
        # Telemetry goes before anything else is refused, and is counted.
        self.gatekey(service, "spool", "drop", self.listed(service)[0]["id"])
        for _ in range(4):
            self.assertTrue(service.publish({"a": "y" * 40000})["ok"])
        self.assertEqual([m["lane"] for m in self.listed(service)].count("kept"), count - 1)
        self.assertGreater(service.status()["counters"]["dropped"], 1)

    def test_goes_on_without_a_spool(self):
        service = self.service().enrol()
        os.makedirs(service.state, mode=0o700, exist_ok=True)
        other = sqlite3.connect(os.path.join(service.state, "spool.db"), isolation_level=None)
        other.execute("CREATE TABLE mine (x)")
        other.execute("BEGIN EXCLUSIVE")
        service.start().connected()
        answer = service.publish({"a": 1})
        self.assertEqual(answer["status"], "GK_SPOOL_FAILED", answer)
        self.assertIn("the spool cannot be used", answer["error"])
        self.assertIn("another program has it open); end that program", answer["error"])
        self.assertTrue([line for line in service.lines() if "cannot open the spool" in line])
        self.gatekey(service, "spool", "list", code=1)
        self.assertIn("another program has it open", self.said)
        other.close()


if __name__ == "__main__":
    unittest.main()
