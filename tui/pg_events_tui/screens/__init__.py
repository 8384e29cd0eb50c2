"""Screens of the console, and the parts that they are made of.

A screen inherits from `ConsoleScreen` (frame and common keys, Textual's bindings and `action_*`) and delegates to its parts:

    Live, Schema   EventsScreen has EventOutput, Finder -> FilterBar -> EventPanes; a `Listing` tells what is listed
    Coverage       has CoveragePlans -> PlanDialog
    Replay         has ReplayChoices -> RunsDialog

A part has its screen, and the parts to its right, never those to its left. Screen and parts see the console as a `Host`.
"""
