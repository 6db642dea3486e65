//! Integration tests of the whole server.
