"""The live page, at `/` and `/ui` of the emulator's own address."""
