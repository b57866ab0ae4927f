#!/bin/bash
# configure-rootfs.sh ROOT - make a Debian tree boot quickly under emulation: addresses from the
# kernel's command line, no console login, nothing started that a test machine does not need.
set -euo pipefail
root=$1
etc=$root/etc
units=$etc/systemd/system

rm -f "$root/usr/sbin/policy-rc.d"
echo edge > "$etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 edge\n' > "$etc/hosts"
printf '/dev/vda / ext4 defaults,noatime 0 1\n' > "$etc/fstab"
: > "$etc/machine-id"  # systemd.machine_id= on the command line gives each machine its own
printf 'nameserver 10.0.2.3\n' > "$etc/resolv.conf"
mkdir -p "$root/srv/payload" "$root/var/log/journal" "$etc/systemd/journald.conf.d"

# vm.net=eth1,10.77.0.11/24,10.77.0.1 and vm.host=NAME on the command line
cat > "$root/usr/local/sbin/vm-net" <<'S'
#!/bin/sh
ip link set lo up
for word in $(cat /proc/cmdline); do case $word in
 vm.net=*) IFS=, read -r device address gateway <<X
${word#vm.net=}
X
  ip link set "$device" up && ip addr add "$address" dev "$device"
  [ -z "$gateway" ] || ip route add default via "$gateway" ;;
 vm.host=*) name=${word#vm.host=}
  hostname "$name"; echo "$name" > /etc/hostname
  sed -i "s/^127.0.1.1.*/127.0.1.1 $name/" /etc/hosts ;;
esac; done
exit 0
S
chmod 755 "$root/usr/local/sbin/vm-net"
cat > "$units/vm-net.service" <<'S'
[Unit]
Description=Addresses from the kernel command line
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service sys-subsystem-net-devices-eth0.device
Wants=sys-subsystem-net-devices-eth0.device
Before=network-pre.target network.target network-online.target shutdown.target
Wants=network-pre.target network.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/vm-net
[Install]
WantedBy=multi-user.target
S
mkdir -p "$units/multi-user.target.wants"
ln -sf ../vm-net.service "$units/multi-user.target.wants/vm-net.service"

for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer dpkg-db-backup.timer systemd-firstboot.service systemd-machine-id-commit.service \
  systemd-network-generator.service systemd-networkd-wait-online.service systemd-repart.service \
  podman-auto-update.timer podman-auto-update.service podman-restart.service \
  podman-clean-transient.service getty@tty1.service serial-getty@ttyS0.service \
  systemd-vconsole-setup.service systemd-rfkill.service systemd-rfkill.socket \
  systemd-binfmt.service systemd-pstore.service systemd-udev-settle.service ldconfig.service \
  sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-initctl.socket \
  modprobe@drm.service modprobe@configfs.service modprobe@efi_pstore.service \
  systemd-ask-password-wall.path systemd-ask-password-console.path \
  systemd-pcrphase.service systemd-pcrphase-sysinit.service; do
  ln -sf /dev/null "$units/$unit"
done
for unit in nfs-server nfs-kernel-server nfs-blkmap nfs-idmapd rpc-statd-notify rpcbind rpc-statd \
  nfs-client.target rpcbind.socket podman.socket podman.service nftables; do
  chroot "$root" systemctl disable -q "$unit" 2>/dev/null || true
done
chroot "$root" systemctl enable -q qemu-guest-agent 2>/dev/null || true
printf '[Journal]\nStorage=persistent\nSystemMaxUse=64M\n' > "$etc/systemd/journald.conf.d/vm.conf"
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"

# Emulated udev spends seconds on modules and rules for hardware that is not there.
printf 'blacklist %s\n' kvm kvm_amd kvm_intel powernow_k8 serio_raw evdev psmouse ccp qemu_fw_cfg \
  pcspkr > "$etc/modprobe.d/vm.conf"
mkdir -p "$etc/udev/rules.d"
for file in "$root"/lib/udev/rules.d/*; do
  name=${file##*/}
  case $name in
    50-udev-default.rules | 60-block.rules | 60-persistent-storage.rules | 60-serial.rules) ;;
    64-btrfs.rules | 73-special-net-names.rules | 75-net-description.rules) ;;
    80-drivers.rules | 80-net-setup-link.rules | 99-systemd.rules) ;;
    60-qemu* | *nfs* | *fuse*) ;;
    *) ln -sf /dev/null "$etc/udev/rules.d/$name" ;;
  esac
done
rm -rf "$root"/var/cache/apt/*.bin "$root"/tmp/* "$root"/var/log/*.log "$root"/var/log/apt/*
