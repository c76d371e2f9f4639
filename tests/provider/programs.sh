# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests of long-running programs that sign with the device key; sourced, on top of tls.sh.
#
# All of them find the TPM behind the TSS's capturing TCTI, so that what a connection cost can be counted.
. "$abs_top_srcdir/tests/provider/tls.sh"
. "$abs_top_srcdir/tests/tpm/capture.sh"

# shows_the_device WHO PORT VERSION [OPTION...]: the server there proves that it is the device
shows_the_device() {
    who=$1 to=$2 version=$3
    shift 3
    printf 'GET / HTTP/1.0\r\n\r\n' |
        plain_openssl s_client -connect "127.0.0.1:$to" "-tls$(echo "$version" | tr . _)" -CAfile device-ca.pem \
            -verify_return_error -verify_hostname device "$@" >client.log 2>&1 || {
        cat client.log >&2
        fail "$who as a server, TLS $version"
    }
    grep -q "Verification: OK" client.log || fail "$who: not verified"
}

# listens PORT: whether anybody does, on 127.0.0.1
listens() {
    grep -q "^ *[0-9]*: 0100007F:$(printf %04X "$1") 00000000:0000 0A " /proc/net/tcp
}

# serve NAME COMMAND...: start it on a free port until it listens there; sets port and pid. Its
# configuration is made by the function NAME_files, its output goes to NAME.log.
serve() {
    name=$1
    shift
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        "${name}_files"
        "$@" >"$name.log" 2>&1 </dev/null &
        pid=$!
        for _ in $(seq 2400); do
            # What goes into the background listens before its first process ends.
            kill -0 $pid 2>/dev/null && running=yes || running=
            if listens "$port"; then
                brokers="$brokers $pid"
                return 0
            fi
            [ -n "$running" ] || break
            sleep 0.05
        done
        kill $pid 2>/dev/null || true
    done
    cat "$name.log" >&2
    fail "no $name"
}

only_root_goes_on() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "not root: nothing was seen of programs that drop their privileges"
        exit 0
    fi
}

# The TPM is for the group tss from now on, as /dev/tpmrm0 is; what the TSS's library for swtpm cannot say,
# that it may not, is seen on forbidden_tpm.
tpm_for_group_tss() {
    getent group tss >/dev/null || fail "there is no group tss; the package tpm-udev makes it"
    chmod go+x . .. # not more: by hand, the second may be /tmp
    chgrp tss tpm tpm.ctrl
    chmod 660 tpm tpm.ctrl
    chmod 666 "$TCTI_PCAP_FILE"
    : >tpmrm0
    chgrp tss tpmrm0
    chmod 660 tpmrm0
    forbidden_tpm=device:$PWD/tpmrm0
}

# says_it_may_not FILE: whose right to the TPM is missing, and what to do
says_it_may_not() {
    grep -F "cannot sign with the device key: this user may not open the TPM (${forbidden_tpm#device:}," "$1" |
        grep -q "; join the group tss" || fail "$1: $(tail -n 5 "$1")"
}
