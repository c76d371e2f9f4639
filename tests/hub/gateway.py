# SPDX-License-Identifier: Apache-2.0
"""What a device and a provisioner need to talk to the hub, for tests: MQTT 3.1.1 by hand, REST, keys by openssl."""

import collections
import copy
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from packets import Packets

PROGRAMS = os.path.join(os.environ.get("abs_top_builddir", os.getcwd()), "tests", "hub")

PATIENCE = 120  # the end of it, never a claim: what is waited for comes in a moment, or later on a busy machine

SUBJECT = "/C=CN/ST=Shanghai/L=Shanghai/O=EnOS/OU=test/CN="


def openssl(*words, text=None, stderr=False):
    """What openssl says on stdout or, where asked for, on stderr."""
    done = subprocess.run(["openssl", *words], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stderr if stderr else done.stdout


def free_port():
    """One of 127.0.0.1 that nobody else is given, for a server that cannot choose by itself."""
    return int(subprocess.run([os.path.join(PROGRAMS, "pick-port")], check=True, capture_output=True).stdout)


def told(code):
    """The CONNACK code a device sees when the hub refuses it with code.

    The plugin interface knows 5 only; the others need a function that not every build of mosquitto exports.
    """
    with open(os.environ.get("MOSQUITTO_BROKER", "/usr/sbin/mosquitto"), "rb") as broker:
        return code if b"send__connack" in broker.read() else 5


def context(ca, cert=None, key=None, version=None):
    """The client's side of TLS: chain and host name are always checked."""
    tls = ssl.create_default_context(cafile=ca)
    tls.verify_flags |= ssl.VERIFY_X509_STRICT
    if cert:
        tls.load_cert_chain(cert, key)
    if version:
        tls.minimum_version = tls.maximum_version = version
    return tls


class Mqtt(Packets):
    """One MQTT connection. connack is the return code; everything received is in order in receive()."""

    links = []  # all that were opened, for whoever cleans up

    def __init__(self, port, tls, client_id, user, password, level=4, keepalive=60, patience=PATIENCE):
        Mqtt.links.append(self)
        self.buffer = b""
        self.packet_id = 0
        self.inbox = []  # messages that came before the answer to a ping
        self.patience = patience
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        name = b"MQTT" if level == 4 else b"MQIsdp"
        self.send(0x10, self.text(name) + bytes([level, 0xC2]) + struct.pack("!H", keepalive)
                  + self.text(client_id) + self.text(user) + self.text(password))
        kind, body = self.packet()
        assert kind == 0x20, kind
        self.connack = body[1]

    @staticmethod
    def text(value):
        value = value if isinstance(value, bytes) else value.encode()
        return struct.pack("!H", len(value)) + value

    def subscribe(self, topic, qos=1):
        """What was granted: a QoS, or 128."""
        self.packet_id += 1
        self.send(0x82, struct.pack("!H", self.packet_id) + self.text(topic) + bytes([qos]))
        while True:
            kind, body = self.packet()
            if kind == 0x90:
                return body[2]

    def publish(self, topic, payload, qos=1):
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.packet_id += 1
        packet_id = struct.pack("!H", self.packet_id) if qos else b""
        self.send(0x30 | qos << 1, self.text(topic) + packet_id + payload)

    def receive(self, seconds=None):
        """The next message as (topic, payload), or None when none comes in time."""
        until = time.monotonic() + (self.patience if seconds is None else seconds)
        if self.inbox:
            return self.inbox.pop(0)
        try:
            while True:
                self.socket.settimeout(max(until - time.monotonic(), 0.001))
                kind, body = self.packet()
                if kind & 0xF0 == 0x30:
                    return self.message(kind, body)
        except (TimeoutError, ssl.SSLWantReadError):
            return None
        finally:
            self.socket.settimeout(self.patience)

    def message(self, kind, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, body = body[2:2 + size].decode(), body[2 + size:]
        if kind & 6:
            self.send(0x40, body[:2])
            body = body[2:]
        return topic, body

    def ping(self):
        """Whatever was published before has been seen to, and what the hub said to it is there."""
        self.send(0xC0, b"")
        while (packet := self.packet())[0] != 0xD0:
            if packet[0] & 0xF0 == 0x30:
                self.inbox.append(self.message(*packet))

    def is_cut(self):
        """Whether the hub ended the connection."""
        try:
            self.socket.settimeout(self.patience)
            while self.packet():
                pass
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()


def sign_connect(cid, device, product, stamp, secret, method="sha256"):
    joined = f"clientId{cid}deviceKey{device}productKey{product}timestamp{stamp}{secret}"
    return hashlib.new(method, joined.encode()).hexdigest()


# One request of a device: when it was answered (CLOCK_MONOTONIC), with which code; its end in the journal.
Post = collections.namedtuple("Post", "us code device topic payload end")


class Hub:
    """A running hub and its provisioner's credentials."""

    def __init__(self, programs, directory, *options):
        self.programs = programs
        self.directory = directory
        self.options = options
        self.start()

    def start(self, *options):
        environment = os.path.join(self.directory, "hub.env")
        self.log = open(f"{self.directory}.log", "a", encoding="utf-8")
        self.process = subprocess.Popen([os.path.join(self.programs, "hub"), *self.options, *options, self.directory],
                                        stderr=self.log)
        self.env = {}
        # One left over by a hub that was killed names another process.
        while self.env.get("HUB_PID") != str(self.process.pid):
            if self.process.poll() is not None:
                self.log.close()
                with open(f"{self.directory}.log", encoding="utf-8") as log:
                    raise RuntimeError(log.read())
            time.sleep(0.02)
            if os.path.exists(environment):
                with open(environment, encoding="utf-8") as file:
                    self.env = dict(line.strip().replace("'", "").split("=", 1) for line in file)
        self.ca = self.env["HUB_CA_FILE"]
        self.product = self.env["HUB_PRODUCT_KEY"]
        self.org = self.env["HUB_ORG_ID"]
        self.app_key = self.env["HUB_APP_KEY"]
        self.app_secret = self.read("HUB_APP_SECRET_FILE")
        self.product_secret = self.read("HUB_PRODUCT_SECRET_FILE")
        self.mqtts_port = int(self.env["HUB_MQTTS_PORT"])
        self.activation_port = int(self.env["HUB_ACTIVATION_PORT"])
        self.api_port = int(self.env["HUB_API_URL"].rsplit(":", 1)[1])
        self.token = None
        self.stamp = int(time.time() * 1000)

    def read(self, name):
        with open(self.env[name], encoding="utf-8") as file:
            return file.read()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.log.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.log.close()

    def ctl(self, *words, check=True):
        done = subprocess.run([os.path.join(self.programs, "hubctl"), self.directory, *words],
                              capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done

    def table(self, name):
        return json.loads(self.ctl(name, "--json").stdout)

    def journal(self, offset=0):
        """What devices posted, where it runs with --journal: from that offset on what is there whole by now."""
        with open(os.path.join(self.directory, "journal"), "rb") as file:
            file.seek(offset)
            for head in file:
                try:
                    us, code, device, rest = head.split(b" ", 3)
                    topic, size = rest.rsplit(b" ", 1)
                    payload = file.read(int(size) + 1)
                except ValueError:
                    return
                if len(payload) != int(size) + 1:
                    return
                offset += len(head) + len(payload)
                yield Post(int(us), int(code), device.decode(), topic.decode(), payload[:-1], offset)

    def fault(self, *words):
        self.ctl("fault", *words)

    def http(self, method, path, body=None, headers=None, tls=None):
        """An HTTPS call as it stands: (status, body)."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.api_port, timeout=PATIENCE,
                                                 context=tls or context(self.ca))
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def next_stamp(self):
        """Never the same twice, or the token service takes it for a replay."""
        self.stamp = max(self.stamp + 1, int(time.time() * 1000))
        return self.stamp

    def token_call(self, action, stamp=None, key=None, secret=None, **more):
        stamp = self.next_stamp() if stamp is None else stamp
        key = key or self.app_key
        proof = hashlib.sha256(f"{key}{stamp}{secret or self.app_secret}".encode()).hexdigest()
        body = {"appKey": key, "encryption": proof, "timestamp": stamp, **more}
        return json.loads(self.http("POST", f"/apim-token-service/v2.0/token/{action}", json.dumps(body))[1])

    def call(self, method, path, query, body=None, token=None, spoil=False):
        """A signed call: (HTTP status, answer)."""
        if token is None:
            self.token = self.token or self.token_call("get")["data"]["accessToken"]
            token = self.token
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        stamp = str(self.next_stamp())
        joined = "".join(name + query[name] for name in sorted(query))
        proof = hashlib.sha256((token + joined + text + stamp + self.app_secret).encode()).hexdigest()
        status, data = self.http(method, f"{path}?{urllib.parse.urlencode(query)}", text or None,
                                 {"apim-accesstoken": token, "apim-timestamp": stamp,
                                  "apim-signature": proof[::-1] if spoil else proof,
                                  "Content-Type": "application/json;charset=UTF-8"})
        return status, json.loads(data)

    def application(self, name, permissions, products="*"):
        """A new application, to be used in place of the one the hub begins with."""
        printed = self.ctl("application", "add", name, "--permissions", permissions, "--products", products).stdout
        words = dict(line.split(None, 1) for line in printed.splitlines())
        other = copy.copy(self)
        other.app_key, other.token = words["key"], None
        with open(words["secret_file"], encoding="utf-8") as file:
            other.app_secret = file.read()
        return other

    def devices(self, action, device=None, body=None, **query):
        query = {"action": action, "orgId": self.org, **query}
        if device:
            query.update(productKey=self.product, deviceKey=device)
        return self.call("GET" if action == "get" else "POST", "/connect-service/v2.1/devices", query, body)[1]

    def certificates(self, action, device, body=None, **query):
        query = {"action": action, "orgId": self.org, "productKey": self.product, "deviceKey": device, **query}
        method = "GET" if action == "list" else "POST"
        return self.call(method, "/connect-service/v2.0/certificates", query, body)[1]

    def events(self, **query):
        return self.call("GET", "/connect-service/v2.1/events", {"action": "list", "orgId": self.org, **query})[1]

    def commands(self, service, device, inputs, **query):
        query = {"action": "invokeService", "orgId": self.org, "productKey": self.product, "deviceKey": device,
                 "serviceId": service, **query}
        return self.call("POST", "/connect-service/v2.1/commands", query, {"inputData": inputs})[1]

    def create(self, device):
        """Create a device; its secret."""
        answer = self.devices("create", body={"productKey": self.product, "deviceKey": device,
                                              "timezone": "+08:00", "deviceName": {"defaultValue": device}})
        assert answer["code"] == 0, answer
        return answer["data"]["deviceSecret"]


class Device:
    """A device with a software key, created at the hub and, unless told otherwise, with its certificate."""

    def __init__(self, hub, key, certified=True):
        self.hub = hub
        self.device = key
        self.secret = hub.create(key)
        self.base = os.path.join(f"{hub.directory}.devices", key)
        os.makedirs(self.base, exist_ok=True)
        self.key = os.path.join(self.base, "key.pem")
        self.cert = os.path.join(self.base, "cert.pem")
        self.sys = f"/sys/{hub.product}/{key}/"
        self.ext = f"/ext/session/{hub.product}/{key}/"
        self.serial = None
        if certified:
            openssl("genrsa", "-out", self.key, "2048")
            answer = hub.certificates("apply", key, {"csr": self.csr(), "validDay": 30})
            assert answer["code"] == 0, answer
            self.serial = int(answer["data"]["certSN"])
            with open(self.cert, "w", encoding="utf-8") as file:
                file.write(answer["data"]["cert"])

    def csr(self, name=None, *options):
        return openssl("req", "-new", "-key", self.key, "-sha256", *options,
                       "-subj", SUBJECT + (name or self.device))

    def connect(self, mode=2, secret=None, cert=None, key=None, port=None, tail=None, user=None, method="sha256",
                upper=True, version=None, cid=None, **more):
        """An Mqtt connection, signed as EnOS's clients do."""
        hub = self.hub
        cid = cid or self.device
        stamp = hub.next_stamp()
        proof = sign_connect(cid, self.device, hub.product, stamp, secret or self.secret,
                             method.lower().replace("hmac", ""))
        activation = port == hub.activation_port
        tls = context(hub.ca, None if activation else cert or self.cert, None if activation else key or self.key, version)
        tail = tail or f"securemode={mode},signmethod={method},timestamp={{}}"
        return Mqtt(port or hub.mqtts_port, tls, f"{cid}|{tail.format(stamp)}|",
                    user or f"{self.device}&{hub.product}", proof.upper() if upper else proof, **more)

    def handshake(self, version):
        """Only TLS, and then what the hub says to it: in TLS 1.3 a refusal comes after the client's last word."""
        tls = context(self.hub.ca, self.cert, self.key, version)
        with socket.create_connection(("127.0.0.1", self.hub.mqtts_port), timeout=PATIENCE) as raw:
            with tls.wrap_socket(raw, server_hostname="127.0.0.1") as link:
                link.recv(1)

    def activate(self, **more):
        return self.connect(mode=3, secret=self.hub.product_secret, port=self.hub.activation_port, **more)

    def ask(self, link, rest, params=None, method=None, ident="7", tree=None, **more):
        """Publish a request and return the reply's payload."""
        tree = tree or self.sys
        assert link.subscribe(f"{tree}{rest}_reply") != 128
        link.publish(tree + rest, {"id": ident, "version": "1.0",
                                   "method": method or rest.replace("/", "."), "params": params, **more})
        while True:
            # A wildcard the device subscribed to brings its own request back as well.
            topic, payload = link.receive()
            if topic == f"{tree}{rest}_reply":
                return json.loads(payload)


class HubTest(unittest.TestCase):
    """All tests share one hub; each has devices of its own."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="gatekey-hub-")
        cls.hub = Hub(PROGRAMS, os.path.join(cls.folder, "hub"), *cls.options())
        cls.count = 0

    @classmethod
    def options(cls):
        return []

    @classmethod
    def tearDownClass(cls):
        code = cls.hub.stop()
        shutil.rmtree(cls.folder)
        assert code == 0, f"the hub ended with {code}"

    def tearDown(self):
        self.hub.fault("--clear")
        while Mqtt.links:
            Mqtt.links.pop().close()

    def device(self, certified=True):
        type(self).count += 1
        return Device(self.hub, f"gw-{self.count}", certified)

    def refusal(self, device):
        return [row for row in self.hub.table("connects") if row["deviceKey"] == device.device][-1]
