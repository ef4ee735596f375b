#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# guest.sh TREE LIMIT MODE COMMAND UNIT...
#
# Runs parts of a server's own test suite in the guest, each by itself: COMMAND
# with the unit as $1, in a copy of TREE, for at most LIMIT seconds. MODE is that
# of saioctl run, or without. The server's wrapper in TREE starts it by
# $SAIO_SUITE.
set -eu
tree=$1 limit=$2 mode=$3 command=$4
shift 4

# The tests write a request in two pieces and do not set TCP_NODELAY: each would
# wait 40 ms for a delayed acknowledgement.
for net in 127.0.0.0/8 127.0.0.1; do
	ip route change local "$net" dev lo proto kernel scope host src 127.0.0.1 \
		table local quickack 1
done

# Tests count on a limit of descriptors that lets them open a few thousand.
ulimit -n 10240
export TERM=dumb
cp -a "$tree" /tmp/suite
cd /tmp/suite
stats=/tmp/suite-stats.json
if [ "$mode" != without ]; then
	case $mode in
	pool | auto) saioctl pool set default --workers 1 >&2 ;;
	esac
	# Connections of tests are short: they would hardly become flows.
	export SAIO_EAGER=1
	export SAIO_SUITE="saioctl run --mode $mode --stats $stats --"
fi
for unit; do
	echo "suite: begin $unit"
	status=0
	timeout -k 10 "$limit" sh -c "$command" sh "$unit" </dev/null 2>&1 || status=$?
	echo "suite: end $status"
done
[ ! -e "$stats" ] || cp "$stats" "$SAIO_OUT"
