# SPDX-License-Identifier: Apache-2.0
"""The chapter of make bench on messages: from handing over to the hub's 200 and to the local acknowledgement.

gatekeyd, by gatekey publish --lines and by the local broker, beside mosquitto_pub -l -q 1 straight to the same hub
over mutual TLS, and beside the bridge of a stock mosquitto with persistence (which is a snapshot that it writes every
half an hour, and at its end: what it acknowledges is in its memory). The limit on what gatekeyd sends per second,
900 KiB, is off; software keys in all. When a message arrived is what the hub's journal says, in the same clock.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import paired
from report import figure, goal, notes, rows, say
from subjects import BUILD, PLAIN, SOURCE

sys.path[:0] = [os.path.join(SOURCE, "tests", "agent"), os.path.join(SOURCE, "tests", "hub")]

from gateway import PROGRAMS, Device, Hub, sign_connect  # noqa: E402
from ledger import LocalMqtt  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from service import Service  # noqa: E402

BURST = int(os.environ.get("BENCH_BURST", "5000"))  # messages whose rate is taken
BURSTS = int(os.environ.get("BENCH_BURSTS", "9"))  # how often, each of them in turn
QUEUE = int(os.environ.get("BENCH_QUEUE", "1000000"))
PACED = 400  # messages whose delay is taken, 100 per second
PATIENCE = 60
POST = "thing/measurepoint/post"
MARK = b'"t":'
# The scene's own identity is none of gatekeyd's here.
CLEAN = {name: value for name, value in PLAIN.items() if name != "GATEKEY_IDENTITY"}


def now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def wait_until(what, happened, patience=PATIENCE):
    until = time.monotonic() + patience
    while not happened():
        if time.monotonic() > until:
            raise RuntimeError(f"in vain: {what}")
        time.sleep(0.05)


def params(stamp):
    """What a gateway measures; the stamp is when it is handed over."""
    return {"measurepoints": {"temperature": 21.5, "humidity": 40, "t": stamp}, "time": int(time.time() * 1000)}


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Arrivals:
    """Reads the hub's journal on."""

    def __init__(self, hub):
        self.hub = hub
        self.offset = 0
        self.count = {}  # device -> messages
        self.last_us = {}
        self.delays = {}  # device -> of each message since clear()

    def read(self, delays=False):
        for post in self.hub.journal(self.offset):
            self.offset = post.end
            if post.code != 200:
                continue
            self.count[post.device] = self.count.get(post.device, 0) + post.payload.count(MARK)
            self.last_us[post.device] = post.us
            if delays:
                stamps = map(int, re.findall(rb'"t":(\d+)', post.payload))
                self.delays.setdefault(post.device, []).extend(post.us - stamp for stamp in stamps)

    def wait_for(self, device, count, delays=False):
        def enough():
            self.read(delays)
            return self.count.get(device, 0) >= count
        wait_until(f"{count} messages of {device} arrive", enough)


class Sender:
    """One way to the hub. Lines go to a program's standard input."""

    name = None
    whole = False  # takes whole envelopes
    acknowledges = True  # locally, in a way one can see
    BURST = BURST

    def __init__(self, arrivals, device):
        self.arrivals = arrivals
        self.device = device  # its key
        self.program = None
        self.number = 0

    def command(self):
        raise NotImplementedError

    def environment(self):
        return CLEAN

    def payload(self, stamp):
        if not self.whole:
            return compact(params(stamp))
        self.number += 1
        return compact({"id": str(self.number), "version": "1.0", "method": "thing.measurepoint.post",
                        "params": params(stamp)})

    def start(self):
        """A program that has sent one message is one that is connected."""
        self.program = subprocess.Popen(self.command(), env=self.environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL)
        before = self.arrivals.count.get(self.device, 0)
        self.write(self.payload(now_us()) + b"\n")
        self.arrivals.wait_for(self.device, before + 1)
        return self

    def write(self, text):
        self.program.stdin.write(text)
        self.program.stdin.flush()

    def burst(self, count=None):
        """Microseconds per message until the last one has the hub's 200."""
        count = count or self.BURST
        before = self.arrivals.count[self.device]
        lines = b"".join(self.payload(0) + b"\n" for _ in range(count))
        begun = now_us()
        self.write(lines)
        self.arrivals.wait_for(self.device, before + count)
        return (self.arrivals.last_us[self.device] - begun) / count

    def accept(self):
        """Microseconds per message until a program has handed all over and was told so for the last one."""
        count = self.BURST
        before = self.arrivals.count.get(self.device, 0)
        lines = b"".join(self.payload(0) + b"\n" for _ in range(count))
        begun = now_us()
        subprocess.run(self.command(), env=self.environment(), input=lines, stdout=subprocess.DEVNULL, check=True)
        took = now_us() - begun
        self.arrivals.wait_for(self.device, before + count)
        return took / count

    def hand_over(self):
        """One message; back when it is acknowledged, where that can be seen."""
        self.write(self.payload(now_us()) + b"\n")

    def paced(self):
        """Delays in us, of each message: until the hub's 200, until the local acknowledgement."""
        local = []
        before = self.arrivals.count[self.device]
        self.arrivals.delays[self.device] = []
        due = time.monotonic()
        for _ in range(PACED):
            due += 0.01
            time.sleep(max(0, due - time.monotonic()))
            begun = now_us()
            self.hand_over()
            local.append(now_us() - begun)
        self.arrivals.wait_for(self.device, before + PACED, True)
        return sorted(self.arrivals.delays[self.device]), sorted(local)

    def stop(self):
        if self.program:
            self.program.stdin.close()
            self.program.wait(PATIENCE)
            self.program = None


