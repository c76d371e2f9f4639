#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The socket of gatekeyd: who may ask what, and that nobody can hold up anybody else."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service import BUILD, PATIENCE, GatekeydTest  # noqa: E402


def as_nobody(function):
    """What the function returns when another user calls it, as JSON."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writer, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


@contextlib.contextmanager
def another_user(user):
    """Sockets that are connected within are that user's."""
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


class Socket(GatekeydTest):
    def test_serves_whoever_asks_properly_whatever_others_do(self):
        service = self.service().start()
        self.assertEqual(stat.S_IMODE(os.stat(service.socket).st_mode), 0o660)
        silent = [service.open() for _ in range(5)]
        half = service.open()
        half.sendall(b'{"op":')
        for text in b"", b"garbage", b"[]", b'{"op":7}', b'{"op":"fly"}', b'{"op":"status","op":"stop"}', b"\x00\xff":
            self.assertEqual(service.call(text)["status"], "GK_USAGE")
        with service.open() as flood:
            try:
                for _ in range(64):
                    flood.sendall(b"x" * 65536)
                answer = flood.recv(65536)
            except OSError:
                answer = b""
            self.assertIn(b"GK_USAGE", answer or b"GK_USAGE")
        half.sendall(b'"status"}\n')
        self.assertIn(b'"ok":true', half.recv(65536))
        half.close()
        # Whoever connects and says nothing makes room for others.
        silent += [service.open() for _ in range(40)]
        self.assertTrue(service.status()["ok"])
        for link in silent:
            link.close()

    def let_everybody_in(self, service):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        folder = service.folder
        while folder != "/tmp":
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        os.chmod(service.socket, 0o666)

    def test_keeps_a_place_for_its_owner_whatever_others_do(self):
        service = self.service().start()
        self.let_everybody_in(service)

        def begin():
            link = service.open()
            with contextlib.suppress(BrokenPipeError):  # turned away by now
                link.sendall(b'{"op":')
            return link

        def turned_away(link):
            link.settimeout(0.2)
            try:
                return b"GK_BUSY" in link.recv(65536)
            except ConnectionResetError:
                return True
            except TimeoutError:
                return False

        crowd = []
        for user, admitted in (65534, 8), (65533, 6), (65532, 0):
            with another_user(user):
                links = [begin() for _ in range(16)]
            crowd += links
            self.assertEqual([turned_away(link) for link in links], [False] * admitted + [True] * (16 - admitted))
        first, second, third = begin(), begin(), begin()
        self.assertTrue(turned_away(third))
        for link in first, second:
            link.settimeout(PATIENCE)
            self.assertTrue(service.call(b'"status"}', link)["ok"])
        for link in [*crowd, third]:
            link.close()

    def test_lets_only_its_owner_change_things(self):
        service = self.service().enrol().start().connected()
        self.let_everybody_in(service)
        for operation, refused in ("stop", True), ("reconnect", True), ("status", False):
            answer = as_nobody(lambda op=operation: service.call({"op": op}))
            self.assertEqual(answer.get("status") == "GK_REFUSED", refused, answer)
        self.assertTrue(service.status()["connected"])

    def test_lets_only_its_owner_ask_for_and_revoke_certificates(self):
        service = self.service().enrol().start().connected()
        self.let_everybody_in(service)

        def publish(event, name):
            params = {"events": {"certSN": "1", "reason": 5}, "time": 1}
            return service.call({"op": "publish", "topic": f"thing/event/{event}{name}", "params": params})

        for event in "revokeMe", "certificateRequest", "certificateSuperseded", "REVOKEME":
            for name in "/post", "":
                answer = as_nobody(lambda event=event, name=name: publish(event, name))
                self.assertEqual(answer.get("status"), "GK_REFUSED", answer)
        for event in "revokeMeNot", "alarm":
            answer = as_nobody(lambda event=event: publish(event, "/post"))
            self.assertNotEqual(answer.get("status"), "GK_REFUSED", answer)
        self.assertNotEqual(publish("revokeMe", "/post").get("status"), "GK_REFUSED")

    def test_does_nothing_for_another_identity(self):
        service = self.service().enrol().start().connected()
        ours = {"directory": service.identity, "product_key": self.hub.product, "device_key": service.name}
        for operation in "stop", "reconnect":
            for member, other in ("directory", "/var/lib/other"), ("product_key", "P2"), ("device_key", "gw-x"), ("device_key", 7):
                answer = service.call({"op": operation, **ours, member: other})
                self.assertEqual((answer["ok"], answer.get("status")), (False, "GK_NO_SERVICE"), answer)
                for name in (*ours.values(), other if other != 7 else ""):
                    self.assertIn(name[:60], answer["error"])
        status = service.status()
        self.assertEqual((status["state"], status["connects"]), ("connected", 1))
        # The same directory by another name is the same.
        self.assertTrue(service.call({"op": "stop", **ours, "directory": service.identity + "/../identity"})["ok"])
        self.assertEqual(service.status()["state"], "stopped")

    def test_stops_and_stays_so_until_told_otherwise(self):
        service = self.service().enrol().start().connected()
        self.assertTrue(service.call({"op": "stop"})["ok"])
        self.assertEqual(service.status()["state"], "stopped")
        os.utime(os.path.join(service.identity, "state.json"))
        time.sleep(1)
        self.assertEqual(service.status()["state"], "stopped")
        time.sleep(0.2)
        self.assertEqual(service.call({"op": "reconnect"}), {"ok": True, "connected": True})
        # Another certificate is another identity.
        self.assertTrue(service.call({"op": "stop"})["ok"])
        service.enrol().connected()

    def test_is_alone_on_its_socket_and_cleans_up(self):
        service = self.service().start()
        other = subprocess.run([os.path.join(BUILD, "gatekeyd"), "--config", service.config], capture_output=True,
                               text=True, check=False)
        self.assertEqual(other.returncode, 1)
        self.assertIn("another gatekeyd answers", other.stderr)
        self.assertEqual(service.stop(), 0)
        self.assertFalse(os.path.exists(service.socket))
        # One that was killed leaves its socket behind; the next takes it over.
        service.start()
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        self.assertTrue(os.path.exists(service.socket))
        service.start()

    def test_refuses_to_start_half_configured(self):
        service = self.service()
        del service.settings["hub"]["host"]
        service.configure()
        done = subprocess.run([os.path.join(BUILD, "gatekeyd"), "--config", service.config], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("[hub] host", done.stderr)
        shutil.rmtree(service.folder)

    def test_says_how_it_is_used(self):
        for words, says in (["--foo"], "--foo is not known"), (["--config"], "--config needs a value"), (["now"], "now is too much"):
            done = subprocess.run([os.path.join(BUILD, "gatekeyd"), *words], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr, f"gatekeyd: cannot run: that is not how it is used ({says}); see gatekeyd --help\n")


if __name__ == "__main__":
    unittest.main()
