"""Recordings from the hub: listed, shown with their licence, pinned, resumed and checked.

The library ``huggingface_hub`` speaks to the hub. This room chooses the files that make one
episode, and lets none into its folder before all agree with the hub's sizes and hashes.
``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` an account.
"""
