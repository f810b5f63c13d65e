"""Everything that sends to fal itself, and the transcripts that it records."""
