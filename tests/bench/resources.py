# SPDX-License-Identifier: Apache-2.0
"""What gatekeyd takes of a machine: make resources.

Memory with a million messages in its spool, connected to the hub and to the local broker; how often it wakes up
while nothing happens, and for what; whether it grows while messages flow. RESOURCES_QUEUE, RESOURCES_IDLE_S and
RESOURCES_FLOW set how much of each; what is over its limit fails the run.
"""

import collections
import os
import re
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from localbroker import LocalBroker  # noqa: E402
from service import BUILD, GatekeydTest, wait_until  # noqa: E402

QUEUE = int(os.environ.get("RESOURCES_QUEUE", "1000000"))
IDLE_S = int(os.environ.get("RESOURCES_IDLE_S", "120"))
FLOW = int(os.environ.get("RESOURCES_FLOW", "100000"))

DIRTY_MAX = 3.5 * 2**20
PSS_MAX = 8 * 2**20
GROWTH_MAX = 128 * 1024
LARGE = 300000
KEEPALIVE_S = 60
WATCHDOG_S = 90  # as the unit has it


def say(text):
    print(text, flush=True)


class Size:
    """proc(5), smaps_rollup, in bytes."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            fields = dict(line.split()[:2] for line in file)
        self.pss, self.dirty, self.rss = (int(fields[name]) * 1024 for name in ("Pss:", "Private_Dirty:", "Rss:"))

    def __str__(self):
        return f"PSS {self.pss / 1024:.0f} KiB, private dirty {self.dirty / 1024:.0f} KiB, RSS {self.rss / 1024:.0f} KiB"


def by_mapping(pid):
    """The largest, for whoever wants to know what it is."""
    sizes = collections.Counter()
    name = ""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                words = line.split(maxsplit=5)
                name = os.path.basename(words[5].strip()) if len(words) > 5 else "anonymous"
            elif line.startswith("Private_Dirty:"):
                sizes[name] += int(line.split()[1])
    return ", ".join(f"{name} {size}" for name, size in sizes.most_common(8))


def switches(pid):
    """How often its only thread went to sleep."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", file.read())[1])


class Resources(GatekeydTest):
    def whole(self, handle, queue=0):
        """With all that it can have: TPM, local broker, metrics, a queue, a watchdog that nobody answers."""
        service = self.service_with_tpm_key(handle)
        self.broker = LocalBroker(service)
        service.local = f"broker = {self.broker.path}\nmetrics_file = {service.folder}/gatekey.prom\n"
        service.settings["hub"]["keepalive"] = KEEPALIVE_S
        service.configure()
        if queue:
            os.makedirs(service.state, exist_ok=True)
            subprocess.run([os.path.join(BUILD, "tests/agent/fill-spool"), service.state, self.hub.product, service.name, str(queue)], check=True)
        self.broker.start()
        service.start(NOTIFY_SOCKET="@nobody", WATCHDOG_USEC=str(WATCHDOG_S * 1000000)).connected()
        wait_until("the broker is used", lambda: service.status()["broker"]["connected"])
        return service

    def tearDown(self):
        self.broker.stop()
        super().tearDown()

    def test_is_small_with_a_long_queue(self):
        service = self.whole("0x81000100", QUEUE)
        pid = service.process.pid
        largest = Size(pid)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            size = Size(pid)
            if size.dirty > largest.dirty:
                largest = size
            time.sleep(0.2)
        say(f"{QUEUE} queued: at most {largest}; {service.status()['spool']}")
        say(f"  private dirty, KiB: {by_mapping(pid)}")
        self.assertLessEqual(largest.dirty, DIRTY_MAX)
        self.assertLessEqual(largest.pss, PSS_MAX)

    def test_gives_back_what_large_messages_took(self):
        service = self.whole("0x81000103")
        before = Size(service.process.pid)
        for _ in range(20):
            self.assertTrue(service.publish({"text": "x" * LARGE})["ok"])
        wait_until("the hub has them", lambda: service.status()["spool"]["queued"] == 0)
        after = Size(service.process.pid)
        say(f"20 messages of {LARGE} bytes: {before} before, {after} after")
        self.assertLessEqual(after.dirty - before.dirty, 3 * GROWTH_MAX)

    @staticmethod
    def naps(service):
        """How long it slept each time, for whoever searches a timer that ticks."""
        trace = os.path.join(service.folder, "trace")
        with subprocess.Popen(["strace", "-r", "-e", "trace=epoll_wait", "-o", trace, "-p", str(service.process.pid)], stderr=subprocess.DEVNULL) as tracer:
            time.sleep(min(IDLE_S, 60))
            tracer.send_signal(signal.SIGINT)
        with open(trace, encoding="ascii", errors="replace") as file:
            return " ".join(f"{float(line.split()[0]):.1f}" for line in file if float(line.split()[0]) > 0.05)

    def test_sleeps_while_nothing_happens(self):
        service = self.whole("0x81000101")
        pid = service.process.pid
        time.sleep(10)  # what follows a start
        before, begun = switches(pid), time.monotonic()
        time.sleep(IDLE_S)
        woken, passed = switches(pid) - before, time.monotonic() - begun
        most = passed / KEEPALIVE_S * 4 + passed / (WATCHDOG_S / 2) * 2 + 4
        say(f"idle: {woken} wake-ups in {passed:.0f} s")
        say("  woken after, s: " + self.naps(service))
        self.assertLessEqual(woken, most)

    def test_does_not_grow_while_messages_flow(self):
        service = self.whole("0x81000102")
        pid = service.process.pid
        sizes, behind = [], None
        for turn in range(14):
            application = self.broker.application("flow", patience=60)
            pending = collections.deque()
            for number in range(FLOW // 10):
                pending.append(application.publish("gatekey/up/thing/measurepoint/post", f'{{"measurepoints":{{"n":{number}}}}}'))
                if len(pending) > 20:
                    application.wait_ack(pending.popleft())
            while pending:
                application.wait_ack(pending.popleft())
            application.close()
            sizes.append(Size(pid))
            counters = service.status()["counters"]
            say(f"  {sizes[-1]}; {counters}")
            # The rate at which they go up is bounded: once some wait, whole batches are made, which take their room.
            if behind is None and counters["stored"] > 1000:
                behind = turn
        self.assertLessEqual(sizes[-1].dirty - sizes[2 if behind is None else min(behind + 3, 10)].dirty, GROWTH_MAX)


if __name__ == "__main__":
    unittest.main()
