# SPDX-License-Identifier: Apache-2.0
# sh -eu table-test.sh [ARCHITECTURE [DIRECTORY]]: the session table's own tests -> DIRECTORY/table-test4 and table-test6,
# one for each family, and DIRECTORY/merge-test, of both, for test/unit/merge-native.test.ts. CFLAGS are added.
directory=${2:-build}
options="-O2 -g -Wall -Wextra ${CFLAGS:-} -pthread"
shared="dataplane/table_timeouts.c dataplane/table_writer.c"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build NAME SOURCE...
build() {
	name=$1
	shift
	# shellcheck disable=SC2086 # lists of words
	gcc $options "$@" $shared -o "$directory/$name.new" -lbpf
	mv "$directory/$name.new" "$directory/$name"
}

for wide in 0 1; do
	build "table-test$((4 + 2 * wide))" -DWEIR_WIDE=$wide -DWEIR_TABLE_TEST dataplane/table_test.c dataplane/table_user.c
	# shellcheck disable=SC2086 # a list of words
	gcc $options -DWEIR_WIDE=$wide -c dataplane/table_user.c -o "$work/table_user$wide.o"
done
build merge-test dataplane/merge_test.c dataplane/table_jobs.c "$work"/table_user?.o