def straight_identity(hub, device):
    """(client id, user, password) as EnOS wants them."""
    stamp = hub.next_stamp()
    return (f"{device.device}|securemode=2,signmethod=sha256,timestamp={stamp}|", f"{device.device}&{hub.product}",
            sign_connect(device.device, device.device, hub.product, stamp, device.secret).upper())


class Straight(Sender):
    """mosquitto_pub straight to the hub."""

    name = "mosquitto_pub -l -q 1 straight"
    whole = True
    acknowledges = False

    def __init__(self, arrivals, hub):
        super().__init__(arrivals, "straight")
        self.hub = hub
        self.as_device = Device(hub, self.device)

    def command(self):
        name, user, password = straight_identity(self.hub, self.as_device)
        return ["mosquitto_pub", "-h", "localhost", "-p", str(self.hub.mqtts_port), "--cafile", self.hub.ca, "--cert",
                self.as_device.cert, "--key", self.as_device.key, "-i", name, "-u", user, "-P", password, "-q", "1",
                "-t", self.as_device.sys + POST, "-l"]


class ByBroker(Sender):
    """A local client of a broker on a unix socket."""

    def __init__(self, arrivals, device, path):
        super().__init__(arrivals, device)
        self.path = path
        self.link = None

    def command(self):
        return ["mosquitto_pub", "--unix", self.path, "-q", "1", "-t", "gatekey/up/" + POST, "-l"]

    def hand_over(self):
        self.link = self.link or LocalMqtt(self.path, "paced-" + self.device)
        self.link.publish("gatekey/up/" + POST, self.payload(now_us()))
        self.link.acknowledged()

    def stop(self):
        super().stop()
        if self.link:
            self.link.close()
            self.link = None


class Bridge(ByBroker):
    """mosquitto's own bridge, in a second stock broker."""

    name = "mosquitto's bridge, with persistence"
    whole = True

    def __init__(self, arrivals, hub):
        folder = os.path.abspath("bridge")
        super().__init__(arrivals, "bridge", os.path.join(folder, "socket"))
        os.makedirs(folder)
        device = Device(hub, self.device)
        name, user, password = straight_identity(hub, device)
        with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as file:
            file.write(f"user root\npersistence true\npersistence_location {folder}/\nmax_queued_messages 0\n"
                       f"listener 0 {self.path}\nallow_anonymous true\nlog_dest file {folder}/log\n"
                       f"connection hub\naddress localhost:{hub.mqtts_port}\nbridge_cafile {hub.ca}\n"
                       f"bridge_certfile {device.cert}\nbridge_keyfile {device.key}\nremote_clientid {name}\n"
                       f"remote_username {user}\nremote_password {password}\nnotifications false\n"
                       f"try_private false\ntopic # out 1 gatekey/up/ {device.sys}\n")
        self.broker = subprocess.Popen([os.environ["MOSQUITTO_BROKER"], "-c", os.path.join(folder, "conf")])
        wait_until("the bridging broker listens", lambda: os.path.exists(self.path))

    def end(self):
        self.stop()
        self.broker.terminate()
        self.broker.wait(PATIENCE)


class Lines(Sender):
    """gatekey publish --lines."""

    name = "gatekeyd, gatekey publish --lines"

    def __init__(self, arrivals, service):
        super().__init__(arrivals, service.name)
        self.service = service
        self.link = self.answers = None

    def command(self):
        return [os.path.join(BUILD, "gatekey"), "--config", self.service.config, "publish", "--lines"]

    def hand_over(self):
        """As that program does, on the socket."""
        if self.link is None:
            self.link = self.service.open()
            self.answers = self.link.makefile("rb")
        request = {"op": "publish", "topic": POST, "params": params(now_us())}
        self.link.sendall(compact(request) + b"\n")
        answer = json.loads(self.answers.readline())
        if not answer["ok"]:
            raise RuntimeError(answer["error"])

    def stop(self):
        super().stop()
        if self.link:
            self.answers.close()
            self.link.close()
            self.link = None


class Relayed(ByBroker):
    """gatekeyd by the local broker."""

    name = "gatekeyd, local broker"
    BURST = BURST // 5  # each is synced for itself

    def __init__(self, arrivals, service, broker):
        super().__init__(arrivals, service.name, broker.path)


class Disk:
    """The yardstick for what is synced for itself: as much written and synced as one message by the broker takes."""

    name = "a bare write of 8 KiB and fdatasync"
    COUNT = 300

    def __init__(self):
        self.file = os.open("disk", os.O_WRONLY | os.O_CREAT, 0o600)

    def burst(self):
        begun = now_us()
        for number in range(self.COUNT):
            os.pwrite(self.file, bytes(8192), number * 8192)
            os.fdatasync(self.file)
        return (now_us() - begun) / self.COUNT


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
