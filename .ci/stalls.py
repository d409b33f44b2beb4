#!/usr/bin/python3
"""Prints a line each time this machine has stood still for half a second or longer.

A virtual machine may be stopped by its host, for seconds. All its clocks go on, so every
time limit of every process is over at once. A test that failed meanwhile says nothing.
"""

import time

STEP = 0.02
STALL = 0.5

before = time.monotonic()
while True:
    time.sleep(STEP)
    now = time.monotonic()
    if now - before > STALL:
        print(f"{time.strftime('%T')}: the machine stood still for {now - before:.1f} s", flush=True)
    before = now
