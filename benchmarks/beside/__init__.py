"""The systems of `systems.py`, a file each, and the `cases` that all of them run.

Each has `run(case, threads, repeats)`, which gives a dictionary: seconds by what was timed ("learning", "forward, batch 64"),
the process's peak memory "MB", and where it is known the "rate" in Hz. Libraries are imported where they are used, so that
each may be missing. What a system finds is compared with snnlearn, or it is an error.
"""
