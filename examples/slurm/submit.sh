#!/bin/bash
# Submits a suite as an array of shards, and its report behind them.
#   ./submit.sh SUITE FOLDER SHARDS [more words of `aebench run`]
# FOLDER must lie where all nodes see it (docs/scale.md). The same command goes on after a stop.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 folder=$2 shards=$3
array=$(sbatch --parsable --array="1-$shards" "$here/shard.sbatch" "$@")
# afterany, not afterok: a run that failed must not keep the rows of the others from the report.
sbatch --parsable --dependency="afterany:${array%%;*}" "$here/report.sbatch" "$folder"
