#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applications on the local broker: what a PUBACK of it means, who may do what, and what becomes of bad messages.

The broker is stock mosquitto with the configuration that gets installed, and the plugin.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from localbroker import LocalBroker  # noqa: E402
from service import GatekeydTest, wait_until  # noqa: E402

POINTS = "gatekey/up/thing/measurepoint/post"
NOBODY = 65534


def read(path):
    with open(path, "rb") as file:
        return file.read()


def params(number):
    return json.dumps({"measurepoints": {"n": number}})


class LocalBrokerTest(GatekeydTest):
    count = 0

    def setUp(self):
        super().setUp()
        self.gateway = self.service()
        self.broker = LocalBroker(self.gateway)
        self.gateway.local = f"broker = {self.broker.path}\n"
        self.gateway.configure()
        self.gateway.enrol().start().connected()
        self.broker.start()
        self.joined()
        self.applications = []

    def tearDown(self):
        for application in self.applications:
            application.close()
        self.broker.stop()
        super().tearDown()

    def joined(self):
        wait_until("gatekeyd is on the broker", lambda: self.gateway.status()["broker"]["connected"])

    def application(self, name, **options):
        self.applications.append(self.broker.application(name, **options))
        return self.applications[-1]

    def points(self):
        return sorted(json.loads(row["value"]) if isinstance(row["value"], str) else row["value"]
                      for row in self.telemetry(self.gateway) if row["point"] == "n")


