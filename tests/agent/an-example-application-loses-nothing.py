#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples/application.py, as an application's author would take it over: what it was given arrives, whatever is killed."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from localbroker import LocalBroker  # noqa: E402
from service import GatekeydTest, PATIENCE, wait_until  # noqa: E402

PYTHON = "/usr/bin/python3"  # Debian's, for which paho is installed
EXAMPLE = os.path.join(os.environ["abs_top_srcdir"], "examples", "application.py")


class Example(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.gateway = self.service()
        self.broker = LocalBroker(self.gateway).join(self.gateway)
        self.gateway.enrol().start().connected()
        self.broker.start()
        wait_until("gatekeyd is on the broker", lambda: self.gateway.status()["broker"]["connected"])
        self.said = os.path.join(self.gateway.folder, "said")
        with open(self.said, "w", encoding="utf-8") as said:
            self.example = subprocess.Popen([PYTHON, "-W", "ignore", EXAMPLE, self.broker.path], stdin=subprocess.PIPE, stderr=said,
                                            text=True)

    def tearDown(self):
        self.example.stdin.close()
        self.example.kill()
        self.example.wait(PATIENCE)
        self.broker.stop()
        super().tearDown()

    def give(self, numbers):
        for number in numbers:
            self.example.stdin.write(json.dumps({"n": number}) + "\n")
        self.example.stdin.flush()

    def ends_well(self):
        self.example.stdin.close()
        self.assertEqual(self.example.wait(PATIENCE), 0, self.words())

    def words(self):
        with open(self.said, encoding="utf-8") as said:
            return said.read()

    def points(self):
        return {int(row["value"]) for row in self.telemetry(self.gateway) if row["point"] == "n"}

    def test_hands_over_what_it_was_given_through_two_kills(self):
        self.give(range(30))
        wait_until("the hub has some", lambda: self.points())
        self.broker.kill()
        self.give(range(30, 60))
        self.broker.start()
        wait_until("the hub has more", lambda: 59 in self.points())
        self.gateway.process.kill()
        self.gateway.process.wait(PATIENCE)
        self.give(range(60, 90))
        self.gateway.start()
        self.ends_well()
        wait_until("the hub has all", lambda: self.points() == set(range(90)))

    def test_says_what_can_never_be_taken_and_goes_on(self):
        self.example.stdin.write(json.dumps({"text": "x" * 600000}) + "\n")
        self.give([1])
        wait_until("it says so", lambda: "cannot take this message: " in self.words())
        self.ends_well()
        wait_until("the hub has the other", lambda: self.points() == {1})

    def test_answers_the_hub_with_the_latest(self):
        self.give([7])
        wait_until("the hub has it", lambda: self.points() == {7})
        answer = self.hub.ctl("get", self.hub.product, self.gateway.name, "n").stdout
        self.assertEqual(json.loads(answer)["data"], {"n": 7})


if __name__ == "__main__":
    if subprocess.run([PYTHON, "-c", "import paho.mqtt.client"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("python3-paho-mqtt is not installed")
        sys.exit(77)
    unittest.main()
