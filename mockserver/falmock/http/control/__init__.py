"""The control API, at `/control` on the emulator's own address: time, requests, webhooks, rules, state."""

from __future__ import annotations

from falmock.http.control.door import Control

__all__ = ["Control"]
