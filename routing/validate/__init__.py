"""The independent check of a plan against its problem: nothing is dispatched that it has not passed."""
