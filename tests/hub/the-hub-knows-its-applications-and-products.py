#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local hub's applications and what each may do, its products and what a device needs to be made in them."""

import copy
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from gateway import HubTest  # noqa: E402


class Permitting(HubTest):
    def test_an_application_may_do_what_it_was_allowed_and_nothing_else(self):
        hub, device = self.hub, self.device()
        body = {"productKey": hub.product, "timezone": "+00:00", "deviceName": {"defaultValue": "x"}}
        serial = {"certSn": device.serial}
        calls = {
            "device-create": lambda app: app.devices("create", body=body),
            "device-read": lambda app: app.devices("get", device.device),
            "device-update": lambda app: app.devices("enable", device.device, body={}),
            "certificate-apply": lambda app: app.certificates("apply", device.device, {}),
            "certificate-renew": lambda app: app.certificates("renew", device.device, {}),
            "certificate-read": lambda app: app.certificates("list", device.device),
            "command-invoke": lambda app: app.commands("reboot", device.device, {}),
            "event-read": lambda app: app.events(),
            "certificate-revoke": lambda app: app.certificates("revoke", device.device, serial),
        }
        for permission in calls:
            app = hub.application(permission, permission)
            for name, call in calls.items():
                code = call(app)["code"]
                self.assertEqual(code == 99403, name != permission, f"{name} with {permission}: {code}")
        self.assertEqual(hub.application("none", "").devices("get", device.device)["code"], 99403)
        self.assertEqual(hub.devices("get", device.device)["code"], 0)

    def test_an_application_does_not_see_other_products(self):
        hub = self.hub
        hub.ctl("product", "add", "meters")
        gateway, meters = self.device(), copy.copy(hub)
        meters.product = "meters"
        meters.create("meter-1")
        app = hub.application("of-meters", "*", "meters")
        for device in gateway.device, "nobody":
            self.assertEqual(app.devices("get", device)["code"], 99403)
            self.assertEqual(app.certificates("list", device)["code"], 99403)
        asset = hub.devices("get", gateway.device)["data"]["assetId"]
        self.assertEqual(app.devices("get", assetId=asset)["code"], 99403)
        self.assertEqual(app.devices("create", body={"productKey": hub.product, "deviceKey": "x"})["code"], 99403)
        app.product = "meters"
        self.assertEqual(app.devices("get", "meter-1")["code"], 0)
        self.assertEqual(app.devices("get", "nobody")["code"], 11404)
        self.assertEqual(app.devices("create", body={"productKey": "meters", "deviceKey": "x"})["code"], 0)
        gateway.ask(gateway.connect(), "thing/event/alarm/post", {"events": {"a": 1}})
        self.assertEqual(app.events()["data"]["events"], [])
        seen = hub.events()["data"]
        self.assertEqual([(e["deviceKey"], e["event"], e["value"]) for e in seen["events"]],
                         [(gateway.device, "alarm", {"a": 1})])
        self.assertEqual(hub.events(after=str(seen["last"]))["data"], {"events": [], "last": seen["last"]})

    def test_applications_share_neither_tokens_nor_secrets_and_can_be_removed(self):
        hub = self.hub
        one, two = hub.application("one", "*"), hub.application("two", "*")
        tokens = [app.token_call("get")["data"]["accessToken"] for app in (hub, one, two)]
        self.assertEqual(len(set(tokens)), 3)
        self.assertEqual(two.token_call("refresh", accessToken=tokens[1])["status"], 1204)
        query = {"action": "list", "orgId": hub.org}
        self.assertEqual(two.call("GET", "/connect-service/v2.1/events", query, token=tokens[1])[0], 401)
        self.assertEqual(one.events()["code"], 0)
        listed = {row["name"]: row for row in json.loads(hub.ctl("application", "list", "--json").stdout)}
        self.assertEqual((listed["one"]["permissions"], listed["gatekey-provisioner"]["products"]), ("*", "*"))
        hub.ctl("application", "remove", "one")
        self.assertEqual(one.call("GET", "/connect-service/v2.1/events", query, token=tokens[1])[0], 401)
        self.assertEqual(one.token_call("get")["status"], 1002)
        for words in ("add", "two"), ("add", "x", "--permissions", "all"), ("add", "x", "--products", "none"), \
                     ("add", "a/b"), ("remove", "one"):
            self.assertEqual(hub.ctl("application", *words, check=False).returncode, 1, words)


