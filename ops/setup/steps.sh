# SPDX-License-Identifier: Apache-2.0
# Sourced by ./weir: runs the set-up steps whose inputs have changed since they last ran. Needs $root and $architecture.
#
# A step NAME is the script ops/setup/NAME.sh, run in the repo's root. When it has succeeded, build/stamps/NAME holds the
# hash of its inputs. A tree whose stamps all match is only read, so that it may be mounted read-only.

say() {
	echo "weir: $*" >&2
}

# set_up STEP...
set_up() {
	all_done "$@" && return
	if ! mkdir -p "$root/build/stamps" "$root/build/log" 2>/dev/null || ! [ -w "$root/build" ]; then
		say "Cannot set up: $root is read-only, and its set-up is not up to date; run ./weir where it can be written"
		exit 1
	fi
	exec 9>"$root/build/.lock"
	if ! flock --nonblock 9; then
		say "another ./weir is setting up, waiting for it"
		flock 9
	fi
	for step in "$@"; do
		is_done "$step" || run_step "$step"
	done
	exec 9>&-
}

all_done() {
	for step in "$@"; do
		is_done "$step" || return 1
	done
}

# is_done STEP: its stamp matches, and what it makes is there.
is_done() {
	stamp=
	read -r stamp 2>/dev/null <"$root/build/stamps/$1" || return 1
	[ "$stamp" = "$(hash_of "$1")" ] || return 1
	products_of "$1" | while read -r product; do
		[ -e "$product" ] || exit 1
	done
}

hash_of() {
	(cd "$root" && inputs_of "$1" | sha256sum)
}

inputs_of() {
	cat "ops/setup/$1.sh"
	case $1 in
	modules) echo "$architecture" && cat package-lock.json ;;
	packages) cat ops/setup/install.sh ops/setup/packages.txt ;;
	bpf) uname -r && cat dataplane/*.h dataplane/*.bpf.c ;;
	addon | table-test) cat package-lock.json dataplane/*.[ch] ;;
	streams) cat ops/drill/streams/*.[ch] ;;
	esac
}

# products_of STEP: absolute paths. For the packages, enough of them to notice that the tree was moved to another machine.
products_of() {
	case $1 in
	modules) echo "$root/node_modules/node-linux-$architecture/bin/node" ;;
	packages) printf '%s\n' /usr/bin/gcc /usr/bin/clang-19 /usr/include/bpf/libbpf.h /usr/bin/gobgpd /usr/lib/frr/bgpd /usr/sbin/nats-server ;;
	bpf)
		for source in "$root"/dataplane/*.bpf.c; do
			object=${source##*/}
			printf '%s\n' "$root/build/${object%.bpf.c}4.bpf.o" "$root/build/${object%.bpf.c}6.bpf.o"
		done
		;;
	addon) echo "$root/build/weir.node" ;;
	table-test) printf '%s\n' "$root/build/table-test4" "$root/build/table-test6" "$root/build/merge-test" ;;
	streams) echo "$root/build/streams" ;;
	esac
}

run_step() {
	log=$root/build/log/$1.log
	case $1 in
	modules) say "installing Node.js and the npm packages (once, about 20 s)" ;;
	packages) say "installing Debian packages (once, about a minute)" ;;
	*) say "building: $1" ;;
	esac
	hash=$(hash_of "$1") # before it runs: what is edited meanwhile counts as a change
	if ! (cd "$root" && exec sh -eu "ops/setup/$1.sh" "$architecture") >"$log" 2>&1 9>&-; then
		say "Cannot set up: the step \"$1\" failed. The end of $log:"
		tail -n 25 "$log" >&2
		exit 1
	fi
	echo "$hash" >"$root/build/stamps/$1"
}
