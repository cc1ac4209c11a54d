"""Pictures of a run, as SVG, and traces put together: for the profiler and for `distrt-launch report`.

The standard library alone, and nothing of distrt's: the launcher loads these modules.
"""
