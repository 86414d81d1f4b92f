#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts gobgpd in the background, without configuration: the agent gives it all it needs to know.
# Process id: /run/gobgpd.pid. Output: /var/log/gobgpd.log.
set -euo pipefail

# A killed gobgpd leaves its socket, and the next one cannot bind to it.
rm -f /run/gobgpd.sock
setsid gobgpd --api-hosts=unix:///run/gobgpd.sock --pprof-disable -p >>/var/log/gobgpd.log 2>&1 </dev/null &
echo $! >/run/gobgpd.pid
