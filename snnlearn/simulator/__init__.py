"""Simulator: runs, trains and evaluates a network that learns, step by step or in batches.

May import recording, tasks, engine and below.
"""
