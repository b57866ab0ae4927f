"""Devices: what a board has beside CPU and memory (GPIO, I2C, serial ports, a camera), given to
pods as extended resources. Declared in a small file; no driver pod is needed.

::

    declared.py   the file's content, checked (pure)   allot.py   who gets which (pure)
    inventory.py  what of it is there now              watch.py   file and /dev, through inotify
"""
