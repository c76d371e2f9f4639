#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the local hub replies to what devices publish, and how commands reach them."""

import json
import os
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import PATIENCE, HubTest, openssl, sign_connect  # noqa: E402


class Journal(HubTest):
    @classmethod
    def options(cls):
        return ["--journal"]

    def test_writes_down_what_is_posted_as_it_came_and_how_it_was_answered(self):
        device = self.device()
        link = device.connect()
        device.ask(link, "thing/measurepoint/post", {"measurepoints": {"a": "\n"}}, ident="12")
        device.ask(link, "thing/measurepoint/post", {"measurepoints": {"a": None}})
        self.hub.kill()
        self.hub.start()
        link = device.connect()
        device.ask(link, "thing/event/alarm/post", {"events": {"level": 3}})
        posts = list(self.hub.journal())
        self.assertEqual([(post.code, post.device, post.topic) for post in posts],
                         [(200, device.device, "thing/measurepoint/post"), (1206, device.device, "thing/measurepoint/post"),
                          (200, device.device, "thing/event/alarm/post")])
        self.assertEqual([json.loads(post.payload)["id"] for post in posts], ["12", "7", "7"])
        self.assertLess(posts[0].us, posts[2].us)
        self.assertEqual([row["point"] for row in self.hub.table("telemetry")], ["alarm"])


class Posting(HubTest):
    def test_answers_a_post_and_keeps_it(self):
        device = self.device()
        link = device.connect()
        points = {"a": 1.5, "b": {"value": "x", "quality": 9}, "c": [1, 2]}
        reply = device.ask(link, "thing/measurepoint/post", {"measurepoints": points, "time": 1700000000000})
        self.assertEqual(reply, {"id": "7", "code": 200, "data": {}})
        mine = [row for row in self.hub.table("telemetry") if row["deviceKey"] == device.device]
        self.assertEqual([(row["point"], row["value"], row["quality"]) for row in mine],
                         [("a", "1.5", None), ("b", '"x"', 9), ("c", "[1,2]", None)])
        self.assertEqual(mine[0]["time"], "2023-11-14T22:13:20.000Z")

    def test_gives_the_id_back_as_it_was(self):
        device = self.device()
        link = device.connect()
        params = {"measurepoints": {"a": 1}}
        self.assertEqual(device.ask(link, "thing/measurepoint/post", params, ident="007")["id"], "007")
        self.assertEqual(device.ask(link, "thing/measurepoint/post", params, ident=12)["id"], 12)

    def test_takes_batches_whole_or_not_at_all(self):
        device = self.device()
        link = device.connect()
        good, bad = {"measurepoints": {"a": 1}, "time": 5}, {"measurepoints": {}}
        foreign = {"measurepoints": {"a": 1}, "deviceKey": "another"}
        ask = lambda params, **more: device.ask(link, "thing/measurepoint/resume/batch", params, **more)["code"]
        self.assertEqual(ask([good, good]), 200)
        self.assertEqual(ask([good, bad]), 1206)
        self.assertEqual(ask([good, foreign]), 1212)
        self.assertEqual(ask([good, bad], skipInvalidMeasurepoints=True), 200)
        mine = [row for row in self.hub.table("telemetry") if row["deviceKey"] == device.device]
        self.assertEqual([row["kind"] for row in mine], ["resume"] * 3)

    def test_keeps_attributes_tags_and_events(self):
        device = self.device()
        link = device.connect()
        ask = lambda rest, params: device.ask(link, rest, params)
        self.assertEqual(ask("thing/attribute/update", {"attributes": {"a": 1, "b": {"c": None}}})["code"], 200)
        self.assertEqual(ask("thing/attribute/query", {"attributes": ["b"]})["data"], {"b": {"c": None}})
        self.assertEqual(ask("thing/attribute/delete", {"attributes": ["b"]})["code"], 200)
        self.assertEqual(ask("thing/attribute/query", {})["data"], {"a": 1})
        self.assertEqual(ask("thing/tag/update", [{"tagKey": "k", "tagValue": "v"}])["code"], 200)
        self.assertEqual(ask("thing/tag/query", {})["data"], {"k": "v"})
        self.assertEqual(ask("thing/event/alarm/post", {"events": {"level": 3}})["code"], 200)
        self.assertEqual(ask("thing/attribute/update", {})["code"], 1207)
        self.assertEqual(ask("thing/attribute/query", {"attributes": 1})["code"], 1208)
        self.assertEqual(ask("thing/attribute/delete", {"attributes": [1]})["code"], 1209)

    def test_says_what_is_wrong_with_a_post(self):
        device = self.device()
        link = device.connect()
        link.subscribe(device.sys + "#")
        post = device.sys + "thing/measurepoint/post"
        envelope = {"id": "1", "version": "1.0", "method": "thing.measurepoint.post"}
        for payload, code in ((b"", 1251), (b"{", 1220), (b"[]", 1220), (b'{"id":"1"}', 1260), (b"\xff\x00{", 1220),
                              (b"[" * 3000, 1220), ({**envelope, "method": "thing.event.post"}, 1260), (envelope, 1206),
                              ({**envelope, "params": {"measurepoints": {"a": {"value": 1, "quality": 10}}}}, 1206),
                              ({**envelope, "params": {"measurepoints": {"a": 1}, "time": "now"}}, 1206),
                              ({**envelope, "params": {"measurepoints": {"é" * 30: None}}}, 1206),
                              (b'"' + b"x" * 512 * 1024 + b'"', 1008)):
            link.publish(post, payload)
            replies = [json.loads(body) for topic, body in (link.receive(), link.receive()) if topic == post + "_reply"]
            self.assertEqual([reply["code"] for reply in replies], [code], payload)
            self.assertIn("data", replies[0])
        self.assertEqual(device.ask(link, "thing/nothing/known", {})["code"], 1009)

    def test_takes_both_qualities_of_service_and_both_versions(self):
        device = self.device()
        link = device.connect()
        post = device.sys + "thing/measurepoint/post"
        link.subscribe(post + "_reply", qos=0)
        for qos, version in (0, "1.1"), (1, "1.0"):
            link.publish(post, {"id": "1", "version": version, "method": "thing.measurepoint.post",
                                "params": {"measurepoints": {"a": 1}}}, qos)
            self.assertEqual(json.loads(link.receive()[1])["code"], 200)

    def test_sends_no_reply_to_whoever_did_not_subscribe(self):
        device = self.device()
        link = device.connect()
        link.publish(device.sys + "thing/measurepoint/post", {"method": "thing.measurepoint.post"})
        self.assertIsNone(link.receive(0.3))

    def test_keeps_a_device_to_its_own_topics(self):
        ours, other = self.device(), self.device()
        link, victim = ours.connect(), other.connect()
        for topic in (other.sys + "#", "#", f"/sys/{self.hub.product}/+/thing/#", "/sys/#", "$SYS/#",
                      f"/sys/{self.hub.product}/{ours.device}"):
            self.assertEqual(link.subscribe(topic), 128, topic)
        self.assertEqual(victim.subscribe(other.sys + "#"), 1)
        link.publish(other.sys + "thing/measurepoint/post", {"method": "thing.measurepoint.post"})
        link.ping()
        self.assertIsNone(victim.receive(0.3))
        codes = [row["code"] for row in self.hub.table("incidents") if row["deviceKey"] == ours.device]
        self.assertEqual(codes, [1009] * 7)


