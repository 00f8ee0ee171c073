"""Pickles as data: read into values that cannot do anything, in a process of their own.

These files use nothing but the standard library, so that the process starts fast and stays small.
Nothing is imported, called or built that a file names: an instruction to call `posix.system`
becomes a note that says so.
"""
