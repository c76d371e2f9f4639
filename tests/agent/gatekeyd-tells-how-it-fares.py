#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What gatekeyd says of itself: op status, the file for Prometheus, systemd's status line."""

import os
import socket
import stat
import time
import unittest

from service import GatekeydTest, PATIENCE, wait_until

import prometheus

class Told(GatekeydTest):
    def with_file(self, folder="figures"):
        service = self.service()
        os.mkdir(os.path.join(service.folder, "figures"))
        service.metrics = os.path.join(service.folder, folder, "gatekey.prom")
        service.local = f"metrics_file = {service.metrics}\n"
        service.configure()
        return service

    @staticmethod
    def metrics(service):
        with open(service.metrics, encoding="utf-8") as file:
            return prometheus.parse(file.read())

    def metric(self, service, name, value):
        """Wait until it is so."""
        wait_until(f"{name} is {value}", lambda: os.path.exists(service.metrics) and self.metrics(service).get(name) == value)


class Status(Told):
    def test_counts_the_signatures_of_the_tpm(self):
        service = self.service_with_tpm_key("0x81000100").start().connected()
        tpm = service.status()["tpm"]
        self.assertEqual((tpm["signatures"], tpm["signature_failures"]), (1, 0))
        self.assertGreater(tpm["signature_ms_last"], 0)
        self.assertEqual(tpm["signature_ms_total"], tpm["signature_ms_last"])

    def test_says_nothing_of_a_tpm_that_does_not_sign(self):
        self.assertNotIn("tpm", self.service().enrol().start().connected().status())

    def test_says_when_the_certificate_ends(self):
        service = self.service().enrol().start().connected()
        certificate = service.status()["certificate"]
        self.assertEqual(certificate["days_left"], (certificate["not_after"] - int(time.time())) // 86400)
        service.reset()
        wait_until("it is gone", lambda: "certificate" not in service.status())

    def test_says_how_long_it_runs_and_how_large_it_is(self):
        status = self.service().start().status()
        self.assertLess(status["uptime_s"], PATIENCE)
        self.assertLess(abs(status["time"] - time.time()), PATIENCE)
        self.assertGreater(status["resident_bytes"], 1 << 20)


class File(Told):
    def test_is_there_from_the_start_and_follows(self):
        service = self.with_file().start()
        wait_until("the file is there", lambda: os.path.exists(service.metrics))
        samples = self.metrics(service)
        self.assertEqual(samples["gatekey_up"], 1)
        self.assertEqual(samples["gatekey_connected"], 0)
        self.assertEqual(samples["gatekey_state"], ({"state": "not-enrolled"}, 1))
        self.assertEqual(samples["gatekey_info"][0]["device_key"], service.name)
        self.assertNotIn("gatekey_certificate_expiry_timestamp_seconds", samples)
        service.enrol()
        self.metric(service, "gatekey_connected", 1)
        samples = self.metrics(service)
        self.assertEqual(samples["gatekey_connects_total"], 1)
        self.assertGreater(samples["gatekey_certificate_expiry_timestamp_seconds"], time.time())
        self.assertEqual(stat.S_IMODE(os.stat(service.metrics).st_mode), 0o644)
        self.assertEqual(os.listdir(os.path.dirname(service.metrics)), [os.path.basename(service.metrics)])

    def test_says_a_stop_and_keeps_silent_about_a_death(self):
        service = self.with_file().enrol().start().connected()
        self.metric(service, "gatekey_connected", 1)
        self.assertEqual(service.stop(), 0)
        samples = self.metrics(service)
        self.assertEqual(samples["gatekey_up"], 0)
        self.assertNotIn("gatekey_connected", samples)
        self.assertLess(abs(samples["gatekey_status_timestamp_seconds"] - time.time()), PATIENCE)
        service.another_day()
        service.start().connected()
        self.metric(service, "gatekey_connected", 1)
        service.process.kill()
        service.process.wait(PATIENCE)
        service.process = None
        self.assertEqual(self.metrics(service)["gatekey_connected"], 1)

    def test_is_never_half_a_file(self):
        """Whoever opens it finds a whole one, also when what a killed run left lies beside it."""
        service = self.with_file().enrol()
        with open(service.metrics + ".tmp", "w", encoding="utf-8") as file:
            file.write("half of")
        service.start()
        wait_until("the file is there", lambda: os.path.exists(service.metrics))
        inodes = set()
        for reconnect in range(2):
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                self.metrics(service)
                inodes.add(os.stat(service.metrics).st_ino)
            service.another_day()
            if not reconnect:
                service.call({"op": "reconnect"})
        self.assertGreater(len(inodes), 1)
        self.assertFalse(os.path.exists(service.metrics + ".tmp"))

    def test_follows_no_link_beside_it(self):
        service = self.with_file().enrol()
        victim = os.path.join(service.folder, "victim")
        with open(victim, "w", encoding="utf-8") as file:
            file.write("mine")
        os.symlink(victim, service.metrics + ".tmp")
        service.start()
        wait_until("the file is there", lambda: os.path.exists(service.metrics))
        with open(victim, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")

    def test_that_cannot_be_written_is_said_once(self):
        service = self.with_file("no/such").enrol().start().connected()
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        wait_until("it said so", lambda: [line for line in service.lines() if "write the metrics" in line])
        said = [line for line in service.lines() if "write the metrics" in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn("check the path", said[0])

    def test_is_not_written_while_nothing_changes(self):
        service = self.with_file().enrol().start().connected()
        self.metric(service, "gatekey_connected", 1)
        before = os.stat(service.metrics).st_ino, os.stat(service.metrics).st_mtime_ns
        time.sleep(3)  # many turns of a loop that is careless
        self.assertEqual((os.stat(service.metrics).st_ino, os.stat(service.metrics).st_mtime_ns), before)

    def test_names_a_gateway_whatever_it_is_called(self):
        """Asked of the writer alone, as no hub has such a device."""
        labels = prometheus.labels_of('a="x\\\\y",b="\\"",c="\\n"')
        self.assertEqual(labels, {"a": "x\\y", "b": '"', "c": "\n"})
        for bad in 'a_total', 'gatekey_x 1', '# TYPE gatekey_x gauge\ngatekey_x 1\n', "# HELP gatekey_ms x\n# TYPE gatekey_ms gauge\ngatekey_ms 1\n":
            with self.assertRaises((AssertionError, IndexError)):
                prometheus.parse(bad)


class Systemd(Told):
    def test_is_told_each_state_in_a_line(self):
        service = self.service()
        path = os.path.join(service.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(PATIENCE)
            notify.bind(path)
            service.start(NOTIFY_SOCKET=path)
            told = []

            def heard(line):
                while line not in told:
                    told.extend(notify.recv(65536).decode().splitlines())

            heard("STATUS=not-enrolled")
            service.enrol()
            heard("STATUS=connected to localhost")
            service.reset()
            told.clear()
            heard("STATUS=not-enrolled")


if __name__ == "__main__":
    unittest.main()
