# SPDX-License-Identifier: Apache-2.0
"""The chapter of make bench on messages: from handing over to the hub's 200 and to the local acknowledgement.

gatekeyd, by gatekey publish --lines and by the local broker, beside mosquitto_pub -l -q 1 straight to the same hub
over mutual TLS, and beside the bridge of a stock mosquitto with persistence (which is a snapshot that it writes every
half an hour, and at its end: what it acknowledges is in its memory). The limit on what gatekeyd sends per second,
900 KiB, is off; software keys in all. When a message arrived is what the hub's journal says, in the same clock.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

import paired
from report import figure, goal, notes, rows, say
from subjects import SOURCE

sys.path[:0] = [os.path.join(SOURCE, "tests", "agent"), os.path.join(SOURCE, "tests", "hub")]

from gateway import PROGRAMS, Hub  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from senders import Arrivals, BURST, Bridge, CLEAN, Disk, Lines, PACED, PATIENCE, Relayed, Straight, compact, now_us, params, wait_until  # noqa: E402
from service import Service  # noqa: E402

BURSTS = int(os.environ.get("BENCH_BURSTS", "9"))  # how often, each of them in turn
QUEUE = int(os.environ.get("BENCH_QUEUE", "1000000"))


def quantile(values, share):
    return values[min(len(values) - 1, int(share * len(values)))]


def ms(us):
    return f"{us / 1000:.2f}"


def memory(pid):
    """(proportional, private dirty) in bytes (proc(5), smaps_rollup)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        sizes = {line.split()[0]: line.split()[1] for line in file}
    return int(sizes["Pss:"]) * 1024, int(sizes["Private_Dirty:"]) * 1024


