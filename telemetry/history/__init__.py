"""The only room that writes and reads readings.

What goes on beside them, on threads that go their *rounds*: each process *catches up*
with what others did; one *keeper* at a time, of all processes, seals, thins out and
removes, as `keeping/` says.
"""
