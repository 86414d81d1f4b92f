# SPDX-License-Identifier: Apache-2.0
# Sourced by ./weir: can this machine run weir at all? Nothing here changes anything.

# refusal SYSTEM MACHINE RELEASE UID BTF: prints the sentence that says why not, or nothing. SYSTEM, MACHINE and RELEASE
# are what uname -s, -m and -r print; BTF is the file in which the kernel describes its own types.
refusal() {
	if [ "$1" != Linux ]; then
		echo "Cannot run weir: it needs Linux, and this system is $1"
	elif [ -z "$(node_architecture "$2")" ]; then
		echo "Cannot run weir: it needs an amd64 or arm64 machine, and this one is $2"
	elif [ "$4" != 0 ]; then
		echo "Cannot run weir: it needs root, and the current user has id $4 (try sudo ./weir)"
	elif ! at_least_6_1 "$3"; then
		echo "Cannot run weir: it needs Linux 6.1 or later, and this kernel is $3"
	elif [ ! -r "$5" ]; then
		echo "Cannot run weir: the kernel must describe its types (CONFIG_DEBUG_INFO_BTF), and $5 is missing"
	fi
}

# node_architecture MACHINE: the name that npm uses for it, or nothing if weir does not run there.
node_architecture() {
	case $1 in
	x86_64) echo x64 ;;
	aarch64) echo arm64 ;;
	esac
}

# at_least_6_1 RELEASE: true for 6.1.0-44-amd64, 6.12.1, 7.0-rc1; false for 5.10.0 and for what is no version.
at_least_6_1() {
	major=${1%%.*}
	minor=${1#*.}
	minor=${minor%%[!0-9]*}
	case $major$minor in
	"" | *[!0-9]*) return 1 ;;
	esac
	[ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "${minor:-0}" -ge 1 ]; }
}
