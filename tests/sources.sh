# SPDX-License-Identifier: Apache-2.0
# For the structural checks: which files are the project's own, and how to report what is wrong with them.
# shellcheck shell=sh

cd "${abs_top_srcdir:?is set by make check}" || exit 99

# Print the project's own files, relative to the source tree. The tree may be an unpacked archive, so git is
# not asked; left out are builds, git's folder, and what autoreconf made.
sources() {
    find . \( -name .git -o -name 'build*' -type d -o -name 'gatekey-[0-9]*' -type d -o -name m4 -type d \
        -o -name autom4te.cache \) -prune -o -type f ! -name Makefile.in ! -name 'configure~' \
        ! -path ./configure ! -path ./aclocal.m4 ! -name 'config.h.in*' ! -name '*.swp' ! -name '*.orig' \
        ! -name '*.rej' ! -name '*.tar.*' -print | sed 's|^\./||' | LC_ALL=C sort
}

# Print those whose path matches an extended regular expression.
sources_matching() {
    sources | grep -E "$1" | LC_ALL=C sort -u
}

complaints=0

# complain FILE SENTENCE
complain() {
    echo "$1: $2"
    complaints=$((complaints + 1))
}

# End the check: red when anything was complained of.
finish() {
    if [ "$complaints" -gt 0 ]; then
        echo "$complaints complaints"
        exit 1
    fi
    exit 0
}
