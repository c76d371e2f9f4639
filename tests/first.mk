# SPDX-License-Identifier: Apache-2.0
# The tests that take more than half a minute, the longest first: make begins them in this order, so that none
# is left running alone in the end. All else about them stands with their folder's other tests.
TESTS += \
    tests/agent/the-way-to-the-hub-may-be-crooked.py \
    tests/agent/what-is-handed-over-reaches-the-hub.py \
    tests/agent/reset-leaves-nothing \
    tests/agent/an-identitys-life-survives-being-killed \
    tests/agent/reset-survives-being-killed \
    tests/agent/a-bad-network-is-survived.py \
    tests/agent/a-bad-link-is-survived.py \
    tests/agent/the-hubs-commands-reach-applications.py \
    tests/agent/a-year-without-credentials \
    tests/agent/enroll-survives-being-killed \
    tests/agent/applications-speak-to-the-local-broker.py \
    tests/agent/a-cut-link-costs-no-signature.py \
    tests/agent/renew-survives-being-killed \
    tests/agent/gatekeyd-tells-how-it-fares.py \
    tests/agent/enroll-survives-a-full-disk \
    tests/agent/gatekeyd-keeps-a-gateway-connected.py \
    tests/agent/an-application-is-answered-and-the-hub-not-flooded.py \
    tests/agent/a-revoked-gateway-gets-a-new-key \
    tests/agent/a-refused-renewal-changes-nothing \
    tests/agent/a-storm-of-gateways-is-spread.py \
    tests/agent/a-carried-certificate-survives-being-killed \
    tests/agent/no-change-of-the-clock-is-mistaken-for-another.py \
    tests/agent/gatekeyd-tries-the-next-pair.py \
    tests/agent/renew-survives-a-full-disk \
    tests/agent/a-planned-reconnect-loses-nothing.py \
    tests/agent/ten-renewals-lose-nothing \
    tests/agent/gatekey-says-what-is-wrong-with-the-hub \
    tests/agent/a-takeover-survives-being-killed \
    tests/agent/what-waits-in-the-inbox-is-judged \
    tests/agent/gatekeyd-notices-a-revocation.py \
    tests/agent/each-code-of-the-hub-has-its-sentence \
    tests/agent/test-certificate \
    tests/agent/new-hardware-takes-over-a-device \
    tests/agent/an-expired-certificate-is-replaced-by-policy \
    tests/agent/reset-is-finished-by-whoever-comes-next \
    tests/agent/gatekey-and-gatekeyd-work-together \
    tests/agent/a-key-is-rotated \
    tests/agent/telemetry-survives-being-killed.py
