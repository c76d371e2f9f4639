# SPDX-License-Identifier: Apache-2.0
"""Who hands messages over in make bench: gatekeyd's two ways, stock mosquitto's two, and a disk to compare with."""

import json
import os
import re
import subprocess
import sys
import time

from subjects import BUILD, PLAIN, SOURCE

sys.path[:0] = [os.path.join(SOURCE, "tests", "agent"), os.path.join(SOURCE, "tests", "hub")]

from gateway import Device, sign_connect  # noqa: E402
from ledger import LocalMqtt  # noqa: E402

BURST = int(os.environ.get("BENCH_BURST", "5000"))  # messages whose rate is taken
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

    def __init__(self, arrivals, service, broker):
        super().__init__(arrivals, service.name, broker.path)


class Disk:
    """The yardstick for what is synced for itself: as much written and synced as one message on its own takes."""

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
