"""The wire contract: messages, codecs, limits, errors and clocks.

Pure: no Django, no I/O.
"""
