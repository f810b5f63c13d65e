"""The reference model: states, timing and schema of fal's queue, independent of any emulator."""
