#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub's revocation list: by HTTPS and HTTP, as PEM and DER, to caches, and as nobody should believe it."""

import http.client
import os
import ssl
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, HubTest, openssl  # noqa: E402

CRL = "/enos/CA/crl/RSA"


def crl_field(name, pem):
    return openssl("crl", "-noout", f"-{name}", text=pem).strip().split("=", 1)[1]


def seconds(text):
    return ssl.cert_time_to_seconds(text)


class Published(HubTest):
    def plain(self, path, method="GET", **headers):
        """An HTTP call without TLS: (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.hub.env["HUB_HTTP_URL"].rsplit(":", 1)[1]), timeout=PATIENCE)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def pem(self):
        return self.plain(CRL)[2].decode()

    def revoke(self):
        device = self.device()
        self.hub.ctl("revoke", str(device.serial))
        return f"Serial Number: {device.serial:X}\n"

    def test_is_the_same_by_https_and_http_and_as_der(self):
        pem = self.hub.http("GET", CRL)[1].decode()
        status, headers, body = self.plain(CRL)
        self.assertEqual((status, headers["Content-Type"], body.decode()), (200, "application/x-pem-file", pem))
        for path in CRL + ".der", CRL + "?format=der", "/enos/CA/crl?format=der":
            status, headers, body = self.plain(path)
            self.assertEqual((status, headers["Content-Type"], body), (200, "application/pkix-crl", ssl.PEM_cert_to_DER_cert(
                pem.replace("X509 CRL", "CERTIFICATE"))))

    def test_lies_where_a_certificate_says(self):
        text = openssl("x509", "-in", self.device().cert, "-noout", "-text")
        self.assertIn(f"{self.hub.env['HUB_API_URL']}{CRL}", text)

    def test_nothing_else_goes_without_tls(self):
        for method, path in ("GET", "/connect-service/v2.1/devices?action=get"), ("POST", "/apim-token-service/v2.0/token/get"), \
                ("GET", "/settings"):
            self.assertEqual(self.plain(path, method)[0], 404)
        self.assertTrue(self.plain("/enos/CA/cacert")[2].startswith(b"-----BEGIN CERTIFICATE"))

    def test_a_cache_is_spared_until_something_was_revoked(self):
        for path in CRL, CRL + ".der":
            tag = self.plain(path)[1]["ETag"]
            status, headers, body = self.plain(path, If_None_Match=tag)
            self.assertEqual((status, headers["ETag"], body), (304, tag, b""))
            self.revoke()
            self.assertEqual(self.plain(path, If_None_Match=tag)[0], 200)

    def test_a_date_spares_a_cache_as_well(self):
        modified = self.plain(CRL)[1]["Last-Modified"]
        self.assertEqual(self.plain(CRL, If_Modified_Since=modified)[0], 304)
        # RFC 9110, 13.1.3: a tag that is another one counts more.
        self.assertEqual(self.plain(CRL, If_Modified_Since=modified, If_None_Match='"another"')[0], 200)
        self.revoke()
        self.assertEqual(self.plain(CRL, If_Modified_Since=modified)[0], 200)

    def test_a_new_one_comes_by_schedule_and_the_broker_takes_it_up(self):
        self.hub.ctl("setting", "crlSeconds", "4")
        self.addCleanup(self.hub.ctl, "setting", "crlSeconds", "86400")
        first = self.pem()
        self.assertEqual(seconds(crl_field("nextupdate", first)) - seconds(crl_field("lastupdate", first)), 4)
        until = time.monotonic() + PATIENCE
        while int(crl_field("crlnumber", self.pem()), 16) < int(crl_field("crlnumber", first), 16) + 2:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        # The first one has had its time: with it, the broker would refuse everybody.
        while time.time() <= seconds(crl_field("nextupdate", first)) + 1:
            time.sleep(0.1)
        self.assertEqual(self.device().connect().connack, 0)

    def test_can_be_expired(self):
        self.hub.fault("crl=expired")
        pem = self.pem()
        self.assertLess(seconds(crl_field("nextupdate", pem)), time.time())
        self.assertIn("verify OK", self.verify(pem))
        self.assertEqual(self.device().connect().connack, 0)

    def test_can_be_another_cas(self):
        self.hub.fault("crl=other-ca", "--times", "1")
        self.assertNotIn("verify OK", self.verify(self.pem()))
        self.assertIn("verify OK", self.verify(self.pem()))

    def test_can_be_the_one_from_before_a_revocation(self):
        old = self.pem()
        serial = self.revoke()
        self.hub.fault("crl=old")
        self.assertEqual(self.pem(), old)
        self.hub.fault("--clear")
        self.assertIn(serial, openssl("crl", "-noout", "-text", text=self.pem()))

    def test_can_be_missing_or_cut_short_also_without_tls(self):
        whole = self.plain(CRL + ".der")[2]
        self.hub.fault("http=crl:404", "--times", "1")
        self.assertEqual(self.plain(CRL)[0], 404)
        self.hub.fault("truncated=crl", "--times", "1")
        self.assertEqual(self.plain(CRL + ".der")[2], whole[:len(whole) // 2])

    def verify(self, pem):
        path = os.path.join(self.folder, "crl.pem")
        with open(path, "w", encoding="utf-8") as file:
            file.write(pem)
        try:
            return openssl("crl", "-in", path, "-CAfile", self.hub.ca, "-noout", "-verify", stderr=True)
        except RuntimeError as error:
            return str(error)


class Certificates(HubTest):
    def apply(self, **settings):
        for name, value in settings.items():
            self.hub.ctl("setting", name, str(value))
        device = self.device()
        dates = [seconds(openssl("x509", "-in", device.cert, "-noout", f"-{end}date").strip().split("=")[1])
                 for end in ("start", "end")]
        return device, dates

    def test_live_for_seconds_and_begin_in_the_past(self):
        device, (begin, end) = self.apply(certificateSeconds=40, backdateSeconds=15)
        self.assertEqual(end - begin, 40)
        self.assertLessEqual(begin, time.time() - 15)
        self.assertEqual(device.connect().connack, 0)
        row = [row for row in self.hub.table("certificates") if row["serial"] == device.serial][0]
        self.assertEqual(seconds(openssl("x509", "-in", device.cert, "-noout", "-enddate").strip().split("=")[1]),
                         time.mktime(time.strptime(row["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)
        _, (begin, end) = self.apply(certificateSeconds=0, backdateSeconds=0)
        self.assertEqual(end - begin, 30 * 86400)

    def test_are_refused_when_they_have_expired(self):
        device, (_, end) = self.apply(certificateSeconds=2)
        while time.time() <= end:
            time.sleep(0.1)
        with self.assertRaisesRegex(ssl.SSLError, "CERTIFICATE_EXPIRED"):
            device.handshake(ssl.TLSVersion.TLSv1_2)
        self.apply(certificateSeconds=0)

    def test_can_have_a_modern_profile(self):
        device, _ = self.apply(profile="modern")
        text = openssl("x509", "-in", device.cert, "-noout", "-text")
        for part in "Digital Signature", "TLS Web Client Authentication", f"URI:{self.hub.env['HUB_HTTP_URL']}{CRL}.der":
            self.assertIn(part, text)
        self.assertEqual(device.connect().connack, 0)
        device, _ = self.apply(profile="enos")
        self.assertNotIn("TLS Web Client", openssl("x509", "-in", device.cert, "-noout", "-text"))

    def test_limits_can_be_switched_while_the_hub_runs(self):
        self.hub.ctl("setting", "enforceLimits", "yes")
        device = self.device()
        # On a busy machine two in a row may be more than a second apart, not all four.
        self.assertIn(5, [device.connect().connack for _ in range(4)])
        self.hub.ctl("setting", "enforceLimits", "no")
        self.assertEqual(device.connect().connack, 0)

    def test_settings_stay_and_nonsense_is_refused(self):
        for words in ("no-such", "1"), ("profile", "modem"), ("crlSeconds", "-1"), ("crlSeconds", ""), ("crlSeconds", "1e3"):
            self.assertEqual(self.hub.ctl("setting", *words, check=False).returncode, 1)
        self.hub.ctl("setting", "backdateSeconds", "7")
        self.hub.stop()
        self.hub.start("--set", "certificateSeconds=60")
        shown = {row["setting"]: row["value"] for row in self.hub.table("setting")}
        self.assertEqual((shown["backdateSeconds"], shown["certificateSeconds"], shown["profile"]), ("7", "60", "enos"))
        self.apply(certificateSeconds=0, backdateSeconds=0)


if __name__ == "__main__":
    unittest.main()
