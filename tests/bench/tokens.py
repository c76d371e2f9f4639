# SPDX-License-Identifier: Apache-2.0
"""The chapters of make bench on the PKCS #11 module, beside other modules where peers.sh has set them up."""

import os
import shutil
import subprocess

from report import (ADDED, COLUMNS, added_ms, compare_workers, goal, heading, notes, rows, say, started, time_goal)
from subjects import BUILD, HANDLE, PLAIN, TOKENS, URL, count_of_worker

OURS = os.path.join(BUILD, ".libs/gatekey-pkcs11.so")
PEERS = {name: os.environ[variable] for name, variable in (("tpm2-pkcs11", "BENCH_TPM2_PKCS11"),
                                                           ("SoftHSM", "BENCH_SOFTHSM")) if variable in os.environ}
MODULES = {"gatekey": OURS, **PEERS}
PIN = os.environ.get("BENCH_PIN", "")
START_MS = 1.0  # that a program may take longer to start
notes.extend(f"{name}: not installed, or it could not be set up" for name in ("tpm2-pkcs11", "SoftHSM")
             if name not in PEERS)


def user(subject, name, padding="pss", threads=1):
    return TOKENS, subject, MODULES[name], PIN, padding, threads


def starter(subject, name):
    return TOKENS, subject, MODULES[name]


def of_peer(name, function, *arguments):
    """What a peer cannot do is left out, with a word."""
    try:
        return function(*arguments)
    except (RuntimeError, OSError) as reason:
        if name == "gatekey":
            raise
        notes.append(f"{name}: {reason}")
        clear_tpm()
        return None


def clear_tpm():
    """What a process that ended in the middle left there, no resource manager being between."""
    for kind in ("--transient-object", "--loaded-session", "--saved-session"):
        subprocess.run(["tpm2_flushcontext", kind], capture_output=True, check=False)


def met(value, limit):
    return "met" if value <= limit else "not met"


def bare(padding="pss"):
    return PLAIN, "bare", HANDLE, padding


def beside_bare(subject, name, padding, threads):
    this = user(subject, name, padding, threads)
    what = f"{name}, {padding}" + (f", {threads} threads" if threads > 1 else "")
    return compare_workers(subject, what, "bare", this, bare(padding), at_least=threads,
                           commands=count_of_worker(*this, before=threads)[1])


def signatures():
    heading("C_SignInit and C_Sign, SHA-256, a session for each thread, beside a bare TPM2_Sign",
            COLUMNS.format("    bare"))
    for name in MODULES:
        for padding, threads in (("pss", 1), ("pss", 8), ("pss", 16), ("pkcs1", 1)):
            pairs = of_peer(name, beside_bare, "pkcs11-sign", name, padding, threads)
            if name == "gatekey" and threads == 1:
                time_goal(f"PKCS #11, {padding}: time per signature beside bare TPM2_Sign", pairs, 1.03)
    heading("C_OpenSession, find the key, sign with it, C_CloseSession, beside a bare TPM2_Sign",
            COLUMNS.format("    bare"))
    for name in MODULES:
        for threads in (1, 8, 16):
            of_peer(name, beside_bare, "pkcs11-use", name, "pss", threads)


def command_row(name):
    counts = [count_of_worker(*starter("pkcs11-start", name))[1], count_of_worker(*starter("pkcs11-list", name))[1],
              *count_of_worker(*user("pkcs11-sign", name), before=1)]
    rows.append({"chapter": "pkcs11-commands", "what": name, "start": counts[0], "listing": counts[1],
                 "process_that_signs_once": counts[2], "each_signature_after_that": counts[3]})
    say(f"  {name:42}{counts[0]:12g}{counts[1]:10g}{counts[2]:16g}{counts[3]:13g}")
    return counts


def commands():
    heading("TPM commands", "C_Initialize   listing   to sign once   each further")
    for name in MODULES:
        counts = of_peer(name, command_row, name)
        if name == "gatekey":
            for what, count, limit in (("C_Initialize", counts[0], 0), ("C_Initialize and listing", counts[1], 0),
                                       ("a process that signs once", counts[2], 1), ("each C_Sign", counts[3], 1)):
                goal(f"PKCS #11: TPM commands of {what}", count, limit, "", met(count, limit))


STEPS = (("C_Initialize, C_Finalize", "pkcs11-start", starter),
         ("C_Initialize, list all, C_Finalize", "pkcs11-list", starter),
         ("find the key in an open session", "pkcs11-find", user))


def starts():
    for name in PEERS:
        heading(f"gatekey's module, beside {name}", COLUMNS.format("    peer"))
        for what, subject, arguments in STEPS:
            of_peer(name, compare_workers, subject, what, name, arguments(subject, "gatekey"),
                    arguments(subject, name))
    if not PEERS:
        heading("gatekey's module, beside a bare TPM2_Sign", COLUMNS.format("    bare"))
        for what, subject, arguments in STEPS:
            compare_workers(subject, what, "bare", arguments(subject, "gatekey"), bare())


WITHOUT_MODULES = (
    ("gnutls-cli --version", "gnutls-cli", "--version"),
    ("wget, a request with a software key", "wget", "--no-config", "--no-hsts", "-q", "-O", "/dev/null",
     "--ca-certificate=hub-ca.pem", "--certificate=soft-cert.pem", "--private-key=soft.key", URL),
)
WITH_ALL_MODULES = (  # they load what is registered, start it and ask for its tokens
    ("p11-kit list-modules", "p11-kit", "list-modules"),
    ("p11tool --list-tokens", "p11tool", "--list-tokens"),
)


def finding(name):
    """As p11-kit finds that module, or nothing, beside the roots of the system."""
    return {**TOKENS, "XDG_CONFIG_HOME": os.path.abspath(f"registered/{name}")}


def registered():
    """Which modules are registered is said in a folder of the user's (pkcs11.conf(5)); p11-kit denies root that."""
    if os.getuid() == 0:
        notes.append("registered with p11-kit: not measured as root, whose own configuration p11-kit does not read")
        return
    for name in MODULES:
        heading(f"A program that does not use the key, the module of {name} registered with p11-kit", ADDED)
        for what, *command in (*WITHOUT_MODULES, *WITH_ALL_MODULES) if name == "gatekey" else WITH_ALL_MODULES:
            if not shutil.which(command[0]):
                continue
            pairs = started("pkcs11-registered", what, *command, this=finding(name), other=finding("nothing"),
                            module=name)
            if name == "gatekey" and command[0] != "wget":  # whose time the network's timers say
                time_goal(f"registered with p11-kit, added to: {what}", pairs, START_MS, added_ms, "ms")


CHAPTERS = {"pkcs11-commands": commands, "pkcs11-signatures": signatures, "pkcs11-starts": starts,
            "pkcs11-registered": registered}
