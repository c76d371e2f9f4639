# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests in which a program holds the device key while things happen to it, or to the TPM.
#
#   make_loadable_keys        under-handle.pem and under-owner.pem, by other tools
#   start_signer URI...       sign-on-request in the background; its process is $signer_pid
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

# Objects and sessions of a step stay in the TPM, as there is no resource manager.
tpm2_step() {
    "$@"
    tpm2_flushcontext -Q -t
    tpm2_flushcontext -Q -l
}

# Key files for a parent at 0x81000001, and for one that is made of the owner's seed each time.
make_loadable_keys() {
    tpm2_step tpm2_createprimary -Q -C o -G ecc -c parent.ctx \
        -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
    tpm2_step tpm2_evictcontrol -Q -C o -c parent.ctx 0x81000001
    tpm2_step tpm2_create -Q -C 0x81000001 -G rsa2048 -u object.pub -r object.priv \
        -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
    # Some versions write the mark for "has no password" the wrong way round.
    for option in -p ""; do
        # shellcheck disable=SC2086 # one option or none
        tpm2_step tpm2_encodeobject -Q -C 0x81000001 $option -u object.pub -r object.priv \
            -o under-handle.pem
        ! plain_openssl asn1parse -in under-handle.pem | grep -qE 'BOOLEAN *:(1|255)$' || break
    done
    (
        unset OPENSSL_MODULES
        OPENSSL_CONF=/dev/null TPM2OPENSSL_TCTI=$GATEKEY_TCTI openssl genpkey -provider tpm2 \
            -provider default -propquery '?provider=tpm2' -algorithm RSA -pkeyopt bits:2048 \
            -out under-owner.pem 2>/dev/null
    ) || {
        echo "tpm2-openssl is not installed; ./bootstrap installs it"
        exit 77
    }
    tpm2_flushcontext -Q -t
}

start_signer() {
    rm -f orders answers
    mkfifo orders answers
    "$signer" "$@" <orders >answers 2>signer.err &
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
    for _ in $(seq 3000); do
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
    for _ in $(seq 3000); do
        ! tpm_listens || return 0
        sleep 0.02
    done
    fail "no TPM: $(cat swtpm.log)"
}

# Both of its sockets; they are there some time before they can be connected to.
tpm_listens() {
    [ "$(grep -cE "^([^ ]* ){3}00010000 .* $PWD/tpm(\.ctrl)?\$" /proc/net/unix)" -eq 2 ]
}

# What the TPM holds besides persistent keys.
loaded() {
    tpm2_getcap handles-transient
    tpm2_getcap handles-loaded-session
}

# A resource manager that sees its client go needs a moment to tidy up.
assert_nothing_left_loaded() {
    for _ in $(seq 2400); do
        left=$(loaded)
        [ -n "$left" ] || return 0
        sleep 0.05
    done
    fail "left in the TPM: $left"
}
