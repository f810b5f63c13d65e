"""Requests from submission to webhook: queue, runner, store, files, time."""
