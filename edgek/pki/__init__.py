"""Keys, certificates, join tokens and kubeconfigs; knows no API objects and keeps no state.

Server and agent both build on it. ``cryptography`` costs some 10 MB of memory, so it is imported
inside the functions that need it: a process that only reads its files never loads it. Every
secret on disk goes through ``files.write_atomic``.
"""
