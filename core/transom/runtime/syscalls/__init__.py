"""The one place that calls libc: one small function per system call, named like it, in a module per subject.

A failed call raises `OSError` with the errno, whose message says the system call, and whose `filename` is the path
that it was about.
"""
