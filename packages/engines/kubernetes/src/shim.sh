#!/bin/sh
# shim.sh WORDS...: process 1 of a worker's pod. Runs the program as its child, forwards signals, keeps the control and
# progress files, and leaves how the program ended in the pod's termination message. Of the image it asks sh and what comes with it (sleep, mkdir, mv, ln).
# What it tells the engine stands in the output, in lines after the character RS; the engine takes them out.
etc=${MUSTER_ETC:-/muster/etc}
dir=$MUSTER_DIR
# what comes before the program is there is heeded when it is
early=
trap 'early=1' TERM
mkdir -p "$dir" 2>/dev/null
cd "$dir" || exit 125

copy() { # FROM TO: by the shell alone
  while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1" >"$2"
}
if [ -n "$MUSTER_FILES" ]; then
  for file in $MUSTER_FILES; do
    case $file in */*) mkdir -p "$dir/${file%/*}" ;; esac
    copy "$etc/files/$file" "$dir/$file" || exit 125
  done
fi
printf '0\n' >"$MUSTER_CONTROL_FILE"
: >>"$MUSTER_PROGRESS_FILE"
[ -z "$MUSTER_RESUME_TARGET" ] || ln -sfn "$MUSTER_RESUME_TARGET" "$dir/resume"
[ -d "$MUSTER_CHECKPOINT_DIR" ] || mkdir -p "$MUSTER_CHECKPOINT_DIR" || exit 125

tell() { printf '\036muster %s\n' "$*"; }

is_rank() {
  while IFS= read -r line || [ -n "$line" ]; do
    # variables follow one another here, as a shell reads no NUL
    case $line in
      RANK=[0-9]* | *[!_]RANK=[0-9]* | *OMPI_COMM_WORLD_RANK=[0-9]* | *PMIX_RANK=[0-9]* | *PMI_RANK=[0-9]* | *JAX_PROCESS_ID=[0-9]*) return 0 ;;
    esac
  done <"/proc/$1/environ" 2>/dev/null
  return 1
}
# Sorts a process and what is below it into `ranks` and `others`. What a rank started isn't looked at: it only inherits the variable.
sort_below() {
  if is_rank "$1"; then
    ranks="$ranks $1"
    return
  fi
  others="$others $1"
  children=
  read -r children 2>/dev/null <"/proc/$1/task/$1/children"
  set -- $children
  for child; do sort_below "$child"; done
}
# signal_ranks NAME [all]: the ranks; with `all`, where there are none, the program and what is below it.
signal_ranks() {
  main=
  read -r main 2>/dev/null <"$dir/.pid"
  [ -n "$main" ] || return 1
  ranks=
  others=
  sort_below "$main"
  [ -n "$ranks" ] || { [ "$2" = all ] && ranks=$others; }
  [ -n "$ranks" ] || return 1
  kill -"$1" $ranks 2>/dev/null
}
raise() { # NUMBER
  printf '%s\n' "$1" >"$MUSTER_CONTROL_FILE.next" && mv "$MUSTER_CONTROL_FILE.next" "$MUSTER_CONTROL_FILE"
  [ -z "$MUSTER_CHECKPOINT_SIGNAL" ] || signal_ranks "${MUSTER_CHECKPOINT_SIGNAL#SIG}"
}

asked=0
partial=
pointed=
[ -z "$MUSTER_COMMITTED_DIR" ] || read -r pointed 2>/dev/null <"$MUSTER_COMMITTED_DIR/.newest"
pointed=${pointed:-none}
marker=
entries=' '
# One look at what the engine asks, and at what the program wrote.
look() {
  number=0
  read -r number word <"$etc/control" 2>/dev/null
  case $number in '' | *[!0-9]*) number=0 ;; esac
  if [ "$number" -gt "$asked" ]; then
    asked=$number
    raise "$number"
  fi
  while IFS= read -r line <&7; do
    tell "progress $partial$line"
    partial=
  done
  partial=$partial$line
  newest=
  [ -z "$MUSTER_COMMITTED_DIR" ] || read -r newest 2>/dev/null <"$MUSTER_COMMITTED_DIR/.newest"
  if [ -n "$newest" ] && [ "$newest" != "$pointed" ]; then
    # what was the newest at the start may be newer than what this attempt is to resume from
    ln -sfn "$MUSTER_COMMITTED_DIR/$newest" "$dir/resume"
    pointed=$newest
  fi
  if [ "$MUSTER_REPORTS" = 1 ]; then
    for entry in "$MUSTER_CHECKPOINT_DIR"/*; do
      name=${entry##*/}
      case $name in '*' | *' '*) continue ;; esac
      case $entries in *" $name "*) continue ;; esac
      entries="$entries$name "
      if [ -d "$entry" ]; then tell "entry $name/"; else tell "entry $name"; fi
    done
    if [ -n "$MUSTER_MARKER" ] && [ -f "$MUSTER_CHECKPOINT_DIR/$MUSTER_MARKER" ]; then
      IFS= read -r text <"$MUSTER_CHECKPOINT_DIR/$MUSTER_MARKER" || :
      if [ -n "$text" ] && [ "$text" != "$marker" ]; then
        marker=$text
        tell "marker $text"
      fi
    fi
  fi
}
watcher() {
  exec 7<"$MUSTER_PROGRESS_FILE"
  trap : HUP INT TERM USR1 USR2
  until [ -e "$dir/.over" ]; do
    look
    sleep 1 &
    printf '%s\n' $! >"$dir/.nap"
    # a shell says on its error output which signal ended what it waits for
    wait $! 2>/dev/null
  done
  look
}

