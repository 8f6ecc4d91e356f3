"""The aggr-server-compatible sidecar: feeds to bars to store."""
