# SPDX-License-Identifier: Apache-2.0
# The manual.

dist_man_MANS += \
    %D%/gatekey.1 \
    %D%/gatekey.conf.5 \
    %D%/gatekey-operation.7 \
    %D%/gatekey-pkcs11.7 \
    %D%/gatekey-provider.7 \
    %D%/gatekey-security.7 \
    %D%/gatekeyd.8
