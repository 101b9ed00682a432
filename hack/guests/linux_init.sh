#!/bin/sh
# PID 1 of guest B. Says on the console what it finds, then stays until the power button is pressed (kernel argument
# `oneshot`: powers off after the marker). Keys on the console: w(rite 1 MiB), s(izes), p(ower off).
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

# Once the guest is going off nothing else is said and init goes no further: a check cut short is no finding.
say() {
    while [ -e /off ]; do sleep 1; done
    echo "$*"
}

power_off() {
    : >/off
    echo "GUEST-OFF $1"
    kill -9 -1 # all but this process and init
    sync
    umount /mnt 2>/dev/null || mount -o remount,ro /mnt 2>/dev/null
    poweroff -f
}

disk_sizes() {
    for disk in /sys/block/vd*; do
        [ -e "$disk/size" ] && say "DISK ${disk##*/} $(($(cat "$disk/size") * 512))"
    done
}

# The ACPI power button is an input device; its first event means off, whatever init is doing.
watch_power_button() {
    for event in /sys/class/input/event*; do
        [ "$(cat "$event/device/name")" = "Power Button" ] || continue
        (head -c 24 "/dev/input/${event##*/}" >/dev/null; power_off button) &
    done
}

# A pattern at 1 MiB, read back from the disk and not from the page cache. It carries a count, so a test sees
# whether a data disk kept what another boot wrote.
check_data_disk() {
    count=$(dd if=/dev/vdb bs=4096 skip=256 count=1 2>/dev/null | tr -d '\0' | sed -n 's/^goldpool-data \([0-9]*\)$/\1/p')
    echo "goldpool-data $((${count:-0} + 1))" >/pattern
    dd if=/pattern of=/dev/vdb bs=4096 seek=256 conv=sync,fsync,notrunc 2>/dev/null
    blockdev --flushbufs /dev/vdb
    if dd if=/dev/vdb bs=4096 skip=256 count=1 2>/dev/null | tr -d '\0' | cmp -s - /pattern; then
        say "DATA-DISK-OK $((${count:-0} + 1))"
    else
        say "DATA-DISK-BAD"
    fi
}

read -r uptime _ </proc/uptime
say "GUEST-UP $uptime"
for module in $(cat /modules/order); do
    insmod "/modules/$module.ko" || say "GUEST-ERR module $module"
    [ "$module" = button ] && watch_power_button
done
tries=0
while [ ! -b /dev/vda2 ] && [ $tries -lt 50 ]; do usleep 100000; tries=$((tries + 1)); done
disk_sizes

mkdir -p /mnt
mount -t ext4 -o ro /dev/vda2 /mnt || say "GUEST-ERR mount"
if (cd /mnt/data && sha256sum -c -s SHA256SUMS); then say "GUEST-DATA-OK"; else say "GUEST-DATA-BAD"; fi
mount -o remount,rw /mnt || say "GUEST-ERR remount"
boots=$(($(cat /mnt/boots) + 1))
echo "$boots" >/mnt/boots
if dd if=/dev/urandom of=/mnt/scratch bs=1M count=1 conv=fsync 2>/dev/null && sync; then
    say "GUEST-BOOTS $boots"
else
    say "GUEST-ERR write"
fi
[ -b /dev/vdb ] && check_data_disk
read -r uptime _ </proc/uptime
say "GUEST-MARKER boot-ok $uptime"

grep -qw oneshot /proc/cmdline && power_off oneshot
stty -icanon -echo </dev/console
while :; do
    # A console without a reader on the other side ends at once: do not spin.
    read -r -n 1 key || sleep 1
    case $key in
        w) dd if=/dev/urandom of=/mnt/scratch bs=1M count=1 conv=fsync 2>/dev/null && say "GUEST-WROTE" ;;
        s) disk_sizes ;;
        p) power_off key ;;
    esac
    key=
done
