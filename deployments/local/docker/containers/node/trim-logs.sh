#!/bin/sh
# trim-logs FOLDER BYTES: begins a log that is larger anew, and keeps what it held until then as LOG.1.
# Who writes the log has it open for appending, and goes on.
set -eu
find "$1" -name '*.log' -size "+${2}c" -exec sh -c 'for log; do cp "$log" "$log.1"; : >"$log"; done' sh {} +
