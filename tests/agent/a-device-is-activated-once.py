#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dynamic activation against a whole local hub: the secret arrives once, and is stored before the hub is told."""

import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "hub"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from gateway import HubTest, told  # noqa: E402

ACTIVATE = os.path.join(os.environ["abs_top_builddir"], "tests/agent/activate")


class Activation(HubTest):
    def setUp(self):
        self.gateway = self.device(certified=False)
        self.attempts = 0

    def activate(self, *words, secret=None, port=None):
        """Exit code and what was printed; each attempt has a budget of its own."""
        self.attempts += 1
        path = os.path.join(self.folder, f"{self.gateway.device}.{self.attempts}")
        with open(path + ".conf", "w", encoding="utf-8") as file:
            file.write(f"[identity]\ndirectory = {path}\nprovider = default\n"
                       f"[device]\nproduct_key = {self.hub.product}\ndevice_key = {self.gateway.device}\n"
                       f"[hub]\nhost = localhost\nport = {self.hub.mqtts_port}\n"
                       f"activation_port = {port or self.hub.activation_port}\nca_file = {self.hub.ca}\n"
                       f"[local]\nstate_directory = {path}.state\n")
        done = subprocess.run([ACTIVATE, path + ".conf", secret or self.hub.product_secret, *words],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def assert_refused(self, code, words, answer):
        self.assertEqual(answer[0], code, answer)
        self.assertIn(words, answer[1])

    def test_brings_the_secret_once(self):
        code, text = self.activate()
        self.assertEqual(code, 0, text)
        self.assertEqual(text.split()[0], self.gateway.secret)
        self.assertTrue(text.split()[1])
        self.assert_refused(1, "may not be activated, or was before, CONNACK 5", self.activate())

    def test_knows_a_wrong_product_secret(self):
        words = "wrong signature or secret, CONNACK 4" if told(4) == 4 else "CONNACK 5"
        self.assert_refused(1, words, self.activate(secret="wrong"))

    def test_leaves_the_hub_without_an_answer_when_it_cannot_store(self):
        self.assert_refused(1, "cannot activate: the disk is full (here)", self.activate("fail"))
        # So the device is not activated, and may try again.
        self.assertEqual(self.activate()[0], 0)

    def test_stores_nothing_that_a_terminal_obeys(self):
        good = {"productKey": self.hub.product, "deviceKey": self.gateway.device, "deviceSecret": "S", "assetId": "A"}
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        for member, value in ("assetId", "A\x1b]0;owned\x07"), ("assetId", "A\u009b2J"), ("deviceSecret", "S\n"):
            hub.on_subscribe = lambda peer, topic, bad=(member, value): peer.publish(
                topic, {"id": "1", "params": {**good, bad[0]: bad[1]}}, 0)
            self.assert_refused(1, "control characters in the activation", self.activate(port=hub.port))
        hub.on_subscribe = lambda peer, topic: peer.publish(topic, {"id": "1", "params": good}, 0)
        self.assertEqual(self.activate(port=hub.port)[0], 0)

    def test_believes_the_right_hub_only(self):
        self.hub.fault("server-certificate=other-ca")
        self.assert_refused(1, "its issuer is not among the roots", self.activate())


if __name__ == "__main__":
    unittest.main()
