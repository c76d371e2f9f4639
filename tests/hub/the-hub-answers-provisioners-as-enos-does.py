#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local hub's REST API: tokens, signatures, devices, certificates, revocation."""

import json
import os
import ssl
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import SUBJECT, HubTest, context, openssl  # noqa: E402


class Asking(HubTest):
    def test_hands_out_tokens_to_whoever_proves_itself_with_something_new(self):
        hub = self.hub
        first, again = hub.token_call("get"), hub.token_call("get", stamp=str(hub.next_stamp()))
        self.assertEqual(first["status"], 0)
        self.assertEqual(first["data"]["accessToken"], again["data"]["accessToken"])
        self.assertGreater(first["data"]["expire"], 7000)
        stamp = hub.next_stamp()
        self.assertEqual(hub.token_call("get", stamp)["status"], 0)
        self.assertEqual(hub.token_call("get", stamp)["status"], 1001)
        self.assertEqual(hub.token_call("get", key="nobody")["status"], 1002)
        self.assertEqual(hub.token_call("get", secret="wrong")["status"], 1003)
        self.assertEqual(hub.token_call("refresh", accessToken=first["data"]["accessToken"])["status"], 0)
        self.assertEqual(hub.token_call("refresh", accessToken="none")["status"], 1204)

    def test_turns_away_calls_that_are_not_signed_right(self):
        device, hub = self.device(certified=False), self.hub
        query = {"action": "get", "orgId": hub.org, "productKey": hub.product, "deviceKey": device.device}
        path = "/connect-service/v2.1/devices"
        self.assertEqual(hub.call("GET", path, query)[1]["data"]["deviceSecret"], device.secret)
        self.assertEqual(hub.call("GET", path, query, spoil=True)[0], 401)
        self.assertEqual(hub.call("GET", path, query, token="none")[0], 401)
        self.assertEqual(hub.http("GET", path + "?action=get")[0], 401)
        self.assertEqual(hub.call("GET", path, {**query, "orgId": "another"})[1]["code"], 99403)
        self.assertEqual(hub.call("GET", path, {**query, "orgId": "é" * 40})[1]["code"], 99403)
        del query["orgId"]
        self.assertEqual(hub.call("GET", path, query)[1]["code"], 99400)

    def test_says_that_a_token_has_expired(self):
        self.hub.fault("token-life=0")
        status, answer = self.hub.call("GET", "/connect-service/v2.1/devices", {"action": "get", "orgId": self.hub.org},
                                       token=self.expired_token())
        self.assertEqual((status, answer["code"]), (401, 1203))

    def expired_token(self):
        token = self.hub.token_call("get")["data"]["accessToken"]
        self.hub.token_call("refresh", accessToken=token)
        self.hub.token = None
        return token

    def test_creates_devices_once(self):
        hub = self.hub
        hub.create("twice")
        body = {"productKey": hub.product, "deviceKey": "twice", "timezone": "+08:00", "deviceName": {}}
        self.assertEqual(hub.devices("create", body=body)["code"], 11702)
        for wrong in ({**body, "deviceKey": "a/b"}, {**body, "deviceKey": ""}, {**body, "productKey": "none"}, []):
            self.assertEqual(hub.devices("create", body=wrong)["code"], 99400, wrong)
        del body["deviceKey"]
        self.assertEqual(len(hub.devices("create", body=body)["data"]["deviceKey"]), 10)
        self.assertEqual(hub.devices("get", "nobody")["code"], 11404)

    def test_decodes_the_query_before_it_checks_the_signature(self):
        self.hub.create("a.b:c@d%e")
        self.assertEqual(self.hub.devices("get", "a.b:c@d%e")["data"]["deviceKey"], "a.b:c@d%e")

    def test_limits_bodies_and_knows_its_calls(self):
        self.assertEqual(self.hub.http("POST", "/apim-token-service/v2.0/token/get", b"x" * 2 * 1024 * 1024)[0], 413)
        self.assertEqual(self.hub.http("GET", "/nothing")[0], 404)
        self.assertEqual(json.loads(self.hub.http("POST", "/apim-token-service/v2.0/token/get", b"{")[1])["status"], 1004)
        self.assertEqual(self.hub.http("GET", "/faults")[0], 404)


