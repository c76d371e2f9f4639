#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What gatekeyd says of itself: op status, Prometheus' file, gatekey/status, systemd's status line."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import time
import unittest

from service import BUILD, GatekeydTest, PATIENCE, wait_until

from localbroker import LocalBroker
import prometheus


def members(value):
    """Its names, and those in what is named."""
    for name, inner in value.items():
        yield name
        if isinstance(inner, dict):
            yield from members(inner)


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


class Connection(Told):
    def test_is_told_with_the_address_and_how_it_was_made(self):
        service = self.service().enrol().start().connected()
        status = service.status()
        self.assertEqual((status["connected_to"], status["handshake"], status["resumed"]), ("localhost", "full", 0))
        self.assertIn(status["address"], ("127.0.0.1", "::1"))
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "status"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        status = service.connected().status()
        self.assertRegex(done.stdout, r"(?m)^service +connected to localhost \((127.0.0.1|::1)\) for \d+ s, "
                         + ("TLS resumed" if status["handshake"] == "resumed" else "full handshake"))
        self.assertEqual(status["handshake"] == "resumed", status["resumed"] == 1)


class Messages(Told):
    def test_are_counted_from_the_application_to_the_hub(self):
        service = self.with_file().enrol().start().connected()
        for number in range(3):
            self.assertTrue(service.publish({"n": number})["ok"])
        self.assertFalse(service.call({"op": "publish", "topic": "thing/+/post", "params": {}})["ok"])
        wait_until("the hub has them", lambda: service.status()["counters"]["acknowledged"] == 3)
        counters = service.status()["counters"]
        self.assertEqual(counters, {"accepted": 3, "stored": 0, "acknowledged": 3, "refused": 0, "dropped": 0,
                                    "rejected": 1, "sent": 3, "resent": 0})
        self.assertEqual(service.status()["spool"]["queued"], 0)
        self.metric(service, "gatekey_messages_acknowledged_total", 3)
        samples = self.metrics(service)
        self.assertEqual([samples[f"gatekey_messages_{name}_total"] for name in ("accepted", "sent", "resent", "dropped", "rejected")],
                         [3, 3, 0, 0, 1])
        self.assertEqual((samples["gatekey_spool_messages"], samples["gatekey_spool_refused_messages"]), (0, 0))

    def test_that_the_disk_did_not_take_are_rejected(self):
        service = self.service().enrol()
        disk = os.path.join(service.folder, "disk")
        os.mkdir(disk)
        service.start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), SLOW_DISK=disk).connected()
        with open(os.path.join(disk, "fail"), "wb"):
            pass
        self.assertFalse(service.publish({"n": 1})["ok"])
        self.assertEqual([service.status()["counters"][name] for name in ("accepted", "rejected")], [0, 1])

    def test_that_wait_are_counted_and_their_age_is_told(self):
        service = self.with_file().enrol()
        os.mkdir(service.state)
        service.spend(*[1] * 3)  # no connection for two minutes
        path = os.path.join(service.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(PATIENCE)
            notify.bind(path)
            service.start(NOTIFY_SOCKET=path)
            self.assertTrue(service.publish({"n": 1})["ok"])
            self.assertTrue(service.publish({"n": 2})["ok"])
            spool = service.status()["spool"]
            self.assertEqual(spool["queued"], 2)
            self.assertGreater(spool["bytes"], 100)
            self.assertLess(abs(spool["oldest"] - time.time()), PATIENCE)
            said = ""
            while not re.search(r"STATUS=cannot connect: .*; 2 messages wait, the oldest since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", said):
                said += notify.recv(65536).decode()
        self.metric(service, "gatekey_spool_messages", 2)
        self.assertEqual(self.metrics(service)["gatekey_spool_oldest_timestamp_seconds"], spool["oldest"])
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "status"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertRegex(done.stdout, r"(?m)^spool +2 waiting, \d+ bytes, the oldest for \d+ s$")
        self.assertRegex(done.stdout, r"(?m)^messages +2 accepted, 0 acknowledged$")


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


class Journal(Told):
    def test_gets_each_line_with_its_priority(self):
        service = self.service().enrol()
        with open(service.log, "w", encoding="utf-8") as log:
            info = os.fstat(log.fileno())
        self.hub.fault("connack=5")
        service.start(JOURNAL_STREAM=f"{info.st_dev}:{info.st_ino}")
        wait_until("it is refused", lambda: any(line.startswith("<4>cannot connect: ") for line in service.lines()))
        self.hub.fault("--clear")
        service.another_day()
        service.call({"op": "reconnect"})
        self.assertIn(f"<5>connected to localhost port {self.hub.mqtts_port} as device {service.name} of product {self.hub.product}", service.lines())
        self.hub.ctl("revoke", str(service.device.serial))
        service.another_day()
        service.call({"op": "reconnect"})
        wait_until("it is revoked", lambda: any(line.startswith("<3>cannot connect: the certificate is revoked") for line in service.lines()))
        for line in service.lines():
            self.assertRegex(line, r"^<[3-6]>\w")

    def test_is_told_that_a_hangup_changes_nothing(self):
        service = self.service().enrol().start().connected()
        service.process.send_signal(signal.SIGHUP)
        wait_until("it says so", lambda: any("SIGHUP changes nothing" in line for line in service.lines()))
        self.assertTrue(service.publish({"n": 1})["ok"])

    def test_is_not_meant_by_a_terminal(self):
        service = self.service()
        master, slave = pty.openpty()
        info = os.fstat(slave)
        process = subprocess.Popen([os.path.join(BUILD, "gatekeyd"), "--config", service.config], stderr=slave,
                                   env={**os.environ, "JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino + 1}"})
        try:
            self.assertTrue(select.select([master], [], [], PATIENCE)[0])
            self.assertTrue(os.read(master, 1000).startswith(b"gatekeyd: not enrolled"))
        finally:
            process.send_signal(signal.SIGHUP)  # as a terminal that is closed
            self.assertEqual(process.wait(PATIENCE), 0)
            os.close(master)
            os.close(slave)


class Applications(Told):
    def setUp(self):
        super().setUp()
        self.brokers, self.applications = [], []

    def tearDown(self):
        for application in self.applications:
            application.close()
        for broker in self.brokers:
            broker.stop()
        super().tearDown()

    def with_broker(self):
        service = self.service()
        broker = LocalBroker(service)
        self.brokers.append(broker)
        service.local = f"broker = {broker.path}\n"
        service.configure()
        return service, broker

    def application(self, broker, name):
        """One that hears gatekey/status."""
        application = broker.application(name, patience=PATIENCE)
        self.applications.append(application)
        self.assertEqual(application.subscribe("gatekey/status"), 1)
        return application

    def hears(self, application, **members):
        """The next state that has all these."""
        while True:
            topic, payload = application.receive()
            said = json.loads(payload)
            self.assertEqual(topic, "gatekey/status")
            if members.items() <= said.items():
                return said

    def test_hear_each_state_and_find_the_last(self):
        service, broker = self.with_broker()
        broker.start()
        service.start()
        application = self.application(broker, "first")
        said = self.hears(application, state="not-enrolled", connected=False)
        self.assertLess(abs(said["time"] - time.time()), PATIENCE)
        service.enrol()
        said = self.hears(application, state="connected", connected=True)
        self.assertGreaterEqual(said["spool"]["max_bytes"], 1 << 20)
        self.assertEqual(said["spool"]["queued"], 0)
        self.assertEqual(set(said["counters"]) & {"accepted", "acknowledged", "refused", "dropped", "stored"},
                         {"accepted", "acknowledged", "refused", "dropped", "stored"})
        late = self.application(broker, "second")
        self.hears(late, state="connected")
        self.assertEqual(service.stop(), 0)
        self.hears(application, state="not-running", connected=False)

    def test_hear_of_a_death(self):
        service, broker = self.with_broker()
        broker.start()
        service.enrol().start().connected()
        application = self.application(broker, "first")
        self.hears(application, state="connected")
        service.process.kill()
        service.process.wait(PATIENCE)
        self.hears(application, state="not-running", connected=False)
        service.another_day()
        service.start()
        self.hears(application, state="connected")

    def test_find_each_member_of_the_status_in_the_manual(self):
        service, broker = self.with_broker()
        broker.start()
        service.enrol().start().connected()
        wait_until("the broker is used", lambda: service.status()["broker"]["connected"])
        status = service.status()
        broker.stop()
        wait_until("the broker is missed", lambda: "error" in service.status()["broker"])
        described = set()
        with open(os.path.join(os.environ["abs_top_srcdir"], "docs/gatekeyd.8"), encoding="utf-8") as page:
            for line in page:
                if re.match(r"\.((It|Pq|Po) )?Cm ", line):
                    described.update(re.split(r"[ ,.]+", line.strip()))
        self.assertEqual(set(members({**status, **service.status()})) - described, {"ok"})

    def test_and_what_they_sent_is_counted_for_prometheus(self):
        service, broker = self.with_broker()
        service.metrics = os.path.join(service.folder, "gatekey.prom")
        service.local += f"metrics_file = {service.metrics}\n"
        service.configure()
        broker.start()
        service.enrol().start().connected()
        application = self.application(broker, "first")
        for payload in '{"measurepoints":{"n":1}}', "no JSON":
            self.assertEqual(application.hand_over("gatekey/up/thing/measurepoint/post", payload), 0)
        self.metric(service, "gatekey_broker_messages_refused_total", 1)
        samples = self.metrics(service)
        self.assertEqual([samples[f"gatekey_broker_messages_{name}_total"] for name in ("taken", "deferred", "lost")], [1, 0, 0])

    def test_are_told_by_a_broker_that_comes_late(self):
        service, broker = self.with_broker()
        service.enrol().start().connected()
        self.assertFalse(service.status()["broker"]["connected"])
        broker.start()
        wait_until("the broker is used", lambda: service.status()["broker"]["connected"])
        application = self.application(broker, "first")
        self.hears(application, state="connected")


if __name__ == "__main__":
    unittest.main()
