#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The CA changes its root while the hub runs: with a link certificate or without, the hub's own certificate sooner or later."""

import os
import socket
import ssl
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, HubTest, context, openssl  # noqa: E402


def split(bundle):
    return [part + "-----END CERTIFICATE-----\n" for part in bundle.split("-----END CERTIFICATE-----\n")[:-1]]


def names(pem):
    """(subject, issuer), the common names."""
    text = openssl("x509", "-noout", "-subject", "-issuer", "-nameopt", "multiline", text=pem)
    return tuple(line.split("=")[1].strip() for line in text.splitlines() if "commonName" in line)


class Rollover(HubTest):
    OLD = "gatekey development CA"

    def setUp(self):
        # Every test changes roots for good, so each has a hub of its own.
        self.tearDownClass()
        self.setUpClass()

    def save(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def published(self, **more):
        return split(self.hub.http("GET", "/enos/CA/cacert", **more)[1].decode())

    def crl(self, **more):
        return self.hub.http("GET", "/enos/CA/crl", **more)[1].decode()

    def verifies(self, crl, root):
        try:
            return "verify OK" in openssl("crl", "-CAfile", root, "-noout", "-verify", text=crl, stderr=True)
        except RuntimeError:
            return False

    def shake_hands(self, port, tls):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
            with tls.wrap_socket(raw, server_hostname="127.0.0.1") as link:
                return names(ssl.DER_cert_to_PEM_cert(link.getpeercert(True)))[1]

    def test_new_root_link_and_old_root_are_published_in_one(self):
        before = self.published()
        self.assertEqual([names(part) for part in before], [(self.OLD, self.OLD)])
        self.hub.ctl("new-root")
        new, link, old = self.published()
        self.assertEqual([names(part) for part in (new, link, old)],
                         [(self.OLD + " 2",) * 2, (self.OLD + " 2", self.OLD), (self.OLD,) * 2])
        self.assertEqual([old], before)
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=new), openssl("x509", "-noout", "-pubkey", text=link))
        self.assertIn("OK", openssl("verify", "-x509_strict", "-CAfile", self.hub.ca, self.save("link.pem", link)))

    def test_without_a_link_nothing_leads_from_the_old_root_to_the_new_one(self):
        self.hub.ctl("new-root", "--without-link")
        self.assertEqual([names(part)[0] for part in self.published()], [self.OLD + " 2", self.OLD])

    def test_both_roots_devices_stay_welcome_and_either_can_be_revoked(self):
        old = self.device()
        link = old.connect()
        self.hub.ctl("new-root")
        new = self.device()
        for device, issuer in (old, self.OLD), (new, self.OLD + " 2"):
            self.assertEqual(names(openssl("x509", "-in", device.cert))[1], issuer)
        link.ping()
        for device in old, new:
            self.assertEqual(device.connect().connack, 0)
        for device, other in (old, new), (new, None):
            self.hub.ctl("revoke", str(device.serial))
            for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
                with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_REVOKED"):
                    device.handshake(version)
            if other:
                self.assertEqual(other.connect().connack, 0)

    def test_the_lists_signer_changes_and_the_list_goes_on_naming_all(self):
        device = self.device()
        self.hub.ctl("revoke", str(device.serial))
        self.assertTrue(self.verifies(self.crl(), self.hub.ca))
        self.hub.ctl("new-root")
        new_root = self.save("new.pem", self.published()[0])
        self.assertFalse(self.verifies(self.crl(), self.hub.ca))
        self.assertTrue(self.verifies(self.crl(), new_root))
        self.assertIn(f"Serial Number: {device.serial:X}\n", openssl("crl", "-noout", "-text", text=self.crl()))

    def test_the_hubs_certificate_changes_when_told_and_the_link_leads_there(self):
        self.hub.ctl("new-root")
        only_new = context(self.save("new.pem", self.published()[0]))
        only_old = context(self.hub.ca)
        ports = self.hub.mqtts_port, self.hub.activation_port, self.hub.api_port
        for port in ports:
            self.assertEqual(self.shake_hands(port, only_old), self.OLD)
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.shake_hands(port, only_new)
        self.hub.ctl("switch-server")
        for port in ports:
            self.assertEqual(self.shake_hands(port, only_new), self.OLD + " 2")
            self.assertEqual(self.shake_hands(port, only_old), self.OLD + " 2")

    def test_without_a_link_only_who_has_the_new_root_believes_the_hub(self):
        self.hub.ctl("new-root", "--without-link", "--switch-server")
        bundle = self.hub.directory + "/cacert.pem"
        for port in self.hub.mqtts_port, self.hub.activation_port, self.hub.api_port:
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.shake_hands(port, context(self.hub.ca))
            self.assertEqual(self.shake_hands(port, context(bundle)), self.OLD + " 2")

    def test_a_restart_keeps_the_roots_and_another_one_may_follow(self):
        old = self.device()
        self.hub.ctl("new-root")
        second = self.device()
        self.hub.stop()
        self.hub.start()
        self.hub.ctl("new-root")
        third = self.device()
        self.assertEqual([names(part)[0] for part in self.published()],
                         [self.OLD + " 3", self.OLD + " 3", self.OLD + " 2", self.OLD + " 2", self.OLD])
        for device in old, second, third:
            self.assertEqual(device.connect().connack, 0)


if __name__ == "__main__":
    unittest.main()
