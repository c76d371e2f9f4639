#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ports for servers: not those of the kernel's, not another test's, none twice, none that is taken."""

import os
import socket
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PROGRAMS, Hub, free_port  # noqa: E402

RUN = os.path.join(PROGRAMS, "..", "run")
BLOCK = 128
BLOCKS = range(10240, 65536, BLOCK)


def block_of(port):
    return port - port % BLOCK


def kernel_s(port):
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = (int(word) for word in file.read().split())
    return low <= port <= high


def hold(block):
    """As a test holds it."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    holder.bind(f"\0gatekey-ports-{block}")
    return holder


def another_test(ports=1):
    return subprocess.run([RUN, "sh", "-c", f"for i in $(seq {ports}); do '{PROGRAMS}/pick-port' || exit 1; done"],
                          capture_output=True, text=True, check=False)


class Ports(unittest.TestCase):
    def setUp(self):
        self.own = block_of(free_port())

    def test_are_none_that_the_kernel_gives_to_connections(self):
        for _ in range(40):
            for port in another_test(2).stdout.split():
                self.assertFalse(kernel_s(int(port)), port)

    def test_are_all_given_before_any_comes_again(self):
        # Half of them, as strangers may have the one or the other.
        given = [free_port() for _ in range(BLOCK // 2)]
        self.assertEqual({block_of(port) for port in given}, {self.own})
        self.assertEqual(len(set(given)), BLOCK // 2)
        self.assertIn(given[-1], [free_port() for _ in range(BLOCK)])

    def test_are_not_those_where_somebody_listens(self):
        taken = free_port()
        with socket.create_server(("127.0.0.1", taken)):
            self.assertNotIn(taken, [free_port() for _ in range(BLOCK)])

    @unittest.skipIf(subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode, "no network to be had")
    def test_are_this_test_s_alone(self):
        """In a network of its own, where the tests that run beside this one miss none."""
        subprocess.run(["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "alone", sys.executable, __file__, "Alone"],
                       check=True)

    def test_that_a_hub_had_are_asked_for_by_their_numbers(self):
        hub = Hub(PROGRAMS, os.path.join(os.environ["TMPDIR"], "hub"))
        ports = [hub.mqtts_port, hub.activation_port, hub.api_port, int(hub.env["HUB_HTTP_URL"].rsplit(":", 1)[1])]
        self.assertEqual({block_of(port) for port in ports}, {self.own})
        self.assertEqual(len(set(ports)), 4)
        self.assertEqual(hub.stop(), 0)
        for port, option in zip(ports, ("mqtts", "activation", "api", "http")):
            with socket.create_server(("127.0.0.1", port)):
                with self.assertRaisesRegex(RuntimeError, rf"somebody else has 127.0.0.1:{port}\); .*--port-{option}"):
                    hub.start()
        hub.start()
        self.assertEqual(hub.mqtts_port, ports[0])
        self.assertEqual(hub.stop(), 0)


class Alone(unittest.TestCase):
    """What test_are_this_test_s_alone runs."""

    def test_blocks_are_given_to_one_at_a_time(self):
        holders = {block: hold(block) for block in BLOCKS}
        done = another_test()
        self.assertEqual(done.returncode, 99, done)
        self.assertIn("no ports for the test: Address already in use", done.stderr)
        free = next(block for block in BLOCKS if not kernel_s(block) and not kernel_s(block + BLOCK - 1))
        holders.pop(free).close()
        for _ in range(2):  # the first gives it back
            self.assertEqual([block_of(int(port)) for port in another_test(3).stdout.split()], [free] * 3)
        # Outside of a test it is the same.
        alone = {name: value for name, value in os.environ.items() if name != "GATEKEY_PORTS"}
        done = subprocess.run([os.path.join(PROGRAMS, "pick-port")], env=alone, capture_output=True, check=True)
        self.assertEqual(block_of(int(done.stdout)), free)
        for holder in holders.values():
            holder.close()


if __name__ == "__main__":
    unittest.main(defaultTest="Ports")
