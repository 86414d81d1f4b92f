# SPDX-License-Identifier: Apache-2.0
# sh -eu bpf.sh [ARCHITECTURE [DIRECTORY]]: dataplane/X.bpf.c -> DIRECTORY/X4.bpf.o and X6.bpf.o for each X, one for
# each family of sessions (dataplane/family.h). CFLAGS are added.
directory=${2:-build}
# -target bpf does not look where Debian keeps asm/types.h.
include=/usr/include/$(uname -m)-linux-gnu
# table.h needs to know whether the machine may swap loads.
case $(uname -m) in
aarch64) target=-D__TARGET_ARCH_arm64 ;;
*) target=-D__TARGET_ARCH_x86 ;;
esac

for source in dataplane/*.bpf.c; do
	for wide in 0 1; do
		object=$directory/$(basename "$source" .bpf.c)$((4 + 2 * wide)).bpf.o
		# shellcheck disable=SC2086 # a list of words
		clang-19 -O2 -g -Wall -Wextra ${CFLAGS:-} "$target" -DWEIR_WIDE=$wide -target bpf -mcpu=v3 -I "$include" \
			-c "$source" -o "$object.new"
		mv "$object.new" "$object" # whole or not at all, also for those who read it meanwhile
	done
done
