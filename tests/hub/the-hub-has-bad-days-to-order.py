#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local hub's faults: each spoils what it says, for as long as it is told to, and nothing else."""

import email.utils
import http.client
import json
import os
import socket
import ssl
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, HubTest, context, openssl, told  # noqa: E402

CRL = "/enos/CA/crl"


class Answers(HubTest):
    def crl(self):
        return self.hub.http("GET", CRL)

    def assert_healthy(self):
        status, body = self.crl()
        self.assertEqual(status, 200)
        self.assertTrue(body.startswith(b"-----BEGIN X509 CRL"))

    def test_lists_every_fault(self):
        names = [row["fault"] for row in json.loads(self.hub.ctl("fault", "--json").stdout)]
        self.assertIn("garbage", names)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(self.hub.ctl("fault", "no-such-fault", check=False).returncode, 1)

    def test_answers_garbage_as_often_as_told(self):
        self.hub.fault("garbage=crl", "--times", "2")
        for _ in range(2):
            self.assertIn(b"<html>", self.crl()[1])
        self.assert_healthy()

    def test_spoils_one_call_or_all(self):
        self.hub.fault("garbage=cacert")
        self.assert_healthy()
        self.hub.fault("garbage=*")
        self.assertIn(b"<html>", self.crl()[1])
        self.hub.fault("--clear", "garbage")
        self.assert_healthy()

    def test_cuts_an_answer_in_half(self):
        whole = self.crl()[1]
        self.hub.fault("truncated=crl", "--times", "1")
        self.assertEqual(self.crl()[1], whole[:len(whole) // 2])

    def test_answers_any_http_status_and_redirects(self):
        for status in 500, 503, 429:
            self.hub.fault(f"http=crl:{status}")
            self.assertEqual(self.crl()[0], status)
        self.hub.fault("--clear")
        self.hub.fault("redirect=crl:https://127.0.0.1:1/elsewhere")
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub.api_port, context=context(self.hub.ca), timeout=PATIENCE)
        connection.request("GET", CRL)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Location")), (302, "https://127.0.0.1:1/elsewhere"))
        connection.close()

    def test_answers_64_mib_of_json(self):
        self.hub.fault("huge=crl", "--times", "1")
        body = self.crl()[1]
        self.assertEqual(len(body), 64 * 1024 * 1024)
        self.assertEqual(json.loads(body)["code"], 0)

    def test_answers_5_gib_for_as_long_as_the_caller_reads(self):
        self.hub.fault("huge=crl:5120", "--times", "1")
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub.api_port, context=context(self.hub.ca), timeout=PATIENCE)
        connection.request("GET", CRL)
        answer = connection.getresponse()
        self.assertEqual(int(answer.getheader("Content-Length")), 5 * 1024 ** 3)
        self.assertEqual(len(answer.read(8 * 1024 * 1024)), 8 * 1024 * 1024)
        connection.close()
        self.assert_healthy()

    def test_says_another_time(self):
        for shift in -400 * 86400, 3 * 86400:
            self.hub.fault(f"date=crl:{shift}", "--times", "1")
            self.assertAlmostEqual(self.date() - time.time(), shift, delta=60)
        self.assertAlmostEqual(self.date(), time.time(), delta=60)

    def date(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub.api_port, context=context(self.hub.ca), timeout=PATIENCE)
        connection.request("GET", CRL)
        dates = connection.getresponse().headers.get_all("Date")
        connection.close()
        self.assertEqual(len(dates), 1)
        return email.utils.parsedate_to_datetime(dates[0]).timestamp()

    def test_answers_without_an_end(self):
        self.hub.fault("endless=crl", "--times", "1")
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub.api_port, context=context(self.hub.ca), timeout=PATIENCE)
        connection.request("GET", CRL)
        self.assertEqual(len(connection.getresponse().read(1024 * 1024)), 1024 * 1024)
        connection.close()
        self.assert_healthy()

    def test_lets_a_caller_wait(self):
        self.hub.fault("slow=crl:0.5", "--times", "1")
        begin = time.monotonic()
        self.assert_healthy()
        self.assertGreaterEqual(time.monotonic() - begin, 0.5)

    def test_refuses_with_any_code(self):
        self.hub.fault("refuse=device-get:99500", "--times", "1")
        self.assertEqual(self.hub.devices("get", "nobody")["code"], 99500)
        self.hub.fault("refuse=certificate-renew:99400:call to the CA failed: 7, late: again", "--times", "1")
        answer = self.hub.certificates("renew", "nobody", {})
        self.assertEqual((answer["code"], answer["msg"]), (99400, "call to the CA failed: 7, late: again"))
        self.assertEqual(self.hub.devices("get", "nobody")["code"], 11404)

    def test_does_the_work_and_loses_the_answer(self):
        self.hub.token = self.hub.token_call("get")["data"]["accessToken"]
        self.hub.fault("lost=device-create", "--times", "1")
        with self.assertRaises((http.client.HTTPException, ConnectionError, ssl.SSLError)):
            self.hub.create("lost")
        self.assertEqual(self.hub.devices("get", "lost")["code"], 0)

    def test_lets_tokens_expire(self):
        token = self.hub.token_call("get")["data"]["accessToken"]
        self.hub.fault("token-life=0")
        self.assertEqual(self.hub.token_call("refresh", accessToken=token)["data"]["expire"], 0)
        query = {"action": "get", "orgId": self.hub.org}
        status, answer = self.hub.call("GET", "/connect-service/v2.1/devices", query, token=token)
        self.assertEqual((status, answer["code"]), (401, 1203))
        self.hub.fault("--clear")
        self.assertNotEqual(self.hub.token_call("get")["data"]["accessToken"], token)

    def test_hubctl_is_spared(self):
        self.hub.fault("http=*:500")
        self.assertEqual(self.hub.ctl("fault").returncode, 0)

    def test_ends_while_an_answer_is_under_way(self):
        self.hub.fault("slow=crl:60", "--times", "1")
        connection = http.client.HTTPSConnection("127.0.0.1", self.hub.api_port, context=context(self.hub.ca), timeout=PATIENCE)
        connection.request("GET", CRL)
        time.sleep(0.2)
        self.assertEqual(self.hub.stop(), 0)
        connection.close()
        self.hub.start()
        self.assert_healthy()


