#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may connect to the local hub, how a device is activated, and what a restart keeps."""

import json
import os
import ssl
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PROGRAMS, SUBJECT, HubTest, Mqtt, context, openssl, told  # noqa: E402


class Connecting(HubTest):
    def test_takes_a_signed_connect_over_tls_12_and_13(self):
        device = self.device()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            link = device.connect(version=version)
            self.assertEqual(link.connack, 0)
            self.assertEqual(link.socket.version().replace(".", "_"), version.name)
            link.close()

    def test_speaks_nothing_older_than_tls_12(self):
        device = self.device()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            device.connect(version=ssl.TLSVersion.TLSv1_1)
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.hub.http("GET", "/enos/CA/cacert", tls=context(self.hub.ca, version=ssl.TLSVersion.TLSv1_1))

    def test_reads_the_client_id_of_every_known_client(self):
        device = self.device()
        for form in (
                {"cid": "test{ip=1.2.3.4,version=enos-mqtt-2.2.16,compress=DEFAULT}" + "x" * 64},
                {"tail": "timestamp={}, signmethod=sha256, securemode=2"},
                {"tail": "securemode=2,signmethod=hmacsha256,timestamp={},lang=C"},
                {"upper": False}, {"level": 3}, {"keepalive": 3600}):
            link = device.connect(**form)
            self.assertEqual(link.connack, 0, form)
            link.close()

    def test_tells_a_bad_id_from_a_bad_secret_from_what_is_not_allowed(self):
        device = self.device()
        self.assertEqual(device.connect(tail="securemode=2").connack, told(2))
        self.assertEqual(device.connect(secret="wrong").connack, told(4))
        self.assertEqual(device.connect(user=f"nobody&{self.hub.product}").connack, told(4))
        self.assertEqual(device.connect(method="sha1").connack, told(4))
        self.assertEqual(device.connect(mode=4).connack, 5)
        self.hub.ctl("disable", self.hub.product, device.device)
        self.assertEqual(device.connect().connack, 5)
        self.assertEqual(self.refusal(device)["code"], 723)
        self.hub.ctl("enable", self.hub.product, device.device)
        self.assertEqual(device.connect().connack, 0)

    def test_binds_the_certificate_to_the_device(self):
        ours, other = self.device(), self.device()
        link = ours.connect(cert=other.cert, key=other.key)
        self.assertEqual(link.connack, 5)
        self.assertIn(f"certificate {other.serial} is not bound", self.refusal(ours)["reason"])

    def test_wants_a_client_certificate(self):
        device = self.device()
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            bare = context(self.hub.ca)
            Mqtt(self.hub.mqtts_port, bare, "a|securemode=2,signmethod=sha256,timestamp=1|", "a&b", "c")
        link = device.connect(port=self.hub.activation_port)
        self.assertEqual(link.connack, 5)
        self.assertEqual(self.refusal(device)["code"], 746)

    def test_refuses_client_keys_that_are_not_rsa_2048_by_name(self):
        device = self.device()
        root = os.path.join(self.hub.directory, "ca", "root")
        for kind, options in (("EC", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                              ("RSA", ["rsa:3072"])):
            key = os.path.join(device.base, f"{kind}.key")
            cert = os.path.join(device.base, f"{kind}.pem")
            request = openssl("req", "-new", "-newkey", *options, "-nodes", "-keyout", key, "-subj", SUBJECT + "x")
            openssl("x509", "-req", "-CA", f"{root}.pem", "-CAkey", f"{root}.key", "-set_serial", str(device.serial),
                    "-days", "2", "-out", cert, text=request)
            self.assertEqual(device.connect(cert=cert, key=key).connack, 5)
            self.assertIn(f"not RSA-2048 but {kind}", self.refusal(device)["reason"])

    def test_refuses_certificates_of_another_ca_in_the_handshake(self):
        device = self.device()
        key, cert = os.path.join(device.base, "own.key"), os.path.join(device.base, "own.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", SUBJECT + "x")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            device.connect(cert=cert, key=key)

    def test_keeps_one_connection_per_device(self):
        device = self.device()
        first, second = device.connect(), device.connect()
        self.assertTrue(first.is_cut())
        second.ping()
        self.assertEqual(self.hub.devices("get", device.device)["data"]["status"], "online")

    def test_counts_every_connect(self):
        device = self.device()
        device.connect().close()
        device.connect(secret="wrong").close()
        mine = [row for row in self.hub.table("connects") if row["deviceKey"] == device.device]
        self.assertEqual([row["connack"] for row in mine], [0, 4])


class Activating(HubTest):
    def test_tells_the_secret_without_a_subscription_and_only_once(self):
        device = self.device(certified=False)
        self.assertEqual(self.hub.devices("get", device.device)["data"]["status"], "inactive")
        link = device.activate()
        self.assertEqual(link.connack, 0)
        topic, payload = link.receive()
        info = json.loads(payload)
        self.assertEqual(topic, device.ext + "thing/activate/info")
        self.assertEqual(info["method"], "thing.activate.info")
        self.assertEqual(info["params"]["deviceSecret"], device.secret)
        self.assertIsNone(link.receive(0.3))
        link.publish(device.ext + "thing/activate/info_reply", {"id": info["id"], "code": 200, "data": ""})
        link.ping()
        self.assertEqual(device.activate().connack, 5)
        self.assertEqual(self.refusal(device)["code"], 770)

    def test_may_be_tried_again_until_the_secret_is_acknowledged(self):
        device = self.device(certified=False)
        for _ in range(2):
            link = device.activate()
            self.assertIsNotNone(link.receive())
            link.close()
        link = device.activate()
        link.receive()
        link.publish(device.ext + "thing/activate/info_reply", {"id": "1", "code": 2000, "message": "disk full"})
        link.ping()
        self.assertEqual(device.activate().connack, 0)

    def test_ends_with_the_first_login_by_the_own_secret(self):
        device = self.device()
        device.connect().close()
        self.assertEqual(device.activate().connack, 5)

    def test_allows_nothing_else_on_that_connection(self):
        device = self.device()
        link = device.activate()
        link.receive()
        self.assertEqual(device.ask(link, "thing/measurepoint/post", {"measurepoints": {"a": 1}})["code"], 1009)

    def test_wants_the_products_secret(self):
        device = self.device(certified=False)
        link = device.connect(mode=3, port=self.hub.activation_port)
        self.assertEqual(link.connack, told(4))


class Restarting(HubTest):
    def test_keeps_everything_over_a_restart(self):
        device, gone = self.device(), self.device()
        link = device.connect()
        device.ask(link, "thing/measurepoint/post", {"measurepoints": {"a": 1}})
        self.hub.ctl("revoke", str(gone.serial))
        before = [self.hub.env, self.hub.table("certificates"), self.hub.table("telemetry")]
        self.assertEqual(self.hub.stop(), 0)
        self.assertFalse(os.path.exists(os.path.join(self.hub.directory, "hub.env")))
        self.hub.start()
        after = [self.hub.env, self.hub.table("certificates"), self.hub.table("telemetry")]
        for env in before[0], after[0]:
            del env["HUB_PID"], env["HUB_CA_PID"]
        self.assertEqual(before, after)
        self.assertEqual(self.hub.table("devices")[0]["status"], "offline")
        self.assertEqual(device.connect().connack, 0)
        with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_REVOKED"):
            gone.handshake(ssl.TLSVersion.TLSv1_2)

    def test_comes_back_after_a_power_cut(self):
        device = self.device()
        self.hub.kill()
        self.hub.start()
        self.assertEqual(device.connect().connack, 0)

    def test_two_hubs_do_not_share_a_folder(self):
        done = subprocess.run([os.path.join(PROGRAMS, "hub"), self.hub.directory], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another hub runs", done.stderr)
        self.assertEqual(self.hub.http("GET", "/enos/CA/crl")[0], 200)


class Limiting(HubTest):
    @classmethod
    def options(cls):
        return ["--enforce-limits", "--weak-digests"]

    def test_locks_out_a_device_that_connects_too_often(self):
        device = self.device()
        # On a busy machine two in a row may be more than a second apart, not all four.
        codes = [device.connect().connack]
        while codes[-1] == 0 and len(codes) < 4:
            codes.append(device.connect().connack)
        self.assertEqual(codes[-1], 5)
        self.assertIn("in a second", self.refusal(device)["reason"])
        codes = [device.connect().connack for _ in range(4)]
        self.assertEqual(codes, [5] * 4)
        self.assertIn("locked out", self.refusal(device)["reason"])

    def test_accepts_weak_digests_when_told_to(self):
        for method in "sha1", "hmacsha1", "md5":
            self.assertEqual(self.device().connect(method=method).connack, 0)


if __name__ == "__main__":
    unittest.main()
