# SPDX-License-Identifier: Apache-2.0
# Prints C without comments and without what stands in strings, line for line, so that a word in a sentence is
# not taken for code. The lines of #include keep their strings.

FNR == 1 { in_comment = 0 }

/^[ \t]*#[ \t]*include/ && !in_comment {
    sub(/\/[*\/].*/, "")
    print
    next
}

{
    line = $0
    out = ""
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (end == 0) {
                break
            }
            in_comment = 0
            line = substr(line, end + 2)
        } else if (match(line, /\/\*|\/\/|"|'/)) {
            mark = substr(line, RSTART, 1)
            out = out substr(line, 1, RSTART - 1)
            rest = substr(line, RSTART)
            if (mark == "/") {
                if (substr(rest, 2, 1) == "/") {
                    break
                }
                in_comment = 1
                line = substr(rest, 3)
            } else {
                # A string or character on one line, backslashes skipping what follows them.
                for (i = 2; i <= length(rest) && substr(rest, i, 1) != mark; i++) {
                    if (substr(rest, i, 1) == "\\") {
                        i++
                    }
                }
                out = out mark mark
                line = substr(rest, i + 1)
            }
        } else {
            out = out line
            break
        }
    }
    print out
}
