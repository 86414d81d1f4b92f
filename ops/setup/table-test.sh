# SPDX-License-Identifier: Apache-2.0
# sh -eu table-test.sh [ARCHITECTURE [DIRECTORY]]: the session table's own tests -> DIRECTORY/table-test, and
# DIRECTORY/merge-test for test/unit/merge-native.test.ts. CFLAGS are added.
directory=${2:-build}

# build NAME SOURCE...
build() {
	name=$1
	shift
	# shellcheck disable=SC2086 # a list of words
	gcc -O2 -g -Wall -Wextra -DWEIR_TABLE_TEST ${CFLAGS:-} -pthread \
		"$@" dataplane/table_user.c -o "$directory/$name.new" -lbpf
	mv "$directory/$name.new" "$directory/$name"
}

build table-test dataplane/table_test.c
build merge-test dataplane/merge_test.c dataplane/table_jobs.c
