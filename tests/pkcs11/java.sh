# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests that have a Java program sign; sourced, on top of programs.sh, once a server runs.
needs java javac mkfifo

export JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 # it runs for a moment only
javac -d . "$abs_top_srcdir/tests/pkcs11/HttpsWithDeviceKey.java" 2>java.log || fail "javac: $(cat java.log)"

# start_java CONFIGURATION: then "order" tells it what to do
start_java() {
    rm -f orders answers
    mkfifo orders answers
    java -cp . HttpsWithDeviceKey "$1" "$server_port" <orders >answers 2>java.log &
    java_pid=$!
    brokers="$brokers $java_pid"
    exec 3>orders 4<answers
}

# order WORD...: see HttpsWithDeviceKey.java; sets answer
order() {
    echo "$*" >&3
    read -r answer <&4 || fail "java, $*: $(cat java.log)"
}

end_java() {
    exec 3>&- 4<&-
    wait "$java_pid" || fail "java ended with $?: $(cat java.log)"
    # It always repeats the options.
    if grep -v '^Picked up JAVA_TOOL_OPTIONS' java.log; then
        fail "java says something on stderr"
    fi
}

# java_proves_itself WHO: in both versions
java_proves_itself() {
    for version in 1.2 1.3; do
        order get $version page
        case $answer in
        "done TLS_"*) ;;
        *) fail "$1, TLS $version: $answer" ;;
        esac
        page_shows "$1" $version
        costs 1 "$1, TLS $version"
    done
}
