"""What several tests need: an application with a catalogue, a small cast, and visits without a real launch."""
