#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a gateway whose clock is changed, in each way and with each witness that there is.

The wall clock is moved by libfaketime, which leaves the time since boot alone. Another boot is another boot_id,
mounted over the kernel's; a battery is a /sys/class/rtc of our own; whether the kernel is synchronised is said by
kernel-clock.c. The TPM is a swtpm that loses its power, with TPM2_Shutdown before or without. That the kernel tells
gatekeyd at once when the clock is set can only be tried where it may be set: see tests/debian/guest.
"""

import ctypes
import glob
import json
import os
import socket
import struct
import subprocess
import sys
import time
import unittest
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service import BUILD, GatekeydTest, wait_until  # noqa: E402

HOUR = 3600
FAKETIME = "".join(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[:1])
KERNEL_CLOCK = os.path.join(BUILD, "tests/agent/kernel-clock.so")
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND = 0x20000, 0x4000, 1 << 18, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace of our own")


def mount(what, where, kind, flags):
    must(libc.mount(what.encode(), where.encode(), kind, flags, None))


class Machine:
    """What a gatekeyd is made to believe of the machine that it runs on."""

    def __init__(self, service):
        self.service = service
        self.boot_id = os.path.join(service.folder, "boot-id")
        self.shift = os.path.join(service.folder, "shift")
        self.synchronised = os.path.join(service.folder, "synchronised")
        self.battery = True
        self.is_on = False
        self.moved = 0
        self.move(0)
        self.boot()

    def boot(self):
        with open(self.boot_id, "w", encoding="ascii") as file:
            file.write(str(uuid.uuid4()) + "\n")

    def move(self, seconds):
        """Set the clock, so far from where it stands."""
        self.moved += seconds
        with open(self.shift + ".new", "w", encoding="ascii") as file:
            file.write(f"{self.moved:+d}")
        os.rename(self.shift + ".new", self.shift)

    def synchronise(self, yes=True):
        if yes:
            with open(self.synchronised, "w", encoding="ascii"):
                pass
        elif os.path.exists(self.synchronised):
            os.unlink(self.synchronised)

    def enter(self):
        """In gatekeyd's process, before it begins."""
        must(libc.unshare(CLONE_NEWNS))
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount(self.boot_id, "/proc/sys/kernel/random/boot_id", None, MS_BIND)
        # A Debian in a folder has an empty /sys.
        mount("none", "/sys/class" if os.path.isdir("/sys/class") else "/sys", b"tmpfs", 0)
        if self.battery:
            os.makedirs("/sys/class/rtc/rtc0")
            with open("/sys/class/rtc/rtc0/hctosys", "w", encoding="ascii") as file:
                file.write("1\n")

    def environment(self):
        return {"LD_PRELOAD": f"{FAKETIME} {KERNEL_CLOCK}", "KERNEL_CLOCK": self.synchronised,
                "FAKETIME_TIMESTAMP_FILE": self.shift, "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def start(self):
        self.service.another_day()
        return self.service.start(preexec_fn=self.enter, **self.environment())


class Clock(GatekeydTest):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root may mount")

    def machine(self, settings=None, **how):
        service = self.service()
        service.settings["clock"] = settings or {}
        service.configure()
        os.makedirs(service.state, exist_ok=True)
        service.enrol()
        machine = Machine(service)
        for name, value in how.items():
            setattr(machine, name, value)
        machine.synchronise()
        return machine

    # --- what happens to a machine ---------------------------------------------------------------

    def tpm_loses_power(self, orderly):
        if orderly:
            subprocess.run(["tpm2_shutdown", "-c"], check=True)
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(os.environ["GATEKEY_TCTI"].removeprefix("swtpm:path=") + ".ctrl")
            control.sendall(struct.pack(">II", 2, 0))  # CMD_INIT
            self.assertEqual(control.recv(4), bytes(4))
        subprocess.run(["tpm2_startup", "-c"], check=True)

    def power_off(self, machine, orderly=True):
        """And on again, with the clock as it is; the kernel is not synchronised yet."""
        if orderly:
            self.assertEqual(machine.service.stop(), 0)
        else:
            machine.service.process.kill()
            machine.service.process.wait()
            machine.service.process = None
        self.tpm_loses_power(orderly)
        machine.boot()
        machine.synchronise(False)

    def clear_tpm(self, machine):
        """The device secret is gone with it, so it is sealed anew."""
        subprocess.run(["tpm2_clear", "-Q", "-c", "p"], check=True)
        machine.service.enrol()

    def look(self, machine):
        """What gatekeyd says of the clock; it looks before it connects, so let it connect."""
        machine.service.another_day()
        machine.service.call({"op": "reconnect"})
        return machine.service.status()["clock"]

    def at_start(self, machine):
        return machine.service.status()["clock"]["atStart"]

    def says(self, clock, verdict, tpm, *words):
        self.assertEqual((clock["verdict"], clock["tpm"]), (verdict, tpm), clock)
        for word in words:
            self.assertIn(word, clock["detail"])

    def gatekey(self, machine, *words):
        """By the clock of that machine."""
        return subprocess.run([os.path.join(BUILD, "gatekey"), "--config", machine.service.config, *words],
                              env={**os.environ, **machine.environment()}, capture_output=True, text=True, check=False)

    def tampered(self, machine):
        """The lines in which gatekeyd said so."""
        return [line for line in machine.service.lines() if "tampered" in line]

    def events(self, machine):
        return [json.loads(row["value"]) for row in self.telemetry(machine.service) if row["point"] == "clockTampered"]

    # --- while it runs, and across a restart of the service --------------------------------------

    def test_a_step_forward_while_it_runs(self):
        machine = self.machine()
        service = machine.start().connected()
        self.says(self.at_start(machine), "new", "unknown")
        self.says(self.look(machine), "right", "ran", "time since boot")
        machine.move(2 * HOUR)
        clock = self.look(machine)
        self.says(clock, "setForward", "ran", "set forward by 7200 s", "by the time since boot it is")
        self.assertTrue(clock["tampering"]["stands"])
        wait_until("the hub was told", lambda: service.status()["clock"]["tampering"]["told"])
        # It is warned of, and that is all.
        self.assertTrue(service.send({"temperature": 1})["ok"])
        self.look(machine)
        self.assertEqual(len(self.tampered(machine)), 1)
        shown = self.gatekey(machine, "status")
        self.assertEqual(shown.returncode, 1, shown)
        self.assertIn("\nclock        the clock was set forward by 7200 s", shown.stdout)
        self.assertRegex(shown.stdout, r"\nfloor        not before 20\d\d-.*Z \(hub\)\n")
        self.assertIn("this gateway's clock cannot be right (the clock was set forward by 7200 s", shown.stderr)
        self.assertIn("run gatekey clock accept", shown.stderr)
        event, = self.events(machine)
        self.assertEqual((event["kind"], event["seconds"]), ("setForward", 7200), event)
        self.assertIn("set forward by 7200 s", event["detail"])
        machine.move(-2 * HOUR)
        self.says(self.look(machine), "right", "ran")
        self.assertIn("the clock is right again", "\n".join(service.lines()))
        self.assertFalse(service.status()["clock"]["tampering"]["stands"])

    def test_a_step_back_while_it_runs(self):
        machine = self.machine()
        machine.start().connected()
        machine.move(-HOUR)
        self.says(self.look(machine), "setBack", "ran", "set back by 3600 s")

    def test_a_restart_of_the_service(self):
        machine = self.machine()
        machine.start().connected()
        for moved, verdict in (0, "right"), (HOUR, "setForward"), (-HOUR, "right"), (-HOUR, "setBack"):
            self.assertEqual(machine.service.stop(), 0)
            machine.move(moved)
            machine.start()
            self.says(self.at_start(machine), verdict, "ran", "the time since boot")
        # What was said once is not said again by the next.
        self.assertEqual(machine.service.stop(), 0)
        machine.start()
        self.assertEqual(len(self.tampered(machine)), 2)

    def test_a_crash_of_the_service(self):
        machine = self.machine()
        machine.start().connected()
        machine.service.process.kill()
        machine.service.process.wait()
        machine.move(HOUR)
        machine.start()
        self.says(self.at_start(machine), "setForward", "ran", "the time since boot")

    def test_the_tpm_is_cleared_while_it_runs(self):
        self.tpm_loses_power(True)
        machine = self.machine()
        machine.start().connected()
        # The secret that is replaced lets it look.
        self.clear_tpm(machine)
        wait_until("it noticed", lambda: "the TPM was cleared" in "\n".join(machine.service.lines()))
        wait_until("it looks again", lambda: self.look(machine)["tpm"] == "ran")
        self.says(machine.service.status()["clock"], "right", "ran", "time since boot")
        self.assertEqual(self.tampered(machine), [])

    # --- the machine starts again ----------------------------------------------------------------

    def test_an_orderly_power_off(self):
        machine = self.machine()
        machine.start().connected()
        self.power_off(machine)
        machine.move(5 * HOUR)
        machine.start()
        self.says(self.at_start(machine), "unprovable", "off", "did not go back", "stood still as well")
        self.power_off(machine)
        machine.move(-6 * HOUR)
        machine.start()
        self.says(self.at_start(machine), "wentBack", "off", "while the machine was off")
        self.assertAlmostEqual(machine.service.status()["clock"]["tampering"]["seconds"], -6 * HOUR, delta=300)

    def test_an_unorderly_power_off(self):
        machine = self.machine()
        machine.start().connected()
        self.power_off(machine, orderly=False)
        machine.start()
        self.says(self.at_start(machine), "unprovable", "unsafe", "without a shutdown")
        self.power_off(machine, orderly=False)
        machine.move(-HOUR)
        machine.start()
        self.says(self.at_start(machine), "wentBack", "unsafe", "while the machine was off")

    def test_the_tpm_is_cleared_between(self):
        # It has had more power-ups than there are after it was cleared.
        for _ in range(3):
            self.tpm_loses_power(True)
        machine = self.machine()
        machine.start().connected()
        self.assertEqual(machine.service.stop(), 0)
        self.clear_tpm(machine)
        machine.boot()
        machine.start()
        self.says(self.at_start(machine), "unprovable", "cleared", "the TPM was cleared")

    def test_the_machine_starts_again_and_the_tpm_does_not(self):
        machine = self.machine()
        machine.start().connected()
        for moved, verdict in (0, "right"), (HOUR, "setForward"), (-HOUR, "right"), (-HOUR, "setBack"):
            self.assertEqual(machine.service.stop(), 0)
            machine.boot()
            machine.move(moved)
            machine.start()
            self.says(self.at_start(machine), verdict, "ran", "the TPM's clock")

    # --- a clock that is set for the first time --------------------------------------------------

    def test_a_first_setting_is_no_step(self):
        machine = self.machine()
        machine.synchronise(False)
        machine.start().connected()
        machine.move(3 * HOUR)
        self.says(self.look(machine), "firstSetting", "ran", "for the first time since the machine started")
        self.assertEqual(self.tampered(machine), [])
        machine.move(3 * HOUR)
        self.says(self.look(machine), "setForward", "ran", "set forward by 10800 s")

    def test_without_a_battery_it_waits_for_time(self):
        machine = self.machine(battery=False)
        machine.synchronise(False)
        machine.move(-int(time.time()) + 100)
        notified = os.path.join(self.folder, "notified")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(notified)
            systemd.settimeout(20)
            os.environ["NOTIFY_SOCKET"] = notified
            try:
                service = machine.start()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            said = b""
            while b"READY=1" not in said or b"STATUS=" not in said:
                said += systemd.recv(4096)
        sentence = "the clock stands at 1970-01-01T00:0"
        self.assertIn(b"STATUS=cannot connect: this gateway's clock cannot be right (" + sentence.encode(), said)
        status = service.status()
        self.says(status["clock"]["atStart"], "unset", "unknown", sentence, "and was not set since the machine started")
        self.assertEqual((status["state"], status["attempts"], status["last_status"]), ("clock-wrong", 0, "GK_CLOCK_WRONG"))
        self.assertIn("once it is set, by NTP or by hand", status["last_error"])
        self.assertTrue(service.publish({"temperature": 1})["ok"])
        # NTP sets it.
        machine.synchronise()
        machine.move(-machine.moved)
        self.says(self.look(machine), "firstSetting", "ran", "from 1970-01-01T00:0")
        service.connected()
        self.assertEqual(self.tampered(machine), [])
        # The next time it starts it stands a little behind, as a file restored it, and waits again.
        self.power_off(machine)
        machine.move(-HOUR)
        machine.start()
        self.says(self.at_start(machine), "unset", "off")
        machine.synchronise()
        machine.move(2 * HOUR)
        self.says(self.look(machine), "firstSetting", "ran")
        self.assertEqual(self.tampered(machine), [])

    def test_a_clock_that_runs_needs_no_setting(self):
        """It stands a little behind, nobody ever sets it, and it gets there by itself."""
        machine = self.machine(battery=False)
        machine.synchronise(False)
        with open(os.path.join(machine.service.state, "clock.json"), "w", encoding="utf-8") as file:
            json.dump({"version": 1, "floor": int(time.time()) + 10, "source": "https"}, file)
        service = machine.start()
        self.says(self.at_start(machine), "unset", "unknown")
        self.assertEqual(service.status()["state"], "clock-wrong")
        service.connected()
        self.assertEqual(self.tampered(machine), [])

    # --- what is done about it -------------------------------------------------------------------

    def stopped(self, machine):
        status = machine.service.status()
        return status["state"] == "clock-wrong" and status

    def test_stops_where_it_is_told_to(self):
        machine = self.machine({"on_tamper": "stop"})
        service = machine.start().connected()
        self.assertEqual(service.stop(), 0)
        machine.move(2 * HOUR)
        machine.start()
        status = self.stopped(machine)
        self.assertEqual((status["attempts"], status["last_status"]), (0, "GK_CLOCK_WRONG"), status)
        self.assertIn("run gatekey clock accept", status["last_error"])
        self.assertTrue(service.publish({"temperature": 1})["ok"])
        # Once it is right again it goes on by itself, and the hub hears of it.
        machine.move(-2 * HOUR)
        self.look(machine)
        service.connected()
        wait_until("the hub was told", lambda: service.status()["clock"]["tampering"]["told"])
        self.assertEqual(len(self.events(machine)), 1)

    def raise_floor(self, machine, seconds=1):
        """As gatekey does, when it has proved a time; gatekeyd looks at once."""
        path = os.path.join(machine.service.state, "clock.json")
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        record.update(floor=record["floor"] + seconds, source="crl")
        with open(path + ".other", "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.rename(path + ".other", path)

    def test_tells_the_hub_before_it_leaves(self):
        machine = self.machine({"on_tamper": "stop"})
        service = machine.start().connected()
        time.sleep(1)  # gatekeyd takes a file that changes within half a second for one with its own
        machine.move(HOUR)
        self.raise_floor(machine)
        wait_until("it has left", lambda: self.stopped(machine))
        self.assertTrue(service.status()["clock"]["tampering"]["told"])
        event, = self.events(machine)
        self.assertEqual((event["kind"], event["seconds"]), ("setForward", HOUR))
        self.assertEqual(service.status()["connects"], 1)

    def test_the_floor_overtakes_a_clock_that_is_behind(self):
        machine = self.machine()
        service = machine.start().connected()
        time.sleep(1)
        self.raise_floor(machine, 9 * HOUR)
        wait_until("it noticed", lambda: service.status()["clock"]["verdict"] == "beforeFloor")
        self.says(service.status()["clock"], "beforeFloor", "ran", "which has certainly passed")
        machine.move(10 * HOUR)
        # That a clock was set that stood too early is told, and that it is after the floor now.
        self.says(self.look(machine), "setForward", "ran")

    def test_somebody_accepts_the_clock_as_it_is(self):
        machine = self.machine({"on_tamper": "stop"})
        service = machine.start().connected()
        self.assertEqual(service.stop(), 0)
        machine.move(2 * HOUR)
        machine.start()
        self.assertTrue(self.stopped(machine))
        # That cannot be accepted, and the sentence says why.
        machine.move(-300 * 24 * HOUR)
        refused = self.gatekey(machine, "clock", "accept")
        self.assertEqual(refused.returncode, 1, refused)
        self.assertIn("gatekey was built on 20", refused.stderr)
        machine.move(300 * 24 * HOUR)
        # Neither another service nor another boot excuses it.
        self.power_off(machine)
        machine.start()
        self.assertTrue(self.stopped(machine))
        accepted = self.gatekey(machine, "clock", "accept")
        self.assertEqual(accepted.returncode, 0, accepted)
        self.assertIn("no longer held against it: the clock was set forward by 7200 s", accepted.stderr)
        service.connected()
        self.assertFalse(service.status()["clock"]["tampering"]["stands"])
        machine.synchronise()
        self.says(self.look(machine), "right", "ran")


if __name__ == "__main__":
    if not FAKETIME:
        print("libfaketime is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
