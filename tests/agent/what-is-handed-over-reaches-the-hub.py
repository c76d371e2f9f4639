#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What waits in the spool, at a hub that a test speaks for: in batches, in order, again, and set aside."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from badhub import BadHub  # noqa: E402
from service import BUILD, PATIENCE, GatekeydTest, wait_until  # noqa: E402

POST = "thing/measurepoint/post"
RESUME = "thing/measurepoint/resume"
BATCH_BYTES = 256 * 1024


class Heard:
    """One request as it came."""

    def __init__(self, topic, payload):
        self.topic = topic.split("/", 4)[-1]
        self.size = len(payload)
        self.message = json.loads(payload)
        self.ident = int(self.message["id"])
        params = self.message["params"]
        self.entries = params if self.topic.endswith("/batch") else [params]
        self.count = len(self.entries)

    def first(self):
        """The number that its first entry was accepted under; the id is the last one's."""
        return self.ident - self.count + 1

    def numbers(self):
        return [entry["n"] for entry in self.entries if "n" in entry]


class Uplink(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.door = BadHub(self.hub)
        self.heard = []
        self.code = lambda heard: 200  # None: no answer; a callable is asked for each request
        self.held = []  # those that were not answered, to be answered later
        self.door.on_publish = self.on_publish

    def tearDown(self):
        self.door.close()
        super().tearDown()

    def on_publish(self, peer, topic, payload):
        heard = Heard(topic, payload)
        self.heard.append(heard)
        code = self.code(heard)
        if code is None:
            self.held.append((peer, topic, heard))
        else:
            self.answer(peer, topic, heard, code)

    def answer(self, peer, topic, heard, code=200):
        message = {} if code == 200 else {"message": f"no {code}"}
        peer.publish(topic + "_reply", {"id": heard.message["id"], "code": code, "data": {}, **message}, 0)

    def gateway(self, **spool):
        service = self.service(port=self.door.port)
        if spool:
            service.settings["spool"] = spool
            service.configure()
        return service.enrol().start().connected()

    def hand_over(self, service, count, topic=POST, first=0, **more):
        """So many, over one connection; their ids."""
        with service.open() as link, link.makefile() as answers:
            lines = [json.dumps({"op": "publish", "topic": topic, "params": {"n": first + place, **more}}).encode() + b"\n"
                     for place in range(count)]
            ids = []
            for begin in range(0, count, 50):  # neither side fills the other's buffer
                link.sendall(b"".join(lines[begin:begin + 50]))
                ids += [int(json.loads(answers.readline())["id"]) for _ in lines[begin:begin + 50]]
        return ids

    def hold_one(self, service):
        """Let what comes next pile up behind one that is not answered; how to answer it."""
        self.code = lambda heard: None
        self.hand_over(service, 1, first=-1)
        wait_until("the hub has it", lambda: self.held)
        self.code = lambda heard: 200
        return lambda: self.answer(*self.held.pop())

    def counters(self, service):
        return service.status()["counters"]

    def drained(self, service):
        wait_until("nothing waits any more", lambda: self.counters(service)["stored"] == 0)
        counters = self.counters(service)
        self.assertEqual(counters["accepted"], counters["acknowledged"] + counters["refused"] + counters["dropped"], counters)
        return counters

    def check_shape(self):
        for heard in self.heard:
            self.assertEqual(heard.message["method"], heard.topic.replace("/", "."))
            self.assertLessEqual(heard.count, 1000)
            self.assertTrue(heard.count == 1 or heard.size < BATCH_BYTES + 512, heard.size)
            self.assertEqual(heard.topic.endswith("/batch"), heard.count > 1, heard.topic)

    def test_joins_what_piled_up_in_batches(self):
        service = self.gateway()
        go_on = self.hold_one(service)
        ids = self.hand_over(service, 2500)
        self.assertEqual(ids, list(range(ids[0], ids[0] + 2500)))
        self.assertEqual(len(self.heard), 1)
        go_on()
        counters = self.drained(service)
        self.assertEqual((counters["accepted"], counters["acknowledged"]), (2501, 2501))
        self.assertEqual([heard.count for heard in self.heard], [1, 1000, 1000, 500])
        # The id of a request is the number that was told for the last one in it.
        self.assertEqual([heard.ident for heard in self.heard[1:]], [ids[999], ids[1999], ids[2499]])
        self.assertEqual(sum((heard.numbers() for heard in self.heard[1:]), []), list(range(2500)))
        self.check_shape()

    def test_keeps_batches_below_the_hub_s_limit(self):
        service = self.gateway()
        go_on = self.hold_one(service)
        self.hand_over(service, 100, text="x" * 20000)
        self.hand_over(service, 2, first=100, text="x" * 400000)
        self.hand_over(service, 3, first=102)
        go_on()
        self.drained(service)
        self.assertEqual(sum((heard.numbers() for heard in self.heard[1:]), []), list(range(105)))
        self.assertEqual([heard.count for heard in self.heard[-3:]], [1, 1, 3])
        self.assertLess(max(heard.size for heard in self.heard), 512 * 1024)
        self.check_shape()

    def test_one_bad_message_takes_no_others_along(self):
        bad = {137, 138, 700}
        service = self.gateway()
        go_on = self.hold_one(service)
        self.code = lambda heard: 1206 if bad & set(heard.numbers()) else 200
        ids = self.hand_over(service, 1000)
        go_on()
        counters = self.drained(service)
        self.assertEqual((counters["acknowledged"], counters["refused"]), (998, 3), counters)
        taken = sum((heard.numbers() for heard in self.heard[1:] if not bad & set(heard.numbers())), [])
        self.assertEqual(taken, [number for number in range(1000) if number not in bad])
        # Each was refused alone in the end, as message of its own.
        alone = [heard for heard in self.heard if heard.count == 1 and bad & set(heard.numbers())]
        self.assertEqual([(heard.topic, heard.ident) for heard in alone], [(POST, ids[number]) for number in sorted(bad)])
        self.assertLess(len(self.heard), 100)
        listed = service.call({"op": "spool", "do": "list", "lane": "refused", "after": 0, "limit": 100})
        self.assertTrue(listed["ok"], listed)
        text = json.dumps(listed)
        for number in bad:
            self.assertIn(str(ids[number]), text)
        self.assertIn("1206", text)
        self.check_shape()

    def test_tells_whoever_waits_what_became_of_his(self):
        service = self.gateway()
        go_on = self.hold_one(service)
        self.code = lambda heard: 1204 if 2 in heard.numbers() else 200
        links = []
        for number in range(4):
            links.append(service.open())
            links[-1].sendall(json.dumps({"op": "publish", "topic": POST, "params": {"n": number}, "wait": True}).encode() + b"\n")
            wait_until("it is stored", lambda wanted=number + 2: self.counters(service)["accepted"] == wanted)
        go_on()
        answers = []
        for link in links:
            with link, link.makefile() as lines:
                answers.append(json.loads(lines.readline()))
        self.assertEqual([answer.get("code") for answer in answers], [200, 200, 1204, 200])
        self.assertIn("code 1204, no 1204", answers[2]["error"])
        # Who is in a hurry is told where it is.
        self.code = lambda heard: None
        answer = service.publish({"late": 1}, wait=True, timeout=1)
        self.assertEqual((answer["status"], answer["exit"]), ("GK_UNREACHABLE", 5), answer)
        self.assertIn(f"it is in the spool as message {self.held[-1][2].ident} and will be sent", answer["error"])

    def test_keeps_the_order_of_a_topic_when_the_hub_is_not_able(self):
        service = self.gateway()
        refusals = [500, 429, 1003]
        self.code = lambda heard: refusals.pop(0) if refusals and heard.topic == "thing/event/a/post" else 200
        a = self.hand_over(service, 5, "thing/event/a/post")
        b = self.hand_over(service, 5, "thing/event/b/post")
        counters = self.drained(service)
        self.assertEqual(counters["acknowledged"], 10)
        for topic, ids in ("a", a), ("b", b):
            heard = [heard.ident for heard in self.heard if heard.topic == f"thing/event/{topic}/post"]
            self.assertEqual(heard, [ids[0]] * (len(heard) - 4) + ids[1:])
        self.assertEqual(len(self.heard), 13)

    def test_sets_aside_what_the_hub_does_not_know(self):
        """At once by a code that will not change, after some tries by one that may."""
        service = self.gateway()
        self.code = lambda heard: {"thing/tag/never": 1009, "thing/tag/wrong": 1260}.get(heard.topic, 200)
        never, wrong = self.hand_over(service, 1, "thing/tag/never"), self.hand_over(service, 1, "thing/tag/wrong")
        for number in range(600):
            self.assertTrue(service.publish({"n": number}, wait=True)["ok"])
            if self.counters(service)["refused"] == 2:
                break
            time.sleep(0.2)
        self.assertTrue(service.publish({}, "thing/event/after/post", wait=True)["ok"])
        self.assertEqual(self.drained(service)["refused"], 2)
        self.assertEqual([heard.ident for heard in self.heard if heard.topic == "thing/tag/never"], never * 3)
        self.assertEqual([heard.ident for heard in self.heard if heard.topic == "thing/tag/wrong"], wrong)
        self.assertIn("is set aside: ", "\n".join(service.lines()))

    def test_forgets_nothing_without_an_answer(self):
        """Killed between sending and the answer, twice; then a hub that is silent until there is another connection."""
        service = self.gateway()
        self.code = lambda heard: None
        ids = self.hand_over(service, 10)
        for _ in range(2):
            wait_until("the hub has it", lambda: self.held)
            self.held.clear()
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
            service.another_day()
            service.start().connected()
        self.assertEqual(self.counters(service)["stored"], 10)
        wait_until("the hub has it again", lambda: self.held)
        begun = {heard.first() for heard in self.heard if heard.numbers()[0] == 0}
        self.assertEqual(begun, {ids[0]})
        # Half a minute later it comes once more on this connection, and then on another.
        came = len(self.heard)
        wait_until("it is sent again", lambda: len(self.heard) > came)
        self.assertEqual(service.status()["connects"], 1)
        self.code = lambda heard: 200
        service.another_day()
        wait_until("there is another connection", lambda: service.status()["connects"] == 2)
        self.assertIn("the hub does not answer any more; connecting anew", "\n".join(service.lines()))
        self.assertEqual(self.drained(service)["acknowledged"], 10)
        for heard in self.heard:
            self.assertEqual([heard.first() + place for place in range(heard.count)], [ids[number] for number in heard.numbers()])

    def kill(self, service):
        service.process.kill()
        service.process.wait()
        service.another_day()
        service.start().connected()

    def held_again(self, numbers):
        """The next batch that waits for its answer, which is of these."""
        wait_until("the hub has the next batch", lambda: self.held and self.held[-1][2].count > 1)
        self.assertEqual(self.held[-1][2].numbers(), numbers)
        return self.held.pop()

    def test_takes_a_late_answer_for_what_it_answers(self):
        """It is killed with a batch on its way, and has more when the answer to that one comes. Then the hub loses the more."""
        service = self.gateway()
        go_on = self.hold_one(service)
        self.hand_over(service, 2)
        self.code = lambda heard: None
        go_on()
        early = self.held_again([0, 1])
        self.hand_over(service, 2, first=2)
        self.kill(service)
        peer, topic, _ = self.held_again([0, 1, 2, 3])
        self.answer(peer, topic, early[2])
        self.code = lambda heard: 200
        came = len(self.heard)
        service.another_day()
        self.door.cut()
        self.hand_over(service, 1, first=4)
        wait_until("what came last is there", lambda: any(4 in heard.numbers() for heard in self.heard[came:]))
        self.assertEqual(sum((heard.numbers() for heard in self.heard[came:]), []), [0, 1, 2, 3, 4])
        self.assertEqual(self.drained(service)["acknowledged"], 6)

    def test_counts_nothing_that_was_refused_as_taken_by_a_late_answer(self):
        """It is killed when one of a batch is refused, and the rest on its way; the answer to that comes later."""
        service = self.gateway()
        go_on = self.hold_one(service)
        self.hand_over(service, 4)
        self.code = lambda heard: 1206 if 0 in heard.numbers() else 200 if heard.count == 1 else None
        go_on()
        early = self.held_again([2, 3])
        self.code = lambda heard: None
        self.kill(service)
        wait_until("the hub has what is left", lambda: self.held and self.held[-1][2].ident == early[2].ident)
        peer, topic, _ = self.held.pop()
        self.answer(peer, topic, early[2])
        self.code = lambda heard: 1206 if 0 in heard.numbers() else 200
        counters = self.drained(service)
        self.assertEqual((counters["acknowledged"], counters["refused"]), (4, 1), counters)

    def test_goes_on_one_by_one_where_nothing_can_be_written(self):
        """What was refused would come back: a batch that is known by its end may begin before or behind it."""
        service = self.service(port=self.door.port)
        disk = os.path.join(service.folder, "disk")
        os.mkdir(disk)
        service.enrol().start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), SLOW_DISK=disk).connected()
        go_on = self.hold_one(service)
        self.hand_over(service, 8)
        with open(os.path.join(disk, "fail"), "wb"):
            pass
        self.code = lambda heard: 1206 if 0 in heard.numbers() else 200
        go_on()
        wait_until("it is refused alone", lambda: [0] in [heard.numbers() for heard in self.heard])
        wait_until("the others were sent", lambda: 7 in self.heard[-1].numbers())
        sent = [heard.numbers() for heard in self.heard]
        self.assertEqual(sent[sent.index([0]):], [[number] for number in range(8)])
        os.unlink(os.path.join(disk, "fail"))
        counters = self.drained(service)
        self.assertEqual((counters["acknowledged"], counters["refused"]), (8, 1), counters)

    def test_sends_no_batch_before_it_is_written_what_was_dropped_in_front_of_it(self):
        """Its oldest make room for new ones while the hub's answer comes, and the disk takes its time."""
        service = self.service(port=self.door.port)
        service.settings["spool"] = {"max_size": "1M"}
        service.configure()
        disk = os.path.join(service.folder, "disk")
        os.mkdir(disk)
        service.enrol().start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), SLOW_DISK=disk).connected()
        go_on = self.hold_one(service)
        self.code = lambda heard: None
        self.hand_over(service, 8, "thing/event/a/post", first=100, text="x" * 100000)
        wait_until("the hub has the first", lambda: len(self.heard) == 2)
        self.held.pop()
        self.hand_over(service, 12, text="x" * 20000)
        os.mkfifo(os.path.join(disk, "hold"))
        with service.open() as link:
            link.sendall(b'{"op":"status"}\n')
            link.recv(1)
            service.process.send_signal(signal.SIGSTOP)
            link.sendall(json.dumps({"op": "publish", "topic": POST, "params": {"n": 12, "text": "x" * 10000}}).encode() + b"\n")
            go_on()
            time.sleep(0.2)  # both are there when it looks, as a rule
            service.process.send_signal(signal.SIGCONT)
            time.sleep(0.5)  # it sends what it sends, and then waits for the disk
            early = [heard.numbers() for heard in self.heard[2:]]
            self.code = lambda heard: 200
            os.rename(os.path.join(disk, "hold"), os.path.join(disk, "held"))
            os.close(os.open(os.path.join(disk, "held"), os.O_WRONLY))
        # A batch may have gone with what was dropped only then.
        self.assertIn(early, ([], [list(range(12))]))
        while self.held:
            self.answer(*self.held.pop())
        wait_until("the hub has the new one", lambda: any(12 in heard.numbers() for heard in self.heard))

    def offer(self, service, count, body):
        """Hand over whether it is taken or not; how often it was."""
        taken = 0
        with service.open() as link, link.makefile() as answers:
            for begin in range(0, count, 50):
                link.sendall(b"".join(json.dumps({"op": "publish", "topic": POST, "params": {"n": number, "body": body}}).encode() + b"\n"
                                      for number in range(begin, min(begin + 50, count))))
                taken += sum(json.loads(answers.readline())["ok"] for _ in range(begin, min(begin + 50, count)))
        return taken

    def test_sends_what_was_to_make_room_in_vain(self):
        """The hub answers while the oldest are dropped for new ones that the disk then does not take."""
        service = self.service(port=self.door.port)
        service.settings["spool"] = {"max_size": "1M"}
        service.configure()
        disk = os.path.join(service.folder, "disk")
        os.mkdir(disk)
        service.enrol().start(LD_PRELOAD=os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), SLOW_DISK=disk).connected()
        go_on = self.hold_one(service)
        self.offer(service, 300, "x" * 4000)
        with open(os.path.join(disk, "fail"), "wb"):
            pass
        self.code = lambda heard: None
        with ThreadPoolExecutor() as pool:
            offered = [pool.submit(self.offer, service, 2000, "y" * 4000) for _ in range(2)]
            time.sleep(0.3)  # in the midst of it, as a rule
            go_on()
            wait_until("the hub has the next", lambda: self.held)
            self.code = lambda heard: 200
            self.answer(*self.held.pop())
            self.assertEqual([task.result() for task in offered], [0, 0])
        os.unlink(os.path.join(disk, "fail"))
        self.assertEqual(self.offer(service, 1, "z"), 1)
        self.drained(service)

    def age(self, service, ids):
        """As if they had been accepted two hours earlier; the service is stopped."""
        with contextlib.closing(sqlite3.connect(os.path.join(service.state, "spool.db"))) as database, database:
            changed = sum(database.execute(f"UPDATE {table} SET accepted = accepted - 7200000 WHERE id = ?", (ident,)).rowcount
                          for table in ("points", "telemetry") for ident in ids)
        self.assertEqual(changed, len(ids))

    def test_sends_what_is_old_as_history(self):
        service = self.gateway(resume_after="1h")
        self.hold_one(service)
        self.code = lambda heard: None
        old = self.hand_over(service, 3)
        own = [{"measurepoints": {"x": 1}, "time": 5}, {"measurepoints": {"x": 2}}]
        for _ in range(2):  # the second waits for the first
            answer = service.call({"op": "publish", "topic": POST + "/batch", "params": own})
            self.assertTrue(answer["ok"])
        self.hand_over(service, 3, first=3)
        wait_until("the hub has the first of each", lambda: len(self.held) == 2)
        self.assertEqual(service.stop(), 0)
        self.age(service, [*old, int(answer["id"])])
        self.heard.clear()
        self.code = lambda heard: 200
        service.another_day()
        service.start()
        self.drained(service)
        self.assertEqual([heard.topic for heard in self.heard if not heard.numbers()], [POST + "/batch", RESUME + "/batch"])
        sent = [(heard.topic, heard.numbers()) for heard in self.heard if heard.numbers()]
        self.assertEqual(sent, [(POST, [-1]), (RESUME + "/batch", [0, 1, 2]), (POST + "/batch", [3, 4, 5])])
        self.check_shape()

    def test_gives_a_time_to_what_has_none_and_no_other_number_than_was_written(self):
        service = self.gateway()
        before = int(time.time() * 1000)
        with service.open() as link, link.makefile() as answers:
            for topic, params in ((POST, '{"measurepoints":{"x":0.1,"y":1e2,"z":3.30}}'), (POST, '{"time":7,"n":1.10}'),
                                  ("thing/event/e/post", '{ "events" : {} }'), (POST + "/batch", '[ {"n":1} , {"time":2} ]')):
                link.sendall(f'{{"op":"publish","topic":"{topic}","params":{params},"wait":true}}\n'.encode())
                self.assertTrue(json.loads(answers.readline())["ok"])
        first, second, event, batch = [heard.message["params"] for heard in self.heard]
        for params in first, event, batch[0]:
            self.assertTrue(before <= params["time"] <= time.time() * 1000 + 1, params)
        self.assertEqual((second, batch[1]), ({"time": 7, "n": 1.10}, {"time": 2}))

    def test_writes_numbers_as_they_were(self):
        service = self.gateway()
        texts = []
        self.door.on_publish = lambda peer, topic, payload: (texts.append(payload), self.on_publish(peer, topic, payload))
        line = b'{"op":"publish","topic":"thing/tag/x","params":{"a":0.1,"b":1.10,"c":1e2},"wait":true}'
        self.assertTrue(service.call(line)["ok"])
        self.assertIn(b'"params":{"a":0.1,"b":1.10,"c":1e2}', texts[0])

    def test_writes_numbers_as_they_were_on_the_command_line(self):
        service = self.gateway()
        texts = []
        self.door.on_publish = lambda peer, topic, payload: (texts.append(payload), self.on_publish(peer, topic, payload))

        def publish(*words, text=None):
            subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "publish", "--wait", *words],
                           input=text, env=service.environment(), check=True, capture_output=True, timeout=PATIENCE)
            return texts.pop()

        self.assertIn(b'"measurepoints":{"a":0.1,"b":1.10,"c":1e2,"d":-0.3,"e":{"x":2.50},"f":"1.10 m","\xc3\xa4\\"":true},',
                      publish("a=0.2", "b=1.10", "c=1e2", "d=-0.3", 'e={ "x" : 2.50 }', "f=1.10 m", 'ä"=true', "a=0.1"))
        # In a file it may stand on several lines; in texts nothing is touched.
        self.assertIn(b'"params":{"a":0.10,"b":" \\" ,\\\\","c":[1.0,2]}',
                      publish("--topic", "thing/tag/x", "--params", "-",
                              text=b'{\n "a" : 0.10,\r\n\t"b": " \\" ,\\\\",\n "c": [1.0, 2] }\n'))

    def test_sends_raw_data_as_it_is(self):
        service = self.gateway()
        texts = []
        self.door.on_publish = lambda peer, topic, payload: texts.append((topic, payload))
        for number in range(20):
            self.assertTrue(service.call({"op": "publish", "topic": "thing/model/up_raw", "params": [number]})["ok"])
        self.assertEqual(self.drained(service)["acknowledged"], 20)
        self.assertEqual(texts, [(f"/sys/{self.hub.product}/{service.name}/thing/model/up_raw", f"[{number}]".encode()) for number in range(20)])


