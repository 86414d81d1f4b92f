# SPDX-License-Identifier: Apache-2.0
# sh -eu prepare.sh DIRECTORY: Debian's stock kernels -> DIRECTORY/<6.1 or 6.12>/{vmlinuz, initrd, lib/modules}. Downloads
# what is not there yet; run in the repo's root.
directory=$(realpath "$1") # apt takes relative paths for its own

# The modules with which a guest mounts the host's file system. The rest is loaded by the guest itself.
boot_modules="virtio_pci 9pnet_virtio 9p overlay"

# apt_of VERSION COMMAND...: runs an apt tool that knows one release of Debian alone, whatever this machine runs, and that
# checks signatures as usual.
apt_of() {
	state=$directory/$1/apt
	tool=$2
	shift 2
	"$tool" -q -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o "Dir::Etc::sourcelist=$state/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root "$@"
}

# download VERSION RELEASE
download() {
	echo "downloading Linux $1 of Debian $2"
	rm -rf "${directory:?}/$1" # what an interrupted download left
	mkdir -p "$directory/$1/apt/lists/partial" "$directory/$1/apt/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $2 main" \
		>"$directory/$1/apt/sources.list"
	apt_of "$1" apt-get update
	package=$(apt_of "$1" apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p' | head -n 1)
	deb=$(apt_of "$1" apt-get --print-uris download "$package" | sed -n "s/^'[^']*' \([^ ]*\) .*/\1/p")
	(cd "$directory/$1" && apt_of "$1" apt-get download "$package")
	dpkg-deb --extract "$directory/$1/$deb" "$directory/$1/unpacked"
	rm -rf "$directory/$1/$deb" "$directory/$1/apt"
	depmod --basedir "$directory/$1/unpacked" "${package#linux-image-}"
	mv "$directory/$1/unpacked/lib" "$directory/$1/lib"
	mv "$directory/$1/unpacked/boot/vmlinuz-"* "$directory/$1/vmlinuz"
	rm -rf "$directory/$1/unpacked"
}

# make_initrd VERSION
make_initrd() {
	work=$(mktemp -d)
	release=$(ls "$directory/$1/lib/modules")
	mkdir -p "$work/bin" "$work/dev" "$work/proc" "$work/sys" "$work/lower" "$work/upper" "$work/root" "$work/modules"
	cp /bin/busybox "$work/bin/"
	install -m 755 ops/test/kernels/initrd-init "$work/init"
	# shellcheck disable=SC2086 # a list of words
	modprobe --dirname "$directory/$1" --set-version "$release" --show-depends --all $boot_modules |
		sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' >"$work/files"
	while read -r file; do
		name=$(basename "${file%.xz}")
		case $file in
		*.xz) xz --decompress --stdout "$file" >"$work/modules/$name" ;;
		*) cp "$file" "$work/modules/" ;;
		esac
		echo "$name" >>"$work/modules/order"
	done <"$work/files"
	(cd "$work" && find . | cpio --create --format=newc --quiet | gzip -1) >"$directory/$1/initrd"
	rm -rf "$work"
}

sh -eu ops/setup/install.sh qemu-system-x86 busybox-static cpio kmod xz-utils debian-archive-keyring
while read -r version release; do
	[ -f "$directory/$version/vmlinuz" ] || download "$version" "$release"
	make_initrd "$version"
done <<END
6.1 bookworm
6.12 bookworm-backports
END
