#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub's own certificate comes from the CA, is renewed in time without a restart, and can be revoked."""

import os
import socket
import ssl
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, HubTest, context, openssl  # noqa: E402


class Server(HubTest):
    def ports(self):
        return self.hub.mqtts_port, self.hub.activation_port, self.hub.api_port

    def shown(self, port):
        """The certificate a door shows, PEM; its chain is checked."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
            with context(self.hub.ca).wrap_socket(raw, server_hostname="127.0.0.1") as link:
                return ssl.DER_cert_to_PEM_cert(link.getpeercert(True))

    def serials(self):
        return {int(openssl("x509", "-noout", "-serial", text=self.shown(port)).strip().split("=")[1], 16) for port in self.ports()}

    def own(self):
        """What the hub remembers of its certificates."""
        return [row for row in self.hub.table("certificates") if row["deviceKey"] == "(the hub)"]

    def wait_for_another(self, serial):
        until = time.monotonic() + PATIENCE
        while self.serials() != {self.own()[-1]["serial"]} or self.own()[-1]["serial"] == serial:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        return self.own()[-1]["serial"]

    def test_every_door_shows_what_the_ca_issued_for_the_hubs_key(self):
        self.assertEqual(self.serials(), {self.own()[-1]["serial"]})
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=self.shown(self.hub.api_port)),
                         openssl("pkey", "-in", os.path.join(self.hub.directory, "server.key"), "-pubout"))

    def test_renews_itself_at_two_thirds_of_its_life(self):
        device = self.device()
        link = device.connect()
        self.hub.ctl("setting", "serverSeconds", "9")
        serial = self.own()[-1]["serial"]
        self.assertEqual(self.serials(), {serial})
        for _ in range(2):
            end = ssl.cert_time_to_seconds(openssl("x509", "-noout", "-enddate", text=self.shown(self.hub.mqtts_port)).strip().split("=")[1])
            serial = self.wait_for_another(serial)
            self.assertLess(time.time(), end, "it was renewed too late")
        link.ping()
        device.connect().ping()
        self.hub.ctl("setting", "serverSeconds", "31536000")
        self.assertNotEqual(self.own()[-1]["serial"], serial)
        self.assertEqual(self.serials(), {self.own()[-1]["serial"]})

    def test_is_renewed_at_a_start_when_it_is_due(self):
        self.hub.ctl("setting", "serverSeconds", "3")
        self.hub.stop()
        serial = self.own()[-1]["serial"]
        time.sleep(3)
        self.hub.start("--set", "serverSeconds=31536000")
        self.assertNotEqual(self.own()[-1]["serial"], serial)
        self.assertEqual(self.serials(), {self.own()[-1]["serial"]})

    def test_a_restart_alone_renews_nothing(self):
        serial = self.own()[-1]["serial"]
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.own()[-1]["serial"], serial)

    def test_can_be_renewed_on_request(self):
        serial = self.own()[-1]["serial"]
        self.hub.ctl("renew-server")
        self.assertNotEqual(self.own()[-1]["serial"], serial)
        self.assertEqual(self.serials(), {self.own()[-1]["serial"]})

    def test_can_be_revoked_and_goes_on_being_shown(self):
        serial = self.own()[-1]["serial"]
        self.hub.ctl("revoke-server", "1")
        self.assertEqual(self.serials(), {serial})
        crl = os.path.join(self.folder, "crl.pem")
        with open(crl, "wb") as file:
            file.write(self.hub.http("GET", "/enos/CA/crl")[1])
        strict = context(self.hub.ca)
        strict.load_verify_locations(crl)
        strict.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "revoked"):
            self.hub.http("GET", "/enos/CA/crl", tls=strict)
        self.hub.ctl("renew-server")
        self.assertEqual(self.hub.http("GET", "/enos/CA/crl", tls=strict)[0], 200)


if __name__ == "__main__":
    unittest.main()
