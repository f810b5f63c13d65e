"""The control API, at `/control` on the emulator's own address: time, requests, webhooks, rules, state."""

from __future__ import annotations

from falmock.http.control.door import BASE, Control

__all__ = ["BASE", "Control"]
