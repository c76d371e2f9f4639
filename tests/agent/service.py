# SPDX-License-Identifier: Apache-2.0
"""A gatekeyd in a folder of its own, for tests: its configuration, its identity, its socket, its log."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "tests", "hub"))

from gateway import Device, HubTest, SUBJECT, free_port, openssl  # noqa: E402, F401
from sanitizer import preload  # noqa: E402

BUILD = os.environ["abs_top_builddir"]
PATIENCE = 120  # the end of it, never a claim: what is waited for comes in a moment, or later on a busy machine


def wait_until(what, happened, patience=PATIENCE):
    until = time.monotonic() + patience
    while True:
        result = happened()
        if result:
            return result
        if time.monotonic() > until:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.05)


class Tpm:
    """One more TPM: a bare one has no room for what several gatekeyds do at the same time."""

    def __init__(self):
        self.process = subprocess.Popen(
            [os.path.join(os.environ["abs_top_srcdir"], "tests", "with-swtpm"), "sh", "-c", "echo $GATEKEY_TCTI; exec sleep infinity"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def tcti(self):
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.terminate()
        self.process.stdout.close()
        self.process.wait(PATIENCE)


class Service:
    """One gateway: a device at the hub, an identity directory, and gatekeyd when it is started."""

    def __init__(self, hub, folder, name, local="", **hub_settings):
        self.device = Device(hub, name)
        self.name = name
        self.folder = os.path.join(folder, name)
        self.identity = os.path.join(self.folder, "identity")
        self.state = os.path.join(self.folder, "state")
        self.socket = os.path.join(self.folder, "socket")
        self.config = os.path.join(self.folder, "gatekey.conf")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        self.program = "gatekeyd"
        self.prefix = []  # of its command line
        os.makedirs(self.identity)
        self.settings = {
            "tpm": {"tcti": os.environ["GATEKEY_TCTI"]},
            "identity": {"directory": self.identity, "provider": "default", "key": "file:" + self.device.key},
            "device": {"product_key": hub.product, "device_key": name},
            "renew": {"by": "event"},  # by hand gatekeyd would warn the hub of certificates this short
            "hub": {"host": "localhost", "port": hub.mqtts_port, "activation_port": hub.activation_port,
                    "ca_file": hub.ca, "spread": 0, **hub_settings},
        }
        self.local = local
        self.configure()

    def environment(self):
        """The environment would go before gatekey.conf. What tests preload comes before a sanitizer's runtime."""
        return {**os.environ, "GATEKEY_TCTI": self.settings["tpm"]["tcti"],
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
                "LSAN_OPTIONS": f"suppressions={os.environ['abs_top_srcdir']}/tests/lsan.supp:print_suppressions=0"}

    def configure(self):
        with open(self.config, "w", encoding="utf-8") as file:
            for section, keys in self.settings.items():
                file.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
            # Never the machine's own broker.
            local = self.local if "broker =" in self.local else "broker =\n" + self.local
            file.write(f"[local]\nsocket = {self.socket}\nstate_directory = {self.state}\n{local}")

    def enrol(self):
        shutil.copy(self.device.cert, os.path.join(self.identity, "cert.pem"))
        subprocess.run([os.path.join(BUILD, "tests/agent/hand-over"), self.config, self.device.secret], check=True, env=self.environment())
        return self

    def rewrite(self, name, text):
        """Replace a file of the identity directory in one step, as gatekey does."""
        path = os.path.join(self.identity, name)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".tmp", path)

    def state_json(self, **members):
        with open(os.path.join(self.identity, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        self.rewrite("state.json", json.dumps({**state, **members}))

    def certify(self, key, **more):
        """A second certificate of this device, for that key: its text and its serial."""
        csr = subprocess.run(["openssl", "req", "-new", "-key", key, "-sha256", "-subj", SUBJECT + self.name + "-" + str(time.monotonic_ns())],
                             check=True, capture_output=True, text=True).stdout
        answer = self.device.hub.certificates("apply", self.name, {"csr": csr, "validDay": 30, **more})
        assert answer["code"] == 0, answer
        return answer["data"]["cert"], int(answer["data"]["certSN"])

    def put_next(self, certificate, key=None):
        """Fill next/ as gatekey renew does."""
        folder = os.path.join(self.identity, "next")
        os.makedirs(folder, exist_ok=True)
        if key:
            shutil.copy(key, os.path.join(folder, "device.pem"))
        self.rewrite("next/cert.pem", certificate)
        self.state_json(renewal="ready", next=int(time.time()) - 3600)

    def promote(self):
        """What gatekey renew does with a pair that was accepted."""
        folder = os.path.join(self.identity, "next")
        self.state_json(renewal="promoting")
        for name in "device.pem", "cert.pem":
            if os.path.exists(os.path.join(folder, name)):
                os.rename(os.path.join(folder, name), os.path.join(self.identity, name))
                time.sleep(0.7)  # longer than the service takes a change for one with the next
        os.rmdir(folder)
        self.state_json(renewal="overlap")

    def another_day(self):
        """The connect budget begins anew."""
        with open(os.path.join(self.state, "connects"), "w", encoding="utf-8"):
            pass

    def spend(self, *ages):
        """As if so many seconds ago there had been connects."""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000
        times = " ".join(str(now - age * 1000) for age in ages)
        with open(os.path.join(self.state, "connects"), "w", encoding="ascii") as file:
            file.write(f"gatekey-connects 1 {boot} 0 0 {len(ages)} {times}\n")

    def reset(self):
        shutil.rmtree(os.path.join(self.identity, "next"), ignore_errors=True)
        for name in os.listdir(self.identity):
            os.unlink(os.path.join(self.identity, name))

    def start_as(self, user):
        return self.start(preexec_fn=lambda: (os.setgroups([]), os.setresgid(user, user, user), os.setresuid(user, user, user)))

    def start(self, preexec_fn=None, **environment):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([*self.prefix, os.path.join(BUILD, self.program), "--config", self.config],
                                            stderr=log, env={**self.environment(), **environment}, preexec_fn=preexec_fn)
        wait_until("gatekeyd listens", self.listens)
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"gatekeyd ended with {self.process.returncode}: {self.lines()}")
        try:
            self.open().close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def lines(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read().splitlines()

    def open(self):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(PATIENCE)
        try:
            link.connect(self.socket)
        except OSError:
            link.close()
            raise
        return link

    def call(self, request, link=None):
        """One request, one answer."""
        with link or self.open() as link:
            link.sendall((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = link.recv(65536)
                if not more:
                    raise ConnectionError(f"it hung up after {answer}")
                answer += more
            return json.loads(answer)

    def status(self):
        return self.call({"op": "status"})

    def connected(self):
        """Wait for it."""
        wait_until("gatekeyd is connected", lambda: self.status()["connected"])
        return self

    def publish(self, points, topic="thing/measurepoint/post", **more):
        """Hand it over: it is in the spool."""
        return self.call({"op": "publish", "topic": topic, "params": {"measurepoints": points}, **more})

    def send(self, points, topic="thing/measurepoint/post"):
        """The same, and wait for what the hub says."""
        return self.publish(points, topic, wait=True)


class GatekeydTest(HubTest):
    """A whole hub, and as many gatekeyds as a test asks for."""

    def setUp(self):
        self.services = []

    def tearDown(self):
        codes = [service.stop() for service in self.services]
        super().tearDown()
        self.assertEqual(codes, [0] * len(codes))

    def service(self, local="", **settings):
        type(self).count += 1
        service = Service(self.hub, self.folder, f"gw-{self.count}", local, **settings)
        self.services.append(service)
        return service

    def program(self, name, text, mode=0o755):
        path = os.path.join(os.path.realpath(self.folder), name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def service_with_tpm_key(self, handle):
        """One whose certificate is for a key in the TPM."""
        service = self.service()
        provider = os.path.join(BUILD, ".libs", "gatekey.so")
        service.settings["identity"].update(provider=provider, key="gatekey:")
        service.configure()
        reference = os.path.join(service.identity, "device.pem")
        subprocess.run([os.path.join(BUILD, "tests/tpm/make-key"), reference, handle], check=True, stderr=subprocess.DEVNULL)
        environment = {**os.environ, "GATEKEY_IDENTITY": service.identity, "OPENSSL_MODULES": os.path.join(BUILD, ".libs"),
                       "OPENSSL_CONF": os.path.join(os.environ["abs_top_srcdir"], "conf/openssl-gatekey.cnf"), **preload(provider)}
        csr = subprocess.run(["openssl", "req", "-new", "-key", reference, "-sha256", "-subj", SUBJECT + service.name + "-tpm"],
                             env=environment, check=True, capture_output=True, text=True).stdout
        answer = self.hub.certificates("apply", service.name, {"csr": csr, "validDay": 30})
        self.assertEqual(answer["code"], 0, answer)
        with open(service.device.cert, "w", encoding="utf-8") as file:
            file.write(answer["data"]["cert"])
        return service.enrol()

    def telemetry(self, service):
        return [row for row in self.hub.table("telemetry") if row["deviceKey"] == service.name]
