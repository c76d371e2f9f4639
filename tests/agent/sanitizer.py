# SPDX-License-Identifier: Apache-2.0
"""Programs of others that load a module of ours which was built with a sanitizer (make check-asan)."""

import re
import subprocess


def preload(module):
    """What such a program's environment needs: the sanitizer's runtime must be there before the module is."""
    linked = subprocess.run(["ldd", module], check=False, capture_output=True, text=True).stdout
    return {"LD_PRELOAD": runtime for runtime in re.findall(r"/\S*/lib[at]san\.so\S*", linked)}
