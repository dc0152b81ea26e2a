# Runs one container, in new mount, pid and uts namespaces: its root is this machine's files below a layer of its own, with what the
# pod mounts, and its command is process 1. Ends as the command does.
# LAYER HOSTNAME UID GID GROUP WORKDIR, then FROM AT ro|rw ..., --, KEY=VALUE ..., --, COMMAND ...
layer=$1 hostname=$2 uid=$3 gid=$4 group=$5 workdir=$6
shift 6
(
  mount -t tmpfs tmpfs "$layer" && mkdir "$layer/upper" "$layer/work" "$layer/root" || exit 125
  root=$layer/root
  mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$root" || exit 125
  mount -t tmpfs tmpfs "$root/dev" || exit 125
  for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device" || exit 125
  done
  ln -s /proc/self/fd "$root/dev/fd" && ln -s fd/0 "$root/dev/stdin" && ln -s fd/1 "$root/dev/stdout" && ln -s fd/2 "$root/dev/stderr" || exit 125
  mkdir -m 1777 "$root/dev/shm" && mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" || exit 125
  echo "$hostname" >/proc/sys/kernel/hostname
  while [ "$1" != -- ]; do
    # links, such as /var/run, lead to places in the container
    at=$root$(chroot "$root" realpath -m -- "$2") || exit 125
    if [ -d "$1" ]; then
      [ -d "$at" ] || mkdir -p -- "$at" || exit 125
    else
      [ -e "$at" ] || { mkdir -p -- "${at%/*}" && : >"$at"; } || exit 125
    fi
    mount --bind -- "$1" "$at" || exit 125
    if [ "$3" = ro ]; then mount -o remount,bind,ro -- "$at" || exit 125; fi
    shift 3
  done
  shift
  [ -d "$root$workdir" ] || mkdir -p -- "$root$workdir" || exit 125
  exec chroot "$root" setpriv --pdeathsig KILL --reuid="$uid" --regid="$gid" --groups="$group" --no-new-privs -- \
    env --default-signal=INT,QUIT -i -C "$workdir" "$@"
) &
wait $!
