#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The CA is a process of its own: it alone has the key, works for its hub alone, and ends when the hub ends."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, PROGRAMS, HubTest, openssl  # noqa: E402

NOBODY = 65534


class Unix(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path):
        super().__init__("ca", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, call="/status", token=None, body=None):
    connection = Unix(path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("POST" if body is not None else "GET", call, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    answer = answer.status, json.loads(answer.read())
    connection.close()
    return answer


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Together(HubTest):
    def path(self, name):
        return os.path.join(self.hub.directory, name)

    def token(self):
        with open(self.path("ca.token"), encoding="utf-8") as file:
            return file.read()

    def ca_pid(self):
        pid = int(self.hub.env["HUB_CA_PID"])
        self.assertGreater(pid, 1)
        return pid

    def test_another_process_is_refused_whatever_it_shows(self):
        before = len(self.hub.table("certificates"))
        for token in None, "x", self.token():
            status, answer = ask(self.path("ca.sock"), "/new-root", token, {"link": False})
            self.assertEqual((status, answer), (403, {"error": "this CA works for its hub alone"}))
        self.assertEqual(self.hub.http("GET", "/enos/CA/cacert")[1].count(b"BEGIN"), 1)
        self.assertEqual(len(self.hub.table("certificates")), before)

    def test_its_door_is_for_its_owner_only(self):
        for name in "ca.sock", "ca.token", "ca/root.key", "server.key":
            self.assertEqual(os.stat(self.path(name)).st_mode & 0o777, 0o600, name)
        self.assertEqual(os.stat(self.path("ca")).st_mode & 0o777, 0o700)

    def test_every_hub_has_a_token_of_its_own(self):
        first = self.token()
        self.hub.stop()
        self.hub.start()
        self.assertNotEqual(self.token(), first)

    def test_the_hub_needs_nothing_of_the_cas_folder(self):
        away = self.hub.directory + ".ca"
        os.rename(self.path("ca"), away)
        try:
            device = self.device()
            link = device.connect()
            self.hub.ctl("revoke", str(device.serial))
            self.assertTrue(link.is_cut())
            self.assertIn(f"Serial Number: {device.serial:X}\n",
                          openssl("crl", "-noout", "-text", text=self.hub.http("GET", "/enos/CA/crl")[1].decode()))
            self.hub.fault("server-certificate=other-name")
        finally:
            os.rename(away, self.path("ca"))

    def test_the_hub_has_no_code_that_signs(self):
        plugin = os.path.join(PROGRAMS, ".libs", "gatekey-hub.so")
        for program, signs in (os.path.join(PROGRAMS, "ca"), True), (os.path.join(PROGRAMS, "hub"), False), (plugin, False):
            with open(program, "rb") as file:
                self.assertEqual(b"X509_CRL_sign" in file.read(), signs, program)

    def test_the_hub_says_so_when_the_ca_is_gone_and_lives_on(self):
        device, other = self.device(), self.device(certified=False)
        link = device.connect()
        os.kill(self.ca_pid(), signal.SIGKILL)
        openssl("genrsa", "-out", other.key, "2048")
        answer = self.hub.certificates("apply", other.device, {"csr": other.csr()})
        self.assertEqual(answer["code"], 99400)
        self.assertIn("call to the CA failed", answer["msg"])
        self.assertNotEqual(self.hub.certificates("revoke", device.device, {"certSn": device.serial})["code"], 0)
        self.assertEqual(self.hub.certificates("list", device.device)["data"][0]["certStatus"], 0)
        link.ping()
        self.assertEqual(self.hub.http("GET", "/enos/CA/crl")[0], 200)
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.hub.certificates("apply", other.device, {"csr": other.csr()})["code"], 0)

    def test_serials_go_on_after_a_restart(self):
        first = self.device().serial
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.device().serial, first + 1)

    def assert_ends(self, pid):
        until = time.monotonic() + PATIENCE
        while is_running(pid):
            self.assertLess(time.monotonic(), until, "the CA outlives its hub")
            time.sleep(0.02)

    def test_it_is_gone_when_the_hub_has_ended(self):
        pid = self.ca_pid()
        self.assertTrue(is_running(pid))
        self.assertEqual(self.hub.stop(), 0)
        self.assertFalse(is_running(pid))
        self.hub.start()

    def test_it_dies_with_a_hub_that_is_killed(self):
        pid = self.ca_pid()
        self.hub.kill()
        self.assert_ends(pid)
        self.hub.start()

    def test_it_is_ended_even_when_it_hangs(self):
        pid = self.ca_pid()
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.hub.stop(), 0)
        self.assertFalse(is_running(pid))
        self.hub.start()

    def test_a_hub_that_cannot_start_leaves_none(self):
        taken = socket.create_server(("127.0.0.1", 0))
        directory = self.hub.directory + ".second"
        done = subprocess.run([os.path.join(PROGRAMS, "hub"), "--port-http", str(taken.getsockname()[1]), directory],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--port-http", done.stderr)
        taken.close()
        self.assertEqual([pid for pid in os.listdir("/proc") if pid.isdigit() and self.stands_in(pid, directory)], [])

    @staticmethod
    def stands_in(pid, directory):
        try:
            return os.readlink(f"/proc/{pid}/cwd") == directory
        except OSError:
            return False


class Alone(unittest.TestCase):
    """The CA by itself, which then takes calls of its own user."""

    def setUp(self):
        self.folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"alone-{self.id().rsplit('.', 1)[1][-20:]}")
        os.mkdir(self.folder)
        self.socket = os.path.join(self.folder, "s")
        with open(os.path.join(self.folder, "token"), "w", encoding="utf-8") as file:
            file.write("0123456789abcdef")
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [os.path.join(PROGRAMS, "ca"), "--socket", self.socket, "--token-file", os.path.join(self.folder, "token"),
             "--ready-fd", str(writing), os.path.join(self.folder, "ca")], pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        self.assertEqual(os.read(reading, 16), b"ready\n")
        os.close(reading)

    def tearDown(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(self.socket))

    def call(self, *words, **body):
        return ask(self.socket, *words, token="0123456789abcdef", **body)

    def csr(self, *options):
        key = os.path.join(self.folder, "key")
        return openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-sha256", *options,
                       "-subj", "/C=CN/ST=S/L=S/O=O/OU=U/CN=one")

    def test_it_wants_the_token(self):
        for token in None, "0123456789abcdee", "0123456789abcdef0", "":
            self.assertEqual(ask(self.socket, token=token)[0], 401)
        self.assertEqual(self.call(), (200, {"roots": 1, "certificates": 0, "revoked": 0, "list": None}))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_another_user_is_refused_even_with_the_token(self):
        os.chmod(self.socket, 0o666)
        os.chmod(self.folder, 0o755)
        os.chmod(os.environ.get("TMPDIR", "/tmp"), 0o755)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(NOBODY)
                os.write(writing, str(self.call()[0]).encode())
            except OSError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual(os.read(reading, 100), b"403")

    def test_issues_renews_and_revokes(self):
        wish = {"csr": self.csr(), "profile": "enos", "from": -5, "life": 60, "crlUrl": "http://hub/crl"}
        _, first = self.call("/issue", body=wish)
        _, second = self.call("/issue", body=wish)
        self.assertEqual((first["serial"], second["serial"]), (20001, 20002))
        self.assertEqual(first["expireMs"] - first["signMs"], 60000)
        self.assertIsNone(first["link"])
        status, revoked = self.call("/revoke", body={"serial": 20001, "reason": 4})
        self.assertEqual(status, 200)
        self.assertEqual(self.call("/revoke", body={"serial": 20001, "reason": 1}), (200, revoked))
        text = openssl("crl", "-noout", "-text", text=self.call("/lists", body={})[1]["published"])
        self.assertIn("Serial Number: 4E21\n", text)
        self.assertIn("Superseded", text)
        self.assertNotIn("4E22", text)
        self.assertEqual(self.call()[1]["revoked"], 1)

    def test_refuses_what_makes_no_sense(self):
        good = {"csr": self.csr(), "profile": "enos", "life": 60, "crlUrl": "http://hub/crl"}
        for path, body, status in (("/issue", {}, 400), ("/issue", {**good, "profile": "root"}, 400), ("/issue", {**good, "life": 0}, 400),
                                   ("/issue", {**good, "csr": "x"}, 400), ("/issue", {**good, "root": 2}, 400), ("/issue", [], 400),
                                   ("/issue", {**good, "more": "x" * 70000}, 400), ("/revoke", {"serial": 1}, 400),
                                   ("/list-life", {"seconds": 0}, 400), ("/nothing", {}, 404)):
            got, answer = self.call(path, body=body)
            self.assertEqual(got, status, (path, answer))
            self.assertTrue(answer["error"])
        self.assertEqual(self.call()[1]["certificates"], 0)

    def test_no_two_lists_are_of_the_same_second(self):
        dates = []
        for _ in range(3):
            self.assertEqual(self.call("/list-life", body={"seconds": 60})[0], 200)
            dates.append(openssl("crl", "-noout", "-lastupdate", text=self.call("/lists", body={})[1]["published"]))
        self.assertEqual(len(set(dates)), 3, dates)

    def test_each_roots_own_list_names_its_own_and_the_published_one_all(self):
        wish = {"csr": self.csr(), "profile": "enos", "life": 60, "crlUrl": "u"}
        serials = [self.call("/issue", body=wish)[1]["serial"]]
        self.call("/new-root", body={"link": True})
        serials.append(self.call("/issue", body=wish)[1]["serial"])
        for serial in serials:
            self.call("/revoke", body={"serial": serial, "reason": 0})
        lists = self.call("/lists", body={})[1]
        end = "-----END X509 CRL-----\n"
        named = [[serial for serial in serials if f"Serial Number: {serial:X}\n" in openssl("crl", "-noout", "-text", text=pem + end)]
                 for pem in [*lists["all"].split(end)[:-1], lists["published"].split(end)[0]]]
        self.assertEqual(named, [serials[:1], serials[1:], serials])

    def test_the_list_from_before_the_last_revocation_can_be_had(self):
        self.call("/list-life", body={"seconds": 60})
        serial = self.call("/issue", body={"csr": self.csr(), "profile": "enos", "life": 60, "crlUrl": "u"})[1]["serial"]
        before = self.call("/lists", body={})[1]
        self.call("/revoke", body={"serial": serial, "reason": 0})
        self.call("/list-life", body={"seconds": 60})
        self.assertEqual(self.call("/lists", body={"how": "old"})[1], before)
        self.assertGreater(self.call("/lists", body={})[1]["number"], before["number"] + 1)


if __name__ == "__main__":
    unittest.main()
