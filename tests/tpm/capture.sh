# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For shell tests under with-swtpm: what the test's own TPM is asked, seen by the TSS's capturing TCTI; sourced, on
# top of expect.sh.

# capture: from now on GATEKEY_TCTI leads through it; or the test is skipped
capture() {
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q 'libtss2-tcti-pcap\.so\.0' || {
        echo "the pcap TCTI is not installed"
        exit 77
    }
    export TCTI_PCAP_FILE="$PWD/capture.pcap" GATEKEY_TCTI="pcap:$GATEKEY_TCTI"
}

# costs NUMBER WHO: that many signatures since the last time, and no other command
counted=0
costs() {
    counted=$((counted + $1))
    wanted="$counted$(printf ' 0x15d%.0s' $(seq $counted))"
    [ $counted -gt 0 ] || wanted=0
    seen=0
    [ ! -e "$TCTI_PCAP_FILE" ] ||
        seen=$(/usr/bin/python3 "$abs_top_srcdir/tests/tpm/count-commands.py" "$TCTI_PCAP_FILE")
    [ "$seen" = "$wanted" ] || fail "$2: the TPM has seen $seen, not $wanted"
    echo "$2: TPM commands: $1"
}