class Promise(LocalBrokerTest):
    def test_what_was_acknowledged_survives_the_broker(self):
        application = self.application("a")
        acked = []
        for first in range(0, 200, 20):
            ids = {application.publish(POINTS, params(number)): number for number in range(first, first + 20)}
            for packet_id, number in ids.items():
                self.assertEqual(application.wait_ack(packet_id), 0)
                acked.append(number)
        self.broker.kill()  # the moment after the last PUBACK
        wait_until("the hub has all", lambda: set(acked) <= set(self.points()))
        self.broker.start()
        self.joined()
        self.assertEqual(self.application("b").hand_over(POINTS, params(1000)), 0)
        wait_until("the hub has one more", lambda: 1000 in self.points())
        # One at a time from the application to the spool, and nobody took it twice.
        self.assertEqual(self.points(), list(range(200)) + [1000])

    def test_what_was_acknowledged_survives_gatekeyd(self):
        application = self.application("a")
        for number in range(50):
            self.assertEqual(application.hand_over(POINTS, params(number)), 0)
        self.gateway.process.send_signal(signal.SIGKILL)
        self.gateway.process.wait(30)
        self.gateway.start().connected()
        wait_until("the hub has all", lambda: set(self.points()) == set(range(50)))

    def test_a_status_does_not_outlive_both(self):
        watcher = self.application("w")
        watcher.subscribe("gatekey/status")
        while not json.loads(watcher.receive()[1])["connected"]:
            pass
        # As it saves by itself every half an hour.
        saved = os.path.join(self.broker.folder, "mosquitto.db")
        self.broker.process.send_signal(signal.SIGUSR1)
        wait_until("it is saved", lambda: os.path.exists(saved) and b"gatekey/status" in read(saved))
        # The power fails, and only the broker is there again.
        self.gateway.process.send_signal(signal.SIGSTOP)
        self.broker.kill()
        self.gateway.process.send_signal(signal.SIGKILL)
        self.gateway.process.wait(30)
        self.gateway.process = None
        self.broker.start()
        reader = self.application("r")
        reader.subscribe("gatekey/status")
        self.assertEqual(json.loads(reader.receive()[1])["connected"], False)
        # And what gatekeyd says then is what counts.
        self.gateway.start().connected()
        while not json.loads(reader.receive()[1])["connected"]:
            pass

    def test_a_broker_may_come_and_go_with_its_folder(self):
        self.broker.stop()
        wait_until("gatekeyd misses it", lambda: not self.gateway.status()["broker"]["connected"])
        # As systemd does with a runtime folder.
        config = os.path.join(self.gateway.folder, "broker.conf")
        os.rename(self.broker.config, config)
        shutil.rmtree(self.broker.folder)
        wait_until("gatekeyd sees that", lambda: self.gateway.status()["broker"]["error"] == "No such file or directory")
        os.mkdir(self.broker.folder)
        os.rename(config, self.broker.config)
        self.broker.start()
        self.joined()
        self.assertEqual(self.application("a").hand_over(POINTS, params(1)), 0)

    def test_without_gatekeyd_nothing_is_acknowledged(self):
        self.gateway.stop()
        for level in 4, 5:
            application = self.application(f"a{level}", level=level)
            application.publish(POINTS, params(1))
            self.assertTrue(application.is_cut())
            self.assertEqual(application.acks, [])
        # At QoS 0 nothing is promised, and nobody is cut for it.
        application = self.application("b")
        application.publish(POINTS, params(2), qos=0)
        application.ping()
        # The same message, once more, as every client library does.
        self.gateway.start().connected()
        application = self.application("a4")
        self.assertEqual(application.hand_over(POINTS, params(1), dup=True), 0)
        wait_until("the hub has it", lambda: self.points() == [1])
        self.assertIn("gatekey: messages are taken again", self.broker.lines())

    def test_a_gatekeyd_that_hangs_holds_nobody_up_twice(self):
        self.gateway.process.send_signal(signal.SIGSTOP)
        try:
            application = self.application("a")
            application.publish(POINTS, params(1))
            self.assertTrue(application.is_cut())
            # It was asked and did not answer, so that it is not waited for again.
            for number in range(2, 30):
                application = self.application(f"a{number}")
                application.publish(POINTS, params(number))
                self.assertTrue(application.is_cut())
        finally:
            self.gateway.process.send_signal(signal.SIGCONT)
        wait_until("it is asked again", lambda: self.is_taken(30))
        wait_until("the hub has it", lambda: 30 in self.points())

    def is_taken(self, number):
        try:
            return self.application("again").hand_over(POINTS, params(number)) == 0
        except ConnectionError:
            return False

    def test_every_quality_and_every_form_arrives_once(self):
        application = self.application("a")
        watcher = self.application("w")
        watcher.subscribe("gatekey/ok/#")
        application.publish(POINTS, params(0), qos=0)
        self.assertEqual(watcher.receive()[0], "gatekey/ok/thing/measurepoint/post")
        application.hand_over(POINTS, params(1))
        packet_id = application.publish(POINTS, params(2), qos=2)
        self.assertEqual(application.dispatch(), (0x50, packet_id.to_bytes(2, "big")))
        application.send(0x62, packet_id.to_bytes(2, "big"))
        self.assertEqual(application.dispatch()[0], 0x70)
        application.hand_over(POINTS, params(3), retain=True)
        application.hand_over(POINTS, json.dumps({"id": "77", "version": "1.0", "params": {"measurepoints": {"n": 4}}}))
        level5 = self.application("five", level=5)
        self.assertIn(level5.hand_over(POINTS, params(5)), (0, 16))  # 16: nobody is subscribed, which is as well
        wait_until("the hub has them", lambda: self.points() == [0, 1, 2, 3, 4, 5])
        # The retained one was kept for nobody.
        late = self.application("late")
        late.subscribe("gatekey/#")
        late.ping()
        self.assertEqual([topic for topic, _ in late.inbox if topic != "gatekey/status"], [])

    def test_a_last_will_arrives_and_is_kept_for_nobody(self):
        # The broker itself publishes it, past the plugin, so gatekeyd takes it as a subscriber.
        words = ["mosquitto_sub", "--unix", self.broker.path, "-i", "mortal", "-t", "gatekey/down/#",
                 "--will-topic", POINTS, "--will-payload", params(9), "--will-qos", "1", "--will-retain"]
        with subprocess.Popen(words) as mortal:
            try:
                wait_until("it is there", lambda: self.is_connected(mortal))
            finally:
                mortal.kill()
        wait_until("the hub has its will", lambda: self.points() == [9])
        # Nothing of it is in what the broker saves.
        saved = os.path.join(self.broker.folder, "mosquitto.db")
        self.broker.process.send_signal(signal.SIGUSR1)
        wait_until("it is saved", lambda: os.path.exists(saved) and b"gatekey/status" in read(saved))
        self.assertNotIn(params(9).encode(), read(saved))
        broker = self.gateway.status()["broker"]
        self.assertEqual((broker["taken"], broker["refused"]), (1, 0))

    def is_connected(self, process):
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            try:
                if os.readlink(f"/proc/{process.pid}/fd/{fd}").startswith("socket:"):
                    return self.broker_has(2)
            except FileNotFoundError:
                pass
        return False

    def broker_has(self, count):
        """So many connections to its socket are accepted: gatekeyd's and others'."""
        with open("/proc/net/unix", encoding="ascii") as file:
            rows = [line.split() for line in file if line.rstrip().endswith(self.broker.path)]
        return sum(row[5] == "03" for row in rows) >= count


