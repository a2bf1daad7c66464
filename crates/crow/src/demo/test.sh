#!/bin/sh
# Runs every case. The exit status is the number of those that fail.

cd "$(dirname "$0")" || exit 99
failed=0

check() {
    got=$(sh ./leap.sh "$1")
    if [ "$got" = "$1 is a $2 year" ]; then
        echo "ok    $1"
    else
        echo "FAIL  $1: expected a $2 year, got: $got"
        failed=$((failed + 1))
    fi
}

check 2023 common
check 2024 leap
check 1900 common
check 2000 leap
check 2100 common

echo "$failed failed"
exit "$failed"
