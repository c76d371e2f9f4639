# SPDX-License-Identifier: Apache-2.0
"""A hub that holds the right certificate and means no good: it lets everybody in and says what a test tells it to."""

import contextlib
import os
import socket
import ssl
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "hub"))

from gateway import Mqtt  # noqa: E402


class Peer(Mqtt):
    """The hub's end of one MQTT connection."""

    def __init__(self, link):  # pylint: disable=super-init-not-called
        self.socket, self.buffer, self.packet_id, self.patience = link, b"", 0, 60

    def serve(self, hub):
        """Answer what must be answered; leave the rest to the test."""
        with contextlib.suppress(OSError, ssl.SSLError):
            while True:
                kind, body = self.packet()
                if kind == 0x10:
                    hub.gate.wait()
                    if hub.on_connect is None:
                        self.send(0x20, b"\0\0")
                    else:
                        hub.on_connect(self)
                elif kind == 0x82:
                    hub.subscribed.append(body[4:-1].decode())
                    if hub.granted is not None:
                        self.send(0x90, body[:2] + bytes([hub.granted]))
                    hub.on_subscribe(self, hub.subscribed[-1])
                elif kind == 0xA2:
                    hub.unsubscribed.append(body[4:].decode())
                    self.send(0xB0, body[:2])
                elif kind & 0xF0 == 0x30:
                    hub.on_publish(self, *self.message(kind, body))
                elif kind == 0xC0:
                    hub.pings += 1
                    self.send(0xD0, b"")

    def begin(self, topic, size):
        """The first bytes of a message of that size; the rest is the caller's to send."""
        body = self.text(topic)
        length = len(body) + size
        head = bytes([0x30, length & 127 | 128, length >> 7 & 127 | 128, length >> 14 & 127 | 128, length >> 21])
        self.socket.sendall(head + body)


class BadHub:
    """Listens as long as it is open, with the hub's certificate or as the context says; set on_publish and on_subscribe before anybody comes."""

    def __init__(self, hub, address="127.0.0.1", port=0, tls=None):
        self.tls = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls is None:
            self.tls.load_cert_chain(os.path.join(hub.directory, "server.pem"), os.path.join(hub.directory, "server.key"))
        self.listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.subscribed, self.unsubscribed, self.links = [], [], []
        self.pings = 0
        self.on_connect = None  # says something else than "come in"
        self.granted = 1  # 128: no subscription; None: no answer
        self.gate = threading.Event()  # while it is cleared nobody hears whether he may come in
        self.gate.set()
        self.on_publish = self.on_subscribe = lambda *_: None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self.listener.accept()
                self.links.append(raw)
                with raw, contextlib.suppress(OSError, ssl.SSLError):
                    with self.tls.wrap_socket(raw, server_side=True) as link:
                        self.links.append(link)
                        Peer(link).serve(self)

    def cut(self):
        """As if the line was: nobody says goodbye."""
        links, self.links = self.links, []
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.gate.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        self.listener.close()
        self.thread.join()
