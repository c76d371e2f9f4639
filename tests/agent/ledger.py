# SPDX-License-Identifier: Apache-2.0
"""What local programs were told is accepted, and what of it arrived at the hub.

Applications hand over messages that carry a number of their own, each one more than the last, whether that
was accepted or not: nothing is handed over twice, so whatever comes twice was sent twice by others. What one
was told is accepted is noted before it hands over the next. What arrived is the hub's journal.
"""

import collections
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "hub"))

from gateway import Mqtt  # noqa: E402

LANE = 25 * 10 ** 9  # numbers of one lane, of one beginning of the spool (agent/spool/spool.h)
PATIENCE = 120


def flush_tpm():
    """What a resource manager does for a program that died; a bare TPM has none."""
    for kind in "-t", "-l", "-s":
        subprocess.run(["tpm2_flushcontext", kind], check=True, capture_output=True)


class LocalMqtt(Mqtt):
    """A connection to a broker's unix socket."""

    def __init__(self, path, client_id):  # pylint: disable=super-init-not-called
        self.buffer = b""
        self.packet_id = 0
        self.inbox = []
        self.patience = PATIENCE
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
            self.send(0x10, self.text("MQTT") + bytes([4, 2]) + struct.pack("!H", 60) + self.text(client_id))
            kind, body = self.packet()
            if kind != 0x20 or body[1] != 0:
                raise ConnectionError(f"the broker refused: {kind} {body}")
        except BaseException:
            self.socket.close()
            raise

    def acknowledged(self):
        """The packet id of the next PUBACK."""
        while True:
            kind, body = self.packet()
            if kind == 0x40:
                return struct.unpack("!H", body[:2])[0]
            if kind & 0xF0 == 0x30:
                self.message(kind, body)


class Application(threading.Thread):
    """Hands over as fast as it is accepted, or in pauses, until it is told to end."""

    def __init__(self, name, event=False, pause=0.0):
        super().__init__(name=name, daemon=True)
        self.topic = f"thing/event/{name}/post" if event else "thing/measurepoint/post"
        self.event = event
        self.pause = pause
        self.handed = 0
        self.accepted = []
        self.told = {}  # number -> the id it was accepted under, by those who are told
        self.refusals = []  # (number, what it was told)
        self.failure = None
        self.enough = threading.Event()

    def params(self, number):
        return {"events": {"n": number}} if self.event else {"measurepoints": {self.name: number}}

    def next(self):
        self.handed += 1
        return self.handed

    def connect(self):
        raise NotImplementedError

    def serve(self, link):
        """Hand over until it is enough, or the connection is lost."""
        raise NotImplementedError

    def run(self):
        try:
            while not self.enough.is_set():
                try:
                    link = self.connect()
                except OSError:
                    self.enough.wait(0.02)
                    continue
                try:
                    self.serve(link)
                except OSError:
                    self.enough.wait(0.02)
                finally:
                    link.close()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure
            raise

    def end(self):
        self.enough.set()
        self.join(60)
        if self.is_alive() or self.failure:
            raise AssertionError(f"{self.name} hangs, or failed: {self.failure}")


class SocketApplication(Application):
    """A script on gatekeyd's socket: one message, one answer."""

    def __init__(self, service, name, **more):
        super().__init__(name, **more)
        self.service = service

    def connect(self):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(PATIENCE)
        try:
            link.connect(self.service.socket)
        except OSError:
            link.close()
            raise
        return link

    def serve(self, link):
        answers = link.makefile("rb")
        while not self.enough.is_set():
            number = self.next()
            request = {"op": "publish", "topic": self.topic, "params": self.params(number)}
            link.sendall(json.dumps(request).encode() + b"\n")
            line = answers.readline()
            if not line.endswith(b"\n"):
                return
            answer = json.loads(line)
            if answer["ok"]:
                self.told[number] = int(answer["id"])
                self.accepted.append(number)
            else:
                self.refusals.append((number, answer))
            if self.pause:
                self.enough.wait(self.pause)


