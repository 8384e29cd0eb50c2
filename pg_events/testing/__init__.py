"""Captures the events of code under test."""
