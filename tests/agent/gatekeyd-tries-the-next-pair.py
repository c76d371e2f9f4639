#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekeyd asked to try the certificate in next/: stays with it where the hub takes it, comes back where it does not."""

import json
import os
import shutil
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import GatekeydTest, openssl, wait_until  # noqa: E402


class Tries(GatekeydTest):
    def renewing(self, **settings):
        """A connected gateway whose key lies where a rotated one would come to."""
        service = self.service(**settings)
        key = os.path.join(service.identity, "device.pem")
        shutil.copy(service.device.key, key)
        service.settings["identity"]["key"] = key
        service.configure()
        return service.enrol().start().connected()

    def new_key(self, service):
        path = os.path.join(service.folder, "new-key.pem")
        openssl("genrsa", "-out", path, "2048")
        return path

    def test_stays_with_a_pair_that_is_accepted(self):
        service = self.renewing()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        self.assertEqual(service.call({"op": "try"}), {"ok": True, "connected": True})
        status = service.status()
        self.assertEqual((status["connected"], status["pair"], status["connects"]), (True, "next", 2))
        self.assertTrue(service.send({"temperature": 1})["ok"])
        service.promote()
        wait_until("it noticed", lambda: "pair" not in service.status())
        self.assertTrue(service.send({"temperature": 2})["ok"])
        self.assertEqual(service.status()["connects"], 2)
        self.assertIn("the new certificate is in place", service.lines()[-1])

    def test_changes_the_key_as_well(self):
        service = self.renewing()
        key = self.new_key(service)
        certificate, _ = service.certify(key)
        service.put_next(certificate, key)
        self.assertTrue(service.call({"op": "try"})["ok"])
        service.promote()
        wait_until("it noticed", lambda: "pair" not in service.status())
        self.assertTrue(service.send({"temperature": 1})["ok"])
        self.assertEqual(service.status()["connects"], 2)
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])

    def test_goes_back_when_it_is_refused(self):
        service = self.renewing()
        certificate, serial = service.certify(service.device.key)
        service.put_next(certificate)
        self.hub.ctl("revoke", str(serial))
        answer = service.call({"op": "try"})
        self.assertEqual((answer["status"], answer["exit"]), ("GK_REVOKED", 4), answer)
        self.assertIn("cannot connect with the new certificate: the certificate is revoked", answer["error"])
        service.connected()
        status = service.status()
        self.assertNotIn("pair", status)
        # There and back, and neither the backoff nor a lockout in between.
        self.assertEqual((status["attempts"], status["connects"]), (3, 2))
        self.assertTrue(service.send({"temperature": 1})["ok"])

    def test_goes_back_when_the_hub_does_not_know_it_yet(self):
        service = self.renewing()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        self.hub.fault("connack=5", "--times", "1")
        answer = service.call({"op": "try"})
        self.assertEqual(answer["status"], "GK_HUB_REFUSED", answer)
        self.assertIn("CONNACK 5", answer["error"])
        service.connected()
        self.assertTrue(service.send({"temperature": 1})["ok"])

    def test_calls_a_certificate_of_the_last_minute_refused_and_no_more(self):
        service = self.renewing()
        certificate, serial = service.certify(service.device.key)
        service.put_next(certificate)
        service.state_json(next=int(time.time()))
        self.hub.ctl("revoke", str(serial))
        answer = service.call({"op": "try"})
        self.assertEqual((answer["status"], answer["exit"]), ("GK_HUB_REFUSED", 1), answer)
        self.assertIn("calls a certificate revoked that came", answer["error"])
        service.connected()

    def test_leaves_no_connection_without_room_for_the_way_back(self):
        service = self.renewing()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        answer = service.call({"op": "try"})
        self.assertEqual((answer["status"], answer["exit"]), ("GK_THROTTLED", 5))
        self.assertRegex(answer["error"], "run it again in 1[0-9][0-9] s")
        status = service.status()
        self.assertEqual((status["connected"], status["attempts"]), (True, 2))

    def test_leaves_no_connection_for_a_pair_that_cannot_do(self):
        service = self.renewing()
        answer = service.call({"op": "try"})
        self.assertEqual(answer["status"], "GK_NO_FILE")
        self.assertIn("next/cert.pem", answer["error"])
        certificate, _ = service.certify(self.new_key(service))
        service.put_next(certificate)
        answer = service.call({"op": "try"})
        self.assertEqual(answer["status"], "GK_BAD_CERTIFICATE")
        self.assertIn("is for another key", answer["error"])
        status = service.status()
        self.assertEqual((status["connected"], status["attempts"]), (True, 1))

    def test_forgets_a_pair_that_was_not_promoted(self):
        service = self.renewing()
        certificate, serial = service.certify(service.device.key)
        service.put_next(certificate)
        self.assertTrue(service.call({"op": "try"})["ok"])
        service.process.kill()
        service.process.wait()
        self.hub.ctl("revoke", str(serial))
        service.another_day()
        service.start().connected()
        self.assertNotIn("pair", service.status())
        self.assertTrue(service.send({"temperature": 1})["ok"])

    def test_goes_back_when_the_connection_is_lost_before_the_promotion(self):
        service = self.renewing()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        self.assertTrue(service.call({"op": "try"})["ok"])
        self.hub.fault("post-drop", "--times", "1")
        service.publish({"temperature": 1})
        wait_until("it noticed", lambda: service.status()["state"] == "waiting")
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        self.assertNotIn("pair", service.status())

    def test_goes_back_when_nobody_answers(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        hub.on_publish = lambda peer, topic, payload: peer.publish(
            topic + "_reply", {"id": json.loads(payload)["id"], "code": 200, "data": {}}, 0)
        service = self.renewing(port=hub.port)
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        hub.gate.clear()
        with service.open() as trial:
            trial.sendall(b'{"op":"try"}\n')
            wait_until("it tries", lambda: service.status().get("pair") == "next")
            with service.open() as kept:
                kept.sendall(b'{"op":"publish","topic":"thing/measurepoint/post","params":{},"wait":true}\n')
                answer = json.loads(trial.makefile().readline())
                self.assertEqual((answer["status"], answer["exit"]), ("GK_UNREACHABLE", 5), answer)
                hub.gate.set()
                self.assertTrue(json.loads(kept.makefile().readline())["ok"])
        service.connected()
        self.assertNotIn("pair", service.status())

    def test_takes_no_other_connection_for_the_one_that_was_asked_for(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        service = self.renewing(port=hub.port)
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        service.another_day()
        hub.gate.clear()
        # Another root is trusted: the pair in use connects anew, and is on its way when the next one is to be tried.
        shutil.copy(os.path.join(self.hub.directory, "root.pem"), os.path.join(service.identity, "server-ca.pem"))
        wait_until("it connects anew", lambda: service.status()["state"] == "connecting")
        with service.open() as trial:
            trial.sendall(b'{"op":"try"}\n')
            service.status()
            hub.gate.set()
            self.assertTrue(json.loads(trial.makefile().readline())["ok"])
            self.assertEqual(service.status().get("pair"), "next")

    def test_goes_back_when_the_pair_in_use_is_thrown_away(self):
        service = self.renewing()
        certificate, _ = service.certify(service.device.key)
        service.put_next(certificate)
        self.assertTrue(service.call({"op": "try"})["ok"])
        shutil.rmtree(os.path.join(service.identity, "next"))
        service.state_json(renewal="none")
        wait_until("it went back", lambda: service.status()["connects"] == 3)
        service.connected()
        self.assertNotIn("pair", service.status())

    def test_is_root_s_and_the_service_s_to_ask_for(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        service = self.renewing()
        folder = service.folder
        while folder != "/tmp":
            os.chmod(folder, 0o755)
            folder = os.path.dirname(folder)
        os.chmod(service.socket, 0o666)
        link = service.open()
        link.close()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os._exit(0 if service.call({"op": "try"})["status"] == "GK_REFUSED" else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
