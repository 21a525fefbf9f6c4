#!/bin/sh
# Runs a command on a screen of its own, without a monitor: on-a-screen.sh COMMAND..
#
# JUCE asks the screen for settings and for a window manager's atoms, and dies with BadWindow or BadAtom where nobody
# answers; so there are xsettingsd and openbox.
set -eu
if [ "${ON_A_SCREEN:-}" != yes ]; then
    ON_A_SCREEN=yes exec xvfb-run -a -s "-screen 0 1280x800x24" "$0" "$@"
fi
xsettingsd -c /dev/null >/dev/null 2>&1 &
settings=$!
openbox >/dev/null 2>&1 &
windows=$!
trap 'kill $settings $windows 2>/dev/null || true' EXIT
tries=0
until xprop -root _NET_SUPPORTING_WM_CHECK 2>/dev/null | grep -q 'window id'; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || { echo "openbox does not start" >&2; exit 1; }
    sleep 0.1
done
"$@"
