#!/bin/sh
# Serves the registry. Where COLLECT_EVERY is set (1d), it stops in between for the seconds that it takes to
# delete the layers that no manifest needs any more: one that is being pushed would be taken for such a layer.
set -eu
configuration=/etc/docker/registry/config.yml
[ "${COLLECT_EVERY:-}" ] || exec docker-registry serve "$configuration"

trap 'kill "$server"; wait "$server"; exit 0' TERM
while true; do
    timeout "$COLLECT_EVERY" docker-registry serve "$configuration" &
    server=$!
    ended=0
    wait "$server" || ended=$?
    [ "$ended" = 124 ] || exit "$ended" # by itself, and not by the time-out
    docker-registry garbage-collect "$configuration" || echo "The layers were not collected."
done
