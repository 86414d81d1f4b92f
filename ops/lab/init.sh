#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Process 1 of a lab node. It starts in fresh mount, UTS, IPC, PID and cgroup namespaces and in the node's network
# namespace; it builds the node's root, writes one line "<pid as the host sees it>" to file descriptor 3, and runs the
# node's command. All mounts are private to the node and go away with it.
#
#   init.sh WORK HOSTNAME [--layer DIRECTORY]... [--bind SOURCE TARGET ro|rw]... [--sysctl KEY VALUE]... -- [COMMAND...]
#
# WORK: an empty directory. --layer: a host file system mounted below /, to be shown copy-on-write as / is.
set -euo pipefail

work=$1
hostname=$2
shift 2
root=$work/root
layer_count=0

main() {
	# /proc is still the host's, so this is the host's number for this process.
	read -r host_pid _ </proc/self/stat
	mount -t tmpfs -o mode=755 weir-lab "$work"
	mkdir "$root"
	layer /
	while [ "$1" = --layer ]; do
		layer "$2"
		shift 2
	done
	mount_system
	while [ "$1" = --bind ]; do
		bind "$2" "$root$3" "$4"
		shift 4
	done
	while [ "$1" = --sysctl ]; do
		printf '%s\n' "$3" >"$root/proc/sys/${2//.//}"
		shift 3
	done
	[ "$1" = -- ]
	shift
	name_host
	enter_root
	echo "$host_pid" >&3
	exec 3>&-
	run "$@"
}

# A copy-on-write view: the host's files below, a tmpfs of the node above.
layer() {
	local upper=$work/layer$((layer_count++))
	mkdir "$upper" "$upper/files" "$upper/work"
	# The mount point's mode is that of the upper directory, and / may not be 755 for all (/root, /tmp).
	chmod --reference="$1" "$upper/files"
	mkdir -p "$root$1"
	mount -t overlay -o "lowerdir=$1,upperdir=$upper/files,workdir=$upper/work" weir-lab "$root$1" || {
		# Not every file system can lie under an overlay. Of / it is needed, of others reading has to do.
		[ "$1" != / ]
		bind "$1" "$root$1" ro
	}
}

mount_system() {
	mount --rbind /dev "$root/dev"
	mount -t tmpfs weir-lab "$root/dev/shm"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount -t bpf bpf "$root/sys/fs/bpf"
	# The cgroup namespace makes the node's own cgroup the root of this mount.
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount -t tmpfs -o mode=755 weir-lab "$root/run"
	mount -t tmpfs weir-lab "$root/tmp"
}

bind() { # SOURCE TARGET ro|rw
	if [ -d "$1" ]; then
		mkdir -p "$2"
	else
		mkdir -p "${2%/*}"
		[ -e "$2" ] || : >"$2"
	fi
	mount --rbind "$1" "$2"
	if [ "$3" = ro ]; then mount -o remount,bind,ro "$2"; fi
}

name_host() {
	hostname "$hostname"
	rm -f "$root/etc/hostname" "$root/etc/hosts"
	echo "$hostname" >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$hostname" >"$root/etc/hosts"
}

enter_root() {
	mkdir "$root/run/.host"
	cd "$root"
	pivot_root . run/.host
	umount -l /run/.host
	rmdir /run/.host
	cd /
}

# The command is a child, not process 1 itself: bash collects orphans, and the command has the usual signals. The node
# ends with it. Without one the node stays until it is destroyed.
run() {
	if [ $# -eq 0 ]; then set -- sleep infinity; fi
	"$@" &
	local status=0
	wait $! || status=$?
	exit "$status"
}

main "$@"
