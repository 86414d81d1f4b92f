# SPDX-License-Identifier: Apache-2.0
# sh -eu streams.sh [ARCHITECTURE [DIRECTORY]]: the drills' connections -> DIRECTORY/streams. CFLAGS are added.
directory=${2:-build}

# shellcheck disable=SC2086 # a list of words
gcc -O2 -g -Wall -Wextra ${CFLAGS:-} ops/drill/streams/*.c -o "$directory/streams.new"
mv "$directory/streams.new" "$directory/streams"
