#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd and the local broker are killed (kill -9) again and again while telemetry and events flow by the socket
and by the broker: whatever an application was told is accepted arrives, in its order, and what arrives twice can be
told by its number.

GATEKEY_ROUNDS says how many kills, 15 by default; 1,000 take some 20 minutes. Half of them hit the broker. Those of
gatekeyd come at a random moment or, where there is strace, at a random one of the system calls that matter.
"""

import collections
import json
import os
import random
import shutil
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from ledger import Application, BrokerApplication, Ledger, LinesApplication, SocketApplication, flush_tpm  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from service import GatekeydTest  # noqa: E402
from gateway import Post  # noqa: E402

ROUNDS = int(os.environ.get("GATEKEY_ROUNDS", "15"))
SEED = os.environ.get("SEED", str(os.getpid()))
LONGEST = 0.8  # seconds until a kill
DRAIN = 120
# When it talks and, gatekeyd alone, when it writes to the database and has that synced.
TALKS = ("write,writev,sendto,sendmsg", "read,recvfrom,recvmsg")
CALLS = (*TALKS, "fdatasync", "fdatasync", "pwrite64")
CAN_STRACE = shutil.which("strace") and subprocess.run(["strace", "-qq", "-f", "-e", "trace=none", "true"],
                                                       capture_output=True, check=False).returncode == 0


class Kills:
    """Chooses whom to kill and when, and does it."""

    def __init__(self, service, broker):
        self.service = service
        self.broker = broker
        self.random = random.Random(SEED)
        self.counts = collections.Counter()

    def at_a_call(self, process, call, when):
        """When it makes such a call for the when-th time from now, or soon. Returns whether it did."""
        tracer = subprocess.Popen(["strace", "-qq", "-f", "-o", "/dev/null", "-p", str(process.pid), "-e", f"trace={call}",
                                   "-e", f"inject={call}:signal=KILL:when={when}"], stderr=subprocess.DEVNULL)
        try:
            process.wait(LONGEST)
            return True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        finally:
            tracer.kill()
            tracer.wait()

    def kill(self, name, process, calls):
        call = self.random.choice(calls)
        if CAN_STRACE and self.random.random() < 0.5:
            if self.at_a_call(process, call, self.random.choice((1, 2, 3, 5, 9, 17, 40, 100, 300))):
                self.counts[f"{name} at {call.split(',', maxsplit=1)[0]}"] += 1
                return
        else:
            time.sleep(self.random.uniform(0, LONGEST))
            process.kill()
            process.wait()
        self.counts[name] += 1

    def one(self):
        if self.random.random() < 0.5:
            self.kill("broker", self.broker.process, TALKS)
            self.broker.start()
            return
        self.kill("gatekeyd", self.service.process, CALLS)
        flush_tpm()
        # The hub does not mind how often it connects; without that it soon has to wait, and its spool fills.
        if self.random.random() < 0.7:
            self.service.another_day()
        self.service.start()


class Killed(GatekeydTest):
    @classmethod
    def options(cls):
        return ["--journal"]

    def test_loses_nothing_that_was_accepted(self):
        print(f"seed {SEED}", flush=True)
        service = self.service()
        broker = LocalBroker(service).join(service)
        service.enrol().start().connected()
        broker.start()
        ledger = Ledger(self.hub, service.name)
        for kind, event in (("points", False), ("events", True)):
            ledger.add(SocketApplication(service, "socket" + kind, event=event, pause=0.01))
            ledger.add(BrokerApplication(broker.path, "broker" + kind, event=event, pause=0.01))
            ledger.add(BrokerApplication(broker.path, "crowd" + kind, event=event, window=100, pause=0.005))
        ledger.add(LinesApplication(service, "lines", pause=0.1))
        kills = Kills(service, broker)
        begun = time.monotonic()
        for number in range(1, ROUNDS + 1):
            kills.one()
            if number % 50 == 0:
                ledger.read()
                print(f"{number} kills in {time.monotonic() - begun:.0f} s: {ledger.summary()}", flush=True)
        took = time.monotonic() - begun
        ledger.end()
        self.drain(service, ledger)
        print(f"{ROUNDS} kills in {took:.0f} s ({dict(kills.counts)}): {ledger.summary()}", flush=True)
        ledger.check(self)
        self.assertEqual(ledger.balance(service.status()["counters"]), "")
        broker.stop()

    def drain(self, service, ledger):
        self.assertEqual(service.stop(), 0)
        service.another_day()
        service.start()
        until = time.monotonic() + DRAIN
        while time.monotonic() < until and not (ledger.drained() and service.status()["counters"]["stored"] == 0):
            time.sleep(0.2)
        if ledger.missing():
            print("\n".join(service.lines()[-10:]), flush=True)


class Told(Application):
    """One that was told so much, and hands over nothing."""

    def __init__(self, accepted):
        super().__init__("a")
        self.accepted = accepted


class Sees(unittest.TestCase):
    """The ledger itself: each thing that may go wrong is seen."""

    def ledger(self, *posts, accepted=(1, 2, 3)):
        ledger = Ledger(None, "gw")
        ledger.applications["a"] = Told(list(accepted))
        ledger.hub = self
        self.posts = [Post(0, code, "gw", "thing/measurepoint/post" + batch,
                           json.dumps({"id": str(number), "params": [{"measurepoints": {"a": n}} for n in numbers] if batch
                                       else {"measurepoints": {"a": numbers[0]}}}).encode(), 0)
                      for number, batch, numbers, code in posts]
        return ledger

    def journal(self, _):
        posts, self.posts = self.posts, []
        return posts

    def refuses(self, why, *posts):
        with self.assertRaisesRegex(AssertionError, why):
            self.ledger(*posts).check(self)

    def test_what_is_right(self):
        for posts in ([(12, "/batch", [1, 2, 3], 200)], [(10, "", [1], 200), (12, "/batch", [2, 3], 200)],
                      [(11, "/batch", [1, 2], 200), (12, "/batch", [1, 2, 3], 200)],
                      [(12, "/batch", [1, 2, 3], 1206), (10, "", [1], 1206), (11, "", [2], 200), (12, "", [3], 200)]):
            self.ledger(*posts).check(self)

    def test_what_is_wrong(self):
        self.refuses("did not arrive", (11, "/batch", [1, 2], 200))
        self.refuses("did not arrive", (12, "/batch", [1, 2, 3], 1206))
        self.refuses("told apart", (11, "/batch", [1, 2], 200), (13, "/batch", [2, 3], 200))
        self.refuses("told apart", (11, "/batch", [1, 2], 200), (11, "", [3], 200))
        self.refuses("told apart", (11, "", [1], 200), (12, "", [2], 200), (10, "", [3], 200))
        self.refuses("order", (12, "/batch", [1, 3, 2], 200))

    def test_what_does_not_add_up(self):
        counters = {"accepted": 3, "acknowledged": 3, "refused": 0, "dropped": 0, "stored": 0}
        ledger = self.ledger((12, "/batch", [1, 2, 3], 200))
        ledger.read()
        self.assertEqual(ledger.balance(counters), "")
        for changed in ({"accepted": 4}, {"accepted": 4, "stored": 1}, {"acknowledged": 2, "refused": 1}):
            self.assertNotEqual(ledger.balance({**counters, **changed}), "")


if __name__ == "__main__":
    unittest.main()