def written(pid):
    """(bytes by write and the like, bytes to the disk) of a process (proc(5), io)."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        counts = dict(line.strip().split(": ") for line in file)
    return int(counts["wchar"]), int(counts["write_bytes"])


def verdict(ratio):
    """Whether it is at least 1, where most of the bursts agree on that."""
    if ratio["quartile_1"] >= 1:
        return "met"
    return "not met" if ratio["quartile_3"] < 1 else paired.NOISY


def rates(senders, straight):
    """Each in turn, and beside the straight one."""
    say(f"\nMessages, each durable before it is acknowledged by gatekeyd ({BURSTS} bursts of {BURST}; rate = 0)\n"
        f"{'':44}to the hub's 200, per second         to the local acknowledgement\n"
        f"{'':44}  each  ratio to straight, quartiles   per second")
    disk = Disk()
    times = {sender: [] for sender in (*senders, disk)}
    for _ in range(BURSTS):
        for sender in times:
            times[sender].append(sender.burst())
    for sender in times:
        # How much faster: the straight one's time beside this one's.
        pairs = [((base, 0), (own, 0)) for own, base in zip(times[sender], times[straight])]
        ratio = paired.ratio(pairs)
        rate = 1e6 / sorted(times[sender])[BURSTS // 2]
        local = sender.accept() if sender not in (straight, disk) else None
        rows.append({"chapter": "durable", "what": sender.name, "per_second": rate, "ratio": ratio,
                     "accepted_per_second": local and 1e6 / local})
        say(f"  {sender.name:42}{rate:6.0f}  {figure(ratio['median'])}   {figure(ratio['quartile_1'])} - "
            f"{figure(ratio['quartile_3'])}" + (f"{1e6 / local:15.0f}" if local else ""))
        if sender.name.startswith("gatekeyd"):
            goal(f"messages per second beside the straight publisher: {sender.name}", ratio["median"], 1.0, "x",
                 verdict(ratio), "least")


def delays(senders):
    say(f"\nDelay of one message, {PACED} of 100 per second, ms{'':12}to the hub's 200    to the local acknowledgement\n"
        f"{'':44}   p50     p99            p50     p99")
    for sender in senders:
        hub, local = sender.paced()
        if not sender.acknowledges:
            local = []
        rows.append({"chapter": "durable", "what": sender.name, "to_hub_us": [quantile(hub, 0.5), quantile(hub, 0.99)],
                     "to_local_us": [quantile(local, 0.5), quantile(local, 0.99)] if local else None})
        say(f"  {sender.name:42}{ms(quantile(hub, 0.5)):>7} {ms(quantile(hub, 0.99)):>7}"
            + (f"        {ms(quantile(local, 0.5)):>7} {ms(quantile(local, 0.99)):>7}" if local else ""))


def cost(sender, pids):
    """System calls and bytes per message of the processes that have to do with it."""
    calls = {}
    for name, pid in pids.items():
        with tempfile.NamedTemporaryFile("r") as counts:
            tracer = subprocess.Popen(["strace", "-c", "-f", "-o", counts.name, "-p", str(pid)],
                                      stderr=subprocess.DEVNULL)
            sender.burst(2000)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(PATIENCE)
            total = [line.split() for line in counts.read().splitlines() if line.endswith(" total")]
            calls[name] = int(total[0][3]) / 2000 if total else None
    before = {name: written(pid) for name, pid in pids.items()}
    sender.burst(BURST)
    for name, pid in pids.items():
        chars, disk = [(after - first) / BURST for after, first in zip(written(pid), before[name])]
        rows.append({"chapter": "durable", "what": f"{sender.name}: {name}", "calls": calls[name], "written": chars,
                     "to_disk": disk})
        say(f"  {sender.name + ': ' + name:52}{calls[name] or 0:8.2f} {chars:10.0f} {disk:10.0f}")


def sizes(when, pids):
    for name, pid in pids.items():
        pss, dirty = memory(pid)
        rows.append({"chapter": "durable", "what": f"{name}, {when}", "proportional": pss, "private_dirty": dirty})
        say(f"  {name + ', ' + when:52}{pss / 1024:9.0f} KiB{dirty / 1024:9.0f} KiB")
        if name == "gatekeyd":
            for what, value, limit in (("proportional", pss, 8.0), ("private dirty", dirty, 3.5)):
                goal(f"gatekeyd's memory, {what}, {when}", value / 2**20, limit, "MiB",
                     "met" if value / 2**20 <= limit else "not met")


class Scene:
    """The hub, gatekeyd with its broker, and the others."""

    def __init__(self):
        self.hub = Hub(PROGRAMS, os.path.abspath("durable-hub"), "--journal")
        self.arrivals = Arrivals(self.hub)
        self.service = Service(self.hub, os.path.abspath("durable"), "gateway")
        self.service.settings["spool"] = {"rate": 0}
        self.broker = LocalBroker(self.service).join(self.service)
        self.service.enrol().start()
        self.broker.start()
        self.straight = Straight(self.arrivals, self.hub)
        self.bridge = Bridge(self.arrivals, self.hub)
        self.lines = Lines(self.arrivals, self.service)
        self.relayed = Relayed(self.arrivals, self.service, self.broker)
        self.senders = [self.straight, self.bridge, self.lines, self.relayed]

    def processes(self):
        return {"gatekeyd": self.service.process.pid, "its broker": self.broker.process.pid}

    def end(self):
        for sender in self.senders:
            sender.stop()
        self.bridge.end()
        self.broker.stop()
        self.service.stop()
        self.hub.stop()


def with_a_queue(scene, empty_us, accept_us):
    """Fill it while the hub is away, and see how it is worked off."""
    say("\nA long queue, all by gatekey publish --lines")
    for sender in scene.senders:
        sender.stop()
    scene.hub.stop()
    wait_until("gatekeyd notices", lambda: not scene.service.status()["connected"])
    lines = b"".join(compact(params(0)) + b"\n" for _ in range(QUEUE))
    begun = now_us()
    subprocess.run(scene.lines.command(), env=CLEAN, input=lines, stdout=subprocess.DEVNULL, check=True)
    filled = (now_us() - begun) / QUEUE
    say(f"  {QUEUE} handed over without a connection: {1e6 / filled:.0f} per second")
    begun = now_us()
    subprocess.run(scene.lines.command(), env=CLEAN, input=lines[:BURST * (len(lines) // QUEUE)],
                   stdout=subprocess.DEVNULL, check=True)
    full_us = (now_us() - begun) / BURST
    say(f"  {'accepted with that queue, beside none':52}{1e6 / full_us:8.0f} {accept_us / full_us:8.2f} x")
    if os.geteuid() == 0:
        sizes(f"{QUEUE} queued", scene.processes())
    scene.service.another_day()
    scene.hub.start()
    scene.arrivals.wait_for("gateway", scene.arrivals.count["gateway"] + 1)
    first, first_us = scene.arrivals.count["gateway"], scene.arrivals.last_us["gateway"]
    scene.arrivals.wait_for("gateway", first + min(QUEUE // 2, 20 * BURST))
    rate = (scene.arrivals.count["gateway"] - first) / (scene.arrivals.last_us["gateway"] - first_us)
    say(f"  {'worked off, beside what goes through an empty one':52}{1e6 * rate:8.0f} {empty_us * rate:8.2f} x")
    rows.append({"chapter": "durable", "what": "queue", "queued": QUEUE, "filled_per_second": 1e6 / filled,
                 "accepted_per_second": 1e6 / full_us, "sent_per_second": 1e6 * rate})
    goal("messages per second to the hub with a queue beside an empty one", empty_us * rate, 0.9, "x",
         "met" if empty_us * rate >= 0.9 else "not met", "least")


def costs(scene):
    say(f"\nPer message{'':43}calls  bytes written  to disk")
    for sender in (scene.lines, scene.relayed):
        cost(sender, scene.processes())
    cost(scene.straight, {"mosquitto_pub": scene.straight.program.pid})
    cost(scene.bridge, {"mosquitto": scene.bridge.broker.pid})
    say(f"\nMemory{'':46}proportional  private dirty")
    sizes("nothing queued", scene.processes())
    sizes("beside it", {"mosquitto_pub": scene.straight.program.pid, "bridge": scene.bridge.broker.pid})


def durable():
    os.environ.pop("GATEKEY_IDENTITY")
    os.environ.update(CLEAN)
    scene = Scene()
    try:
        wait_until("gatekeyd is connected", lambda: scene.service.status()["connected"])
        for sender in scene.senders:
            sender.start()
        rates(scene.senders, scene.straight)
        delays(scene.senders)
        if os.geteuid() == 0:
            costs(scene)
        else:
            notes.append("messages: what each costs, and the memory, only root can see")
        with_a_queue(scene, sorted(scene.lines.burst() for _ in range(3))[1], scene.lines.accept())
        notes.append("messages: [spool] rate = 0 in gatekeyd, its default being 900 KiB per second")
    finally:
        scene.end()


CHAPTERS = {"durable": durable}
