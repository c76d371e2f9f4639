# SPDX-License-Identifier: Apache-2.0
"""A local broker that is a few lines of a test, which sees each byte that gatekeyd says to it."""

import json
import os
import select
import socket
import struct

from localbroker import Application, text
from service import GatekeydTest, PATIENCE

TOPIC = "gatekey/up/thing/measurepoint/post"


class Client:
    """gatekeyd's connection, seen from the broker's end."""

    send = Application.send
    exactly = Application.exactly
    packet = Application.packet

    def __init__(self, link):
        self.socket = link
        self.socket.settimeout(PATIENCE)
        self.buffer = b""
        kind, body = self.packet()
        assert kind == 0x10, kind
        self.level, flags = body[6], body[7]
        assert flags & 2 == 0, "a clean session"
        body, self.properties = body[10:], b""
        if self.level == 5:
            self.properties, body = body[1:1 + body[0]], body[1 + body[0]:]
        self.name = body[2:2 + struct.unpack("!H", body[:2])[0]].decode()
        self.filters = []

    def more(self, properties=b""):
        """What MQTT 5 has between head and payload."""
        return bytes([len(properties)]) + properties if self.level == 5 else b""

    def admit(self, granted=1, properties=b""):
        """Let it in, and have it subscribe."""
        self.send(0x20, b"\0\0" + self.more(properties))
        while len(self.filters) < 2:
            kind, body = self.packet()
            assert kind == 0x82, kind
            mid, body = body[:2], body[2 + len(self.more()):]
            size = struct.unpack("!H", body[:2])[0]
            self.filters.append((body[2:2 + size].decode(), body[2 + size]))
            self.send(0x90, mid + self.more() + bytes([granted]))
        return self

    def refuse(self, code):
        """By a CONNACK of MQTT 3.1.1; None: without one."""
        if code is not None:
            self.send(0x20, bytes([0, code]))
        self.socket.close()

    def deliver(self, numbers, topic=TOPIC, dup=False, retain=False, payload=None):
        """All of them in one write."""
        sent = b""
        for number in numbers:
            content = payload or json.dumps({"measurepoints": {"n": number}}).encode()
            body = text(topic) + struct.pack("!H", number) + self.more() + content
            assert len(body) < 128
            sent += bytes([0x32 | (8 if dup else 0) | (1 if retain else 0), len(body)]) + body
        self.socket.sendall(sent)

    def message(self, body):
        """A PUBLISH of QoS 1, taken apart: topic, packet id, properties, payload."""
        size = struct.unpack("!H", body[:2])[0]
        topic, mid, body = body[2:2 + size].decode(), body[2 + size:4 + size], body[4 + size:]
        properties = b""
        if self.level == 5:
            properties, body = body[1:1 + body[0]], body[1 + body[0]:]
        return topic, mid, properties, body

    def published(self):
        """What it publishes next, its own status aside."""
        while True:
            kind, body = self.packet()
            assert kind & 0xF6 == 0x32, kind
            message = self.message(body)
            if message[0] != "gatekey/status":
                return message
            self.acknowledge(message[1])

    def acknowledge(self, mid, reason=0):
        self.send(0x40, mid + (bytes([reason]) if reason else b""))

    def has_said(self):
        """What came and was not read yet; waits for nothing."""
        return bool(self.buffer) or bool(select.select([self.socket], [], [], 0)[0])

    def acks(self, count):
        """The numbers of so many PUBACKs."""
        numbers = []
        while len(numbers) < count:
            kind, body = self.packet()
            assert kind == 0x40, kind
            numbers.append(struct.unpack("!H", body[:2])[0])
        return numbers

    def rest(self):
        """All that comes until the other end hangs up."""
        came = self.buffer
        while True:
            more = self.socket.recv(65536)
            if not more:
                return came
            came += more


class Broker(GatekeydTest):
    """A gatekeyd, connected to its hub and to a broker of that level."""

    count = 0
    level = 5
    refusal = 1  # how one of level 4 refuses MQTT 5: a code, or None

    def setUp(self):
        super().setUp()
        self.gateway = self.service()
        folder = os.path.join(self.gateway.folder, "local")
        os.mkdir(folder)
        path = os.path.join(folder, "broker.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(PATIENCE)
        self.listener.bind(path)
        self.listener.listen()
        self.gateway.local = f"broker = {path}\n{self.local()}"
        self.gateway.configure()
        self.gateway.enrol().start(**self.environment())
        self.gateway.connected()
        self.client = self.accept()

    def local(self):
        """More lines of [local]."""
        return ""

    def environment(self):
        """gatekeyd's, beside the usual."""
        return {}

    def tearDown(self):
        self.listener.close()
        self.client.socket.close()
        super().tearDown()

    def knock(self):
        return Client(self.listener.accept()[0])

    def accept(self):
        client = self.knock()
        while client.level > self.level:
            client.refuse(self.refusal)
            client = self.knock()
        self.assertEqual(client.level, self.level)
        return client.admit()

    def again(self):
        """As if the broker was restarted."""
        self.client.socket.close()
        self.client = self.accept()
