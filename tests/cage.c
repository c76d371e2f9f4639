/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes everything read-only to a test but its folder and the build tree, where the kernel lets us.
 *
 * That takes a mount namespace, which root has and others mostly have not; they are held back by
 * the modes of files instead, and could only spoil what is theirs. It is for root that a careless
 * test is dangerous.
 */
#include "tests/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static bool set_read_only(const char *path, bool read_only)
{
    struct mount_attr attributes = { 0 };

    if (read_only) {
        attributes.attr_set = MOUNT_ATTR_RDONLY;
    } else {
        attributes.attr_clr = MOUNT_ATTR_RDONLY;
    }
    return mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attributes, sizeof(attributes)) == 0;
}

/* A folder can have a mode of its own once it is a mount of its own. */
static bool make_mount(const char *path)
{
    return mount(path, path, NULL, MS_BIND | MS_REC, NULL) == 0;
}

bool cage_enter(const char *folder)
{
    const char *builddir = getenv("abs_top_builddir");

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) {
        return true;
    }
    /* Some containers hand out the namespace and forbid mounts; in a chroot the root is no mount.
     */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return true;
    }
    if (!make_mount(folder)) {
        return false;
    }
    if (builddir != NULL && !make_mount(builddir)) {
        return false;
    }
    if (!set_read_only("/", true)) {
        return errno == ENOSYS; /* before Linux 5.12 */
    }
    return set_read_only(folder, false) && set_read_only("/dev", false) &&
           set_read_only("/proc", false) && (builddir == NULL || set_read_only(builddir, false));
}
