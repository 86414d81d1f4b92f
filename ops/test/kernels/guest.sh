# SPDX-License-Identifier: Apache-2.0
# The guest's init: prepares the machine and runs the script $weir_job. It talks to the host through the second serial
# port, in TAP: that it has booted, then the job's output.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
stty -F /dev/ttyS1 raw -echo
exec </dev/null >/dev/ttyS1 2>&1
echo "ok 1 - Linux $(uname -r) boots"

mount -t tmpfs tmpfs /run
mkdir -p /run/lock /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$weir_modules" "/lib/modules/$(uname -r)"
ip link set lo up

cd "$weir_root" && sh -u "$weir_job"
sync
echo o >/proc/sysrq-trigger
sleep 60
