"""The compiled loop and what prepares it: batches, schedules, workspaces, threads; simulate and gradient.

May import rules, optimizers, network, neurons and below; knows no files and no simulator.
"""
