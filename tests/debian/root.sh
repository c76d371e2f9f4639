# SPDX-License-Identifier: Apache-2.0
# Debian systems in folders, for check-debian13 and check-vm; sourced, with these set:
#
#   check   the target's name, for messages
#   suite   which Debian: bookworm, trixie
#   place   the folder for everything this target keeps; the system lies in $place/root
#
# A system is made by debootstrap once and kept; every run brings it up to date, and makes anew one that was left
# half made. Whatever happens in it happens in namespaces of its own, which the kernel takes down, mounts and
# processes, when this script is gone, however that came about. Packages come from the mirror that this
# machine's apt is configured for.
# shellcheck shell=sh

root=$place/root
log=$place/prepare.log
job=

# What hinders us is no verdict on the tests: 77, as for a test that cannot run. 1 says that tests failed.
cannot() {
    echo "$check: cannot $*" >&2
    exit 77
}

say() {
    echo "$check: $*"
}

# For a step whose output matters only if it fails.
quietly() {
    "$@" >>"$log" 2>&1 || {
        status=$?
        tail -n 30 "$log" >&2
        return $status
    }
}

end_job() {
    trap '' HUP INT TERM
    if [ -n "$job" ]; then
        kill -KILL "$job" 2>/dev/null
        wait "$job" 2>/dev/null
    fi
}

# Called first: what must be there before anything is touched. need TOOL...
need() {
    [ "$(id -u)" -eq 0 ] ||
        cannot "run without root, which chroot and mounts take; run: sudo make -C build $check"
    for tool in "$@" setpriv unshare flock; do
        command -v "$tool" >/dev/null ||
            cannot "run: $tool is not installed; run: ./bootstrap $check"
    done
    umask 022
    mkdir -p "$place" || cannot "keep its Debian in $place; name another folder: make $check CACHE=DIR"
    exec 9>"$place/lock"
    flock -n 9 || cannot "run twice at once in $place; wait for the other run, or name another folder: CACHE=DIR"
    : >"$log"
    trap end_job EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# enclosed [UNSHARE-OPTION...] COMMAND...: nothing of it outlives it or this script.
enclosed() {
    setpriv --pdeathsig KILL unshare --mount --pid --ipc --uts --fork --kill-child=KILL "$@" </dev/null &
    job=$!
    wait "$job"
    status=$?
    job=
    return $status
}

# in_root COMMAND...: there, in /src, with this machine's network.
in_root() {
    enclosed "$abs_top_srcdir/tests/debian/enter" "$root" "$@"
}

# The same with nothing but a loopback.
in_root_offline() {
    enclosed --net "$abs_top_srcdir/tests/debian/enter" "$root" \
        sh -c 'ip link set lo up && exec "$@"' sh "$@"
}

# mirror_of [-security]: where this machine's apt gets its packages.
mirror_of() {
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s|^$codename$1 ||p" | head -n 1
}

root_is_whole() {
    [ -e "$root/.made" ] && in_root dpkg --audit >"$place/audit" 2>&1 && ! [ -s "$place/audit" ]
}

make_root() {
    # Our mounts are in namespaces that are gone; somebody else's must not be emptied.
    ! grep -qF " $root" /proc/self/mountinfo || cannot "remove $root: something is mounted there; unmount it"
    rm -rf --one-file-system "$root"
    mkdir "$root"
    say "making a Debian ($suite) in $root; once, a few minutes"
    quietly enclosed --mount-proc debootstrap --variant=minbase --include=ca-certificates,iproute2 \
        "$suite" "$root" "$mirror" ||
        cannot "make a Debian ($suite): debootstrap failed, see above; check the network, and that apt-get" \
            "update works here, and run it again"
    : >"$root/.made"
}

configure_root() {
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    printf '127.0.0.1 localhost %s\n::1 localhost\n' "$(uname -n)" >"$root/etc/hosts"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    rm -f "$root"/etc/apt/sources.list.d/*
    {
        echo "deb $mirror $suite main"
        echo "deb $mirror $suite-updates main"
        [ -z "$security" ] || echo "deb $security $suite-security main"
    } >"$root/etc/apt/sources.list"
    apt-config dump Acquire::http >"$root/etc/apt/apt.conf.d/of-this-machine"
    apt-config dump Acquire::https >>"$root/etc/apt/apt.conf.d/of-this-machine"
}

# Afterwards there is an up-to-date Debian in $root.
prepare_root() {
    mirror=${DEBIAN_MIRROR:-$(mirror_of '')}
    security=$(mirror_of -security)
    [ -n "$mirror" ] ||
        cannot "make a Debian ($suite): apt has no Debian mirror here; run it again with DEBIAN_MIRROR=URL"
    root_is_whole || make_root
    configure_root
    # shellcheck disable=SC2016 # for the shell there
    in_root sh -c 'export DEBIAN_FRONTEND=noninteractive
        apt-get -q -o APT::Update::Error-Mode=any update && apt-get -q -y dist-upgrade && apt-get clean' \
        >>"$log" 2>&1 ||
        say "cannot bring $root up to date, see $log; going on with what is there"
}

# The project's own files as they are here, and nothing of a build, to /src.
copy_tree() {
    rm -rf --one-file-system "$root/src"
    mkdir -p "$root/src/m4"
    # shellcheck source=tests/sources.sh
    (. "$abs_top_srcdir/tests/sources.sh" && sources) >"$place/files"
    {
        tar -C "$abs_top_srcdir" --owner=0 --group=0 -cf "$place/tree.tar" -T "$place/files" &&
            tar -C "$root/src" -xf "$place/tree.tar"
    } || cannot "copy the tree to $root; see above, often the disk is full"
    rm -f "$place/tree.tar"
}
