#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd and the end of trust: its certificate revoked, or the hub's roots changed; and what only looks like it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, PATIENCE, GatekeydTest, openssl, wait_until  # noqa: E402


class Revocation(GatekeydTest):
    def enrolled(self):
        """With what is known of the CA that issued its certificate."""
        service = self.service().enrol()
        shutil.copy(self.hub.ca, os.path.join(service.identity, "issuer-ca.pem"))
        return service

    def state(self, service, wanted):
        return wait_until(f"it is {wanted}", lambda: service.status() if service.status()["state"] == wanted else None)

    def list(self):
        """The revocation list of the hub's CA as it is now."""
        status, text = self.hub.http("GET", "/enos/CA/crl/RSA")
        self.assertEqual(status, 200)
        return text.decode()

    def says(self, service, words):
        return len([line for line in service.lines() if words in line])

    def test_knocks_no_more_when_the_hub_says_so(self):
        service = self.enrolled().start().connected()
        self.hub.ctl("revoke", str(service.device.serial))
        status = self.state(service, "revoked")
        self.assertEqual((status["connected"], status["last_status"]), (False, "GK_REVOKED"))
        self.assertIn("TLS alert 44", status["last_error"])
        # Six hours; and the backoff that it would have been otherwise is 12 s at most.
        self.assertGreater(status["next_attempt_s"], 21000)
        # Somebody may give it another certificate.
        self.assertTrue(service.publish({"temperature": 1})["ok"])
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "status"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 4, done)
        answer = service.call({"op": "reconnect"})
        self.assertEqual((answer["status"], answer["exit"]), ("GK_REVOKED", 4), answer)
        self.assertEqual(self.state(service, "revoked")["attempts"], 3)
        service.another_day()
        service.state_json(note=1)  # something else was written there
        service.rewrite("crl.pem", self.list())
        wait_until("it looked", lambda: "lists it" in service.status()["last_error"])
        self.assertEqual(self.says(service, "the certificate is revoked"), 1)

    def test_tells_systemd(self):
        service = self.enrolled()
        path = os.path.join(service.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(PATIENCE)
            notify.bind(path)
            self.hub.ctl("revoke", str(service.device.serial))
            service.start(NOTIFY_SOCKET=path)
            told = ""
            while "STATUS=cannot connect: the certificate is revoked" not in told:
                told += notify.recv(65536).decode()

    def test_comes_back_with_another_certificate(self):
        service = self.enrolled().start().connected()
        certificate, _ = service.certify(service.device.key)
        self.hub.ctl("revoke", str(service.device.serial))
        self.state(service, "revoked")
        service.another_day()
        service.rewrite("cert.pem", certificate)
        service.connected()
        self.assertTrue(service.send({"temperature": 1})["ok"])

    def at_a_careless_hub(self):
        """Connected to one that lets in whoever comes, while its CA revokes."""
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        service = self.service(port=hub.port).enrol()
        shutil.copy(self.hub.ca, os.path.join(service.identity, "issuer-ca.pem"))
        return service.start().connected()

    def test_leaves_when_the_list_has_it(self):
        service = self.at_a_careless_hub()
        service.rewrite("crl.pem", self.list())
        time.sleep(1.5)
        self.assertTrue(service.status()["connected"])
        self.hub.ctl("revoke", str(service.device.serial))
        service.rewrite("crl.pem", self.list())
        status = self.state(service, "revoked")
        self.assertIn("crl.pem lists it", status["last_error"])
        self.assertEqual(self.says(service, "the certificate is revoked"), 1)
        # With the list there nobody need be asked, not even for whoever asks for it.
        self.assertEqual(service.call({"op": "reconnect"})["status"], "GK_REVOKED")
        self.assertEqual(service.status()["connects"], 1)
        service.stop()
        service.another_day()
        service.start()
        self.state(service, "revoked")
        self.assertEqual(service.status()["connects"], 0)
        service.another_day()
        os.unlink(os.path.join(service.identity, "crl.pem"))
        service.connected()

    def test_believes_no_list_of_somebody_else(self):
        service = self.at_a_careless_hub()
        self.hub.ctl("revoke", str(service.device.serial))
        lines = self.list().splitlines()
        lines[-3] = lines[-3][::-1]  # in the signature
        service.rewrite("crl.pem", "\n".join(lines) + "\n")
        wait_until("it looked", lambda: self.says(service, "look our certificate up"))
        self.assertTrue(service.status()["connected"])
        # Nor is one that is too large a reason to stop.
        service.rewrite("crl.pem", "x" * 3 * 1024 * 1024)
        service.stop()
        service.another_day()
        service.start().connected()

    def test_comes_back_when_the_lists_signer_is_removed(self):
        service = self.at_a_careless_hub()
        self.hub.ctl("revoke", str(service.device.serial))
        service.rewrite("crl.pem", self.list())
        self.state(service, "revoked")
        service.another_day()
        os.unlink(os.path.join(service.identity, "issuer-ca.pem"))
        service.connected()

    def test_takes_no_other_refusal_for_it(self):
        service = self.enrolled()
        self.hub.fault("connack=5")
        service.start()
        status = wait_until("it failed", lambda: service.status() if "last_error" in service.status() else None)
        self.assertEqual((status["state"], status["last_status"]), ("waiting", "GK_HUB_REFUSED"))
        self.assertLess(status["next_attempt_s"], 13)
        self.assertIn("gatekey refresh finds out", status["last_error"])

    def test_takes_no_strangers_word_for_it(self):
        """Before the hub has proved who it is, anybody on the way can say anything."""
        stranger = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(stranger.close)
        service = self.service(port=stranger.getsockname()[1]).enrol().start()
        stranger.settimeout(PATIENCE)
        link, _ = stranger.accept()
        with link:
            link.recv(65536)
            link.sendall(bytes([21, 3, 3, 0, 2, 2, 44]))  # fatal, certificate_revoked
            status = wait_until("it failed", lambda: service.status() if "last_error" in service.status() else None)
        self.assertEqual((status["state"], status["last_status"]), ("waiting", "GK_HUB_GARBLED"), status)
        self.assertLess(status["next_attempt_s"], 13)
        self.assertIn("before it has seen it, TLS alert 44", status["last_error"])

    def test_gives_a_new_certificate_some_time(self):
        service = self.enrolled()
        self.hub.ctl("revoke", str(service.device.serial))
        service.state_json(certified=int(time.time()))
        service.start()
        status = wait_until("it failed", lambda: service.status() if "last_error" in service.status() else None)
        self.assertEqual((status["state"], status["last_status"]), ("waiting", "GK_HUB_REFUSED"), status)
        self.assertIn("calls a certificate revoked that came", status["last_error"])
        service.another_day()
        service.state_json(certified=int(time.time()) - 80)
        service.call({"op": "reconnect"})
        self.state(service, "revoked")


class Roots(GatekeydTest):
    def with_roots(self):
        """One whose ca_file is its own, far from the identity."""
        service = self.service()
        folder = os.path.join(service.folder, "roots")
        os.makedirs(folder)
        service.settings["hub"]["ca_file"] = shutil.copy(self.hub.ca, os.path.join(folder, "ca.pem"))
        service.configure()
        return service.enrol(), service.settings["hub"]["ca_file"]

    def test_a_removed_root_is_out(self):
        service, path = self.with_roots()
        service.start().connected()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-out", path + ".new", "-days", "30",
                "-subj", "/CN=another", "-addext", "basicConstraints=critical,CA:TRUE")
        os.rename(path + ".new", path)
        status = wait_until("it left", lambda: service.status() if not service.status()["connected"] and "last_error" in service.status() else None)
        self.assertEqual(status["last_status"], "GK_UNTRUSTED")
        self.assertIn("the hub's roots or revocation list changed", "\n".join(service.lines()))
        shutil.copy(self.hub.ca, path)
        service.connected()

    def test_does_not_forget_a_change_for_something_else(self):
        service, _ = self.with_roots()
        service.start().connected()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        # Room for one in 15 s, for two in 16.
        service.spend(105, 104, 60)
        shutil.copy(self.hub.ca, os.path.join(service.identity, "server-ca.pem"))
        wait_until("it noticed", lambda: "the hub's roots or revocation list changed" in "\n".join(service.lines()))
        with service.open() as link:
            link.sendall(b'{"op":"try"}\n')
            wait_until("it was asked", lambda: service.call({"op": "reconnect"})["status"] == "GK_LOCK_HELD")
            self.assertEqual(service.status()["connects"], 1)
            service.another_day()
        # Nobody waits for the other certificate any more; the roots are new all the same.
        wait_until("it connected anew", lambda: service.status()["connects"] == 2)
        self.assertNotIn("pair", service.status())

    def test_goes_on_when_the_roots_are_others_but_the_hub_s_is_among_them(self):
        service, path = self.with_roots()
        service.start().connected()
        shutil.copy(self.hub.ca, os.path.join(service.identity, "server-ca.pem"))
        wait_until("it connected anew", lambda: service.status()["connects"] == 2)
        service.connected()
        # The same content is no change.
        shutil.copy(path, path + ".new")
        os.rename(path + ".new", path)
        with open(self.hub.ca, encoding="ascii") as file:
            service.rewrite("server-ca.pem", file.read())
        time.sleep(1.5)
        self.assertEqual(service.status()["connects"], 2)


if __name__ == "__main__":
    unittest.main()
