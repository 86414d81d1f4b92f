# SPDX-License-Identifier: Apache-2.0
# No service shares its sessions.
/^    protocol: /a\
    sync: off
