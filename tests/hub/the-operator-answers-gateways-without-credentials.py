#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hubctl as the operator's program: certificates for gateways that ask by event and are answered by service."""

import json
import os
import ssl
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, PROGRAMS, HubTest, openssl  # noqa: E402

ALL = "certificate-apply,certificate-renew,certificate-revoke,certificate-read,command-invoke,event-read"


class Operating(HubTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub.application("operator", ALL)

    def run_once(self, app="operator"):
        """What the operator said in one round, and whether nothing was left to do."""
        done = self.hub.ctl("application", "run", "--app", app, "--once", check=False)
        self.assertEqual(done.stderr, "")
        return done.stdout, done.returncode == 0

    def start(self, *words):
        return subprocess.Popen([os.path.join(PROGRAMS, "hubctl"), self.hub.directory, "application", "run", "--app",
                                 "operator", *words], stdout=subprocess.PIPE, text=True)

    def tell(self, device, link, event, **values):
        answer = device.ask(link, f"thing/event/{event}/post", {"events": values, "time": 1})
        self.assertEqual(answer["code"], 200)

    def serve(self, device, link, code=200):
        """Take the service installCertificate and answer it; its input."""
        while True:
            topic, payload = link.receive()
            if topic == device.sys + "thing/service/installCertificate":
                break
        request = json.loads(payload)
        link.publish(topic + "_reply", {"id": request["id"], "code": code, "data": {}, "message": "said the device"})
        return request["params"]

    def renew(self, device, link, **values):
        """Ask, have the operator work, and take what it sends."""
        self.tell(device, link, "certificateRequest", **values)
        operator = self.start("--once")
        got = self.serve(device, link)
        said = operator.communicate(timeout=PATIENCE)[0]
        self.assertEqual(operator.returncode, 0, said)
        return got, said

    def valid(self, device):
        return [row["certSN"] for row in self.hub.certificates("list", device.device)["data"] if row["certStatus"] == 0]

    def test_renews_for_who_asks_by_event(self):
        device = self.device()
        link = device.connect()
        csr = device.csr()
        got, said = self.renew(device, link, csr=csr, certSN=str(device.serial), validDay=20)
        self.assertEqual(set(got), {"cert", "caCert", "certSN", "certChainURL"})
        self.assertIn(f"{device.device}: certificate {got['certSN']} issued in place of {device.serial}", said)
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=got["cert"]), openssl("pkey", "-in", device.key, "-pubout"))
        again, _ = self.renew(device, link, csr=csr, certSN=str(device.serial), validDay=20)
        self.assertEqual(again, got)
        self.assertEqual(len(self.valid(device)), 2)
        # The same key makes the same request, but the next renewal replaces another certificate.
        newer, _ = self.renew(device, link, csr=csr, certSN=got["certSN"])
        self.assertNotEqual(newer["certSN"], got["certSN"])
        self.tell(device, link, "certificateSuperseded", certSN=got["certSN"])
        self.assertIn(f"certificate {got['certSN']} revoked, reason 4", self.run_once()[0])
        self.assertEqual(self.valid(device), [str(device.serial), newer["certSN"]])
        # What was revoked since is not handed out again.
        self.tell(device, link, "certificateSuperseded", certSN=newer["certSN"])
        self.run_once()
        after, _ = self.renew(device, link, csr=csr, certSN=str(device.serial))
        self.assertNotIn(after["certSN"], (got["certSN"], newer["certSN"]))

    def test_applies_where_there_is_nothing_to_renew(self):
        device = self.device()
        link = device.connect()
        got, said = self.renew(device, link, csr=device.csr("another-name"), certSN="")
        self.assertIn(f"certificate {got['certSN']} issued", said)
        self.assertNotIn("in place of", said)

    def test_waits_for_a_gateway_that_is_offline(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "certificateRequest", csr=device.csr(), certSN=str(device.serial))
        link.close()
        while self.hub.devices("get", device.device)["data"]["status"] == "online":
            time.sleep(0.02)
        said, done = self.run_once()
        self.assertIn("issued", said)
        self.assertFalse(done)
        self.assertEqual(self.run_once(), ("", False))
        link = device.connect()
        operator = self.start()
        got = self.serve(device, link)
        self.assertIn("handed over", operator.stdout.readline())
        operator.terminate()
        self.assertEqual(operator.wait(PATIENCE), 0)
        operator.stdout.close()
        self.assertEqual(self.valid(device), [str(device.serial), got["certSN"]])

    def test_goes_on_when_the_hub_comes_back(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "revokeMe", certSN=str(device.serial))
        for trouble in "http=event-list:503", "refuse=event-list:99403", "http=token-get:500":
            self.hub.fault(trouble)
            done = self.hub.ctl("application", "run", "--app", "operator", "--once", check=False)
            self.assertEqual((done.stdout, done.returncode), ("", 1))
            self.assertIn("cannot read the events: ", done.stderr)
            self.hub.fault("--clear")
        for trouble in "refuse=certificate-revoke:99500", "garbage=certificate-revoke":
            self.hub.fault(trouble)
            self.assertEqual(self.run_once(), ("", False))
            self.hub.fault("--clear")
        # The last answer was spoilt after the work was done.
        self.assertIn("the certificate is revoked already", self.run_once()[0])
        self.assertEqual(self.valid(device), [])

    def test_believes_the_hub_about_whose_event_it_is(self):
        device, other = self.device(), self.device()
        link = device.connect()
        self.tell(device, link, "revokeMe", certSN=str(other.serial), deviceKey=other.device, reason=1)
        self.assertIn("revoke refused: 99400 the certificate is not bound to this device", self.run_once()[0])
        self.tell(device, link, "certificateRequest", csr=device.csr(), certSN=str(other.serial))
        self.assertIn(f"certificate {other.serial} is not bound to this device", self.run_once()[0])
        self.tell(device, link, "certificateRequest", csr=other.csr(device.device), certSN=str(device.serial))
        self.assertIn("renew refused: 11833", self.run_once()[0])
        self.assertEqual((self.valid(device), self.valid(other)), ([str(device.serial)], [str(other.serial)]))
        # Nobody posts for another: it is the topic's owner who is connected.
        link.publish(other.sys + "thing/event/revokeMe/post", {"id": "1", "method": "thing.event.revokeMe.post",
                                                               "params": {"events": {"certSN": str(other.serial)}}})
        self.assertEqual(self.run_once()[0], "")

    def test_revokes_a_gateway_that_asks_for_it(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "revokeMe", certSN=str(device.serial), reason=1)
        self.assertIn("reason 1", self.run_once()[0])
        self.assertTrue(link.is_cut())
        with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_REVOKED"):
            device.handshake(ssl.TLSVersion.TLSv1_2)

    def test_leaves_a_refusal_of_the_device_at_that(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "certificateRequest", csr=device.csr(), certSN=str(device.serial))
        operator = self.start("--once")
        self.serve(device, link, 2001)
        said = operator.communicate(timeout=PATIENCE)[0]
        self.assertIn("installCertificate refused: 2001 the device says: said the device", said)
        self.assertEqual(operator.returncode, 0)

    def test_tries_again_where_the_device_is_only_busy(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "certificateRequest", csr=device.csr(), certSN=str(device.serial))
        operator = self.start()
        busy = [self.serve(device, link, code) for code in (2005, 2002)]
        self.assertEqual(self.serve(device, link), busy[0])
        self.assertIn("issued", operator.stdout.readline())
        self.assertIn("handed over", operator.stdout.readline())
        operator.terminate()
        self.assertEqual(operator.wait(PATIENCE), 0)
        operator.stdout.close()
        self.assertEqual(self.valid(device), [str(device.serial), busy[0]["certSN"]])

    def test_the_newest_request_of_a_device_counts(self):
        device = self.device()
        link = device.connect()
        self.tell(device, link, "certificateRequest", csr="nonsense", certSN=str(device.serial))
        got, said = self.renew(device, link, csr=device.csr(), certSN=str(device.serial))
        self.assertNotIn("refused", said)
        self.assertEqual(self.valid(device), [str(device.serial), got["certSN"]])

    def test_may_do_no_more_than_its_application(self):
        self.hub.application("reader", "event-read,certificate-read")
        device = self.device()
        link = device.connect()
        self.tell(device, link, "certificateRequest", csr=device.csr(), certSN=str(device.serial))
        self.assertIn("renew refused: 99403 no permission: reader lacks certificate-renew", self.run_once("reader")[0])
        self.assertEqual(self.valid(device), [str(device.serial)])
        self.assertEqual(self.hub.ctl("application", "run", "--app", "nobody", "--once", check=False).returncode, 1)
        operator = self.start("--once")
        self.serve(device, link)
        operator.communicate(timeout=PATIENCE)

    def test_shows_the_events(self):
        device = self.device()
        self.tell(device, device.connect(), "alarm", level=3)
        row = [row for row in self.hub.table("events") if row["deviceKey"] == device.device][-1]
        self.assertEqual((row["event"], row["value"]), ("alarm", '{"level":3}'))


if __name__ == "__main__":
    unittest.main()
