#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd finds its hub by other hosts and through proxies, says what is wrong on the way, and notices a dead link."""

import ctypes
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import GatekeydTest, openssl, wait_until  # noqa: E402
from wire import Http, Socks5, Wire  # noqa: E402


class Somewhere(GatekeydTest):
    def keep(self, thing):
        self.addCleanup(thing.close)
        return thing

    def failure(self, service, words):
        """Wait until it says so."""
        status = wait_until(f"it says {words}", lambda: words in service.status().get("last_error", "") and service.status())
        return status

    def hasty(self, **settings):
        service = self.service(**settings).enrol()
        service.program = "tests/agent/hasty-gatekeyd"
        return service

    def secret(self, text):
        path = os.path.join(os.path.realpath(self.folder), f"secret{time.monotonic_ns()}")
        with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        return path


class Hosts(Somewhere):
    def test_goes_to_the_next_host_when_the_first_is_not_there(self):
        # Nobody listens at 127.0.0.2; the second is no name at all; the third has the hub.
        service = self.hasty(host="127.0.0.2", fallback="hub.invalid localhost").start().connected()
        self.assertIn("connected to localhost port", service.lines()[-1])
        status = service.status()
        self.assertEqual((status["attempts"], status["connects"]), (1, 1))
        # It comes first from now on.
        self.hub.fault("post-drop", "--times", "1")
        service.publish({"temperature": 1})
        wait_until("it is back", lambda: service.status()["connects"] == 2)
        self.assertEqual(service.status()["attempts"], 2)
        self.assertEqual(service.stop(), 0)

    def test_trusts_each_host_by_its_own_name(self):
        # 127.0.0.1 and localhost are in the hub's certificate; this one is the same hub by a name that is not.
        service = self.hasty(host="localhost.localdomain", fallback="127.0.0.1")
        try:
            socket.getaddrinfo("localhost.localdomain", 1)
        except OSError:
            service.settings["hub"]["host"] = socket.gethostname()
        service.configure()
        service.start().connected()
        self.assertIn("connected to 127.0.0.1 port", service.lines()[-1])

    def test_says_the_most_telling_reason_of_several(self):
        strange = self.keep(BadHub(self.hub))
        strange.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = os.path.join(self.folder, "strange.pem")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem + ".key", "-subj", "/CN=localhost", "-out", pem)
        strange.tls.load_cert_chain(pem, pem + ".key")
        service = self.service(host="127.0.0.2", fallback="localhost", port=strange.port).enrol().start()
        status = self.failure(service, "its issuer is not among the roots")
        self.assertEqual(status["last_status"], "GK_UNTRUSTED")
        # The next attempt comes soon, for nothing was sent to a hub; and it is the same news.
        wait_until("it tried again", lambda: service.status()["attempts"] >= 3)
        self.assertEqual(len([line for line in service.lines() if "cannot connect" in line]), 1)
        with open(os.path.join(service.state, "connects"), encoding="ascii") as file:
            self.assertRegex(file.read(), r"^gatekey-connects 1 \S+ 0 0 [01]( \d+)?\n$")

    def test_puts_the_name_on_the_wire_and_never_an_address(self):
        named = []
        hub = self.keep(BadHub(self.hub))
        hub.tls.sni_callback = lambda link, name, context: named.append(name)
        for host, expected in ("localhost", "localhost"), ("127.0.0.1", None):
            service = self.service(host=host, port=hub.port).enrol().start().connected()
            service.stop()
            self.assertEqual(named.pop(), expected)
        service = self.service(host="127.0.0.1", port=hub.port, server_name="localhost").enrol().start().connected()
        self.assertEqual(named.pop(), "localhost")