class Certifying(HubTest):
    def test_issues_what_enos_issues(self):
        device = self.device()
        text = openssl("x509", "-in", device.cert, "-noout", "-text")
        self.assertIn("Netscape Comment", text)
        self.assertIn("Enos Generated Certificate", text)
        self.assertIn("Netscape CA Revocation Url", text)
        for absent in "Key Usage", "Extended", "CRL Distribution", "Alternative":
            self.assertNotIn(absent, text)
        self.assertEqual(openssl("x509", "-in", device.cert, "-noout", "-serial").strip(), f"serial={device.serial:X}")
        self.assertIn("OK", openssl("verify", "-x509_strict", "-CAfile", self.hub.ca, device.cert))
        subject = ["-noout", "-subject", "-nameopt", "oneline"]
        self.assertEqual(openssl("x509", "-in", device.cert, *subject), openssl("req", *subject, text=device.csr()))

    def test_numbers_them_in_sequence_and_lists_them(self):
        device = self.device()
        answer = self.hub.certificates("apply", device.device, {"csr": device.csr("second-name"), "more": 1})
        self.assertEqual(answer["data"]["certSN"], str(device.serial + 1))
        self.assertEqual(answer["data"]["caCert"], self.hub.http("GET", "/enos/CA/cacert/RSA")[1].decode())
        records = self.hub.certificates("list", device.device)["data"]
        self.assertEqual([record["certSN"] for record in records], [str(device.serial), str(device.serial + 1)])
        self.assertEqual(records[0]["certStatus"], 0)
        self.assertEqual(records[0]["effectiveDate"], records[0]["effetiveDate"])
        days = (records[1]["expireDate"] - records[1]["signDate"]) / 86400000
        self.assertEqual(days, 730)

    def test_names_what_is_wrong_with_an_application(self):
        device, other = self.device(), self.device()
        weak = os.path.join(device.base, "weak.pem")
        openssl("genrsa", "-out", weak, "3072")
        big = openssl("req", "-new", "-key", weak, "-sha256", "-subj", SUBJECT + "big")
        curve = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
                        "-subj", SUBJECT + "curve")
        broken = device.csr("broken").splitlines()
        broken[-3] = broken[-3][:10] + ("A" if broken[-3][10] != "A" else "B") + broken[-3][11:]
        own = device.csr("new-name")
        for body, code, words in (
                ({}, 99400, "csr is missing"), ({"csr": "x"}, 99400, "no PEM"), ({"csr": 1}, 99400, "csr is missing"),
                ({"csr": big}, 99400, "only RSA-2048 is accepted, but the request's key is RSA with 3072 bits"),
                ({"csr": curve}, 99400, "only RSA-2048 is accepted, but the request's key is EC"),
                ({"csr": "\n".join(broken)}, 99400, "signature does not verify"),
                ({"csr": device.csr("pss", "-sigopt", "rsa_padding_mode:pss")}, 99400, "not with SHA256withRSA"),
                ({"csr": openssl("req", "-new", "-key", device.key, "-subj", "/CN=only")}, 99400, "must have one C"),
                ({"csr": device.csr("x" * 64).replace("x", "x"), "validDay": 1096}, 99400, "exceeds the product's maximum"),
                ({"csr": own, "validDay": 0}, 99400, "validDay is"), ({"csr": own, "validDay": "1"}, 99400, "validDay is"),
                ({"csr": own, "issueAuthority": "ECC"}, 99400, "issueAuthority"),
                ({"csr": device.csr()}, 99400, "duplicate subject"), ([], 99400, "no JSON object")):
            answer = self.hub.certificates("apply", device.device, body)
            self.assertEqual(answer["code"], code, answer)
            self.assertIn(words, answer["msg"])
        self.assertEqual(self.hub.certificates("apply", other.device, {"csr": own})["code"], 11833)
        self.assertEqual(self.hub.certificates("apply", "nobody", {"csr": own})["code"], 11404)
        self.assertEqual(self.hub.certificates("list", device.device)["data"][-1]["certSN"], str(device.serial))

    def test_takes_both_headers_of_a_request(self):
        device = self.device()
        csr = device.csr("other-header").replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
        self.assertEqual(self.hub.certificates("apply", device.device, {"csr": csr, "issueAuthority": "rsa"})["code"], 0)

    def test_renews_with_the_old_request_or_a_new_one(self):
        device, hub = self.device(), self.hub
        answer = hub.certificates("renew", device.device, {"certSn": device.serial, "validDay": 10})
        first = answer["data"]
        self.assertGreater(int(first["certSN"]), device.serial)
        own = openssl("pkey", "-in", device.key, "-pubout")
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=first["cert"]), own)
        self.assertIn("certChainURL", first)
        fresh = os.path.join(device.base, "fresh.pem")
        openssl("genrsa", "-out", fresh, "2048")
        csr = openssl("req", "-new", "-key", fresh, "-sha256", "-subj", SUBJECT + device.device)
        second = hub.certificates("renew", device.device, {"csr": csr}, certSn=first["certSN"])["data"]
        self.assertNotEqual(openssl("x509", "-noout", "-pubkey", text=second["cert"]), own)
        third = hub.certificates("renew", device.device, {"certSN": second["certSN"]})["data"]
        self.assertEqual(openssl("x509", "-noout", "-pubkey", text=third["cert"]),
                         openssl("pkey", "-in", fresh, "-pubout"))
        records = hub.certificates("list", device.device)["data"]
        self.assertEqual([record["certStatus"] for record in records], [0, 0, 0, 0])
        self.assertEqual(len({record["subject"] for record in records}), 1)
        cert = os.path.join(device.base, "third.pem")
        with open(cert, "w", encoding="utf-8") as file:
            file.write(third["cert"])
        self.assertEqual(device.connect().connack, 0)
        self.assertEqual(device.connect(cert=cert, key=fresh).connack, 0)

    def test_names_what_is_wrong_with_a_renewal(self):
        device, other, hub = self.device(), self.device(), self.hub
        gone = int(hub.certificates("renew", device.device, {"certSn": device.serial})["data"]["certSN"])
        hub.certificates("revoke", device.device, {"certSn": gone, "reason": 4})
        for body, code, words in (
                ({}, 99400, "certSn is missing"), ({"certSn": -1}, 99400, "missing or negative"),
                ({"certSn": "x"}, 99400, "missing or negative"),
                ({"certSn": other.serial}, 99400, "not bound to this device"),
                ({"certSn": 1}, 99400, "not bound to this device"),
                ({"certSn": gone}, 99400, "is revoked and cannot be renewed"),
                ({"certSn": device.serial, "csr": ""}, 99400, "csr is missing"),
                ({"certSn": device.serial, "csr": "x"}, 99400, "invalid certificate request"),
                ({"certSn": device.serial, "csr": device.csr("another")}, 99400, f"keeps the CN {device.device}"),
                ({"certSn": device.serial, "validDay": 1096}, 99400, "exceeds the product's maximum"),
                ({"certSn": device.serial, "issueAuthority": "ECC"}, 99400, "issueAuthority"),
                ({"certSn": device.serial, "csr": other.csr(device.device)}, 11833, "bound to another device")):
            answer = hub.certificates("renew", device.device, body)
            self.assertEqual(answer["code"], code, answer)
            self.assertIn(words, answer["msg"])
        self.assertEqual(hub.certificates("renew", "nobody", {"certSn": device.serial})["code"], 11404)
        self.assertEqual(len(hub.certificates("list", device.device)["data"]), 2)

    def test_knows_every_reason_of_a_revocation(self):
        device, hub = self.device(), self.hub
        names = {0: "UNSPECIFIED", 1: "KEY COMPROMISE", 3: "AFFILIATION CHANGED", 4: "SUPERSEDED",
                 5: "CESSATION OF OPERATION", 6: "CERTIFICATE HOLD", 9: "PRIVILEGE WITHDRAWN"}
        serial = device.serial
        for reason in names:
            newer = int(hub.certificates("renew", device.device, {"certSn": serial})["data"]["certSN"])
            self.assertEqual(hub.certificates("revoke", device.device, {"certSn": serial, "reason": reason})["code"], 0)
            serial = newer
        records = hub.certificates("list", device.device)["data"]
        self.assertEqual([record["revokerReason"] for record in records], [*names.values(), ""])

    def test_revocation_cuts_the_session_and_the_next_handshake_fails(self):
        device, bystander = self.device(), self.device()
        link, other = device.connect(), bystander.connect()
        answer = self.hub.certificates("revoke", device.device, {"certSn": device.serial, "reason": 1})
        self.assertEqual((answer["code"], answer["data"]), (0, None))
        self.assertTrue(link.is_cut())
        other.ping()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_REVOKED"):
                device.handshake(version)
        record = self.hub.certificates("list", device.device)["data"][0]
        self.assertEqual((record["certStatus"], record["revokerReason"]), (1, "KEY COMPROMISE"))
        crl = openssl("crl", "-noout", "-text", text=self.hub.http("GET", "/enos/CA/crl/RSA")[1].decode())
        self.assertIn(f"Serial Number: {device.serial:X}", crl)
        self.assertIn("Key Compromise", crl)
        bystander.connect().ping()

    def test_names_what_is_wrong_with_a_revocation(self):
        device, other = self.device(), self.device()
        for body, words in (({}, "missing or negative"), ({"certSn": -1}, "missing or negative"),
                            ({"certSn": other.serial}, "not bound"), ({"certSn": device.serial, "reason": 2}, "no reason 2")):
            answer = self.hub.certificates("revoke", device.device, body)
            self.assertEqual(answer["code"], 99400)
            self.assertIn(words, answer["msg"])
        self.assertEqual(self.hub.certificates("revoke", device.device, certSn=str(device.serial))["code"], 0)
        self.assertIn("revoked already", self.hub.certificates("revoke", device.device, {"certSn": device.serial})["msg"])

    def test_hubctl_revokes_by_serial(self):
        device = self.device()
        self.hub.ctl("revoke", str(device.serial), "5")
        with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_REVOKED"):
            device.handshake(ssl.TLSVersion.TLSv1_2)
        self.assertEqual(self.hub.ctl("revoke", "1", check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main()