class Making(HubTest):
    def create(self, product, **more):
        return self.hub.devices("create", body={"productKey": product, "timezone": "+00:00",
                                                "deviceName": {"defaultValue": "x"}, **more})

    def test_a_product_may_be_without_certificates_or_activation_or_full(self):
        hub = self.hub
        hub.ctl("product", "add", "plain", "--no-certificates", "--no-activation", "--max-devices", "1")
        self.assertEqual(self.create("plain", deviceKey="p-1")["code"], 0)
        self.assertEqual(self.create("plain", deviceKey="p-2")["code"], 11739)
        plain = copy.copy(hub)
        plain.product = "plain"
        answer = plain.certificates("apply", "p-1", {"csr": "x"})
        self.assertEqual((answer["code"], "biDirectionalAuth" in answer["msg"]), (99400, True))
        answer = plain.certificates("renew", "p-1", {"certSn": 1})
        self.assertEqual((answer["code"], "biDirectionalAuth" in answer["msg"]), (99400, True))
        self.assertEqual(hub.ctl("product", "remove", "plain", check=False).returncode, 1)
        for words in ("plain",), ("a/b",), ("more", "--max-valid-day", "0"), ("more", "--max-valid-day", "x"):
            self.assertEqual(hub.ctl("product", "add", *words, check=False).returncode, 1, words)
        secret = hub.ctl("product", "add", "gone").stdout.split()[-1]
        hub.ctl("product", "remove", "gone")
        self.assertFalse(os.path.exists(secret))

    def test_a_product_with_licences_wants_one_for_each_device(self):
        hub = self.hub
        hub.ctl("product", "add", "licensed")
        self.assertEqual(self.create("licensed", deviceKey="free")["code"], 0)
        hub.ctl("licence", "add", "licensed", "L-1")
        hub.ctl("licence", "add", "licensed", "L-2", "--uses", "2")
        for licence, words in ((None, "missing"), ("L-3", "unknown"), ("L-1", None), ("L-1", "used up"), ("L-2", None),
                               ("L-2", None), ("L-2", "used up")):
            attributes = {"serialNumber": "S-1", **({"licence": licence} if licence else {})}
            answer = self.create("licensed", deviceAttributes=attributes)
            self.assertEqual(answer["code"], 99400 if words else 0, (licence, answer))
            self.assertIn(words or "OK", answer["msg"])
        hub.ctl("licence", "add", "licensed", "L-9")
        self.assertEqual(self.create("licensed", deviceKey="free", deviceAttributes={"licence": "L-9"})["code"], 11702)
        device = self.create("licensed", deviceAttributes={"licence": "L-9", "serialNumber": "S-9"})
        self.assertEqual((device["code"], len(device["data"]["assetId"])), (0, 8))
        kept = {row["name"]: row["value"] for row in hub.table("attributes")
                if row["deviceKey"] == device["data"]["deviceKey"]}
        self.assertEqual(kept, {"licence": '"L-9"', "serialNumber": '"S-9"'})
        hub.ctl("licence", "remove", "licensed", "L-9")
        self.assertEqual(self.create("licensed", deviceAttributes={"licence": "L-9"})["code"], 99400)

    def test_only_hubctl_chooses_a_secret(self):
        hub = self.hub
        self.assertEqual(hub.ctl("create", hub.product, "given", "--secret", "in-the-device-since-the-factory").stdout.strip(),
                         "in-the-device-since-the-factory")
        self.assertEqual(hub.devices("get", "given")["data"]["deviceSecret"], "in-the-device-since-the-factory")
        answer = self.create(hub.product, deviceSecret="chosen")
        self.assertNotEqual(answer["data"]["deviceSecret"], "chosen")
        self.assertNotEqual(hub.ctl("create", hub.product, "long", "--secret", "x" * 129, check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
