# SPDX-License-Identifier: Apache-2.0
# sh -eu addon.sh ARCHITECTURE [DIRECTORY]: the Node-API addon -> DIRECTORY/weir.node. CFLAGS are added.
directory=${2:-build}
include=node_modules/node-linux-$1/include/node

# shellcheck disable=SC2086 # a list of words
gcc -O2 -g -Wall -Wextra ${CFLAGS:-} -pthread -shared -fPIC -I "$include" \
	dataplane/addon.c dataplane/table_jobs.c dataplane/table_user.c -o "$directory/weir.node.new" -lbpf
mv "$directory/weir.node.new" "$directory/weir.node" # a running agent keeps the file that it has mapped
