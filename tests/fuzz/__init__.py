"""Damaged files for every reader of seviz: refused in one line, or read as somebody else reads them.

    make fuzz                                          300 damaged files for each reader; tests/fuzz.md
    PYTHONPATH=tests python -m fuzz PNG record -n 50   some readers, and nothing is written
    PYTHONPATH=tests python -m fuzz --seconds 60       as many as go into a minute

Damage is drawn from a seed, the reader's name and a number, so that the same words damage the same. Each
reader runs in a process of its own (`fuzz.child`), which is watched from another (`fuzz.harness`): whatever a
file does to it, a crash, a hang, a gigabyte, is seen and told.

Adding a format is a row in a table: `fuzz.checkpoints.READERS` and its like. What ever failed is made by a
script in `fuzz.corpus`, and stays there.
"""
