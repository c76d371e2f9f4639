#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local broker hands messages over without waiting for each, and acknowledges none before it is on disk.

Stock mosquitto with the plugin, and a gatekeyd whose disk waits and fails as it is told (slow-disk.c).
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from localbroker import LocalBroker  # noqa: E402
from service import GatekeydTest, wait_until  # noqa: E402
from slowdisk import SlowDisk  # noqa: E402

POINTS = "gatekey/up/thing/measurepoint/post"
STEADY = 20  # after so many messages none is waited for any more
GRACE = 0.3  # what is said too early is there by then


def params(number):
    return json.dumps({"measurepoints": {"n": number}})


def has_said(application):
    """Whether there is something to read, the end included."""
    return bool(application.buffer) or bool(select.select([application.socket], [], [], GRACE)[0])


class SharedSync(GatekeydTest):
    count = 0
    lines = ()  # more of the broker's configuration

    @classmethod
    def options(cls):
        return ["--journal"]

    def setUp(self):
        super().setUp()
        self.gateway = self.service()
        self.disk = SlowDisk(self.gateway.folder)
        self.broker = LocalBroker(self.gateway, lines=[line.format(folder=self.gateway.folder) for line in self.lines])
        self.broker.join(self.gateway)
        self.start_gateway(enrol=True)
        self.broker.start()
        self.applications = []
        self.warm_up()

    def tearDown(self):
        for application in self.applications:
            application.close()
        self.broker.stop()
        super().tearDown()

    def start_gateway(self, enrol=False):
        (self.gateway.enrol() if enrol else self.gateway).start(**self.disk.environment)
        self.gateway.connected()

    def application(self, name, **options):
        self.applications.append(self.broker.application(name, **options))
        return self.applications[-1]

    def warm_up(self):
        wait_until("gatekeyd is on the broker", lambda: self.gateway.status()["broker"]["connected"])
        application = self.application("first")
        for _ in range(STEADY):
            self.assertEqual(application.hand_over(POINTS, params(0)), 0)

    def held(self, application, number, **options):
        """Publish it, and wait until the disk is asked to sync it, which it does not."""
        before = len(self.disk.syncs())
        self.disk.hold()
        packet_id = application.publish(POINTS, params(number), **options)
        self.disk.wait_held(before)
        return packet_id

    def points(self):
        """What arrived but for the warming up, each when it first did."""
        found = []
        for post in self.hub.journal(0):
            envelope = json.loads(post.payload)
            if post.device == self.gateway.name and post.code == 200:
                for entry in envelope["params"] if isinstance(envelope["params"], list) else [envelope["params"]]:
                    number = entry["measurepoints"]["n"]
                    if number not in found and number != 0:
                        found.append(number)
        return found

    def arrive(self, numbers):
        wait_until("the hub has them", lambda: len(self.points()) >= len(numbers))
        self.assertEqual(self.points(), list(numbers))

    def is_refused(self, application):
        """Cut off, and not one PUBACK."""
        return application.is_cut() and application.acks == []


