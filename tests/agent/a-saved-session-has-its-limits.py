#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A saved TLS session is for one day, for the host that it was made with, and for hubs that bind it to its handshake; and no
host is believed by another's certificate, whichever of them is there."""

import os
import signal
import ssl
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, GatekeydTest, openssl, wait_until  # noqa: E402
from wire import Wire  # noqa: E402

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
HOUR_S = 3600
NO_EXTENDED_MASTER_SECRET = 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET, for which Python has no word


class Sessions(GatekeydTest):
    def keep(self, thing):
        self.addCleanup(thing.close)
        return thing

    def start(self, service):
        service.program = "tests/agent/hasty-gatekeyd"
        self.hours = os.path.join(service.folder, "hours")
        return service.enrol().start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/suspend.so"), SUSPEND=self.hours).connected()

    def comes_back(self, service, cut):
        """By what handshake."""
        before = service.status()["connects"]
        cut()
        wait_until("it is back", lambda: service.status()["connects"] > before and service.status()["connected"])
        return service.status()["handshake"]

    def is_that_late(self, service, hub, seconds):
        """So long after the beginning; the connection is kept over it."""
        pings = hub.pings
        with open(self.hours, "w", encoding="ascii") as file:
            file.write(str(seconds * 1000))
        service.process.send_signal(signal.SIGUSR1)
        wait_until("it has noticed", lambda: hub.pings > pings)

    def test_is_for_24_hours_after_the_full_handshake(self):
        hub = self.keep(BadHub(self.hub))
        wire = self.keep(Wire(hub.port))
        service = self.start(self.service(port=wire.port))
        self.assertEqual(self.comes_back(service, wire.cut), "resumed")
        # Each resumption brings a new ticket, and no new day.
        for late in 12 * HOUR_S, 24 * HOUR_S - 120:
            self.is_that_late(service, hub, late)
            self.assertEqual(self.comes_back(service, wire.cut), "resumed")
        self.is_that_late(service, hub, 24 * HOUR_S + 1)
        self.assertEqual(self.comes_back(service, wire.cut), "full")
        self.assertEqual(self.comes_back(service, wire.cut), "resumed")

    def over_tls12(self, options):
        hub = BadHub(self.hub)
        hub.tls.minimum_version = hub.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        hub.tls.options |= options
        self.keep(hub)
        wire = self.keep(Wire(hub.port))
        service = self.start(self.service(port=wire.port))
        return [self.comes_back(service, wire.cut) for _ in range(3)]

    def test_is_offered_over_tls12_only_with_the_extended_master_secret(self):
        self.assertEqual(self.over_tls12(0), ["resumed"] * 3)
        self.assertEqual(self.over_tls12(NO_EXTENDED_MASTER_SECRET), ["full"] * 3)

    def certified(self, *addresses):
        """A hub's end of TLS with a certificate for these, of one CA for all; and that CA."""
        path = os.path.join(os.path.realpath(self.folder), "own-ca")
        if not os.path.exists(path):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-subj", "/CN=own CA", "-out", path,
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        leaf = path + "-" + "-".join(addresses)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", leaf + ".key", "-subj", "/CN=hub", "-out", leaf + ".csr")
        with open(leaf + ".ext", "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join("IP:" + address for address in addresses) + "\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", leaf + ".csr", "-CA", path, "-CAkey", path + ".key", "-CAserial", path + ".srl", "-CAcreateserial", "-days", "2",
                "-extfile", leaf + ".ext", "-out", leaf)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(leaf, leaf + ".key")
        return tls, path

    def at_two_hosts(self, first, second, roots):
        """A gateway at the first of two hosts, and both."""
        here = self.keep(BadHub(None, FIRST, tls=first))
        there = self.keep(BadHub(None, SECOND, here.port, tls=second))
        service = self.start(self.service(host=FIRST, fallback=SECOND, port=here.port, ca_file=roots))
        self.assertEqual(service.status()["connected_to"], FIRST)
        return service, here, there

    def test_is_for_the_host_that_it_was_made_with(self):
        # Either could resume the other's: they have the keys of the tickets in common, and the certificate is for both.
        tls, roots = self.certified(FIRST, SECOND)
        service, here, there = self.at_two_hosts(tls, tls, roots)
        self.assertEqual(self.comes_back(service, here.close), "full")
        self.assertEqual(service.status()["connected_to"], SECOND)
        self.assertEqual(self.comes_back(service, there.cut), "resumed")

    def test_no_host_is_believed_by_anothers_certificate(self):
        tls, roots = self.certified(FIRST)
        service, here, there = self.at_two_hosts(tls, tls, roots)
        here.close()
        status = wait_until("it is refused", lambda: service.status() if service.status().get("last_status") == "GK_UNTRUSTED" else None)
        self.assertIn("its certificate is for another address", status["last_error"])
        self.assertIn(SECOND, status["last_error"])
        self.assertEqual((status["connects"], there.subscribed), (1, []))
        # The second with a certificate of its own is let be the hub.
        own, _ = self.certified(SECOND)
        there.close()
        self.keep(BadHub(None, SECOND, here.port, tls=own))
        service.connected()
        self.assertEqual(service.status()["connected_to"], SECOND)


if __name__ == "__main__":
    unittest.main()
