"""This machine as a node of the cluster: joining, the Node object, its Lease, the checkpoint."""
