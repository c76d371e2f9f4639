#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application on a gateway: hands over measurements, and answers the hub when it asks for them.

    sensor | application.py [SOCKET]

It reads a JSON object of measuring points from each line of standard input, and ends when gatekeyd has all of them on
disk; one that gatekeyd can never take is said on standard error. Needs python3-paho-mqtt, 1.6 or later, and a user in
the group gatekey-local. What the topics mean, and what a PUBACK is worth: gatekeyd(8), "Applications".
"""

import json
import socket
import sys
import threading

import paho.mqtt.client as mqtt

PATH = sys.argv[1] if len(sys.argv) > 1 else "/run/gatekey/local/broker.sock"
UP = "gatekey/up/thing/measurepoint/post"
ASKED = "thing/service/measurepoint/get"
UNDER_WAY = 20  # what is not acknowledged yet, and goes again over the next connection


class Client(mqtt.Client):
    def _create_socket_connection(self):
        """paho has Unix sockets of its own from 2.0 on."""
        link = socket.socket(socket.AF_UNIX)
        link.connect(PATH)
        return link


class Application:
    def __init__(self):
        version = getattr(mqtt, "CallbackAPIVersion", None)
        self.client = Client(version.VERSION2) if version else Client()
        self.client.max_inflight_messages_set(UNDER_WAY)
        self.client.reconnect_delay_set(1, 30)
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish
        self.latest = {}
        self.under_way = 0
        self.changed = threading.Condition()

    def on_connect(self, client, *_):
        """Each time: a broker that was restarted may have forgotten what we subscribed to."""
        client.subscribe([("gatekey/error/#", 1), ("gatekey/down/" + ASKED, 1)])

    def on_publish(self, *_):
        """PUBACK: it is on disk, or it is answered on gatekey/error."""
        with self.changed:
            self.under_way -= 1
            self.changed.notify()

    def on_message(self, _, __, message):
        told = json.loads(message.payload)
        if message.topic.startswith("gatekey/error/"):
            print(told["error"], file=sys.stderr, flush=True)  # it will be no better another time
        else:
            self.publish("gatekey/reply/" + ASKED, {"id": told["id"], "code": 200, "data": self.latest})

    def publish(self, topic, content):
        with self.changed:
            self.under_way += 1
        self.client.publish(topic, json.dumps(content), qos=1)

    def wait(self, most):
        """Until no more than so many are to be acknowledged."""
        with self.changed:
            self.changed.wait_for(lambda: self.under_way <= most)

    def run(self, lines):
        self.client.connect_async("localhost")  # the name is not used
        self.client.loop_start()  # connects, and connects again, by itself
        for line in lines:
            points = json.loads(line)
            self.latest.update(points)
            self.wait(UNDER_WAY - 1)  # no more is read than is kept
            self.publish(UP, {"measurepoints": points})
        self.wait(0)
        self.client.disconnect()
        self.client.loop_stop()


if __name__ == "__main__":
    Application().run(sys.stdin)
