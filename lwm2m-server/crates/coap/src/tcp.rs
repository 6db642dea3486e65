//! CoAP framing over streams (RFC 8323 §3): lengths, signaling codes, no message ids.
