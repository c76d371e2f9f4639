# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For shell tests under with-swtpm: the fault TCTI (see fault-tcti.c) in front of the test's own TPM.
#
#   . "$abs_top_srcdir/tests/tpm/fault.sh"
#   GATEKEY_TCTI=$(fault_tcti "$GATEKEY_TCTI") some-program
#   fault_plan "0x15d 1 answer 0x922"; some-program; fault_commands

export LD_LIBRARY_PATH="$abs_top_builddir/tests/tpm/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# fault_tcti TCTI: that TCTI with the fault TCTI in front
fault_tcti() {
    echo "fault:plan=$GATEKEY_TEST_DIR/plan,next=$1"
}

# fault_plan [LINE...]: give it a plan, none for everything to pass, and begin the log anew
fault_plan() {
    printf '%s\n' "$@" >"$GATEKEY_TEST_DIR/plan"
    rm -f "$GATEKEY_TEST_DIR/plan.log"
}

# fault_commands: how many commands were sent since then, and their codes in order
fault_commands() {
    [ -f "$GATEKEY_TEST_DIR/plan.log" ] || {
        echo 0
        return
    }
    awk '$1 != "open" { count++; codes = codes " " $1 } END { print count + 0 codes }' \
        "$GATEKEY_TEST_DIR/plan.log"
}