class Commanding(HubTest):
    def answer(self, device, link, code, data, seen):
        topic, payload = link.receive()
        request = json.loads(payload)
        seen.append((topic, request["method"], request["params"]))
        link.publish(topic + "_reply", {"id": request["id"], "code": code, "data": data})
        seen.append(link.receive(0.3))

    def command(self, subscribed, words, code=200, data=None):
        device = self.device()
        link = device.connect()
        if subscribed:
            link.subscribe(device.sys + "thing/service/+")
            link.subscribe(device.sys + "thing/service/measurepoint/set")
        seen = []
        thread = threading.Thread(target=self.answer, args=(device, link, code, data, seen))
        thread.start()
        done = self.hub.ctl(words[0], self.hub.product, device.device, *words[1:], check=False)
        thread.join()
        return device, done, seen

    def test_delivers_a_command_once_without_a_subscription(self):
        device, done, seen = self.command(False, ["set", "limit={\"a\": 1}"], data={})
        self.assertEqual(seen, [(device.sys + "thing/service/measurepoint/set", "thing.service.measurepoint.set",
                                 {"limit": {"a": 1}}), None])
        self.assertEqual((done.returncode, json.loads(done.stdout)["code"]), (0, 200))

    def test_delivers_a_command_once_with_a_subscription(self):
        device, done, seen = self.command(True, ["call", "reboot", '{"in": 3}'], data={"done": True})
        self.assertEqual(seen, [(device.sys + "thing/service/reboot", "thing.service.reboot", {"in": 3}),
                                # its own answer comes back by its own wildcard, as from any broker
                                seen[1]])
        self.assertTrue(seen[1] is None or seen[1][0].endswith("_reply"))
        self.assertEqual(json.loads(done.stdout)["data"], {"done": True})

    def test_hands_on_the_devices_own_refusal(self):
        _, done, _ = self.command(False, ["call", "reboot", "{}"], code=2001)
        self.assertEqual((done.returncode, json.loads(done.stdout)["code"]), (1, 2001))

    def test_says_that_a_device_is_offline_or_silent(self):
        device = self.device()
        self.assertIn("11900", self.hub.ctl("set", self.hub.product, device.device, "a=1", check=False).stderr)
        link = device.connect()
        answer = self.hub.call("POST", "/connect-service/v2.1/commands",
                               {"action": "setMeasurepoint", "orgId": self.hub.org, "productKey": self.hub.product,
                                "deviceKey": device.device, "measurepointId": "a", "timeout": "1"}, {"value": 1})[1]
        self.assertEqual(answer["code"], 11915)
        link.close()

    def answering(self, device, link, answers):
        """In another thread: receive so many commands, answer each with what is on its topic; what came."""
        seen = []

        def run():
            for _ in answers:
                topic, payload = link.receive()
                rest = topic[len(device.sys):]
                seen.append((rest, payload))
                to, what = answers[rest]
                link.publish(device.sys + to, what if isinstance(what, bytes) else
                             {"id": json.loads(payload)["id"], "code": 200, "data": what}, 0)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, seen

    def test_sends_any_command_and_tells_how_it_ended(self):
        device = self.device()
        link = device.connect()
        thread, seen = self.answering(device, link, {
            "thing/service/measurepoint/get": ("thing/service/measurepoint/get_reply", {"a": 1}),
            "thing/disable": ("thing/disable_reply", {}),
            "thing/model/down_raw": ("thing/model/down_raw_reply", b"\0up\xff"),
            "rrpc/request/7": ("rrpc/response/7", b""),
            "traffic/control": ("traffic/control", {})})
        send = lambda *words: self.hub.ctl(words[0], self.hub.product, device.device, *words[1:], check=False)
        self.assertEqual(json.loads(send("get", "a").stdout)["data"], {"a": 1})
        self.assertEqual(json.loads(send("command", "thing/disable", "{}").stdout)["code"], 200)
        raw = subprocess.run([os.path.join(self.hub.programs, "hubctl"), self.hub.directory, "command", self.hub.product,
                              device.device, "thing/model/down_raw", "00ff0a", "--hex"], check=True, capture_output=True)
        self.assertEqual(raw.stdout, b"\0up\xff")
        self.assertEqual(send("command", "rrpc/request/7", "01", "--hex").returncode, 0)
        self.assertEqual(send("command", "traffic/control", '{"duration": 5}', "--id", "x").returncode, 0)
        thread.join()
        self.assertEqual([(rest, payload) for rest, payload in seen if rest in ("thing/model/down_raw", "rrpc/request/7")],
                         [("thing/model/down_raw", b"\0\xff\n"), ("rrpc/request/7", b"\1")])
        link.ping()
        link.inbox.clear()  # its own answer, on the topic of the command
        self.assertIn("11915", send("command", "thing/service/a", "{}", "--timeout", "1", "--twice", "--qos", "0").stderr)
        self.assertEqual(link.receive(), link.receive())
        mine = [row for row in self.hub.table("commands") if row["deviceKey"] == device.device]
        self.assertEqual([(row["topic"], row["code"]) for row in mine],
                         [("thing/service/measurepoint/get", 200), ("thing/disable", 200), ("thing/model/down_raw", 200),
                          ("rrpc/request/7", 200), ("traffic/control", 200), ("thing/service/a", 11915)])
        self.assertEqual(mine[4]["commandId"], "x")
        mine = [row["topic"] for row in self.hub.table("answers") if row["deviceKey"] == device.device]
        self.assertEqual(mine, ["thing/service/measurepoint/get_reply", "thing/disable_reply", "thing/model/down_raw_reply",
                                "rrpc/response/7", "traffic/control"])

    def test_keeps_bytes_and_does_not_answer_them(self):
        device = self.device()
        link = device.connect()
        link.subscribe(device.sys + "thing/model/up_raw_reply")
        link.publish(device.sys + "thing/model/up_raw", b"\0\xffx")
        link.ping()
        self.assertIsNone(link.receive(1))
        mine = [row for row in self.hub.table("telemetry") if row["deviceKey"] == device.device]
        self.assertEqual([(row["kind"], row["value"]) for row in mine], [("raw", '"00ff78"')])


