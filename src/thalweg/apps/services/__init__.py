"""Async services: run work under limits, measure it, find its best settings, and keep them best while it is live.

TaskExecutor, ResourceMonitor, benchmark     run, watch and time async work
PerformanceOptimizer, ResourceOptimizer      find settings of a workload before it goes live
Search                                       a search that can be stopped, with the best so far
LiveTuner, Knob, Window, AdaptiveLimit       change settings of a service that has users right now
BatchServer                                  a service in virtual time, to try all that on
"""
