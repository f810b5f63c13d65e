"""falcontract: what is held to be true of fal's queue, run against an emulator and against fal itself."""
