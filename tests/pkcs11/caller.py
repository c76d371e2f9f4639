#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Call a PKCS #11 module step by step: caller.py MODULE STEP...

    initialize     C_Initialize, with locking by the operating system
    list           slots, token, mechanisms and every object with its label and its value, as a browser does
    open           one more session, and the private key looked up
    sign           SHA256-RSA-PKCS in the last session; each returns CKR_OK
    refused        the same, but it returns CKR_DEVICE_ERROR
    close          C_CloseAllSessions
    finalize       C_Finalize
    idle           no descriptor is open that was not when the program began

The first thing that is not as it should be ends it with a traceback. It prints nothing itself, so whatever comes out
is the module's.
"""
import ctypes
import os
import sys

CKR_OK, CKR_DEVICE_ERROR = 0, 0x30
CKF_OS_LOCKING_OK, CKF_SERIAL_SESSION = 2, 4
CKO_PRIVATE_KEY = 3
CKA_CLASS, CKA_LABEL, CKA_VALUE = 0, 3, 0x11
CKM_SHA256_RSA_PKCS = 0x40
UNAVAILABLE = ctypes.c_ulong(-1).value

# CK_FUNCTION_LIST begins with these, after its version.
NAMES = """Initialize Finalize GetInfo GetFunctionList GetSlotList GetSlotInfo GetTokenInfo GetMechanismList
GetMechanismInfo InitToken InitPIN SetPIN OpenSession CloseSession CloseAllSessions GetSessionInfo
GetOperationState SetOperationState Login Logout CreateObject CopyObject DestroyObject GetObjectSize
GetAttributeValue SetAttributeValue FindObjectsInit FindObjects FindObjectsFinal EncryptInit Encrypt
EncryptUpdate EncryptFinal DecryptInit Decrypt DecryptUpdate DecryptFinal DigestInit Digest
DigestUpdate DigestKey DigestFinal SignInit Sign""".split()

ulong, byref = ctypes.c_ulong, ctypes.byref


class Locking(ctypes.Structure):
    _fields_ = [("callbacks", ctypes.c_void_p * 4), ("flags", ulong), ("reserved", ctypes.c_void_p)]


class Attribute(ctypes.Structure):
    _fields_ = [("type", ulong), ("value", ctypes.c_void_p), ("size", ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ulong), ("parameter", ctypes.c_void_p), ("size", ulong)]


class FunctionList(ctypes.Structure):
    _fields_ = [("version", ctypes.c_ubyte * 2)] + [(name, ctypes.c_void_p) for name in NAMES]


def descriptors():
    """What is open, but for the descriptor that this takes."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink("/proc/self/fd/" + name)))
        except FileNotFoundError:
            pass
    return found


class Module:
    def __init__(self, path):
        self.before = descriptors()
        functions = ctypes.POINTER(FunctionList)()
        assert ctypes.CDLL(path).C_GetFunctionList(byref(functions)) == CKR_OK
        self.functions = functions.contents
        self.session = self.key = ulong(0)

    def call(self, name, *arguments, wanted=CKR_OK):
        function = ctypes.CFUNCTYPE(ulong)(getattr(self.functions, name))
        result = function(*arguments)
        assert result == wanted, f"C_{name}: {result:#x}"

    def initialize(self):
        self.call("Initialize", byref(Locking(flags=CKF_OS_LOCKING_OK)))

    def finalize(self):
        self.call("Finalize", None)

    def close(self):
        self.call("CloseAllSessions", ulong(0))

    def idle(self):
        left = descriptors() - self.before
        assert not left, f"left open: {left}"

    def open(self):
        self.session = ulong(0)
        self.call("OpenSession", ulong(0), ulong(CKF_SERIAL_SESSION), None, None, byref(self.session))
        kind = ulong(CKO_PRIVATE_KEY)
        template = Attribute(CKA_CLASS, ctypes.addressof(kind), ctypes.sizeof(kind))
        (self.key,) = self.find(byref(template), 1)

    def find(self, template, count):
        handles, found = (ulong * 64)(), ulong(0)
        self.call("FindObjectsInit", self.session, template, ulong(count))
        self.call("FindObjects", self.session, handles, ulong(64), byref(found))
        self.call("FindObjectsFinal", self.session)
        return [ulong(handle) for handle in handles[: found.value]]

    def list(self):
        count, buffer = ulong(0), ctypes.create_string_buffer(512)
        self.call("GetInfo", buffer)
        self.call("GetSlotList", ctypes.c_ubyte(1), None, byref(count))
        assert count.value == 1
        self.call("GetSlotInfo", ulong(0), buffer)
        self.call("GetTokenInfo", ulong(0), buffer)
        assert buffer.raw[:32].decode() == "gatekey".ljust(32)
        self.call("GetMechanismList", ulong(0), None, byref(count))
        mechanisms = (ulong * count.value)()
        self.call("GetMechanismList", ulong(0), mechanisms, byref(count))
        for mechanism in mechanisms:
            self.call("GetMechanismInfo", ulong(0), ulong(mechanism), buffer)
        self.open()
        labels = set()
        for handle in self.find(None, 0):
            labels.add(self.look_at(handle))
        assert b"device" in labels

    def look_at(self, handle):
        label, value = ctypes.create_string_buffer(64), ctypes.create_string_buffer(4096)
        template = Attribute(CKA_LABEL, ctypes.addressof(label), 64)
        name = ctypes.CFUNCTYPE(ulong)(self.functions.GetAttributeValue)
        name(self.session, handle, byref(template), ulong(1))
        wanted = Attribute(CKA_VALUE, ctypes.addressof(value), 4096)
        name(self.session, handle, byref(wanted), ulong(1))  # not everything has one
        return label.raw[: template.size] if template.size != UNAVAILABLE else b""

    def sign(self, wanted=CKR_OK):
        signature, size = ctypes.create_string_buffer(256), ulong(256)
        self.call("SignInit", self.session, byref(Mechanism(CKM_SHA256_RSA_PKCS)), self.key)
        self.call("Sign", self.session, b"message", ulong(7), None, byref(size))  # how long it will be
        self.call("Sign", self.session, b"message", ulong(7), signature, byref(size), wanted=wanted)

    def refused(self):
        self.sign(wanted=CKR_DEVICE_ERROR)


module = Module(sys.argv[1])
for step in sys.argv[2:]:
    getattr(module, step)()
