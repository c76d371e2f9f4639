# SPDX-License-Identifier: Apache-2.0

agent_test_cppflags = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(CMOCKA_CFLAGS)
agent_test_ldadd = libagent.la $(CRYPTO_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/agent/test-openssl
TESTS += tests/agent/test-openssl
tests_agent_test_openssl_CPPFLAGS = $(agent_test_cppflags)
tests_agent_test_openssl_LDADD = $(agent_test_ldadd)
