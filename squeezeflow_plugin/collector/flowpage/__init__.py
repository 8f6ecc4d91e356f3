"""The flow page: one page at the health port that shows, live, what the collector and the bot see."""
