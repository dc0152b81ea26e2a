#!/bin/sh
# seal.sh JOB_DIR ATTEMPT BELOW NAME KEEP...: puts one checkpoint beyond the reach of those who made it: a copy in
# `committed/`, which workers see read-only; whole or not at all. What to keep there besides is named; all else is removed.
job=$1 attempt=$2 below=$3 name=$4
shift 4
log=${MUSTER_TERMINATION_LOG:-/dev/termination-log}
fail() {
  printf 'failed %s' "$*" >"$log"
  exit 0
}
committed=$job/committed
mkdir -p "$committed" || fail "$committed can't be made"
if [ ! -e "$committed/$name" ]; then
  base=$(cd -P "$job/$attempt" 2>/dev/null && pwd -P) || fail "the attempt has no checkpoint folder"
  [ -e "$base/$below" ] || fail "$job/$attempt/$below doesn't exist"
  if [ -d "$base/$below" ]; then
    real=$(cd -P "$base/$below" && pwd -P)
  else
    [ ! -h "$base/$below" ] || fail "$job/$attempt/$below is a link to a file; commit the file itself"
    folder=$(dirname "$base/$below")
    real=$(cd -P "$folder" && pwd -P)/$(basename "$below")
  fi
  case $real in "$base"/?*) ;; *) fail "$job/$attempt/$below is not below the attempt's checkpoint directory" ;; esac
  rm -rf "$committed/.next-$name"
  cp -R -P -p "$real" "$committed/.next-$name" 2>"$committed/.said-$name" || {
    said=
    IFS= read -r said <"$committed/.said-$name"
    rm -rf "$committed/.next-$name" "$committed/.said-$name"
    fail "it can't be copied: $said"
  }
  rm -f "$committed/.said-$name"
  sync
  mv "$committed/.next-$name" "$committed/$name" || fail "$committed/$name can't be made"
fi
printf '%s\n' "$name" >"$committed/.newest.next" && mv "$committed/.newest.next" "$committed/.newest"
for entry in "$committed"/*; do
  kept=${entry##*/}
  [ "$kept" = "$name" ] && continue
  keep=
  for one; do [ "$kept" = "$one" ] && keep=1; done
  [ -n "$keep" ] || rm -rf "$entry"
done
printf 'sealed' >"$log"
