# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What a shell test expects, of the machine it runs on and of the commands it runs; sourced.
set -eu

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# needs COMMAND...: or the test is skipped
needs() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || {
            echo "$tool is not installed"
            exit 77
        }
    done
}

# refuses TEXT COMMAND...: the command fails and says TEXT on stderr
refuses() {
    wanted=$1
    shift
    if "$@" >refuses.out 2>refuses.err; then
        fail "this should not work: $*"
    fi
    grep -qF -- "$wanted" refuses.err || {
        cat refuses.err >&2
        fail "\"$*\" does not say \"$wanted\""
    }
}

# until_true WHAT COMMAND...: waits for it, a while; if it never comes, shows the end of the files $watch
watch=/dev/null
until_true() {
    what=$1
    shift
    for _ in $(seq 2400); do
        if "$@" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.05
    done
    # shellcheck disable=SC2086 # files
    tail -n 5 $watch >&2
    fail "$what"
}
