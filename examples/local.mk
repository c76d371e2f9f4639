# SPDX-License-Identifier: Apache-2.0
# To copy and change; tests run them.

dist_examples_DATA += %D%/application.py %D%/gatekey-alerts.yml
