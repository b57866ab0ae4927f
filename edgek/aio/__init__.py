"""asyncio helpers that know no Kubernetes."""
