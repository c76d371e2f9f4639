# SPDX-License-Identifier: Apache-2.0
"""A disk under gatekeyd's spool that waits and fails as a test tells it to (slow-disk.c)."""

import os

from service import BUILD, wait_until


class SlowDisk:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "disk")
        os.mkdir(self.folder)
        # What gatekeyd is started with.
        self.environment = {"LD_PRELOAD": os.path.join(BUILD, "tests/agent/.libs/slow-disk.so"), "SLOW_DISK": self.folder}

    def syncs(self):
        """A letter for each: s, f for one that failed."""
        try:
            with open(os.path.join(self.folder, "syncs"), encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def hold(self):
        """Each sync waits from now on."""
        os.mkfifo(os.path.join(self.folder, "hold"))

    def wait_held(self, before):
        """Until it is asked once more than before."""
        wait_until("the disk is asked", lambda: len(self.syncs()) > before)

    def release(self):
        """Whoever waits goes on, and nobody waits any more."""
        fifo = os.path.join(self.folder, "hold")
        os.rename(fifo, fifo + ".over")
        with open(fifo + ".over", "wb"):
            pass
        os.unlink(fifo + ".over")

    def let_go(self):
        """The same where nobody waits who would ever go on."""
        os.unlink(os.path.join(self.folder, "hold"))

    def fail(self):
        with open(os.path.join(self.folder, "fail"), "wb"):
            pass

    def heal(self):
        os.unlink(os.path.join(self.folder, "fail"))
