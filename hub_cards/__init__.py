"""What a repository of the Hub says of itself: the cards of models, data sets and metrics, and a demo Space."""
