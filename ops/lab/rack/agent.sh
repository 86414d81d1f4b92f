#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts this node's weir agent in the background. Process id: /run/weir-agent.pid. Log: /var/log/weir.log.
set -euo pipefail

setsid /opt/weir/weir agent --config /etc/weir/weir.yaml --node "$HOSTNAME" --log /var/log/weir.log \
	>>/var/log/weir-agent.out 2>&1 </dev/null &
echo $! >/run/weir-agent.pid
