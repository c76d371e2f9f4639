#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reconnects resume the TLS session: the TPM is not asked, until the hub or the owner has a reason to look again."""

import os
import shutil
import ssl
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import GatekeydTest, free_port, openssl, wait_until  # noqa: E402
from wire import Wire  # noqa: E402

CUTS = 100
SIGN = "0x15d"
PCAP = any("libtss2-tcti-pcap.so.0" in line for line in subprocess.run(
    ["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout.splitlines())


class StockBroker:
    """mosquitto as it is installed, for devices that the hub's CA certified."""

    def __init__(self, hub, folder, *lines):
        self.wire = Wire(1)
        self.path = os.path.join(folder, f"broker{self.wire.port}.conf")
        self.process = None
        self.wire.target = free_port()
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"user root\nlistener {self.wire.target} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n"
                       f"cafile {hub.ca}\ncertfile {hub.directory}/server.pem\nkeyfile {hub.directory}/server.key\n"
                       + "".join(line + "\n" for line in lines))
        self.begin()

    def running(self):
        with open(self.path + ".log", encoding="utf-8") as log:
            said = log.read()
        if self.process.poll() is not None:
            raise AssertionError(f"no broker: {said}")
        return " running" in said

    def begin(self):
        with open(self.path + ".log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([os.environ.get("MOSQUITTO_BROKER", "/usr/sbin/mosquitto"), "-c", self.path],
                                            stderr=log, stdout=log)
        wait_until("the broker runs", self.running)

    def hang_up(self):
        self.process.terminate()
        self.process.wait(30)

    def close(self):
        self.hang_up()
        self.wire.close()


@unittest.skipUnless(PCAP, "the pcap TCTI is not installed")
class Resumption(GatekeydTest):
    def broker(self, *lines):
        broker = StockBroker(self.hub, self.folder, *lines)
        self.addCleanup(broker.close)
        return broker

    def hub_of_version(self, version):
        """One that checks certificates and speaks that version alone."""
        hub = BadHub(self.hub)
        hub.tls.load_verify_locations(self.hub.ca)
        hub.tls.verify_mode = ssl.CERT_REQUIRED
        hub.tls.minimum_version = hub.tls.maximum_version = version
        wire = Wire(hub.port)
        self.addCleanup(hub.close)
        self.addCleanup(wire.close)
        return wire

    def gateway(self, wire, handle, **settings):
        """A gateway whose key is in the TPM, and whose TPM keeps a record."""
        service = self.service_with_tpm_key(handle)
        service.program = "tests/agent/hasty-gatekeyd"
        service.settings["hub"].update(port=wire.port, **settings)
        service.settings["tpm"]["tcti"] = "pcap:" + os.environ["GATEKEY_TCTI"]
        service.configure()
        self.record = os.path.join(service.folder, "tpm.pcap")
        return service.start(GATEKEY_TCTI="pcap:" + os.environ["GATEKEY_TCTI"], TCTI_PCAP_FILE=self.record).connected()

    def commands(self):
        """What the TPM was asked so far."""
        words = subprocess.run([sys.executable, os.path.join(os.environ["abs_top_srcdir"], "tests/tpm/count-commands.py"), self.record],
                               check=True, capture_output=True, text=True).stdout.split()
        return words[1:]

    def signatures(self):
        return self.commands().count(SIGN)

    def reconnects(self, service, cut):
        """Cut it, and wait until it is back."""
        before = service.status()["connects"]
        cut()
        wait_until("it is back", lambda: service.status()["connects"] > before and service.status()["connected"])

    def is_cut_often(self, service, wire):
        # The first connection has moved the clock's floor, and the TPM's clock is compared with that once.
        self.reconnects(service, wire.cut)
        before = self.commands()
        for number in range(1, CUTS):
            self.reconnects(service, lambda reset=number % 2 == 0: wire.cut(reset))
        status = service.status()
        self.assertEqual((status["connects"], status["resumed"]), (CUTS + 1, CUTS))
        self.assertEqual(self.commands(), before)
        self.assertEqual(self.signatures(), 1)

    def test_a_hundred_cuts_at_a_stock_broker_take_one_signature(self):
        wire = self.broker("tls_version tlsv1.3").wire
        self.is_cut_often(self.gateway(wire, "0x81000120"), wire)

    def test_a_hundred_cuts_over_tls12_take_one_signature(self):
        wire = self.hub_of_version(ssl.TLSVersion.TLSv1_2)
        self.is_cut_often(self.gateway(wire, "0x81000121"), wire)

    def costs(self, number, change, service, wire):
        """What the first connection after a change costs, and that the one after it costs nothing."""
        before = self.signatures()
        self.reconnects(service, change)
        self.assertEqual(self.signatures(), before + number)
        self.reconnects(service, wire.cut)
        self.assertEqual(self.signatures(), before + number)

    def test_what_changed_is_shown_in_full(self):
        broker = self.broker()
        wire = broker.wire
        service = self.gateway(wire, "0x81000123")
        self.costs(0, wire.cut, service, wire)
        # The certificate.
        os.environ.update(GATEKEY_IDENTITY=service.identity)
        self.addCleanup(os.environ.pop, "GATEKEY_IDENTITY")
        csr = subprocess.run(["openssl", "req", "-new", "-key", os.path.join(service.identity, "device.pem"), "-sha256",
                              "-subj", f"/C=CN/ST=Shanghai/L=Shanghai/O=EnOS/OU=test/CN={service.name}-again"],
                             env={**os.environ, "OPENSSL_MODULES": os.path.join(os.environ["abs_top_builddir"], ".libs"),
                                  "OPENSSL_CONF": os.path.join(os.environ["abs_top_srcdir"], "conf/openssl-gatekey.cnf")},
                             check=True, capture_output=True, text=True).stdout
        answer = self.hub.certificates("apply", service.name, {"csr": csr, "validDay": 30})
        self.assertEqual(answer["code"], 0, answer)
        self.costs(1, lambda: service.rewrite("cert.pem", answer["data"]["cert"]), service, wire)
        # What is trusted, and what is not any more.
        with open(self.hub.ca, encoding="utf-8") as file:
            roots = file.read()
        self.costs(1, lambda: service.rewrite("server-ca.pem", roots), service, wire)
        _, crl = self.hub.http("GET", "/enos/CA/crl/RSA")
        self.costs(1, lambda: service.rewrite("server-crl.pem", crl.decode()), service, wire)
        # Whoever asks for a connection wants the hub to look.
        self.costs(1, lambda: self.assertTrue(service.call({"op": "reconnect"})["ok"]), service, wire)

    def test_a_hub_that_says_goodbye_sees_the_certificate(self):
        broker = self.broker()
        service = self.gateway(broker.wire, "0x81000124")
        self.reconnects(service, broker.wire.cut)
        self.assertEqual(self.signatures(), 1)
        before = service.status()["connects"]
        broker.hang_up()
        wait_until("it noticed", lambda: not service.status()["connected"])
        broker.begin()
        wait_until("it is back", lambda: service.status()["connects"] > before)
        self.assertEqual(self.signatures(), 2)

    def test_a_hub_that_has_lost_its_keys_sees_the_certificate(self):
        # Its tickets mean nothing to it any more, and nobody said goodbye.
        broker = self.broker()
        service = self.gateway(broker.wire, "0x81000125")
        port, broker.wire.target = broker.wire.target, 1
        broker.wire.cut()
        broker.hang_up()
        broker.begin()
        broker.wire.target = port
        wait_until("it is back", lambda: service.status()["connects"] == 2)
        self.assertEqual((service.status()["resumed"], self.signatures()), (0, 2))

    def test_a_hub_whose_certificate_is_not_believed_any_more_is_not_resumed(self):
        wire = self.broker().wire
        service = self.gateway(wire, "0x81000126", server_name="localhost")
        before = service.status()["connects"]
        other = os.path.join(service.folder, "other.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull, "-subj", "/CN=other", "-out", other)
        # The roots, where nobody watches: the session itself has to be judged by them.
        roots = os.path.join(service.folder, "roots.pem")
        shutil.copy(self.hub.ca, roots)
        service.stop()
        service.settings["hub"]["ca_file"] = roots
        service.configure()
        service.start(GATEKEY_TCTI="pcap:" + os.environ["GATEKEY_TCTI"], TCTI_PCAP_FILE=self.record).connected()
        os.rename(other, roots)
        wire.cut()
        status = wait_until("it does not believe it", lambda: service.status() if service.status().get("last_status") == "GK_UNTRUSTED" else None)
        self.assertIn("its issuer is not among the roots", status["last_error"])
        self.assertEqual(status["resumed"], 0)
        self.assertEqual(before, 1)

    def test_nothing_is_resumed_where_that_is_forbidden(self):
        wire = self.broker().wire
        service = self.gateway(wire, "0x81000127", resume="no")
        for _ in range(3):
            self.reconnects(service, wire.cut)
        self.assertEqual((service.status()["resumed"], self.signatures()), (0, 4))


if __name__ == "__main__":
    unittest.main()
