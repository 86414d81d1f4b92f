# SPDX-License-Identifier: Apache-2.0
# sh -eu prepare.sh: what `./weir bench` needs beside weir: the programs that it compares with, and its own load programs
# -> build/bench. Run in the repo's root.
sh -eu ops/setup/install.sh conntrackd conntrack nftables iperf3

mkdir -p build/bench
load=test/bench/load
# shellcheck disable=SC2086 # a list of words
for name in conntrack-load conntrack-watch weir-load weir-watch; do
	case $name in
	weir-watch) table="-DWEIR_WIDE=0 dataplane/table_user.c dataplane/table_timeouts.c dataplane/table_writer.c" ;;
	*) table= ;;
	esac
	gcc -O2 -g -Wall -Wextra ${CFLAGS:-} "$load/$name.c" $table -o "build/bench/$name" -lbpf
done
# A program cannot be called, a function can.
sed 's/^SEC("xdp.frags")$/__noinline/' dataplane/director.bpf.c >build/bench/director-function.c
case $(uname -m) in
aarch64) target=-D__TARGET_ARCH_arm64 ;;
*) target=-D__TARGET_ARCH_x86 ;;
esac
# shellcheck disable=SC2086 # a list of words
clang-19 -O2 -g -Wall -Wextra ${CFLAGS:-} $target -DWEIR_WIDE=0 -target bpf -mcpu=v3 -I "/usr/include/$(uname -m)-linux-gnu" \
	-I dataplane -I build/bench -c "$load/weir-load.bpf.c" -o build/bench/weir-load.bpf.o
fastpath=test/bench/fastpath
# shellcheck disable=SC2086 # a list of words
{
	gcc -O2 -g -Wall -Wextra ${CFLAGS:-} -I dataplane "$fastpath/fastpath.c" -o build/bench/fastpath -lbpf
	clang-19 -O2 -g -Wall -Wextra ${CFLAGS:-} $target -target bpf -mcpu=v3 -I "/usr/include/$(uname -m)-linux-gnu" \
		-c "$fastpath/fastpath.bpf.c" -o build/bench/fastpath.bpf.o
}
rack=test/bench/rack
for name in redirect sink generator; do
	# shellcheck disable=SC2086 # a list of words
	{
		gcc -O2 -g -Wall -Wextra ${CFLAGS:-} "$rack/$name.c" -o "build/bench/rack-$name" -lbpf
		clang-19 -O2 -g -Wall -Wextra ${CFLAGS:-} $target -target bpf -mcpu=v3 -I "/usr/include/$(uname -m)-linux-gnu" \
			-c "$rack/$name.bpf.c" -o "build/bench/rack-$name.bpf.o"
	}
done
