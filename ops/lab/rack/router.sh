#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The router's command: FRR's zebra and bgpd, with Debian's paths, in the node's own /run and /var/log.
set -euo pipefail
rack=$(dirname "$0")
daemons=/usr/lib/frr
# Else zebra changes an IPv6 route by deleting it and adding the new one, and packets come in between.
declare -A options=([zebra]=--v6-rr-semantics)

install -d -o frr -g frr /run/frr /var/log
for daemon in zebra bgpd; do
	# A copy: the daemons read it as user frr, who may not be allowed to read the checkout.
	install -o frr -g frr -m 640 "$rack/$daemon.conf" "/etc/frr/$daemon.conf"
	"$daemons/$daemon" --dryrun -f "/etc/frr/$daemon.conf"
	"$daemons/$daemon" -d -f "/etc/frr/$daemon.conf" -P 0 ${options[$daemon]:-}
done
# The daemons are on their own, as on a router. Not exec: as a container's process 1 this shell collects the ended ones.
sleep infinity &
wait
