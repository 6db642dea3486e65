//! What SenML JSON and SenML CBOR share: the resolution of names and times (RFC 8428 §4.6).

/// Which rules a pack follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pack {
    /// SenML (110, 112): every record has a value.
    Plain,
    /// SenML-ETCH (320, 322): `null` removes a resource instance.
    Etch,
}