class StockClients(HubTest):
    def test_mosquitto_pub_and_sub_work(self):
        device = self.device()
        stamp = self.hub.next_stamp()
        common = ["-h", "localhost", "-p", str(self.hub.mqtts_port), "--cafile", self.hub.ca, "--cert", device.cert,
                  "--key", device.key, "-q", "1", "-u", f"{device.device}&{self.hub.product}",
                  "-i", f"{device.device}|securemode=2,signmethod=sha256,timestamp={stamp}|",
                  "-P", sign_connect(device.device, device.device, self.hub.product, stamp, device.secret)]
        message = {"id": "1", "version": "1.0", "method": "thing.measurepoint.post", "params": {"measurepoints": {"t": 21}}}
        subprocess.run(["mosquitto_pub", *common, "-t", device.sys + "thing/measurepoint/post", "-m", json.dumps(message)],
                       check=True, timeout=PATIENCE)
        self.assertEqual([row["value"] for row in self.hub.table("telemetry") if row["deviceKey"] == device.device], ["21"])

    def test_curl_and_openssl_trust_the_hub(self):
        url = self.hub.env["HUB_API_URL"]
        for host in url, url.replace("127.0.0.1", "localhost"):
            subprocess.run(["curl", "-sS", "--fail", "--cacert", self.hub.ca, "-o", os.devnull, f"{host}/enos/CA/cacert"],
                           check=True, timeout=PATIENCE)
        server = os.path.join(self.hub.directory, "server.pem")
        self.assertIn("OK", openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost",
                                    "-CAfile", self.hub.ca, server))


if __name__ == "__main__":
    unittest.main()
