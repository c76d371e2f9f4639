# SPDX-License-Identifier: Apache-2.0
"""The local broker in a folder of its own, for tests: our configuration of stock mosquitto, our plugin, an application."""

import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "hub"))

from packets import Packets  # noqa: E402

from sanitizer import preload  # noqa: E402

SOURCE = os.environ["abs_top_srcdir"]
BUILD = os.environ["abs_top_builddir"]
MOSQUITTO = os.environ.get("MOSQUITTO_BROKER", "/usr/sbin/mosquitto")
PLUGIN = os.path.join(BUILD, ".libs", "gatekey-broker.so")
PATIENCE = 120


class LocalBroker:
    """mosquitto as gatekey-broker.service runs it, beside a service; plugin=False: an owner's own one, without ours.

    It is started and killed apart from its service, whose [local] broker must be path before that starts.
    """

    def __init__(self, service, plugin=True, lines=()):
        self.folder = os.path.join(service.folder, "local")
        os.makedirs(self.folder, exist_ok=True)
        self.path = os.path.join(self.folder, "broker.sock")
        self.log = os.path.join(self.folder, "log")
        self.config = os.path.join(self.folder, "broker.conf")
        self.process = None
        self.environment = preload(PLUGIN) if plugin else {}
        if self.environment:
            # What the broker leaks itself is not ours.
            leaks = os.path.join(self.folder, "leaks")
            self.environment["LSAN_OPTIONS"] = f"suppressions={leaks}:print_suppressions=0"
            with open(leaks, "w", encoding="utf-8") as file:
                file.write("leak:mosquitto__calloc\n")
            # 2.0.11 reads past a client's name when it writes down a session.
            overreads = os.path.join(self.folder, "overreads")
            self.environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + f":suppressions={overreads}"
            with open(overreads, "w", encoding="utf-8") as file:
                file.write("interceptor_via_fun:persist__chunk_client_write_v6\n")
        with open(os.path.join(SOURCE, "conf/gatekey-broker.conf.in"), encoding="utf-8") as file:
            text = file.read()
        for ours, here in (("@brokerplugindir@/gatekey-broker.so", PLUGIN), ("/run/gatekey/local/", self.folder + "/"),
                           ("/run/gatekey/gatekeyd.sock", service.socket), ("/var/lib/gatekey-broker/", self.folder + "/")):
            assert ours in text, ours
            text = text.replace(ours, here)
        if not plugin:
            text = text.replace("/inner/", "/")
        kept = [line for line in text.splitlines() if plugin or not line.startswith("plugin")]
        # Started by root it would become user mosquitto.
        self.configure(kept + ["user root", *lines])

    def configure(self, lines):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def join(self, service):
        """Have the service, which is yet to be started, use this broker."""
        service.local += f"broker = {self.path}\n"
        service.configure()
        return self

    def start(self, **popen):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", self.config], stderr=log, stdout=log,
                                            env={**os.environ, **self.environment}, **popen)
        until = time.monotonic() + PATIENCE
        while not self.listens():
            assert self.process.poll() is None and time.monotonic() < until, self.lines()
            time.sleep(0.02)
        return self

    def listens(self):
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(self.path)
                return True
            except OSError:
                return False

    def kill(self):
        """As a power cut would, for this program."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process = None

    def stop(self):
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.process = None
        assert not self.environment or code == 0, (code, self.lines())
        return code

    def lines(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read().splitlines()

    def application(self, name, **options):
        return Application(self.path, name, **options)


class Application(Packets):
    """MQTT by hand, so that a test sees each packet: 3.1.1, or level=5."""

    def __init__(self, path, name, clean=True, level=4, user=None, password=None, patience=PATIENCE):
        self.buffer = b""
        self.packet_id = 0
        self.level = level
        self.inbox = []  # messages that came while something else was waited for
        self.acks = []  # (packet id, reason) of PUBACKs, in their order
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)
        try:
            self.greet(path, name, clean, user, password)
        except BaseException:
            self.socket.close()
            raise

    def greet(self, path, name, clean, user, password):
        self.socket.connect(path)
        flags = (2 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
        properties = b"" if self.level == 4 else b"\x05\x11" + struct.pack("!I", 0 if clean else 3600)
        self.send(0x10, text("MQTT") + bytes([self.level, flags]) + struct.pack("!H", 0) + properties + text(name)
                  + (text(user) if user is not None else b"") + (text(password) if password is not None else b""))
        kind, body = self.packet()
        assert kind == 0x20, kind
        self.present, self.connack = body[0], body[1]

    def dispatch(self):
        """Read one packet; messages and PUBACKs are kept, the rest is returned."""
        kind, body = self.packet()
        if kind & 0xF0 == 0x30:
            self.inbox.append(self.message(kind, body))
        elif kind == 0x40:
            self.acks.append((struct.unpack("!H", body[:2])[0], body[2] if len(body) > 2 else 0))
        else:
            return kind, body
        return None, None

    def message(self, kind, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, body = body[2:2 + size].decode(), body[2 + size:]
        if kind & 6:
            self.send(0x40, body[:2])
            body = body[2:]
        if self.level == 5:
            body = body[1 + body[0]:]
        return topic, body

    def subscribe(self, topic, qos=1):
        """What was granted: a QoS, or 128 and more."""
        self.packet_id += 1
        properties = b"\0" if self.level == 5 else b""
        self.send(0x82, struct.pack("!H", self.packet_id) + properties + text(topic) + bytes([qos]))
        while True:
            kind, body = self.dispatch()
            if kind == 0x90:
                return body[-1]

    def publish(self, topic, payload, qos=1, retain=False, dup=False, packet_id=None):
        """Send it; its packet id."""
        payload = payload if isinstance(payload, bytes) else payload.encode()
        if packet_id is None:
            self.packet_id = self.packet_id % 65535 + 1
            packet_id = self.packet_id
        head = struct.pack("!H", packet_id) if qos else b""
        properties = b"\0" if self.level == 5 else b""
        self.send(0x30 | qos << 1 | (1 if retain else 0) | (8 if dup else 0), text(topic) + head + properties + payload)
        return packet_id

    def wait_ack(self, packet_id):
        """Its reason code; 0 is yes."""
        while True:
            for acked, reason in self.acks:
                if acked == packet_id:
                    self.acks.remove((acked, reason))
                    return reason
            self.dispatch()

    def hand_over(self, topic, payload, **options):
        """Publish and wait for the PUBACK: its reason code."""
        return self.wait_ack(self.publish(topic, payload, **options))

    def receive(self):
        """The next message as (topic, payload)."""
        while not self.inbox:
            self.dispatch()
        return self.inbox.pop(0)

    def ping(self):
        """Whatever the broker had to say before is there after this."""
        self.send(0xC0, b"")
        while self.dispatch()[0] != 0xD0:
            pass

    def is_cut(self):
        try:
            while True:
                self.dispatch()
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("!H", len(value)) + value
