# SPDX-License-Identifier: Apache-2.0
# For the structural checks: which files are the project's own, and how to report what is wrong with them.
# shellcheck shell=sh

cd "${abs_top_srcdir:?is set by make check}" || exit 99

# Print the project's own files, relative to the source tree. The tree may be an unpacked archive, so git is
# not asked; left out are folders that hold a build, git's own, and what autoreconf and make put beside sources.
sources() {
    builds=$(find . -mindepth 2 -name config.status | sed 's|config\.status$||')
    find . \( -name .git -o -name .deps -o -name .libs -o -path './build*' -o -path ./m4 -o -path './*.cache' \) \
        -prune -o -type f -print | grep -vE "$generated" | while read -r file; do
        for build in $builds; do
            case $file in "$build"*) continue 2 ;; esac
        done
        echo "${file#./}"
    done | LC_ALL=C sort
}

generated='/Makefile(\.in)?$|^\./(configure|aclocal\.m4|libtool|stamp-h1|config\.(h|log|status|h\.in))~?$'
generated="$generated"'|\.(o|lo|la|a|log|trs|orig|rej|swp|xz)$'

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
