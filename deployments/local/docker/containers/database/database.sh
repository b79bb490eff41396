#!/bin/sh
# Makes the database the first time, complete or not at all; gives it the password; serves it.
# Starts as root, which alone may read the mounted password, and runs PostgreSQL as its own user.
set -eu
umask 077
bin=/usr/lib/postgresql/15/bin
password=/run/database/password

as_postgres() {
    setpriv --reuid=postgres --regid=postgres --init-groups "$@"
}

one_statement() {
    as_postgres "$bin/postgres" --single -D "$1" -j postgres > /dev/null
}

chown postgres:postgres /data
if [ ! -d /data/15 ]; then
    rm -rf /data/new
    as_postgres "$bin/initdb" --pgdata=/data/new --username=prefect \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    echo "host all all all scram-sha-256" >> /data/new/pg_hba.conf
    printf 'CREATE DATABASE prefect;\n' | one_statement /data/new
    mv /data/new /data/15
fi
if ! cmp --silent "$password" /data/password; then
    printf "ALTER ROLE prefect PASSWORD '%s';\n" "$(cat "$password")" | one_statement /data/15
    as_postgres tee /data/password < "$password" > /dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D /data/15 \
    -c listen_addresses='*' -c max_connections=200 -c unix_socket_directories=/tmp
