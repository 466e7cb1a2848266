"""The leaderboard: one page over the results of many suites, and its entries as tables."""
