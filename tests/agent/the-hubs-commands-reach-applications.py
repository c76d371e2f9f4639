#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub's commands, to applications on the local broker and to programs: answered in time, once, in order, or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
import unittest.mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub, Peer  # noqa: E402
from localbroker import LocalBroker  # noqa: E402
from service import BUILD, PATIENCE, GatekeydTest, wait_until  # noqa: E402

NO_REPLY = "11915"  # what the hub says when its own time is up


class Commands(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.brokers = []
        self.callers = []

    def tearDown(self):
        for caller in self.callers:
            caller.kill()
            caller.communicate()
        super().tearDown()
        for broker in self.brokers:
            broker.stop()

    def gateway(self, local="", **settings):
        """A service with a local broker, both started."""
        service = self.service(**settings)
        service.broker = LocalBroker(service, lines=["log_type subscribe"])
        self.brokers.append(service.broker)
        service.local = f"broker = {service.broker.path}\n{local}"
        service.configure()
        service.enrol().start().connected()
        service.broker.start()
        self.relay_is_up(service)
        return service

    @staticmethod
    def relay_is_up(service, times=1):
        """The broker has its subscription; before that, nobody hears what an application answers."""
        wait_until("the relay is up", lambda: "\n".join(service.broker.lines()).count("gatekey/reply/#") == times)

    def application(self, service, name="app", **options):
        app = service.broker.application(name, patience=PATIENCE, **options)
        for topic in "gatekey/down/#", "gatekey/error/#":
            self.assertEqual(app.subscribe(topic), 1)
        return app

    def send(self, service, topic, params, *options):
        """hubctl command, under way."""
        self.callers.append(subprocess.Popen(
            [os.path.join(BUILD, "tests/hub/hubctl"), self.hub.directory, "command", self.hub.product, service.name, topic,
             params if isinstance(params, str) else json.dumps(params), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return self.callers[-1]

    def reply(self, caller):
        """What the hub got: the reply, or why there was none."""
        out, complaint = caller.communicate(timeout=60 + PATIENCE)
        return json.loads(out) if out.startswith(b"{") else complaint.decode()

    def take(self, app, rest):
        """The next command of an application, which must be on that topic: its envelope."""
        topic, payload = app.receive()
        self.assertEqual(topic, "gatekey/down/" + rest, payload)
        return json.loads(payload)

    def answer(self, app, rest, command, code=200, **members):
        app.hand_over("gatekey/reply/" + rest, json.dumps({"id": command["id"], "code": code, **members}))

    def error(self, app, rest):
        topic, payload = app.receive()
        self.assertEqual(topic, "gatekey/error/" + rest, payload)
        return json.loads(payload)

    def ended(self, service, topic):
        """The codes with which commands on that topic ended at the hub, in their order."""
        return [row["code"] for row in self.hub.table("commands") if (row["deviceKey"], row["topic"]) == (service.name, topic)]

    def answers(self, service, topic):
        return [json.loads(row["payload"]) for row in self.hub.table("answers")
                if (row["deviceKey"], row["topic"]) == (service.name, topic)]


class Applications(Commands):
    def test_answer_measuring_points_and_services_as_they_like(self):
        service = self.gateway()
        app = self.application(service)
        get, put = "thing/service/measurepoint/get", "thing/service/measurepoint/set"
        caller = self.send(service, get, ["level"])
        command = self.take(app, get)
        self.assertEqual(command, {"id": command["id"], "version": "1.0", "method": get.replace("/", "."), "params": ["level"]})
        self.answer(app, get, command, data={"level": 3})
        self.assertEqual(self.reply(caller), {"id": command["id"], "code": 200, "data": {"level": 3}})
        caller = self.send(service, put, {"level": 4}, "--qos", "0")
        self.answer(app, put, self.take(app, put))
        self.assertEqual(self.reply(caller)["data"], {})
        caller = self.send(service, "thing/service/reboot", {})
        self.answer(app, "thing/service/reboot", self.take(app, "thing/service/reboot"), 2100, message="not today", data=[1])
        reply = self.reply(caller)
        self.assertEqual((reply["code"], reply["message"], reply["data"]), (2100, "not today", [1]))
        app.close()

    def test_are_told_what_is_wrong_with_an_answer(self):
        service = self.gateway()
        app = self.application(service)
        rest = "thing/service/a"
        caller = self.send(service, rest, {})
        command = self.take(app, rest)
        # None of these is for this command, which goes on waiting.
        for wrong in ('{"level":3}', '{"id":"another","code":200}', "garbage", "[]", '{"code":200}', "", '{"id":"\\ud800","code":200}',
                      '\0{"id":"%s","code":200}' % command["id"]):
            app.hand_over("gatekey/reply/" + rest, wrong)
            self.assertIn("cannot take this message", self.error(app, rest)["error"])
        app.hand_over("gatekey/reply/thing/service/b", json.dumps({"id": command["id"], "code": 200}))
        self.assertIn("no command with that id waits", self.error(app, "thing/service/b")["error"])
        self.answer(app, rest, command, 500)
        error = self.error(app, rest)
        self.assertEqual(error["id"], command["id"])
        self.assertIn("(code 500); answer with", error["error"])
        reply = self.reply(caller)
        self.assertEqual((reply["code"], reply["message"]), (2004, "the application's answer makes no sense"))
        # It is over.
        self.answer(app, rest, command)
        self.assertIn("no command with that id waits", self.error(app, rest)["error"])
        caller = self.send(service, rest, {})
        command = self.take(app, rest)
        app.hand_over("gatekey/reply/" + rest, '{"id":"%s","code":200,"d\\u0061ta":1}' % command["id"])
        self.assertIn("written without", self.error(app, rest)["error"])
        self.assertEqual(self.reply(caller)["code"], 2004)
        for code in "200", 0, 1999, -1, 1 << 40, None, 200.0:
            caller = self.send(service, rest, {})
            self.answer(app, rest, self.take(app, rest), code)
            self.error(app, rest)
            self.assertEqual(self.reply(caller)["code"], 2004, code)
        app.close()

    def test_get_commands_of_one_service_one_after_the_other(self):
        service = self.gateway()
        app = self.application(service)
        first = self.send(service, "thing/service/a", {"n": 1})
        one = self.take(app, "thing/service/a")
        second = self.send(service, "thing/service/a", {"n": 2})
        wait_until("it waits", lambda: service.status()["commands_waiting"] == 2)
        other = self.send(service, "thing/service/b", {})
        self.answer(app, "thing/service/b", self.take(app, "thing/service/b"))
        self.assertEqual(self.reply(other)["code"], 200)
        self.answer(app, "thing/service/a", one, data=1)
        two = self.take(app, "thing/service/a")
        self.assertEqual((one["params"], two["params"]), ({"n": 1}, {"n": 2}))
        self.answer(app, "thing/service/a", two, data=2)
        self.assertEqual((self.reply(first)["data"], self.reply(second)["data"]), (1, 2))
        app.close()

    def test_get_a_command_once_that_came_twice(self):
        service = self.gateway()
        app = self.application(service)
        for ident in "x", "y":
            caller = self.send(service, "thing/service/a", {}, "--twice", "--id", ident)
            command = self.take(app, "thing/service/a")
            self.assertEqual(command["id"], ident)
            self.answer(app, "thing/service/a", command)
            self.assertEqual(self.reply(caller)["code"], 200)
        # Also after it was answered.
        caller = self.send(service, "thing/service/a", {}, "--id", "x", "--timeout", "1")
        self.assertIn(NO_REPLY, self.reply(caller))
        wait_until("it has come", lambda: service.status()["duplicates"] == 3)
        self.assertEqual(len(self.answers(service, "thing/service/a_reply")), 2)
        app.close()

    def test_get_a_command_that_they_come_back_to_in_time(self):
        service = self.gateway()
        self.application(service, clean=False).close()
        caller = self.send(service, "thing/service/a", {})
        wait_until("it is out", lambda: service.status()["broker"]["published"] > 1)
        app = service.broker.application("app", clean=False, patience=PATIENCE)
        self.answer(app, "thing/service/a", self.take(app, "thing/service/a"))
        self.assertEqual(self.reply(caller)["code"], 200)
        app.close()

    def test_are_told_what_becomes_of_the_device(self):
        note = os.path.join(os.path.realpath(self.folder), "noted")
        program = self.program("note", f"#!/bin/sh\ncat >{note}\necho '[1]'\n")
        service = self.gateway(f"command.thing/enable = {program}\n")
        app = self.application(service)
        for rest in "thing/disable", "thing/delete":
            reply = self.reply(self.send(service, rest, {"why": rest}))
            self.assertEqual((reply["code"], reply["data"]), (200, {}))
            command = self.take(app, rest)
            self.assertEqual(command["params"], {"why": rest})
            self.answer(app, rest, command)  # does no harm
        self.assertEqual(self.reply(self.send(service, "thing/enable", {"a": 1}))["data"], [1])
        with open(note, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"a": 1})
        log = "\n".join(service.lines())
        self.assertIn("the hub has deleted this device and takes nothing from it any more; run gatekey reset", log)
        self.assertIn("the hub has disabled this device", log)
        app.ping()
        self.assertEqual(app.inbox, [])
        self.assertEqual(len(self.answers(service, "thing/disable_reply")), 1)
        app.close()

    def test_exchange_bytes(self):
        service = self.gateway()
        app = self.application(service)
        caller = self.send(service, "thing/model/down_raw", "00ff0a", "--hex")
        self.assertEqual(app.receive(), ("gatekey/down/thing/model/down_raw", b"\0\xff\n"))
        app.hand_over("gatekey/reply/thing/model/down_raw", b"\xff\0up")
        self.assertEqual(caller.communicate(timeout=PATIENCE)[0], b"\xff\0up")
        caller = self.send(service, "rrpc/request/17", "01", "--hex", "--twice")
        self.assertEqual(app.receive(), ("gatekey/down/rrpc/request/17", b"\1"))
        app.hand_over("gatekey/reply/rrpc/request/17", b"\2")
        self.assertEqual(caller.communicate(timeout=PATIENCE)[0], b"\2")
        # Bytes need no answer, and do not wait for each other.
        for number in range(20):
            self.send(service, "thing/model/down_raw", f"{number:02x}", "--hex", "--timeout", "1")
        self.assertEqual({app.receive()[1] for _ in range(20)}, {bytes([number]) for number in range(20)})
        self.assertEqual(service.status()["commands_waiting"], 0)
        app.close()

    def test_hear_that_the_hub_wants_less(self):
        service = self.gateway()
        app = self.application(service)
        reply = self.reply(self.send(service, "traffic/control", {"duration": 7}))
        self.assertEqual(reply["code"], 200)
        self.assertEqual(self.take(app, "traffic/control")["params"], {"duration": 7})
        self.assertEqual(self.reply(self.send(service, "traffic/control", {}))["code"], 200)
        log = "\n".join(service.lines())
        self.assertIn("the hub asks for less: nothing is sent for 7 s", log)
        self.assertIn("the hub asks for less: nothing is sent for 60 s", log)
        self.assertIn('"params":{"duration":7}', log)
        # Its own answer, which comes back to it, is none of the hub's.
        self.assertEqual(service.status()["commands"], 2)
        self.assertEqual(len(self.answers(service, "traffic/control")), 2)
        app.close()

    def test_keep_their_telemetry_here_while_the_hub_wants_less(self):
        service = self.gateway()
        app = self.application(service)
        arrived = lambda: [row["value"] for row in self.telemetry(service)]
        self.assertEqual(self.reply(self.send(service, "traffic/control", {"seconds": 600}))["code"], 200)
        self.take(app, "traffic/control")
        self.assertTrue(service.publish({"temperature": 1})["ok"])
        # What is sent after it arrives before it.
        for _ in range(2):
            caller = self.send(service, "thing/service/a", {})
            self.answer(app, "thing/service/a", self.take(app, "thing/service/a"))
            self.assertEqual(self.reply(caller)["code"], 200)
        self.assertEqual(arrived(), [])
        self.assertEqual(self.reply(self.send(service, "traffic/control", {"seconds": 1}))["code"], 200)
        wait_until("it is sent", lambda: arrived() == ["1"])
        app.close()

    def test_answer_through_a_connection_that_was_lost_meanwhile(self):
        service = self.gateway()
        app = self.application(service)
        caller = self.send(service, "thing/service/a", {}, "--timeout", "60")
        command = self.take(app, "thing/service/a")
        self.hub.ctl("drop", self.hub.product, service.name)
        wait_until("it is lost", lambda: not service.status()["connected"])
        self.answer(app, "thing/service/a", command, data="late")
        self.assertEqual(self.reply(caller)["data"], "late")
        self.assertIn("as soon as there is a connection", "\n".join(service.lines()))
        app.close()

    @unittest.skipUnless(shutil.which("jq"), "the example takes jq")
    def test_may_be_the_script_of_the_manual(self):
        service = self.gateway()
        with open(os.path.join(os.environ["abs_top_srcdir"], "docs/gatekeyd.8"), encoding="utf-8") as file:
            manual = file.read()
        script = manual[manual.index("\nsocket=/run/gatekey/local/broker.sock\n"):]
        script = script[:script.index(".Ed")].replace("/run/gatekey/local/broker.sock", service.broker.path).replace("\\e", "\\")
        with subprocess.Popen(["sh", "-c", script], start_new_session=True) as example:
            try:
                wait_until("it has subscribed", lambda: "gatekey/down/thing/service/measurepoint/get"
                           in "\n".join(service.broker.lines()))
                reply = self.reply(self.send(service, "thing/service/measurepoint/get", ["level"]))
            finally:
                os.killpg(example.pid, signal.SIGTERM)
        self.assertEqual((reply["code"], reply["data"]), (200, {"level": 3}))


class Silence(Commands):
    def come_back(self, service, level):
        """To a session that was kept: the topics of what waited there."""
        app = service.broker.application(f"asleep{level}", clean=False, level=level, patience=PATIENCE)
        self.assertEqual(app.present & 1, 1)
        app.ping()
        app.close()
        return [topic for topic, _ in app.inbox if topic.startswith("gatekey/down/")]

    def test_is_ended_before_the_hub_gives_up(self):
        service = self.gateway()
        app = self.application(service)
        for level in 4, 5:
            self.application(service, f"asleep{level}", clean=False, level=level).close()
        first = self.send(service, "thing/service/a", {}, "--id", "first")
        command = self.take(app, "thing/service/a")
        waiting = []
        for number in range(2, 9):
            waiting.append(self.send(service, "thing/service/a", {}))
            wait_until("it waits", lambda count=number: service.status()["commands_waiting"] == count)
        self.assertEqual(self.reply(self.send(service, "thing/service/a", {}))["code"], 2005)
        others = [self.send(service, f"thing/service/s{number}", {}) for number in range(8)]
        wait_until("all places are taken", lambda: service.status()["commands_waiting"] == 16)
        self.assertEqual(self.reply(self.send(service, "thing/service/more", {}))["code"], 2005)
        # Notices and bytes need no place.
        self.assertEqual(self.reply(self.send(service, "thing/disable", {}))["code"], 200)
        for caller in waiting:
            reply = self.reply(caller)
            self.assertEqual((reply["code"], reply["message"]), (2003, "earlier commands took too long; it was not begun"))
        for caller in first, *others:
            reply = self.reply(caller)
            self.assertEqual((reply["code"], reply["message"]), (2003, "no answer in time"))
        self.assertEqual(service.status()["commands_waiting"], 0)
        # Who answers now is told, and so is who gets to the command late.
        app.inbox.clear()
        self.answer(app, "thing/service/a", command)
        found = []
        while not any("no command with that id" in error for error in found):
            topic, payload = app.receive()
            if topic == "gatekey/error/thing/service/a":
                found.append(json.loads(payload)["error"])
        self.assertIn("no answer in time; the hub was told so", found)
        app.close()
        # Nobody finds a command that is over, in whatever words; nor after the broker has kept it on its disk. News are another thing.
        self.assertEqual(self.come_back(service, 4), ["gatekey/down/thing/disable"])
        self.assertEqual(service.broker.stop(), 0)
        service.broker.start()
        self.assertEqual(self.come_back(service, 5), ["gatekey/down/thing/disable"])

    def test_is_said_at_once_where_nobody_is_there(self):
        service = self.service("broker =\n").enrol().start().connected()
        reply = self.reply(self.send(service, "thing/service/a", {}))
        self.assertEqual((reply["code"], reply["message"]), (2001, "no program is configured, and no local broker is there"))
        self.assertEqual(self.reply(self.send(service, "thing/disable", {}))["code"], 200)
        self.send(service, "thing/model/down_raw", "00", "--hex", "--timeout", "1").communicate(timeout=PATIENCE)
        wait_until("it is said", lambda: "dropped the command thing/model/down_raw: nobody is there for it" in "\n".join(service.lines()))

    def test_is_all_there_is_after_a_crash(self):
        runs = os.path.join(os.path.realpath(self.folder), "runs")
        program = self.program("slow", f"#!/bin/sh\necho run >>{runs}\nexec sleep 300\n")
        service = self.gateway(f"command.slow = {program}\n")
        app = self.application(service)
        callers = [self.send(service, "thing/service/slow", {}, "--timeout", "8"),
                   self.send(service, "thing/service/a", {}, "--timeout", "8")]
        command = self.take(app, "thing/service/a")
        wait_until("it runs", lambda: os.path.exists(runs))
        service.process.kill()
        service.process.wait()
        service.another_day()
        service.start().connected()
        self.relay_is_up(service, 2)
        # The application's answer comes to one who knows nothing of the command.
        self.answer(app, "thing/service/a", command)
        self.assertIn("no command with that id waits", self.error(app, "thing/service/a")["error"])
        for caller in callers:
            self.assertIn(NO_REPLY, self.reply(caller))
        with open(runs, encoding="utf-8") as file:
            self.assertEqual(file.read(), "run\n")
        app.ping()
        self.assertEqual(app.inbox, [])
        app.close()


class Programs(Commands):
    def test_answer_bytes_with_bytes(self):
        program = self.program("bytes", "#!/bin/sh\ncat\nprintf '\\000\\377'\n")
        mute = self.program("mute", "#!/bin/sh\nexit 1\n")
        service = self.service(f"command.thing/model/down_raw = {program}\ncommand.rrpc/request = {mute}\n")
        service.enrol().start().connected()
        caller = self.send(service, "thing/model/down_raw", "0141", "--hex")
        self.assertEqual(caller.communicate(timeout=PATIENCE)[0], b"\1A\0\xff")
        self.send(service, "rrpc/request/1", "01", "--hex", "--timeout", "1").communicate(timeout=PATIENCE)
        wait_until("it is said", lambda: "failed, which its topic has no answer for: the program exited with status 1"
                   in "\n".join(service.lines()))


class Answers(Commands):
    def test_go_again_where_they_were_not_acknowledged(self):
        echo = self.program("echo", "#!/bin/sh\ncat\n")
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        lost, heard = [], []

        def cut(peer, kind, body):
            """Instead of a PUBACK for the first answer."""
            if b"echo_reply" in body and not lost:
                lost.append(body)
                raise OSError("cut")
            return whole(peer, kind, body)

        def command(peer, topic):
            if topic.endswith("thing/service/#"):
                peer.publish(topic[:-1] + "echo", {"id": "1", "params": {"a": 1}}, 0)

        hub.on_subscribe = command  # again over each connection: it is carried out once
        hub.on_publish = lambda peer, topic, payload: heard.append((topic, json.loads(payload)))
        whole = Peer.message
        with unittest.mock.patch.object(Peer, "message", cut):
            service = self.service(f"command.echo = {echo}\n", port=hub.port).enrol().start()
            wait_until("it answers again", lambda: heard)
        self.assertTrue(lost)
        self.assertEqual(heard, [(service.device.sys + "thing/service/echo_reply", {"id": "1", "code": 200, "data": {"a": 1}})])
        wait_until("the second came", lambda: service.status()["duplicates"] == 1)
        self.assertEqual(service.status()["answered"], 1)


    def test_come_to_each_of_a_burst(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        heard = {}

        def burst(peer, topic):
            """Two hundred before the first PUBACK for an answer, which takes this thread."""
            if topic.endswith("thing/service/#"):
                for number in range(200):
                    peer.publish(f"{topic[:-1]}s{number}", {"id": str(number), "params": {}}, 0)

        def hear(peer, topic, payload):
            answer = json.loads(payload)
            heard.setdefault(int(answer["id"]), []).append(answer["code"])

        hub.on_subscribe, hub.on_publish = burst, hear
        self.service(port=hub.port).enrol().start()
        wait_until("all are answered", lambda: len(heard) == 200)
        self.assertEqual(heard, {number: [2001] for number in range(200)})

    def test_of_applications_go_as_they_were_written(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        heard = []
        hub.on_publish = lambda peer, topic, payload: heard.append(payload)
        peers = []
        hub.on_subscribe = lambda peer, topic: peers.append(peer)
        service = self.gateway(port=hub.port)
        app = self.application(service)
        wait_until("it has subscribed", lambda: peers)
        sent = b'{ "id": 7, "params": {"a" : 0.1, "b":[1e3, 0.30000000000000004]} }'
        peers[0].publish(service.device.sys + "thing/service/scale", sent, 0)
        self.assertEqual(app.receive(), ("gatekey/down/thing/service/scale", sent))
        app.hand_over("gatekey/reply/thing/service/scale", b'{"data" :{"a" : 0.1, "b":[1e3]},"id":"7","code":200}')
        wait_until("the hub has it", lambda: heard)
        self.assertEqual(heard[-1], b'{"id":7,"code":200,"data":{"a" : 0.1, "b":[1e3]}}')
        app.close()


class Subscriptions(Commands):
    def test_that_the_hub_refuses_are_said_once(self):
        hub = BadHub(self.hub)
        self.addCleanup(hub.close)
        hub.granted = 128
        seen = []
        hub.on_publish = lambda peer, topic, payload: seen.append((topic, json.loads(payload)))
        service = self.service(port=hub.port).enrol().start().connected()
        wanted = ["thing/service/#", "thing/enable", "thing/disable", "thing/delete", "thing/model/down_raw", "traffic/control",
                  "rrpc/request/+"]
        said = lambda: [line for line in service.lines() if "refused the subscription" in line]
        wait_until("all are refused", lambda: len(said()) == len(wanted))
        self.assertEqual([topic[len(service.device.sys):] for topic in hub.subscribed], wanted)
        service.another_day()
        self.assertTrue(service.call({"op": "reconnect"})["ok"])
        wait_until("they were asked for again", lambda: len(hub.subscribed) == 2 * len(wanted))
        self.assertEqual(len(said()), len(wanted))


if __name__ == "__main__":
    unittest.main()
