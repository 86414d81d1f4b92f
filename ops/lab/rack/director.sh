#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A director's command: gobgpd, then the agent. Nothing restarts them when they end: the drills kill them and start them
# again with gobgpd.sh and agent.sh, and look at what happens in between.
set -euo pipefail
rack=$(dirname "$0")

# How long the links may take to appear after the command has begun, in steps of 50 ms.
link_steps=600

# The default route of IPv6 is what the lab sets last.
for ((step = 0; step < link_steps; step++)); do
	[ -n "$(ip -6 route show default dev eth1 2>/dev/null)" ] && break
	sleep 0.05
done
if [ "$step" -eq "$link_steps" ]; then
	echo "$HOSTNAME: eth1 has no default route after $((link_steps / 20)) s" >&2
	exit 1
fi

# The node's own copy, which may be edited and reloaded.
mkdir -p /etc/weir
scripts=()
for variant in ${RACK_VARIANTS:-}; do scripts+=(-f "$rack/variants/$variant.sed"); done
sed "${scripts[@]:---expression=}" "$rack/weir.yaml" >/etc/weir/weir.yaml
bash "$rack/gobgpd.sh"
bash "$rack/agent.sh"
# Not exec: as a container's process 1 this shell collects what has ended.
sleep infinity &
wait
