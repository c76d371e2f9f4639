# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the scripts claim of a run of gatekey; sourced, beside what defines fail.

# works COMMAND...: it exits 0; its output is in out and err.
works() {
    "$@" >out 2>err || {
        code=$?
        cat out err >&2
        fail "exit $code: $*"
    }
}

# refuses CODE TEXT COMMAND...: it exits with CODE, says TEXT in one sentence on stderr.
refuses() {
    wanted=$1
    text=$2
    shift 2
    code=0
    "$@" >out 2>err || code=$?
    if [ "$code" -ne "$wanted" ] || ! grep -qF -- "$text" err; then
        cat out err >&2
        fail "exit $code, not $wanted with \"$text\": $*"
    fi
    [ "$(grep -c '^gatekey: cannot ' err)" -eq 1 ] || fail "not one sentence: $(cat err)"
    grep '^gatekey: cannot ' err | grep -qE ': .*; .' || fail "no next step: $(cat err)"
}

# says TEXT: the last command said so, on stdout or stderr.
says() {
    cat out err | grep -qF -- "$1" || {
        cat out err >&2
        fail "does not say \"$1\""
    }
}
