"""Browsers that watch: state of what is watched, frames, flow, and the socket."""