class Proxies(Somewhere):
    NAMES = {"hub.example": "127.0.0.1"}

    def through(self, proxy, scheme, user="", password=None, **settings):
        """A gateway behind that proxy, which alone knows the hub's name."""
        settings.setdefault("host", "hub.example")
        if password is not None:
            settings["proxy_password_file"] = self.secret(password)
        return self.service(server_name="localhost", proxy=f"{scheme}://{user and user + '@'}localhost:{proxy.port}", **settings).enrol()

    def works(self, proxy, service):
        service.start().connected()
        self.assertTrue(service.publish({"temperature": 21.5})["ok"])
        wait_until("the hub has it", lambda: self.telemetry(service))
        large = {"text": "x" * 400 * 1024}
        self.assertTrue(service.publish(large)["ok"])
        wait_until("the hub has that as well", lambda: len(self.telemetry(service)) >= 2)
        self.assertEqual(proxy.asked[-1], ("hub.example", self.hub.mqtts_port))
        self.assertNotIn("secret word", "\n".join(service.lines()))

    def test_socks5(self):
        proxy = self.keep(Socks5(self.NAMES))
        self.works(proxy, self.through(proxy, "socks5"))

    def test_socks5_with_a_password(self):
        proxy = self.keep(Socks5(self.NAMES, "someone", "secret word"))
        self.works(proxy, self.through(proxy, "socks5", "someone", "secret word"))

    def test_http(self):
        proxy = self.keep(Http(self.NAMES))
        self.works(proxy, self.through(proxy, "http"))
        self.assertNotIn("Authorization", proxy.heads[0])

    def test_http_with_a_password(self):
        proxy = self.keep(Http(self.NAMES, "someone", "secret word"))
        service = self.through(proxy, "http", "someone", "secret word")
        self.works(proxy, service)
        # The private socket is gone as soon as it was used.
        self.assertEqual([name for name in os.listdir(service.state) if name.startswith("proxy")], [])

    def test_a_proxy_knows_every_host(self):
        proxy = self.keep(Http({"two.example": "127.0.0.1"}))
        service = self.through(proxy, "http", host="one.invalid", fallback="two.example").start().connected()
        self.assertEqual([name for name, _ in proxy.asked], ["one.invalid", "two.example"])
        self.assertIn("connected to two.example", service.lines()[-1])

    def test_a_link_behind_a_proxy_ends_like_any_other(self):
        proxy = self.keep(Http(self.NAMES))
        service = self.through(proxy, "http").start().connected()
        proxy.cut()
        wait_until("it noticed", lambda: not service.status()["connected"])
        service.another_day()
        service.connected()
        self.assertEqual(service.status()["connects"], 2)

    def refused(self, proxy, scheme, words, status="GK_PROXY", **more):
        service = self.through(proxy, scheme, **more).start()
        said = self.failure(service, words)
        self.assertEqual((said["last_status"], said["connects"]), (status, 0))
        self.assertIn(f"proxy localhost port {proxy.port}", said["last_error"])
        service.stop()
        return service

    def test_refusals_of_http_are_told_apart(self):
        refusals = ((b"HTTP/1.1 403 Forbidden\r\n\r\n", "it forbids this host or port, HTTP 403", "GK_PROXY"),
                    (b"HTTP/1.0 502 Bad Gateway\r\nX: y\r\n\r\n", "it cannot reach the hub, HTTP 502", "GK_UNREACHABLE"),
                    (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", "it makes no tunnel, HTTP 405", "GK_PROXY"),
                    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1024 * 1024, "its answer does not end", "GK_PROXY"),
                    (b"HTTP/1.1 407 Go away\r\nX: " + b"x" * 1024 * 1024, "it wants a user and a password, HTTP 407", "GK_PROXY"),
                    (b"HTTP/1.1 200 O\0K\r\n\r\n", "it hung up", "GK_UNREACHABLE"),
                    (b"SSH-2.0-OpenSSH\r\n\r\n", "what it says is no HTTP", "GK_PROXY"),
                    (b"", "it hung up", "GK_UNREACHABLE"))
        for answer, words, status in refusals:
            self.refused(self.keep(Http(answer=answer)), "http", words, status)
        proxy = self.keep(Http(self.NAMES, "someone", "secret word"))
        self.refused(proxy, "http", "it wants a user and a password, HTTP 407")
        self.refused(proxy, "http", "it refuses this user and password, HTTP 407", user="someone", password="another word")

    def test_refusals_of_socks5_are_told_apart(self):
        for code, words, status in ((2, "it forbids this host or port, SOCKS5 2", "GK_PROXY"),
                                    (4, "it does not reach the hub, SOCKS5 4", "GK_UNREACHABLE"),
                                    (5, "the hub refused its connection, SOCKS5 5", "GK_UNREACHABLE")):
            self.refused(self.keep(Socks5(self.NAMES, code=code)), "socks5", words, status)
        for answer in b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\4\0", bytes(1024 * 1024):
            self.refused(self.keep(Socks5(answer=answer)), "socks5", "what it says is no SOCKS5")
        proxy = self.keep(Socks5(self.NAMES, "someone", "secret word"))
        self.refused(proxy, "socks5", "it wants a user and a password, SOCKS5 255")
        self.refused(proxy, "socks5", "it refuses this user and password, SOCKS5 1", user="someone", password="another word")

    def test_a_proxy_that_is_not_there_is_named(self):
        proxy = Wire(1)
        proxy.close()
        for scheme in "http", "socks5":
            self.refused(proxy, scheme, "Connection refused", "GK_UNREACHABLE")


