"""Recordings fetched from the hub: listed, shown with their licence, pinned, resumed and checked.

The library ``huggingface_hub`` speaks to the hub; this room chooses the files that make one
episode, keeps what has arrived for the next try, and lets no file into the folder before its size
and hash agree with the hub's listing. ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` an account.
"""