class Refusal(LocalBrokerTest):
    def test_a_bad_message_is_answered_and_counted(self):
        application = self.application("a")
        application.subscribe("gatekey/error/#")
        before = self.gateway.status()["broker"]["refused"]
        bad = {
            "gatekey/up/thing/measurepoint/post": b"no JSON",
            "gatekey/up/thing/event/certificateRequest/post": b'{"id":"17","params":{}}',
            # Its method would be the same.
            "gatekey/up/thing.event/revokeMe.post": b'{"id":"18","params":{}}',
            "gatekey/reply/thing/service/echo": b'{"id":5,"code":200}',
            "gatekey/up/thing/measurepoint/resume": b'\x00\xff\xfe' * 10,
        }
        for topic, payload in bad.items():
            self.assertEqual(application.hand_over(topic, payload), 0, topic)
            where, answer = application.receive()
            self.assertEqual(where, topic.replace("/up/", "/error/").replace("/reply/", "/error/"))
            answer = json.loads(answer)
            self.assertTrue(answer["error"].startswith("cannot take this message: "), answer)
            self.assertNotIn("\n", answer["error"])
            if b'"id"' in payload:
                self.assertEqual(answer["id"], json.loads(payload)["id"])
        self.assertEqual(self.gateway.status()["broker"]["refused"] - before, len(bad))
        # MQTT 5 has a word for it: not authorized.
        level5 = self.application("five", level=5)
        self.assertEqual(level5.hand_over(POINTS, "no JSON"), 0x87)

    def test_an_answer_that_no_topic_has_room_for_keeps_no_place(self):
        application = self.application("a")
        # gatekey/error/ is longer than gatekey/up/ is.
        self.assertEqual(application.hand_over("gatekey/up/" + "a" * 65524, "no JSON"), 0)
        broker = self.gateway.status()["broker"]
        self.assertEqual((broker["refused"], broker["waiting"]), (1, 0))

    def test_what_is_too_large_is_refused_at_every_size(self):
        application = self.application("a")
        application.subscribe("gatekey/error/#")
        for size in 513 * 1024, 1000 * 1024:
            text = '{"measurepoints":{"n":"' + "\\\"" * (size // 2) + '"}}'
            self.assertEqual(application.hand_over(POINTS, text), 0)
            self.assertIn("error", json.loads(application.receive()[1]))
        # More than that is not even read.
        with self.assertRaises(OSError):
            application.hand_over(POINTS, "x" * 1200 * 1024)

    def test_bytes_that_are_long_as_text_arrive(self):
        """Each of them would be six bytes long on gatekeyd's socket."""
        application = self.application("a")
        application.subscribe("gatekey/error/#")
        application.hand_over("gatekey/up/thing/model/up_raw", b"\x01" * 400000)
        self.assertEqual(self.gateway.status()["broker"]["taken"], 1, application.inbox)

    def test_a_message_of_the_largest_size_arrives(self):
        application = self.application("a")
        text = '{"measurepoints":{"n":1,"text":"' + "\\\"" * (250 * 1024) + '"}}'
        self.assertEqual(application.hand_over(POINTS, text), 0)
        wait_until("the hub has it", lambda: self.points() == [1])


class Rights(LocalBrokerTest):
    def test_applications_and_gatekeyd_do_the_reverse(self):
        application, other = self.application("a"), self.application("b")
        other.subscribe("#")
        other.subscribe("gatekey/#")
        other.subscribe("$SYS/#")
        for topic in ("gatekey/down/thing/service/echo", "gatekey/answer/x", "gatekey/error/x", "gatekey/ok/x",
                      "gatekey/status", "gatekey", "elsewhere", "gatekey/upper", "$SYS/x"):
            application.publish(topic, "forged", qos=0)
        application.ping()
        other.ping()
        self.assertEqual([message for message in other.inbox if message[1] == b"forged"], [])
        self.assertEqual([topic for topic, _ in other.inbox if not topic.startswith("gatekey/")], [])
        # Acknowledged as it is in MQTT 3.1.1, a slip of the pen is told.
        application.subscribe("gatekey/error/#")
        self.assertEqual(application.hand_over("gatekey/upp/thing", params(1)), 0)
        topic, answer = application.receive()
        self.assertEqual(topic, "gatekey/error/upp/thing")
        self.assertIn("gatekey/up/#", json.loads(answer)["error"])

    def test_nobody_else_becomes_gatekeyd(self):
        for options in ({}, {"user": "gatekeyd"}, {"user": "gatekeyd", "password": ""}, {"user": "gatekeyd", "password": "0" * 32},
                        {"clean": False, "user": "gatekeyd", "password": "gatekeyd"}):
            self.assertEqual(self.application("gatekeyd", **options).connack, 5, options)
        # And the one that is was not thrown out by it.
        self.assertTrue(self.gateway.status()["broker"]["connected"])
        self.assertEqual(self.application("a").hand_over(POINTS, params(1)), 0)

    def test_the_plugins_door_is_closed_to_others(self):
        if os.getuid() != 0:
            self.skipTest("only root can become somebody else")
        self.let_others_in(self.gateway.socket)
        os.chmod(self.gateway.socket, 0o666)
        for request in {"op": "relay", "topic": POINTS, "payload": params(1)}, {"op": "relay", "password": ""}:
            self.assertEqual(self.call_as(NOBODY, request)["status"], "GK_REFUSED")

    def let_others_in(self, path):
        """As far as the folders above it are the test's own."""
        while os.path.dirname(path) not in ("/", "/tmp", "/var/tmp"):
            path = os.path.dirname(path)
            os.chmod(path, 0o711)

    def call_as(self, user, request):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setresuid(user, user, user)
            os.write(writer, json.dumps(self.gateway.call(request)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return json.loads(answer)

    def test_the_group_says_who_may_speak_to_it(self):
        if os.getuid() != 0:
            self.skipTest("only root can become somebody else")
        self.assertEqual(os.stat(self.broker.path).st_mode & 0o7777, 0o770)
        self.let_others_in(self.broker.path)
        group = 12345
        os.chown(self.broker.path, 0, group)
        words = ["mosquitto_pub", "--unix", self.broker.path, "-q", "1", "-t", POINTS, "-m", params(1)]
        stranger = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        member = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={group}"]
        self.assertNotEqual(subprocess.run(stranger + words, capture_output=True, check=False).returncode, 0)
        subprocess.run(member + words, check=True)
        wait_until("the hub has the member's", lambda: self.points() == [1])


if __name__ == "__main__":
    unittest.main()