class Lines:
    """A running gatekey publish --lines."""

    def __init__(self, service, topic):
        self.program = subprocess.Popen([os.path.join(os.environ["abs_top_builddir"], "gatekey"), "--config", service.config,
                                         "publish", "--topic", topic, "--lines"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.answers = io.BufferedReader(self.program.stdout)

    def close(self):
        self.program.stdin.close()
        self.answers.close()
        self.program.wait(PATIENCE)


class LinesApplication(Application):
    """A script that pipes its messages into gatekey publish --lines, and reads under which number each was accepted."""

    COUNT = 20

    def __init__(self, service, name, **more):
        super().__init__(name, **more)
        self.service = service

    def connect(self):
        return Lines(self.service, self.topic)

    def serve(self, link):
        while not self.enough.is_set():
            numbers = [self.next() for _ in range(self.COUNT)]
            link.program.stdin.write(b"".join(json.dumps(self.params(number)).encode() + b"\n" for number in numbers))
            for number in numbers:
                line = link.answers.readline()
                if not line.endswith(b"\n"):
                    return
                self.told[number] = int(line)
                self.accepted.append(number)
            if self.pause:
                self.enough.wait(self.pause)


class BrokerApplication(Application):
    """A client of the local broker, QoS 1, with so many on their way."""

    def __init__(self, path, name, window=4, **more):
        super().__init__(name, **more)
        self.path = path
        self.window = window

    def connect(self):
        return LocalMqtt(self.path, self.name)

    def serve(self, link):
        waiting = collections.deque()
        while not self.enough.is_set() or waiting:
            while len(waiting) < self.window and not self.enough.is_set():
                number = self.next()
                link.packet_id = link.packet_id % 65535
                link.publish("gatekey/up/" + self.topic, self.params(number))
                waiting.append((link.packet_id, number))
            packet_id = link.acknowledged()
            for sent in list(waiting):
                if sent[0] == packet_id:
                    self.accepted.append(sent[1])
                    waiting.remove(sent)
            if self.pause:
                self.enough.wait(self.pause)


class Ledger:
    """Compares what applications were told with what arrived, which is read from the hub's journal bit by bit."""

    def __init__(self, hub, device):
        self.hub = hub
        self.device = device
        self.applications = {}
        self.offset = 0
        self.first = {}  # (application, number) -> the number it first arrived under
        self.order = collections.defaultdict(list)  # application -> its numbers as they first arrived
        self.holder = {}  # number -> what it was used for
        self.last = {}  # (lane, topic) -> the highest number that first arrived
        self.arrivals = self.envelopes = self.duplicates = self.again = 0
        self.refused = set()
        self.strange = []

    def add(self, application):
        self.applications[application.name] = application
        application.start()
        return application

    def read(self):
        """What arrived since."""
        for post in self.hub.journal(self.offset):
            self.offset = post.end
            if post.device == self.device:
                self.take(post)

    def take(self, post):
        envelope = json.loads(post.payload)
        batch = post.topic.endswith("/batch")
        self.envelopes += 1
        entries = envelope["params"] if batch else [envelope["params"]]
        first = int(envelope["id"]) - len(entries) + 1  # a request is known by the last message in it
        for index, params in enumerate(entries):
            what = self.message(post.topic, params)
            if what is None:
                what = ("", post.topic, json.dumps(params))  # nobody's here: the service's own
            self.arrive(post, first + index, what, len(entries) == 1)

    def message(self, topic, params):
        """Which application's it is, and its number."""
        if topic.startswith("thing/event/"):
            name, values = topic.split("/")[2], params.get("events", {})
            number = values.get("n")
        else:
            values = params.get("measurepoints", {})
            name = next(iter(values), None)
            number = values.get(name)
        return (name, number) if name in self.applications and isinstance(number, int) else None

    def arrive(self, post, number, what, alone):
        if self.holder.setdefault(number, what) != what:
            self.strange.append(f"number {number} was {self.holder[number]}, and came as {what}")
        if post.code != 200:
            if alone:  # otherwise one of its company may be to blame
                self.refused.add(what)
            return
        self.arrivals += 1
        if what not in self.first:
            self.first[what] = number
            if what[0]:
                self.order[what[0]].append(what[1])
            self.rise(post.topic, number, what)
        elif self.first[what] == number:
            self.duplicates += 1
        elif what[0] and what[1] in self.applications[what[0]].accepted:
            self.strange.append(f"{what} came as number {self.first[what]}, and as {number}")
        else:
            self.again += 1

    def rise(self, topic, number, what):
        """Within a lane and a topic numbers first arrive in their order."""
        lane = (number // LANE % 4, "points" if "measurepoint" in topic else topic)
        if number < self.last.get(lane, 0):
            self.strange.append(f"{what} came as number {number} after {self.last[lane]} on {topic}")
        self.last[lane] = max(number, self.last.get(lane, 0))

    def missing(self):
        """What was accepted and neither arrived nor was refused by the hub."""
        return [(name, number) for name, application in self.applications.items()
                for number in list(application.accepted)
                if (name, number) not in self.first and (name, number) not in self.refused]

    def refused_for_good(self):
        """What the hub refused and did not take later."""
        return [what for what in self.refused if what[0] and what not in self.first]

    def disorder(self):
        """Accepted ones of an application that first arrived after a later one."""
        found = []
        for name, numbers in self.order.items():
            accepted = set(self.applications[name].accepted)
            highest = 0
            for number in numbers:
                if number in accepted:
                    if number < highest:
                        found.append(f"{name}: {number} after {highest}")
                    highest = max(highest, number)
        return found

    def accepted(self):
        return sum(len(application.accepted) for application in self.applications.values())

    def handed(self):
        return sum(application.handed for application in self.applications.values())

    def drained(self):
        self.read()
        return not self.missing()

    def end(self):
        for application in self.applications.values():
            application.enough.set()
        for application in self.applications.values():
            application.end()

    def summary(self):
        return (f"{self.handed()} handed over, {self.accepted()} accepted, {len(self.first)} arrived in "
                f"{self.envelopes} envelopes, {self.duplicates} of them again, {len(self.refused_for_good())} refused, "
                f"{len(self.missing())} missing")

    def balance(self, counters):
        """What the counters of gatekeyd say when nothing waits any more beside what was seen here; "" when all agrees."""
        found = []
        rest = counters["acknowledged"] + counters["refused"] + counters["dropped"] + counters["stored"]
        if counters["accepted"] != rest:
            found.append(f"accepted {counters['accepted']} is not the sum of the others, {rest}")
        for what, counter, seen in (("stored", counters["stored"], 0), ("dropped", counters["dropped"], 0),
                                    ("acknowledged", counters["acknowledged"], sum(bool(what[0]) for what in self.first)),
                                    ("refused", counters["refused"], len(self.refused_for_good()))):
            if counter != seen:
                found.append(f"{what} {counter}, but {seen} were seen")
        return "; ".join(found)

    def check(self, test):
        """At the end."""
        self.read()
        missing = self.missing()
        test.assertEqual(missing[:10], [], f"{len(missing)} accepted messages did not arrive")
        self.strange += [f"{(name, number)} was accepted as number {told}, and came as {self.first[(name, number)]}"
                         for name, application in self.applications.items() for number, told in application.told.items()
                         if self.first.get((name, number), told) != told]
        test.assertEqual(self.strange[:10], [], f"{len(self.strange)} are not to be told apart")
        test.assertEqual(self.disorder()[:10], [], "order was not kept")
