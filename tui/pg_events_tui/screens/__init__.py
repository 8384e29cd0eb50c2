"""Screens, one per mode, and the dialogs above them."""
