"""SGD and Adam: the one place where weights change; schedules of learning rates.

May import compiler and network.
"""