class Waits(SharedSync):
    def test_no_acknowledgement_before_the_sync(self):
        a, b = self.application("a"), self.application("b")
        first = self.held(a, 1)
        # Another's message in between, and one more of the first.
        others = b.publish(POINTS, params(2)), a.publish(POINTS, params(3))
        self.assertFalse(has_said(a))
        self.assertFalse(has_said(b))
        self.disk.release()
        self.assertEqual((a.wait_ack(first), b.wait_ack(others[0]), a.wait_ack(others[1])), (0, 0, 0))
        wait_until("the hub has them", lambda: sorted(self.points()) == [1, 2, 3])

    def test_one_sync_is_for_many(self):
        applications = [self.application(f"a{number}") for number in range(10)]
        before = len(self.disk.syncs())
        sent = [(applications[0], self.held(applications[0], 1))]
        for number in range(2, 41):
            sent.append((applications[0], applications[0].publish(POINTS, params(number))))
        for number in range(41, 101):
            application = applications[number % 10]
            sent.append((application, application.publish(POINTS, params(number))))
        self.assertFalse(has_said(applications[0]))
        self.disk.release()
        for application, packet_id in sent:
            self.assertEqual(application.wait_ack(packet_id), 0)
        # What the uplink settles comes on top.
        self.assertLess(len(self.disk.syncs()) - before, 25)
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 101)))
        of_first = [number for number in self.points() if number <= 40 or number % 10 == 0]
        self.assertEqual(of_first, sorted(of_first))

    def test_at_quality_two_either(self):
        application = self.application("a", clean=False)
        self.disk.fail()
        packet_id = self.held(application, 1, qos=2)
        self.assertFalse(has_said(application))
        self.disk.release()
        self.assertTrue(self.is_refused(application))
        self.disk.heal()
        # The broker may remember it: it has to be handed over again all the same.
        application = self.application("a", clean=False)
        self.assertEqual(application.present, 1)
        before = len(self.disk.syncs())
        application.publish(POINTS, params(1), qos=2, dup=True, packet_id=packet_id)
        self.assertEqual(application.dispatch(), (0x50, packet_id.to_bytes(2, "big")))
        self.assertIn("s", self.disk.syncs()[before:])
        application.send(0x62, packet_id.to_bytes(2, "big"))
        self.assertEqual(application.dispatch()[0], 0x70)
        self.arrive([1])

    def test_a_reason_is_given_where_there_is_a_word_for_it(self):
        application = self.application("five", level=5)
        self.assertIn(application.hand_over(POINTS, params(1)), (0, 16))
        self.assertEqual(application.hand_over(POINTS, "no JSON"), 0x87)

    def test_a_bad_message_does_not_disturb_the_others(self):
        a, b = self.application("a"), self.application("b")
        b.subscribe("gatekey/error/#")
        sent = [a.publish(POINTS, "no JSON" if number % 3 == 0 else params(number)) for number in range(1, 31)]
        self.assertEqual([a.wait_ack(packet_id) for packet_id in sent], [0] * 30)
        for _ in range(10):
            self.assertIn("error", json.loads(b.receive()[1]))
        self.arrive([number for number in range(1, 31) if number % 3])
        self.assertEqual(self.gateway.status()["broker"]["refused"], 10)


class Fails(SharedSync):
    def test_a_failed_sync_acknowledges_nothing_and_order_is_kept(self):
        a, listener = self.application("a"), self.application("listener")
        self.disk.fail()
        self.held(a, 1)
        for number in range(2, 21):
            a.publish(POINTS, params(number))
        self.assertFalse(has_said(a))
        self.disk.release()
        self.assertTrue(self.is_refused(a))
        # Nobody knows who sent what is lost.
        self.assertTrue(listener.is_cut())
        # While the disk fails each is refused for himself.
        listener = self.application("listener")
        listener.subscribe("gatekey/ok/#")
        for number in range(1, 4):
            a = self.application("a")
            a.publish(POINTS, params(number))
            self.assertTrue(self.is_refused(a))
        listener.ping()
        self.assertEqual(listener.inbox, [])
        self.disk.heal()
        a = self.application("a")
        sent = [a.publish(POINTS, params(number), dup=True) for number in range(1, 31)]
        self.assertEqual([a.wait_ack(packet_id) for packet_id in sent], [0] * 30)
        listener.ping()
        self.arrive(range(1, 31))

    def test_what_followed_a_failure_is_not_taken_before_it(self):
        """The first sync fails, the next ones do not: what is in gatekeyd's socket by then must not go ahead."""
        a = self.application("a")
        self.disk.fail()
        self.held(a, 1)
        self.disk.heal()
        for number in range(2, 201):
            a.publish(POINTS, params(number))
        self.assertFalse(has_said(a))
        self.disk.release()
        self.assertTrue(self.is_refused(a))
        a = self.application("a")
        sent = [a.publish(POINTS, params(number), dup=True) for number in range(1, 201)]
        self.assertEqual([a.wait_ack(packet_id) for packet_id in sent], [0] * 200)
        # Nobody was refused for himself, and still it is said why.
        self.assertIn("cannot store this message", "\n".join(self.broker.lines()))
        self.arrive(range(1, 201))

    def test_gatekeyd_is_killed_with_a_hundred_on_their_way(self):
        a = self.application("a")
        self.held(a, 1)
        for number in range(2, 101):
            a.publish(POINTS, params(number))
        self.assertFalse(has_said(a))
        self.gateway.process.send_signal(signal.SIGKILL)
        self.gateway.process.wait(30)
        self.disk.let_go()
        self.assertTrue(self.is_refused(a))
        # Who comes meanwhile is let in, and told for himself.
        listener = self.application("listener")
        listener.subscribe("gatekey/ok/#")
        b = self.application("b")
        b.publish(POINTS, params(1))
        self.assertTrue(self.is_refused(b))
        listener.ping()
        self.start_gateway()
        a = self.application("a")
        sent = [a.publish(POINTS, params(number), dup=True) for number in range(1, 101)]
        self.assertEqual([a.wait_ack(packet_id) for packet_id in sent], [0] * 100)
        listener.ping()
        self.arrive(range(1, 101))

    def test_gatekeyd_hangs_with_some_on_their_way(self):
        a = self.application("a", patience=60)
        self.gateway.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(1, 21):
                a.publish(POINTS, params(number))
            self.assertTrue(self.is_refused(a))
            # It is not waited for again, and others may still connect.
            for _ in range(5):
                a = self.application("a", patience=60)
                a.publish(POINTS, params(1))
                self.assertTrue(self.is_refused(a))
        finally:
            self.gateway.process.send_signal(signal.SIGCONT)
        # What it took late is sent again, not before it has ended with that.
        numbers = list(range(1, 31))
        wait_until("messages are taken again", lambda: self.is_taken(numbers))
        self.arrive(numbers)

    def is_taken(self, numbers):
        try:
            a = self.application("a")
            sent = [a.publish(POINTS, params(number), dup=True) for number in numbers]
            return [a.wait_ack(packet_id) for packet_id in sent] == [0] * len(sent)
        except OSError:
            return False

    def test_the_broker_is_killed_with_a_hundred_on_their_way(self):
        a = self.application("a")
        self.held(a, 1)
        for number in range(2, 101):
            a.publish(POINTS, params(number))
        self.assertFalse(has_said(a))
        self.broker.kill()
        self.assertTrue(self.is_refused(a))
        self.disk.release()
        self.broker.start()
        a = self.application("a")
        sent = [a.publish(POINTS, params(number), dup=True) for number in range(1, 101)]
        self.assertEqual([a.wait_ack(packet_id) for packet_id in sent], [0] * 100)
        self.arrive(range(1, 101))