class Whole(GatekeydTest):
    """The same at a hub that judges by itself."""

    def test_a_bad_entry_does_not_spoil_its_batch(self):
        service = self.service().enrol().start().connected()
        lines = [{"measurepoints": {"n": number}} for number in range(400)]
        lines[123] = {"measurepoints": {}}
        lines[300] = {"measurepoints": {"n": {"value": 1, "quality": 77}}}
        with service.open() as link, link.makefile() as answers:
            for begin in range(0, 400, 50):
                link.sendall(b"".join(json.dumps({"op": "publish", "topic": POST, "params": params}).encode() + b"\n"
                                      for params in lines[begin:begin + 50]))
                for _ in range(50):
                    self.assertTrue(json.loads(answers.readline())["ok"])
        wait_until("nothing waits any more", lambda: service.status()["counters"]["stored"] == 0)
        counters = service.status()["counters"]
        self.assertEqual((counters["acknowledged"], counters["refused"]), (398, 2), counters)
        arrived = [int(row["value"]) for row in self.telemetry(service)]
        self.assertEqual(arrived, [number for number in range(400) if number not in (123, 300)])
        # What spoiled it can be sent again once the hub takes it, or be dropped.
        self.hub.fault("post-code=200", "--times", "2")
        self.assertTrue(service.call({"op": "spool", "do": "retry", "all": True})["ok"])
        wait_until("they were sent", lambda: service.status()["counters"]["acknowledged"] == 400)


if __name__ == "__main__":
    unittest.main()
