"""What can be swapped: strategies, evaluators, stop rules, stores. Floor 2; a kind never imports another kind."""
