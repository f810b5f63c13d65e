"""Where programs run: an emulator in process, any address, and the wire that sends the calls."""
