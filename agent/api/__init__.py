"""What the server asks of this node through the tunnel: logs, exec, attach."""
