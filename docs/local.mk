# SPDX-License-Identifier: Apache-2.0
# The manual.

dist_man_MANS += \
    %D%/gatekey.conf.5
