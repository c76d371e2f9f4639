#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gateways in networks of their own that are bad in the ways networks are: they lose packets, swallow the large ones,
forget connections, know no names yet, or are away for a while. gatekeyd comes back by itself and all it accepted arrives.

Needs root, for network namespaces; nothing outside of them is touched.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from faultproxy import FaultProxy  # noqa: E402
from service import GatekeydTest, Tpm, wait_until  # noqa: E402
from talk import Talk, check_connects  # noqa: E402

HUB_NAME, HUB_ADDRESS = "hub.test", "10.213.0.1"
PATIENCE = 240
LONG_WAIT_S = 25
INSIDE = "GATEKEY_TEST_NETWORK"


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


class Network:
    """A network and a view of /etc of its own, with one link to ours and nothing else."""

    def __init__(self, folder, number):
        self.name, self.near, self.far = f"gw{number}", f"10.213.{number}.1", f"10.213.{number}.2"
        self.hosts = os.path.join(folder, f"hosts{number}")
        # It ends when we close its input, or with us; then its network is gone.
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", "echo; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", f"--mount=/proc/{self.holder.pid}/ns/mnt"]
        self.knows(True)
        silent = os.path.join(folder, f"resolv{number}")
        with open(silent, "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.1\n")  # nobody there
        self.run("mount", "--bind", self.hosts, "/etc/hosts")
        self.run("mount", "--bind", silent, "/etc/resolv.conf")
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "up0", "netns", str(self.holder.pid))
        run("ip", "address", "add", f"{self.near}/30", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.far}/30", "dev", "up0")
        self.up(True)
        self.good()

    def run(self, *words, text=None):
        return run(*self.prefix, *words, text=text)

    def knows(self, name):
        with open(self.hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n" + (f"{HUB_ADDRESS} {HUB_NAME}\n" if name else ""))

    def up(self, up):
        self.run("ip", "link", "set", "up0", "up" if up else "down")
        if up:
            self.run("ip", "route", "replace", "default", "via", self.near)

    def bad(self, *rules):
        """These rules for all that comes in and goes out."""
        text = "".join(f"chain {hook} {{ type filter hook {hook} priority 0; {'; '.join(rules)}; }}\n" for hook in ("input", "output"))
        self.run("nft", "-f", "-", text=f"table inet bad\ndelete table inet bad\ntable inet bad {{\n{text}}}\n")

    def good(self):
        self.bad("accept")

    def dropped(self):
        """How many packets the rules have swallowed."""
        return sum(int(count) for count in re.findall(r"counter packets (\d+) .*drop", self.run("nft", "list", "table", "inet", "bad")))

    def connection(self):
        """The gateway's own port of the connection that it has with the hub."""
        for line in self.run("cat", "/proc/self/net/tcp").splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "01":
                return int(local.split(":")[1], 16)
        return None

    def close(self):
        self.holder.stdin.close()
        self.holder.stdout.close()
        return self.holder.wait(30)


class BadNetwork(GatekeydTest):
    @classmethod
    def options(cls):
        return ["--enforce-limits", "--journal", "--server-name", HUB_NAME]

    def setUp(self):
        super().setUp()
        self.talks, self.tpms, self.networks = [], [], []
        self.proxy = FaultProxy(self.hub.mqtts_port, HUB_ADDRESS)

    def tearDown(self):
        for talk in self.talks:
            talk.end()
        super().tearDown()
        for tpm in self.tpms:
            tpm.close()
        self.assertEqual(self.proxy.close(), 0)
        self.assertEqual([network.close() for network in self.networks], [0] * len(self.networks))

    def gateway(self):
        network = Network(self.folder, len(self.networks) + 1)
        self.networks.append(network)
        service = self.service(host=HUB_NAME)
        service.settings["hub"]["port"] = self.proxy.ask(service.name)["port"]
        service.prefix = network.prefix
        self.tpms.append(Tpm())
        service.settings["tpm"]["tcti"] = self.tpms[-1].tcti()
        service.configure()
        return service.enrol(), network

    def talk(self, service):
        self.talks.append(Talk(service))
        return self.talks[-1]

    def comes_back(self, service, talk):
        wait_until("gatekeyd is connected", lambda: service.status()["connected"], PATIENCE)
        talk.arrives(PATIENCE)

    def packets_are_lost(self, service, network):
        network.bad("numgen random mod 100 < 10 counter drop")
        talk = self.talk(service.start())
        self.comes_back(service, talk)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            talk.arrives(PATIENCE)
        assert network.dropped() > 20, network.dropped()

    def large_packets_are_lost(self, service, network):
        network.bad("meta length > 1000 counter drop")
        talk = self.talk(service.start())
        wait_until("it is stuck", lambda: "timed out" in service.status().get("last_error", ""), PATIENCE)
        network.good()
        self.comes_back(service, talk)
        network.bad("meta length > 1000 counter drop")
        talk.script.size = 4000
        wait_until("something was swallowed", network.dropped, PATIENCE)
        # What gatekeyd(8) advises: whoever knows of it sends, and has others send, nothing large.
        network.run("ip", "link", "set", "up0", "mtu", "1000")
        self.comes_back(service, talk)
        network.good()

    def forget(self, network):
        """What a router does to a connection that it took for dead, until there is another."""
        port = network.connection()
        network.bad(f"tcp sport {port} counter drop", f"tcp dport {port} counter drop")
        wait_until("it takes another connection", lambda: network.connection() not in (None, port), PATIENCE)

    def a_connection_is_forgotten(self, service, network):
        talk = self.talk(service.start())
        self.comes_back(service, talk)
        self.forget(network)
        self.comes_back(service, talk)

    def a_quiet_connection_is_forgotten(self, service, network):
        service.start().connected()
        self.forget(network)
        self.comes_back(service, self.talk(service))

    def names_are_unknown(self, service, network):
        network.knows(False)
        talk = self.talk(service.start())
        wait_until("it says so", lambda: "looking up" in service.status().get("last_error", ""), PATIENCE)
        network.knows(True)
        self.comes_back(service, talk)

    def the_link_is_away(self, service, network):
        talk = self.talk(service.start())
        self.comes_back(service, talk)
        network.up(False)
        wait_until("it notices, and its waits grow", lambda: service.status().get("next_attempt_s", 0) > LONG_WAIT_S, PATIENCE)
        left, begun = service.status()["next_attempt_s"], time.monotonic()
        network.up(True)
        self.comes_back(service, talk)
        # Not by the end of its wait, but because the kernel says that there is a network again.
        assert time.monotonic() - begun < left, (left, service.lines()[-6:])

    def survive(self, fault, service, network):
        begun = time.monotonic()
        fault(service, network)
        print(f"{service.name}: {fault.__name__}, survived in {time.monotonic() - begun:.0f} s", file=sys.stderr)

    def test_comes_back_by_itself(self):
        faults = (self.packets_are_lost, self.large_packets_are_lost, self.a_connection_is_forgotten, self.a_quiet_connection_is_forgotten,
                  self.names_are_unknown, self.the_link_is_away)
        lives = [(fault, *self.gateway()) for fault in faults]
        with concurrent.futures.ThreadPoolExecutor(len(lives)) as crowd:
            done = [(life, crowd.submit(self.survive, *life)) for life in lives]
        for life, end in done:
            with self.subTest(fault=life[0].__name__, log=life[1].lines()[-6:]):
                end.result()
        for talk in self.talks:
            talk.conclude(self, PATIENCE)
        print(f"{check_connects(self, self.hub)} CONNECTs", file=sys.stderr)


def enter():
    """Into a network of our own; 77 where that is not to be had."""
    for tool in "ip", "nft", "nsenter", "unshare":
        if shutil.which(tool) is None:
            print(f"{tool} is missing; ./bootstrap installs it")
            sys.exit(77)
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        print("network namespaces are for root")
        sys.exit(77)
    os.environ[INSIDE] = "yes"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter()
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{HUB_ADDRESS}/32", "dev", "lo")
    unittest.main()
