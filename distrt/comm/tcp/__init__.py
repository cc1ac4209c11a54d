"""The network between machines by TCP: connections of the ranks' own, and nothing to install."""
