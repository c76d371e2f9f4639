# SPDX-License-Identifier: Apache-2.0
# For the checks of what was built: where the modules and programs lie, and how to report what is wrong.
# shellcheck shell=sh

# The file that libtool or the linker made for a name in a makefile's list.
built_file() {
    path=${abs_top_builddir:?is set by make check}/$1
    folder=$(dirname "$path")
    name=$(basename "$path")
    case $name in
    *.la) echo "$folder/.libs/${name%.la}.so" ;;
    *) if [ -f "$folder/.libs/$name" ]; then echo "$folder/.libs/$name"; else echo "$path"; fi ;;
    esac
}

# Print what is to be checked: the files given, else those that GATEKEY_BUILT lists. Whatever is installed
# must be there to be looked at, so that nothing passes by being absent.
built_files() {
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@"
        return
    fi
    for name in ${GATEKEY_BUILT:?is set by make check}; do
        built_file "$name"
    done
}

complaints=0

# complain FILE SENTENCE
complain() {
    echo "$1: $2"
    complaints=$((complaints + 1))
}