class DeadLinks(Somewhere):
    """By the clock of the day, as which a keepalive has 60 s at least; both at once."""

    def half_open(self):
        """Nothing gets through any more, and nobody is told."""
        hub = self.keep(BadHub(self.hub))
        wire = self.keep(Wire(hub.port))
        service = self.service(port=wire.port).enrol().start().connected()
        wire.stalled = True
        return service

    def deaf(self):
        """A hub that does not read: its buffers fill, and then ours."""
        hub = self.keep(BadHub(self.hub))
        stop = threading.Event()
        self.addCleanup(stop.set)
        hub.on_publish = lambda *_: stop.wait()
        service = self.service(port=hub.port).enrol().start().connected()
        for _ in range(12):
            service.publish({"text": "x" * 500 * 1024})
        return service

    def test_are_noticed_and_hold_nobody_up(self):
        services = [self.half_open(), self.deaf()]
        until = time.monotonic() + 150  # not the bound, but the end of patience
        while any(service.status()["connected"] for service in services) and time.monotonic() < until:
            time.sleep(1)
        for service in services:
            self.assertIn("cannot stay connected", service.lines()[-1])
            self.assertEqual(service.status()["connects"], 1)
            self.assertIn("did not answer a ping", service.lines()[-1])


@unittest.skipUnless(os.geteuid() == 0, "only root can give a network of its own to a test")
class Network(Somewhere):
    def test_tries_again_when_the_network_is_back(self):
        if subprocess.run(["unshare", "-n", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no network namespaces here")
        service = self.service(host="192.0.2.1").enrol()
        service.start(preexec_fn=leave_network)
        self.failure(service, "Network is unreachable")

        def planned():
            status = service.status()
            return status if status["state"] == "waiting" and status["next_attempt_s"] > 12 else None

        before = wait_until("it waits for long", planned)
        seen = [before]

        def tried():
            status = service.status()
            if status["attempts"] == before["attempts"] and status["state"] == "waiting":
                seen.append(status)
            return status["attempts"] > before["attempts"]

        enter = ["nsenter", "-t", str(service.process.pid), "-n", "ip"]
        subprocess.run([*enter, "link", "set", "lo", "up"], check=True)
        subprocess.run([*enter, "address", "add", "192.0.2.1/32", "dev", "lo"], check=True)
        wait_until("it tries again", tried)
        # By its own plan, which counts down to its turn.
        self.assertGreater(seen[-1].get("next_attempt_s", 0), 1, "it waited for its turn")
        self.failure(service, "Connection refused")


def leave_network():
    """unshare(CLONE_NEWNET): from now on nothing is reached."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    unittest.main()
