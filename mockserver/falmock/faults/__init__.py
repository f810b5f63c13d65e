"""What can go wrong: the vocabulary, the rules that choose, and the effects."""
