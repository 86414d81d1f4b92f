# SPDX-License-Identifier: Apache-2.0
# sh -eu addon.sh ARCHITECTURE [DIRECTORY]: the Node-API addon -> DIRECTORY/weir.node. CFLAGS are added.
directory=${2:-build}
include=node_modules/node-linux-$1/include/node
# Hidden: what the addon's files share is reached without a detour through a table of addresses.
options="-O2 -g -Wall -Wextra ${CFLAGS:-} -pthread -fPIC -fvisibility=hidden"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for wide in 0 1; do
	# shellcheck disable=SC2086 # a list of words
	gcc $options -DWEIR_WIDE=$wide -c dataplane/table_user.c -o "$work/table_user$wide.o"
done
# shellcheck disable=SC2086 # a list of words
gcc $options -shared -I "$include" dataplane/addon.c dataplane/table_jobs.c dataplane/table_timeouts.c \
	dataplane/table_writer.c "$work"/table_user?.o -o "$directory/weir.node.new" -lbpf
mv "$directory/weir.node.new" "$directory/weir.node" # a running agent keeps the file that it has mapped
