# SPDX-License-Identifier: Apache-2.0
"""The local broker beside a gatekeyd, for tests: the configuration that gets installed, with paths of its own."""

import os
import socket
import subprocess

from service import wait_until

BROKER = os.environ.get("MOSQUITTO_BROKER", "/usr/sbin/mosquitto")


class LocalBroker:
    """Started and killed apart from its service, whose configuration it must get before that starts."""

    def __init__(self, service):
        self.folder = os.path.join(service.folder, "local")
        self.path = os.path.join(self.folder, "broker.sock")
        self.config = os.path.join(self.folder, "broker.conf")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        os.makedirs(self.folder)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"user root\nlistener 0 {self.path}\nallow_anonymous true\npersistence true\n"
                       f"persistence_location {self.folder}/\n")

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([BROKER, "-c", self.config], stdout=log, stderr=log)
        wait_until("the local broker listens", self.listens)
        return self

    def listens(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                raise AssertionError(f"the local broker ended with {self.process.returncode}: {log.read()}")
        with socket.socket(socket.AF_UNIX) as link:
            return link.connect_ex(self.path) == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None
