#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatekey status --watch: on a terminal, without one, and what it leaves behind."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import unittest

from service import BUILD, GatekeydTest, PATIENCE, wait_until

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"


class Screen:
    """gatekey status --watch on a terminal of its own, and what that terminal shows."""

    def __init__(self, service, *words, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = b""
        self.process = subprocess.Popen([os.path.join(BUILD, "gatekey"), "--config", service.config, "status", "--watch", *words],
                                        stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.1)
        if ready:
            self.text += os.read(self.master, 65536)

    def shows(self, what):
        """Wait until the last whole drawing has it."""
        def look():
            self.read()
            frames = [frame for frame in self.text.split(b"\x1b[H")[1:] if frame.endswith(b"\x1b[J")]
            return bool(frames) and re.search(what, frames[-1])
        wait_until(f"the screen shows {what}", look)

    def frame(self):
        return [frame for frame in self.text.split(b"\x1b[H")[1:] if frame.endswith(b"\x1b[J")][-1]

    def ended(self):
        def look():
            self.read()
            return self.process.poll() is not None
        wait_until("it ends", look)
        self.read()
        after = termios.tcgetattr(self.slave)
        return self.process.returncode, self.text.rstrip().endswith(LEAVE), after == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.master)
        os.close(self.slave)


class Watch(GatekeydTest):
    def setUp(self):
        super().setUp()
        self.screens = []

    def tearDown(self):
        for screen in self.screens:
            screen.close()
        super().tearDown()

    def screen(self, service, *words, **size):
        self.screens.append(Screen(service, *words, **size))
        return self.screens[-1]

    def test_ends_by_control_c_and_leaves_the_terminal_as_it_was(self):
        screen = self.screen(self.service().enrol().start().connected())
        screen.shows(rb"service +connected to localhost")
        self.assertTrue(screen.text.startswith(ENTER))
        self.assertNotEqual(termios.tcgetattr(screen.slave), screen.before)
        os.write(screen.master, b"\x03")
        self.assertEqual(screen.ended(), (0, True, True))

    def test_ends_by_q_or_by_a_signal(self):
        service = self.service().start()
        screen = self.screen(service)
        screen.shows(rb"not-enrolled")
        os.write(screen.master, b"xyz q")
        self.assertEqual(screen.ended(), (0, True, True))
        screen = self.screen(service)
        screen.shows(rb"not-enrolled")
        screen.process.terminate()
        self.assertEqual(screen.ended(), (-signal.SIGTERM, True, True))

    def test_gives_the_terminal_back_while_it_is_stopped(self):
        screen = self.screen(self.service().start())
        screen.shows(rb"not-enrolled")
        os.write(screen.master, b"\x1a")
        wait_until("it is stopped", lambda: (screen.read(), screen.text.endswith(LEAVE))[1])
        os.waitid(os.P_PID, screen.process.pid, os.WSTOPPED | os.WNOWAIT)
        self.assertEqual(termios.tcgetattr(screen.slave), screen.before)
        screen.process.send_signal(signal.SIGCONT)
        wait_until("it is back", lambda: (screen.read(), ENTER in screen.text.split(LEAVE)[-1])[1])
        screen.shows(rb"not-enrolled")
        os.write(screen.master, b"\x03")
        self.assertEqual(screen.ended(), (0, True, True))

    def test_sees_the_service_go_and_come_back(self):
        service = self.service().enrol().start().connected()
        screen = self.screen(service)
        screen.shows(rb"service +connected to localhost")
        service.stop()
        screen.shows(rb"service +not running")
        service.another_day()
        service.start()
        screen.shows(rb"service +connected to localhost")

    def test_fits_the_terminal_it_is_given(self):
        service = self.service().enrol().start().connected()
        screen = self.screen(service, "--interval", "3600")
        screen.shows(rb"service +connected to localhost")
        screen.resize(2, 10)
        screen.process.send_signal(signal.SIGWINCH)
        screen.shows(rb"^[^\r]{10}\x1b\[K\r+\n\x1b\[K\x1b\[J$")
        screen.resize(24, 80)
        screen.process.send_signal(signal.SIGWINCH)
        screen.shows(rb"service +connected to localhost")

    def test_says_a_line_each_time_where_there_is_no_terminal(self):
        service = self.service().enrol().start().connected()
        for words, what in ((), r"\S+Z connected"), (("--json",), r'\{.*"state":"connected"'):
            with subprocess.Popen([os.path.join(BUILD, "gatekey"), "--config", service.config, "status", "--watch", *words],
                                  stdout=subprocess.PIPE, text=True) as process:
                for _ in range(2):
                    self.assertRegex(process.stdout.readline(), what)
                process.terminate()
                self.assertNotIn("\x1b", process.stdout.read())
        service.stop()
        for words, what in ((), r"\S+Z not running"), (("--json",), r'\{"ok":false,"status":"GK_NO_SERVICE"\}'):
            with subprocess.Popen([os.path.join(BUILD, "gatekey"), "--config", service.config, "status", "--watch", *words],
                                  stdout=subprocess.PIPE, text=True) as process:
                self.assertRegex(process.stdout.readline(), what)
                process.terminate()

    def test_takes_an_interval_and_nothing_else(self):
        service = self.service()
        for words in ["--interval", "1"], ["--watch", "--interval", "0"], ["--watch", "--interval", "1s"], ["--watch", "--interval", "-1"], ["--watch", "more"]:
            done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "status", *words],
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 2, (words, done))

    def test_is_for_one_look_too(self):
        service = self.service_with_tpm_key("0x81000101").start().connected()
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "status"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertRegex(done.stdout, r"(?m)^service +connected to localhost .*for \d+ s")
        self.assertRegex(done.stdout, r"(?m)^signatures +1, the last in \d+ ms$")
        done = subprocess.run([os.path.join(BUILD, "gatekey"), "--config", service.config, "--json", "status"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(json.loads(done.stdout)["service"]["tpm"]["signatures"], 1)


if __name__ == "__main__":
    unittest.main()
