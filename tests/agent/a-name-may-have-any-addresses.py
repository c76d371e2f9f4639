#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever the resolver says, gatekeyd finds the one address of many where the hub is, says what is wrong, and stays
at its owner's disposal; and a hub, a proxy or a resolver that never answers holds up nobody who wants to end it."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402

SECONDS = 10  # the end of patience with a service that is to end


class Addresses(GatekeydTest):
    def bad_hub(self, *address):
        hub = BadHub(self.hub, *address)
        self.addCleanup(hub.close)
        return hub

    def gateway(self, port, *addresses, **settings):
        """Its hub's name, hub.example, stands for these."""
        service = self.service(**{"host": "hub.example", "server_name": "localhost", "port": port, **settings}).enrol()
        service.program = "tests/agent/hasty-gatekeyd"
        self.names = os.path.join(service.folder, "names")
        if addresses:
            self.stands_for(*addresses)
        return service.start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/names.so"), NAMES=self.names)

    def stands_for(self, *addresses):
        with open(self.names + ".new", "w", encoding="ascii") as file:
            file.write("".join(address + "\n" for address in addresses))
        os.rename(self.names + ".new", self.names)

    def deaf(self):
        """An address where nobody even answers a SYN: as of a packet filter, or of a network that is not there."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            knocker = socket.socket()
            self.addCleanup(knocker.close)
            knocker.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocker.connect(listener.getsockname())
        return listener.getsockname()[1]

    def test_the_last_of_eight_is_as_good_as_the_first(self):
        hub = self.bad_hub()
        service = self.gateway(hub.port, "::1", *(f"127.0.9.{number}" for number in range(6)), "127.0.0.1").connected()
        status = service.status()
        self.assertEqual((status["attempts"], status["connects"], status["address"]), (1, 1, "127.0.0.1"))

    def test_ipv6_alone_is_enough(self):
        try:
            hub = BadHub(self.hub, "::1")
        except OSError:
            self.skipTest("no IPv6 here")
        self.addCleanup(hub.close)
        self.assertEqual(self.gateway(hub.port, "::1").connected().status()["address"], "::1")

    def test_a_name_that_is_not_known_yet_is_looked_up_again(self):
        service = self.gateway(self.bad_hub().port)
        wait_until("it says so", lambda: "looking up hub.example" in service.status().get("last_error", ""))
        self.stands_for("127.0.0.1")
        service.connected()

    def test_one_that_swallows_all_costs_its_turn_and_no_more(self):
        # The hub is at the next address, by the same port.
        port = self.deaf()
        self.bad_hub("127.0.0.2", port)
        service = self.gateway(port, "127.0.0.1", "127.0.0.2").connected()
        self.assertEqual(service.status()["attempts"], 1)

    def ends(self, service):
        service.process.terminate()
        try:
            self.assertEqual(service.process.wait(SECONDS), 0)
        except subprocess.TimeoutExpired:
            service.process.kill()
            raise
        service.process = None

    def is_at_hand(self, service):
        """It answers, and of two who want it to connect one waits and the other is told so."""
        self.assertTrue(service.publish({})["ok"])
        with service.open() as link:
            link.sendall(b'{"op":"reconnect"}\n')
            self.assertEqual(service.call({"op": "reconnect"})["status"], "GK_LOCK_HELD")
        self.ends(service)

    def connecting(self, service):
        wait_until("it is on its way", lambda: service.status()["state"] == "connecting")
        return service

    def silent(self):
        """Whoever listens there takes the connection, and what is said, and says nothing; how often he was called."""
        listener = socket.create_server(("127.0.0.1", 0))
        links = []

        def run():
            with contextlib.suppress(OSError):
                while True:
                    links.append(listener.accept()[0])

        thread = threading.Thread(target=run)
        thread.start()

        def close():
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for link in [listener, *links]:
                link.close()

        self.addCleanup(close)
        return listener.getsockname()[1], links

    def test_a_resolver_that_never_answers(self):
        self.is_at_hand(self.connecting(self.gateway(1, "hang")))

    def test_a_machine_that_never_answers(self):
        self.is_at_hand(self.connecting(self.gateway(self.deaf(), "127.0.0.1")))

    def test_a_hub_that_never_says_hello(self):
        port, links = self.silent()
        service = self.gateway(port, "127.0.0.1")
        wait_until("it was called", lambda: links)
        self.is_at_hand(service)

    def test_a_proxy_that_never_answers(self):
        for scheme in "http", "socks5":
            port, links = self.silent()
            service = self.gateway(1, "127.0.0.1", proxy=f"{scheme}://localhost:{port}")
            wait_until("it was called", lambda links=links: links)
            self.is_at_hand(service)

    def test_a_hub_that_lets_nobody_in(self):
        hub = self.bad_hub()
        asked = threading.Event()
        hub.on_connect = lambda _: asked.set()
        service = self.gateway(hub.port, "127.0.0.1")
        self.assertTrue(asked.wait(40))
        self.is_at_hand(service)

    def test_a_hub_that_grants_no_subscription_and_refuses_none(self):
        hub = self.bad_hub()
        hub.granted = None
        service = self.gateway(hub.port, "127.0.0.1").connected()
        wait_until("it was asked", lambda: hub.subscribed)
        self.assertTrue(service.publish({})["ok"])
        self.ends(service)


if __name__ == "__main__":
    unittest.main()