class Certificates(HubTest):
    def test_shows_a_wrong_server_certificate_at_every_door(self):
        for fault, words in ("expired", "expired"), ("other-name", "mismatch|match"), ("other-ca", "unable to get local issuer"):
            self.hub.fault(f"server-certificate={fault}")
            with self.assertRaisesRegex(ssl.SSLCertVerificationError, words):
                self.hub.http("GET", CRL)
            for port in self.hub.mqtts_port, self.hub.activation_port:
                with self.assertRaisesRegex(ssl.SSLCertVerificationError, words):
                    self.shake_hands(port)
        self.hub.fault("--clear")
        self.assertEqual(self.hub.http("GET", CRL)[0], 200)
        self.shake_hands(self.hub.activation_port)
        self.assertEqual(self.device().connect().connack, 0)

    def shake_hands(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
            with context(self.hub.ca).wrap_socket(raw, server_hostname="127.0.0.1"):
                pass

    def test_a_restart_mends_the_server_certificate(self):
        self.hub.fault("server-certificate=expired")
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.hub.http("GET", CRL)[0], 200)
        self.hub.stop()
        self.hub.start("--fault", "server-certificate=expired")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.hub.http("GET", CRL)

    def test_issues_for_another_key(self):
        device = self.device()
        self.hub.fault("wrong-key", "--times", "1")
        answer = self.hub.certificates("apply", device.device, {"csr": device.csr("wrong-key")})
        issued = openssl("x509", "-noout", "-pubkey", text=answer["data"]["cert"])
        self.assertNotEqual(issued, openssl("pkey", "-in", device.key, "-pubout"))

    def test_issues_by_another_ca(self):
        device = self.device()
        self.hub.fault("wrong-ca", "--times", "1")
        answer = self.hub.certificates("apply", device.device, {"csr": device.csr("wrong-ca")})
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=answer["data"]["cert"]),
                         openssl("pkey", "-in", device.key, "-pubout"))
        with self.assertRaises(RuntimeError):
            openssl("verify", "-CAfile", self.hub.ca, text=answer["data"]["cert"])

    def test_issues_for_a_time_that_is_over_or_has_not_come(self):
        device, hub = self.device(), self.hub
        hub.fault("certificate-term=-172800:86400", "--times", "1")
        old = hub.certificates("renew", device.device, {"certSn": device.serial})["data"]
        with self.assertRaisesRegex(RuntimeError, "expired"):
            openssl("verify", "-CAfile", hub.ca, text=old["cert"])
        answer = hub.certificates("renew", device.device, {"certSn": int(old["certSN"])})
        self.assertEqual((answer["code"], "has expired and cannot be renewed" in answer["msg"]), (99400, True))
        answer = hub.certificates("revoke", device.device, {"certSn": int(old["certSN"])})
        self.assertEqual((answer["code"], answer["msg"]), (99400, "the certificate has expired"))
        hub.fault("certificate-term=86400:86400", "--times", "1")
        new = hub.certificates("renew", device.device, {"certSn": device.serial})["data"]
        with self.assertRaisesRegex(RuntimeError, "not yet valid"):
            openssl("verify", "-CAfile", hub.ca, text=new["cert"])
        self.assertEqual([row["certStatus"] for row in hub.certificates("list", device.device)["data"]], [0, 2, 0])

    def test_names_another_serial_and_hands_over_another_root(self):
        device, hub = self.device(), self.hub
        hub.fault("wrong-serial", "--times", "1")
        data = hub.certificates("renew", device.device, {"certSn": device.serial})["data"]
        issued = int(openssl("x509", "-noout", "-serial", text=data["cert"]).strip().split("=")[1], 16)
        self.assertEqual(data["certSN"], str(issued - 1))
        hub.fault("wrong-chain", "--times", "1")
        data = hub.certificates("renew", device.device, {"certSn": device.serial})["data"]
        self.assertIn("OK", openssl("verify", "-CAfile", hub.ca, text=data["cert"]))
        wrong = os.path.join(device.base, "wrong.pem")
        with open(wrong, "w", encoding="utf-8") as file:
            file.write(data["caCert"])
        with self.assertRaises(RuntimeError):
            openssl("verify", "-CAfile", wrong, text=data["cert"])

    def test_revokes_the_older_ones_itself_where_only_one_may_be(self):
        device, hub = self.device(), self.hub
        hub.certificates("renew", device.device, {"certSn": device.serial})
        link = device.connect()
        hub.fault("one-certificate")
        newest = hub.certificates("renew", device.device, {"certSn": device.serial})["data"]["certSN"]
        self.assertTrue(link.is_cut())
        self.assertEqual([row["certSN"] for row in hub.certificates("list", device.device)["data"]
                          if row["certStatus"] == 0], [newest])
        self.assertEqual({row["revokerReason"] for row in hub.certificates("list", device.device)["data"]},
                         {"SUPERSEDED", ""})

    def test_lets_a_new_certificate_wait(self):
        self.hub.fault("certificate-delay=3600")
        device = self.device()
        self.assertEqual(device.connect().connack, 5)
        self.assertIn("not effective yet", self.refusal(device)["reason"])
        self.hub.fault("--clear")
        self.assertEqual(device.connect().connack, 0)


