# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests in which a program holds the device key while things happen to it, or to the TPM.
#
#   start_signer gatekey:     sign-on-request in the background; its process is $signer_pid
#   asks "sign 3" good        what it answers, see sign-on-request.c
#   stop_signer               and it must have ended well, without a word on stderr
#   end_tpm TERM; start_tpm   the TPM of with-swtpm, and then ours with the same state
. "$abs_top_srcdir/tests/provider/setup.sh"

signer="$abs_top_builddir/tests/provider/sign-on-request"
swtpm_pid=$GATEKEY_SWTPM_PID
background= # what must not outlive the test

tidy_up() {
    for pid in $background; do
        kill -9 "$pid" 2>/dev/null || :
    done
}
trap tidy_up EXIT

start_signer() {
    rm -f orders answers
    mkfifo orders answers
    "$signer" "$1" <orders >answers 2>signer.err &
    signer_pid=$!
    background="$background $signer_pid"
    exec 3>orders 4<answers
}

# ask ORDER: prints the answer, which may take a minute
ask() {
    echo "$1" >&3
    answer_of "$1"
}

answer_of() {
    timeout 60 head -n 1 <&4 || fail "\"$1\" was not answered in a minute"
}

asks() {
    answer=$(ask "$1")
    says "$1" "$answer" "$2"
}

# says WHAT ANSWER TEXT
says() {
    case $2 in
    *"$3"*) ;;
    *) fail "\"$1\" was answered with \"$2\", not \"$3\"" ;;
    esac
}

stop_signer() {
    exec 3>&- 4<&-
    wait "$signer_pid" || fail "the signer ended with $?"
    [ ! -s signer.err ] || fail "the signer said on stderr: $(cat signer.err)"
}

# A zombie has ended: whether it is waited for is not our business.
is_running() {
    [ -e "/proc/$1/stat" ] && ! grep -qs '^[0-9]* (.*) Z' "/proc/$1/stat"
}

wait_until_gone() {
    for _ in $(seq 200); do
        is_running "$1" || return 0
        sleep 0.02
    done
    fail "process $1 does not end"
}

# end_tpm SIGNAL: after KILL its sockets are still there
end_tpm() {
    kill "-$1" "$swtpm_pid"
    wait_until_gone "$swtpm_pid"
}

start_tpm() {
    rm -f tpm tpm.ctrl
    setpriv --pdeathsig TERM swtpm socket --tpm2 --tpmstate "dir=$PWD/swtpm" \
        --server "type=unixio,path=$PWD/tpm" --ctrl "type=unixio,path=$PWD/tpm.ctrl" \
        --flags not-need-init,startup-clear >swtpm.log 2>&1 </dev/null 3>&- 4<&- &
    swtpm_pid=$!
    background="$background $swtpm_pid"
    for _ in $(seq 200); do
        [ ! -S tpm ] || [ ! -S tpm.ctrl ] || return 0
        sleep 0.02
    done
    fail "no TPM: $(cat swtpm.log)"
}

# What the TPM holds besides persistent keys.
assert_nothing_left_loaded() {
    [ -z "$(tpm2_getcap handles-transient)" ] || fail "left in the TPM: $(tpm2_getcap handles-transient)"
    [ -z "$(tpm2_getcap handles-loaded-session)" ] || fail "a session was left in the TPM"
}
