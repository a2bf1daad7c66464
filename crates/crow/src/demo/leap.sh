#!/bin/sh
# leap.sh YEAR: prints whether YEAR is a leap year.

year=$1

if [ $((year % 4)) -eq 0 ]; then
    echo "$year is a leap year"
else
    echo "$year is a common year"
fi