class Messages(HubTest):
    POST = "thing/measurepoint/post"
    PARAMS = {"measurepoints": {"a": 1}}

    def kept(self, device):
        return len([row for row in self.hub.table("telemetry") if row["deviceKey"] == device.device])

    def test_refuses_a_connect_with_any_code(self):
        device = self.device()
        for code in 2, 3, 4, 5:
            self.hub.fault(f"connack={code}", "--times", "1")
            self.assertEqual(device.connect().connack, told(code))
        self.assertEqual(device.connect().connack, 0)

    def test_answers_a_post_with_any_code(self):
        device = self.device()
        link = device.connect()
        self.hub.fault("post-code=1005", "--times", "1")
        self.assertEqual(device.ask(link, self.POST, self.PARAMS), {"id": "7", "code": 1005, "data": {},
                                                                    "message": "a test wants it so"})
        self.assertEqual(self.kept(device), 0)
        self.assertEqual(device.ask(link, self.POST, self.PARAMS)["code"], 200)

    def test_keeps_a_post_without_answering(self):
        device = self.device()
        link = device.connect()
        link.subscribe(device.sys + "thing/measurepoint/post_reply")
        self.hub.fault("post-silent", "--times", "1")
        link.publish(device.sys + self.POST, {"id": "1", "method": "thing.measurepoint.post", "params": self.PARAMS})
        link.ping()
        self.assertIsNone(link.receive(0.3))
        self.assertEqual(self.kept(device), 1)

    def test_drops_the_connection_with_the_post(self):
        device = self.device()
        link = device.connect()
        self.hub.fault("post-drop", "--times", "1")
        link.publish(device.sys + self.POST, {"id": "1", "method": "thing.measurepoint.post", "params": self.PARAMS})
        self.assertTrue(link.is_cut())
        self.assertEqual(self.kept(device), 0)
        self.assertEqual(device.ask(device.connect(), self.POST, self.PARAMS)["code"], 200)

    def test_drops_a_connection_on_request(self):
        device = self.device()
        link = device.connect()
        self.hub.ctl("drop", self.hub.product, device.device)
        self.assertTrue(link.is_cut())
        self.assertEqual(device.connect().connack, 0)

    def test_tells_an_activating_device_nothing_or_does_not_hear_its_thanks(self):
        device = self.device(certified=False)
        self.hub.fault("no-activation", "--times", "1")
        self.assertIsNone(device.activate().receive(0.3))
        self.hub.fault("deaf-activation", "--times", "1")
        link = device.activate()
        link.receive()
        link.publish(device.ext + "thing/activate/info_reply", {"id": "1", "code": 200})
        link.ping()
        self.assertEqual(device.activate().connack, 0)


if __name__ == "__main__":
    unittest.main()
