# SPDX-License-Identifier: Apache-2.0
# sh -eu table-test.sh [ARCHITECTURE [DIRECTORY]]: the session table's own test -> DIRECTORY/table-test. CFLAGS are added.
directory=${2:-build}

# shellcheck disable=SC2086 # a list of words
gcc -O2 -g -Wall -Wextra ${CFLAGS:-} -pthread \
	dataplane/table_test.c dataplane/table_user.c -o "$directory/table-test.new" -lbpf
mv "$directory/table-test.new" "$directory/table-test"
