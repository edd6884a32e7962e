"""Faults done to a real stream: real broker, real kill -9, real restarts; and whether every message came through once.

Modules: zoo (models good and bad), stream (a driver as a process), checks (what must hold), place (topics, folders
and registry of one line), lines_* (one function per line of the table), __main__ (`make chaos`).
"""
