"""Drivers that are wrong in one thing each, by which the conformance suites are tested.

`noticed` of a class is the test that must fail, `parameters` among which that is chosen.
"""
