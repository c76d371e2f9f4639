#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An hour of mixed traffic and faults: at the end the counters balance exactly, everything that was accepted has
arrived or is among what was refused, each command of the hub was answered unless the gateway could not hear it, and
memory is flat. Run by make soak.

soak.py [SECONDS [FOLDER]]: 3600 by default; the log goes to stdout, the page that sums up to FOLDER/summary.

Two gateways on one hub that enforces EnOS's connect limits, each behind a bad line of its own and with a local broker:
"steady" is never killed, so that its memory can be seen to stay flat; "mortal" is killed every few minutes.
"""

import collections
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "agent"))

from faultproxy import FaultProxy  # noqa: E402
from ledger import Application, BrokerApplication, Ledger, LinesApplication, SocketApplication, flush_tpm  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from outages import Outages  # noqa: E402
from service import Service  # noqa: E402
from gateway import PROGRAMS, Hub  # noqa: E402

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3600
FOLDER = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "soak")
SEED = os.environ.get("SEED", str(os.getpid()))
SAMPLE = 10  # seconds from one look at the memory to the next
FAULT = 40  # seconds from one fault to the next, give or take half of that
COMMAND = 7
PROMPT = 10  # seconds in which a gateway that hears of a command answers it
DRAIN = 600  # the connect budget may keep a gateway waiting
GROWTH = 64 * 1024  # bytes that memory may end above where it was after warming up, beside 2 %
WARM = 1800  # seconds; in less than that each new connection may still be the first of its kind
begun = time.monotonic()


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {time.monotonic() - begun:6.0f} s  {text}", flush=True)


class BadApplication(SocketApplication):
    """Hands over what the hub will refuse: each for itself, among the good ones of others."""

    def params(self, number):
        return {"measurepoints": {self.name: number, "nothing": None}}


class RudeApplication(Application):
    """A client of the broker that publishes what is no message at all."""

    def __init__(self, path, name):
        super().__init__(name, pause=3.0)
        self.path = path

    def connect(self):
        return BrokerApplication.connect(self)

    def serve(self, link):
        while not self.enough.is_set():
            link.packet_id = link.packet_id % 65535
            link.publish("gatekey/up/thing/measurepoint/post", b"{\"measurepoints\": " + str(self.next()).encode())
            link.acknowledged()
            self.enough.wait(self.pause)


class Commands:
    """Commands of the hub to one gateway, each with what became of it."""

    def __init__(self, hub, service, outages):
        self.hub = hub
        self.service = service
        self.outages = outages
        self.rows = []  # (number, when it was sent, how long it took, what was said)

    def send(self):
        """Whether it was answered rightly."""
        number, sent = len(self.rows) + 1, time.monotonic()
        done = self.hub.ctl("call", self.hub.product, self.service.name, "echo", json.dumps({"n": number}), check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = {}
        right = answer.get("code") == 200 and answer.get("data") == {"n": number}
        said = "answered" if right else f"answered wrongly {answer}" if answer else done.stderr.strip()
        self.rows.append((number, sent, time.monotonic() - sent, said))
        return right

    def unheard(self, sent):
        return self.outages.meets(sent, sent + PROMPT)

    def unexplained(self):
        """Those that failed though the gateway heard them."""
        return [row for row in self.rows if row[3].startswith("answered wrongly")
                or row[3] != "answered" and not self.unheard(row[1])]

    def summary(self):
        failed = collections.Counter(row[3] for row in self.rows if row[3] != "answered")
        return (f"{len(self.rows)} commands, {len(self.rows) - failed.total()} answered, {dict(failed)}; "
                f"{self.outages.seconds():.0f} s it could not hear the hub")

    def write(self, file):
        for number, sent, took, said in self.rows:
            file.write(f"{self.service.name} {number} at {sent - begun:.1f} took {took:.1f}: {said}"
                       f"{' (it could not hear the hub)' if self.unheard(sent) else ''}\n")


class Gateway:
    """A gatekeyd, its broker, its line and its applications."""

    def __init__(self, hub, proxy, name):
        self.hub = hub
        self.proxy = proxy
        self.name = name
        self.port = proxy.ask(name, open=True)["port"]
        self.service = Service(hub, FOLDER, name, f"command.echo = {os.path.realpath(shutil.which('cat'))}\n", port=self.port)
        self.broker = LocalBroker(self.service).join(self.service)
        self.service.enrol().start()
        self.broker.start()
        self.ledger = Ledger(hub, name)
        self.samples = []
        self.outages = Outages(self.service)
        self.commands = Commands(hub, self.service, self.outages)
        self.renewals = {"done": 0, "refused": 0}

    def begin(self):
        service, path = self.service, self.broker.path
        for application in (SocketApplication(service, "spoints", pause=0.05),
                            SocketApplication(service, "sevents", event=True, pause=0.2),
                            BrokerApplication(path, "bpoints", pause=0.05),
                            BrokerApplication(path, "bevents", event=True, pause=0.2),
                            LinesApplication(service, "lines", pause=1.0),
                            BadApplication(service, "bad", pause=5.0)):
            self.ledger.add(application)
        self.rude = RudeApplication(path, "rude")
        self.rude.start()

    def sample(self):
        sizes = {}
        with open(f"/proc/{self.service.process.pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                sizes[line.split()[0]] = line.split()[1]
        self.samples.append((time.monotonic() - begun, int(sizes["Pss:"]) * 1024, int(sizes["Private_Dirty:"]) * 1024))

    def renew(self):
        """As gatekey does: a new certificate for the same key, tried and promoted."""
        certificate, _ = self.service.certify(self.service.device.key)
        self.service.put_next(certificate)
        answer = self.service.call({"op": "try"})
        if answer["ok"]:
            self.service.promote()
            self.renewals["done"] += 1
        else:
            os.unlink(os.path.join(self.service.identity, "next", "cert.pem"))
            os.rmdir(os.path.join(self.service.identity, "next"))
            self.service.state_json(renewal="none")
            self.renewals["refused"] += 1
        return answer["ok"] or answer["status"]

    def kill(self):
        self.service.process.kill()
        self.service.process.wait()
        flush_tpm()
        self.service.start()

    def kill_broker(self):
        self.broker.process.kill()
        self.broker.process.wait()
        self.broker.start()

    def end_traffic(self):
        self.ledger.end()
        self.rude.end()

    def counters(self):
        return self.service.status()["counters"]

    def drained(self):
        return self.ledger.drained() and self.counters()["stored"] == 0

    def growth(self):
        """(Bytes after warming up, at the end) as medians of private dirty memory, in the last life of the process."""
        lives = [row for row in self.samples if row[0] >= SECONDS / 6]
        part = max(1, len(lives) // 5)
        return tuple(statistics.median(row[2] for row in rows) for rows in (lives[:part], lives[-part:]))


class Faults:
    """Something goes wrong every now and then, by turns as the dice say."""

    def __init__(self, hub, proxy, gateways):
        self.hub = hub
        self.proxy = proxy
        self.steady, self.mortal = gateways
        self.random = random.Random(SEED)
        self.counts = {}
        self.deeds = [self.cut, self.cut, self.stall, self.drop, self.restart_hub, self.kill_hub, self.kill_broker,
                      self.kill_broker, self.kill, self.kill, self.renew, self.refuse, self.refuse, self.silent, self.lose]

    def gateway(self):
        return self.random.choice((self.steady, self.mortal))

    def one(self):
        deed = self.random.choice(self.deeds)
        said = deed()
        name = deed.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        say(f"{name}: {said}")

    def cut(self):
        gateway, deed = self.gateway(), self.random.choice(("fin", "rst"))
        self.proxy.ask(gateway.name, now=deed)
        gateway.outages.breaks()
        return f"{gateway.name} {deed}"

    def stall(self):
        """A link that is half open: nobody hears anything any more."""
        gateway = self.gateway()
        self.proxy.ask(gateway.name, now="silence")
        gateway.outages.breaks()
        return gateway.name

    def drop(self):
        gateway = self.gateway()
        self.hub.ctl("drop", self.hub.product, gateway.name, check=False)
        return gateway.name

    def restart_hub(self):
        self.hub.stop()
        time.sleep(self.random.uniform(0, 10))
        self.hub.start()
        return "done"

    def kill_hub(self):
        self.hub.kill()
        time.sleep(self.random.uniform(0, 10))
        self.hub.start()
        return "done"

    def kill_broker(self):
        gateway = self.gateway()
        gateway.kill_broker()
        return gateway.name

    def kill(self):
        self.mortal.kill()
        return self.mortal.name

    def renew(self):
        gateway = self.gateway()
        return f"{gateway.name} {gateway.renew()}"

    def refuse(self):
        code = self.random.choice((1204, 1206, 1212))
        self.hub.fault(f"post-code={code}", "--times", str(self.random.choice((1, 1, 3))))
        return str(code)

    def silent(self):
        self.hub.fault("post-silent", "--times", "1")
        return "one"

    def lose(self):
        self.hub.fault("post-drop", "--times", "1")
        return "one"


def every(seconds, stop, work):
    while not stop.wait(seconds):
        try:
            work()
        except (OSError, ValueError, KeyError, RuntimeError) as reason:  # while it is being killed
            say(f"({work.__name__}: {reason})")


def run(hub, proxy, gateways):
    faults = Faults(hub, proxy, gateways)
    stop = threading.Event()

    def sample():
        for gateway in gateways:
            gateway.sample()

    def report():
        for gateway in gateways:
            gateway.ledger.read()
            say(f"{gateway.name}: {gateway.ledger.summary()}; {gateway.counters()}")

    helpers = [threading.Thread(target=every, args=(pause, stop, work), daemon=True)
               for pause, work in ((SAMPLE, sample), (60, report), *((COMMAND, gateway.commands.send) for gateway in gateways))]
    for helper in helpers:
        helper.start()
    while time.monotonic() - begun < SECONDS:
        time.sleep(min(faults.random.uniform(FAULT / 2, 1.5 * FAULT), SECONDS))
        faults.one()
    stop.set()
    for helper in helpers:
        helper.join(120)
    return faults


def finish(hub, gateways):
    """Traffic ends, nothing is wrong any more: all that waits goes."""
    hub.fault("--clear")
    for gateway in gateways:
        gateway.end_traffic()
    say("traffic ended")
    until = time.monotonic() + DRAIN
    while time.monotonic() < until and not all(gateway.drained() for gateway in gateways):
        time.sleep(1)


def judge(gateway, out):
    """What is wrong with it."""
    ledger = gateway.ledger
    ledger.read()
    counters = gateway.counters()
    wrong = [f"{len(ledger.missing())} missing: {ledger.missing()[:5]}"] if ledger.missing() else []
    wrong += ledger.strange[:5] + ledger.disorder()[:5] + [each for each in [ledger.balance(counters)] if each]
    if not gateway.commands.send():
        wrong.append("a command in the end was not answered")
    gateway.outages.end()
    wrong += [f"command {number} of {sent - begun:.0f} s: {said}" for number, sent, _, said in gateway.commands.unexplained()]
    early, late = gateway.growth()
    if gateway.name == "steady" and SECONDS >= WARM and late > early * 1.02 + GROWTH:
        wrong.append("its memory grew")
    out(f"{gateway.name}: {ledger.summary()}; came under two numbers though never accepted: {ledger.again}")
    out(f"  counters {counters}")
    out(f"  {gateway.commands.summary()}")
    out(f"  renewals {gateway.renewals}, no messages at all {gateway.rude.handed}")
    out(f"  private dirty {early / 1024:.0f} KiB after warming up, {late / 1024:.0f} KiB at the end; highest "
        f"{max(row[2] for row in gateway.samples) / 1024:.0f} KiB, PSS {max(row[1] for row in gateway.samples) / 1024:.0f} KiB")
    for each in wrong:
        out(f"  WRONG: {each}")
    return not wrong


def main():
    os.makedirs(FOLDER, exist_ok=True)
    say(f"seed {SEED}, {SECONDS} s, in {FOLDER}")
    hub = Hub(PROGRAMS, os.path.join(FOLDER, "hub"), "--journal", "--enforce-limits")
    proxy = FaultProxy(hub.mqtts_port)
    gateways = [Gateway(hub, proxy, "steady"), Gateway(hub, proxy, "mortal")]
    for gateway in gateways:
        gateway.service.connected()
        gateway.begin()
    faults = run(hub, proxy, gateways)
    finish(hub, gateways)
    with open(os.path.join(FOLDER, "summary"), "w", encoding="utf-8") as page:
        def out(text):
            say(text)
            page.write(text + "\n")

        out(f"{SECONDS} s of traffic, seed {SEED}; faults {faults.counts}")
        locked = [row for row in hub.table("connects") if row["code"] != 0]
        out(f"connects the hub refused: {len(locked)} {locked[:3]}")
        right = [judge(gateway, out) for gateway in gateways]
        with open(os.path.join(FOLDER, "memory"), "w", encoding="utf-8") as table:
            for gateway in gateways:
                table.writelines(f"{gateway.name} {at:.0f} {pss} {dirty}\n" for at, pss, dirty in gateway.samples)
        with open(os.path.join(FOLDER, "commands"), "w", encoding="utf-8") as table:
            for gateway in gateways:
                gateway.commands.write(table)
        codes = [gateway.service.stop() for gateway in gateways]
        for gateway in gateways:
            gateway.broker.stop()
        out(f"gatekeyd ended with {codes}")
        passed = all(right) and codes == [0, 0]
        out("PASSED" if passed else "FAILED")
    proxy.close()
    hub.stop()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
