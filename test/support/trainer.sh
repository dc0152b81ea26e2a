# Counts steps and commits each by a line of its log. Arguments: the last step, seconds a step. The attempt that $TRAINER_VANDAL
# names, once the file $TRAINER_FLAG is there, overwrites and deletes everything in its own directory and commits far ahead. The
# attempt that $TRAINER_STAYS names doesn't end by itself.
step=0
if [ -e "$MUSTER_RESUME_FROM" ]; then step=$(cat "$MUSTER_RESUME_FROM/step"); fi
echo "attempt $MUSTER_ATTEMPT rank $RANK begins at step $step"
while [ "$step" -lt "$1" ]; do
  sleep "$2"
  step=$((step + 1))
  if [ "$TRAINER_VANDAL" = "$MUSTER_ATTEMPT" ] && [ -e "$TRAINER_FLAG" ]; then
    for old in "$MUSTER_CHECKPOINT_DIR"/*; do echo broken >"$old/step"; done
    rm -rf "$MUSTER_CHECKPOINT_DIR"/*
    step=1000
  fi
  echo "step=$step"
  if [ "$RANK" = 0 ]; then
    mkdir -p "$MUSTER_CHECKPOINT_DIR/step-$step"
    echo "$step" >"$MUSTER_CHECKPOINT_DIR/step-$step/step"
    echo "saved $step $MUSTER_CHECKPOINT_DIR/step-$step"
  fi
done
while [ "$TRAINER_STAYS" = "$MUSTER_ATTEMPT" ]; do sleep 0.2; done
echo "attempt $MUSTER_ATTEMPT rank $RANK done at step $step"
