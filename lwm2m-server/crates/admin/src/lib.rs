//! HTTP API over a running LwM2M server.
