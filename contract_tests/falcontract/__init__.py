"""falcontract: the properties of fal's queue, checked on emulators and on fal itself."""