# The pod is to end. Where nobody asked for a checkpoint before, it is asked for now, and waited for through half of the grace.
stop() {
  word=
  read -r number word <"$etc/control" 2>/dev/null
  if [ "$word" != stop ] && [ "$MUSTER_CHECKPOINTS" = 1 ]; then
    read -r number <"$MUSTER_CONTROL_FILE"
    raise $((number + 1))
    (
      read -r old 2>/dev/null <"$MUSTER_CHECKPOINT_DIR/$MUSTER_MARKER"
      for second in $(seconds $((MUSTER_GRACE / 2))); do
        sleep 1
        [ -z "$MUSTER_MARKER" ] || { read -r new 2>/dev/null <"$MUSTER_CHECKPOINT_DIR/$MUSTER_MARKER" && [ "$new" != "$old" ] && break; }
      done
      signal_ranks TERM all
    ) &
  else
    until signal_ranks TERM all; do
      kill -0 "$runner" 2>/dev/null || break
      sleep 1
    done
  fi
}
seconds() {
  count=0
  while [ "$count" -lt "$1" ]; do
    count=$((count + 1))
    printf '%s ' "$count"
  done
}

rm -f "$dir/.pid" "$dir/.said" "$dir/.over" "$dir/.nap"
watcher &
watching=$!
# The shell between says of a death by signal what its exit code can't tell from an ordinary exit.
(
  trap : HUP TERM USR1 USR2
  /bin/sh -c 'printf "%s\n" $$ >.pid; [ -z "$MUSTER_WORKDIR" ] || cd "$MUSTER_WORKDIR" || exit 125; exec "$@" 2>&9 9>&-' muster-worker "$@"
  code=$?
  exit $code
) 9>&2 2>"$dir/.said" &
runner=$!
trap stop TERM
trap 'signal_ranks HUP all' HUP
trap 'signal_ranks INT all' INT
trap 'signal_ranks USR1' USR1
trap 'signal_ranks USR2' USR2
# a signal that came before process 1 could heed one was lost: from here on none is
tell up
[ -z "$early" ] || stop
wait "$runner"
code=$?
# a signal that is trapped ends the wait early
while kill -0 "$runner" 2>/dev/null; do
  wait "$runner"
  code=$?
done
: >"$dir/.over"
# the watcher sleeps, or is about to look for the file
nap=
read -r nap 2>/dev/null <"$dir/.nap"
[ -z "$nap" ] || kill "$nap" 2>/dev/null
wait "$watching" 2>/dev/null
said=
IFS= read -r said <"$dir/.said" 2>/dev/null
log=${MUSTER_TERMINATION_LOG:-/dev/termination-log}
if [ "$code" -gt 128 ] && { [ -n "$said" ] || [ "$code" = 130 ] || [ "$code" = 141 ]; }; then
  printf '{"signal":%s}' $((code - 128)) >"$log" 2>/dev/null
else
  printf '{"code":%s}' "$code" >"$log" 2>/dev/null
fi
exit "$code"
