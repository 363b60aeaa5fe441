"""Devices, groups, keys, rights and presence: who may do what."""
