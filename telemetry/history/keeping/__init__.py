"""How long readings are kept, and as what: tiers, ages, the budget, removal."""