class Clients(SharedSync):
    def test_two_hundred_at_once(self):
        applications = [self.application(f"a{number}") for number in range(200)]
        sent = [application.publish(POINTS, params(number)) for number, application in enumerate(applications, 1)]
        self.assertEqual([application.wait_ack(packet_id) for application, packet_id in zip(applications, sent)], [0] * 200)
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 201)))

    def test_one_that_does_not_read_holds_nobody_up(self):
        deaf, a = self.application("deaf"), self.application("a")
        deaf.subscribe("gatekey/ok/#", qos=0)
        filler = "x" * 100000
        for number in range(1, 31):
            payload = json.dumps({"measurepoints": {"n": number, "filler": filler}})
            self.assertEqual(a.hand_over(POINTS, payload), 0)
        # What was sent to it, as far as it was not dropped, is whole.
        deaf.ping()
        self.assertGreater(len(deaf.inbox), 1)
        for _, payload in deaf.inbox:
            self.assertEqual(json.loads(payload)["measurepoints"]["filler"], filler)

    def test_one_that_leaves_is_heard_to_the_end(self):
        for number in range(1, 21):
            application = self.application(f"a{number}")
            application.publish(POINTS, params(number), qos=0)
            application.close()
        # What one says before it stops talking is answered.
        application = self.application("half")
        packet_id = application.publish(POINTS, params(21))
        application.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(application.wait_ack(packet_id), 0)
        self.assertTrue(application.is_cut())
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 22)))

    def test_one_that_leaves_while_it_is_held_does_no_harm(self):
        a, b = self.application("a"), self.application("b")
        first = self.held(a, 1)
        for number in range(2, 22):
            b.publish(POINTS, params(number))
        self.assertFalse(has_said(b))
        b.close()
        before = self.wakes()
        time.sleep(GRACE)
        self.assertLess(self.wakes() - before, 10)
        self.disk.release()
        self.assertEqual(a.wait_ack(first), 0)
        wait_until("the hub has them", lambda: sorted(self.points()) == list(range(1, 22)))
        wait_until("its connections are closed", lambda: self.connections() == 2 * 3)  # gatekeyd's, the first's, a's

    def wakes(self):
        """How often the gate's thread had waited."""
        pid = self.broker.process.pid
        thread, = [task for task in os.listdir(f"/proc/{pid}/task") if task != str(pid)]
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))

    def connections(self):
        """Accepted ones of both sockets."""
        with open("/proc/net/unix", encoding="ascii") as file:
            rows = [line.split() for line in file if line.rstrip().endswith("broker.sock") and self.broker.folder in line]
        return sum(row[5] == "03" for row in rows)

    def test_nobody_wakes_it_up_in_vain(self):
        self.held(self.application("a"), 1)
        self.assertTrue(self.is_quiet())
        self.disk.release()
        wait_until("the hub has it", lambda: self.points() == [1])
        wait_until("it is quiet", self.is_quiet)

    def is_quiet(self):
        before = self.wakes()
        time.sleep(1)
        return self.wakes() - before <= 1

    def test_a_new_configuration_cuts_nobody_off(self):
        a = self.application("a")
        self.broker.process.send_signal(signal.SIGHUP)
        for number in range(1, 31):
            self.assertEqual(a.hand_over(POINTS, params(number)), 0)
        self.assertEqual(self.application("b").connack, 0)
        self.arrive(range(1, 31))

    def test_only_the_group_gets_in_and_only_by_the_gate(self):
        inner = os.path.join(self.broker.folder, "inner")
        self.assertEqual(stat.S_IMODE(os.stat(self.broker.path).st_mode), 0o770)
        self.assertEqual(stat.S_IMODE(os.stat(inner).st_mode), 0o700)
        self.assertEqual(self.broker.stop(), 0)
        self.assertFalse(os.path.exists(self.broker.path))
        # Where others could open mosquitto's own there is no promise to be kept.
        os.chmod(inner, 0o750)
        with self.assertRaises(AssertionError):
            self.broker.start()
        self.broker.process = None
        self.assertIn("must be ours, and nobody else's", "\n".join(self.broker.lines()))
        os.chmod(inner, 0o700)
        self.broker.start()
        self.assertEqual(self.application("a").hand_over(POINTS, params(1)), 0)

    def test_where_descriptors_run_out_others_go_on(self):
        self.broker.stop()
        self.broker.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        self.warm_up()
        a = self.application("a")
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for link in crowd:
            link.connect(self.broker.path)
        for number in range(1, 11):
            self.assertEqual(a.hand_over(POINTS, params(number)), 0)
        for link in crowd:
            link.close()

        def come_in():
            """It may be hung up on as long as mosquitto has not noticed all who left."""
            with contextlib.suppress(ConnectionError):
                return self.application("b", patience=30)
            return None

        self.assertEqual(wait_until("it is let in", come_in).hand_over(POINTS, params(11)), 0)
        self.arrive(range(1, 12))


