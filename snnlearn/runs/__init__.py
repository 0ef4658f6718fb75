"""Runs again, from their files: resume goes on, fork goes on differently, replay repeats a window.

May import the simulator and everything that it may import.
"""
