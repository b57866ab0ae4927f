"""The control-loop kit used by controllers, scheduler and agent alike.

``informer`` keeps a cache of what is; ``workqueue`` holds what needs work; ``controller`` runs
reconcilers over both; ``expectations`` remembers own writes the cache has not shown yet;
``events`` tells users what happened. All of it stands on ``edgek.client`` only.
"""