class Limited(SharedSync):
    lines = ("max_connections 4",)

    def test_the_brokers_own_limits_hold(self):
        # mosquitto counts one too few for who left without a word, as whoever asks whether it listens.
        with self.assertRaises(OSError):
            for number in range(6):
                self.application(f"a{number}")
        self.applications[-1].close()
        wait_until("there is room", lambda: self.is_let_in("b"))

    def is_let_in(self, name):
        try:
            return self.application(name).connack == 0
        except OSError:
            return False


class PastTheGate(SharedSync):
    lines = ("listener 0 {folder}/local/other.sock",)

    def test_who_comes_by_another_way_waits_for_himself(self):
        self.broker.path = os.path.join(self.broker.folder, "other.sock")
        a = self.application("a")
        packet_id = self.held(a, 1)
        self.assertFalse(has_said(a))
        self.disk.release()
        self.assertEqual(a.wait_ack(packet_id), 0)
        self.arrive([1])

    def test_a_configuration_of_before_the_gate_keeps_the_promise(self):
        self.broker.stop()
        with open(self.broker.config, encoding="utf-8") as file:
            kept = [line.replace("/inner/", "/") for line in file.read().splitlines()
                    if not line.startswith(("plugin_opt_gate", "plugin_opt_inner"))]
        self.broker.configure(kept)
        self.broker.start()
        self.warm_up()
        a = self.application("a")
        packet_id = self.held(a, 1)
        self.assertFalse(has_said(a))
        self.disk.release()
        self.assertEqual(a.wait_ack(packet_id), 0)
        self.arrive([1])


if __name__ == "__main__":
    unittest.main()
