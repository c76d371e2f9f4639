#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the times of make bench, prints them as a table, and writes them to bench.json in the build tree.

Everything is a comparison within this run (paired.py). BENCH_ROUNDS says how often each is repeated, BENCH_ONLY
names the chapters to measure. Run by the script bench, which sets the scene: measure.py keys, or measure.py messages,
which adds to what the former wrote.
"""

import datetime
import json
import os
import platform
import signal
import subprocess
import sys

import durable
import paired
import tokens
from report import (ADDED, COLUMNS, ROUNDS, added_ms, compare_workers, goal, goals, heading, notes, print_goals, row,
                    rows, say, started, time_goal)
from subjects import BUILD, GATEKEY, HANDLE, PLAIN, TPM2, URL, Worker, count_commands, count_of_worker, run

ONLY = os.environ.get("BENCH_ONLY", "").split()
HAS_LOADABLE = os.path.exists("loadable.pem")
HAS_ROOTS = os.path.exists("roots.pem")


def signer(environment, key, padding="pss", threads=1, properties=""):
    return environment, "sign", key, padding, threads, properties


def of_tpm2(function, *arguments):
    """What tpm2-openssl can do differs with its version; what it cannot is left out, with a word."""
    try:
        return function(*arguments)
    except RuntimeError as reason:
        notes.append(f"tpm2-openssl: {reason}")
        return None


def has_tpm2():
    listed = subprocess.run(["openssl", "list", "-providers"], env=TPM2, capture_output=True, text=True, check=False)
    return "tpm2" in listed.stdout


def signatures():
    heading("One signature, SHA-256, beside a bare TPM2_Sign", COLUMNS.format("    bare"))
    for padding in ("pss", "pkcs1"):
        opened, each = count_of_worker(*signer(GATEKEY, "device.pem", padding))
        name = f"gatekey, {padding}"
        pairs = compare_workers("signature", name, "bare", signer(GATEKEY, "device.pem", padding),
                                (PLAIN, "bare", HANDLE, padding), commands=each)
        time_goal(f"{padding}: time per signature beside bare TPM2_Sign", pairs, 1.03)
        goal(f"{padding}: TPM commands per signature", each, 1, "", "met" if each <= 1 else "not met")
        if padding == "pss":
            goal("TPM commands to load device.pem", opened, 0, "", "met" if opened == 0 else "not met")
    for threads in (4, 16):
        this = signer(GATEKEY, "device.pem", "pss", threads)
        compare_workers("signature", f"gatekey, pss, {threads} threads on one key", "bare", this,
                        (PLAIN, "bare", HANDLE, "pss"), at_least=threads, commands=count_of_worker(*this)[1])
    if HAS_LOADABLE:
        this = signer(GATEKEY, "loadable.pem")
        compare_workers("signature", "gatekey, pss, loadable key (TSS2)", "bare", this,
                        (PLAIN, "bare", HANDLE, "pss"), commands=count_of_worker(*this)[1])
    if has_tpm2():
        of_tpm2(signatures_of_tpm2)
    compare_workers("signature", "software RSA, pss", "bare", signer(PLAIN, "soft.key"),
                    (PLAIN, "bare", HANDLE, "pss"))


def signatures_of_tpm2():
    for name, key in (("persistent key", f"handle:{HANDLE}"), ("loadable key (TSS2)", "loadable.pem")):
        this = signer(TPM2, key, "pss", 1, "?provider=tpm2")
        if key.startswith("handle:") or HAS_LOADABLE:
            compare_workers("signature", f"tpm2-openssl, pss, {name}", "bare", this, (PLAIN, "bare", HANDLE, "pss"),
                            commands=count_of_worker(*this)[1])


def loads():
    heading("Loading a key, beside a software key in PEM", COLUMNS.format("software"))
    keys = [(GATEKEY, "gatekey, device.pem", "device.pem"), (GATEKEY, "gatekey, gatekey:", "gatekey:"),
            (GATEKEY, f"gatekey, gatekey:handle={HANDLE}", f"gatekey:handle={HANDLE}"),
            (GATEKEY, "gatekey beside, a software key", "soft.key")]
    if HAS_LOADABLE:
        keys.append((GATEKEY, "gatekey, loadable key (TSS2)", "loadable.pem"))
    for environment, name, key in keys:
        load_row(environment, name, key)
    if has_tpm2():
        of_tpm2(load_row, TPM2, "tpm2-openssl, handle:", f"handle:{HANDLE}")


def load_row(environment, name, key):
    commands = count_of_worker(environment, "load", key)[1]
    compare_workers("load", name, "software key", (environment, "load", key), (PLAIN, "load", "soft.key"),
                    commands=commands)


def handshakes():
    heading("A full mutual TLS 1.3 handshake, beside a software key", COLUMNS.format("software"))
    servers = ("hub-ca.pem", "localhost.pem", "server.key", "device-ca.pem")
    this = (GATEKEY, "handshake", "cert.pem", "device.pem", *servers)
    compare_workers("handshake", "both sides in one process", "software key", this,
                    (PLAIN, "handshake", "soft-cert.pem", "soft.key", *servers), commands=count_of_worker(*this)[1])

    def curl(environment, certificate, key):
        return run(environment, "curl", "-sS", "--cacert", "hub-ca.pem", "--cert", certificate, "--key", key, URL)

    commands = count_commands(GATEKEY, lambda recorded: curl(recorded, "cert.pem", "device.pem"))
    pairs = paired.measure(lambda: curl(GATEKEY, "cert.pem", "device.pem"),
                           lambda: curl(PLAIN, "soft-cert.pem", "soft.key"), ROUNDS)
    row("handshake", "cold: curl, from start to end", "software key", pairs, commands=commands)
    goal("TPM commands of a cold handshake (curl)", commands, 1, "", "met" if commands <= 1 else "not met")


PROGRAMS = (
    ("openssl version -d", "openssl", "version", "-d"),
    ("openssl dgst -sha256", "openssl", "dgst", "-sha256", "plain.cnf"),
    ("curl --version", "curl", "--version"),
    ("openssl x509 -noout (reads all roots)", "openssl", "x509", "-noout", "-in", "soft-cert.pem"),
    ("python3, a TLS context (reads all roots)", "/usr/bin/python3", "-c", "import ssl; ssl.create_default_context()"),
)


def starts():
    heading("A program that does not use the key, with gatekey in openssl.cnf", ADDED)
    for name, *command in PROGRAMS:
        pairs = started("start", name, *command)
        time_goal(f"added to the start of: {name}", pairs, 1.0, added_ms, "ms")


def requests():
    heading("A TLS request by curl with a software key, with gatekey in openssl.cnf", ADDED)
    for name, roots in (("its own root only", "hub-ca.pem"), ("all roots of the system", "roots.pem")):
        if roots == "hub-ca.pem" or HAS_ROOTS:
            pairs = started("request", name, "curl", "-sS", "--cacert", roots, "--cert", "soft-cert.pem",
                            "--key", "soft.key", URL)
            time_goal(f"curl with a software key, {name}", pairs, 1.02)


def memory():
    heading("Memory of a process", "proportional     private")
    for name, subject in (("software key, without gatekey", signer(PLAIN, "soft.key")),
                          ("software key, gatekey beside", signer(GATEKEY, "soft.key")),
                          ("device key", signer(GATEKEY, "device.pem"))):
        with Worker(*subject) as worker:
            for when, sizes in (("loaded", worker.memory()), ("signed", worker.run(1) and worker.memory())):
                rows.append({"chapter": "memory", "what": f"{name}, {when}", "proportional": sizes[0],
                             "private": sizes[1]})
                say(f"  {name + ', ' + when:42}{sizes[0] / 1024:9.0f} KiB{sizes[1] / 1024:8.0f} KiB")


def version_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[0]
    except OSError:
        return None


def processor_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine():
    return {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "processor": processor_name(), "processors": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0], "openssl": version_of("openssl", "version"),
            "tss": version_of("pkg-config", "--modversion", "tss2-sys"), "swtpm": version_of("swtpm", "--version"),
            "curl": version_of("curl", "--version")}


PARTS = {"keys": {"signatures": signatures, "loads": loads, "handshakes": handshakes, "starts": starts,
                  "requests": requests, "memory": memory, **tokens.CHAPTERS},
         "messages": durable.CHAPTERS}


LONGEST = 3600  # seconds; then something hangs, and nobody waits for it


def main():
    signal.alarm(LONGEST)
    chapters = {name: chapter for name, chapter in PARTS[sys.argv[1]].items() if not ONLY or name in ONLY}
    if not chapters:
        return
    at_start = machine()
    say(f"{at_start['processor']}, {at_start['processors']} processors, load {at_start['load']:.1f}; "
        f"{at_start['openssl']}; {ROUNDS} rounds")
    for chapter in chapters.values():
        chapter()
    print_goals()
    path = os.path.join(BUILD, "bench.json")
    if os.path.exists(path):  # the other part's, of this run
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
        rows[:0], goals[:0], notes[:0] = before["rows"], before["goals"], before["notes"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": at_start, "load_at_end": os.getloadavg()[0], "rounds": ROUNDS, "rows": rows,
                   "goals": goals, "notes": notes}, file, indent=1)
    say(f"\nWritten to {path}")


if __name__ == "__main__":
    sys.exit(main())
