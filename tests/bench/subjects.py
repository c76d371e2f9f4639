# SPDX-License-Identifier: Apache-2.0
"""What is measured: workers that wait for their turn, and programs that are run whole."""

import os
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ["abs_top_srcdir"]
BUILD = os.environ["abs_top_builddir"]
TCTI = os.environ["GATEKEY_TCTI"]
TPM = int(os.environ["GATEKEY_SWTPM_PID"])
URL = os.environ["BENCH_URL"]
HANDLE = "0x81000100"
PATIENCE = 120  # seconds that no block and no program needs


def _environment(**changes):
    cleaned = {name: value for name, value in os.environ.items() if name not in ("OPENSSL_CONF", "OPENSSL_MODULES")}
    return {**cleaned, **changes}


# The same machine without gatekey, with it, and with the other provider for TPM keys.
PLAIN = _environment(OPENSSL_CONF=os.path.abspath("plain.cnf"))
GATEKEY = _environment(OPENSSL_CONF=os.path.abspath("gatekey.cnf"), OPENSSL_MODULES=os.path.join(BUILD, ".libs"))
TPM2 = _environment(OPENSSL_CONF=os.path.abspath("tpm2.cnf"), TPM2OPENSSL_TCTI=TCTI, TSS2_LOG="all+NONE")
# For programs on PKCS #11, where OpenSSL has never heard of gatekey.
TOKENS = _environment(OPENSSL_CONF=os.path.abspath("plain.cnf"), TPM2_PKCS11_TCTI=TCTI, TPM2_PKCS11_LOG_LEVEL="0",
                      TSS2_LOG="all+NONE")


def processor_time(pid):
    """Nanoseconds that all threads of a process have run, those that ended as well (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2)


class Worker:
    """A process with one subject open (worker.c)."""

    BLOCK_NS = 40e6  # about as long as a block takes: many clock ticks, and many blocks in a minute

    def __init__(self, environment, *arguments):
        self.name = " ".join(map(str, arguments))
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([os.path.join(BUILD, "tests/bench/worker"), *map(str, arguments)],
                                        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.fail()
        self.count = 1

    def run(self, count):
        """Nanoseconds that count runs took: by the clock, and on the processor, the TPM's own included."""
        begin = processor_time(self.process.pid) + processor_time(TPM)
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.fail()
        return int(answer), processor_time(self.process.pid) + processor_time(TPM) - begin

    def fail(self):
        """With its last word."""
        self.process.wait(PATIENCE)
        self.errors.seek(0)
        said = self.errors.read().splitlines()
        self.close()
        raise RuntimeError(f"{self.name}: {said[-1] if said else 'ended without a word'}")

    def settle(self, at_least=1):
        """Warm up, and find out how many runs make a block."""
        self.run(at_least)
        took, _ = self.run(max(4, at_least))
        self.count = max(at_least, round(max(4, at_least) * self.BLOCK_NS / took))
        return self

    def block(self):
        """Nanoseconds for one run, as the mean of a block."""
        clock, processor = self.run(self.count)
        return clock / self.count, processor / self.count

    def memory(self):
        """(proportional, private) memory in bytes (proc(5), smaps_rollup)."""
        sizes = {}
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                name, *rest = line.split()
                sizes[name] = int(rest[0]) * 1024 if rest and rest[0].isdigit() else 0
        return sizes["Pss:"], sizes["Private_Clean:"] + sizes["Private_Dirty:"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE)
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(environment, *command):
    """Run a program to its end: nanoseconds by the clock, and on the processor."""
    with open("program.log", "wb") as log, open(os.devnull, "rb") as nothing:
        begin = time.perf_counter_ns()
        pid = os.posix_spawnp(command[0], command, environment, file_actions=[
            (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
        ])
        _, status, usage = os.wait4(pid, 0)
        took = time.perf_counter_ns() - begin
    if status != 0:
        with open("program.log", encoding="utf-8", errors="replace") as log:
            sys.stderr.write(log.read())
        raise RuntimeError("failed: " + " ".join(command))
    return took, (usage.ru_utime + usage.ru_stime) * 1e9


def count_commands(environment, work):
    """How many TPM commands there are while work(environment) runs, by the TSS's own recorder."""
    capture = os.path.abspath("capture.pcap")
    if os.path.exists(capture):
        os.remove(capture)
    recorded = f"pcap:{TCTI}"
    work({**environment, "TCTI_PCAP_FILE": capture, "GATEKEY_TCTI": recorded, "TPM2OPENSSL_TCTI": recorded,
          "TPM2_PKCS11_TCTI": recorded})
    counter = os.path.join(SOURCE, "tests/tpm/count-commands.py")
    said = subprocess.run([sys.executable, counter, capture], check=True, capture_output=True, text=True).stdout
    return int(said.split()[0])


def count_of_worker(environment, *arguments, before=0):
    """TPM commands (of a process that opens it and does so many runs, for each run after that)."""
    def runs(count):
        def work(recorded):
            with Worker(recorded, *arguments) as worker:
                if count:
                    worker.run(count)
        return work

    opened = count_commands(environment, runs(before))
    return opened, (count_commands(environment, runs(before + 4)) - opened) / 4


def instructions(environment, *command):
    """Instructions that a program executes, by valgrind: the same on every run, however busy the machine."""
    said = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    for line in said.stderr.splitlines():
        if "Collected :" in line:
            return int(line.split()[-1])
    return None
