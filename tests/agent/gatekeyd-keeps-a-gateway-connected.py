#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd against a whole local hub: connecting, telemetry up, commands down, and bad days."""

import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, PATIENCE, GatekeydTest, wait_until  # noqa: E402
from wire import Wire  # noqa: E402

ECHO = """#!/bin/sh
echo "{\\"environment\\": \\"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\\", \\"arguments\\": \\"$*\\", \\"input\\": $(cat)}"
"""


class SlowWire(Wire):
    """One that takes connections and passes nothing on while its gate is closed."""

    def __init__(self, port):
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(port)

    def open(self, near):
        self.gate.wait(PATIENCE)
        return super().open(near)


class Messages(GatekeydTest):
    def test_publishes_and_hears_that_it_arrived(self):
        service = self.service().enrol().start().connected()
        answer = service.send({"temperature": 21.5})
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(answer["code"], 200)
        self.assertIn("21.5", json.dumps(self.telemetry(service)))
        other = service.send({"temperature": 22.5})
        self.assertEqual(int(other["id"]), int(answer["id"]) + 1)
        status = service.status()
        self.assertEqual((status["handed_over"], status["sent"], status["sent_again"]), (2, 2, 0))
        self.assertEqual(status["connects"], 1)

    def test_tells_the_code_of_a_refusal(self):
        service = self.service().enrol().start().connected()
        self.hub.fault("post-code=1206", "--times", "1")
        answer = service.send({"temperature": 1})
        self.assertFalse(answer["ok"])
        self.assertEqual((answer["status"], answer["code"], answer["exit"]), ("GK_HUB_REFUSED", 1206, 1))
        self.assertIn("code 1206", answer["error"])
        self.assertTrue(service.send({"temperature": 2})["ok"])

    def test_refuses_what_the_hub_would_not_take(self):
        service = self.service().enrol().start().connected()
        for topic in "", "thing/#", "/sys/x", "thing/service/reboot_reply", "a" * 200:
            answer = service.publish({"temperature": 1}, topic)
            self.assertEqual((answer["ok"], answer["status"]), (False, "GK_USAGE"), topic)
        answer = service.publish({"text": "x" * 600 * 1024})
        self.assertEqual(answer["status"], "GK_USAGE")
        self.assertTrue(service.send({"text": "x" * 400 * 1024})["ok"])

    def test_answers_commands_by_the_program_configured_for_them(self):
        echo = self.program("echo", ECHO)
        fail = self.program("fail", "#!/bin/sh\necho a reason >&2\nexit 3\n")
        writable = self.program("writable", "#!/bin/sh\n", 0o777)
        service = self.service(f"command.echo = {echo} fixed words\ncommand.measurepoint/set = {echo}\n"
                               f"command.fail = {fail}\ncommand.writable = {writable}\n")
        service.enrol().start(SECRET="not for programs").connected()

        def call(*words):
            done = self.hub.ctl(*words, check=False)
            return json.loads(done.stdout)

        answer = call("call", self.hub.product, service.name, "echo", '{"a":"$(id)"}')
        self.assertEqual(answer["code"], 200, answer)
        self.assertEqual(answer["data"]["input"], {"a": "$(id)"})
        self.assertEqual(answer["data"]["arguments"], "fixed words")
        self.assertEqual(answer["data"]["environment"].split(), ["LANG", "PATH", "PWD"])
        answer = call("set", self.hub.product, service.name, "level=3")
        self.assertEqual((answer["code"], answer["data"]["input"]), (200, {"level": 3}))
        self.assertEqual(call("call", self.hub.product, service.name, "reboot", "{}")["code"], 2001)
        self.assertEqual(call("call", self.hub.product, service.name, "fail", "{}")["code"], 2002)
        self.assertEqual(call("call", self.hub.product, service.name, "writable", "{}")["code"], 2006)
        log = "\n".join(service.lines())
        self.assertIn("fail says: a reason", log)
        self.assertIn(f"{writable} can be written by others", log)

    def test_leaves_no_program_behind(self):
        note = os.path.join(os.path.realpath(self.folder), "escaped")
        escape = self.program("escape", f"#!/bin/sh\nsetsid sleep 300 &\necho $! >{note}.new\nmv {note}.new {note}\nwait\n")
        service = self.service(f"command.escape = {escape}\n").enrol().start().connected()
        caller = subprocess.Popen([os.path.join(BUILD, "tests/hub/hubctl"), self.hub.directory, "call", self.hub.product,
                                   service.name, "escape", "{}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("it runs", lambda: os.path.exists(note))
        with open(note, encoding="ascii") as file:
            process = int(file.read())
        wait_until("it left its session", lambda: os.getsid(process) == process)
        self.assertEqual(service.stop(), 0)
        caller.terminate()
        caller.wait()
        with self.assertRaises(ProcessLookupError):
            os.kill(process, 0)

    def test_signs_with_the_key_in_the_tpm(self):
        # An openssl.cnf that would break every program that reads it: this one does not.
        poison = self.program("poison.cnf", "openssl_conf = i\nconfig_diagnostics = 1\n[i]\nproviders = p\n[p]\nx = y\n"
                              "[y]\nmodule = /nonexistent\nactivate = 1\n")
        service = self.service_with_tpm_key("0x81000100")
        service.start(OPENSSL_CONF=poison).connected()
        self.assertTrue(service.send({"temperature": 1})["ok"])


class BadDays(GatekeydTest):
    def test_waits_quietly_until_it_is_enrolled_and_leaves_after_a_reset(self):
        service = self.service().start()
        self.assertEqual(service.status()["state"], "not-enrolled")
        answer = service.publish({"temperature": 1})
        self.assertEqual((answer["status"], answer["exit"]), ("GK_NOT_ENROLLED", 3))
        self.assertEqual(service.call({"op": "reconnect"})["status"], "GK_NOT_ENROLLED")
        service.enrol().connected()
        self.assertTrue(service.publish({"temperature": 1})["ok"])
        service.reset()
        wait_until("it noticed", lambda: service.status()["state"] == "not-enrolled")
        self.assertEqual(len([line for line in service.lines() if "not enrolled" in line]), 2)
        self.assertEqual(service.status()["attempts"], 1)

    def test_says_what_it_may_not_read(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        service = self.service().enrol()
        folder = service.folder
        while folder != "/tmp":
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        os.makedirs(service.state)
        for path in service.folder, service.state, service.device.key, os.path.join(service.identity, "secret.tpm"):
            os.chown(path, 65534, 65534)
        os.chmod(os.path.dirname(service.device.key), 0o755)
        os.chmod(os.path.dirname(os.path.dirname(service.device.key)), 0o755)
        for path, mode in (service.identity, 0o700), (os.path.join(service.identity, "state.json"), 0o600):
            before = stat.S_IMODE(os.stat(path).st_mode)
            os.chmod(path, mode)
            service.start_as(65534)
            status = self.failure(service)
            self.assertEqual((status["state"], status["last_status"]), ("waiting", "GK_FILE_DENIED"), status)
            for error in status["last_error"], service.lines()[-1]:
                self.assertIn(f"permission denied ({path}", error)
                self.assertIn("the user that gatekeyd runs as", error)
            self.assertEqual(service.call({"op": "reconnect"})["status"], "GK_FILE_DENIED")
            self.assertEqual(service.stop(), 0)
            os.chmod(path, before)
            os.unlink(os.path.join(service.state, "connects"))  # another day

    def test_believes_the_right_hub_only(self):
        for fault, words in (("expired", "its certificate has expired"),
                             ("other-name", "its certificate is for another name"),
                             ("other-ca", "its issuer is not among the roots")):
            service = self.service().enrol()
            self.hub.fault("server-certificate=" + fault)
            service.start()
            status = self.failure(service)
            self.assertEqual(status["last_status"], "GK_UNTRUSTED")
            self.assertIn(words, status["last_error"])
            # What is handed over meanwhile waits for the right one.
            self.assertTrue(service.publish({"temperature": 1})["ok"])
            self.assertEqual(self.telemetry(service), [])
            self.hub.fault("--clear")

    def failure(self, service):
        """Why it is not connected."""
        return wait_until("it failed", lambda: service.status() if "last_error" in service.status() else None)

    def test_says_that_there_is_no_tpm(self):
        service = self.service().enrol()
        status = self.failure(service.start(GATEKEY_TCTI="device:/nonexistent/tpm"))
        self.assertEqual(status["last_status"], "GK_NO_TPM")
        self.assertIn("no TPM answered (/nonexistent/tpm", status["last_error"])
        self.assertTrue(service.publish({"temperature": 1})["ok"])

    def test_says_that_the_key_is_gone(self):
        service = self.service_with_tpm_key("0x81000111")
        subprocess.run(["tpm2_evictcontrol", "-C", "o", "-c", "0x81000111"], check=True, stdout=subprocess.DEVNULL)
        status = self.failure(service.start())
        self.assertEqual(status["last_status"], "GK_NO_KEY", status)
        self.assertIn("cannot connect: no key at that handle (0x81000111", status["last_error"])

    def test_tells_a_revoked_certificate_from_a_lost_connection_and_comes_back(self):
        lost = self.service().enrol().start().connected()
        revoked = self.service().enrol().start().connected()
        self.hub.fault("post-drop", "--times", "1")
        self.assertTrue(lost.publish({"temperature": 1})["ok"])
        wait_until("it noticed", lambda: not lost.status()["connected"])
        self.hub.ctl("revoke", str(revoked.device.serial))
        wait_until("it was thrown out", lambda: not revoked.status()["connected"])
        # The backoff is on disk: a restart does not get around it.
        self.assertEqual(lost.stop(), 0)
        lost.start()
        status = lost.status()
        self.assertEqual((status["state"], status["attempts"]), ("waiting", 0))
        self.assertLessEqual(status["next_attempt_s"], 12)
        self.assertEqual(self.telemetry(lost), [])
        lost.connected()
        wait_until("what was lost on its way is there", lambda: self.telemetry(lost))
        wait_until("it knows why", lambda: revoked.status().get("last_status") == "GK_REVOKED")
        self.assertTrue(revoked.publish({"temperature": 1})["ok"])
        self.assertIn("the certificate is revoked", "\n".join(revoked.lines()))

    def test_comes_back_when_the_hub_does(self):
        service = self.service().enrol().start().connected()
        self.assertEqual(self.hub.stop(), 0)
        wait_until("it noticed", lambda: not service.status()["connected"])
        self.assertIn("gatekeyd tries again by itself", "\n".join(service.lines()))
        self.hub.start()
        service.connected()
        self.assertTrue(service.send({"temperature": 1})["ok"])
        self.assertEqual(service.status()["connects"], 2)

    def test_spends_three_connects_and_no_more(self):
        service = self.service().enrol().start().connected()
        for _ in range(2):
            time.sleep(1)
            self.assertTrue(service.call({"op": "reconnect"})["ok"])
        answer = service.call({"op": "reconnect"})
        self.assertEqual(answer["status"], "GK_THROTTLED")
        service.stop()
        service.start()
        status = service.status()
        self.assertEqual(status["state"], "waiting")
        self.assertGreater(status["next_attempt_s"], 60)


    def hold_budget(self, service):
        """As a gatekey that was stopped in the middle of it; the file, to be closed."""
        file = open(os.path.join(service.state, "connects"), encoding="ascii")  # pylint: disable=consider-using-with
        self.addCleanup(file.close)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def logged(self, service, words):
        wait_until(words, lambda: [line for line in service.lines() if words in line])

    def test_gives_no_connect_back_that_was_sent(self):
        service = self.service().enrol().start().connected()
        self.hub.ctl("drop", self.hub.product, service.name)
        wait_until("it waits", lambda: service.status()["state"] == "waiting")
        with self.hold_budget(service) as budget, service.open() as link:
            sent = budget.read().split()[-1]
            link.sendall(b'{"op":"reconnect"}\n')
            # What it could not take, it wants to give back.
            self.logged(service, "is locked by another process")
            fcntl.flock(budget, fcntl.LOCK_UN)
            self.assertEqual(json.loads(link.makefile().readline())["status"], "GK_BUSY")
            budget.seek(0)
            self.assertIn(sent, budget.read().split())

    def test_connects_anew_though_the_budget_was_held(self):
        service = self.service().enrol().start().connected()
        with open(self.hub.ca, encoding="utf-8") as file:
            roots = file.read()
        with self.hold_budget(service):
            service.rewrite("server-ca.pem", roots)
            self.logged(service, "cannot keep the connect budget")
        wait_until("it has looked again", lambda: service.status()["connects"] == 2)


class BadHubs(GatekeydTest):
    def bad_hub(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        return hub

    def test_uses_one_topic_after_the_other(self):
        hub = self.bad_hub()
        silent = []

        def answer(peer, topic, payload):
            if "hold" in topic:
                silent.append(topic)
            else:
                peer.publish(topic + "_reply", {"id": json.loads(payload)["id"], "code": 200, "data": {}}, 0)

        hub.on_publish = answer
        service = self.service(port=hub.port).enrol().start().connected()
        held = service.open()
        held.sendall(b'{"op":"publish","topic":"thing/tag/hold","params":{}}\n')
        wait_until("the hub has it", lambda: silent)
        for number in range(100):
            reply = service.send({}, f"thing/tag/x{number}")
            self.assertTrue(reply["ok"], reply)
        gone = [topic.split("/")[-1] for topic in hub.unsubscribed]
        # The oldest go first, and never one whose answer is waited for.
        self.assertEqual(gone, [f"x{number}_reply" for number in range(37)])
        self.assertTrue(service.send({}, "thing/tag/x0")["ok"])
        held.close()

    def test_passes_on_words_of_the_hub_and_no_control_characters(self):
        hub = self.bad_hub()
        hub.on_publish = lambda peer, topic, payload: peer.publish(
            topic + "_reply", {"id": json.loads(payload)["id"], "code": 1206, "data": {},
                               "message": "\x1b]0;owned\x07 gone\ngatekeyd: all is well\u009b2J"}, 0)
        service = self.service(port=hub.port).enrol().start().connected()
        error = service.send({})["error"]
        self.assertIn("thing/measurepoint/post: code 1206, ]0;owned gonegatekeyd: all is well2J", error)
        self.assertTrue(error.isprintable(), error)

    def test_logs_no_control_characters(self):
        hub = self.bad_hub()
        service = self.service(port=hub.port)
        hub.on_subscribe = lambda peer, topic: topic.endswith("traffic/control") and peer.publish(
            topic, b"less\x1b]0;owned\x07 \xc2\x9b2J\x9b2J\xe0\x82\x9b2J na\xc3\xafve\ngatekeyd: all is well", 0)
        service.enrol().start().connected()
        line = wait_until("it is logged", lambda: [line for line in service.lines() if "asks for less" in line])[0]
        self.assertTrue(line.isprintable(), line)
        self.assertIn("less?]0;owned? ??2J?2J???2J na\u00efve?gatekeyd: all is well", line)

    def test_takes_no_resumed_connection_for_a_verdict(self):
        hub = self.bad_hub()
        wire = SlowWire(hub.port)
        self.addCleanup(wire.close)
        service = self.service(port=wire.port).enrol().start().connected()
        wire.gate.clear()
        wire.cut()
        wait_until("it waits", lambda: service.status()["state"] == "waiting")
        # Then the one on its way offers its session, and the one asked for has to wait a little.
        service.spend(100, 99)
        wait_until("it tries", lambda: service.status()["state"] == "connecting")
        with service.open() as link:
            link.sendall(b'{"op":"reconnect"}\n')
            self.assertEqual(service.call({"op": "reconnect"})["status"], "GK_LOCK_HELD")  # so that one is waited for
            wire.gate.set()
            self.assertTrue(json.loads(link.makefile().readline())["ok"])
        status = service.status()
        self.assertEqual((status["connects"], status["handshake"]), (3, "full"))

    def test_is_let_in_once(self):
        hub = self.bad_hub()
        hub.on_publish = lambda peer, topic, payload: peer.send(0x20, b"\0\0")
        service = self.service(port=hub.port).enrol().start().connected()
        self.assertTrue(service.publish({})["ok"])
        status = wait_until("it has left", lambda: service.status() if not service.status()["connected"] else None)
        self.assertEqual((status["connects"], status["last_status"]), (1, "GK_HUB_GARBLED"))
        self.assertIn("a second CONNACK", status["last_error"])

    def test_subscribes_anew_after_a_refusal(self):
        hub = self.bad_hub()
        service = self.service(port=hub.port).enrol().start().connected()
        hub.granted = 128
        ident = service.publish({})["id"]
        wait_until("it is refused", lambda: "refused the subscription to thing/measurepoint/post_reply" in "\n".join(service.lines()))
        heard = []

        def answer(peer, topic, payload):
            heard.append(json.loads(payload)["id"])
            peer.publish(topic + "_reply", {"id": heard[-1], "code": 200, "data": {}}, 0)

        hub.granted = 1
        hub.on_publish = answer
        self.assertTrue(service.send({})["ok"])
        self.assertIn(ident, heard)


class Surroundings(GatekeydTest):
    def test_tells_systemd_how_it_is(self):
        service = self.service().enrol()
        path = os.path.join(service.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(PATIENCE)
            notify.bind(path)
            service.start(NOTIFY_SOCKET=path, WATCHDOG_USEC="2000000").connected()
            told = []
            while not {"READY=1", "WATCHDOG=1", "STATUS=connected to localhost"} <= set(told):
                told += notify.recv(65536).decode().splitlines()
            self.assertEqual(service.stop(), 0)
            while "STOPPING=1" not in told:
                told += notify.recv(65536).decode().splitlines()

    def test_marks_its_lines_for_the_journal(self):
        service = self.service()
        with open(service.log, "w", encoding="utf-8") as log:
            info = os.fstat(log.fileno())
        service.start(JOURNAL_STREAM=f"{info.st_dev}:{info.st_ino}")
        wait_until("it said so", service.lines)
        self.assertEqual(service.lines(), ["<5>not enrolled; waiting for gatekey enroll"])
        service.stop()
        service.start()
        wait_until("it said so", lambda: service.lines()[1:])
        self.assertEqual(service.lines()[1:], ["gatekeyd: not enrolled; waiting for gatekey enroll"])


if __name__ == "__main__":
    unittest.main()
