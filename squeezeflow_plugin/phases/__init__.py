"""Features become five phases, a score and one decision a second. Pure."""
