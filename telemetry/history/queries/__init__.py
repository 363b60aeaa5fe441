"""Any range of any series, read back: tail, journal, blocks, in this order."""
